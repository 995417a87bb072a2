"""Tables: what `kubectl get` prints, per kind.

Stand-in: name and age."""

from __future__ import annotations

from collections.abc import Sequence

from .resources import Resource
from .store import Entry, Json


def definitions(resource: Resource) -> list[Json]:
    return [{"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}]


def empty_cells(resource: Resource) -> list:
    return [""]


def table(resource: Resource, entries: Sequence[Entry], meta: Json, include: str, now: float) -> Json:
    rows = [{"cells": [e.key[1]], "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": e.obj["metadata"]}} for e in entries]
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": definitions(resource), "rows": rows}
