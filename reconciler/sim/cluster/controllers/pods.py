"""Pods: placed on nodes, started, made ready, stopped.

Law of the module: a pod is ready `pod_start_seconds` after it was placed, unless its label `fault` says otherwise (not-ready, crash,
image-pull); without the label it recovers. Pods of Jobs end after `job_seconds`. What a pod's status holds then is what kwok's
stages (and so the real rig) make of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster import metadata
from reconciler.sim.cluster.store import Event, Json

from .base import NODES, PODS, Item, World, condition, controller_of, ending, item_of, labels_of
from .nodes import repels

_BACKOFF_SECONDS = 10.0
_BACKOFF_LIMIT_SECONDS = 300.0
_KUBELET = "kubelet"


class Scheduler:
    """Places pods: the ready node with the fewest, the first by name among equals."""

    reads = (PODS, NODES)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Pods that have no node; all of them when a node changes."""
        if event.storage == PODS and event.type != "DELETED" and not event.entry.obj["spec"].get("nodeName"):
            return [Item(PODS, *event.entry.key)]
        if event.storage == NODES:
            return [item_of(PODS, pod) for pod in self._world.all(PODS) if not pod["spec"].get("nodeName")]
        return ()

    def sync(self, item: Item, now: float) -> float | None:
        """Place one pod."""
        pod = self._world.get(item)
        if pod is None or ending(pod) or pod["spec"].get("nodeName") or pod["spec"].get("schedulingGates"):
            return None
        nodes = [node for node in self._world.all(NODES) if _fits(pod, node)]
        if not nodes:
            self._refuse(item, pod, now)
            return None
        chosen = min(sorted(node["metadata"]["name"] for node in nodes), key=lambda name: self._world.load.get(name, 0))
        self._world.writes.bind(self._world.call(item, now), chosen)
        return None

    def _refuse(self, item: Item, pod: Json, now: float) -> None:
        count = len(self._world.all(NODES))
        text = f"0/{count} nodes are available" if count else "no nodes available to schedule pods"
        if (condition(pod, "PodScheduled") or {}).get("message") == text:
            return
        entry = {
            "type": "PodScheduled",
            "status": "False",
            "lastTransitionTime": metadata.timestamp(now),
            "reason": "Unschedulable",
            "message": text,
        }
        self._world.change_status(item, now, lambda obj: _set(obj, entry), "kube-scheduler")


def _fits(pod: Json, node: Json) -> bool:
    if node.get("spec", {}).get("unschedulable") or ending(node):
        return False
    if (condition(node, "Ready") or {"status": "True"})["status"] != "True":
        return False
    labels = labels_of(node)
    return not repels(node, pod) and all(labels.get(k) == v for k, v in (pod["spec"].get("nodeSelector") or {}).items())


def _set(obj: Json, entry: Json) -> None:
    conditions = obj.setdefault("status", {}).setdefault("conditions", [])
    for at, old in enumerate(conditions):
        if old["type"] == entry["type"]:
            if old["status"] == entry["status"]:
                entry = {**entry, "lastTransitionTime": old["lastTransitionTime"]}
            conditions[at] = entry
            return
    conditions.append(entry)


class Kubelet:
    """Starts pods, reports on them, stops them."""

    reads = (PODS,)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Pods that have a node."""
        if event.storage == PODS and event.type != "DELETED" and event.entry.obj["spec"].get("nodeName"):
            return [Item(PODS, *event.entry.key)]
        return ()

    def sync(self, item: Item, now: float) -> float | None:
        """Bring one pod a step further."""
        pod = self._world.get(item)
        if pod is None or not pod["spec"].get("nodeName"):
            return None
        if ending(pod):
            return self._stop(item, pod, now)
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            return None
        placed = condition(pod, "PodScheduled")
        settings = self._world.settings
        placed_at = (placed or {}).get("lastTransitionTime") or pod["metadata"]["creationTimestamp"]
        start_at = metadata.instant(placed_at) + settings.pod_start_seconds
        if now < start_at:
            return start_at
        fault = labels_of(pod).get("fault", "")
        if (controller_of(pod) or {}).get("kind") == "Job" and fault in ("", "crash"):
            return self._job(item, pod, now, fault)
        match fault:
            case "crash":
                return self._crash(item, pod, now)
            case "image-pull":
                self._report(item, pod, now, "Pending", ready=False, state=_PULLING)
            case "not-ready":
                self._report(item, pod, now, "Running", ready=False)
            case _:
                self._report(item, pod, now, "Running", ready=True)
        return None

    def _stop(self, item: Item, pod: Json, now: float) -> float | None:
        meta = pod["metadata"]
        grace: int = meta.get("deletionGracePeriodSeconds", 0)
        asked_at = metadata.instant(meta["deletionTimestamp"]) - grace
        stop_at = asked_at + min(self._world.settings.pod_stop_seconds, grace)
        if now < stop_at:
            return stop_at
        self._world.delete(item, now, meta["uid"], grace_seconds=0)
        return None

    def _job(self, item: Item, pod: Json, now: float, fault: str) -> float | None:
        if pod["status"].get("phase") != "Running":
            self._report(item, pod, now, "Running", ready=True)
            pod = self._world.get(item) or pod
        end_at = metadata.instant(pod["status"]["startTime"]) + self._world.settings.job_seconds
        if now < end_at:
            return end_at
        reason, code = ("Error", 1) if fault else ("Completed", 0)
        at = metadata.timestamp(now)
        state = {"terminated": {"exitCode": code, "reason": reason, "startedAt": pod["status"]["startTime"], "finishedAt": at}}
        self._report(item, pod, now, "Failed" if fault else "Succeeded", ready=False, state=state)
        return None

    def _crash(self, item: Item, pod: Json, now: float) -> float | None:
        statuses = pod["status"].get("containerStatuses") or []
        restarts = max((s.get("restartCount", 0) for s in statuses), default=0)
        if restarts:
            finished = statuses[0].get("lastState", {}).get("terminated", {}).get("finishedAt")
            again_at: float = now
            if finished:
                again_at = metadata.instant(finished) + _backoff(restarts - 1)
            if now < again_at:
                return again_at
        at = metadata.timestamp(now)
        last = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": at, "finishedAt": at}}
        self._report(item, pod, now, "Running", ready=False, state=_CRASHED, last=last, restarts=restarts + 1)
        return now + _backoff(restarts)

    def _report(
        self,
        item: Item,
        pod: Json,
        now: float,
        phase: str,
        *,
        ready: bool,
        state: Json | None = None,
        last: Json | None = None,
        restarts: int | None = None,
    ) -> None:
        at = metadata.timestamp(now)
        old = pod["status"]
        word = "True" if ready else "False"
        reason = "" if ready else "PodCompleted" if phase == "Succeeded" else "ContainersNotReady"

        def edit(obj: Json) -> None:
            status = obj["status"]
            status["phase"] = phase
            if phase != "Pending":
                status.setdefault("startTime", at)
                status.setdefault("podIP", self._address(obj))
                status["podIPs"] = [{"ip": status["podIP"]}]
            for kind in ("Initialized", "ContainersReady", "Ready") if phase != "Pending" else ("ContainersReady", "Ready"):
                fine = kind == "Initialized"
                entry = {"type": kind, "status": "True" if fine else word, "lastTransitionTime": at}
                if not fine and reason:
                    entry["reason"] = reason
                _set(obj, entry)
            status["conditions"].sort(key=lambda one: one["type"] == "PodScheduled")  # what a kubelet says comes first
            status["containerStatuses"] = [
                _container(c, old, ready, state or {"running": {"startedAt": status.get("startTime", at)}}, last, restarts)
                for c in obj["spec"]["containers"]
            ]

        self._world.change_status(item, now, edit, _KUBELET)

    def _address(self, pod: Json) -> str:
        digits = int(str(pod["metadata"]["uid"]).replace("-", "")[:6], 16)
        return f"10.244.{digits // 254 % 254}.{1 + digits % 254}"


def _backoff(restarts: int) -> float:
    return float(min(_BACKOFF_SECONDS * 2 ** min(restarts, 10), _BACKOFF_LIMIT_SECONDS))


_CRASHED: Json = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
_PULLING: Json = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}


def _container(container: Json, old: Json, ready: bool, state: Json, last: Json | None, restarts: int | None) -> Json:
    before: Json = next((s for s in old.get("containerStatuses") or () if s["name"] == container["name"]), {})
    made: Json = {"name": container["name"], "state": state, "ready": ready}
    made["restartCount"] = before.get("restartCount", 0) if restarts is None else restarts
    made |= {"image": container.get("image", ""), "imageID": "", "started": "running" in state}
    if last or before.get("lastState"):
        made["lastState"] = last or before["lastState"]
    return made
