"""One file of a source: its manifests, and what is wrong with it, each with path, line and column.

Law of the module: `parse` is pure and total. Whatever the bytes are, it answers; nothing is guessed, and what cannot be trusted
is told (design §6, law 7). Objects are carried as JSON, untouched but for what only a server may set: positions are not kept, but
found again from the text when a message needs one, so that a hundred thousand manifests stay small.

What is a manifest: a document with `apiVersion` and `kind`. One with neither is another document, one with only one of them a
problem. Lists are taken apart. Names become file names and parts of URLs, so what could not be a name ends here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from . import names
from .events import Form
from .field_path import resolve
from .identity import BlobId, Place
from .places import Node, locate
from .problem import Finding, Pointer, Problem, did_you_mean, listed, noun, shown
from .problem import field as named
from .schema import Schema
from .types import Types
from .yaml import Document, Loaded, load

__all__ = ["NO_CHECKS", "Checks", "Manifest", "ManifestFile", "Problem", "parse"]

PROBLEMS = 20  # of one file

OWN_GROUP = "reconciler.dev"
RESERVED_LABELS = ("reconciler.dev/managed-by",)
RESERVED_ANNOTATIONS = tuple(f"reconciler.dev/{name}" for name in ("owner", "source", "commit", "digest"))

# ObjectMeta fields that the API server sets (API conventions, "Metadata").
SERVER_FIELDS = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
)

_NOT_RENDERED = {
    "kustomization.yaml": "a kustomization",
    "kustomization.yml": "a kustomization",
    "Kustomization": "a kustomization",
    "Chart.yaml": "a Helm chart",
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checks:
    """What manifests are checked against: JSON Schemas of kinds of ours, and the types of built-in kinds."""

    schemas: Mapping[tuple[str, str, str], Schema] = field(default_factory=dict)  # (group, version, kind)
    types: Types | None = None

    @classmethod
    def of(cls, schemas: Mapping[tuple[str, str, str], Json], types: Types | None = None) -> Checks:
        """From JSON Schemas as read from their files; `jsonschema.SchemaError` where one is none."""
        return cls({key: Schema.read(json) for key, json in schemas.items()}, types)

    def find(self, group: str, version: str, kind: str, body: Json) -> list[Finding]:
        """What is wrong with one object."""
        own = self.schemas.get((group, version, kind))
        if own is not None:
            return own.check(body)
        versions = [v for g, v, k in self.schemas if (g, k) == (group, kind)]
        if versions:
            return [Finding(("apiVersion",), f"{kind} has no version {version}, known is {listed(versions)}")]
        if group == OWN_GROUP and (kinds := [k for g, _, k in self.schemas if g == group]):
            return [Finding(("kind",), f"{group} has no kind {kind}{did_you_mean(kind, kinds)}")]
        return self.types.check(group, version, kind, body) if self.types is not None else []

    def knows(self, group: str, version: str, kind: str) -> bool:
        """Whether this is a built-in kind whose types are known."""
        return self.types is not None and self.types.kind(group, version, kind) is not None


NO_CHECKS = Checks()


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """One object as a file says it. Compared by identity; `json` holds the object, `body()` decodes a fresh copy."""

    group: str
    version: str
    kind: str
    namespace: str  # as written, "" where absent
    name: str
    path: str
    blob: BlobId
    index: int  # among the manifests of its file, from 0
    line: int
    column: int
    json: bytes
    text: bytes  # the whole file: positions are found again from it when a message needs them
    labels: dict[str, str]
    annotations: dict[str, str]
    document: int = 0  # of the file, from 0, empty ones counted
    root: Pointer = ()  # where in that document the object stands: ("items", 2) of a list

    def body(self) -> Json:
        """The object, a copy of the caller's own."""
        body: Json = msgspec.json.decode(self.json)
        return body

    def place(self, pointer: Pointer = ()) -> Place:
        """Where the value at `pointer` stands; where nothing stands there, its nearest ancestor that does.

        A value that begins on a line below its key (a mapping, a list) is found at its key.
        """
        return _place(self.path, locate(self.text, self.document, _form(self.path)), (*self.root, *pointer))

    def place_of_path(self, path: str) -> Place:
        """Where the field stands that an API server names: `spec.containers[0].image`, `.spec.ports[name="web"].port`."""
        return self.place(resolve(self.body(), path))


@dataclass(frozen=True, slots=True, eq=False)
class ManifestFile:
    """One file, read: its manifests, and its problems. `readable` is False where any error stands in it."""

    path: str
    blob: BlobId
    manifests: tuple[Manifest, ...]
    problems: tuple[Problem, ...]
    other_documents: int  # documents that are no manifests
    others: tuple[Place, ...] = ()  # where those begin

    @property
    def readable(self) -> bool:
        """Whether the file may be acted on."""
        return all(problem.severity != "error" for problem in self.problems)


def parse(text: bytes, path: str, blob: BlobId, checks: Checks = NO_CHECKS) -> ManifestFile:
    """Read one file. Pure, never raises; the same bytes give the same answer."""
    base = path.rpartition("/")[2]
    if base in _NOT_RENDERED:
        message = f"{_NOT_RENDERED[base]}, which is not rendered yet; leave it out with .reconcilerignore"
        return ManifestFile(path, blob, (), (Problem(Place(path, 1, 1), message),), 0)
    loaded = load(text, _form(path))
    reading = _Reading(text, path, blob, checks)
    reading.faults(loaded)
    if not any(fault.severity == "error" for fault in loaded.faults):
        for number, document in enumerate(loaded.documents):
            reading.document(number, document)
        reading.words(loaded)
    return reading.finish()


def _form(path: str) -> Form:
    return "json" if path.endswith(".json") else "yaml"


def _place(path: str, top: Node, pointer: Pointer, *, at_key: bool = False) -> Place:
    node, found = top.down(pointer)
    if node.key_line and ((at_key and found) or node.key_line != node.line):
        return Place(path, node.key_line, node.key_column)
    return Place(path, node.line, node.column)


class _Reading:
    """The file while it is read: what was found so far."""

    def __init__(self, text: bytes, path: str, blob: BlobId, checks: Checks) -> None:
        self.text = text
        self.path = path
        self.blob = blob
        self.checks = checks
        self.manifests: list[Manifest] = []
        self.problems: list[Problem] = []
        self.others: list[Place] = []
        self.typed: dict[int, None] = {}  # documents with an object whose types were checked
        self.nodes: dict[int, Node] = {}  # by document

    def faults(self, loaded: Loaded) -> None:
        # What was never meant to be read here is best told apart by its author.
        doubt = "a template" if b"{{" in self.text else "no manifest" if b"apiVersion" not in self.text else ""
        hint = f" ({doubt}? leave it out with .reconcilerignore)" if doubt else ""
        for line, column, message, severity in loaded.faults:
            text = message + hint if severity == "error" else message
            self.problems.append(Problem(Place(self.path, line, column), text, severity))

    def document(self, number: int, document: Document) -> None:
        value = document.value
        if value is None:
            return
        place = Place(self.path, document.line, document.column)
        if not isinstance(value, dict) or ("apiVersion" not in value and "kind" not in value):
            self.others.append(place)
            return
        self.object(value, number, (), place)

    def object(self, value: Json, document: int, root: Pointer, place: Place) -> None:
        """Take one object, or each of a list of them."""
        wrong = _kind(value)
        if wrong is not None:
            self.find([wrong], document, root)
            return
        if _is_list(value):
            for index, item in enumerate(value["items"]):
                self.item(value, item, document, (*root, "items", index))
            return
        findings = list(_metadata(value))
        named_well = not findings
        group, _, version = value["apiVersion"].rpartition("/")
        kind, metadata = value["kind"], value.get("metadata")
        if isinstance(metadata, dict):
            own = (group, version, kind) in self.checks.schemas
            value, left_out = _clean(value, metadata, keep_status=own)
            findings += left_out + self.checks.find(group, version, kind, value)
            if own or self.checks.knows(group, version, kind):
                self.typed[document] = None
            if named_well and self.checks.knows(group, version, kind):
                findings += _dns_name(group, kind, metadata["name"])
        self.find(findings, document, root)
        if named_well:
            self.add(value, document, root, place)

    def add(self, body: Json, document: int, root: Pointer, place: Place) -> None:
        """Keep one object, whose names are well."""
        group, _, version = body["apiVersion"].rpartition("/")
        metadata = body["metadata"]
        if root:
            place = _place(self.path, self.node(document), root)
        self.manifests.append(
            Manifest(
                group,
                version,
                body["kind"],
                metadata.get("namespace") or "",
                metadata["name"],
                self.path,
                self.blob,
                len(self.manifests),
                place.line,
                place.column,
                msgspec.json.encode(body),
                self.text,
                metadata.get("labels") or {},
                metadata.get("annotations") or {},
                document,
                root,
            )
        )

    def item(self, whole: Json, item: Any, document: int, root: Pointer) -> None:
        """Take one item of a list; items of a typed list (`ConfigMapList`) may leave out what the list says."""
        if not isinstance(item, dict):
            self.find([Finding((), f"{named(root)} is {noun(item)}, must be an object")], document, root)
            return
        if whole["kind"] != "List":
            item = {"apiVersion": whole["apiVersion"], "kind": whole["kind"].removesuffix("List"), **item}
        self.object(item, document, root, Place(self.path))

    def node(self, document: int) -> Node:
        if document not in self.nodes:
            self.nodes[document] = locate(self.text, document, _form(self.path))
        return self.nodes[document]

    def find(self, findings: list[Finding], document: int, root: Pointer) -> None:
        """Findings become problems: the first at each field, with its place."""
        told: dict[Pointer, None] = {}
        for finding in findings[:PROBLEMS]:
            if finding.pointer in told and finding.pointer:
                continue
            told[finding.pointer] = None
            pointer, message = (*root, *finding.pointer), finding.message
            node = self.node(document)
            if finding.wants_text:
                here, found = node.down(pointer)
                message += f'; write "{here.word}" for text' if found and here.word else "; put it in quotes for text"
            place = _place(self.path, node, pointer, at_key=finding.at_key)
            self.problems.append(Problem(place, message, finding.severity))

    def words(self, loaded: Loaded) -> None:
        """Warn of words like `on` that became booleans, but where the type was known: there they are right, or told."""
        if not loaded.words:
            return
        starts = [(document.line, document.column) for document in loaded.documents]
        for line, column, word, _ in loaded.words:
            document = max(number for number, start in enumerate(starts) if start <= (line, column))
            told = any((p.place.line, p.place.column) == (line, column) for p in self.problems)
            if document not in self.typed and not told:
                message = f'{word} is a boolean here; write "{word}" for text'
                self.problems.append(Problem(Place(self.path, line, column), message, "warning"))

    def finish(self) -> ManifestFile:
        """The file. Of many problems, errors go first and the rest is counted."""
        problems = sorted(self.problems, key=lambda p: (p.severity != "error", p.place))
        if len(problems) > PROBLEMS:
            cut = problems[PROBLEMS - 1 :]
            more = Problem(cut[0].place, f"{cut[0].message}; and {len(cut) - 1} more in this file", cut[0].severity)
            problems = [*problems[: PROBLEMS - 1], more]
        problems.sort(key=lambda p: p.place)
        return ManifestFile(self.path, self.blob, tuple(self.manifests), tuple(problems), len(self.others), tuple(self.others))


def _kind(value: Json) -> Finding | None:
    """Why an object has no kind; then nothing else of it is looked at."""
    for key, fits, must in (
        ("apiVersion", names.is_api_version, "a version such as v1 or apps/v1"),
        ("kind", names.is_kind, "a kind such as ConfigMap"),
    ):
        if key not in value:
            return Finding((), f"{key} is missing, so this is no manifest")
        if not isinstance(value[key], str):
            return Finding((key,), f"{key} is {noun(value[key])}, must be a string")
        if not fits(value[key]):
            return Finding((key,), f"{key} is {shown(value[key])}, must be {must}")
    return None


def _metadata(value: Json) -> Iterator[Finding]:
    """What keeps an object from being told apart, or from being ours."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        text = "metadata is missing" if metadata is None else f"metadata is {noun(metadata)}, must be a mapping"
        yield Finding(("metadata",), text)
        return
    yield from _names(metadata)
    for key in ("labels", "annotations"):
        yield from _texts(metadata.get(key), ("metadata", key))


def _dns_name(group: str, kind: str, name: str) -> list[Finding]:
    if names.is_name_of(group, kind, name):
        return []
    return [Finding(("metadata", "name"), f"metadata.name is {shown(name)}, {names.DNS_WORDS}")]


def _names(metadata: Json) -> Iterator[Finding]:
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if "generateName" in metadata:
        text = "metadata.generateName makes another object on each apply; give it a metadata.name"
        yield Finding(("metadata", "generateName"), text, at_key=True)
    elif name is None:
        yield Finding(("metadata",), "metadata.name is missing")
    elif not isinstance(name, str):
        yield Finding(("metadata", "name"), f"metadata.name is {noun(name)}, must be a string", wants_text=True)
    elif not names.is_safe(name):
        yield Finding(("metadata", "name"), f"metadata.name is {shown(name)}, which cannot be a name")
    if namespace is None or namespace == "":
        return
    if not isinstance(namespace, str):
        text = f"metadata.namespace is {noun(namespace)}, must be a string"
        yield Finding(("metadata", "namespace"), text, wants_text=True)
    elif not names.is_label(namespace):
        text = f"metadata.namespace is {shown(namespace)}, must be lower-case letters, digits and -, at most 63"
        yield Finding(("metadata", "namespace"), text)


def _texts(value: Any, pointer: Pointer) -> Iterator[Finding]:
    """Labels or annotations: text to text, and nothing that only we may write."""
    if value is None:
        return
    if not isinstance(value, dict):
        yield Finding(pointer, f"{named(pointer)} is {noun(value)}, must be a mapping")
        return
    reserved = RESERVED_LABELS if pointer[-1] == "labels" else RESERVED_ANNOTATIONS
    for key, text in value.items():
        here = (*pointer, key)
        if key in reserved:
            yield Finding(here, f"{named(here)} is set by the reconciler alone; take it out", at_key=True)
        elif not isinstance(text, str):
            is_scalar = not isinstance(text, dict | list)
            yield Finding(here, f"{named(here)} is {noun(text)}, must be a string", wants_text=is_scalar)


def _is_list(value: Json) -> bool:
    """Whether an object stands for its items: `v1 List`, or `ConfigMapList` and the like, which have no name."""
    if not isinstance(value.get("items"), list):
        return False
    if value["kind"] == "List":
        return True
    metadata = value.get("metadata")
    return value["kind"].endswith("List") and not (isinstance(metadata, dict) and "name" in metadata)


def _clean(value: Json, metadata: Json, *, keep_status: bool) -> tuple[Json, list[Finding]]:
    """Leave out what only a server may set. A kind of ours keeps its status: an approval is a condition in it."""
    set_by_server = [key for key in SERVER_FIELDS if key in metadata]
    findings = [
        Finding(("metadata", key), f"metadata.{key} is set by the server; left out", "warning", at_key=True)
        for key in set_by_server
        if metadata[key] is not None  # generators write `creationTimestamp: null`
    ]
    body = {key: item for key, item in value.items() if keep_status or key != "status"}
    body["metadata"] = {key: item for key, item in metadata.items() if key not in set_by_server}
    return body, findings
