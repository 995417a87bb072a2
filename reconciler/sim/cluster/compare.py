"""What differs between two values of one type, as sets of paths.

Law of the module: a path is *added* or *removed* where one side lacks it, *modified* where both have it and differ; what
is owned as one is compared as one. The semantics are those of structured-merge-diff v6 `typed.Compare`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import fields
from .fields import FieldSet, Path
from .schema import Type
from .typed import ABSENT, equal, form_of, inner_type, step_of, walk_as

_PLAIN = (str, int, bool)  # where such values are equal, they are the same


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two values."""

    removed: FieldSet = field(default_factory=FieldSet)
    modified: FieldSet = field(default_factory=FieldSet)
    added: FieldSet = field(default_factory=FieldSet)

    def __bool__(self) -> bool:
        return bool(self.removed or self.modified or self.added)

    def each(self, change: Callable[[FieldSet], FieldSet]) -> Comparison:
        """The comparison with each set changed."""
        return Comparison(change(self.removed), change(self.modified), change(self.added))


def compare(of: Type, left: Any, right: Any) -> Comparison:
    """What `right` adds to `left`, changes and takes away."""
    found = Comparison()
    _compare(of, left, right, (), found)
    return found


def _compare(of: Type, left: Any, right: Any, path: Path, into: Comparison) -> None:
    if left is right or (type(left) is type(right) and type(left) in _PLAIN and left == right):
        return  # a part that a write did not touch
    if isinstance(left, dict) and isinstance(right, dict) and of.fields is not None and not of.atomic and (left or right):
        _compare_maps(of, left, right, path, into)
        return
    if of.scalar and type(left if right is ABSENT else right) in _PLAIN:
        if left is ABSENT or right is ABSENT:
            (into.added if left is ABSENT else into.removed).insert(path)
            return
        if type(left) is type(right):
            into.modified.insert(path)
            return
    form_left, form_right = form_of(of, left), form_of(of, right)
    if right is ABSENT:
        forms = [form_left]
    elif left is ABSENT or form_left == form_right:
        forms = [form_right]
    else:
        forms = [form_left, form_right]  # a free-form field that changed its shape is read both ways
    for form in forms:
        leaf = _compare_as(walk_as(form), of, (left, right), path, into)
    if not leaf:
        if left is ABSENT:
            into.added.insert(path)
        elif right is ABSENT:
            into.removed.insert(path)


def _compare_as(walk: str, of: Type, sides: tuple[Any, Any], path: Path, into: Comparison) -> bool:
    """Compare in one form; whether that form is owned as one here."""
    if walk == "map":
        before, after = (side if isinstance(side, dict) else {} for side in sides)
        leaf = of.atomic or not (before or after)
    elif walk == "list":
        old, new = (side if isinstance(side, list) else [] for side in sides)
        leaf = not of.unique or not (old or new)
    else:
        leaf = True
    if leaf:
        _compare_leaf(*sides, path, into)
    elif walk == "map":
        _compare_maps(of, before, after, path, into)
    else:
        _compare_lists(of, old, new, path, into)
    return leaf


def _compare_maps(of: Type, before: dict[str, Any], after: dict[str, Any], path: Path, into: Comparison) -> None:
    for name in {**before, **after}:
        was, now = before.get(name, ABSENT), after.get(name, ABSENT)
        inner = inner_type(of, name)
        if was is now or (type(was) is type(now) and type(was) in _PLAIN and was == now):
            continue
        _compare(inner, was, now, (*path, fields.field(name)), into)


def _compare_leaf(left: Any, right: Any, path: Path, into: Comparison) -> None:
    if left is ABSENT:
        into.added.insert(path)
    elif right is ABSENT:
        into.removed.insert(path)
    elif not equal(left, right):
        into.modified.insert(path)


def _compare_lists(of: Type, left: list[Any], right: list[Any], path: Path, into: Comparison) -> None:
    """Compare item by item. Items that repeat a key count as one."""
    assert of.items is not None
    old: dict[str, list[Any]] = {}
    new: dict[str, list[Any]] = {}
    for items, by_step in ((left, old), (right, new)):
        for item in items:
            by_step.setdefault(step_of(of, item), []).append(item)
    for step in {**old, **new}:
        below = (*path, step)
        before, after = old.get(step, []), new.get(step, [])
        if len(before) < 2 and len(after) < 2:
            _compare(of.items, before[0] if before else ABSENT, after[0] if after else ABSENT, below, into)
        elif len(before) >= 2 and len(after) >= 2:
            if not equal(before, after):
                into.modified.insert(below)
        elif len(before) >= 2:
            if after:
                _compare(of.items, ABSENT, after[0], below, into)
            into.removed.insert(below)
        else:
            if before:
                _compare(of.items, before[0], ABSENT, below, into)
            into.added.insert(below)
