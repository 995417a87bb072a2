"""Renewals of Leases: PUTs that say again what the last one said, but for the time.

Law of the module: the outcome is that of the longer way (`Writes.replace`), byte for byte, and a request that may have another one
is left to it. At rest nearly all that a cluster is asked is one Lease renewed, 360 times an hour; this makes that cheap.

A renewal follows the PUT, or the renewal, that the live object is the outcome of. It comes from the same client in the same words, but
for the version that it was answered and a later `renewTime`. So everything was decided by the one before: the object fits its type and
has its defaults; no rule for Leases looks at `renewTime`, they have no generation and no status; nobody but this client owns a field,
and since the one before moved the time too, this client owns that. What is left to do is to set it, there and beside the owner.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from . import bodies
from .decode import is_plain_time
from .http import Request
from .metadata import timestamp
from .resources import Storage
from .store import Entry, Json, Store

Manner = tuple[tuple[tuple[str, str], ...], str, str]
LEASES = Storage("coordination.k8s.io", "leases")
_PLACES = re.compile(rb'"resourceVersion":"([0-9]+)"|"renewTime":"([^"\\]+)"')


class _Settled(NamedTuple):
    """A PUT: by whom and how, the words before, between and after its version and its time, and what became of it."""

    manner: Manner
    head: bytes
    middle: bytes
    tail: bytes
    entry: Entry


class Renewals:
    """What was last settled of each Lease in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._settled: dict[str, _Settled] = {}  # by path

    def renewed(self, request: Request, now: float) -> Json | None:
        """The object after a renewal; None where the request is none, and nothing was done."""
        settled = self._settled.get(request.path)
        if settled is None or self._store.get(LEASES, *settled.entry.key) is not settled.entry:
            return None
        body, head = request.body, b"%b%d%b" % (settled.head, settled.entry.version, settled.middle)
        if not body.startswith(head) or not body.endswith(settled.tail) or _manner(request) != settled.manner:
            return None
        time = body[len(head) : len(body) - len(settled.tail)].decode("utf-8", "replace")
        obj = settled.entry.obj
        meta, spec = obj["metadata"], obj["spec"]
        if time == spec["renewTime"] or not is_plain_time(time, micro=True):
            return None
        owner = {**meta["managedFields"][0], "time": timestamp(now)}
        made = {**obj, "metadata": {**meta, "managedFields": [owner]}, "spec": {**spec, "renewTime": time}}
        self._settled[request.path] = settled._replace(entry=self._store.put(LEASES, made))
        return made

    def settle(self, request: Request, before: Entry | None, after: Entry | None) -> None:
        """Note a PUT that has taken the longer way, where a renewal may follow it."""
        self._settled.pop(request.path, None)
        if before is None or after is None or after is before or not _is_alone(before, after):
            return
        said, places = bodies.machine_written(request.body), list(_PLACES.finditer(request.body))
        if said is None or "managedFields" in said["metadata"] or [place.lastindex for place in places] != [1, 2]:
            return
        version, time = places  # both must have been said, and nothing else looks like them: so these are they
        head, middle, tail = request.body[: version.start(1)], request.body[version.end(1) : time.start(2)], request.body[time.end(2) :]
        self._settled[request.path] = _Settled(_manner(request), head, middle, tail, after)


def _manner(request: Request) -> Manner:
    """By whom, and how: what else of a request has a part in its outcome."""
    return request.query, request.content_type, request.user_agent


def _is_alone(before: Entry, after: Entry) -> bool:
    """Whether the time was moved, and only one owns fields."""
    was, now = (entry.obj.get("spec", {}).get("renewTime") for entry in (before, after))
    return was != now and now is not None and len(after.obj["metadata"].get("managedFields", ())) == 1
