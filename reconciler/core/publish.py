"""The status branch: when what is known goes out, and onto which commit.

Law of the module: one commit per batch, with only the files that changed, and only onto the tip that was read; whoever else writes
there loses nothing, and at rest nothing is written (specs/reliability-security.md, I33 to I37). What stands on the branch is read
before the first push of a life: the times of transitions come from there, and an unchanged state writes nothing after a restart.
No failure here delays an apply; it is told once, and tried again later and later.

A push begins the branch anew after `HISTORY_LIMIT` commits, so that a clone stays small. How many there are is written beside
the status, since nobody counts commits without fetching them.
"""

from __future__ import annotations

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
from .status_files import UNITS_FOLDER, Before, path_of, read_back, unit_file
from .status_page import Line
from .wire import Wire

BATCH_SECONDS = 0.3
BURST = 8  # commits in a row that wait for no more than that; then each waits twice as long as the one before
START_LIMIT_SECONDS = 30.0
"""After a restart nothing is told before all is looked at, so that nobody reads "Unknown" of what is well; at most so long."""
BACK_OFF_BASE_SECONDS = 5.0
BACK_OFF_CAP_SECONDS = 600.0
UNIT_FILES_LIMIT = 5_000
HISTORY_LIMIT = 1_000
RACES_LIMIT = 5  # lost in a row before anybody hears of it
PAGE = "STATUS.md"
HISTORY = "status/history.yaml"

_COUNT = re.compile(rb"^commits: ([0-9]{1,9})$", re.MULTILINE)
_READ = re.compile(rb"^read: ([0-9a-f]{40,64})$", re.MULTILINE)
Tip = CommitId | None | Literal["unknown"]


class Rendered(NamedTuple):
    """A unit as it was rendered, for as long as its report is the same value."""

    unit: UnitReport
    path: str
    line: Line
    content: bytes


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
        self._burst = 0
        self._told: object = None
        self._before: dict[UnitKey, Before] = {}  # of units that this life has not told of
        self._older: dict[UnitKey, Commit] = {}  # by which commit an earlier life saw a unit changed,
        self._read_before: str | None = None  # when this was the last one that it had read
        self._rendered: dict[UnitKey, Rendered] = {}

    # -- what happens ----------

    def touch(self) -> None:
        """Something of the report has moved."""
        self._dirty = True

    def refs_listed(self) -> None:
        """The source's refs have been listed: perhaps somebody else has written to the branch."""
        if not self._busy and self._tip != "unknown" and self._listed_tip() != self._tip:
            self._tip = "unknown"

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be published, or it cannot be and that has been told."""
        if not self._ref or self.problem or not self.source.loaded:
            return True
        waits = self._busy or self._dirty or self._due or self._tip == "unknown"
        return not waits and not self.wire.has_timer(("counts", self.source.name))

    def run(self) -> None:
        """Publish what is due, or see to it that it will be."""
        if not self._ref or self._busy or self.wire.has_timer(("status again", self.source.name)):
            return
        if not self.source.loaded:
            return
        if self._tip == "unknown":
            self._look()
        elif self._due:
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
        if self.wire.now.steady - self._pushed_at >= self.settings.status_seconds:
            self._burst = 0
        return float(min(max(BATCH_SECONDS, self.settings.status_seconds), BATCH_SECONDS * 2.0 ** max(0, self._burst - BURST)))

    # -- reading what the branch holds ----------

    def _listed_tip(self) -> CommitId | None:
        return (self.source.refs or {}).get(self._ref)

    def _look(self) -> None:
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
        self._relist = False
        self._note(tip)
        self._files = files
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
        report = self._report()
        if report is None:
            return
        self._dirty = False
        self.wire.cancel(("counts", self.source.name))
        units = [unit for unit in report.units if unit.key.source == self.source.name]
        told = (
            report.commits[self.source.name],
            bool(report.source_problems[self.source.name]),
            tuple((name, state) for name, (state, _) in report.clusters.items()),
            {unit.key: _essence(unit) for unit in units},
        )
        wait = self._pushed_at + self.settings.status_seconds - self.wire.now.steady
        if told == self._told and wait > 0:
            self._later("counts", wait)  # nothing else has changed: no hurry
            return
        files = self._changed_files(report, units)
        if files:
            self._push(files, units, told)
        else:
            self._told = told

    def _report(self) -> Report | None:
        """How everything stands, with the times of an earlier life where the state is still the same; None: not yet."""
        report = self.reports.report()
        if self._started_at is not None:
            waits = self._started_at + START_LIMIT_SECONDS - self.wire.now.steady
            if not report.settled and waits > 0:
                self._later("status", min(waits, 2 * BATCH_SECONDS))
                return None
            self._started_at = None
        carried = False
        for unit in report.units:
            before = self._before.pop(unit.key, None)
            if before is not None and before.state == unit.state and before.since < unit.since:
                self.reports.since.states[unit.key] = (before.state, before.since)
                self.reports.touch(unit.key)
                carried = True
        return self.reports.report() if carried else report

    def _changed_files(self, report: Report, units: list[UnitReport]) -> dict[str, bytes | None]:
        """What must be written so that the branch says what the report does."""
        wanted: dict[str, bytes] = {}
        rendered: dict[UnitKey, Rendered] = {}
        for unit in units:
            path = path_of(unit.key) if len(rendered) < UNIT_FILES_LIMIT else ""
            held = self._rendered.get(unit.key)
            if held is None or held.unit is not unit or held.path != path:
                commit = self._commit_of(unit)
                content = unit_file(unit, commit) if path else b""
                held = Rendered(unit, path, status_page.line(unit, commit, path), content)
            rendered[unit.key] = held
            if path:
                wanted[path] = held.content
        self._rendered = rendered
        wanted[PAGE] = status_page.page(self.source.settings, report, [held.line for held in rendered.values()])
        files: dict[str, bytes | None] = {path: content for path, content in wanted.items() if self._files.get(path) != content}
        files.update((path, None) for path in self._files if path.startswith(UNITS_FOLDER) and path not in wanted)
        return files

    def _commit_of(self, unit: UnitReport) -> Commit | None:
        """The commit that last changed a unit. What was read first in this life may know better: there everything is one step."""
        before = self._older.get(unit.key)
        if before is not None and unit.commit is not None and unit.commit.id == self._read_before:
            return before
        return unit.commit

    def _push(self, files: dict[str, bytes | None], units: list[UnitReport], told: object) -> None:
        commit = self.source.desired.commit
        removed = (read_back(self._files[path]) for path, content in files.items() if content is None)
        changes = [status_page.changed(unit) for unit in units if self._rendered[unit.key].path in files]
        changes += [status_page.gone(before.key) for before in removed if before is not None]
        found = _COUNT.search(self._files.get(HISTORY, b""))
        count = int(found[1]) + 1 if found and self._tip is not None else 1
        anew = count > HISTORY_LIMIT
        files[HISTORY] = _history(1 if anew else count, commit)
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

    def _pushed(self, answer: Pushed, files: dict[str, bytes], told: object) -> None:
        self._busy = False
        if answer.outcome == "pushed":
            self._note(answer.commit)
            self._files, self._told = files, told
            self._pushed_at = self.wire.now.steady
            self._burst += 1
            self._failures = self._races = 0
            if self.problem:
                self.wire.log("info", "status published again", source=self.source.name)
            self.problem = ""
            return
        self._races += answer.outcome == "stale"
        if answer.outcome == "stale" and self._races < RACES_LIMIT:
            self._again(BATCH_SECONDS)
        else:
            self._failed(f"{answer.outcome}: {answer.message}")

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
    return (unit.state, unit.waits_for, commit, lanes, unit.problems, unit.gates)


def _history(count: int, commit: Commit | None) -> bytes:
    return f"# The branch begins anew after {HISTORY_LIMIT} commits.\ncommits: {count}\nread: {commit.id if commit else ''}\n".encode()
