"""The status branch: when what is known goes out, and onto which commit.

Law of the module: one commit per batch, with only the files that changed, and only onto the tip that was read; whoever else writes
there loses nothing, and at rest nothing is written (specs/reliability-security.md, I33 to I37). What stands on the branch is read
before the first push of a life: the times of transitions come from there, and an unchanged state writes nothing after a restart.
No failure here delays an apply; it is told once, and tried again later and later.

A push begins the branch anew after `HISTORY_LIMIT` commits, so that a clone stays small. How many there are is written beside
the status, since nobody counts commits without fetching them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable
from typing import Literal, NamedTuple

from . import status_page
from .identity import CommitId, UnitKey
from .messages import Commit, FilesRead, GitFailure, ListRefs, Push, Pushed, ReadFiles, RefsListed
from .report import Report, UnitReport
from .reports import Reports
from .settings import Settings
from .sources import Source
from .status_files import UNITS_FOLDER, Before, is_object_path, object_file, object_path, path_of, read_back, unit_file
from .status_page import Line
from .wire import Wire

BATCH_SECONDS = 0.3
BURST = 8
"""Commits in a row that wait for no more than that; then each waits twice as long, until there is one every `status_seconds`."""
START_LIMIT_SECONDS = 30.0
"""After a restart nothing is told before all is looked at, so that nobody reads "Unknown" of what is well; at most so long."""
BACK_OFF_BASE_SECONDS = 5.0
BACK_OFF_CAP_SECONDS = 600.0
UNIT_FILES_LIMIT = 5_000
RENDERS_PER_STEP = 200  # some 20 ms, so that the Lease and the clusters get their turn
HISTORY_LIMIT = 1_000
RACES_LIMIT = 5  # lost in a row before anybody hears of it
PAGE = "STATUS.md"
HISTORY = "status/history.yaml"

_COUNT = re.compile(rb"^commits: ([0-9]{1,9})$", re.MULTILINE)
_READ = re.compile(rb"^read: ([0-9a-f]{40,64})$", re.MULTILINE)
_WRITER = re.compile(rb"^writer: ([0-9a-f]{12})$", re.MULTILINE)
Tip = CommitId | None | Literal["unknown"]


class Rendered(NamedTuple):
    """A unit as it was rendered, for as long as its report is the same value."""

    unit: UnitReport
    path: str
    line: Line
    essence: Hashable  # what people hear of at once
    files: dict[str, bytes]  # with that at `path`, if there is one, the object of a root as its own API shows it


class Publisher:
    """The status branch of one source. `run` at the end of every step in which this daemon leads."""

    def __init__(self, wire: Wire, source: Source, settings: Settings, reports: Reports) -> None:
        self.wire = wire
        self.source = source
        self.settings = settings
        self.reports = reports
        self.problem = ""  # why nothing can be published, in words for people
        branch = source.settings.status_branch
        self._ref = f"refs/heads/{branch}" if branch and settings.act else ""
        self._tip: Tip = "unknown"
        self._files: dict[str, bytes] = {}  # what the branch holds at `_tip`
        self._busy = False
        self._relist = False
        self._failures = 0
        self._races = 0
        self._dirty = True
        self._due = False
        self._started_at: float | None = None  # of this life, where an earlier one has published
        self._pushed_at = float("-inf")
        self._burst = 0.0
        self._told: object = None
        self._before: dict[UnitKey, Before] = {}  # of units that this life has not told of
        self._older: dict[UnitKey, Commit] = {}  # by which commit an earlier life saw a unit changed,
        self._read_before: str | None = None  # when this was the last one that it had read
        self._gathered: Report | None = None  # what is being told: one report, however many steps it takes to render
        self._stale: list[tuple[UnitReport, str]] = []  # what of it is still to be rendered, and where
        self._rendered: dict[UnitKey, Rendered] = {}

    # -- what happens ----------

    def touch(self) -> None:
        """Something of the report has moved."""
        self._dirty = True

    def refs_listed(self) -> None:
        """The source's refs have been listed: perhaps somebody else has written to the branch."""
        known = not self._busy and self._tip != "unknown" and self.source.refs is not None
        if known and self._listed_tip() != self._tip:
            self._tip = "unknown"

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be published, or it cannot be and that has been told."""
        if not self._ref or self.problem or not self.source.loaded:
            return True
        waits = self._busy or self._dirty or self._due or self._gathered is not None or self._tip == "unknown"
        return not waits and not self.wire.has_timer(("counts", self.source.name))

    def run(self) -> None:
        """Publish what is due, or see to it that it will be."""
        if not self._ref or not self.source.loaded or self.wire.has_timer(("status again", self.source.name)):
            return
        if not self._busy and self._tip == "unknown":
            self._look()
        if self._busy or self._tip == "unknown":
            return
        if self._due:
            self._due = False
            self._publish()
        elif self._dirty and not self.wire.has_timer(("status", self.source.name)):
            self._later("status", self._batch_seconds())

    def _later(self, what: str, seconds: float) -> None:
        self.wire.after((what, self.source.name), seconds, self._fall_due)

    def _fall_due(self) -> None:
        self._due = True

    def _batch_seconds(self) -> float:
        """How long to gather changes: longer and longer where they do not end."""
        seconds: float = BATCH_SECONDS * 2.0 ** max(0.0, self._recent() - BURST)
        return min(seconds, max(BATCH_SECONDS, self.settings.status_seconds))

    def _recent(self) -> float:
        """How many commits there were lately: one is forgotten every `status_seconds`."""
        quiet = self.wire.now.steady - self._pushed_at
        return max(0.0, self._burst - quiet / max(BATCH_SECONDS, self.settings.status_seconds))

    # -- reading what the branch holds ----------

    def _listed_tip(self) -> CommitId | None:
        return (self.source.refs or {}).get(self._ref)

    def _look(self) -> None:
        if self._ref == self.source.settings.ref:
            self._failed(f"{self._ref} is the branch that is followed; status needs a branch of its own")
            return
        if self.source.refs is not None and not self._relist:
            self._read(self._listed_tip())
            return
        self._busy = True
        self.wire.git(ListRefs, self._listed, self.source.name)

    def _listed(self, message: RefsListed) -> None:
        self._busy = False
        if isinstance(message.refs, GitFailure):
            self._failed(message.refs.message)
        else:
            self._read(message.refs.get(self._ref))

    def _read(self, tip: CommitId | None) -> None:
        if tip is None:
            self._take(None, {})
            return

        def read(message: FilesRead) -> None:
            self._busy = False
            if isinstance(message.files, GitFailure):
                self._failed(message.files.message)
            else:
                self._take(tip, message.files)

        self._busy = True
        self.wire.git(ReadFiles, read, self.source.name, ref=self._ref, commit=tip)

    def _take(self, tip: CommitId | None, files: dict[str, bytes]) -> None:
        """Start from what the branch holds."""
        writer = _WRITER.search(files.get(HISTORY, b""))
        if writer and writer[1].decode() != self._writer:
            # Two daemons on one branch would answer each other's commits for ever.
            self._failed(f"{self._ref} is written by another daemon or for another source; name another branch, or delete this one")
            return
        self._relist = False
        self._note(tip)
        self._files, self._told = files, None
        self._dirty = True
        for path, content in files.items():
            before = read_back(content) if path.startswith(UNITS_FOLDER) else None
            if before is not None and before.key.source == self.source.name and path == path_of(before.key):
                self._before[before.key] = before
        if self._read_before is None:
            found = _READ.search(files.get(HISTORY, b""))
            self._read_before = found[1].decode() if found else ""
            self._older = {key: before.commit for key, before in self._before.items() if before.commit is not None}
            self._started_at = self.wire.now.steady if self._before else None

    def _note(self, tip: CommitId | None) -> None:
        self._tip = tip
        if self.source.refs is not None:
            if tip is None:
                self.source.refs.pop(self._ref, None)
            else:
                self.source.refs[self._ref] = tip

    # -- publishing ----------

    def _publish(self) -> None:
        if self._gathered is None:
            self._gather()
        for _ in range(min(RENDERS_PER_STEP, len(self._stale))):
            self._render(*self._stale.pop())
        report = self._gathered
        if report is None or self._stale:
            self._later("status", 0.0 if self._stale else 2 * BATCH_SECONDS)
            return
        self._gathered = None
        self._rendered = {unit.key: self._rendered[unit.key] for unit in report.units if unit.key.source == self.source.name}
        self.wire.cancel(("counts", self.source.name))
        told = (
            report.commits[self.source.name],
            bool(report.source_problems[self.source.name]),
            tuple((name, state) for name, (state, _) in report.clusters.items()),
            [held.essence for held in self._rendered.values()],
        )
        wait = self._pushed_at + self.settings.status_seconds - self.wire.now.steady
        if told == self._told and wait > 0:
            self._later("counts", wait)  # nothing else has changed: no hurry
            return
        files = self._changed_files(report)
        if files:
            self._push(files, told)
        else:
            self._succeeded(told)

    def _gather(self) -> None:
        """Take what is to be told from here on; nothing yet, while a life that follows another is still looking around."""
        report = self.reports.report()
        if self._started_at is not None:
            if not report.settled and self.wire.now.steady < self._started_at + START_LIMIT_SECONDS:
                return
            self._started_at = None
        carried = False
        for unit in report.units:
            before = self._before.pop(unit.key, None)
            if before is not None and before.state == unit.state and before.since != unit.since // 1:
                self.reports.since.states[unit.key] = (before.state, before.since)
                self.reports.touch(unit.key)
                carried = True
        self._gathered = report = self.reports.report() if carried else report
        self._dirty = False
        units = [unit for unit in report.units if unit.key.source == self.source.name]
        for number, unit in enumerate(units):
            held = self._rendered.get(unit.key)
            path = number < UNIT_FILES_LIMIT
            if held is None or held.unit is not unit or bool(held.path) != path:
                self._stale.append((unit, path_of(unit.key) if path else ""))

    def _render(self, unit: UnitReport, path: str) -> None:
        commit = self._commit_of(unit)
        files = {path: unit_file(unit, commit)} if path else {}
        shown = self.reports.objects.root(unit, commit)
        link = object_path(unit.key, shown.lane) if shown is not None and path else ""
        if shown is not None and link:
            files[link] = object_file(shown.body)
        elif path and unit.state == "Held":  # perhaps it only cannot be read
            files.update((old, content) for old, content in self._files.items() if is_object_path(old, unit.key))
        row = status_page.row_of(shown.table, shown.body, link) if shown is not None and shown.table is not None else None
        self._rendered[unit.key] = Rendered(unit, path, status_page.line(unit, commit, path, row), _essence(unit), files)

    def _changed_files(self, report: Report) -> dict[str, bytes | None]:
        """What must be written so that the branch says what the report does."""
        wanted = {path: content for held in self._rendered.values() for path, content in held.files.items()}
        wanted[PAGE] = status_page.page(self.source.settings, report, [held.line for held in self._rendered.values()])
        files: dict[str, bytes | None] = {path: content for path, content in wanted.items() if self._files.get(path) != content}
        ours = (path for path in self._files if path.startswith(UNITS_FOLDER) or is_object_path(path))
        files.update((path, None) for path in ours if path not in wanted)
        return files

    def _commit_of(self, unit: UnitReport) -> Commit | None:
        """The commit that last changed a unit. What was read first in this life may know better: there everything is one step."""
        before = self._older.get(unit.key)
        if before is not None and unit.commit is not None and unit.commit.id == self._read_before:
            return before
        return unit.commit

    def _push(self, files: dict[str, bytes | None], told: object) -> None:
        commit = self.source.desired.commit
        removed = (read_back(self._files[path]) for path, content in files.items() if content is None)
        changes = [status_page.changed(held.unit) for held in self._rendered.values() if any(path in files for path in held.files)]
        changes += [status_page.gone(before.key) for before in removed if before is not None]
        found = _COUNT.search(self._files.get(HISTORY, b""))
        count = int(found[1]) + 1 if found and self._tip is not None else 1
        anew = count > HISTORY_LIMIT
        files[HISTORY] = self._history(1 if anew else count, commit)
        after = {path: content for path, content in {**self._files, **files}.items() if content is not None}
        self._busy = True
        self.wire.git(
            Push,
            lambda answer: self._pushed(answer, after, told),
            self.source.name,
            ref=self._ref,
            expected=self._tip,
            base=None if anew else self._tip,
            files=after if anew else files,
            message=status_page.commit_message(changes, commit),
            at=self.wire.now.wall,
            force=anew,
        )

    @property
    def _writer(self) -> str:
        """Who we are, without telling the installation's id to all who read the branch."""
        return hashlib.sha256(f"{self.reports.engine.store.installation}/{self.source.name}".encode()).hexdigest()[:12]

    def _history(self, count: int, commit: Commit | None) -> bytes:
        lines = (
            f"# The branch begins anew after {HISTORY_LIMIT} commits.",
            f"commits: {count}",
            f"read: {commit.id if commit else ''}",
            f"writer: {self._writer}",
        )
        return ("\n".join(lines) + "\n").encode()

    def _pushed(self, answer: Pushed, files: dict[str, bytes], told: object) -> None:
        self._busy = False
        if answer.outcome == "pushed":
            self._note(answer.commit)
            self._files = files
            self._burst = self._recent() + 1.0
            self._pushed_at = self.wire.now.steady
            self._succeeded(told)
            return
        self._races += answer.outcome == "stale"
        if answer.outcome == "stale" and self._races < RACES_LIMIT:
            self._again(BATCH_SECONDS)
        else:
            self._failed(f"{answer.outcome}: {answer.message}")

    def _succeeded(self, told: object) -> None:
        """The branch says how everything stands."""
        if self.problem:
            self.wire.log("info", "status published again", source=self.source.name, branch=self._ref)
        self._told, self.problem = told, ""
        self._failures = self._races = 0

    def _failed(self, why: str) -> None:
        self._failures += 1
        if not self.problem:
            self.wire.log("warning", "status not published", source=self.source.name, branch=self._ref, reason=why)
        self.problem = why
        self._again(self.wire.jitter.back_off(self._failures, BACK_OFF_BASE_SECONDS, BACK_OFF_CAP_SECONDS))

    def _again(self, seconds: float) -> None:
        """Ask where the branch is, read it, and decide anew, so much later."""
        self._tip, self._relist, self._dirty = "unknown", True, True
        self.wire.after(("status again", self.source.name), seconds, lambda: None)


def _essence(unit: UnitReport) -> Hashable:
    """What of a unit people hear of at once; counts and words may wait."""
    commit = unit.commit.id if unit.commit else None
    lanes = tuple((lane.cluster, lane.state) for lane in unit.lanes)
    why = unit.message if unit.state == "Held" else ""
    return (unit.state, why, unit.waits_for, commit, lanes, unit.problems, unit.gates)

