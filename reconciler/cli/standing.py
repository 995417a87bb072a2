"""How everything stands: the table of `status` and `run --once`, and the same for machines.

Law of the module: a report becomes text, nothing is asked. What needs somebody comes first and is told in full; what is healthy is a
row, and beyond HEALTHY_ROWS a number.
"""

from __future__ import annotations

from typing import Any

import click

from reconciler.core.messages import Commit
from reconciler.core.report import Report, UnitReport, waits_for
from reconciler.lib import durations
from reconciler.lib.plain import plain

from . import tables
from .tables import Format

HEALTHY_ROWS = 10
SHORT = 7  # digits of a commit
_ORDER = ("Failed", "Held", "Unknown", "Waiting", "Paused", "Reconciling", "Healthy")


def show(report: Report, form: Format) -> None:
    """Print it."""
    if form in ("json", "yaml"):
        tables.show(as_data(report), form)
        return
    for line in as_text(report, tables.columns(), wide=form == "wide"):
        click.echo(line)


# -- for people ----------


def as_text(report: Report, limit: int | None, *, wide: bool) -> list[str]:
    """The lines of the table, with what was read above and the healthy rest below."""
    lines = [tables.fitted(line, limit) for line in _head(report)]
    units = sorted(report.units, key=lambda unit: (_ORDER.index(unit.state), unit.key))
    shown = [unit for number, unit in enumerate(units) if wide or unit.state != "Healthy" or _nth_healthy(units, number) < HEALTHY_ROWS]
    if shown:
        header = ("UNIT", "CLUSTERS", "STATE", "SINCE", "REVISION", "WAITS FOR")
        lines += ["", *tables.table(header, [_row(unit, report.at, wide=wide) for unit in shown], limit, state=2)]
    if len(units) > len(shown):
        lines.append(f"healthy: {len(units) - len(shown)} more")
    for unit in shown:
        lines += [tables.fitted(line, limit) for line in _below(unit)]
    idle = [one for found in report.idle.values() for one in found if wide or not one.spent]
    lines += [tables.fitted(f"{one.place}  {one.message}", limit) for one in idle]
    return lines


def _nth_healthy(units: list[UnitReport], number: int) -> int:
    return number - sum(unit.state != "Healthy" for unit in units)


def _head(report: Report) -> list[str]:
    lines = []
    for name, commit in report.commits.items():
        problem = report.source_problems.get(name)
        if commit is not None:
            lines.append(f"{name}: {revision(commit)}, {durations.brief(report.at - commit.at)} ago")
        if problem or commit is None:
            lines.append(f"{name}: cannot be read: {problem}" if problem else f"{name}: not read yet")
    up = [name for name, (state, _) in report.clusters.items() if state == "up"]
    of = f" of {len(report.clusters)}" if len(up) < len(report.clusters) else ""
    lines.append(f"{len(up)}{of} cluster{'' if len(report.clusters) == 1 else 's'} reachable")
    lines += [f"{name}: {problem or 'has not answered'}" for name, (state, problem) in report.clusters.items() if state != "up"]
    if report.standing_by:
        lines.append(f"standing by: {report.standing_by}")
    return lines


def _row(unit: UnitReport, now: float, *, wide: bool) -> tuple[str, ...]:
    since = tables.moment(unit.since) if wide else durations.brief(now - unit.since)
    commit = (unit.commit.id if wide else unit.commit.id[:SHORT]) if unit.commit else ""
    clusters = " ".join(dict.fromkeys(lane.cluster for lane in unit.lanes))
    why = waits_for(unit, unit.commit) or ("" if unit.state == "Healthy" else unit.message)
    return (str(unit.key), clusters, unit.state, since, commit, why)


def _below(unit: UnitReport) -> list[str]:
    """What one line of the table could not say: further problems, fields left alone."""
    lines = [f"{place}  {message}" for place, message in unit.problems[1:]]
    for lane in unit.lanes:
        lines += [f"{unit.key} on {lane.target or lane.cluster}: left alone: {text}" for text in lane.left_alone]
    return lines


def revision(commit: Commit) -> str:
    """A commit for people: seven digits and its subject."""
    return f'{commit.id[:SHORT]} "{plain(commit.subject)}"'


# -- for machines ----------


def as_data(report: Report) -> dict[str, Any]:
    """Everything that the table shows, and more, in a fixed order."""
    return {
        "at": tables.moment(report.at),
        "healthy": report.healthy,
        "settled": report.settled,
        "leading": report.leading,
        "standingBy": report.standing_by,
        "sources": [
            {"name": name, "commit": commit_data(commit), "problem": report.source_problems.get(name, "")}
            for name, commit in report.commits.items()
        ],
        "clusters": [{"name": name, "state": state, "problem": problem} for name, (state, problem) in report.clusters.items()],
        "idleApprovals": [
            {"source": name, "place": str(one.place), "message": one.message, "spent": one.spent}
            for name, found in report.idle.items()
            for one in found
        ],
        "units": [_unit_data(unit) for unit in report.units],
    }


def commit_data(commit: Commit | None) -> dict[str, Any] | None:
    """A commit, as far as people are told of it."""
    if commit is None:
        return None
    return {"id": commit.id, "subject": commit.subject, "author": commit.author, "at": tables.moment(commit.at)}


def _unit_data(unit: UnitReport) -> dict[str, Any]:
    return {
        "unit": str(unit.key),
        "source": unit.key.source,
        "group": unit.key.group,
        "kind": unit.key.kind,
        "namespace": unit.key.namespace,
        "name": unit.key.name,
        "state": unit.state,
        "message": unit.message,
        "waitsFor": waits_for(unit, unit.commit),
        "since": tables.moment(unit.since),
        "commit": commit_data(unit.commit),
        "problems": [{"place": str(place), "message": message} for place, message in unit.problems],
        "gates": [
            {"name": gate.name, "revision": gate.revision, "message": gate.message, "cluster": cluster} for gate, cluster in unit.gates
        ],
        "clusters": [
            {
                "cluster": lane.cluster,
                **({"target": lane.target} if lane.target else {}),
                "state": lane.state,
                "message": lane.message,
                "objects": lane.objects,
                "healthy": lane.healthy,
                "unwell": [
                    {"object": one.object, "standing": one.standing, "message": one.message, "place": str(one.place or "")}
                    for one in lane.unwell
                ],
                "leftAlone": list(lane.left_alone),
                "waitingToPrune": lane.prune.count if lane.prune else 0,
            }
            for lane in unit.lanes
        ],
    }
