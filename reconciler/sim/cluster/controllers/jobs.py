"""Jobs: pods until enough of them have succeeded, or too many have failed.

Law of the module: counts come from the pods that are there; finished pods stay until the Job goes. Conditions are those of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster import metadata
from reconciler.sim.cluster.store import Event, Json, copy

from .base import JOBS, PODS, Item, World, condition, ending, is_active, is_ready, item_of, pod_from, whose

_REACHED = "Reached expected number of succeeded pods"
_TOO_MANY = "Job has reached the specified backoff limit"


class Jobs:
    """The controller of Jobs."""

    reads = (JOBS, PODS)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Jobs, and those whose pods change."""
        return whose(event, "Job", JOBS)

    def sync(self, item: Item, now: float) -> float | None:
        """Take one Job a step further."""
        job = self._world.get(item)
        if job is None or ending(job):
            return None
        if condition(job, "Complete") or condition(job, "Failed"):
            return self._expire(item, job, now)
        spec = job["spec"]
        pods = self._world.owned_by(job, PODS)
        active = [pod for pod in pods if is_active(pod)]
        done = sum(pod["status"].get("phase") == "Succeeded" for pod in pods)
        failed = sum(pod["status"].get("phase") == "Failed" for pod in pods)
        wanted = spec.get("completions")
        finished = done >= wanted if wanted is not None else done > 0 and not active
        lost = failed > spec.get("backoffLimit", 6)
        if not finished and not lost and not spec.get("suspend"):
            room = spec.get("parallelism", 1) if wanted is None else min(spec.get("parallelism", 1), wanted - done)
            for _ in range(room - len(active)):
                pod = pod_from(spec["template"], job, prefix=f"{job['metadata']['name']}-")
                active.append(self._world.create(PODS, pod, now))
        elif active:
            for pod in active:
                self._world.delete(item_of(PODS, pod), now, pod["metadata"]["uid"])
            active = []
        self._report(item, active, (done, failed), finished, lost, now)
        return None

    def _report(self, item: Item, active: list[Json], ended: tuple[int, int], finished: bool, lost: bool, now: float) -> None:
        at = metadata.timestamp(now)
        done, failed = ended

        def edit(obj: Json) -> None:
            old = obj["status"]
            status: Json = {}
            conditions = copy(old.get("conditions") or [])
            if finished:
                conditions += [_condition("SuccessCriteriaMet", "CompletionsReached", _REACHED, at)]
                conditions += [_condition("Complete", "CompletionsReached", _REACHED, at)]
            elif lost:
                conditions += [_condition("FailureTarget", "BackoffLimitExceeded", _TOO_MANY, at)]
                conditions += [_condition("Failed", "BackoffLimitExceeded", _TOO_MANY, at)]
            if conditions:
                status["conditions"] = conditions
            if not obj["spec"].get("suspend"):
                status["startTime"] = old.get("startTime") or at
            if finished:
                status["completionTime"] = at
            counts = {"active": len(active), "succeeded": done, "failed": failed}
            status |= {name: count for name, count in counts.items() if count}
            status["terminating"] = 0
            status["uncountedTerminatedPods"] = {}
            status["ready"] = sum(is_ready(pod) for pod in active)
            obj["status"] = status

        self._world.change_status(item, now, edit)

    def _expire(self, item: Item, job: Json, now: float) -> float | None:
        seconds: int | None = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is None:
            return None
        ended = condition(job, "Complete") or condition(job, "Failed")
        assert ended is not None
        due = metadata.instant(ended["lastTransitionTime"]) + seconds
        if now < due:
            return due
        self._world.delete(item, now, job["metadata"]["uid"], "Foreground")
        return None


def _condition(kind: str, reason: str, message: str, at: str) -> Json:
    return {
        "type": kind,
        "status": "True",
        "lastProbeTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }
