"""StatefulSets: pods with ordinals, one after the other, each with its claims.

Law of the module: with OrderedReady a pod is made, replaced or removed only when those before it (behind it, when removing) are
ready. Source: pkg/controller/statefulset of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster.store import Event, Json, copy

from . import revisions
from .base import (
    CLAIMS,
    PODS,
    STATEFULSETS,
    Item,
    World,
    available_at,
    ending,
    is_ready,
    item_of,
    labels_of,
    pod_from,
    whose,
)

_NAME = "statefulset.kubernetes.io/pod-name"
_INDEX = "apps.kubernetes.io/pod-index"


class StatefulSets:
    """The controller of StatefulSets."""

    reads = (STATEFULSETS, PODS)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """StatefulSets, and those whose pods change."""
        return whose(event, "StatefulSet", STATEFULSETS)

    def sync(self, item: Item, now: float) -> float | None:
        """Take one StatefulSet a step further, and report."""
        owner = self._world.get(item)
        if owner is None:
            return None
        update = revisions.current(self._world, owner, now)
        settled = owner["status"].get("currentRevision") or update
        if not ending(owner):
            self._step(owner, settled, update, now)
        return self._report(item, update, now)

    def _pods(self, owner: Json) -> dict[int, Json]:
        found = {}
        for pod in self._world.owned_by(owner, PODS):
            number = pod["metadata"]["name"].rpartition("-")[2]
            if number.isdigit():
                found[int(number)] = pod
        return dict(sorted(found.items()))

    def _step(self, owner: Json, settled: str, update: str, now: float) -> None:
        spec = owner["spec"]
        first = (spec.get("ordinals") or {}).get("start", 0)
        wanted = range(first, first + spec.get("replicas", 1))
        pods = self._pods(owner)
        ordered = spec.get("podManagementPolicy") != "Parallel"
        partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
        for number in wanted:
            pod = pods.get(number)
            if pod is None:
                self._create(owner, number, update if number >= partition or settled == update else settled, now)
            if ordered and (pod is None or not is_ready(pod) or ending(pod)):
                return
        for number in reversed([n for n in pods if n not in wanted]):
            if not ending(pods[number]):
                self._world.delete(item_of(PODS, pods[number]), now, pods[number]["metadata"]["uid"])
            if ordered:
                return
        if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
            return
        for number in reversed(wanted):
            pod = pods.get(number)
            if number < partition or pod is None:
                continue
            if labels_of(pod).get(revisions.LABEL) != update and not ending(pod):
                self._world.delete(item_of(PODS, pod), now, pod["metadata"]["uid"])
                return
            if not is_ready(pod) or ending(pod):
                return

    def _create(self, owner: Json, number: int, revision: str, now: float) -> None:
        spec, meta = owner["spec"], owner["metadata"]
        name = f"{meta['name']}-{number}"
        template = revisions.template(self._world, owner, revision)
        pod = pod_from(template, owner, name=name)
        labels = pod["metadata"].setdefault("labels", {})
        labels |= {_NAME: name, _INDEX: str(number), revisions.LABEL: revision}
        pod["spec"] |= {"hostname": name}
        if spec.get("serviceName"):
            pod["spec"]["subdomain"] = spec["serviceName"]
        for claim in spec.get("volumeClaimTemplates") or ():
            self._claim(owner, pod, copy(claim), name, now)
        self._world.create(PODS, pod, now)

    def _claim(self, owner: Json, pod: Json, claim: Json, name: str, now: float) -> None:
        volume = claim["metadata"]["name"]
        claim["metadata"] |= {"name": f"{volume}-{name}", "namespace": owner["metadata"]["namespace"]}
        claim["metadata"]["labels"] = {**labels_of(claim), **(owner["spec"]["selector"].get("matchLabels") or {})}
        claim.pop("status", None)
        volumes = [v for v in pod["spec"].get("volumes") or () if v["name"] != volume]
        pod["spec"]["volumes"] = [*volumes, {"name": volume, "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}]
        if self._world.get(item_of(CLAIMS, claim)) is None:
            self._world.create(CLAIMS, claim, now)

    def _report(self, item: Item, update: str, now: float) -> float | None:
        owner = self._world.get(item)
        if owner is None:
            return None
        spec, old = owner["spec"], owner["status"]
        pods = [pod for pod in self._pods(owner).values() if not ending(pod)]
        due = [available_at(pod, spec.get("minReadySeconds", 0)) for pod in pods]
        fresh = sum(labels_of(pod).get(revisions.LABEL) == update for pod in pods)
        settled = old.get("currentRevision") or update
        if fresh == len(pods) == spec.get("replicas", 1) and all(is_ready(pod) for pod in pods):
            settled = update
        status: Json = {"observedGeneration": owner["metadata"]["generation"], "replicas": len(pods)}
        counts = {
            "readyReplicas": sum(is_ready(pod) for pod in pods),
            "currentReplicas": sum(labels_of(pod).get(revisions.LABEL) == settled for pod in pods),
            "updatedReplicas": fresh,
        }
        status |= {name: count for name, count in counts.items() if count}
        status["currentRevision"] = settled
        status["updateRevision"] = update
        status["collisionCount"] = 0
        status["availableReplicas"] = sum(at is not None and at <= now for at in due)
        self._world.change_status(item, now, lambda o: o.update(status=status))
        revisions.tidy(self._world, owner, pods, now)
        return min((at for at in due if at is not None and at > now), default=None)
