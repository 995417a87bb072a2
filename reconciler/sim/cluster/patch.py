"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386), as the API server applies them.

Law of the module: a document and a patch in, a new document out, which may share parts with both; nothing is changed in
place. Where the server's library (evanphx/json-patch v4) is laxer than the RFC, so is this: `replace` of an absent
member adds it, `test` of an absent member against null holds, negative positions count from the end.
"""

from __future__ import annotations

import json
from typing import Any

from . import errors
from .typed import equal

Json = dict[str, Any]

OPERATIONS_LIMIT = 10_000
_MISSING, _INDEX, _TEST = "missing value", "invalid index referenced", "test failed"


class _Refused(Exception):
    """An operation does not apply; the text is the server's."""


def merge_patch(document: Any, patch: Any) -> Any:
    """`patch` laid over `document`: null removes a member, a mapping merges, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


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
    except _Refused as refused:
        text = f"the server rejected our request due to an error in our request ({refused})"
        raise errors.ApiError(422, "Invalid", text, {}) from None
    return document


def _apply(document: Any, operation: Json) -> Any:
    name, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise _Refused(f"{name} operation failed to decode path: {_MISSING}")
    value = operation.get("value")
    if name == "add":
        return _add(document, path, value, f'add operation does not apply: doc is missing path: "{path}"', "add")
    if name == "remove":
        return _remove(document, path, f'remove operation does not apply: doc is missing path: "{path}"', path, "remove")
    if name == "replace":
        return _replace(document, path, value)
    if name == "test":
        _test(document, path, value)
        return document
    if name in ("move", "copy"):
        return _move_or_copy(document, name, path, operation.get("from"))
    raise _Refused(f"Unexpected kind: {name if isinstance(name, str) else 'unknown'}")


def _move_or_copy(document: Any, name: str, path: str, source: Any) -> Any:
    if not isinstance(source, str):
        raise _Refused(f"{name} operation failed to decode from: operation, missing from field: {_MISSING}")
    lost = f"{name} operation does not apply: doc is missing from path: {source}"
    holder, key = _find(document, source, lost)
    value = _get(holder, key, f"error in {name} for path: '{key}'")
    if name == "move":
        document = _remove(document, source, lost, key, "move")
    return _add(document, path, value, f"{name} operation does not apply: doc is missing destination path: {path}", name)


def _find(document: Any, path: str, lost: str) -> tuple[Any, str]:
    """What holds the end of a path, and its key there."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")]
    if len(steps) < 2:
        raise _Refused(f"{lost}: {_MISSING}")
    for step in steps[1:-1]:
        try:
            document = _get(document, step, "")
        except _Refused:
            document = None
        if not isinstance(document, dict | list):
            raise _Refused(f"{lost}: {_MISSING}")
    return document, steps[-1]


def _change(document: Any, path: str, new: Any) -> Any:
    """The document with the holder at the end of a path replaced; only what lies on the way is copied."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")][1:-1]
    return _put(document, steps, new)


def _put(document: Any, steps: list[str], new: Any) -> Any:
    if not steps:
        return new
    if isinstance(document, dict):
        return {**document, steps[0]: _put(document[steps[0]], steps[1:], new)}
    index = int(steps[0]) % len(document)
    return [*document[:index], _put(document[index], steps[1:], new), *document[index + 1 :]]


def _index(key: str, length: int, prefix: str) -> int:
    """A position in a list; negative ones count from the end."""
    try:
        index = int(key)
    except ValueError:
        raise _Refused(f'{prefix}: strconv.Atoi: parsing {json.dumps(key)}: invalid syntax') from None
    if not -length <= index < length:
        raise _Refused(f"{prefix}: Unable to access invalid index: {index}: {_INDEX}")
    return index % length


def _get(holder: Any, key: str, prefix: str) -> Any:
    if isinstance(holder, dict):
        return holder.get(key)
    return holder[_index(key, len(holder), prefix)]


def _add(document: Any, path: str, value: Any, lost: str, name: str) -> Any:
    holder, key = _find(document, path, lost)
    if isinstance(holder, dict):
        return _change(document, path, {**holder, key: value})
    if key == "-":
        return _change(document, path, [*holder, value])
    prefix = f"error in {name} for path: '{path}'"
    try:
        int(key)
    except ValueError:
        text = f"{prefix}: value was not a proper array index: '{key}': strconv.Atoi: parsing {json.dumps(key)}: invalid syntax"
        raise _Refused(text) from None
    index = _index(key, len(holder) + 1, prefix)
    return _change(document, path, [*holder[:index], value, *holder[index:]])


def _remove(document: Any, path: str, lost: str, shown: str, name: str) -> Any:
    holder, key = _find(document, path, lost)
    prefix = f"error in {name} for path: '{shown}'"
    if isinstance(holder, dict):
        if key not in holder:
            raise _Refused(f"{prefix}: Unable to remove nonexistent key: {key}: {_MISSING}")
        return _change(document, path, {name: each for name, each in holder.items() if name != key})
    index = _index(key, len(holder), prefix)
    return _change(document, path, [*holder[:index], *holder[index + 1 :]])


def _replace(document: Any, path: str, value: Any) -> Any:
    if not path:
        if not isinstance(value, dict | list):
            raise _Refused("replace operation value must be object or array: %!w(<nil>)")
        return value
    holder, key = _find(document, path, f"replace operation does not apply: doc is missing path: {path}")
    if isinstance(holder, dict):
        return _change(document, path, {**holder, key: value})
    try:
        index = _index(key, len(holder), "")
    except _Refused:
        raise _Refused(f"replace operation does not apply: doc is missing key: {path}: {_MISSING}") from None
    return _change(document, path, [*holder[:index], value, *holder[index + 1 :]])


def _test(document: Any, path: str, value: Any) -> None:
    if path:
        holder, key = _find(document, path, f"test operation does not apply: is missing path: {path}")
        document = _get(holder, key, f"error in test for path: '{path}'")
    if not equal(document, value):
        raise _Refused(f"testing value {path} failed: {_TEST}")
