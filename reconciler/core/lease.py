"""Which daemon may act: a Lease in the home cluster, held by one.

Law of the module: a holder trusts only its own steady clock, read *before* each request, and stops at two thirds of the term, so that
two never act at once even if a request hangs. A stranger's Lease is over when it has not moved for a whole term of *our* clock; what
times it carries is not believed. Our own former life is taken over from at once: identities are unique (see `reconciler.cli.run`).
The object follows coordination.k8s.io/v1.

What keeps a deposed holder's late writes out:

* Nothing is sent after two thirds of the term, and what was sent before is given up `SPARE_SECONDS` before its end (`write_seconds`):
  by the client, which hangs up, and by the server, which is told the same limit (`timeout` in the query) for what it holds itself,
  webhooks included. The shell does not send what it comes to too late (a process that was stopped and goes on).
* Rates of steady clocks may differ, and a write may sit in etcd after its request has ended: `SPARE_SECONDS` is for both.
* Where all of that fails (a machine frozen between two instructions, a network that holds a packet back for minutes), versions decide:
  records and marks are written with the resourceVersion that was read, Git with the tip that was read, deletions and changes of objects
  with their uid. So no late write replaces a record, deletes what was made anew, or changes another object of the same name. What is
  left to it is to lay older content over an object of ours, or to make one that Git does not want any more: the holder sees both by
  its watch, as drift and as a leftover, and puts them right.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec

from .clusters import Cluster
from .messages import Answer
from .wire import Wire

TERM_SECONDS = 30
RENEW_SECONDS = 10.0
RETRY_SECONDS = 1.0
STANDBY_SECONDS = 5.0
"""How often whoever stands by reads the Lease: it can take it over only a whole term after it last moved."""
ACT_SECONDS = TERM_SECONDS * 2 / 3
SPARE_SECONDS = 5.0
"""How long before the end of the term a write is given up: it must have had its effect, or never have one, when another begins."""
NAME = "reconciler"
SOMEBODY = "somebody whose Lease was deleted perhaps"


class Lease:
    """One daemon's side of the Lease.

    `on_change()` is called when it begins or ceases to lead, or learns of another holder; `on_absent()` when it cannot be made, since
    its namespace is not there (any more); `is_first(then)` finds out whether no daemon has ever recorded anything here.
    """

    def __init__(
        self,
        wire: Wire,
        home: Cluster,
        namespace: str,
        identity: str,
        on_change: Callable[[], None],
        on_absent: Callable[[], None],
        is_first: Callable[[Callable[[bool], None]], None],
    ) -> None:
        self.wire = wire
        self.home = home
        self.identity = identity
        self.holder = ""  # whoever else holds it, for people
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{NAME}"
        self._on_change = on_change
        self._on_absent = on_absent
        self._is_first = is_first
        self._held_until = 0.0
        self._seen: tuple[str, str] = ("", "")  # (resourceVersion, holder) as last read
        self._seen_at = 0.0
        self._stopped = False

    @property
    def leading(self) -> bool:
        """Whether this daemon may act at this moment."""
        return self.wire.now.steady < self._held_until

    @property
    def write_seconds(self) -> float:
        """How long a write that is sent now may take, at most: at least a sixth of the term, while this daemon leads."""
        return self._held_until - ACT_SECONDS + TERM_SECONDS - SPARE_SECONDS - self.wire.now.steady

    @property
    def why_not(self) -> str:
        """Why this daemon does not act, and what happens next, for people."""
        if self.holder:
            ends = f"stops, or is not heard of for {TERM_SECONDS} s"
            return f"{self.holder} holds the Lease; this daemon stands by, and acts when that one {ends}"
        return f"the Lease could not be renewed on {self.home.name}; this daemon writes nothing until it is, which it tries every second"

    def start(self) -> None:
        """Read it, and take it when it may be taken."""
        if not self._stopped:
            self.home.ask("GET", self._path, self._read, timeout_seconds=RENEW_SECONDS)

    def release(self) -> None:
        """Give it back, so that another need not wait for the term to end."""
        self._stopped = True
        self.wire.cancel("lease")
        if self.leading:
            self._held_until = 0.0
            self._write(self._seen[0], holder="", then=lambda _: None)

    def _again(self, seconds: float) -> None:
        if not self._stopped:
            self.home.after("lease", self.wire.jitter.spread(seconds), self.start)

    def _read(self, answer: Answer) -> None:
        if answer.status == 404:
            self._end()  # whoever deleted it may have deleted more
            self._absent()
            return
        if answer.status != 200:
            self._again(RETRY_SECONDS)
            return
        try:
            body = msgspec.json.decode(answer.body)
            version, spec = body["metadata"]["resourceVersion"], body.get("spec") or {}
            holder = str(spec.get("holderIdentity") or "")
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            self._again(RENEW_SECONDS)
            return
        if (version, holder) != self._seen:
            self._seen, self._seen_at = (version, holder), self.wire.now.steady
        if holder in ("", self.identity) or self.wire.now.steady >= self._seen_at + TERM_SECONDS:
            self._take(version)
            return
        if self.holder != holder:
            # A person took it from us, perhaps: whoever holds it may act from now on, and our term ends with this.
            self.holder, self._held_until = holder, 0.0
            self._on_change()
        self._again(STANDBY_SECONDS)

    def _absent(self) -> None:
        """It was never made; or somebody deleted it under its holder, who does not know that yet, and acts.

        Ours is made anew at once as long as nobody else can have come to hold it. Else a whole term of absence must pass: when it was
        last seen says nothing, for it may have been renewed since.
        """
        version, holder = self._seen
        is_over = self.wire.now.steady >= self._seen_at + TERM_SECONDS
        if not holder:
            self._is_first(self._first)
        elif (holder == self.identity and not is_over) or (not version and is_over):
            self._take("")
        else:
            if version:
                self._seen, self._seen_at = ("", SOMEBODY), self.wire.now.steady
            self._again(STANDBY_SECONDS)

    def _first(self, is_first: bool) -> None:
        if is_first:
            self._take("")
            return
        self._seen, self._seen_at = ("", SOMEBODY), self.wire.now.steady
        self.holder = SOMEBODY
        self._on_change()
        self._again(STANDBY_SECONDS)

    def _take(self, version: str) -> None:
        asked_at = self.wire.now.steady
        self._write(version, self.identity, lambda answer: self._written(answer, asked_at))

    def _write(self, version: str, holder: str, then: Callable[[Answer], None]) -> None:
        at = dt.datetime.fromtimestamp(self.wire.now.wall, dt.UTC)
        now = at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        body: dict[str, Any] = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NAME, **({"resourceVersion": version} if version else {})},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": TERM_SECONDS, "renewTime": now},
        }
        self.home.ask(
            "PUT" if version else "POST",
            self._path if version else self._collection,
            then,
            body=msgspec.json.encode(body),
            content_type="application/json",
            timeout_seconds=RENEW_SECONDS,
        )

    def _written(self, answer: Answer, asked_at: float) -> None:
        if self._stopped:
            return
        if answer.status == 404:
            self.home.after("lease", RETRY_SECONDS, self._on_absent)
            return
        if answer.status not in (200, 201):
            self._again(RETRY_SECONDS)
            return
        try:
            version = msgspec.json.decode(answer.body)["metadata"]["resourceVersion"]
        except (msgspec.DecodeError, KeyError, TypeError):
            self._again(RETRY_SECONDS)
            return
        # A renewal that made it (Leases are made by PUT too): whoever deleted it may have deleted more, so this is another term.
        was_leading = self.leading and answer.status == 200
        self._seen, self._seen_at = (version, self.identity), self.wire.now.steady
        self._held_until = asked_at + ACT_SECONDS
        self.holder = ""
        self.wire.at("lease-ends", self._held_until, self._ended)
        self.home.after("lease", self.wire.jitter.spread(RENEW_SECONDS), self._renew)
        if not was_leading:
            self._on_change()

    def _renew(self) -> None:
        """A PUT makes what is not there: after a whole term (the process did not run) it may be another's that was deleted."""
        if self.wire.now.steady < self._seen_at + TERM_SECONDS:
            self._take(self._seen[0])
        else:
            self.start()

    def _end(self) -> None:
        if self.leading:
            self._held_until = 0.0
            self._on_change()

    def _ended(self) -> None:
        if not self.leading and not self._stopped:
            self._on_change()
            self._again(0.0)
