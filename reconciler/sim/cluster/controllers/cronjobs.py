"""CronJobs: a Job each time that the schedule is due, and the end of old ones.

Law of the module: of several times that were missed only the latest counts; a Job is named after the minute that it is due, so none is
made twice. Source: pkg/controller/cronjob of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster import cron, metadata
from reconciler.sim.cluster.store import Event, Json, copy

from .base import CRONJOBS, JOBS, Item, World, condition, ending, item_of, labels_of, reference, whose

_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_MISSED_LIMIT = 100  # schedules that are walked through one by one


class CronJobs:
    """The controller of CronJobs."""

    reads = (CRONJOBS, JOBS)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """CronJobs, and those whose Jobs change."""
        return whose(event, "CronJob", CRONJOBS, JOBS)

    def sync(self, item: Item, now: float) -> float | None:
        """Start what is due, tidy what has ended; returns when something is due again."""
        owner = self._world.get(item)
        if owner is None or ending(owner):
            return None
        jobs = self._world.owned_by(owner, JOBS)
        self._tidy(owner, jobs, now)
        active = [job for job in jobs if not _ended(job) and not ending(job)]
        due, again = self._due(owner, now)
        started = self._start(owner, active, due, now) if due is not None else None
        if started is not None:
            active.append(started)
        self._report(item, active, jobs, due if started else None, now)
        return again

    def _due(self, owner: Json, now: float) -> tuple[float | None, float | None]:
        """The latest time that was missed, and the next one."""
        spec = owner["spec"]
        try:
            schedule = cron.parse(spec["schedule"], spec.get("timeZone") or "")
        except ValueError:
            return None, None
        since = metadata.instant(owner["status"].get("lastScheduleTime") or owner["metadata"]["creationTimestamp"])
        if (deadline := spec.get("startingDeadlineSeconds")) is not None:
            since = max(since, now - deadline)
        missed, at = None, cron.following(schedule, since)
        for _ in range(_MISSED_LIMIT):
            if at is None or at > now:
                break
            missed, at = at, cron.following(schedule, at)
        if at is not None and at <= now:  # far behind: begin anew from here
            at = cron.following(schedule, now)
        return (None if spec.get("suspend") else missed), at

    def _start(self, owner: Json, active: list[Json], due: float, now: float) -> Json | None:
        meta, spec = owner["metadata"], owner["spec"]
        if active and spec.get("concurrencyPolicy") == "Forbid":
            return None
        if spec.get("concurrencyPolicy") == "Replace":
            for job in active:
                self._world.delete(item_of(JOBS, job), now, job["metadata"]["uid"], "Background")
            active.clear()
        name = f"{meta['name']}-{int(due) // 60}"
        if self._world.get(Item(JOBS, meta["namespace"], name)) is not None:
            return None
        template = spec["jobTemplate"]
        head = {
            "name": name,
            "namespace": meta["namespace"],
            "labels": dict(labels_of({"metadata": template.get("metadata") or {}})),
            "annotations": {**((template.get("metadata") or {}).get("annotations") or {}), _SCHEDULED: metadata.timestamp(due)},
            "ownerReferences": [reference(owner)],
        }
        return self._world.create(JOBS, {"metadata": head, "spec": copy(template["spec"])}, now)

    def _tidy(self, owner: Json, jobs: list[Json], now: float) -> None:
        spec = owner["spec"]
        for kind, limit in (("Complete", spec.get("successfulJobsHistoryLimit")), ("Failed", spec.get("failedJobsHistoryLimit"))):
            ended = [job for job in jobs if condition(job, kind) and not ending(job)]
            ended.sort(key=lambda job: (job["status"].get("startTime", ""), job["metadata"]["name"]))
            for job in ended[: max(len(ended) - limit, 0) if limit is not None else 0]:
                self._world.delete(item_of(JOBS, job), now, job["metadata"]["uid"], "Background")

    def _report(self, item: Item, active: list[Json], jobs: list[Json], due: float | None, now: float) -> None:
        running = [
            {
                "kind": "Job",
                "namespace": item.namespace,
                "name": job["metadata"]["name"],
                "uid": job["metadata"]["uid"],
                "apiVersion": "batch/v1",
                "resourceVersion": job["metadata"]["resourceVersion"],
            }
            for job in active
        ]
        ends = [job["status"]["completionTime"] for job in jobs if job["status"].get("completionTime")]

        def edit(obj: Json) -> None:
            status = obj["status"]
            known = {one["uid"]: one for one in status.get("active") or ()}
            # A reference keeps the version that its Job had when it was made.
            status["active"] = [known.get(one["uid"], one) for one in running]
            if not status["active"]:
                del status["active"]
            if due is not None:
                status["lastScheduleTime"] = metadata.timestamp(due)
            if ends:
                status["lastSuccessfulTime"] = max([status.get("lastSuccessfulTime", ""), *ends])

        self._world.change_status(item, now, edit)


def _ended(job: Json) -> bool:
    return bool(condition(job, "Complete") or condition(job, "Failed"))
