"""Deployments: a ReplicaSet for each template, and the way from the old to the new one.

Law of the module: one step a look; the next follows from what the ReplicaSets then report. Arithmetic, reasons and messages are those
of kube-controller-manager 1.36 (pkg/controller/deployment).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.sim.cluster import metadata
from reconciler.sim.cluster.ids import pod_hash
from reconciler.sim.cluster.store import Event, Json, copy

from .base import (
    DEPLOYMENTS,
    PODS,
    REPLICASETS,
    Item,
    World,
    condition,
    controller_of,
    ending,
    item_of,
    labels_of,
    owners_of,
    reference,
    selects,
    share,
)

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_HISTORY = "deployment.kubernetes.io/revision-history"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MAX = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", REVISION, _HISTORY, _DESIRED, _MAX)
_FOREVER_SECONDS = 2**31 - 1


class Deployments:
    """The controller of Deployments."""

    reads = (DEPLOYMENTS, REPLICASETS, PODS)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Deployments, and those whose ReplicaSets change, or whose pods end."""
        if event.storage == DEPLOYMENTS:
            return [Item(DEPLOYMENTS, *event.entry.key)]
        if event.storage == REPLICASETS:
            return owners_of(event, "Deployment", DEPLOYMENTS) or self._orphaned(event)
        if event.storage == PODS and event.type == "DELETED":
            return self._of_pod(event)
        return ()

    def _orphaned(self, event: Event) -> Iterable[Item]:
        if event.type == "DELETED" or controller_of(event.entry.obj):
            return ()
        found = self._world.all(DEPLOYMENTS, event.entry.key[0])
        return [item_of(DEPLOYMENTS, one) for one in found if selects(one["spec"].get("selector"), event.entry.obj)]

    def _of_pod(self, event: Event) -> Iterable[Item]:
        for item in owners_of(event, "ReplicaSet", REPLICASETS):
            owner = controller_of(self._world.get(item) or {"metadata": {}})
            if owner and owner["kind"] == "Deployment":
                yield Item(DEPLOYMENTS, item.namespace, owner["name"])

    def sync(self, item: Item, now: float) -> float | None:
        """Take the next step of a rollout, and report."""
        owner = self._world.get(item)
        if owner is None:
            return None
        sets = sorted(self._world.adopt(owner, REPLICASETS, now), key=_revision)
        if ending(owner):
            return self._report(item, sets, now)
        new = next((s for s in sets if _same_template(s, owner)), None)
        if not owner["spec"].get("paused"):
            new = self._ensure_new(item, owner, sets, new, now)
            owner = self._world.get(item) or owner
            old = [s for s in self._world.owned_by(owner, REPLICASETS) if s["metadata"]["uid"] != new["metadata"]["uid"]]
            old.sort(key=_revision)
            if owner["spec"]["strategy"]["type"] == "Recreate":
                self._recreate(owner, new, old, now)
            else:
                self._roll(owner, new, old, now)
            self._tidy(owner, old, now)
        elif new is not None:
            self._scale(owner, new, owner["spec"]["replicas"], now)
        return self._report(item, self._world.owned_by(owner, REPLICASETS), now)

    # -- the new ReplicaSet -----------------------------------------------------------------------------------------------

    def _ensure_new(self, item: Item, owner: Json, sets: list[Json], new: Json | None, now: float) -> Json:
        newest_old = max((_revision(s) for s in sets if s is not new), default=0)
        if new is None:
            new = self._create(owner, sets, newest_old + 1, now)
            self._mark(item, str(newest_old + 1), now)
            self._tell(item, now, "NewReplicaSetCreated", f'Created new replica set "{new["metadata"]["name"]}"')
            return new
        revision = max(newest_old + 1, _revision(new))
        notes = self._notes(owner, str(revision))
        if any(new["metadata"].get("annotations", {}).get(k) != v for k, v in notes.items()):
            new = self._world.change(item_of(REPLICASETS, new), now, lambda o: _annotate(o, notes, _revision(o)))
        self._mark(item, str(revision), now)
        if condition(owner, "Progressing") is None:
            self._tell(item, now, "FoundNewReplicaSet", f'Found new replica set "{new["metadata"]["name"]}"')
        return new

    def _mark(self, item: Item, revision: str, now: float) -> None:
        live = self._world.get(item)
        if live is not None and (live["metadata"].get("annotations") or {}).get(REVISION) != revision:
            self._world.change_status(item, now, lambda o: o["metadata"].setdefault("annotations", {}).update({REVISION: revision}))

    def _notes(self, owner: Json, revision: str) -> Json:
        spec = owner["spec"]
        kept = {k: v for k, v in (owner["metadata"].get("annotations") or {}).items() if k not in _NOT_COPIED}
        most = spec["replicas"] + _surge(owner)
        return {**kept, REVISION: revision, _DESIRED: str(spec["replicas"]), _MAX: str(most)}

    def _create(self, owner: Json, sets: list[Json], revision: int, now: float) -> Json:
        spec = owner["spec"]
        digest = pod_hash([spec["template"], owner.get("status", {}).get("collisionCount", 0)])
        template = copy(spec["template"])
        labels = {**(template.setdefault("metadata", {}).get("labels") or {}), HASH: digest}
        template["metadata"]["labels"] = labels
        selector = copy(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: digest}
        most = spec["replicas"] + _surge(owner)
        total = sum(s["spec"].get("replicas", 0) for s in sets)
        first = min(max(most - total, 0), spec["replicas"])
        if spec["strategy"]["type"] == "Recreate" and (total or self._running(sets)):
            first = 0
        made: Json = {
            "metadata": {
                "name": f"{owner['metadata']['name']}-{digest}",
                "namespace": owner["metadata"]["namespace"],
                "labels": labels,
                "annotations": self._notes(owner, str(revision)),
                "ownerReferences": [reference(owner)],
            },
            "spec": {"replicas": first, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        return self._world.create(REPLICASETS, made, now)

    # -- steps ------------------------------------------------------------------------------------------------------------

    def _scale(self, owner: Json, one: Json, replicas: int, now: float) -> None:
        if one["spec"].get("replicas", 0) == replicas:
            return
        notes = {_DESIRED: str(owner["spec"]["replicas"]), _MAX: str(owner["spec"]["replicas"] + _surge(owner))}

        def edit(obj: Json) -> None:
            obj["spec"]["replicas"] = replicas
            obj["metadata"].setdefault("annotations", {}).update(notes)

        self._world.change(item_of(REPLICASETS, one), now, edit)

    def _running(self, sets: Iterable[Json]) -> bool:
        return any(pod["status"].get("phase") not in ("Succeeded", "Failed") for one in sets for pod in self._world.owned_by(one, PODS))

    def _recreate(self, owner: Json, new: Json, old: list[Json], now: float) -> None:
        for one in old:
            self._scale(owner, one, 0, now)
        if not self._running(old):
            self._scale(owner, new, owner["spec"]["replicas"], now)

    def _roll(self, owner: Json, new: Json, old: list[Json], now: float) -> None:
        wanted = owner["spec"]["replicas"]
        current = new["spec"].get("replicas", 0)
        total = current + sum(s["spec"].get("replicas", 0) for s in old)
        if current > wanted:
            self._scale(owner, new, wanted, now)
            return
        room = wanted + _surge(owner) - total
        if current < wanted and room > 0:
            self._scale(owner, new, current + min(room, wanted - current), now)
            return
        self._shrink(owner, new, old, total, now)

    def _shrink(self, owner: Json, new: Json, old: list[Json], total: int, now: float) -> None:
        wanted = owner["spec"]["replicas"]
        least = wanted - _unavailable(owner)
        missing = new["spec"].get("replicas", 0) - new["status"].get("availableReplicas", 0)
        spare = total - least - missing
        if not any(s["spec"].get("replicas") for s in old) or spare <= 0:
            return
        left = {s["metadata"]["uid"]: s["spec"].get("replicas", 0) for s in old}
        for one in old:  # what is not healthy goes first
            sick = left[one["metadata"]["uid"]] - one["status"].get("availableReplicas", 0)
            gone = max(min(spare, sick), 0)
            left[one["metadata"]["uid"]] -= gone
            spare -= gone
        available = sum(min(s["status"].get("availableReplicas", 0), left[s["metadata"]["uid"]]) for s in old)
        spare = available + new["status"].get("availableReplicas", 0) - least
        for one in old:
            gone = max(min(spare, left[one["metadata"]["uid"]]), 0)
            left[one["metadata"]["uid"]] -= gone
            spare -= gone
        for one in old:
            self._scale(owner, one, left[one["metadata"]["uid"]], now)

    def _tidy(self, owner: Json, old: list[Json], now: float) -> None:
        limit = owner["spec"].get("revisionHistoryLimit", 10)
        idle = [s for s in old if not s["spec"].get("replicas") and not s["status"].get("replicas") and not ending(s)]
        for one in idle[: max(len(idle) - limit, 0)]:
            self._world.delete(item_of(REPLICASETS, one), now, one["metadata"]["uid"])

    # -- status -----------------------------------------------------------------------------------------------------------

    def _tell(self, item: Item, now: float, reason: str, message: str, status: str = "True") -> None:
        at = metadata.timestamp(now)
        entry = {"type": "Progressing", "status": status, "lastUpdateTime": at, "lastTransitionTime": at}
        self._world.change_status(item, now, lambda o: _put(o["status"], {**entry, "reason": reason, "message": message}))

    def _report(self, item: Item, sets: list[Json], now: float) -> float | None:
        owner = self._world.get(item)
        if owner is None:
            return None
        new = next((s for s in sets if _same_template(s, owner)), None)
        status = _counts(owner, sets, new)
        status["conditions"] = copy(owner["status"].get("conditions") or [])
        at = metadata.timestamp(now)
        _put(status, _availability(owner, status, at))
        due = _progress(owner, status, new, now)
        self._world.change_status(item, now, lambda o: o.update(status=status))
        return due


def _counts(owner: Json, sets: list[Json], new: Json | None) -> Json:
    def total(name: str) -> int:
        return sum(s["status"].get(name, 0) for s in sets)

    counts = {
        "replicas": total("replicas"),
        "updatedReplicas": new["status"].get("replicas", 0) if new else 0,
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": total("availableReplicas"),
        "unavailableReplicas": max(sum(s["spec"].get("replicas", 0) for s in sets) - total("availableReplicas"), 0),
    }
    status: Json = {"observedGeneration": owner["metadata"]["generation"], **{k: v for k, v in counts.items() if v}}
    status["terminatingReplicas"] = total("terminatingReplicas")
    return status


def _availability(owner: Json, status: Json, at: str) -> Json:
    enough = status.get("availableReplicas", 0) >= owner["spec"]["replicas"] - _unavailable(owner)
    return {
        "type": "Available",
        "status": "True" if enough else "False",
        "lastUpdateTime": at,
        "lastTransitionTime": at,
        "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
    }


def _progress(owner: Json, status: Json, new: Json | None, now: float) -> float | None:
    """Set the Progressing condition; returns when its deadline ends."""
    spec, at = owner["spec"], metadata.timestamp(now)
    deadline: int = spec.get("progressDeadlineSeconds", _FOREVER_SECONDS)
    before = condition({"status": status}, "Progressing")
    name = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{owner["metadata"]["name"]}"'
    entry = {"type": "Progressing", "status": "True", "lastUpdateTime": at, "lastTransitionTime": at}
    if spec.get("paused"):
        if before is None or before["reason"] != "DeploymentPaused":
            _put(status, {**entry, "status": "Unknown", "reason": "DeploymentPaused", "message": "Deployment is paused"})
        return None
    if before is not None and before["reason"] == "DeploymentPaused":
        before = {**entry, "status": "Unknown", "reason": "DeploymentResumed", "message": "Deployment is resumed"}
        _put(status, before)
    finished = before is not None and before["reason"] == "NewReplicaSetAvailable"
    if deadline == _FOREVER_SECONDS or (finished and _same(owner, status)):
        return None
    wanted, old = spec["replicas"], owner["status"]
    done = status.get("updatedReplicas", 0) == status.get("replicas", 0) == status.get("availableReplicas", 0) == wanted
    moved = any(status.get(k, 0) > old.get(k, 0) for k in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    if done:
        _put(status, {**entry, "reason": "NewReplicaSetAvailable", "message": f"{name} has successfully progressed."})
        return None
    shrunk = status.get("replicas", 0) - status.get("updatedReplicas", 0) < old.get("replicas", 0) - old.get("updatedReplicas", 0)
    if moved or shrunk or before is None or before["reason"] == "NewReplicaSetAvailable":
        _put(status, {**entry, "reason": "ReplicaSetUpdated", "message": f"{name} is progressing."}, fresh=True)
        return now + deadline
    due = metadata.instant(before["lastUpdateTime"]) + deadline
    if before["reason"] == "ProgressDeadlineExceeded" or now < due:
        return due if now < due and before["reason"] != "ProgressDeadlineExceeded" else None
    late = {**entry, "status": "False", "reason": "ProgressDeadlineExceeded", "message": f"{name} has timed out progressing."}
    _put(status, late)
    return None


def _same(owner: Json, status: Json) -> bool:
    """Whether a finished rollout is still finished: nothing but a scale since."""
    unchanged = owner["status"].get("observedGeneration") == status["observedGeneration"]
    return bool(unchanged or status.get("updatedReplicas", 0) == status.get("replicas", 0))


def _put(status: Json, entry: Json, *, fresh: bool = False) -> None:
    """Set a condition; where neither status nor reason changes, it stays as it was, unless it is to be `fresh`."""
    conditions = status.get("conditions") or []
    old = next((one for one in conditions if one["type"] == entry["type"]), None)
    if old is not None and old["status"] == entry["status"]:
        if old["reason"] == entry["reason"] and not fresh:
            return
        entry = {**entry, "lastTransitionTime": old["lastTransitionTime"]}
    # The newest stands last.
    status["conditions"] = [*(one for one in conditions if one is not old), entry]


def _revision(one: Json) -> int:
    text = (one["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _annotate(obj: Json, notes: Json, revision: int) -> None:
    annotations = obj["metadata"].setdefault("annotations", {})
    if revision and notes[REVISION] != str(revision):
        history = [part for part in annotations.get(_HISTORY, "").split(",") if part]
        annotations[_HISTORY] = ",".join([*history, str(revision)])
    annotations.update(notes)


def _same_template(one: Json, owner: Json) -> bool:
    def bare(template: Json) -> Any:
        meta = dict(template.get("metadata") or {})
        labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH}
        return {**template, "metadata": {**meta, "labels": labels}}

    return bool(labels_of(one).get(HASH)) and bare(one["spec"]["template"]) == bare(owner["spec"]["template"])


def _surge(owner: Json) -> int:
    strategy = owner["spec"]["strategy"]
    if strategy["type"] == "Recreate":
        return 0
    return share(strategy["rollingUpdate"]["maxSurge"], owner["spec"]["replicas"], up=True)


def _unavailable(owner: Json) -> int:
    strategy = owner["spec"]["strategy"]
    wanted: int = owner["spec"]["replicas"]
    if strategy["type"] == "Recreate":
        return 0
    count = share(strategy["rollingUpdate"]["maxUnavailable"], wanted, up=False)
    if count == 0 and _surge(owner) == 0:
        return 1
    return min(count, wanted)
