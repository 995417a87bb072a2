"""One difference between what is wanted and what is there, and how it is told.

Law of the module: told in one printable, bounded line; a Secret's values are never among them, for a change does not hold them.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from .paths import Owner, Path, printable

VALUE_LIMIT: Final = 60  # characters of one value that are shown


class _Hidden:
    """Stands for a value that may not be shown."""

    def __repr__(self) -> str:
        return "(not shown)"


HIDDEN: Final = _Hidden()


class Change(NamedTuple):
    """One difference. `path` is what a payload can leave out; `pretty` and the values are those of the part that differs.

    "set": apply will write `wanted` over `live`; "remove": it will take away, or give up, what is live and no longer wanted.
    Where a side has nothing its value is None; where it is a Secret's both are `HIDDEN`.
    """

    path: Path
    pretty: str
    wanted: Any
    live: Any
    kind: Literal["set", "remove"]
    owner: Owner | None


def describe(change: Change) -> str:
    """One difference in words: `spec.replicas 9 -> 3`; "none" where a side has nothing."""
    if change.live is HIDDEN or change.wanted is HIDDEN:
        return f"{change.pretty} (changed, not shown)"
    return f"{change.pretty} {_value(change.live)} -> {_value(change.wanted)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        plain = value.isprintable() and value.strip() == value and value and '"' not in value
        text = value if plain and value not in ("none", "true", "false", "null") else _json(value[: VALUE_LIMIT * 2])
        return printable(text, VALUE_LIMIT)
    return printable(_json(value), VALUE_LIMIT)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode("utf-8", "replace")
