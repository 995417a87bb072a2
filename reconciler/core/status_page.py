"""`STATUS.md` and the messages of status commits: how everything stands, for people.

Law of the module: pure; the same report gives the same bytes. What waits for a person comes first, what is well comes last, and
nothing is left out without saying how much. All text from elsewhere goes through `markdown`. Instants are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .approvals import Idle
from .identity import UnitKey
from .kind import Json, State
from .markdown import escaped, message_text
from .messages import Commit
from .report import Report, UnitReport, waits_for
from .settings import SourceSettings
from .status_files import instant
from .told import Table

PAGE_LIMIT_BYTES = 1_000_000
LIST_LIMIT = 100  # of those who wait, and of problems
CELL_LIMIT = 240  # characters
TRAILERS_LIMIT = 50
CLUSTERS_SHOWN = 8

_ORDER: tuple[State, ...] = ("Waiting", "Failed", "Held", "Unknown", "Paused", "Reconciling", "Healthy")
_HEAD = "| UNIT | CLUSTERS | STATE | SINCE | REVISION | WAITS FOR |\n| --- | --- | --- | --- | --- | --- |\n"


@dataclass(frozen=True, slots=True)
class Line:
    """One unit on the page, rendered once for as long as its report stays the same."""

    key: UnitKey
    state: State
    row: str
    waits: tuple[str, ...]
    problems: tuple[str, ...]
    of_its_own: tuple[str, str, str] | None = None  # title and head of the table of its kind, and its row there


def row_of(table: Table, body: Json, link: str) -> tuple[str, str, str]:
    """The row of a root in the table of its kind, with the title and the head of that. `link` is the path of its object's file."""
    columns = [column for column in table.columns if column.page or not column.wide]
    metadata = body["metadata"]
    name = escaped("/".join(filter(None, (metadata.get("namespace"), metadata["name"]))), 120)
    cells = [f"[{name}]({link})" if link else name]
    for column in columns:
        text = escaped(column.text(body)[:7] if column.form == "commit" else column.text(body), CELL_LIMIT)
        cells.append(f"`{text}`" if column.form == "commit" and text else text)
    heads = ["NAME", *(column.name for column in columns)]
    head = f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
    return table.plural.capitalize(), head, f"| {' | '.join(cells)} |\n"


def line(unit: UnitReport, commit: Commit | None, link: str, row_of_its_own: tuple[str, str, str] | None = None) -> Line:
    """Render one unit. `link` is its file's path, "" where it has none."""
    waiting = waits_for(unit, commit)
    name = escaped(str(unit.key), 120)
    shown = f"[{name}]({link})" if link else name
    revision = f"`{commit.id[:7]}`" if commit else ""
    why = escaped(_why(unit, waiting), CELL_LIMIT)
    row = f"| {shown} | {_clusters(unit)} | {unit.state} | {instant(unit.since)} | {revision} | {why} |\n"
    waits = [f"* **{name}**: {escaped(waiting, 2 * CELL_LIMIT)}\n"] if waiting and (unit.gates or unit.cause) else []
    waits += [f"  * {escaped(gate.message, CELL_LIMIT)} (revision `{_digest(gate.revision)}`)\n" for gate, _ in unit.gates[:10]]
    problems = tuple(f"* {escaped(text, 2 * CELL_LIMIT)}\n" for text in _problems(unit))
    return Line(unit.key, unit.state, row, tuple(waits), problems, row_of_its_own)


def page(settings: SourceSettings, report: Report, lines: Sequence[Line]) -> bytes:
    """The whole page of one source; `lines` in order of key."""
    commit = report.commits.get(settings.name)
    states = {state: sum(held.state == state for held in lines) for state in _ORDER}
    parts = [f"# Status of {escaped(settings.name, 100)}\n\n", _tip(settings, commit), _summary(states)]
    problem = report.source_problems.get(settings.name, "")
    if problem:
        parts.append(f"The source cannot be read: {escaped(problem, 2 * CELL_LIMIT)}. What was read last stands.\n\n")
    clusters = [(name, why or state) for name, (state, why) in sorted(report.clusters.items()) if state != "up"]
    down = [f"* {escaped(name, 100)}: {escaped(why, CELL_LIMIT)}\n" for name, why in clusters]
    parts += _section("Waits for a person", [text for held in lines for text in held.waits])
    parts += _section("Clusters that do not answer", down)
    idle = report.idle.get(settings.name, ())
    parts += _section("Problems", [text for held in lines for text in held.problems] + _approvals(idle, spent=False))
    parts += _section("Approvals that have done their work", _approvals(idle, spent=True))
    rows: dict[tuple[str, str], list[str]] = {}
    for held in lines:
        if held.of_its_own is not None:
            title, head, row = held.of_its_own
            rows.setdefault((title, head), []).append(row)
    rows["Units", _HEAD] = [held.row for state in _ORDER for held in lines if held.state == state]
    for (title, head), of_it in rows.items():
        parts += _table(title, head, of_it, sum(len(part.encode("utf-8", "replace")) for part in parts))
    return "".join(parts).encode("utf-8", "replace")


def _approvals(idle: Sequence[Idle], *, spent: bool) -> list[str]:
    return [f"* {escaped(f'{one.place}: {one.message}', 2 * CELL_LIMIT)}\n" for one in idle if one.spent == spent]


def _tip(settings: SourceSettings, commit: Commit | None) -> str:
    ref = escaped(settings.ref.removeprefix("refs/heads/").removeprefix("refs/tags/"), 200)
    where = f"{ref}, folder {escaped(settings.path, 200)}" if settings.path else ref
    return f"{where}: `{commit.id[:7]}` {escaped(commit.subject, 200)}\n\n" if commit else f"{where}: not read yet\n\n"


def _summary(states: Mapping[State, int]) -> str:
    total = sum(states.values())
    counts = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    return f"{total} unit{'' if total == 1 else 's'}: {counts}\n\n" if total else "No units.\n\n"


def _section(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    more = [f"* … and {len(items) - LIST_LIMIT} more\n"] if len(items) > LIST_LIMIT else []
    return [f"## {title}\n\n", *items[:LIST_LIMIT], *more, "\n"]


def _table(title: str, head: str, rows: list[str], used: int) -> list[str]:
    if not rows:
        return []
    parts = [f"## {title}\n\n", head]
    room = PAGE_LIMIT_BYTES - used - 500
    for number, row in enumerate(rows):
        room -= len(row.encode("utf-8", "replace"))
        if room < 0:
            parts.append(f"\n… and {len(rows) - number} more\n")
            break
        parts.append(row)
    return [*parts, "\n"] if title != "Units" else parts


def _clusters(unit: UnitReport) -> str:
    names = list(dict.fromkeys(lane.cluster for lane in unit.lanes))
    more = f" and {len(names) - CLUSTERS_SHOWN} more" if len(names) > CLUSTERS_SHOWN else ""
    return " ".join(escaped(name, 60) for name in names[:CLUSTERS_SHOWN]) + more


def _why(unit: UnitReport, waiting: str) -> str:
    held = [lane.message for lane in unit.lanes if lane.state == "Held" and lane.message]
    return waiting or "; ".join(dict.fromkeys([*held, *([unit.message] if unit.message else [])]))


def _problems(unit: UnitReport) -> list[str]:
    """Each once: a file that cannot be read holds its folder in every cluster."""
    texts = [unit.message] if unit.state == "Held" and unit.message else []
    texts += [f"{place}: {text}" for place, text in unit.problems[:LIST_LIMIT]]
    for lane in unit.lanes:
        if lane.state == "Held" and lane.message:
            texts.append(lane.message)
        texts += [f"{found.place}: {found.object} on {lane.cluster} {found.message}" for found in lane.unwell if found.place]
    return list(dict.fromkeys(texts))


def _digest(revision: str) -> str:
    return message_text(revision, 80).removeprefix("sha256:")[:12]


# -- commit messages ----------


@dataclass(frozen=True, slots=True)
class Change:
    """One unit that a commit tells of; `state` "gone" where nothing is left of it."""

    key: UnitKey
    state: str
    clusters: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = [message_text(name, 60) for name in self.clusters[:CLUSTERS_SHOWN]]
        more = f" and {len(self.clusters) - CLUSTERS_SHOWN} more" if len(self.clusters) > CLUSTERS_SHOWN else ""
        where = f" on {', '.join(shown)}{more}" if shown else ""
        return f"{message_text(str(self.key), 80)}: {self.state}{where}"


def commit_message(changes: Sequence[Change], commit: Commit | None) -> str:
    """The message of one status commit: a subject, and a trailer for each unit (`git interpret-trailers` reads them)."""
    revision = commit.id[:7] if commit else "nothing read"
    if len(changes) == 1:
        subject = str(changes[0])
    elif changes:
        counts: dict[str, int] = {}
        for state in (*_ORDER, "gone"):
            number = sum(change.state == state for change in changes)
            if number:
                counts[state] = number
        subject = f"{len(changes)} units: {', '.join(f'{number} {state}' for state, number in counts.items())}"
    else:
        subject = "Status"
    trailers = [f"Reconciler-Unit: {change}" for change in changes[:TRAILERS_LIMIT]]
    if len(changes) > TRAILERS_LIMIT:
        trailers.append(f"Reconciler-More-Units: {len(changes) - TRAILERS_LIMIT}")
    if commit is not None:
        trailers.append(f"Reconciler-Commit: {commit.id}")
    return "\n".join([f"{subject} ({revision})", "", *trailers, "Reconciler-Status: 1"]) + "\n"


def changed(unit: UnitReport) -> Change:
    """A unit's entry in a commit message."""
    return Change(unit.key, unit.state, tuple(dict.fromkeys(str(lane.cluster) for lane in unit.lanes)))


def gone(key: UnitKey) -> Change:
    """The entry of a unit of which nothing is left."""
    return Change(key, "gone")


