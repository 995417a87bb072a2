"""Tables: what `kubectl get` prints.

Law of the module: a table is columns and, per object, cells in their order; which, `columns` says per kind. Definitions name their own
(additionalPrinterColumns). Descriptions of columns are left empty: no client shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import cells, columns, versions
from .cells import Column
from .resources import Resource
from .store import Entry, Json

META = "meta.k8s.io/v1"
_AGE = [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]


def definitions(resource: Resource) -> list[Json]:
    """The columns of a kind."""
    return [{"name": c.name, "type": c.type, "format": c.format, "description": "", "priority": c.priority} for c in _of(resource)]


def empty_cells(resource: Resource) -> list[None]:
    """The cells of a row that stands for no object."""
    return [None] * len(_of(resource))


def table(resource: Resource, entries: Sequence[Entry], meta: Json, include: str, now: float) -> Json:
    """A table of objects; `include` says what of each object goes along: Metadata, Object or None."""
    chosen = _of(resource)
    rows = []
    for entry in entries:
        obj = versions.stored(resource, entry.obj)  # columns are the same in all versions
        row: Json = {"cells": [column.cell(obj, now) for column in chosen], "object": None}
        if include == "Metadata":
            row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": entry.obj["metadata"]}
        elif include == "Object":
            row["object"] = {**versions.shown(resource, entry).obj, "kind": resource.kind, "apiVersion": resource.api_version}
        rows.append(row)
    body: Json = {"kind": "Table", "apiVersion": META, "metadata": meta, "columnDefinitions": definitions(resource)}
    return body | {"rows": rows}


def _of(resource: Resource) -> tuple[Column, ...]:
    if resource.definition is None:
        return columns.BY_KIND.get((resource.group, resource.kind), cells.OTHERS)
    version: Json = next((v for v in resource.definition["versions"] if v["name"] == resource.version), {})
    said = version.get("additionalPrinterColumns") or _AGE
    return (cells.NAME, *(_printed(column) for column in said))


def _printed(said: Json) -> Column:
    path, kind = _steps(said["jsonPath"]), said["type"]

    def cell(obj: Json, now: float) -> Any:
        found = _find(obj, path)
        if not found:
            return None
        value = found[0]
        if kind == "date":
            return cells.age(value, now) if isinstance(value, str) else "<unknown>"
        if kind == "string":
            return value if isinstance(value, str) else cells.text(value)
        return value

    return Column(said["name"], cell, kind, said.get("priority", 0), said.get("format", ""))


Step = Callable[[Any], list[Any]]


def _steps(path: str) -> list[Step]:
    """A JSON path of the simple kind: names, indexes, `[*]` and equality filters."""
    made: list[Step] = []
    rest = path.strip().removeprefix("$")
    while rest:
        if rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            made.append(_bracket(inside))
            continue
        rest = rest.removeprefix(".")
        end = 0
        while end < len(rest) and (rest[end] not in ".[" or (end and rest[end - 1] == "\\")):
            end += 1
        made.append(_member(rest[:end].replace("\\", "")))
        rest = rest[end:]
    return made


def _member(name: str) -> Step:
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _bracket(inside: str) -> Step:
    if inside == "*":
        return lambda value: list(value) if isinstance(value, list) else []
    if inside.lstrip("-").isdigit():
        at = int(inside)
        return lambda value: [value[at]] if isinstance(value, list) and -len(value) <= at < len(value) else []
    if inside.startswith("?(@."):
        name, _, wanted = inside[4:].rstrip(")").partition("==")
        keys, text = name.strip().split("."), wanted.strip().strip("'\"")

        def matching(value: Any) -> list[Any]:
            return [v for v in value if _text_at(v, keys) == text] if isinstance(value, list) else []

        return matching
    return _member(inside.strip("'\""))


def _text_at(value: Any, keys: list[str]) -> str:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return str(value)


def _find(value: Any, steps: list[Step]) -> list[Any]:
    found = [value]
    for step in steps:
        found = [inner for outer in found for inner in step(outer)]
    return found
