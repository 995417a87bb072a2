"""Objects and their history: one counter, one event a change, the past as far as it is kept.

Law of the module: a stored object is never changed in place; a change is a new `Entry` under a new version, and an `Event`.
Whoever reads gets the decoded object itself and must not write to it (`copy` gives one that may be written). History is bounded:
below `floor` nothing can be watched or listed any more (kube-apiserver: etcd compaction and the watch cache).
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import msgspec

from .resources import Storage

Json = dict[str, Any]
Key = tuple[str, str]  # namespace ("" where there is none), name

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_LAZY_TRIM = 1024


class Entry:
    """One object at one version. `rest` is its JSON without `apiVersion` and `kind`, kept once encoded."""

    __slots__ = ("_rest", "key", "obj", "version")

    def __init__(self, obj: Json, version: int) -> None:
        meta = obj["metadata"]
        self.key: Key = (meta.get("namespace", ""), meta["name"])
        self.obj = obj
        self.version = version
        self._rest: bytes | None = None

    @property
    def rest(self) -> bytes:
        """The object's JSON without its type."""
        if self._rest is None:
            self._rest = _encode({k: v for k, v in self.obj.items() if k not in ("apiVersion", "kind")})
        return self._rest

    def typed(self, api_version: str, kind: str) -> bytes:
        """The object's JSON as a version of its kind."""
        return b'{"kind":' + _encode(kind) + b',"apiVersion":' + _encode(api_version) + b"," + self.rest[1:]

    def copy(self) -> Json:
        """A decoded copy that may be changed."""
        made: Json = copy(self.obj)
        return made


class Event(NamedTuple):
    """One change. `entry` is the object after it (for DELETED: as it was, under the version of its end)."""

    version: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    storage: Storage
    entry: Entry
    previous: Entry | None


def path_of(key: Key) -> str:
    """What objects of a resource are ordered by: "namespace/name", or the name alone."""
    return "/".join(key) if key[0] else key[1]


def copy(value: Any) -> Any:
    """A deep copy of JSON."""
    if isinstance(value, dict):
        return {k: copy(v) if isinstance(v, dict | list) else v for k, v in value.items()}
    if isinstance(value, list):
        return [copy(v) if isinstance(v, dict | list) else v for v in value]
    return value


class Store:
    """All objects of one cluster. `history_limit` counts the events that are kept, over all resources."""

    def __init__(self, history_limit: int = 10_000) -> None:
        self.version = 1
        self.floor = 0  # the version of the newest forgotten event
        self.history_limit = history_limit
        self._objects: dict[Storage, dict[Key, Entry]] = {}
        self._sorted: dict[Storage, list[tuple[str, Key]] | None] = {}
        self._events: dict[Storage, list[Event]] = {}
        self._order: deque[Event] = deque()
        self._listeners: list[Callable[[Event], None]] = []

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` after each change."""
        self._listeners.append(listener)

    def get(self, storage: Storage, namespace: str, name: str) -> Entry | None:
        """One object."""
        return self._objects.get(storage, {}).get((namespace, name))

    def entries(self, storage: Storage, namespace: str = "") -> list[Entry]:
        """Objects in the order of their paths (`path_of`); with `namespace`, of that one."""
        objects = self._objects.get(storage)
        if not objects:
            return []
        paths = self._sorted.get(storage)
        if paths is None:
            paths = self._sorted[storage] = sorted((path_of(key), key) for key in objects)
        if namespace:
            # "0" is the character after "/".
            start, stop = (bisect.bisect_left(paths, (namespace + end,)) for end in "/0")
            paths = paths[start:stop]
        return [objects[key] for _, key in paths]

    def storages(self) -> list[Storage]:
        """What has, or had, objects."""
        return list(self._objects)

    def put(self, storage: Storage, obj: Json) -> Entry:
        """Store `obj`, which becomes the store's own, under a new version."""
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        entry = Entry(obj, self.version)
        objects = self._objects.setdefault(storage, {})
        previous = objects.get(entry.key)
        if previous is None:
            self._sorted[storage] = None
        objects[entry.key] = entry
        self._append(Event(self.version, "MODIFIED" if previous else "ADDED", storage, entry, previous))
        return entry

    def reread(self, storage: Storage, change: Callable[[Json], Json]) -> None:
        """See the objects of a resource in another way from now on; that is no change of theirs."""
        objects = self._objects.get(storage, {})
        for key, entry in objects.items():
            objects[key] = Entry(change(entry.obj), entry.version)

    def remove(self, storage: Storage, namespace: str, name: str) -> None:
        """Take an object away; watches see it as it was, under the version of its end."""
        previous = self._objects[storage].pop((namespace, name))
        self._sorted[storage] = None
        self.version += 1
        last = dict(previous.obj)
        last["metadata"] = {**last["metadata"], "resourceVersion": str(self.version)}
        self._append(Event(self.version, "DELETED", storage, Entry(last, self.version), previous))

    def events(self, storage: Storage, after: int) -> list[Event]:
        """Events of a resource above a version; the caller has compared `after` with `floor`."""
        events = self._events.get(storage)
        if not events or events[-1].version <= after:
            return []
        return events[bisect.bisect_right(events, after, key=lambda e: e.version) :]

    def at(self, storage: Storage, version: int, namespace: str = "") -> list[Entry]:
        """Objects as they were at an earlier version that history still holds."""
        assert self.floor <= version <= self.version
        then = dict(self._objects.get(storage, {}))
        for event in reversed(self.events(storage, version)):
            if event.previous is None:
                then.pop(event.entry.key, None)
            else:
                then[event.entry.key] = event.previous
        return [then[key] for key in sorted(then, key=path_of) if not namespace or key[0] == namespace]

    def past(self, version: int) -> Store:
        """The whole store as it was at an earlier version, or at the earliest that history still holds; to be read only."""
        made = Store(self.history_limit)
        made.version, made.floor = max(version, self.floor), self.floor
        made._objects = {storage: {e.key: e for e in self.at(storage, made.version)} for storage in self._objects}
        return made

    def compact(self, version: int) -> None:
        """Forget events up to and with `version`."""
        while self._order and self._order[0].version <= version:
            self._forget()
        self.floor = max(self.floor, min(version, self.version))

    def _append(self, event: Event) -> None:
        self._events.setdefault(event.storage, []).append(event)
        self._order.append(event)
        if len(self._order) > self.history_limit:
            self._forget()
        for listener in self._listeners:
            listener(event)

    def _forget(self) -> None:
        event = self._order.popleft()
        self.floor = event.version
        events = self._events[event.storage]
        # Lazily: cutting a list's head costs its length.
        stale = bisect.bisect_right(events, self.floor, key=lambda e: e.version)
        if stale > _LAZY_TRIM or stale == len(events):
            del events[:stale]


def encode(value: Any) -> bytes:
    """JSON."""
    return _encode(value)


def decode(body: bytes) -> Any:
    """JSON, decoded; raises `msgspec.DecodeError`."""
    return _decode(body)


def listing(kind: str, api_version: str, metadata: Json, items: Iterable[bytes]) -> bytes:
    """A list document around encoded items."""
    head = _encode({"kind": kind, "apiVersion": api_version, "metadata": metadata})
    return head[:-1] + b',"items":[' + b",".join(items) + b"]}"
