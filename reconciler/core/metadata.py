"""What every object must have to be told apart: apiVersion, kind, and metadata that names it.

Law of the module: pure checks of decoded objects, total over any JSON. Which keys are ours alone, and which fields a server alone
sets, stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import names
from .problem import Finding, Pointer, noun, shown
from .problem import field as named

Json = dict[str, Any]

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


def wrong_kind(value: Json) -> Finding | None:
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


def wrong_metadata(value: Json) -> Iterator[Finding]:
    """What keeps an object from being told apart, or from being ours."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        text = "metadata is missing" if metadata is None else f"metadata is {noun(metadata)}, must be a mapping"
        yield Finding(("metadata",), text)
        return
    yield from _names(metadata)
    for key in ("labels", "annotations"):
        yield from _texts(metadata.get(key), ("metadata", key))


def wrong_name(group: str, kind: str, name: str) -> list[Finding]:
    """What is wrong with the name of an object of a built-in kind."""
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


def is_list(value: Json) -> bool:
    """Whether an object stands for its items: `v1 List`, or `ConfigMapList` and the like, which have no name."""
    if not isinstance(value.get("items"), list):
        return False
    if value["kind"] == "List":
        return True
    metadata = value.get("metadata")
    return value["kind"].endswith("List") and not (isinstance(metadata, dict) and "name" in metadata)


def clean(value: Json, metadata: Json, *, keep_status: bool) -> tuple[Json, list[Finding]]:
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
