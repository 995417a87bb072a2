"""Places in an object, as server-side apply sees them, and who owns them.

Law of the module: a path names an item of a list by what identifies it, not by its position, because others may put items
before it. Everything read here comes from live objects, which are hostile input: what cannot be read owns nothing.

The notation of owned fields is that of sigs.k8s.io/structured-merge-diff (fieldpath/serialize-pe.go): `f:` a field, `k:`
an item of a keyed list, `v:` a member of a set, `i:` a position, `.` the thing itself; an empty map is a leaf, and a leaf
that stands for a map or a list owns it as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

Json = dict[str, Any]
Scalar = str | int | float | bool | None
Fields = Mapping[str, Any]  # one node of a fieldsV1 tree

HAND_TOOLS: Final = "kubectl"  # managers whose name starts so are people
DEFAULT_KEYS: Final = {"protocol": "TCP"}  # the only defaulted key of a list in Kubernetes' own kinds
SEGMENT_LIMIT: Final = 120  # characters of one segment that are shown


class Key(NamedTuple):
    """An item of a keyed list: its identifying fields by name, sorted."""

    fields: tuple[tuple[str, Scalar], ...]


class Member(NamedTuple):
    """A member of a set."""

    value: Scalar


Segment = str | int | Key | Member
Path = tuple[Segment, ...]


class Owner(NamedTuple):
    """Who owns a path in a live object: a field manager, how it wrote ("Apply", "Update") and through which subresource."""

    manager: str
    operation: str
    subresource: str

    @property
    def rightful(self) -> bool:
        """Whether what it owns is left to it: an applier, or an autoscaler. People with kubectl are neither (design §6)."""
        if self.manager.startswith(HAND_TOOLS):
            return False
        return self.operation == "Apply" or self.subresource == "scale"

    def __str__(self) -> str:
        manager = printable(self.manager, SEGMENT_LIMIT) or "somebody without a name"
        through = f" through {printable(self.subresource, 40)}" if self.subresource else ""
        return f"{manager} ({'apply' if self.operation == 'Apply' else 'update'}{through})"


# -- Who owns what ----------


class Entry(NamedTuple):
    """One entry of managedFields that could be read."""

    owner: Owner
    version: str  # the apiVersion in which its fields are named
    fields: Fields


def entries(live: Json) -> list[Entry]:
    """The entries of an object's managedFields."""
    metadata = live.get("metadata")
    found = metadata.get("managedFields") if isinstance(metadata, dict) else None
    return [e for e in map(read_entry, found) if e] if isinstance(found, list) else []


def read_entry(item: object) -> Entry | None:
    """One entry of managedFields; None where it cannot be read."""
    fields = item.get("fieldsV1") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(fields, dict):
        return None
    manager, operation, subresource, version = (
        text if isinstance(text := item.get(name), str) else "" for name in ("manager", "operation", "subresource", "apiVersion")
    )
    return Entry(Owner(manager, operation, subresource), version, fields)


def is_ours(owner: Owner, manager: str) -> bool:
    """Whether an entry is that of our own applies."""
    return owner == (manager, "Apply", "")


@lru_cache(maxsize=4096)
def element(text: str) -> Segment | None:
    """Read one key of a fieldsV1 map; None for "." and for what cannot be read. Cached: names repeat across objects."""
    kind, rest = text[:2], text[2:]
    if kind == "f:":
        return rest
    if kind not in ("k:", "v:", "i:"):
        return None
    try:
        value = msgspec.json.decode(rest)
    except (msgspec.DecodeError, RecursionError):
        return None
    if kind == "k:":
        if isinstance(value, dict) and all(not isinstance(v, dict | list) for v in value.values()):
            return Key(tuple(sorted(value.items())))
        return None
    if kind == "v:":
        return None if isinstance(value, dict | list) else Member(value)
    return value if type(value) is int else None


def elements(node: Fields | None, kind: type[Key] | type[Member]) -> dict[Any, Fields]:
    """The items of a list that a node of an entry names, each with its own node."""
    found: dict[Any, Fields] = {}
    for text, below in node.items() if node else ():
        segment = element(text)
        if type(segment) is kind and isinstance(below, dict):
            found[segment] = below
    return found


def descend(node: Fields | None, segment: Segment) -> Fields | None:
    """The node below, None where the entry does not name it."""
    if not node:
        return None
    if isinstance(segment, str):
        below = node.get("f:" + segment)
    else:
        below = next((below for text, below in node.items() if _same_segment(element(text), segment)), None)
    return below if isinstance(below, dict) else None


def _same_segment(left: Segment | None, right: Segment) -> bool:
    return type(left) is type(right) and left == right


class Holder(NamedTuple):
    """An owner of a path; `above` where what it owns is a whole of which the path is only a part."""

    owner: Owner
    above: bool


def holders(path: Path, others: Sequence[Entry]) -> Iterator[Holder]:
    """Who of `others` owns `path`, a part of it, or a whole around it."""
    for entry in others:
        node: Fields | None = entry.fields
        for depth, segment in enumerate(path):
            node = descend(node, segment)
            if node is None:
                break
            if not node:
                yield Holder(entry.owner, above=depth < len(path) - 1)
                break
        else:
            yield Holder(entry.owner, above=False)


# -- Finding and changing ----------


def key_of(item: object, names: Sequence[str], defaults: Mapping[str, Scalar] = DEFAULT_KEYS) -> Key | None:
    """What identifies an item, by the names of its identifying fields (sorted); None where it has none of them."""
    if not isinstance(item, dict):
        return None
    fields = []
    for name in names:
        value = item.get(name)
        if value is None:
            value = defaults.get(name)
        if isinstance(value, dict | list):
            return None
        if value is not None:
            fields.append((name, value))
    return Key(tuple(fields)) if fields else None


def find(value: object, path: Path) -> object:
    """What stands at a path, None where nothing does."""
    for segment in path:
        index = _position(value, segment)
        if index is None:
            return None
        value = value[index]  # type: ignore[index]
    return value


def drop(value: Any, path: Path) -> Any:
    """The same value without what stands at a path; maps that only held it go too. The argument stays as it is."""
    index = _position(value, path[0]) if path else None
    if index is None:
        return value
    below = drop(value[index], path[1:]) if len(path) > 1 else None
    if below is value[index]:
        return value
    changed: Any = list(value) if isinstance(value, list) else dict(value)
    if len(path) == 1 or below == {}:
        del changed[index]
    else:
        changed[index] = below
    return changed


def put(value: Any, path: Path, new: Any) -> Any:
    """The same value with `new` at a path. Missing maps are made, a missing item of a list is not: then nothing changes."""
    if not path:
        return new
    segment = path[0]
    index = _position(value, segment)
    if index is None:
        if not isinstance(segment, str) or not isinstance(value, dict | None):
            return value
        below = put(None, path[1:], new)
        return value if below is None and len(path) > 1 else {**(value or {}), segment: below}
    changed: Any = list(value) if isinstance(value, list) else dict(value)
    changed[index] = put(value[index], path[1:], new)
    return changed


def _position(value: object, segment: Segment) -> Any:
    """The key or index of a segment in a map or list; None where it is not there."""
    if isinstance(segment, str):
        return segment if isinstance(value, dict) and segment in value else None
    if not isinstance(value, list):
        return None
    if isinstance(segment, int):
        return segment if 0 <= segment < len(value) else None
    if isinstance(segment, Member):
        return next((i for i, item in enumerate(value) if type(item) is type(segment.value) and item == segment.value), None)
    names = tuple(name for name, _ in segment.fields)
    return next((i for i, item in enumerate(value) if key_of(item, names) == segment), None)


def resolve(pointer: str, wanted: Json, live: Json, found: Sequence[Entry]) -> Path:
    """The path that a JSON pointer (RFC 6901) means. A number counts in the manifest, where that has it, else in the cluster."""
    path: list[Segment] = []
    here: tuple[object, object] = (wanted, live)
    nodes: list[Fields] = [entry.fields for entry in found]
    for token in (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]):
        segment = _segment(token, here, nodes)
        path.append(segment)
        here = (find(here[0], (segment,)), find(here[1], (segment,)))
        nodes = [below for node in nodes if (below := descend(node, segment)) is not None]
    return tuple(path)


def _segment(token: str, here: tuple[object, object], nodes: Sequence[Fields]) -> Segment:
    number = int(token) if token.isascii() and token.isdigit() and len(token) < 6 else None
    lists = [value for value in here if isinstance(value, list)]
    if number is None or not lists:
        return token
    keys = next((key for node in nodes for key in elements(node, Key)), None)
    item = next((value[number] for value in lists if number < len(value)), None)
    key = key_of(item, [name for name, _ in keys.fields]) if keys else None
    return key or number


# -- For people ----------


def pretty(path: Path) -> str:
    """A path as people write it: `spec.template.spec.containers[name=web].image`."""
    text = "".join(_shown(segment) for segment in path)
    return text.removeprefix(".") or "the object"


def _shown(segment: Segment) -> str:
    if isinstance(segment, int):
        return f"[{segment}]"
    if isinstance(segment, Member):
        return f"[{printable(str(segment.value), SEGMENT_LIMIT)}]"
    if isinstance(segment, Key):
        return "[" + ",".join(f"{name}={printable(str(value), SEGMENT_LIMIT)}" for name, value in segment.fields) + "]"
    shown = printable(segment, SEGMENT_LIMIT)
    return f".{shown}" if shown.replace("_", "").replace("-", "").isalnum() else f"[{shown}]"


def printable(text: str, limit: int) -> str:
    """`text` cut to `limit` characters, what cannot be printed escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
