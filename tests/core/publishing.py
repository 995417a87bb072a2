"""A publisher in virtual time, with a branch in memory: for tests of what is pushed, when, and how often.

Law of the module: the wire, the source, the reports' memory and the publisher are the real ones; the engine behind them is a table
of unit reports that the test fills.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from reconciler.core.identity import ClusterName, CommitId, Instant, SourceName, UnitKey, folder
from reconciler.core.kind import State
from reconciler.core.messages import (
    Commit,
    CommitChanges,
    Effect,
    FilesRead,
    GitFailure,
    Input,
    ListRefs,
    Log,
    Push,
    Pushed,
    ReadFiles,
    RefsListed,
)
from reconciler.core.objects import Shown
from reconciler.core.publish import Publisher
from reconciler.core.report import LaneReport, Report, Since, UnitReport
from reconciler.core.reports import Reports
from reconciler.core.settings import ClusterSettings, Settings, SourceSettings
from reconciler.core.sources import Source
from reconciler.core.wire import Wire

FLEET = SourceName("fleet")
STATUS = "refs/heads/reconciler-status"
MAIN = "refs/heads/main"
START = 1_700_000_000.0


def lane(cluster: str = "eu", state: State = "Healthy", message: str = "", **fields: Any) -> LaneReport:
    values: dict[str, Any] = {"objects": 6, "healthy": 6, "unwell": (), "left_alone": (), "prune": None, **fields}
    return LaneReport(cluster=ClusterName(cluster), state=state, message=message, **values)


def unit(name: str = "apps/shop", state: State = "Healthy", commit: Commit | None = None, **fields: Any) -> UnitReport:
    values: dict[str, Any] = {
        "message": "",
        "waits_for": "",
        "since": START,
        "lanes": (lane("eu", state), lane("us", state)),
        "problems": (),
        "gates": (),
        "record": None,
        **fields,
    }
    key = values.pop("key", folder(FLEET, name))
    return UnitReport(key=key, state=state, commit=commit, **values)


def commit_of(number: int, subject: str = "Shop 1.0", author: str = "Ada") -> Commit:
    return Commit(CommitId(hashlib.sha1(str(number).encode()).hexdigest()), None, author, "ada@example.org", START, subject)


@dataclass
class Store:
    installation: str = "one"


@dataclass
class Engine:
    store: Store = field(default_factory=Store)


class Objects:
    """Units alone, without objects of kinds that have a status."""

    def root(self, unit: UnitReport, commit: Commit | None) -> Shown | None:
        return None


class Told:
    """Stands where the engine's reports stand: a table of units, and the real memory of since when."""

    def __init__(self, wire: Wire, source: Source, installation: str) -> None:
        self.wire = wire
        self.source = source
        self.engine = Engine(Store(installation))
        self.since = Since()
        self.settled = True
        self.objects = Objects()
        self.units: dict[UnitKey, UnitReport] = {}
        self.described: dict[UnitKey, UnitReport] = {}

    def set(self, *units: UnitReport) -> None:
        for told in units:
            self.units[told.key] = told
            self.touch(told.key)

    def touch(self, key: UnitKey) -> None:
        self.described.pop(key, None)

    def report(self) -> Report:
        for key in sorted(self.units):
            if key not in self.described:
                since = self.since.of(key, self.units[key].state, self.wire.now.wall)
                self.described[key] = dataclasses.replace(self.units[key], since=since)
        return Report(
            at=self.wire.now.wall,
            commits={FLEET: self.source.desired.commit},
            source_problems={FLEET: self.source.problem},
            clusters={ClusterName("eu"): ("up", ""), ClusterName("us"): ("up", "")},
            leading=True,
            standing_by="",
            units=tuple(self.described[key] for key in sorted(self.units)),
            settled=self.settled,
        )


@dataclass
class Branch:
    """A repository in memory: commits with their files, and refs."""

    refs: dict[str, CommitId] = field(default_factory=dict)
    files: dict[CommitId, dict[str, bytes]] = field(default_factory=dict)
    parents: dict[CommitId, CommitId | None] = field(default_factory=dict)
    pushes: list[Push] = field(default_factory=list)
    fail: Literal["", "refused", "unreachable", "lost answer"] = ""
    before_push: Callable[[], None] = lambda: None

    def write(self, files: dict[str, bytes | None], ref: str = STATUS) -> None:
        """Somebody else commits."""
        tip = self.refs.get(ref)
        self.refs[ref] = self._commit(tip, {**self.files.get(tip, {})} if tip else {}, files)

    def _commit(self, parent: CommitId | None, base: dict[str, bytes], changes: dict[str, bytes | None]) -> CommitId:
        files = {path: content for path, content in {**base, **changes}.items() if content is not None}
        made = CommitId(hashlib.sha1(f"{parent}{sorted(files.items())}".encode()).hexdigest())
        self.files[made], self.parents[made] = files, parent
        return made

    @property
    def tip(self) -> dict[str, bytes]:
        return self.files[self.refs[STATUS]]

    @property
    def page(self) -> str:
        return self.tip["STATUS.md"].decode()

    def answer(self, effect: Effect) -> Input:
        if isinstance(effect, ListRefs):
            return RefsListed(effect.id, GitFailure("gone away") if self.fail == "unreachable" else dict(self.refs))
        if isinstance(effect, ReadFiles):
            files = self.files[effect.commit].items()
            return FilesRead(effect.id, {path: content for path, content in files if path.startswith(effect.prefix)})
        assert isinstance(effect, Push)
        self.before_push()
        self.pushes.append(effect)
        if self.fail in ("refused", "unreachable"):
            return Pushed(effect.id, cast(Any, self.fail), message="the branch is protected")
        if self.refs.get(effect.ref) != effect.expected:
            return Pushed(effect.id, "stale", message="the branch moved")
        assert effect.force or effect.base == effect.expected
        self.refs[effect.ref] = made = self._commit(effect.base, self.files[effect.base] if effect.base else {}, effect.files)
        return Pushed(effect.id, "unreachable") if self.fail == "lost answer" else Pushed(effect.id, "pushed", made)


class Life:
    """One life of a daemon's publisher. `now` moves only in `run`."""

    def __init__(self, branch: Branch, *units: UnitReport, now: float = START, settled: bool = True, **settings: Any) -> None:
        installation = settings.pop("installation", "one")
        self.branch = branch
        self.now = now
        self.wire = Wire(b"test")
        self.logs: list[Log] = []
        self.effects: list[Effect] = []
        of = SourceSettings(FLEET, "http://example.org/fleet.git", **settings)
        self.source = Source(of, self.wire, lambda *_: None, lambda *_: self.publisher.refs_listed())
        self.told = Told(self.wire, self.source, installation)
        self.told.settled = settled
        every = Settings((of,), (ClusterSettings(ClusterName("eu")), ClusterSettings(ClusterName("us"))), "me", ClusterName("eu"))
        self.publisher: Publisher = Publisher(self.wire, self.source, every, cast(Reports, self.told))
        self._inputs: list[Input] = []
        self.read(commit_of(1))
        self.told.set(*units)

    def read(self, commit: Commit) -> None:
        """The source has read a commit."""
        self.branch.refs[MAIN] = commit.id
        self.source.desired.fold(CommitChanges(commit, ()))
        self.publisher.touch()

    def say(self, *units: UnitReport) -> None:
        self.told.set(*units)
        self.publisher.touch()

    def poll(self) -> None:
        """The source lists its refs, and tells of it."""
        self.source.refs = dict(self.branch.refs)
        self.publisher.refs_listed()
        self.publisher.touch()

    def run(self, seconds: float = 5.0) -> Life:
        """Let so much time pass, with every answer a hundredth of a second later."""
        end = self.now + seconds
        while self.now <= end:
            self._step()
            wake = self.now + 0.01 if self._inputs else (self.wire.wake_at or end + 1)
            if wake > end:
                break
            self.now = max(wake, self.now)
        self.now = max(end, self.now)
        return self

    def _step(self) -> None:
        self.wire.now, self.wire.effects = Instant(self.now, self.now), []
        inputs, self._inputs = self._inputs, []
        for message in inputs:
            self.wire.deliver(message)
        self.wire.fire()
        self.publisher.run()
        for effect in self.wire.effects:
            if isinstance(effect, Log):
                self.logs.append(effect)
            else:
                self.effects.append(effect)
                self._inputs.append(self.branch.answer(effect))

    @property
    def pushes(self) -> int:
        return sum(isinstance(effect, Push) for effect in self.effects)

