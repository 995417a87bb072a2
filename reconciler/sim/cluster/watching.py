"""Watches, without sockets: a cursor over the history of one resource, from which lines are pulled.

Law of the module: nothing here waits. Whoever drives a cursor is told by `Store.subscribe` that something happened, calls `take`,
and ends it at `ends_at`. A cursor that fell behind history ends with one ERROR line (410 Expired), as the real watch does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import errors, reads, views
from .options import ListOptions
from .resources import Resource
from .store import Entry, Event
from .views import Form

if TYPE_CHECKING:
    from .cluster import Cluster

DEFAULT_SECONDS = 1_800


class Cursor:
    """One watch. `ends_at` is on the clock that `now` is read from."""

    def __init__(self, cluster: Cluster, resource: Resource, namespace: str, options: ListOptions, form: Form, now: float) -> None:
        self.content_type = form.content_type
        self.closed = False
        self.ends_at = now + (options.timeout_seconds or DEFAULT_SECONDS)
        self._cluster = cluster
        self._store = cluster.store
        self._resource = resource
        self.storage = resource.storage  # whose changes it tells
        self._namespace = namespace
        self._bookmarks = options.bookmarks
        self._form = form
        self._selector = reads.selector_of(resource, options)
        self._position = self._store.version
        self._waiting: list[bytes] = []
        self._told = 0
        self._open(options, now)

    def _open(self, options: ListOptions, now: float) -> None:
        initial = options.initial_events
        if initial is False and options.version == 0:
            return
        if initial or options.version == 0:
            for entry in self._store.entries(self._resource.storage, self._namespace):
                if self._in(entry):
                    self._tell("ADDED", entry, now)
            if initial and self._bookmarks:
                self._bookmark(initial_end=True)
            return
        if options.version < self._store.floor:
            self._expire(options.version)
        # A version that has not been reached is waited for: nothing before it is told.
        self._position = options.version

    def _expire(self, version: int) -> None:
        oldest = self._store.floor + 1
        self._waiting.append(views.failure(errors.expired(f"too old resource version: {version} ({oldest})")))
        self.closed = True

    def take(self, now: float) -> tuple[bytes, ...]:
        """The lines since the last call, each with its line end. After the last of a closed cursor there are no more."""
        if not self.closed:
            if self._cluster.catalogue.find(self._resource.group, self._resource.version, self._resource.plural) is not self._resource:
                self.closed = True
            elif self._position < self._store.floor:
                self._expire(self._position)
            else:
                self._read(now)
        lines = tuple(self._waiting)
        self._waiting.clear()
        return lines

    def _read(self, now: float) -> None:
        for event in self._store.events(self._resource.storage, self._position):
            self._event(event, now)
        self._position = max(self._position, self._store.version)

    def _event(self, event: Event, now: float) -> None:
        before = event.previous is not None and self._in(event.previous)
        after = event.type != "DELETED" and self._in(event.entry)
        if after:
            self._tell("MODIFIED" if before else "ADDED", event.entry, now)
        elif before:
            assert event.previous is not None
            # What left the selection is told as it was, under the version of the change.
            last = {**event.previous.obj}
            last["metadata"] = {**last["metadata"], "resourceVersion": str(event.version)}
            self._tell("DELETED", Entry(last, event.version), now)

    def _in(self, entry: Entry) -> bool:
        if self._namespace and entry.key[0] != self._namespace:
            return False
        return self._selector.takes(entry.obj)

    def _tell(self, kind: str, entry: Entry, now: float) -> None:
        self._waiting.append(views.event(self._form, self._resource, kind, entry, now, first=self._told == 0))
        self._told += 1

    def bookmark(self, now: float) -> tuple[bytes, ...]:
        """All pending lines and then, where the client wants bookmarks, one."""
        lines = self.take(now)
        if self.closed or not self._bookmarks:
            return lines
        self._bookmark(initial_end=False)
        return lines + self.take(now)

    def _bookmark(self, *, initial_end: bool) -> None:
        line = views.bookmark(self._form, self._resource, self._position, initial_end, first=self._told == 0)
        self._waiting.append(line)
        self._told += 1

    def close(self) -> None:
        """End it."""
        self.closed = True
