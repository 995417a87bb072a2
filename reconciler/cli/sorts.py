"""Objects of our kinds (instances, targets, solutions) as `get` lists them: the columns and the status are their kind's own.

Law of the module: knows no kind; read off an engine that does not act, in order of source, namespace and name. For machines an object is
as `kubectl get -o yaml` would show it: as it is written, with its status.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from reconciler.core.engine import Engine
from reconciler.core.identity import GroupKind, Place, UnitKey
from reconciler.core.kind import Kind
from reconciler.core.report import Report
from reconciler.core.status_files import epoch
from reconciler.core.told import Column, Table
from reconciler.kinds import KINDS
from reconciler.lib import durations
from reconciler.lib.plain import width

from . import tables
from .listing import Pick


class Sort(NamedTuple):
    """What a person means by a word: a table, and the family that it is of."""

    kind: Kind
    table: Table


class Listed(NamedTuple):
    """One object, and where it is written."""

    body: dict[str, Any]
    place: Place


def sort_of(word: str) -> Sort | None:
    """The sort of object that a word names, as kubectl reads such words; None where our kinds have none."""
    return next((Sort(kind, table) for kind in KINDS for table in kind.tables if _names(table, word.lower())), None)


def _names(table: Table, word: str) -> bool:
    """`instance`, `instances`, with `.group` or `.version.group` behind."""
    first, dot, rest = word.partition(".")
    for number, kind in enumerate(table.kinds):
        plural = f"{kind.kind.lower()}s" if number else table.plural
        if first in (kind.kind.lower(), plural):
            return not dot or rest == kind.group or rest.partition(".")[2] == kind.group
    return False


def find(engine: Engine, report: Report, sort: Sort, pick: Pick) -> list[Listed]:
    """The objects that are meant."""
    objects = engine.reports.objects
    guests = objects.guests()
    units = {unit.key: unit for unit in report.units}
    found: dict[tuple[str, str, str], Listed] = {}
    for source, manifest in objects.manifests(sort.table.kinds):
        at = (source, manifest.namespace, manifest.name)
        meant = pick.name in ("", manifest.name) and pick.namespace in ("", manifest.namespace or "default")
        if not meant or not sort.table.shows(manifest) or at in found:
            continue
        if GroupKind(manifest.group, manifest.kind) in sort.kind.roots and sort.kind.is_root(manifest):
            unit = units.get(UnitKey(source, manifest.group, manifest.kind, manifest.namespace, manifest.name))
            shown = objects.root(unit, unit.commit, guests) if unit is not None else None
            body = shown.body if shown is not None else manifest.body()  # not looked at yet
            clusters = [str(lane.cluster) for lane in unit.lanes] if unit is not None else []
        else:
            body = objects.reference(source, sort.kind, manifest, guests)
            clusters = [str(lane.lane.cluster) for lane in guests.get((source, manifest.name), ())]
        if pick.cluster in ("", *clusters):
            found[at] = Listed(body, manifest.place())
    return [found[at] for at in sorted(found)]


def as_text(found: list[Listed], sort: Sort, now: float, limit: int | None, *, wide: bool) -> list[str]:
    """The table. A column that is sparse is left out where it says nothing, and stands below its row where there is no room."""
    columns = [column for column in sort.table.columns if not column.sparse or any(column.text(one.body) for one in found)]
    beside = [column for column in columns if not column.wide]
    cells = [[_cell(column, one.body, now, wide=wide) for column in beside] for one in found]
    spaced = any(one.body["metadata"].get("namespace") for one in found)
    header, rows = _named(found, ["NAME", *(column.name for column in beside)], cells, spaced=spaced)
    full = max(width(line) for line in tables.table(header, rows, None))
    below = [column for column in columns if column.wide and wide]
    if limit is not None and full > limit:
        below = [*(column for column in beside if column.sparse), *below]
        kept = [number for number, column in enumerate(beside) if not column.sparse]
        header, rows = _named(found, ["NAME", *(beside[n].name for n in kept)], [[row[n] for n in kept] for row in cells], spaced=spaced)
    made = tables.table(header, rows, limit, state=header.index("STATUS") if "STATUS" in header else None)
    lines = made[:1]
    for one, line in zip(found, made[1:], strict=True):
        lines.append(line)
        texts = [(column.name.lower(), column.text(one.body)) for column in below]
        texts += [("written at", str(one.place))] if wide else []
        lines += [part for name, text in texts if text for part in tables.wrapped(f"{name}: {text}", "  ", limit)]
    return lines


def _named(found: list[Listed], header: list[str], cells: list[list[str]], *, spaced: bool) -> tuple[list[str], list[list[str]]]:
    """Header and rows with the names, and the namespaces where any object has one."""
    rows = []
    for one, row in zip(found, cells, strict=True):
        metadata = one.body["metadata"]
        rows.append([*([metadata.get("namespace") or "default"] if spaced else []), metadata["name"], *row])
    return [*(["NAMESPACE"] if spaced else []), *header], rows


def _cell(column: Column, body: dict[str, Any], now: float, *, wide: bool) -> str:
    text = column.text(body)
    if column.form == "commit":
        return text[:7]
    if column.form == "since" and not wide and (at := epoch(text)) is not None:
        return durations.brief(now - at)
    return text


def as_data(found: list[Listed], pick: Pick) -> dict[str, Any]:
    """One object that was asked for by its name, else a list, as kubectl prints them."""
    if pick.name and len(found) == 1:
        return found[0].body
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [one.body for one in found]}
