"""Rules of pods and of what makes them: what must be there, and what may not change.

Law of the module: pure; one function a kind, which `rules` lists. Paths, order and sentences are those of kube-apiserver 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import metadata, podrules, selectors
from .errors import Cause, forbidden_field, invalid_value, required, unsupported
from .store import Json

_IMMUTABLE = "field is immutable"
_JOB_POLICIES = 'valid values: "OnFailure", "Never"'
_STATEFUL_MAY_CHANGE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_STATEFUL_WORDS = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_POD_WORDS = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_NOT_NEGATIVE = "must be greater than or equal to 0"


def _not_negative(spec: Json, *names: str) -> Iterator[Cause]:
    for name in names:
        if spec.get(name, 0) < 0:
            yield invalid_value(f"spec.{name}", spec[name], _NOT_NEGATIVE)


def _selector(spec: Json, path: str = "spec.selector") -> Iterator[Cause]:
    selector = spec.get("selector")
    if selector is None:
        yield required(path)
        return
    for key in sorted(selector.get("matchLabels") or {}):
        value = selector["matchLabels"][key]
        yield from (invalid_value(f"{path}.matchLabels", key, text) for text in metadata.qualified_words(key))
        yield from (invalid_value(f"{path}.matchLabels", value, text) for text in metadata.value_words(value))
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid_value(path, selector, "empty selector is invalid for deployment")


def _template(spec: Json, policies: tuple[str, ...] = ("Always",)) -> Iterator[Cause]:
    template = spec.get("template") or {}
    labels = template.get("metadata", {}).get("labels")
    selector = spec.get("selector")
    if selector is None or not selectors.matches(selectors.object_selector(selector), labels or {}):
        yield invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from metadata.labels_causes(labels or {}, "spec.template.labels")
    inner = template.get("spec") or {}
    yield from podrules.causes(inner, "spec.template.spec", ("Always", "OnFailure", "Never"))
    restart = inner.get("restartPolicy")
    if restart in ("OnFailure", "Never") and restart not in policies:
        yield unsupported("spec.template.spec.restartPolicy", restart, policies)


def deployment(obj: Json) -> Iterator[Cause]:
    """What is wrong with a Deployment."""
    spec = obj.get("spec") or {}
    yield from _not_negative(spec, "replicas")
    yield from _selector(spec)
    yield from _template(spec)
    kind = (spec.get("strategy") or {}).get("type")
    if kind not in (None, "Recreate", "RollingUpdate"):
        yield unsupported("spec.strategy.type", kind, ("Recreate", "RollingUpdate"))
    if kind == "Recreate" and "rollingUpdate" in spec["strategy"]:
        yield forbidden_field("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    if rolling.get("maxSurge") in (0, "0%") and rolling.get("maxUnavailable") in (0, "0%"):
        path = "spec.strategy.rollingUpdate.maxUnavailable"
        yield invalid_value(path, rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")
    yield from _not_negative(spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    if 0 <= spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        text = "must be greater than minReadySeconds"
        yield invalid_value("spec.progressDeadlineSeconds", spec.get("progressDeadlineSeconds"), text)


def scaled(obj: Json) -> Iterator[Cause]:
    """What is wrong with a ReplicaSet."""
    spec = obj.get("spec") or {}
    yield from _not_negative(spec, "replicas", "minReadySeconds")
    yield from _selector(spec)
    yield from _template(spec)


def stateful(obj: Json) -> Iterator[Cause]:
    """What is wrong with a StatefulSet."""
    strategy = (obj.get("spec") or {}).get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete" and "rollingUpdate" in strategy:
        rolling = strategy["rollingUpdate"]
        shown = {"Partition": rolling.get("partition", 0), "MaxUnavailable": rolling.get("maxUnavailable")}
        yield invalid_value("spec.updateStrategy.rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")
    yield from scaled(obj)


def daemon(obj: Json) -> Iterator[Cause]:
    """What is wrong with a DaemonSet."""
    spec = obj.get("spec") or {}
    if spec.get("selector") is not None:
        yield from _selector(spec)
    yield from _template(spec)
    yield from _not_negative(spec, "minReadySeconds", "revisionHistoryLimit")


def selector_fixed(obj: Json, old: Json) -> Iterator[Cause]:
    """Whether a selector would change."""
    if obj["spec"].get("selector") != old["spec"].get("selector"):
        yield invalid_value("spec.selector", obj["spec"].get("selector"), _IMMUTABLE)


def stateful_update(obj: Json, old: Json) -> Iterator[Cause]:
    """Whether a StatefulSet would change where it may not."""

    def fixed(spec: Json) -> Json:
        return {k: v for k, v in spec.items() if k not in _STATEFUL_MAY_CHANGE}

    if fixed(obj["spec"]) != fixed(old["spec"]):
        yield forbidden_field("spec", _STATEFUL_WORDS)


def job(obj: Json) -> Iterator[Cause]:
    """What is wrong with a Job."""
    spec = obj.get("spec") or {}
    yield from _not_negative(spec, "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit")
    yield from _job_selector(obj, spec)
    inner = (spec.get("template") or {}).get("spec") or {}
    yield from podrules.causes(inner, "spec.template.spec")
    restart = inner.get("restartPolicy")
    if restart not in ("OnFailure", "Never"):
        yield required("spec.template.spec.restartPolicy", _JOB_POLICIES)


def _job_selector(obj: Json, spec: Json) -> Iterator[Cause]:
    """A selector is made by the server, unless `manualSelector` is set."""
    selector, labels = spec.get("selector"), (spec.get("template") or {}).get("metadata", {}).get("labels")
    if selector is None:
        yield required("spec.selector")
    elif not spec.get("manualSelector"):
        if selector != {"matchLabels": {"batch.kubernetes.io/controller-uid": obj["metadata"].get("uid")}}:
            yield invalid_value("spec.selector", selector, "`selector` not auto-generated")
    if selector is None or not selectors.matches(selectors.object_selector(selector), labels or {}):
        yield invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


def job_update(obj: Json, old: Json) -> Iterator[Cause]:
    """Whether a Job would change where it may not."""
    for field in ("completions", "selector", "template", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"):
        if obj["spec"].get(field) != old["spec"].get(field):
            yield invalid_value(f"spec.{field}", obj["spec"].get(field), _IMMUTABLE)


def cron_job(obj: Json) -> Iterator[Cause]:
    """What is wrong with a CronJob."""
    spec = obj.get("spec") or {}
    schedule = spec.get("schedule", "")
    if not schedule:
        yield required("spec.schedule")
    elif not schedule.startswith("@") and len(schedule.split()) != 5:
        count = len(schedule.split())
        text = f"expected exactly 5 fields, found {count}: [{' '.join(schedule.split())}]"
        yield invalid_value("spec.schedule", schedule, text)
    policy = spec.get("concurrencyPolicy")
    if policy not in (None, "Allow", "Forbid", "Replace"):
        yield unsupported("spec.concurrencyPolicy", policy, ("Allow", "Forbid", "Replace"))
    inner = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template", {}).get("spec") or {}
    path = "spec.jobTemplate.spec.template.spec"
    yield from podrules.causes(inner, path)
    if inner.get("restartPolicy") not in ("OnFailure", "Never"):
        yield required(f"{path}.restartPolicy", _JOB_POLICIES)


def pod(obj: Json) -> Iterator[Cause]:
    """What is wrong with a Pod."""
    yield from podrules.causes(obj.get("spec") or {}, "spec")


def pod_update(obj: Json, old: Json) -> Iterator[Cause]:
    """Whether a Pod would change where it may not."""

    def fixed(pod: Json) -> Json:
        spec = {k: v for k, v in pod["spec"].items() if k not in ("activeDeadlineSeconds", "tolerations")}
        for part in ("containers", "initContainers"):
            spec[part] = [{**c, "image": "", "resources": {}} for c in spec.get(part) or ()]
        return spec

    if fixed(obj) != fixed(old):
        yield forbidden_field("spec", _POD_WORDS)
