"""The columns of pods and of what makes them.

Law of the module: data and the cells that only these kinds have. Names, types and priorities are those of kube-apiserver 1.36.
"""

from __future__ import annotations

from . import metadata, selectors
from .cells import AGE, NAME, NONE, Cell, Column, age, at, duration, labels_text, number, text
from .store import Json


def _template_of(obj: Json) -> Json:
    spec = obj.get("spec") or {}
    if "jobTemplate" in spec:
        spec = spec["jobTemplate"].get("spec") or {}
    found: Json = (spec.get("template") or {}).get("spec") or {}
    return found


def _containers(field: str) -> Cell:
    return lambda obj, _: ",".join(c.get(field, "") for c in _template_of(obj).get("containers") or ())


def _selector(obj: Json, _: float) -> str:
    return selectors.selector_text((obj.get("spec") or {}).get("selector")) or NONE


def _plain_selector(obj: Json, _: float) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((obj["spec"].get("selector") or {}).items())) or NONE


_WIDE = (
    Column("Containers", _containers("name"), priority=1),
    Column("Images", _containers("image"), priority=1),
    Column("Selector", _selector, priority=1),
)


def _ready_of(obj: Json, _: float) -> str:
    return f"{obj.get('status', {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"


def _pod_ready(obj: Json, _: float) -> str:
    statuses = obj.get("status", {}).get("containerStatuses") or ()
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{len(obj['spec'].get('containers') or ())}"


def _pod_status(obj: Json, _: float) -> str:
    status = obj.get("status", {})
    reason = status.get("reason") or status.get("phase", "")
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    for one in reversed(status.get("containerStatuses") or ()):
        state = one.get("state") or {}
        if state.get("waiting", {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            reason = state["terminated"].get("reason") or f"ExitCode:{state['terminated'].get('exitCode', 0)}"
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else str(reason)


def _restarts(obj: Json, now: float) -> str:
    statuses = obj.get("status", {}).get("containerStatuses") or ()
    count = sum(s.get("restartCount", 0) for s in statuses)
    last = [s.get("lastState", {}).get("terminated", {}).get("finishedAt") for s in statuses]
    ended = max((at for at in last if at), default="")
    return f"{count} ({age(ended, now)} ago)" if count and ended else str(count)


def _gates(obj: Json, _: float) -> str:
    gates = [gate["conditionType"] for gate in obj["spec"].get("readinessGates") or ()]
    true = {c["type"] for c in obj.get("status", {}).get("conditions") or () if c["status"] == "True"}
    return f"{sum(gate in true for gate in gates)}/{len(gates)}" if gates else NONE


def _job_status(obj: Json, _: float) -> str:
    conditions = {c["type"]: c["status"] for c in obj.get("status", {}).get("conditions") or ()}
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended"), ("FailureTarget", "FailureTarget")):
        if conditions.get(kind) == "True":
            return word
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else "Running"


def _completions(obj: Json, _: float) -> str:
    spec, done = obj["spec"], obj.get("status", {}).get("succeeded", 0)
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    return f"{done}/1 of {spec['parallelism']}" if spec.get("parallelism", 1) > 1 else f"{done}/1"


def _job_duration(obj: Json, now: float) -> str:
    status = obj.get("status", {})
    if not status.get("startTime"):
        return ""
    end = metadata.instant(status["completionTime"]) if status.get("completionTime") else now
    return duration(end - metadata.instant(status["startTime"]))


def _last_schedule(obj: Json, now: float) -> str:
    at = obj.get("status", {}).get("lastScheduleTime")
    return age(at, now) if at else NONE


def _controller(obj: Json) -> str:
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            group = owner["apiVersion"].rpartition("/")[0]
            return f"{owner['kind'].lower()}{'.' + group if group else ''}/{owner['name']}"
    return NONE


_SCALED = (
    NAME,
    number("Desired", "spec", "replicas"),
    number("Current", "status", "replicas"),
    number("Ready", "status", "readyReplicas"),
    AGE,
)

WORKLOADS: dict[tuple[str, str], tuple[Column, ...]] = {
    ("", "Pod"): (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        AGE,
        Column("IP", at("status", "podIP", default=NONE), priority=1),
        Column("Node", at("spec", "nodeName", default=NONE), priority=1),
        Column("Nominated Node", at("status", "nominatedNodeName", default=NONE), priority=1),
        Column("Readiness Gates", _gates, priority=1),
    ),
    ("apps", "Deployment"): (
        NAME,
        Column("Ready", _ready_of),
        Column("Up-to-date", at("status", "updatedReplicas", default=0)),
        Column("Available", at("status", "availableReplicas", default=0)),
        AGE,
        *_WIDE,
    ),
    ("apps", "ReplicaSet"): (*_SCALED, *_WIDE),
    ("", "ReplicationController"): (*_SCALED, *_WIDE[:2], Column("Selector", _plain_selector, priority=1)),
    ("apps", "StatefulSet"): (NAME, Column("Ready", _ready_of), AGE, *_WIDE[:2]),
    ("apps", "DaemonSet"): (
        NAME,
        number("Desired", "status", "desiredNumberScheduled"),
        number("Current", "status", "currentNumberScheduled"),
        number("Ready", "status", "numberReady"),
        number("Up-to-date", "status", "updatedNumberScheduled"),
        number("Available", "status", "numberAvailable"),
        Column("Node Selector", lambda obj, _: labels_text(_template_of(obj).get("nodeSelector"))),
        AGE,
        *_WIDE,
    ),
    ("batch", "Job"): (
        NAME,
        Column("Status", _job_status),
        Column("Completions", _completions),
        Column("Duration", _job_duration),
        AGE,
        *_WIDE,
    ),
    ("batch", "CronJob"): (
        NAME,
        Column("Schedule", at("spec", "schedule")),
        Column("Timezone", at("spec", "timeZone", default=NONE)),
        Column("Suspend", lambda obj, _: text(bool(obj["spec"].get("suspend"))).capitalize(), "boolean"),
        Column("Active", lambda obj, _: len(obj.get("status", {}).get("active") or ()), "integer"),
        Column("Last Schedule", _last_schedule),
        AGE,
        *_WIDE[:2],
        Column("Selector", lambda obj, _: _selector(obj["spec"]["jobTemplate"], 0), priority=1),
    ),
    ("apps", "ControllerRevision"): (
        NAME,
        Column("Controller", lambda obj, _: _controller(obj)),
        Column("Revision", at("revision")),
        AGE,
    ),
}
