"""Values as Go's libraries print and refuse them in the server's messages.

Law of the module: what a value is shown as depends on nothing but the value; maps are shown by sorted key.
"""

from __future__ import annotations

import calendar
import re
from typing import Any


def go_value(value: Any) -> str:
    """A value as the server's `%v` prints it in these messages."""
    return f"&{{{plain(value)}}}"


def plain(value: Any) -> str:
    """A value as `%v` prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{plain(value[name])}" for name in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(plain, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def go_syntax(value: Any) -> str:
    """A value as the server's `%#v` prints it."""
    if isinstance(value, dict):
        return "map[string]interface {}{" + ", ".join(f'"{name}":{go_syntax(value[name])}' for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(go_syntax, value)) + "}"
    return f'"{value}"' if isinstance(value, str) else plain(value)


def go_type(value: Any) -> str:
    """The name of a value's type in Go."""
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    return {bool: "bool", int: "int64", float: "float64", str: "string"}.get(type(value), "<nil>")


_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def base64_fault(text: str) -> int | None:
    """Where Go finds that a text is not base64 (its byte), None where it is."""
    at = 0
    while at < len(text):
        found = 0  # characters of the group of four
        while found < 4:
            if at == len(text):
                return None if found == 0 else at - found
            character = text[at]
            at += 1
            if character in _BASE64:
                found += 1
            elif character == "=":
                return _padding_fault(text, at, found)
            elif character not in "\r\n":
                return at - 1
    return None


def _padding_fault(text: str, at: int, found: int) -> int | None:
    """The same from the first "=" (which ends before `at`) on."""
    if found < 2:
        return at - 1
    while found == 2 and at < len(text) and text[at] in "\r\n":
        at += 1
    if found == 2:
        if at == len(text):
            return at
        if text[at] != "=":
            return at - 1
        at += 1
    while at < len(text) and text[at] in "\r\n":
        at += 1
    return at if at < len(text) else None


_TIME_PARTS = tuple(
    (part, pattern or re.escape(part))
    for part, pattern in zip(("2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"), (r"\d{4}", *("", r"\d\d") * 5), strict=True)
)
_TIME_LIMITS = (("month", 1, 12), ("day", 1, 31), ("hour", 0, 23), ("minute", 0, 59), ("second", 0, 59))


def time_fault(text: str, micro: bool) -> str:
    """What Go says of a text that is no time of RFC 3339 (with exactly six digits of a second, where `micro`), "" of one that is."""
    fraction = (".000000", r"\.\d{6}") if micro else ("", r"(\.\d+)?")
    rest, numbers = text, []
    for part, pattern in (*_TIME_PARTS, fraction, ("Z07:00", r"Z|[+-]([01]\d|2[0-3]):[0-5]\d")):
        found = re.match(pattern, rest)
        if not found:
            layout = "2006-01-02T15:04:05" + (".000000" if micro else "") + "Z07:00"
            return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{part}"'
        if part.isdigit() and len(part) == 2:
            numbers.append(int(found[0]))
        rest = rest[found.end() :]
    if rest:
        return f'parsing time "{text}": extra text: "{rest}"'
    days = calendar.monthrange(int(text[:4]) or 4, numbers[0])[1] if 1 <= numbers[0] <= 12 else 31
    for (name, low, high), number in zip(_TIME_LIMITS, numbers, strict=True):
        if not low <= number <= (days if name == "day" else high):
            return f'parsing time "{text}": {name} out of range'
    return ""
