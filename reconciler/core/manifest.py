"""One file of a source: its manifests, and what is wrong with it, each with path, line and column.

Law of the module: `parse` is pure and total. Whatever the bytes are, it answers; nothing is guessed, and what cannot be trusted
is told (design §6, law 7). Objects are carried as JSON, untouched but for what only a server may set: positions are not kept, but
found again from the text when a message needs one, so that a hundred thousand manifests stay small.

What is a manifest: a document with `apiVersion` and `kind`. One with neither is another document, one with only one of them a
problem. Lists are taken apart. Names become file names and parts of URLs, so what could not be a name ends here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .events import Form
from .field_path import resolve
from .identity import BlobId, Place
from .metadata import clean, is_list, wrong_kind, wrong_metadata, wrong_name
from .places import Node, documents, locate
from .problem import Finding, Pointer, Problem, did_you_mean, listed, noun
from .problem import field as named
from .schema import Schema
from .types import Types
from .yaml import Document, Loaded, load

__all__ = ["NO_CHECKS", "Checks", "Manifest", "ManifestFile", "Problem", "parse"]

PROBLEMS = 20  # of one file, told
PROBLEMS_SOUGHT = 200  # of one file

OWN_GROUP = "reconciler.dev"

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
        """From JSON Schemas as read from their files."""
        return cls({key: Schema(json) for key, json in schemas.items()}, types)

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


class Manifest(msgspec.Struct, frozen=True, eq=False, gc=False, array_like=True):
    """One object as a file says it. Compared by identity; `json` holds the object, `body()` decodes a fresh copy.

    A hundred thousand of them live long and hold nothing that could lead back to them, so the garbage collector need not look.
    """

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

        A value that begins on a line below its key (a mapping, a list) is found at its key. Where the object itself begins is known
        without looking into the text.
        """
        if not pointer:
            return Place(self.path, self.line, self.column)
        return _place(self.path, locate(self.text, self.document, _form(self.path)), (*self.root, *pointer))

    def place_of_path(self, path: str) -> Place:
        """Where the field stands that an API server names: `spec.containers[0].image`, `.spec.ports[name="web"].port`."""
        return self.place(resolve(self.body(), path))


class ManifestFile(msgspec.Struct, frozen=True, eq=False, gc=False, array_like=True):
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
        return not self.problems or all(problem.severity != "error" for problem in self.problems)


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
    node, _ = top.down(pointer)
    if node.key_line and (at_key or node.key_line != node.line):
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
        self.places: Iterator[tuple[int, Node]] = enumerate(documents(text, _form(path)))
        self.here: tuple[int, Node] = (-1, Node(1, 1))
        self.is_full = False

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
        if self.is_full:
            return
        if len(self.problems) > PROBLEMS_SOUGHT:
            self.is_full = True
            text = f"more than {PROBLEMS_SOUGHT} problems, what follows is not checked"
            self.find([Finding((), text)], document, root)
            return
        wrong = wrong_kind(value)
        if wrong is not None:
            self.find([wrong], document, root)
            return
        if is_list(value):
            for index, item in enumerate(value["items"]):
                self.item(value, item, document, (*root, "items", index))
            return
        findings = list(wrong_metadata(value))
        named_well = not findings
        group, _, version = value["apiVersion"].rpartition("/")
        kind, metadata = value["kind"], value.get("metadata")
        if isinstance(metadata, dict):
            own = (group, version, kind) in self.checks.schemas
            value, left_out = clean(value, metadata, keep_status=own)
            findings += left_out + self.checks.find(group, version, kind, value)
            if own or self.checks.knows(group, version, kind):
                self.typed[document] = None
            if named_well and self.checks.knows(group, version, kind):
                findings += wrong_name(group, kind, metadata["name"])
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
        """The places of a document. They are read once, forward: a file of many faulty documents is not read for each."""
        while self.here[0] < document:
            self.here = next(self.places, (document, Node(1, 1)))
        return self.here[1]

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
        told = {(problem.place.line, problem.place.column): None for problem in self.problems}
        for line, column, word, _ in loaded.words:
            document = bisect_right(starts, (line, column)) - 1
            if document not in self.typed and (line, column) not in told:
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
