"""Deletions that wait: which do, for what, and how that is told.

Law of the module: values and sentences only; what goes and when is `prune`'s. Whatever waits for a person is told by name and reason,
whatever waits for something else by what that is and in which cluster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .apply import rank
from .identity import ClusterName, Lane, ObjectId
from .kind import Gate, Plan
from .lanes import LaneWork
from .names import slug
from .observed import Live
from .ranges import Pair
from .wanted import PRUNE

PROTECTED = ("Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim", "StatefulSet")
"""Kinds that hold data or other objects: without an approval none of them goes, whatever says that it should."""

NOT_APPLIED, PAUSED = "what is wanted is not all applied yet", "paused"


@dataclass(frozen=True, slots=True)
class Refused:
    """A deletion that was not carried out. `again_at` is on the steady clock."""

    uid: str
    problem: str
    times: int
    again_at: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """Deletions that wait, and for what; `gate` where a person can let them through."""

    count: int
    of: int
    reason: str
    gate: Gate | None = None


def is_protected(live: Live) -> bool:
    """Whether an object goes only when a person says so."""
    return live.id.kind in PROTECTED and live.annotations.get(PRUNE) != "allowed"


def holds_data(live: Live, leaving: str) -> str:
    """Why it waits for a person; `leaving` is why its unit means it to go, "" where it is only wanted no more."""
    return f"{live.id} holds data or other objects" + (f", and is left: {leaving}" if leaving else "")


def reasons_of_leaving(plan: Plan, cluster: ClusterName, leftover: Sequence[Live]) -> dict[ObjectId, str]:
    """What a unit itself means to go, and why."""
    found = {item.ref.id: item.reason for item in plan.leaving if item.ref.cluster == cluster}
    for live in leftover if plan.left else ():
        reason = plan.left.get((cluster, live.id.namespace), "") if live.id.namespace else ""
        if reason:
            found.setdefault(live.id, reason)
    return found


class Used:
    """What the StatefulSets among deletions that wait may mount, or be reached by: it stays as long as they do."""

    def __init__(self, waits: Sequence[Live]) -> None:
        self._namespaces = {live.id.namespace: None for live in waits if live.id.kind == "StatefulSet"}

    def holds(self, other: Live, *, leaves: bool) -> bool:
        """Whether an object is among that.

        What is left stands in one namespace a target: nothing of another one is used. Of what is only wanted no more, a role
        elsewhere may be.
        """
        near = other.id.namespace in self._namespaces if leaves else bool(self._namespaces)
        return near and rank(other.id.kind) < rank("StatefulSet")


def not_yet(plan: Plan, lanes: Mapping[Lane, LaneWork], cluster: ClusterName, *, act: bool) -> str:
    """Why nothing of a unit may be deleted in a cluster at this moment, whoever approves, but what its plan names as leaving.

    A unit that has lanes in the cluster is judged by those alone: another one that is away stops no cleaning here. One that has all of
    its lanes elsewhere has moved, and what it had stays until what takes its place stands.
    """
    here = [work for lane, work in lanes.items() if lane.cluster == cluster]
    if any(work.held is not None and work.held.paused for work in here):
        return PAUSED
    if not plan.prune:
        return "held: what is wanted is not known for certain"
    if any(work.held is not None for work in here):
        return "held"
    if act and any(not work.applied for work in here):
        return NOT_APPLIED
    if not here:
        return next((text for lane, work in lanes.items() if (text := _awaited(lane, work, act=act))), "")
    return ""


def _awaited(lane: Lane, work: LaneWork, *, act: bool) -> str:
    target = f" (target {lane.target})" if lane.target else ""
    if work.held is not None:
        return f"waits until what is wanted on {lane.cluster}{target} is applied, which is held: {work.held}"
    if act and not work.applied:
        return f"waits until all that is wanted on {lane.cluster}{target} is applied"
    return ""


def gate_of(pair: Pair, waits: Sequence[Live], size: int, reason: str, since: str) -> Gate:
    """What lets exactly this set go, once: bound to the uids, and to the commit at which something began to wait."""
    lines = sorted(f"{'/'.join(live.id)} {live.uid}" for live in waits)
    digest = hashlib.sha256("\n".join([since, *lines]).encode()).hexdigest()
    text = f"delete {len(waits)} of {size} objects of {pair[0]} on {pair[1]}: {reason}"
    return Gate(f"prune-{pair[1]}-{slug(str(pair[0]))}", f"sha256:{digest}", text)
