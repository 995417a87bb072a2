"""DaemonSets: one pod on each node that fits.

Law of the module: pods are made for their node (they are placed at once); a new template replaces at most `maxUnavailable` at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster.store import Event, Json

from . import revisions
from .base import (
    DAEMONSETS,
    NODES,
    PODS,
    Item,
    World,
    available_at,
    ending,
    is_ready,
    item_of,
    labels_of,
    pod_from,
    share,
    whose,
)
from .nodes import repels

_GENERATION = "pod-template-generation"
# What the controller tolerates for its pods (pkg/controller/daemon/util).
_TROUBLES = ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
_TOLERATED = tuple(f"node.kubernetes.io/{trouble}" for trouble in _TROUBLES)
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


class DaemonSets:
    """The controller of DaemonSets."""

    reads = (DAEMONSETS, NODES, PODS)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """DaemonSets, those whose pods change; all when a node changes."""
        if event.storage == NODES:
            return [item_of(DAEMONSETS, one) for one in self._world.all(DAEMONSETS)]
        return whose(event, "DaemonSet", DAEMONSETS)

    def sync(self, item: Item, now: float) -> float | None:
        """Take one DaemonSet a step further, and report."""
        owner = self._world.get(item)
        if owner is None:
            return None
        update = revisions.current(self._world, owner, now)
        nodes = [node["metadata"]["name"] for node in self._world.all(NODES) if _fits(owner, node)]
        if not ending(owner):
            self._place(owner, nodes, update, now)
            self._replace(owner, nodes, update, now)
        return self._report(item, nodes, update, now)

    def _pods(self, owner: Json) -> dict[str, Json]:
        return {_node(pod): pod for pod in self._world.owned_by(owner, PODS)}

    def _place(self, owner: Json, nodes: list[str], update: str, now: float) -> None:
        pods = self._pods(owner)
        for node in nodes:
            if node not in pods:
                pod = pod_from(owner["spec"]["template"], owner, prefix=f"{owner['metadata']['name']}-")
                number = owner["metadata"].get("annotations", {}).get(_TEMPLATE_GENERATION, "1")
                pod["metadata"].setdefault("labels", {}).update({revisions.LABEL: update, _GENERATION: number})
                pod["spec"]["nodeName"] = node
                self._world.create(PODS, pod, now)
        for node, pod in pods.items():
            if node not in nodes and not ending(pod):
                self._world.delete(item_of(PODS, pod), now, pod["metadata"]["uid"])

    def _replace(self, owner: Json, nodes: list[str], update: str, now: float) -> None:
        strategy = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        limit = max(share((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), len(nodes), up=True), 1)
        pods = self._pods(owner)
        away = sum(node not in pods or not is_ready(pods[node]) or ending(pods[node]) for node in nodes)
        for pod in pods.values():
            if labels_of(pod).get(revisions.LABEL) == update or ending(pod):
                continue
            if is_ready(pod):
                if away >= limit:
                    continue
                away += 1
            self._world.delete(item_of(PODS, pod), now, pod["metadata"]["uid"])

    def _report(self, item: Item, nodes: list[str], update: str, now: float) -> float | None:
        owner = self._world.get(item)
        if owner is None:
            return None
        pods = [pod for node, pod in self._pods(owner).items() if node in nodes and not ending(pod)]
        due = [available_at(pod, owner["spec"].get("minReadySeconds", 0)) for pod in pods]
        available = sum(at is not None and at <= now for at in due)
        status: Json = {
            "currentNumberScheduled": len(pods),
            "numberMisscheduled": 0,
            "desiredNumberScheduled": len(nodes),
            "numberReady": sum(is_ready(pod) for pod in pods),
            "observedGeneration": owner["metadata"]["generation"],
        }
        counts = {
            "updatedNumberScheduled": sum(labels_of(pod).get(revisions.LABEL) == update for pod in pods),
            "numberAvailable": available,
            "numberUnavailable": len(nodes) - available,
        }
        status |= {name: count for name, count in counts.items() if count}
        self._world.change_status(item, now, lambda o: o.update(status=status))
        revisions.tidy(self._world, owner, pods, now)
        return min((at for at in due if at is not None and at > now), default=None)


def _node(pod: Json) -> str:
    name: str = pod["spec"].get("nodeName", "")
    return name


def _fits(owner: Json, node: Json) -> bool:
    template = owner["spec"]["template"]
    wanted = template["spec"].get("nodeSelector") or {}
    return not ending(node) and not repels(node, template, _TOLERATED) and wanted.items() <= labels_of(node).items()
