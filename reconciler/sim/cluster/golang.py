"""Values as Go's `fmt` prints them in the server's messages.

Law of the module: what a value is shown as depends on nothing but the value; maps are shown by sorted key.
"""

from __future__ import annotations

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
