"""What the API server makes of a body: the object as it is stored, and what it could not place.

Law of the module: a built-in kind is stored as its Go type holds it: undeclared fields are gone, null counts as absent, so
does a zero value unless the type keeps it, and some fields are there even where nobody said them. A custom kind is stored
as written, less what its schema does not know. Nothing is changed in place; the results share no part with what was given.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from reconciler.lib import quantity

from .golang import base64_fault, time_fault
from .schema import Type
from .store import copy

Json = dict[str, Any]

_SECOND = r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
_PLAIN_TIMES = (re.compile(_SECOND + "Z"), re.compile(_SECOND + r"\.[0-9]{6}Z"))
ZERO = {"string": "", "integer": 0, "number": 0, "boolean": False, "quantity": "0", "int-or-string": 0}


class DecodeError(ValueError):
    """A value does not fit its field, whose type is `of`; `path` is its place, the text the server's reason.

    Where the value is of another form (`misfit`) the server words it by the way that it came in, so the text is empty.
    """

    def __init__(self, path: str, of: Type, value: Any, reason: str = "") -> None:
        super().__init__(reason)
        self.path = path
        self.of = of
        self.value = value
        self.misfit = not reason


def empty(of: Type, api_version: str, kind: str) -> Json:
    """The object of a kind of which nothing has been said."""
    made: Json = stored(of, {})
    return made | {"apiVersion": api_version, "kind": kind}


def stored_object(of: Type, document: Json) -> Json:
    """An object of any kind as it is stored, without defaults.

    Raises:
        DecodeError: a part has another form than its type.
    """
    if not of.rules:
        made: Json = stored(of, document)
        return made
    kept: Json = pruned(of, document)
    metadata = (of.fields or {})["metadata"]
    kept["metadata"] = stored(metadata, document.get("metadata") or {}, "metadata")
    return kept


def stored(of: Type, value: Any, path: str = "") -> Any:
    """A value of a built-in type as it is stored, without defaults.

    Raises:
        DecodeError: a part has another form than its type.
    """
    if of.fields is not None:
        if of.scalar:
            return copy(value)  # free-form
        if not isinstance(value, dict):
            raise DecodeError(path, of, value)
        if of.fields or not of.values:
            return _struct(of, value, path)
        inner = of.values
        return {key: stored(inner, _zero(inner) if each is None else each, f"{path}.{key}") for key, each in value.items()}
    if of.items is not None:
        if not isinstance(value, list):
            raise DecodeError(path, of, value)
        item = of.items
        return [stored(item, _zero(item) if each is None else each, f"{path}[{n}]") for n, each in enumerate(value)]
    return _scalar(of, value, path)


def _struct(of: Type, value: Json, path: str) -> Json:
    made: Json = {}
    for name, inner in (of.fields or {}).items():
        said = value.get(name)
        if said is None:
            if inner.always:
                made[name] = _zero(inner)
            continue
        if inner.scalar == "string" and isinstance(said, str):
            each: Any = said
        else:
            each = stored(inner, said, f"{path}.{name}" if path else name)
        if each or inner.kept or not _is_zero(inner, each):
            made[name] = each
        elif inner.always:
            made[name] = _zero(inner)
    return made


def _zero(of: Type) -> Any:
    """What stands where a field is stored that nobody set."""
    if of.is_map and of.fields:
        return _struct(of, {}, "")
    return ZERO.get(of.scalar) if not of.is_map else None


def _is_zero(of: Type, value: Any) -> bool:
    """Whether Go would leave a stored value out: an empty text, list or map, 0, false; not an empty type, nor any JSON."""
    if of.scalar == "any":
        return value is None
    if isinstance(value, dict):
        return not value and not of.fields
    return value in ("", [], None) or (of.scalar in ("integer", "number", "boolean") and not value)


def _scalar(of: Type, value: Any, path: str) -> Any:
    if not _FITS[of.scalar](value):
        raise DecodeError(path, of, value)
    if of.scalar in ("string", "boolean"):
        return value
    try:
        if of.scalar == "quantity":
            return quantity.canonical(value)
        if of.scalar == "time":
            return _time(value, of.micro)
        if of.scalar == "bytes":
            if (fault := base64_fault(value)) is not None:
                raise DecodeError(path, of, value, f"illegal base64 data at input byte {fault}")
            return base64.b64encode(base64.b64decode(value)).decode()
    except DecodeError:
        raise
    except ValueError as error:
        raise DecodeError(path, of, value, str(error)) from None
    if of.scalar in ("integer", "int-or-string") and isinstance(value, float):
        return int(value)
    return copy(value)


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FITS: dict[str, Callable[[Any], bool]] = {
    "": lambda _: True,
    "any": lambda _: True,
    "string": _is_text,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_whole,
    "number": _is_number,
    "int-or-string": lambda value: _is_text(value) or _is_whole(value),
    "bytes": _is_text,
    "time": _is_text,
    "quantity": lambda value: _is_text(value) or _is_number(value),
}


def _time(text: str, micro: bool) -> str:
    """RFC 3339 in UTC: whole seconds, or microseconds. Raises ValueError in Go's words."""
    if is_plain_time(text, micro):
        return text
    if words := time_fault(text, micro):
        raise ValueError(words)
    at = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def is_plain_time(text: str, micro: bool) -> bool:
    """Whether a text is a time, written as it is stored."""
    if not _PLAIN_TIMES[micro].fullmatch(text):
        return False
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False  # no such day or hour: Go has its own words for it
    return True


def unknown_fields(of: Type, value: Any) -> list[str]:
    """The paths of fields that the type does not know, as strict decoding names them: of custom kinds sorted."""
    found: list[str] = []
    _find_unknown(of, value, "", found)
    return sorted(found) if of.rules else found


def _find_unknown(of: Type, value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, dict) and of.fields is not None:
        for name, each in value.items():
            inner = of.fields.get(name) or of.values
            if inner is None:
                found.append(f"{path}.{name}" if path else name)
            elif isinstance(each, dict | list):
                _find_unknown(inner, each, f"{path}.{name}" if path else name, found)
    elif isinstance(value, list) and of.items is not None:
        for index, each in enumerate(value):
            _find_unknown(of.items, each, f"{path}[{index}]", found)


def pruned(of: Type, value: Any) -> Any:
    """A value of a custom kind without the fields that its schema does not know."""
    if isinstance(value, dict) and of.is_map:
        kept: Json = {}
        for name, each in value.items():
            inner = (of.fields or {}).get(name) or of.values
            if inner is not None:
                kept[name] = pruned(inner, each)
        return kept
    if isinstance(value, list) and of.items is not None:
        item = of.items
        return [pruned(item, each) for each in value]
    return value
