"""ReplicaSets: as many pods as asked for.

Law of the module: of too many pods the least useful go first: without a node, then not ready, then the youngest (kube-controller-
manager's ranking, as far as it matters here).
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster.store import Event, Json

from .base import (
    PODS,
    REPLICASETS,
    Item,
    World,
    available_at,
    controller_of,
    ending,
    is_active,
    is_ready,
    item_of,
    labels_of,
    owners_of,
    pod_from,
    selects,
)

_CREATE_LIMIT = 500


class ReplicaSets:
    """The controller of ReplicaSets."""

    reads = (REPLICASETS, PODS)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """ReplicaSets, and those whose pods change."""
        if event.storage == REPLICASETS:
            return [Item(REPLICASETS, *event.entry.key)]
        if event.storage == PODS:
            return owners_of(event, "ReplicaSet", REPLICASETS) or self._orphaned(event)
        return ()

    def _orphaned(self, event: Event) -> Iterable[Item]:
        if event.type == "DELETED" or controller_of(event.entry.obj):
            return ()
        sets = self._world.all(REPLICASETS, event.entry.key[0])
        return [item_of(REPLICASETS, one) for one in sets if selects(one["spec"].get("selector"), event.entry.obj)]

    def sync(self, item: Item, now: float) -> float | None:
        """Bring the number of pods to what is asked for, and report."""
        owner = self._world.get(item)
        if owner is None:
            return None
        pods = self._world.adopt(owner, PODS, now)
        active = [pod for pod in pods if is_active(pod)]
        wanted = owner["spec"].get("replicas", 0)
        if not ending(owner):
            for _ in range(min(wanted - len(active), _CREATE_LIMIT)):
                prefix = f"{owner['metadata']['name']}-"
                pod = pod_from(owner["spec"]["template"], owner, prefix=prefix)
                active.append(self._world.create(PODS, pod, now))
            for pod in sorted(active, key=_usefulness)[: max(len(active) - wanted, 0)]:
                self._world.delete(item_of(PODS, pod), now, pod["metadata"]["uid"])
        return self._report(item, owner, now)

    def _report(self, item: Item, owner: Json, now: float) -> float | None:
        pods = self._world.owned_by(owner, PODS)
        active = [pod for pod in pods if is_active(pod)]
        due = [available_at(pod, owner["spec"].get("minReadySeconds", 0)) for pod in active]
        labels = owner["spec"]["template"].get("metadata", {}).get("labels") or {}
        status: Json = {"replicas": len(active)}
        counts = {
            "fullyLabeledReplicas": sum(labels.items() <= labels_of(pod).items() for pod in active),
            "readyReplicas": sum(is_ready(pod) for pod in active),
            "availableReplicas": sum(at is not None and at <= now for at in due),
        }
        status |= {name: count for name, count in counts.items() if count}
        status["terminatingReplicas"] = sum(ending(pod) for pod in pods)
        status["observedGeneration"] = owner["metadata"]["generation"]

        def edit(obj: Json) -> None:
            obj["status"] = {**status, **{k: v for k, v in obj["status"].items() if k == "conditions"}}

        self._world.change_status(item, now, edit)
        return min((at for at in due if at is not None and at > now), default=None)


def _usefulness(pod: Json) -> tuple[bool, bool, bool, int]:
    created = -int(pod["metadata"]["creationTimestamp"].translate(_DIGITS))
    return (bool(pod["spec"].get("nodeName")), pod["status"].get("phase") == "Running", is_ready(pod), created)


_DIGITS = str.maketrans("", "", "-:TZ")
