"""Cells of tables: what they are read by, and how ages are told.

Law of the module: pure; `now` only makes ages. Texts are those of kube-apiserver 1.36 (pkg/printers/internalversion).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import metadata
from .store import Json, encode

Cell = Callable[[Json, float], Any]
NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    cell: Cell
    type: str = "string"
    priority: int = 0
    format: str = ""


def text(value: Any) -> str:
    """A value of a cell that is no text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return encode(value).decode() if isinstance(value, dict | list) else str(value)


def age(at: str, now: float) -> str:
    """How long ago, as people read it."""
    try:
        return duration(now - metadata.instant(at))
    except ValueError:
        return UNKNOWN


def duration(seconds: float) -> str:
    """A duration in at most two units (apimachinery util/duration.HumanDuration)."""
    s = int(seconds)
    if s < 0:
        return "<invalid>" if s < -1 else "0s"
    if s < 2 * _MINUTE:
        return f"{s}s"
    if s < 10 * _MINUTE:
        return _two(s // _MINUTE, "m", s % _MINUTE, "s")
    if s < 3 * _HOUR:
        return f"{s // _MINUTE}m"
    if s < 8 * _HOUR:
        return _two(s // _HOUR, "h", s % _HOUR // _MINUTE, "m")
    if s < 2 * _DAY:
        return f"{s // _HOUR}h"
    if s < 8 * _DAY:
        return _two(s // _DAY, "d", s % _DAY // _HOUR, "h")
    if s < 2 * 365 * _DAY:
        return f"{s // _DAY}d"
    if s < 8 * 365 * _DAY:
        return _two(s // _DAY // 365, "y", s // _DAY % 365, "d")
    return f"{s // _DAY // 365}y"


def _two(first: int, unit: str, second: int, lesser: str) -> str:
    return f"{first}{unit}{second}{lesser}" if second else f"{first}{unit}"


def at(*path: str, default: Any = "") -> Cell:
    """What stands at a path."""

    def cell(obj: Json, _: float) -> Any:
        value: Any = obj
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return default if value in (None, "") else value

    return cell


def age_of(obj: Json, now: float) -> str:
    """The age of an object."""
    return age(obj["metadata"]["creationTimestamp"], now)


def count(*names: str) -> Cell:
    """How many members some maps have."""
    return lambda obj, _: sum(len(obj.get(name) or ()) for name in names)


NAME = Column("Name", at("metadata", "name"), format="name")
AGE = Column("Age", age_of)
OTHERS = (NAME, Column("Created At", at("metadata", "creationTimestamp"), "date"))


def number(name: str, *path: str) -> Column:
    """A column with the number at a path."""
    return Column(name, at(*path, default=0), "integer")


def phase(obj: Json, _: float) -> str:
    """The phase of an object."""
    return str((obj.get("status") or {}).get("phase", ""))


def labels_text(labels: Json | None) -> str:
    """Labels as a selector shows them."""
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or NONE
