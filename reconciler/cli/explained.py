"""One object, explained: who wants it, where that is written and by whom, what was applied, and what it waits for.

Law of the module: read off an engine that does not act; values in a fixed order. Of what an object contains only differences are shown,
as plans show them: nothing of a Secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.core import paths
from reconciler.core.change import describe
from reconciler.core.engine import Engine
from reconciler.core.identity import ClusterName, ObjectId, Place, SourceName, UnitKey
from reconciler.core.lanes import Item
from reconciler.core.messages import Commit
from reconciler.core.observed import Live
from reconciler.core.ownership import COMMIT, FIELD_MANAGER
from reconciler.core.status_files import epoch
from reconciler.lib import durations

from . import standing, tables
from .listing import Pick, items, row_of
from .planned import is_mark

TITLE = 14  # columns before a fact
NOBODY = "nobody: it is no longer in Git"


@dataclass(frozen=True, slots=True)
class Applied:
    """What stands on the cluster of ours. Times are epoch seconds, None where nobody says."""

    uid: str
    created: float | None
    at: float | None  # our last write that changed anything
    commit: str  # that had changed its file last by then
    fields: int  # that are ours


@dataclass(frozen=True, slots=True)
class Explained:
    """One object on one cluster. `by` is the commit that changed last what is written, `differs` what an apply would change."""

    id: ObjectId
    cluster: str
    state: str
    message: str
    wanted_by: str
    written: tuple[Place, ...]
    by: Commit | None
    applied: Applied | None
    differs: tuple[str, ...]
    left_alone: tuple[str, ...]


def written(engine: Engine, pick: Pick) -> Iterator[tuple[SourceName, str]]:
    """The files in which what is meant is written: of these one has to know who changed them last."""
    for item in items(engine, pick):
        yield from ((item.work.unit.source, place.path) for place in _places(engine, item))


def find(engine: Engine, pick: Pick) -> list[Explained]:
    """All that is meant: what Git wants, and what is still there though Git wants it no more."""
    found = [_wanted(engine, item) for item in items(engine, pick)]
    for (unit, cluster), owned in engine.pruner.leftovers().items():
        found += [_leftover(engine, unit, cluster, live) for live in owned if pick.means(live.id, live.resource.plural, cluster)]
    return sorted(found, key=lambda one: (one.id, one.cluster, one.wanted_by))


def _places(engine: Engine, item: Item) -> tuple[Place, ...]:
    """Where the object is written, and the root that asks for it, where that is another file."""
    unit = engine.units.units.get(item.work.unit)
    roots = unit.spec.manifests[:1] if unit is not None and unit.spec is not None and not item.work.unit.is_folder else ()
    others = (root.place() for root in roots if root.path != item.wanted.place.path)
    return (item.wanted.place, *others)


def _wanted(engine: Engine, item: Item) -> Explained:
    lane, unit = item.work.lane, item.work.unit
    cluster = engine.clusters[lane.cluster]
    live = cluster.owned(item.id) if item.id else None
    row = row_of(engine, item)
    desired = engine.sources[unit.source].desired
    places = _places(engine, item)
    commits = [commit for place in places if (commit := desired.changed_by(place.path)) is not None]
    target = f", target {lane.target}" if lane.target else ""
    part = f", component {item.wanted.part}" if item.wanted.part else ""
    return Explained(
        id=row.id,
        cluster=lane.cluster,
        state=row.state,
        message=row.message,
        wanted_by=f"{unit}{target}{part}",
        written=places,
        by=max(commits, key=lambda commit: commit.at, default=desired.commit),
        applied=_applied(live) if live is not None else None,
        differs=tuple(describe(change) for change in item.changes if not is_mark(change)),
        left_alone=item.left_alone,
    )


def _leftover(engine: Engine, unit: UnitKey, cluster: ClusterName, live: Live) -> Explained:
    waiting = engine.pruner.waiting.get((unit, cluster))
    message = live.going if live.deleting else waiting.reason if waiting is not None else "is deleted when the daemon comes to it"
    gate = f"; approval {waiting.gate.name}" if waiting is not None and waiting.gate is not None else ""
    return Explained(live.id, cluster, "Waiting", message + gate, f"{NOBODY} (it was of {unit})", (), None, _applied(live), (), ())


def _applied(live: Live) -> Applied:
    body = live.body()
    metadata = body["metadata"]
    ours = [entry for entry in paths.entries(body) if paths.is_ours(entry.owner, FIELD_MANAGER)]
    times = [item.get("time") for item in metadata.get("managedFields") or () if item.get("manager") == FIELD_MANAGER]
    written_at = [at for at in map(epoch, times) if at is not None]
    return Applied(
        uid=live.uid,
        created=epoch(metadata.get("creationTimestamp")),
        at=max(written_at, default=None),
        commit=live.annotations.get(COMMIT, ""),
        fields=sum(_leaves(entry.fields) for entry in ours),
    )


def _leaves(fields: paths.Fields) -> int:
    """How many fields a tree of fieldsV1 names that name none below themselves."""
    count, waiting = 0, [fields]
    while waiting:
        for name, below in waiting.pop().items():
            if isinstance(below, dict) and below:
                waiting.append(below)
            else:
                count += name != "."
    return count


# -- for people, and for machines ----------


def as_text(found: list[Explained], now: float, limit: int | None, *, wide: bool) -> list[str]:
    """A paragraph an object."""
    lines: list[str] = []
    for one in found:
        lines += [""] if lines else []
        state = tables.painted(one.state, one.state)
        lines.append(f"{tables.fitted(f'{one.id} on {one.cluster}', limit)}: {state}")
        for title, texts in _facts(one, now, wide=wide):
            parts = [part for text in texts for part in tables.wrapped(text, "", limit and limit - TITLE)]
            lines += [f"  {'' if number else title:<{TITLE - 2}}{part}" for number, part in enumerate(parts)]
    return lines


def _facts(one: Explained, now: float, *, wide: bool) -> list[tuple[str, list[str]]]:
    by = [f"{standing.revision(one.by)}, {one.by.author}, {_ago(one.by.at, now, wide=wide)}"] if one.by else []
    return [
        ("Wanted by", [one.wanted_by]),
        ("Written at", [str(place) for place in one.written]),
        ("By", by),
        ("Applied", [_applied_text(one.applied, now, wide=wide)]),
        ("Differs", list(one.differs)),
        ("Left alone", list(one.left_alone)),
        ("Says", [one.message] if one.message else []),
    ]


def _applied_text(applied: Applied | None, now: float, *, wide: bool) -> str:
    if applied is None:
        return "nothing of ours stands there"
    commit = applied.commit if wide else applied.commit[: standing.SHORT]
    facts = [f"as of {commit}"] if commit else []
    facts += [_ago(applied.at, now, wide=wide)] if applied.at is not None else []
    facts += [f"{applied.fields} field{'' if applied.fields == 1 else 's'} ours", f"uid {applied.uid}"]
    return ", ".join(facts)


def _ago(at: float, now: float, *, wide: bool) -> str:
    return tables.moment(at) if wide else f"{durations.brief(now - at)} ago"


def as_data(one: Explained) -> dict[str, Any]:
    """One object for machines."""
    applied = one.applied
    return {
        "group": one.id.group,
        "kind": one.id.kind,
        "namespace": one.id.namespace,
        "name": one.id.name,
        "cluster": one.cluster,
        "state": one.state,
        "message": one.message,
        "wantedBy": one.wanted_by,
        "places": [str(place) for place in one.written],
        "commit": standing.commit_data(one.by),
        "applied": applied
        and {
            "uid": applied.uid,
            "created": tables.moment(applied.created) if applied.created is not None else None,
            "at": tables.moment(applied.at) if applied.at is not None else None,
            "commit": applied.commit,
            "fields": applied.fields,
        },
        "differs": list(one.differs),
        "leftAlone": list(one.left_alone),
    }
