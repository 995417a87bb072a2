"""PodDisruptionBudgets: how many pods may be evicted now.

Law of the module: counts over the pods that the selector takes; the expected number is the scale of their controllers. Source:
pkg/controller/disruption.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster import metadata
from reconciler.sim.cluster.store import Event, Json

from .base import (
    BUDGETS,
    DEPLOYMENTS,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    Item,
    World,
    controller_of,
    is_active,
    is_ready,
    item_of,
    selects,
    share,
)

_SCALED = {"ReplicaSet": REPLICASETS, "StatefulSet": STATEFULSETS, "Deployment": DEPLOYMENTS}
_WORDS = {"True": "SufficientPods", "False": "InsufficientPods"}


class Budgets:
    """The controller of PodDisruptionBudgets."""

    reads = (BUDGETS, PODS)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Budgets, and those that take a pod that changes."""
        if event.storage == BUDGETS:
            return [Item(BUDGETS, *event.entry.key)]
        if event.storage != PODS:
            return ()
        pods = [entry.obj for entry in (event.entry, event.previous) if entry]
        budgets = self._world.all(BUDGETS, event.entry.key[0])
        return [item_of(BUDGETS, b) for b in budgets if any(selects(b["spec"].get("selector"), pod) for pod in pods)]

    def sync(self, item: Item, now: float) -> float | None:
        """Count one budget."""
        budget = self._world.get(item)
        if budget is None:
            return None
        spec = budget["spec"]
        pods = [p for p in self._world.all(PODS, item.namespace) if selects(spec.get("selector"), p) and is_active(p)]
        healthy = sum(is_ready(pod) for pod in pods)
        expected = self._expected(pods)
        if "maxUnavailable" in spec:
            desired = max(expected - share(spec["maxUnavailable"], expected, up=True), 0)
        else:
            least = spec.get("minAvailable", 1)
            expected = expected if isinstance(least, str) else len(pods)
            desired = share(least, expected, up=True)
        allowed = max(healthy - desired, 0) if expected > 0 else 0
        word = "True" if allowed else "False"
        entry = {
            "type": "DisruptionAllowed",
            "status": word,
            "observedGeneration": budget["metadata"]["generation"],
            "lastTransitionTime": metadata.timestamp(now),
            "reason": _WORDS[word],
            "message": "",
        }

        def edit(obj: Json) -> None:
            old: Json = next((c for c in obj["status"].get("conditions") or () if c["type"] == entry["type"]), {})
            if old.get("status") == word:
                entry["lastTransitionTime"] = old["lastTransitionTime"]
            obj["status"] = {
                "observedGeneration": obj["metadata"]["generation"],
                "disruptionsAllowed": allowed,
                "currentHealthy": healthy,
                "desiredHealthy": desired,
                "expectedPods": expected,
                "conditions": [entry],
            }

        self._world.change_status(item, now, edit)
        return None

    def _expected(self, pods: list[Json]) -> int:
        scales: dict[str, int] = {}
        for pod in pods:
            owner = controller_of(pod)
            storage = _SCALED.get(owner["kind"]) if owner else None
            found = self._world.get(Item(storage, pod["metadata"]["namespace"], owner["name"])) if storage and owner else None
            if found is not None:
                scales[found["metadata"]["uid"]] = found["spec"].get("replicas", 0)
        return sum(scales.values())
