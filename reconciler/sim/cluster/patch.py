"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386), as the API server applies them.

Law of the module: a document and a patch in, a new document out, which may share parts with both; nothing is changed in
place. Where the server's library (evanphx/json-patch v4) is laxer than the RFC, so is this: `replace` of an absent
member adds it, `test` of an absent member against null holds, negative positions count from the end. What is new to
the document loses its nulls, inside lists too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import errors
from .typed import equal

Json = dict[str, Any]
Edit = Callable[[Any, str], Any]  # of what holds the end of a path, and the key there: what takes its place

OPERATIONS_LIMIT = 10_000


class _Refused(Exception):
    """An operation does not apply. The server does not say which one, so neither do we."""


def merge_patch(document: Any, patch: Any) -> Any:
    """`patch` laid over `document`: null removes a member, a mapping merges, all else replaces."""
    if not isinstance(document, dict):
        return _without_nulls(patch)
    if not isinstance(patch, dict):
        return patch
    merged = dict(document)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _without_nulls(value: Any) -> Any:
    """A value without members that are null, in lists too (there the server goes beyond the RFC); null items stay."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def json_patch(document: Any, operations: Any) -> Any:
    """`document` after the operations, in order.

    Raises:
        ApiError: the patch is none (400), is too long (413), or an operation does not apply (422).
    """
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        kind = "object" if isinstance(operations, dict) else "string"
        text = f"json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        raise errors.bad_request(f"error decoding patch: {text}")
    if len(operations) > OPERATIONS_LIMIT:
        text = f"The allowed maximum operations in a JSON patch is {OPERATIONS_LIMIT}, got {len(operations)}"
        raise errors.ApiError(413, "RequestEntityTooLarge", f"Request entity is too large: {text}")
    try:
        for operation in operations:
            document = _apply(document, operation)
    except _Refused:
        text = "the server rejected our request due to an error in our request"
        raise errors.ApiError(422, "Invalid", text, {}) from None
    return document


def _apply(document: Any, operation: Json) -> Any:
    name, path, value = operation.get("op"), operation.get("path"), operation.get("value")
    if name == "add":
        return _at(document, path, _add(value))
    if name == "remove":
        return _at(document, path, _remove)
    if name == "replace":
        return value if path == "" and isinstance(value, dict | list) else _at(document, path, _replace(value))
    if name == "test":
        if not equal(document if path == "" else _read(document, path), value):
            raise _Refused
        return document
    if name in ("move", "copy"):
        source = operation.get("from")
        value = _read(document, source)
        return _at(_at(document, source, _remove) if name == "move" else document, path, _add(value))
    raise _Refused


def _at(document: Any, path: Any, edit: Edit) -> Any:
    """The document with what holds the end of a path edited; only what lies on the way is copied."""
    return _descend(document, _steps(path), edit)


def _steps(path: Any) -> list[str]:
    if not isinstance(path, str) or "/" not in path:
        raise _Refused
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def _descend(holder: Any, steps: list[str], edit: Edit) -> Any:
    if not isinstance(holder, dict | list):
        raise _Refused
    step, *rest = steps
    if not rest:
        return edit(holder, step)
    new = _descend(_get(holder, step), rest, edit)
    if isinstance(holder, dict):
        return {**holder, step: new}
    index = _index(step, len(holder))
    return [*holder[:index], new, *holder[index + 1 :]]


def _read(document: Any, path: Any) -> Any:
    for step in _steps(path):
        if not isinstance(document, dict | list):
            raise _Refused
        document = _get(document, step)
    return document


def _get(holder: Any, step: str) -> Any:
    return holder.get(step) if isinstance(holder, dict) else holder[_index(step, len(holder))]


def _index(step: str, length: int) -> int:
    """A position in a list; negative ones count from the end."""
    try:
        index = int(step)
    except ValueError:
        raise _Refused from None
    if not -length <= index < length:
        raise _Refused
    return index % length


def _add(value: Any) -> Edit:
    def edit(holder: Any, key: str) -> Any:
        if isinstance(holder, dict):
            return {**holder, key: value}
        index = len(holder) if key == "-" else _index(key, len(holder) + 1)
        return [*holder[:index], value, *holder[index:]]

    return edit


def _remove(holder: Any, key: str) -> Any:
    if isinstance(holder, dict):
        if key not in holder:
            raise _Refused
        return {name: each for name, each in holder.items() if name != key}
    index = _index(key, len(holder))
    return [*holder[:index], *holder[index + 1 :]]


def _replace(value: Any) -> Edit:
    def edit(holder: Any, key: str) -> Any:
        if isinstance(holder, dict):
            return {**holder, key: value}
        index = _index(key, len(holder))
        return [*holder[:index], value, *holder[index + 1 :]]

    return edit
