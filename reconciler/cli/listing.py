"""Single objects: what Git wants of a kind, and how each of them is on its cluster.

Law of the module: read off an engine that does not act; values in a fixed order. What an object contains is not shown: that is kubectl's
business, and might be a Secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.core.engine import Engine
from reconciler.core.identity import ObjectId, Place, UnitKey
from reconciler.core.kind import State
from reconciler.core.lanes import Item
from reconciler.core.ownership import COMMIT
from reconciler.core.status_files import epoch
from reconciler.lib import durations

from . import tables

_STATES: dict[str, State] = {
    "healthy": "Healthy",
    "progressing": "Reconciling",
    "pending": "Reconciling",
    "failed": "Failed",
    "blocked": "Failed",
}


@dataclass(frozen=True, slots=True)
class Pick:
    """Which objects are meant; "" for all. `kind` in lower case: the kind, its plural, or either with its group."""

    kind: str
    name: str = ""
    namespace: str = ""
    cluster: str = ""

    def means(self, id: ObjectId, plural: str, cluster: str) -> bool:
        """Whether it is one of them; `plural` "" where the cluster has not said it."""
        words = [id.kind.lower(), *([plural] if plural else [])]
        return (
            self.kind in (*words, *(f"{word}.{id.group}" for word in words))
            and self.name in ("", id.name)
            and self.namespace in ("", id.namespace)
            and self.cluster in ("", cluster)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One wanted object, and how it is. `since` is when the live object was created, None where there is none."""

    id: ObjectId
    cluster: str
    unit: UnitKey
    state: State
    message: str
    since: float | None
    commit: str
    place: Place


def rows(engine: Engine, pick: Pick) -> list[Row]:
    """The objects that are meant."""
    return sorted((row_of(engine, item) for item in items(engine, pick)), key=lambda row: (row.id, row.cluster))


def items(engine: Engine, pick: Pick) -> list[Item]:
    """The wanted objects that are meant, in no order."""
    return [item for item in _items(engine) if pick.means(item.id or item.wanted.id, _plural(item), item.work.lane.cluster)]


def kinds(engine: Engine) -> list[str]:
    """All kinds that are wanted anywhere, in order."""
    found = {item.wanted.id.group_kind: None for item in _items(engine)}
    return [str(kind) for kind in sorted(found, key=lambda kind: (kind.kind, kind.group))]


def _items(engine: Engine) -> Iterator[Item]:
    for work in engine.work.all_lanes():
        yield from work.items.values()


def _plural(item: Item) -> str:
    return item.resource.plural if item.resource else ""


def row_of(engine: Engine, item: Item) -> Row:
    """One wanted object."""
    cluster = engine.clusters[item.work.lane.cluster]
    live = cluster.owned(item.id) if item.id else None
    state, message = _STATES[item.standing], item.message
    if item.work.held is not None:
        state, message = "Held", item.work.held.reason
    elif cluster.state != "up":
        state, message = "Unknown", f"{cluster.name} cannot be reached: {cluster.problem}"
    elif item.planned in ("create", "change") and not message:
        message = "does not exist yet" if item.planned == "create" else "differs from Git"
    source = engine.sources[item.work.unit.source]
    read = source.desired.changed_by(item.wanted.place.path) or source.desired.commit
    commit = live.annotations.get(COMMIT, "") if live else ""
    return Row(
        item.id or item.wanted.id,
        cluster.name,
        item.work.unit,
        state,
        message,
        epoch(live.body()["metadata"].get("creationTimestamp")) if live else None,
        commit or (read.id if read else ""),
        item.wanted.place,
    )


def as_text(found: list[Row], now: float, limit: int | None, *, wide: bool) -> list[str]:
    """The table."""
    header: tuple[str, ...] = ("NAME", "CLUSTER", "NAMESPACE", "UNIT", "STATE", "AGE", "COMMIT", "MESSAGE")
    lines: list[tuple[str, ...]] = []
    for row in found:
        age = "" if row.since is None else tables.moment(row.since) if wide else durations.brief(now - row.since)
        commit = row.commit if wide else row.commit[:7]
        cells = (row.id.name, row.cluster, row.id.namespace, str(row.unit), row.state, age, commit, row.message)
        lines.append((*cells, str(row.place)) if wide else cells)
    return tables.table((*header, "PLACE") if wide else header, lines, limit, state=4)


def as_data(row: Row) -> dict[str, Any]:
    """One object for machines."""
    return {
        "group": row.id.group,
        "kind": row.id.kind,
        "namespace": row.id.namespace,
        "name": row.id.name,
        "cluster": row.cluster,
        "unit": str(row.unit),
        "state": row.state,
        "message": row.message,
        "created": tables.moment(row.since) if row.since is not None else None,
        "commit": row.commit,
        "place": str(row.place),
    }
