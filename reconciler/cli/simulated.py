"""How a simulation is told: the timeline as it comes, a table at the end, and the same for machines.

Law of the module: events become text, nothing is asked. Times are virtual, from the beginning. What many units do within one second is
one line; on a terminal a sentence goes on below itself, and is never cut.
"""

from __future__ import annotations

import posixpath
import textwrap
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from reconciler import __version__
from reconciler.core.identity import UnitKey
from reconciler.core.report import UnitReport
from reconciler.lib.durations import brief
from reconciler.lib.plain import cut, pad, plain, width

from . import standing, tables

if TYPE_CHECKING:
    from reconciler.sim.future import Future, Outcome
    from reconciler.sim.timeline import Event

    from .future import Read

NAMES = 3  # of units in a line that tells of many
ONE_LINE = {"Healthy": 6, "Reconciling": 1, "Unknown": 1}
"""So many units may reach a state within one second on lines of their own."""
FAULTS_LINES = 4
TIME_COLUMNS, WHO_COLUMNS = 11, (18, 30)
_WORST = ("Failed", "Held", "Unknown", "Waiting", "Paused", "Reconciling", "Healthy")


def offset(seconds: float) -> str:
    """Virtual time since the beginning: "+5s", "+1m05s", "+1h00m05s"."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"+{hours}h{minutes:02}m{rest:02}s"
    return f"+{minutes}m{rest:02}s" if minutes else f"+{rest}s"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


class Telling:
    """Tells one simulation. `limit` is how wide a line may be, None where nothing limits it."""

    def __init__(self, read: Read, future: Future, path: str, limit: int | None) -> None:
        self._read = read
        self._future = future
        self._path = path
        self._limit = limit
        self._second: list[Event] = []
        folders = {posixpath.dirname(name) or "." for step in future.steps for name in step.files}
        least, most = WHO_COLUMNS
        self._who = min(most, (limit or 90) // 3, max([least, *map(width, folders)]))

    def begin(self) -> list[str]:
        """What is simulated."""
        clusters = ", ".join(cluster.name for cluster in self._read.clusters)
        files, manifests = _count(self._read.files, "file"), _count(self._read.manifests, "manifest")
        faults = {"none": "no faults", "some": "some faults", "all": "all sorts of faults"}[self._future.level]
        head = f"Simulation of {self._path}: {files}, {manifests}; on {clusters}; {faults}, seed {self._future.seed}"
        lines = [line for text in (head, *self._read.notes) for line in self._wrapped("", "", text)]
        return [*lines, ""]

    def feed(self, event: Event) -> list[str]:
        """One more event; the lines of the second before it, once that is over."""
        if self._second and int(event.at) != int(self._second[0].at):
            lines = self._flush()
            self._second = [event]
            return lines
        self._second.append(event)
        return []

    def end(self, outcome: Outcome, again: str) -> list[str]:
        """The last second, the table, and what came of it all."""
        lines = [*self._flush(), ""]
        table = _table(outcome, self._limit)
        lines += [*table, ""] if table else []
        lines += [line for text in _summary(self._future, outcome) for line in self._wrapped("", "", text)]
        return lines + (_broken(outcome, again) if outcome.failure else [])

    # -- lines ----------

    def _flush(self) -> list[str]:
        events, self._second = self._second, []
        told: dict[tuple[str, str], None] = {}
        lines: list[str] = []
        for event in events:
            same = [other for other in events if (other.sort, other.state) == (event.sort, event.state)]
            if not _is_many(event, same):
                lines += self._line(event)
            elif (event.sort, event.state) not in told:
                told[event.sort, event.state] = None
                lines += self._lines_of_many(event, same)
        return lines

    def _line(self, event: Event) -> list[str]:
        details = "; ".join(part for part in (event.text, self._counts([event])) if part)
        text = f"{event.state}: {details}" if event.state and details else event.state or details
        return self._wrapped(offset(event.at), event.who, text, event.state or {"broken": "error", "fault": "warning"}.get(event.sort, ""))

    def _lines_of_many(self, event: Event, same: list[Event]) -> list[str]:
        if event.sort == "fault":
            kinds = Counter(other.text.partition(":")[0] for other in same)
            text = ", ".join(f"{kind} ×{number}" if number > 1 else kind for kind, number in kinds.items())
            return self._wrapped(offset(event.at), _count(len(same), "fault"), text, "warning")
        names = list(dict.fromkeys(other.who for other in same))
        rest = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
        details = "; ".join(part for part in (", ".join(names[:NAMES]) + rest, self._counts(same)) if part)
        return self._wrapped(offset(event.at), _count(len(names), "unit"), f"{event.state}: {details}", event.state)

    def _counts(self, events: Iterable[Event]) -> str:
        """What was written: "6 made on eu, 1 deleted on us"."""
        total: Counter[tuple[str, str]] = Counter()
        for event in events:
            for cluster, verb, number in event.counts:
                total[cluster, verb] += number
        alone = len(self._read.clusters) == 1
        return ", ".join(f"{number:,} {verb}" + ("" if alone else f" on {cluster}") for (cluster, verb), number in total.items())

    def _wrapped(self, time: str, who: str, text: str, word: str = "") -> list[str]:
        """Time, who and what; what does not fit goes on below. `word` colours the state, or all of it."""
        text, start = plain(text), TIME_COLUMNS + self._who + 2 if time else 0
        parts = [text] if self._limit is None else textwrap.wrap(text, max(20, self._limit - start), break_on_hyphens=False) or [""]
        head = f"{pad(time, TIME_COLUMNS)}{pad(cut(plain(who), self._who), self._who)}  " if time else ""
        first = tables.painted(word, word) + parts[0][len(word) :] if word and parts[0].startswith(word) else tables.painted(parts[0], word)
        return [f"{head}{first}".rstrip(), *(" " * (start if time else 2) + part for part in parts[1:])]


def _is_many(event: Event, same: list[Event]) -> bool:
    if event.sort == "fault":
        return len(same) > FAULTS_LINES
    return event.sort == "unit" and len(same) > ONE_LINE.get(event.state, len(same))


# -- the end ----------


def _table(outcome: Outcome, limit: int | None) -> list[str]:
    units = {unit.key: unit for unit in outcome.report.units} if outcome.report is not None else {}
    keys = sorted({**units, **outcome.totals}, key=lambda key: (_WORST.index(units[key].state) if key in units else len(_WORST), key))
    healthy = [key for key in keys if key in units and units[key].state == "Healthy"]
    hidden = dict.fromkeys(healthy[standing.HEALTHY_ROWS :])
    header = ("UNIT", "CLUSTERS", "STATE", "OBJECTS", "MADE", "CHANGED", "DELETED", "WAITS FOR")
    rows = [_row(key, units.get(key), outcome) for key in keys if key not in hidden]
    lines = tables.table(header, rows, limit, state=2) if rows else []
    return lines + ([f"healthy: {len(hidden)} more"] if hidden else [])


def _row(key: UnitKey, unit: UnitReport | None, outcome: Outcome) -> tuple[str, ...]:
    totals = outcome.totals.get(key, Counter())
    counts = (str(totals["made"]), str(totals["changed"]), str(totals["deleted"]))
    if unit is None:
        return (str(key), "", "gone", "0", *counts, "")
    clusters = " ".join(dict.fromkeys(lane.cluster for lane in unit.lanes))
    objects = sum(lane.objects for lane in unit.lanes)
    return (str(key), clusters, unit.state, str(objects), *counts, unit.waits_for or unit.message)


def _summary(future: Future, outcome: Outcome) -> list[str]:
    counts, units = outcome.counts, outcome.report.units if outcome.report is not None else ()
    states = Counter(unit.state for unit in units)
    paused = f", {states['Paused']} paused" if states["Paused"] else ""
    written = [f"{sum(total[verb] for total in outcome.totals.values()):,} {verb}" for verb in ("made", "changed", "deleted")]
    lines = []
    if outcome.left:
        lines.append(f"{_count(outcome.left, 'commit')} not reached within {brief(future.until)}: give more time with --until.")
    if not outcome.rests and not outcome.failure:
        lines.append("It did not come to rest: something still moves, or waits for what nobody here gives.")
    lines.append(f"{states['Healthy']} of {_count(len(units), 'unit')} healthy{paused}; objects: {', '.join(written)}.")
    lines.append(f"{_count(counts['requests'], 'request')} ({_count(counts['writes'], 'write')}), {_count(counts['commits'], 'commit')}.")
    if future.level != "none":
        lines[-1] = f"{lines[-1][:-1]}; {_count(counts['faults'], 'fault')}, {_count(counts['lives'] - 1, 'restart')}."
    held = "an invariant does not hold" if outcome.failure else f"all checks held ({sum(outcome.met.values()):,} looks)"
    return [*lines, f"{offset(outcome.virtual_seconds)[1:]} of virtual time, seed {future.seed}: {held}."]


def _broken(outcome: Outcome, again: str) -> list[str]:
    """What to do about a broken invariant; the command is never wrapped, for it will be copied."""
    return [
        "",
        tables.painted(plain(f"{outcome.invariant}: {outcome.failure}"), "error"),
        f"That is a bug of reconciler {__version__}, not of the repository. To see it again:",
        f"  {plain(again)}",
    ]


# -- for machines ----------


def as_data(future: Future, events: list[Event], outcome: Outcome, again: str) -> dict[str, Any]:
    """All of it, in a fixed order."""
    report = standing.as_data(outcome.report) if outcome.report is not None else {"units": []}
    totals = {str(key): total for key, total in outcome.totals.items()}
    for unit in report["units"]:
        unit["written"] = {verb: totals.get(unit["unit"], Counter())[verb] for verb in ("made", "changed", "deleted")}
    return {
        "source": future.source,
        "clusters": [cluster.name for cluster in future.clusters],
        "seed": future.seed,
        "faults": future.level,
        "healthy": outcome.healthy,
        "rests": outcome.rests,
        "commitsLeft": outcome.left,
        "virtualSeconds": round(outcome.virtual_seconds, 3),
        "counts": {name: outcome.counts[name] for name in ("requests", "writes", "commits", "faults", "lives")},
        "checks": dict(sorted(outcome.met.items())),
        "broken": {"invariant": outcome.invariant, "message": outcome.failure, "version": __version__, "again": again}
        if outcome.failure
        else None,
        "trace": outcome.trace,
        "units": report["units"],
        "events": [_event_data(event) for event in events],
    }


def _event_data(event: Event) -> dict[str, Any]:
    written = [{"cluster": cluster, "verb": verb, "count": count} for cluster, verb, count in event.counts]
    return {"seconds": event.at, "what": event.sort, "who": event.who, "state": event.state, "text": event.text, "written": written}
