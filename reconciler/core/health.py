"""Health of one live object: is it there, on its way, or stuck?

Law of the module: `compute` is total. It answers for every JSON value, never raises, and reads no clock: the one rule
that depends on time (a pod may wait 15 seconds for a node) takes `now` and says in `again_at` when to ask again. What
has the wrong type counts as absent; `true` is no number; a number outside 64 bits is none either.

The rules and their order are those of kstatus (kubernetes-sigs/cli-utils, pkg/kstatus/status: generic.go, core.go),
with Flux's rule for Jobs (fluxcd/pkg, runtime/statusreaders/job.go): a Job is Current when it is complete or suspended,
not while it runs. Reasons are kstatus' words; messages are ours and say what is missing. Instants are seconds since the
Unix epoch.

A kind is one function and one row in `_RULES`, by group and kind; its version does not matter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

HealthStatus = Literal["Current", "InProgress", "Failed", "Terminating", "NotFound", "Unknown"]

SCHEDULE_WINDOW_SECONDS = 15.0  # how long a pod may be unschedulable before that is a failure
MESSAGE_LIMIT = 500  # characters taken over from a condition's message
_CONDITIONS_LIMIT = 200  # conditions that are looked at
_NO_DEADLINE = 2**31 - 1  # progressDeadlineSeconds that the Deployment controller reads as "none"


class Health(NamedTuple):
    """How an object is, why in one word, and in one sentence; `again_at` is when time alone may change the answer."""

    status: HealthStatus
    reason: str = ""
    message: str = ""
    again_at: float | None = None


NOT_FOUND = Health("NotFound", "NotFound", "not there")


class _Condition(NamedTuple):
    type: str
    status: str
    reason: str
    message: str


Rule = Callable[[Mapping[str, Any], float], Health]


def compute(obj: object, now: float) -> Health:
    """Say how a live object is; `now` is in seconds since the epoch. The first rule that knows decides."""
    if not isinstance(obj, Mapping):
        return Health("Unknown", "NotAnObject", "is not a Kubernetes object")
    if _text(obj, "metadata", "deletionTimestamp"):
        return Health("Terminating", "Terminating", "is being deleted")
    generation, observed = _number(obj, "metadata", "generation"), _number(obj, "status", "observedGeneration")
    if generation is not None and observed is not None and generation != observed:
        message = f"generation {generation} not seen by its controller yet, which has seen {observed}"
        return Health("InProgress", "LatestGenerationNotObserved", message)
    for condition in _conditions(obj):
        if condition.status == "True" and condition.type == "Reconciling":
            return Health("InProgress", condition.reason or "Reconciling", condition.message)
        if condition.status == "True" and condition.type == "Stalled":
            return Health("Failed", condition.reason or "Stalled", condition.message)
    rule = _RULES.get((_text(obj, "apiVersion").rpartition("/")[0], _text(obj, "kind")))
    return rule(obj, now) if rule else _by_ready_condition(obj)


def _by_ready_condition(obj: Mapping[str, Any]) -> Health:
    """A kind without a rule of its own: its Ready condition decides, and without one it is Current."""
    for condition in _conditions(obj):
        if condition.type != "Ready":
            continue
        if condition.status == "True":
            return Health("Current", condition.reason, condition.message or "Ready")
        if condition.status in ("False", "Unknown"):
            return Health("InProgress", condition.reason or "NotReady", condition.message or "not ready")
    return Health("Current", "", "exists")


# -- One function a kind ----------


def _always(_obj: Mapping[str, Any], _now: float) -> Health:
    return Health("Current", "", "exists")


def _service(obj: Mapping[str, Any], _now: float) -> Health:
    if _text(obj, "spec", "type") == "LoadBalancer" and not _text(obj, "spec", "clusterIP"):
        return Health("InProgress", "NoIPAssigned", "load balancer without a cluster IP yet")
    return Health("Current", "", "service is there")


def _claim(obj: Mapping[str, Any], _now: float) -> Health:
    phase = _text(obj, "status", "phase")
    if phase != "Bound":
        return Health("InProgress", "NotBound", f"volume claim is not bound, phase {_line(phase) or 'unknown'}")
    return Health("Current", "", "volume claim is bound")


def _pod(obj: Mapping[str, Any], now: float) -> Health:
    match _text(obj, "status", "phase"):
        case "Succeeded":
            return Health("Current", "PodSucceeded", "pod has completed")
        case "Failed":  # Current too: kstatus calls a pod that will not run again settled; the reason tells them apart
            return Health("Current", "PodFailed", _with("pod ended without success", _text(obj, "status", "message")))
        case "Running":
            return _running_pod(obj)
        case "Pending":
            return _pending_pod(obj, now)
        case "":
            return Health("InProgress", "PodNotObserved", "pod has no phase yet")
        case phase:
            return Health("Unknown", "UnknownPhase", f"pod phase {_line(phase)} is not known")


def _running_pod(obj: Mapping[str, Any]) -> Health:
    if _has(obj, "Ready", "True"):
        return Health("Current", "", "pod is ready")
    crashing = [
        _line(_text(status, "name"))
        for status in _maps(obj, "status", "containerStatuses")
        if _text(status, "state", "waiting", "reason") == "CrashLoopBackOff"
    ]
    if crashing:
        return Health("Failed", "ContainerCrashLooping", "crashing again and again: " + ", ".join(crashing[:10]))
    return Health("InProgress", "PodRunningNotReady", "pod runs but is not ready")


def _pending_pod(obj: Mapping[str, Any], now: float) -> Health:
    unscheduled = next((c for c in _conditions(obj) if c.type == "PodScheduled" and c.status == "False"), None)
    if unscheduled is None or unscheduled.reason != "Unschedulable":
        return Health("InProgress", "PodPending", "pod is pending")
    gives_up_at = _instant(obj, "metadata", "creationTimestamp") + SCHEDULE_WINDOW_SECONDS
    if now < gives_up_at:
        return Health("InProgress", "PodNotScheduled", _with("no node yet", unscheduled.message), gives_up_at)
    return Health("Failed", "PodUnschedulable", _with("no node takes the pod", unscheduled.message))


def _deployment(obj: Mapping[str, Any], _now: float) -> Health:
    deadline = _number(obj, "spec", "progressDeadlineSeconds")
    progressing = deadline is None or deadline == _NO_DEADLINE  # then the controller never sets the condition
    said = ""
    for condition in _conditions(obj):
        if condition.type == "Progressing":
            if condition.reason == "ProgressDeadlineExceeded":
                return Health("Failed", condition.reason, _with("no progress within its deadline", condition.message))
            progressing = progressing or (condition.status == "True" and condition.reason == "NewReplicaSetAvailable")
            if condition.status == "False":
                said = said or condition.message
        elif condition.type == "ReplicaFailure" and condition.status == "True":
            said = condition.message  # why pods cannot be made: the most useful thing that there is to tell
    spec, replicas = _or(_number(obj, "spec", "replicas"), 1), _count(obj, "replicas")
    updated, available = _count(obj, "updatedReplicas"), _count(obj, "availableReplicas")
    return (
        _short(replicas, spec, "LessReplicas", "replicas created", said)
        or _short(updated, spec, "LessUpdated", "replicas updated", said)
        or _extra(replicas, spec)
        or _short(available, updated, "LessAvailable", "replicas available", said)
        or _short(_count(obj, "readyReplicas"), spec, "LessReady", "replicas ready", said)
        or (None if progressing else _wait("ReplicaSetNotAvailable", "new replica set not available yet", said))
        or (None if _has(obj, "Available", "True") else _wait("DeploymentNotAvailable", "not available yet", said))
        or Health("Current", "", f"available, {_replicas(replicas)}")
    )


def _stateful_set(obj: Mapping[str, Any], _now: float) -> Health:
    if _text(obj, "spec", "updateStrategy", "type") == "OnDelete":
        return Health("Current", "", "updated only when pods are deleted by hand")
    spec, replicas = _or(_number(obj, "spec", "replicas"), 1), _count(obj, "replicas")
    not_there = (
        _short(replicas, spec, "LessReplicas", "replicas created")
        or _short(_count(obj, "readyReplicas"), spec, "LessReady", "replicas ready")
        or _extra(replicas, spec)
    )
    if not_there:
        return not_there
    partition = _number(obj, "spec", "updateStrategy", "rollingUpdate", "partition")
    if partition is not None and partition != -1:
        updated = _count(obj, "updatedReplicas")
        return _short(updated, spec - partition, "PartitionRollout", "replicas of the partition updated") or Health(
            "Current", "", f"partition updated, {_replicas(updated)}"
        )
    if short := _short(_count(obj, "currentReplicas"), spec, "LessCurrent", "replicas at the current revision"):
        return short
    if _text(obj, "status", "currentRevision") != _text(obj, "status", "updateRevision"):
        return Health("InProgress", "RevisionMismatch", "the new revision is not the current one yet")
    return Health("Current", "", f"ready, {_replicas(replicas)}")


def _daemon_set(obj: Mapping[str, Any], _now: float) -> Health:
    if _number(obj, "metadata", "generation") is None:
        return Health("InProgress", "NoGeneration", "has no generation yet")
    if _number(obj, "status", "observedGeneration") is None:
        return Health("InProgress", "NoObservedGeneration", "not seen by its controller yet")
    desired = _number(obj, "status", "desiredNumberScheduled")
    if desired is None or desired == -1:
        return Health("InProgress", "NoDesiredNumber", "not known yet on how many nodes it should run")
    return (
        _short(_count(obj, "currentNumberScheduled"), desired, "LessCurrent", "pods created")
        or _short(_count(obj, "updatedNumberScheduled"), desired, "LessUpdated", "pods updated")
        or _short(_count(obj, "numberAvailable"), desired, "LessAvailable", "pods available")
        or _short(_count(obj, "numberReady"), desired, "LessReady", "pods ready")
        or Health("Current", "", f"runs on {desired} node{'s' * (desired != 1)}")
    )


def _replica_set(obj: Mapping[str, Any], _now: float) -> Health:
    failure = next((c for c in _conditions(obj) if c.type == "ReplicaFailure" and c.status == "True"), None)
    if failure:
        return Health("InProgress", "ReplicaFailure", _with("pods cannot be made", failure.message))
    spec, replicas = _or(_number(obj, "spec", "replicas"), 1), _count(obj, "replicas")
    return (
        _short(_count(obj, "fullyLabeledReplicas"), spec, "LessLabelled", "replicas labelled")
        or _short(_count(obj, "availableReplicas"), spec, "LessAvailable", "replicas available")
        or _short(_count(obj, "readyReplicas"), spec, "LessReady", "replicas ready")
        or _extra(replicas, spec)
        or Health("Current", "", f"available, {_replicas(replicas)}")
    )


def _job(obj: Mapping[str, Any], _now: float) -> Health:
    completions = _number(obj, "spec", "completions")
    wanted = completions if completions is not None else _or(_number(obj, "spec", "parallelism"), 1)
    done = f"{_count(obj, 'succeeded')} of {wanted} succeeded"
    for condition in _conditions(obj):
        if condition.status != "True":
            continue
        if condition.type == "Complete":
            return Health("Current", "JobComplete", f"job is complete, {done}")
        if condition.type == "Failed":
            failed = f"job has failed, {done}, {_count(obj, 'failed')} failed"
            return Health("Failed", "JobFailed", _with(failed, condition.message))
        if condition.type == "Suspended" and _get(obj, "spec", "suspend") is True:
            return Health("Current", "JobSuspended", "job is suspended")
    if not _text(obj, "status", "startTime"):
        return Health("InProgress", "JobNotStarted", "job has not started")
    return Health("InProgress", "JobRunning", f"job runs, {done}, {_count(obj, 'active')} active")


def _definition(obj: Mapping[str, Any], _now: float) -> Health:
    for condition in _conditions(obj):
        if condition.type == "NamesAccepted" and condition.status == "False":
            reason, message = condition.reason or "NamesNotAccepted", _with("names not accepted", condition.message)
            return Health("Failed", reason, message)
        if condition.type == "Established":
            if condition.status == "False" and condition.reason != "Installing":
                reason, message = condition.reason or "NotEstablished", _with("not established", condition.message)
                return Health("Failed", reason, message)
            if condition.status == "True":
                return Health("Current", "", "definition is established")
    return Health("InProgress", "Installing", "definition is being installed")


_RULES: dict[tuple[str, str], Rule] = {
    ("", "ConfigMap"): _always,
    ("", "Secret"): _always,
    ("", "Service"): _service,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("apps", "Deployment"): _deployment,
    ("extensions", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("extensions", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("extensions", "ReplicaSet"): _replica_set,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _always,
    ("policy", "PodDisruptionBudget"): _always,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}


# -- Sentences ----------


def _short(have: int, want: int, reason: str, what: str, said: str = "") -> Health | None:
    """What is missing where there is less than wanted: "1 of 3 replicas available"."""
    return _wait(reason, f"{have} of {want} {what}", said) if have < want else None


def _extra(have: int, want: int) -> Health | None:
    """What is too many while old pods end."""
    if have <= want:
        return None
    return Health("InProgress", "ExtraPods", f"{have - want} of {_replicas(have)} still to end")


def _wait(reason: str, message: str, said: str) -> Health:
    return Health("InProgress", reason, _with(message, said))


def _with(message: str, said: str) -> str:
    """Our sentence, and what the cluster itself says of it, on one line and bounded."""
    said = _line(said)
    return f"{message}: {said}" if said else message


def _line(text: str) -> str:
    """One printable line of at most MESSAGE_LIMIT characters (a status is hostile input like any other)."""
    line = " ".join(text[: 4 * MESSAGE_LIMIT].split())[:MESSAGE_LIMIT]
    return line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line)


def _replicas(count: int) -> str:
    return f"{count} replica{'s' * (count != 1)}"


# -- Getters: total, wrong types are absent ----------


def _get(value: object, *path: str) -> object:
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _text(value: object, *path: str) -> str:
    found = _get(value, *path)
    return found if isinstance(found, str) else ""


def _number(value: object, *path: str) -> int | None:
    found = _get(value, *path)
    if type(found) is int and -(2**63) <= found < 2**63:  # not isinstance: True is an int in Python
        return found
    return None


def _or(number: int | None, default: int) -> int:
    return default if number is None else number


def _count(obj: Mapping[str, Any], field: str) -> int:
    return _or(_number(obj, "status", field), 0)


def _maps(value: object, *path: str) -> Iterator[Mapping[str, Any]]:
    found = _get(value, *path)
    if isinstance(found, list):
        for item in found[:_CONDITIONS_LIMIT]:
            if isinstance(item, Mapping):
                yield item


def _conditions(obj: Mapping[str, Any]) -> Iterator[_Condition]:
    for item in _maps(obj, "status", "conditions"):
        reason, message = _text(item, "reason"), _text(item, "message")
        yield _Condition(_text(item, "type"), _text(item, "status"), _line(reason)[:100], _line(message))


def _has(obj: Mapping[str, Any], kind: str, status: str) -> bool:
    return any(c.type == kind and c.status == status for c in _conditions(obj))


def _instant(value: object, *path: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0, which is long ago, for anything else (as Go's zero time is)."""
    try:
        at = dt.datetime.fromisoformat(_text(value, *path))
    except ValueError:
        return 0.0
    return at.timestamp() if at.tzinfo else 0.0
