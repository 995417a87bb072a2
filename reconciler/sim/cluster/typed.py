"""Values with a type: checking them, naming their fields, merging and cutting them.

Law of the module: four walks over a value and its type; none changes what it is given, and results may share parts with
it. `ABSENT` stands for "no such field", which is not the same as null. The semantics are those of
sigs.k8s.io/structured-merge-diff v6 `typed`, its messages included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from . import fields
from .fields import FieldSet, Path
from .golang import go_syntax, go_type, go_value
from .schema import Type

ABSENT: Final[Any] = type("Absent", (), {"__repr__": lambda _: "ABSENT"})()
NUMERIC: Final = ("integer", "number")
TEXT: Final = ("string", "bytes")


class TypedError(ValueError):
    """A value does not fit its type. The text is the server's, with one line an error where there are several."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(errors[0] if len(errors) == 1 else "\n".join(["errors:", *("  " + error for error in errors)]))


def equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; true is not 1, and 1 is 1.0."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


# -- Which shape a value has ------------------------------------------------------------------------------------------


def form_of(of: Type, value: Any) -> str:
    """The form in which a value is read: that of the value where the type allows it, else all that the type allows."""
    if isinstance(value, dict) and of.fields is not None:
        return "map"
    if isinstance(value, list) and of.items is not None:
        return "list"
    if isinstance(value, str | int | float) and of.scalar:
        return "scalar"
    return ("map " if of.is_map else "") + ("scalar " if of.scalar else "") + ("list" if of.items is not None else "")


def walk_as(form: str) -> str:
    """Of several possible forms the one that is taken."""
    return form.split(maxsplit=1)[0]


def step_of(of: Type, item: Any) -> str:
    """The step to an item of a set or keyed list. TypedError where it has none."""
    if of.keys:
        if item is None:
            raise TypedError(["associative list with keys may not have a null element"])
        if not isinstance(item, dict):
            raise TypedError(["associative list with keys may not have non-map elements"])
        assert of.items is not None
        keys = {}
        for key in of.keys:
            declared = (of.items.fields or {}).get(key)
            if key in item:
                keys[key] = item[key]
            elif declared is not None and declared.default is not None:
                keys[key] = declared.default
        if not keys:
            names = " ".join(f'"{key}"' for key in of.keys)
            raise TypedError([f"associative list with keys has an element that omits all key fields [{names}]"
                              " (and doesn't have default values for any key fields)"])  # fmt: skip
        return fields.item(keys)
    if isinstance(item, dict):
        raise TypedError(["associative list without keys has an element that's a map type"])
    if isinstance(item, list):
        raise TypedError(["not supported: associative list with lists as elements"])
    if item is None:
        raise TypedError(["associative list without keys has an element that's an explicit null"])
    return fields.value(item)


def inner_type(of: Type, name: str) -> Type:
    """The type of a field of a map."""
    declared = (of.fields or {}).get(name) or of.values
    assert declared is not None, f"undeclared field {name} in a value that was checked"
    return declared


# -- Checking ---------------------------------------------------------------------------------------------------------


def check(of: Type, value: Any, *, duplicates: bool = False) -> None:
    """Raise TypedError unless `value` fits; `duplicates` lets lists repeat keys (live objects may)."""
    errors = list(_errors(of, value, "", duplicates))
    if errors:
        raise TypedError(errors)


def _errors(of: Type, value: Any, path: str, duplicates: bool) -> Iterator[str]:
    prefix = f"{path}: " if path else ""
    walk = walk_as(form_of(of, value))
    if value is None:
        return
    if walk == "map":
        if isinstance(value, dict):
            yield from _map_errors(of, value, path, duplicates)
        else:
            yield f"{prefix}expected map, got {go_value(value)}"
    elif walk == "list":
        if isinstance(value, list):
            yield from _list_errors(of, value, path, duplicates)
        else:
            yield f"{prefix}expected list, got {go_value(value)}"
    else:
        error = _scalar_error(of, value)
        if error:
            yield prefix + error


def _map_errors(of: Type, value: dict[str, Any], path: str, duplicates: bool) -> Iterator[str]:
    for name in sorted(value):
        inner = (of.fields or {}).get(name) or of.values
        if inner is None:
            yield f"{path}.{name}: field not declared in schema"
            return
        yield from _errors(inner, value[name], f"{path}.{name}", duplicates)


def _list_errors(of: Type, value: list[Any], path: str, duplicates: bool) -> Iterator[str]:
    assert of.items is not None
    seen: dict[str, None] = {}
    prefix = f"{path}: " if path else ""
    for index, item in enumerate(value):
        text = f"[{index}]"
        if of.unique:
            try:
                step = step_of(of, item)
            except TypedError as error:
                yield f"{prefix}element {index}: {error}"
                return
            text = fields.to_text((step,))
            if step in seen and not duplicates:
                yield f"{prefix}duplicate entries for key {text}"
            seen[step] = None
        yield from _errors(of.items, item, path + text, duplicates)


def _scalar_error(of: Type, value: Any) -> str:
    if of.scalar in NUMERIC and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"expected numeric (int or float), got {go_type(value)}"
    if of.scalar in TEXT and not isinstance(value, str):
        return f"expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}"
    if of.scalar == "boolean" and not isinstance(value, bool):
        return f"expected boolean, got {go_value(value)}"
    if not isinstance(value, str | int | float):
        return f"expected any scalar, got {go_value(value)}"
    return ""


# -- Naming fields ----------------------------------------------------------------------------------------------------


def to_set(of: Type, value: Any) -> FieldSet:
    """The paths that a value sets."""
    made = FieldSet()
    _collect(of, value, (), made)
    return made


def _collect(of: Type, value: Any, path: Path, into: FieldSet) -> None:
    walk = walk_as(form_of(of, value))
    if walk == "scalar" or (walk == "map" and of.atomic) or (walk == "list" and not of.unique):
        into.insert(path)
    elif walk == "map" and isinstance(value, dict):
        for name, inner in value.items():
            below = (*path, fields.field(name))
            _collect(inner_type(of, name), inner, below, into)
            if inner is None or inner == {} or name not in (of.fields or {}):
                into.insert(below)
    elif walk == "list" and isinstance(value, list):
        assert of.items is not None
        steps = [step_of(of, item) for item in value]
        for step, item in zip(steps, value, strict=True):
            if steps.count(step) == 1:
                _collect(of.items, item, (*path, step), into)
            into.insert((*path, step))


# -- Merging ----------------------------------------------------------------------------------------------------------


def merge(of: Type, left: Any, right: Any) -> Any:
    """`right` laid over `left`: what only `left` says stays, items of `right` keep their order."""
    form = form_of(of, left if right is ABSENT else right)
    walk = walk_as(form)
    if walk == "scalar" or (walk == "map" and of.atomic) or (walk == "list" and not of.unique):
        return left if right is ABSENT else right
    if walk == "map":
        return _merge_maps(of, left, right)
    return _merge_lists(of, left, right)


def _merge_maps(of: Type, left: Any, right: Any) -> Any:
    before = left if isinstance(left, dict) else {}
    after = right if isinstance(right, dict) else {}
    if not before and not after:
        return left if right is ABSENT else right
    names = [*before, *(name for name in after if name not in before)]
    merged = {name: merge(inner_type(of, name), before.get(name, ABSENT), after.get(name, ABSENT)) for name in names}
    return {name: each for name, each in merged.items() if each is not ABSENT} or ABSENT


def _merge_lists(of: Type, left: Any, right: Any) -> Any:
    before = left if isinstance(left, list) else []
    after = right if isinstance(right, list) else []
    if not before and not after:
        return left if right is ABSENT else right
    assert of.items is not None
    old_steps, new_steps = [step_of(of, item) for item in before], [step_of(of, item) for item in after]
    old: dict[str, Any] = {}
    for step, item in zip(old_steps, before, strict=True):
        old[step] = None if step in old else item  # repeated items are not merged with the new one
    new = dict(zip(new_steps, after, strict=True))
    merged = []
    for step, item in _in_merged_order(old_steps, before, new_steps):
        each = merge(of.items, old.get(step, ABSENT), new[step]) if step in new else merge(of.items, item, ABSENT)
        if each is not ABSENT:
            merged.append(each)
    return merged or ABSENT


def _in_merged_order(old_steps: list[str], old: list[Any], new_steps: list[str]) -> Iterator[tuple[str, Any]]:
    """The steps of both lists: new ones in their order, an old one before the shared item that it stood before."""
    new, shared = dict.fromkeys(new_steps), [step for step in new_steps if step in dict.fromkeys(old_steps)]
    taken: dict[str, None] = {}
    left = right = 0
    while left < len(old_steps) or right < len(new_steps):
        if left < len(old_steps) and right < len(new_steps):
            step = old_steps[left]
            if step == new_steps[right]:
                taken[step] = None
                yield step, old[left]
                left, right, shared = left + 1, right + 1, shared[1:]
                continue
            if step in new and shared and shared[0] != step:
                left += 1  # a shared item, but not the one whose turn it is
                continue
        if left < len(old_steps):
            step = old_steps[left]
            if step not in new:
                yield step, old[left]
                left += 1
                continue
            if step in taken:
                left += 1
        if right < len(new_steps):
            step = new_steps[right]
            taken[step] = None
            yield step, None
            right += 1
            if shared and shared[0] == step:
                shared = shared[1:]


# -- Cutting ----------------------------------------------------------------------------------------------------------


def remove(of: Type, value: Any, gone: FieldSet) -> Any:
    """`value` without the paths of `gone`; what is left of a map or list that ends empty is null."""
    walk = walk_as(form_of(of, value))
    if walk == "map" and isinstance(value, dict):
        if of.atomic or not value:
            return None
        left = {}
        for name, inner in value.items():
            step = fields.field(name)
            if step not in gone.members:
                below = gone.below(step)
                left[name] = remove(inner_type(of, name), inner, below) if below else inner
        return left or None
    if walk == "list" and isinstance(value, list):
        if not of.unique:
            return None
        assert of.items is not None
        kept = []
        for item in value:
            step = step_of(of, item)
            if step not in gone.members:
                below = gone.below(step)
                kept.append(remove(of.items, item, below) if below else item)
        return kept or None
    return value if walk == "scalar" else None


def with_named(of: Type | None, owned: FieldSet) -> FieldSet:
    """`owned` and the declared fields on the way to its paths, which sets usually leave out."""
    members, children = dict(owned.members), {}
    for step, child in owned.children.items():
        inner: Type | None = None
        if of is not None and step.startswith("f:") and of.is_map:
            declared = (of.fields or {}).get(step[2:])
            inner = declared or of.values
            if declared is not None:
                members[step] = None
        elif of is not None and step.startswith("k:"):
            inner = of.items
        children[step] = with_named(inner, child)
    return FieldSet(members, children)
