"""What is wrong with an object of a custom kind, by the schema of its definition, in the server's words.

Law of the module: pure; what cannot be judged here (validation rules in CEL, unknown formats, a pattern that is none)
counts as right. Source: k8s.io/kube-openapi `validation/validate` and apiextensions-apiserver `pkg/apiserver/validation`,
whose answers the cases record.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

from .errors import Cause, duplicate, invalid_value, quoted, required, unsupported
from .schema import Type

Json = dict[str, Any]

PATTERN_LIMIT = 10_000  # characters of a text that is matched against a pattern
_NOT_CHECKED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_BLOCKING = ("FieldValueRequired", "FieldValueTypeInvalid", "FieldValueTooLong", "FieldValueTooMany", "FieldValueNotSupported")


def causes(of: Type, obj: Json) -> list[Cause]:
    """Everything that is wrong with an object; `apiVersion`, `kind` and `metadata` are judged elsewhere."""
    found: list[Cause] = []
    for name in of.required:
        if obj.get(name) is None:
            found.append(required(name))
    for name, value in obj.items():
        inner = (of.fields or {}).get(name)
        if inner is not None and name not in ("apiVersion", "kind", "metadata"):
            found += _node(inner.rules, value, name)
    if any(cause.reason in _BLOCKING for cause in found) and _has_rules(of.rules):
        return [*found, Cause("FieldValueInvalid", _NOT_CHECKED, "<nil>")]
    return found or list(_repeats(of, obj, ""))


def _has_rules(node: Any) -> bool:
    """Whether a schema holds validation rules anywhere."""
    if isinstance(node, dict):
        return "x-kubernetes-validations" in node or any(map(_has_rules, node.values()))
    return isinstance(node, list) and any(map(_has_rules, node))


def _node(node: Json, value: Any, path: str) -> Iterator[Cause]:
    if value is None and node.get("nullable"):
        return
    kind, wanted = _kind(value), node.get("type", "")
    if node.get("x-kubernetes-int-or-string") and kind not in ("integer", "string"):
        wanted = "integer,string"
    elif not wanted or kind == wanted or (wanted == "number" and kind == "integer"):
        wanted = ""
    if wanted:
        text = f'Invalid value: "{kind}": {path} in body must be of type {wanted}: "{kind}"'
        yield Cause("FieldValueTypeInvalid", text, path)
        if wanted == "integer" and kind == "number":
            yield _whole(f"Checked value must be of type integer (default format) in {path}")
        yield from _enum(node, value, path)
        return
    yield from _combined(node, value, path)
    if isinstance(value, str):
        yield from _text(node, value, path)
    elif isinstance(value, dict):
        yield from _object(node, value, path)
    elif isinstance(value, list):
        yield from _list(node, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(node, value, path)
    yield from _enum(node, value, path)


def _enum(node: Json, value: Any, path: str) -> Iterator[Cause]:
    if "enum" in node and value not in node["enum"]:
        words = (each if isinstance(each, str) else quoted(each) for each in node["enum"])
        yield unsupported(path, value, words)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return {int: "integer", str: "string", dict: "object", list: "array"}.get(type(value), "null")


def _combined(node: Json, value: Any, path: str) -> Iterator[Cause]:
    """allOf, anyOf, oneOf, not."""
    for part in node.get("allOf", ()):
        yield from _node(part, value, path)
    tries = [list(_node(part, value, path)) for part in node.get("oneOf", ())]
    good = sum(not each for each in tries)
    if tries and good != 1:
        many = "none valid" if not good else f"{good} valid alternatives"
        yield _whole(f'"{path}" must validate one and only one schema (oneOf). Found {many}')
        yield from () if good else tries[0]
    tries = [list(_node(part, value, path)) for part in node.get("anyOf", ())]
    if tries and all(tries):
        yield _whole(f'"{path}" must validate at least one schema (anyOf)')
        yield from tries[0]
    if "not" in node and not list(_node(node["not"], value, path)):
        yield _whole(f'"{path}" must not validate the schema (not)')


def _whole(text: str) -> Cause:
    return Cause("FieldValueInvalid", f'Invalid value: "": {text}', "<nil>")


def _text(node: Json, value: str, path: str) -> Iterator[Cause]:
    """The first thing that is wrong with a text, and its format."""
    if len(value) > node.get("maxLength", len(value)):
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {node['maxLength']} bytes", path)
    elif len(value) < node.get("minLength", 0):
        yield invalid_value(path, value, f"{path} in body should be at least {node['minLength']} chars long")
    elif "pattern" in node and not _matches(node["pattern"], value):
        yield invalid_value(path, value, f"{path} in body should match '{node['pattern']}'")
    check = _FORMATS.get(node.get("format", ""))
    if check is not None and not _holds(check, value):
        text = f"Invalid value: {quoted(value)}: {path} in body must be of type {node['format']}: {quoted(value)}"
        yield Cause("FieldValueTypeInvalid", text, path)


def _matches(pattern: str, value: str) -> bool:
    if len(value) > PATTERN_LIMIT:
        return True
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True


def _holds(check: Callable[[str], Any], value: str) -> bool:
    try:
        check(value)
    except (ValueError, binascii.Error):
        return False
    return True


def _duration(text: str) -> None:
    if not re.fullmatch(r"[+-]?(?:0|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|ms|[smhdw]))+", text):
        raise ValueError(text)


_FORMATS: dict[str, Callable[[str], Any]] = {
    "byte": lambda text: base64.b64decode(text, validate=True),
    "cidr": lambda text: ipaddress.ip_network(text, strict=False),
    "date": dt.date.fromisoformat,
    "date-time": dt.datetime.fromisoformat,
    "duration": _duration,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
}


def _number(node: Json, value: int | float, path: str) -> Iterator[Cause]:
    if "multipleOf" in node and value % node["multipleOf"]:
        yield invalid_value(path, value, f"{path} in body should be a multiple of {node['multipleOf']}")
    low, high = node.get("minimum"), node.get("maximum")
    if high is not None and (value >= high if node.get("exclusiveMaximum") else value > high):
        word = "less than" if node.get("exclusiveMaximum") else "less than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {word} {high}")
    if low is not None and (value <= low if node.get("exclusiveMinimum") else value < low):
        word = "greater than" if node.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {word} {low}")
    if node.get("format") == "int32" and not -(2**31) <= value < 2**31:
        yield _whole(f"Checked value must be of type integer with format int32 in {path}")


def _list(node: Json, value: list[Any], path: str) -> Iterator[Cause]:
    for index, item in enumerate(value):
        yield from _node(node.get("items", {}), item, f"{path}[{index}]")
    if len(value) < node.get("minItems", 0):
        yield invalid_value(path, len(value), f"{path} in body should have at least {node['minItems']} items")
    yield from _too_many(value, node.get("maxItems"), path)


def _object(node: Json, value: Json, path: str) -> Iterator[Cause]:
    if len(value) < node.get("minProperties", 0):
        yield invalid_value(path, len(value), f"{path} in body should have at least {node['minProperties']} properties")
    yield from _too_many(value, node.get("maxProperties"), path)
    for name in node.get("required", ()):
        if value.get(name) is None:
            yield required(f"{path}.{name}")
    additional = node.get("additionalProperties")
    for name, each in sorted(value.items()):
        inner = node.get("properties", {}).get(name)
        if inner is None and isinstance(additional, dict):
            inner = additional
        if inner is not None and not (each is None and name in node.get("required", ())):
            yield from _node(inner, each, f"{path}.{name}")


def _too_many(value: Json | list[Any], limit: int | None, path: str) -> Iterator[Cause]:
    if limit is not None and len(value) > limit:
        yield Cause("FieldValueTooMany", f"Too many: {len(value)}: must have at most {limit} items", path)


def _repeats(of: Type, value: Any, path: str) -> Iterator[Cause]:
    """Items that a set or a keyed list holds twice."""
    if isinstance(value, dict) and of.is_map:
        for name, each in value.items():
            inner = (of.fields or {}).get(name) or of.values
            if inner is not None and name != "metadata":
                yield from _repeats(inner, each, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and of.items is not None:
        seen: list[Any] = []
        for index, each in enumerate(value):
            key = {name: each[name] for name in of.keys if name in each} if of.keys and isinstance(each, dict) else each
            if of.unique and key in seen:
                yield duplicate(f"{path}[{index}]", key)
            seen.append(key)
            yield from _repeats(of.items, each, f"{path}[{index}]")
