"""In which form an answer goes out: whole objects, metadata alone, a table; JSON or YAML.

Law of the module: the Accept header is read once into a `Form`; `Views` turns entries into bytes of that form. Nothing else knows
forms. Sources: apiserver endpoints/handlers (negotiate, response), kube-apiserver 1.36's answers.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import yaml

from . import tables, versions
from .errors import ApiError, bad_request
from .resources import Resource
from .store import Entry, Json, decode, encode, listing

META = "meta.k8s.io/v1"
_KINDS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


class Form(NamedTuple):
    """What a client takes: `kind` is "" for whole objects."""

    kind: Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"] = ""
    yaml: bool = False
    include: str = "Metadata"  # of a table's rows: Metadata, Object, None

    @property
    def content_type(self) -> str:
        """The answer's content type."""
        return "application/yaml" if self.yaml else "application/json"


@functools.lru_cache(maxsize=256)
def form_of(accept: str, include: str = "", *, watch: bool = False) -> Form:
    """Read an Accept header: the first form that is served. Raises `ApiError` 406, or 400 for what a table is asked to include."""
    known = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    unknown_form = False
    for offer in accept.split(",") if accept.strip() else ["application/json"]:
        media, _, rest = offer.strip().partition(";")
        parameters = dict(part.strip().partition("=")[::2] for part in rest.split(";") if part)
        wanted = parameters.get("as", "")
        if wanted and (wanted not in _KINDS or parameters.get("g") != "meta.k8s.io" or parameters.get("v") != "v1"):
            unknown_form = True
            continue
        if wanted == "Table" and include not in ("", "Metadata", "Object", "None"):
            text = f'includeObject: Invalid value: "{include}": must be \'Metadata\', \'Object\', \'None\', or empty'
            raise bad_request(f"Unable to convert to Table as requested: {text}")
        if media in ("application/json", "application/yaml", "*/*", "application/*"):
            return Form(wanted, media == "application/yaml", include or "Metadata")  # type: ignore[arg-type]
    if unknown_form:
        raise ApiError(406, "NotAcceptable", f"only the following media types are accepted: {known}")
    if watch:
        known += ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
    text = f"406: Not Acceptable\n\nAvailable representations: {known}"
    raise ApiError(406, "NotAcceptable", text, {})


def wrong_form(form: Form, resource: Resource, is_list: bool) -> ApiError:
    """The refusal of a list form for an object, and the other way."""
    what = f"*{resource.group.split('.')[0] or 'core'}.{resource.list_name if is_list else resource.kind}"
    shape = "is a list" if is_list else "is not a list"
    return ApiError(406, "NotAcceptable", f"you requested {form.kind}, but the requested object {shape} ({what})")


def one(form: Form, resource: Resource, entry: Entry, now: float) -> bytes:
    """One object."""
    match form.kind:
        case "":
            body = versions.shown(resource, entry).typed(resource.api_version, resource.kind)
        case "PartialObjectMetadata":
            body = encode(_partial(entry))
        case "Table":
            meta = {"resourceVersion": entry.obj["metadata"].get("resourceVersion", "")}
            body = encode(tables.table(resource, [entry], meta, form.include, now))
        case _:
            raise wrong_form(form, resource, is_list=False)
    return to_yaml(body) if form.yaml else body


def many(form: Form, resource: Resource, entries: Sequence[Entry], meta: Json, now: float) -> bytes:
    """A list of objects."""
    match form.kind:
        case "":
            # Items of built-in kinds carry no type, those of custom ones do.
            custom = resource.custom
            items = (e.typed(resource.api_version, resource.kind) if custom else versions.shown(resource, e).rest for e in entries)
            # Whole lists of custom kinds always say `continue`.
            head = {"continue": "", **meta} if resource.custom else meta
            body = listing(resource.list_name, resource.api_version, head, items)
        case "PartialObjectMetadataList":
            body = listing("PartialObjectMetadataList", META, meta, (encode(_partial(entry)) for entry in entries))
        case "Table":
            body = encode(tables.table(resource, entries, meta, form.include, now))
        case _:
            raise wrong_form(form, resource, is_list=True)
    return to_yaml(body) if form.yaml else body


def event(form: Form, resource: Resource, kind: str, entry: Entry, now: float, first: bool) -> bytes:
    """One line of a watch; `first` of its lines, as only the first table of a watch names its columns."""
    if form.kind == "Table":
        meta = {"resourceVersion": entry.obj["metadata"]["resourceVersion"]}
        table = tables.table(resource, [entry], meta, form.include, now)
        if not first:
            table["columnDefinitions"] = None
        body = encode(table)
    elif form.kind:
        body = encode(_partial(entry))
    else:
        body = versions.shown(resource, entry).typed(resource.api_version, resource.kind)
    return line(kind, body)


def bookmark(form: Form, resource: Resource, version: int, initial_end: bool, first: bool) -> bytes:
    """A BOOKMARK line."""
    meta: Json = {"resourceVersion": str(version)}
    if initial_end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    if form.kind == "Table":
        columns = tables.definitions(resource) if first else None
        row = {"cells": tables.empty_cells(resource), "object": {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": meta}}
        body: Json = {"kind": "Table", "apiVersion": META, "metadata": meta, "columnDefinitions": columns, "rows": [row]}
    elif form.kind:
        body = {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": meta}
    else:
        body = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
    return line("BOOKMARK", encode(body))


def failure(error: ApiError) -> bytes:
    """An ERROR line."""
    return line("ERROR", encode(error.status()))


def line(kind: str, body: bytes) -> bytes:
    """One event of a watch."""
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"


def _partial(entry: Entry) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": entry.obj["metadata"]}


def to_yaml(body: bytes) -> bytes:
    """The same document as YAML."""
    return yaml.dump(decode(body), Dumper=yaml.CSafeDumper, sort_keys=True, default_flow_style=False, width=2**30).encode()
