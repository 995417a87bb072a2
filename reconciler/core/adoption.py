"""Taking over an object that is not ours yet: whose fields become ours without asking, and whose do not.

Law of the module: pure; nothing of an object changes here but the book of who owns what (metadata.managedFields). What people wrote by
hand, what nobody is known to have written, and what we wrote before our marks were taken off is folded into our own entry, so that
the apply that follows takes those values without force, and removes what Git does not say (design §6, "Apply"; fluxcd/pkg `ssa` folds
the same managers). Entries of controllers and of other appliers stay: a conflict with one of them is a refusal that names it.

An entry names its fields as one API version has them, and an applier has one entry only. So entries of one version are folded, that of
the manifest if any is, and those of other versions go: their values can be taken, and what Git does not say of them stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from .change import Change
from .ownership import FIELD_MANAGER, OWNER
from .paths import HAND_TOOLS, Fields, Json, Owner, is_ours, read_entry

BEFORE_TRACKING: Final = "before-first-apply"
"""The manager that an API server makes up for what an object held before anybody was tracked (apimachinery, managedfields)."""

JSON_PATCH: Final = "application/json-patch+json"  # RFC 6902

_MARK: Final[Fields] = {"f:metadata": {"f:annotations": {f"f:{OWNER}": {}}}}
"""What we own beforehand of an object that nobody is known to own: without any entry the server would make one up for all of it."""


def patch(live: Json, version: str) -> list[Json]:
    """What comes before the first apply, as a JSON patch that holds for this version of this object alone.

    Where nothing is to be folded it only tests, and its answer is the object in full. `version` is the apiVersion of the manifest.
    """
    metadata = live["metadata"]
    tests = [{"op": "test", "path": f"/metadata/{name}", "value": metadata.get(name)} for name in ("uid", "resourceVersion")]
    book = _folded(metadata.get("managedFields"), version)
    return tests if book is None else [*tests, {"op": "add", "path": "/metadata/managedFields", "value": book}]


def _folded(book: object, version: str) -> list[Any] | None:
    """`managedFields` with one entry of ours for all that folds; None where it is so already."""
    items = book if isinstance(book, list) else []
    if not items:
        return [_ours(version, _MARK)]
    read = [(item, read_entry(item)) for item in items]
    folding = [found for _, found in read if found is not None and _folds(found.owner)]
    if all(is_ours(found.owner, FIELD_MANAGER) for found in folding):
        return None
    if all(found.version != version for found in folding):
        version = folding[-1].version  # applies first, then updates in order of time
    fields: Fields = {}
    for found in folding:
        if found.version == version:
            fields = union(fields, found.fields)
    left = [item for item, found in read if found is None or not _folds(found.owner)]
    return [*left, _ours(version, fields)]


def _ours(version: str, fields: Fields) -> Json:
    named = {"manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": version}
    return {**named, "fieldsType": "FieldsV1", "fieldsV1": fields}


def _folds(owner: Owner) -> bool:
    """Whether what it owns becomes ours. `kubectl scale` writes what manifests say; what else goes through subresources is status."""
    if owner.subresource not in ("", "scale"):
        return False
    return owner.manager.startswith(HAND_TOOLS) or owner.manager in (FIELD_MANAGER, BEFORE_TRACKING)


def union(left: Fields, right: Fields) -> Fields:
    """The fields that either of two entries (trees of fieldsV1) names. What is no tree names nothing below it."""
    return {
        name: _either(left[name], right[name]) if name in left and name in right else left.get(name, right.get(name))
        for name in {**left, **right}
    }


def _either(left: Any, right: Any) -> Fields:
    """One node of both. An empty node is the thing itself: beside parts of it that is written as "."."""
    left, right = (node if isinstance(node, dict) else {} for node in (left, right))
    if not left or not right:
        parts = left or right
        return {".": {}, **parts} if parts else {}
    return union(left, right)


def refused(changes: Iterable[Change]) -> Change | None:
    """The first change that an apply without force would not make, since somebody owns the field."""
    return next((change for change in changes if change.kind == "set" and change.owner is not None), None)
