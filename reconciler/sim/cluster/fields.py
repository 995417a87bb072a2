"""Sets of fields, as `managedFields` holds them: who owns what.

Law of the module: a set is a tree; each node says which of its children are members and which have members below them. A
step of a path is the text that FieldsV1 uses for it, in one spelling only, so equal steps are equal strings:

`f:name` a field · `k:{"name":"a"}` the item of a keyed list · `v:"a"` the item of a set · `i:0` an item by position

Sets are never changed once they are shared: every operation gives a new one. The semantics, and the order in which
steps are written, are those of sigs.k8s.io/structured-merge-diff v6 `fieldpath`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

DEPTH_LIMIT = 256  # levels of a FieldsV1 document; nothing real has 40

Path = tuple[str, ...]
JsonScalar = str | int | float | bool | None


class FieldsError(ValueError):
    """A FieldsV1 document is malformed. The server then counts all ownership of the object as unknown."""


class FieldSet:
    """A set of paths."""

    __slots__ = ("_document", "children", "members")

    def __init__(self, members: dict[str, None] | None = None, children: dict[str, FieldSet] | None = None) -> None:
        self.members = members if members is not None else {}
        self.children = children if children is not None else {}
        self._document: dict[str, Any] | None = None

    @classmethod
    def of(cls, *paths: Path) -> FieldSet:
        """The set of these paths."""
        made = cls()
        for path in paths:
            made.insert(path)
        return made

    def insert(self, path: Path) -> None:
        """Add one path (to a set that is still being built). The empty path, the whole object, belongs to nobody."""
        if not path:
            return
        node = self
        for step in path[:-1]:
            if step not in node.children:
                node.children[step] = FieldSet()
            node = node.children[step]
        node.members[path[-1]] = None

    def __contains__(self, path: Path) -> bool:
        node = self
        for step in path[:-1]:
            if step not in node.children:
                return False
            node = node.children[step]
        return bool(path) and path[-1] in node.members

    def __bool__(self) -> bool:
        return bool(self.members) or any(self.children.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FieldSet):
            return NotImplemented
        mine = {step: child for step, child in self.children.items() if child}
        theirs = {step: child for step, child in other.children.items() if child}
        return self.members.keys() == other.members.keys() and mine == theirs

    def __hash__(self) -> int:
        return hash(frozenset(self))

    def __repr__(self) -> str:
        return f"FieldSet({json.dumps(self.to_json())})"

    def __iter__(self) -> Iterator[Path]:
        """Every path: of each node first its members, then what lies below it, both in the written order."""
        for step in sorted(self.members, key=order):
            yield (step,)
        for step in sorted(self.children, key=order):
            for path in self.children[step]:
                yield (step, *path)

    def below(self, step: str) -> FieldSet:
        """What lies below one step."""
        return self.children.get(step) or FieldSet()

    def within(self, other: FieldSet) -> bool:
        """Whether all its paths are in the other too."""
        theirs = other.children
        return self.members.keys() <= other.members.keys() and all(
            step in theirs and child.within(theirs[step]) for step, child in self.children.items()
        )

    def union(self, other: FieldSet) -> FieldSet:
        """All paths of both."""
        if not (other.members or other.children) or other is self:
            return self
        children = dict(self.children)
        for step, child in other.children.items():
            children[step] = children[step].union(child) if step in children else child
        return FieldSet({**self.members, **other.members}, children)

    def intersection(self, other: FieldSet) -> FieldSet:
        """The paths that are in both."""
        common = {step: child.intersection(other.children[step])
                  for step, child in self.children.items() if step in other.children}  # fmt: skip
        members = {step: None for step in self.members if step in other.members}
        return FieldSet(members, {step: child for step, child in common.items() if child})

    def difference(self, other: FieldSet) -> FieldSet:
        """The paths that are not in `other`; what lies below a path of `other` stays."""
        return self._without(other, below_too=False)

    def difference_with_below(self, other: FieldSet) -> FieldSet:
        """The paths that are neither in `other` nor below one of its paths."""
        return self._without(other, below_too=True)

    def _without(self, other: FieldSet, below_too: bool) -> FieldSet:
        if not (self.members or self.children) or not (other.members or other.children):
            return self
        members = self.members
        if not members.keys().isdisjoint(other.members):
            members = {step: None for step in members if step not in other.members}
        children: dict[str, FieldSet] = {}
        same = members is self.members
        for step, child in self.children.items():
            if below_too and step in other.members:
                same = False
                continue
            left = child._without(other.children[step], below_too) if step in other.children else child
            same = same and left is child
            if left:
                children[step] = left
        return self if same else FieldSet(members, children)

    def to_json(self) -> dict[str, Any]:
        """The FieldsV1 document, made once; not to be changed, nor is the set after this."""
        if self._document is not None:
            return self._document
        document: dict[str, Any] = {}
        for step in sorted({**self.members, **self.children}, key=order):
            child = self.children.get(step)
            document[step] = child.to_json() if child else {}
            if child and step in self.members:
                document[step] = {".": {}, **document[step]}
        self._document = document
        return document

    @classmethod
    def from_json(cls, document: Any, depth: int = 0) -> FieldSet:
        """Read a FieldsV1 document; steps of an unknown sort are left out, as the server does.

        Raises:
            FieldsError: it is none.
        """
        if not isinstance(document, Mapping) or depth > DEPTH_LIMIT:
            raise FieldsError("a level of FieldsV1 is no object, or they are too deep")
        made = cls()
        for text, inner in document.items():
            step = "" if text == "." else canonical(text)
            if not step:
                continue
            child = cls.from_json(inner, depth + 1)
            if (not child.members and not child.children) or "." in inner:
                made.members[step] = None
            if child:
                made.children[step] = child
        return made


def read(document: Any) -> FieldSet:
    """`FieldSet.from_json`, remembering what was read lately: most documents are read again with every write of an object.

    Raises:
        FieldsError: it is none.
    """
    try:
        text = _ENCODE(document)
    except (ValueError, OverflowError, RecursionError):  # no text that JSON may hold: not to be remembered
        return FieldSet.from_json(document)
    return _read(text)


@lru_cache(maxsize=2048)
def _read(text: bytes) -> FieldSet:
    return FieldSet.from_json(_DECODE(text))


_ENCODE, _DECODE = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode


def field(name: str) -> str:
    """The step to a field."""
    return "f:" + name


def item(keys: Mapping[str, Any]) -> str:
    """The step to the item of a keyed list that has these keys."""
    return "k:" + _compact({name: keys[name] for name in sorted(keys)})


def value(scalar: JsonScalar) -> str:
    """The step to an item of a set."""
    return "v:" + _compact(scalar)


def canonical(text: str) -> str:
    """A step in its one spelling, "" where its sort is unknown. FieldsError where it is malformed."""
    sort, content = text[:2], text[2:]
    if len(text) < 2 or text[1] != ":":
        raise FieldsError(f"no step of a path: {text[:80]}")
    if sort == "f:":
        return text
    if sort not in ("k:", "v:", "i:"):
        return ""
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        raise FieldsError(f"no step of a path: {text[:80]}") from None
    if sort == "k:":
        if not isinstance(read, dict):
            raise FieldsError(f"no step of a path: {text[:80]}")
        return item(read)
    return value(read) if sort == "v:" else f"i:{read}"


@lru_cache(maxsize=16384)
def order(step: str) -> tuple[Any, ...]:
    """What steps are sorted by: fields, then keyed items, then values, then positions."""
    sort, content = step[:2], step[2:]
    if sort == "f:":
        return (0, content)
    read = json.loads(content)
    if sort == "k:":
        return (1, tuple((name, _value_order(read[name])) for name in sorted(read)))
    return (2, _value_order(read)) if sort == "v:" else (3, read)


def to_text(path: Path) -> str:
    """A path as messages show it: `.spec.containers[name="a"].image`."""
    return "".join(_step_text(step) for step in path)


def _step_text(step: str) -> str:
    sort, content = step[:2], step[2:]
    if sort == "f:":
        return "." + content
    if sort == "i:":
        return f"[{content}]"
    read = json.loads(content)
    if sort == "v:":
        return f"[={_compact(read)}]"
    return "[" + ",".join(f"{name}={_compact(read[name])}" for name in sorted(read)) + "]"


def _value_order(read: Any) -> tuple[Any, ...]:
    """Values of different sorts sort as: numbers, texts, truths, lists, maps, null."""
    if isinstance(read, bool):
        return (2, read)
    if isinstance(read, int | float):
        return (0, read)
    if isinstance(read, str):
        return (1, read)
    if isinstance(read, list):
        return (3, tuple(_value_order(each) for each in read))
    if isinstance(read, dict):
        return (4, tuple((name, _value_order(read[name])) for name in sorted(read)))
    return (5,)


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def _compact(read: Any) -> str:
    """JSON as the server writes it into a step: no spaces, whole numbers without a point, <, > and & escaped."""
    if isinstance(read, float) and read.is_integer() and abs(read) < 1e21:
        read = int(read)
    if isinstance(read, dict):
        read = {name: int(each) if isinstance(each, float) and each.is_integer() else each for name, each in read.items()}
    text = _ENCODER.encode(read)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
