"""Built-in kinds that are served in two forms: what is stored of them, and how the other version shows it.

Law of the module: objects are stored in one form, and converted where they come in and go out; field ownership keeps the version that it
was recorded under. A form that has no place for something carries it in an annotation. Sources: pkg/apis/{core,events,autoscaling} of
Kubernetes 1.36 (conversion.go).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .resources import Resource
from .store import Entry, Json, decode, encode

_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS, _BEHAVIOR = _PREFIX + "metrics", _PREFIX + "behavior"
_CONDITIONS, _CURRENT = _PREFIX + "conditions", _PREFIX + "current-metrics"
_NOTES = (_METRICS, _BEHAVIOR, _CONDITIONS, _CURRENT)
_DEFAULT_PERCENT = 80


class _Pair(NamedTuple):
    api_version: str  # what is stored
    show: Callable[[Json], Json]
    store: Callable[[Json], Json]


def api_version(resource: Resource) -> str:
    """The version in which objects of a built-in kind are stored."""
    pair = _of(resource)
    return pair.api_version if pair else resource.api_version


def shown(resource: Resource, entry: Entry) -> Entry:
    """A stored object as the resource's version shows it."""
    pair = _of(resource)
    if pair is None or entry.obj.get("apiVersion") != pair.api_version:
        return entry
    return Entry({**pair.show(entry.obj), "apiVersion": resource.api_version}, entry.version)


def stored(resource: Resource, obj: Json) -> Json:
    """An object of the resource's version as it is stored."""
    pair = _of(resource)
    if pair is None or obj.get("apiVersion") == pair.api_version:
        return obj
    return {**pair.store(obj), "apiVersion": pair.api_version}


def alike(kind: str, one: str, other: str) -> bool:
    """Whether two versions of a kind have one form."""
    return one == other or ((one, kind) not in _PAIRS and (other, kind) not in _PAIRS)


def converted(obj: Json, kind: str, came: str, wanted: str) -> Json:
    """An object of one version of a kind in the form of another."""
    if alike(kind, came, wanted):
        return obj
    if (came, kind) in _PAIRS:
        obj = _PAIRS[came, kind].store(obj)
    return _PAIRS[wanted, kind].show(obj) if (wanted, kind) in _PAIRS else obj


def _of(resource: Resource) -> _Pair | None:
    return None if resource.custom else _PAIRS.get((resource.api_version, resource.kind))


# -- events -------------------------------------------------------------------------------------------------------------------

# Names in core/v1 and in events.k8s.io/v1, and what stands where nothing is said: None for nothing.
_EVENT_FIELDS: tuple[tuple[str, str, Json | str | None], ...] = (
    ("involvedObject", "regarding", {}),
    ("reason", "reason", None),
    ("message", "note", None),
    ("source", "deprecatedSource", {}),
    ("firstTimestamp", "deprecatedFirstTimestamp", None),
    ("lastTimestamp", "deprecatedLastTimestamp", None),
    ("count", "deprecatedCount", None),
    ("type", "type", None),
    ("eventTime", "eventTime", None),
    ("series", "series", None),
    ("action", "action", None),
    ("related", "related", None),
    ("reportingComponent", "reportingController", ""),
    ("reportingInstance", "reportingInstance", ""),
)
_TIMES = ("firstTimestamp", "lastTimestamp", "eventTime")


def _event_shown(obj: Json) -> Json:
    made = {"kind": "Event", "metadata": obj.get("metadata") or {}}
    for core, other, _ in _EVENT_FIELDS:
        if core in _TIMES or core == "source" or obj.get(core) not in (None, "", {}):
            made[other] = obj.get(core)
    return made


def _event_stored(obj: Json) -> Json:
    made = {"kind": "Event", "metadata": obj.get("metadata") or {}}
    for core, other, absent in _EVENT_FIELDS:
        if core in _TIMES or absent is not None or obj.get(other) is not None:
            made[core] = obj.get(other, absent)
    return made


# -- autoscalers --------------------------------------------------------------------------------------------------------------


def _scaler_shown(obj: Json) -> Json:
    """autoscaling/v2 as v1: one target for the processor, the rest in annotations."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    notes: Json = {}
    metrics = spec.pop("metrics", None) or []
    percent = next((m["resource"]["target"]["averageUtilization"] for m in metrics if _is_processor(m, "target")), None)
    if percent is not None:
        spec["targetCPUUtilizationPercentage"] = percent
    if rest := [_plain_metric(metric) for metric in metrics if not _is_processor(metric, "target")]:
        notes[_METRICS] = rest
    if behavior := spec.pop("behavior", None):
        notes[_BEHAVIOR] = {direction: _capital(rules) for direction, rules in sorted(_capital(behavior).items(), reverse=True)}
    current = status.pop("currentMetrics", None) or []
    if current:
        notes[_CURRENT] = [_plain_current(metric) for metric in current]
    percent = next((m["resource"]["current"]["averageUtilization"] for m in current if _is_processor(m, "current")), None)
    if percent is not None:
        status["currentCPUUtilizationPercentage"] = percent
    if conditions := status.pop("conditions", None):
        notes[_CONDITIONS] = [{"lastTransitionTime": None, **condition} for condition in conditions]
    meta = obj.get("metadata") or {}
    if notes:
        texts = {name: encode(value).decode() for name, value in notes.items()}
        meta = {**meta, "annotations": {**(meta.get("annotations") or {}), **texts}}
    return {"kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": spec, "status": {"currentReplicas": 0, **status}}


def _scaler_stored(obj: Json) -> Json:
    """autoscaling/v1 as v2; with no metric at all, the processor's default."""
    spec, status, meta = dict(obj.get("spec") or {}), dict(obj.get("status") or {}), dict(obj.get("metadata") or {})
    notes = {name: _checked(name, _read(text)) for name, text in (meta.get("annotations") or {}).items() if name in _NOTES}
    if notes:
        meta["annotations"] = {name: text for name, text in meta["annotations"].items() if name not in _NOTES}
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    metrics = [_rich_metric(metric) for metric in notes.get(_METRICS) or ()]
    if percent is None and not metrics:
        percent = _DEFAULT_PERCENT
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    spec["metrics"] = metrics
    if behavior := notes.get(_BEHAVIOR):
        spec["behavior"] = {direction: _small(rules) for direction, rules in _small(behavior).items()}
    status.pop("currentCPUUtilizationPercentage", None)
    status["currentMetrics"] = [_rich_current(metric) for metric in notes.get(_CURRENT) or ()] or None
    if not status.get("currentReplicas"):
        status.pop("currentReplicas", None)
    if conditions := notes.get(_CONDITIONS):
        status["conditions"] = conditions
    return {"kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": spec, "status": status}


def _read(text: str) -> Any:
    """What an annotation holds; what cannot be read is nothing."""
    try:
        return decode(text.encode())
    except ValueError:
        return None


def _checked(name: str, value: Any) -> Any:
    """The value where it has the shape that it should have: people may write annotations too."""
    if name == _BEHAVIOR:
        return value if isinstance(value, dict) and all(isinstance(rules, dict) for rules in value.values()) else {}
    listed = isinstance(value, list) and all(isinstance(one, dict) for one in value)
    if name == _CONDITIONS:
        return value if listed else []
    return [one for one in value if isinstance(one.get(_field(one)), dict)] if listed else []


def _is_processor(metric: Json, name: str) -> bool:
    about = metric.get("resource") or {}
    found = about.get(name) or {}
    return metric.get("type") == "Resource" and about.get("name") == "cpu" and found.get("averageUtilization") is not None


def _field(metric: Json) -> str:
    kind = str(metric.get("type", ""))
    return kind[:1].lower() + kind[1:]


def _plain_metric(metric: Json) -> Json:
    """A metric as the annotation of v1 has it."""
    name = _field(metric)
    about = metric.get(name) or {}
    target, told = about.get("target") or {}, about.get("metric") or {}
    made: Json = {}
    if "describedObject" in about:
        made["target"] = {name: about["describedObject"].get(name) for name in ("kind", "name", "apiVersion")}
    made |= {"name": about.get("name"), "metricName": told.get("name")}
    made |= {"targetAverageUtilization": target.get("averageUtilization"), "targetValue": target.get("value")}
    made["averageValue" if name == "object" else "targetAverageValue"] = target.get("averageValue")
    made |= {"container": about.get("container"), "metricSelector" if name == "external" else "selector": told.get("selector")}
    return {"type": metric.get("type"), name: {key: value for key, value in made.items() if value is not None}}


def _rich_metric(metric: Json) -> Json:
    """A metric of the annotation as v2 has it."""
    name = _field(metric)
    about = metric.get(name) or {}
    average = about.get("targetAverageValue", about.get("averageValue"))
    target: Json = {"type": "Value", "value": about.get("targetValue"), "averageValue": average}
    target["averageUtilization"] = about.get("targetAverageUtilization")
    if average is not None:
        target["type"] = "AverageValue"
    if target["averageUtilization"] is not None:
        target["type"] = "Utilization"
    made: Json = {"describedObject": about.get("target"), "name": about.get("name"), "container": about.get("container")}
    if about.get("metricName"):
        told = {"name": about["metricName"], "selector": about.get("selector", about.get("metricSelector"))}
        made["metric"] = {key: value for key, value in told.items() if value is not None}
    made["target"] = {key: value for key, value in target.items() if value is not None}
    return {"type": metric.get("type"), name: {key: value for key, value in made.items() if value is not None}}


def _plain_current(metric: Json) -> Json:
    name = _field(metric)
    about = metric.get(name) or {}
    current = about.get("current") or {}
    made = {"name": about.get("name"), "currentAverageUtilization": current.get("averageUtilization")}
    made |= {"currentAverageValue": current.get("averageValue"), "currentValue": current.get("value")}
    return {"type": metric.get("type"), name: {key: value for key, value in made.items() if value is not None}}


def _rich_current(metric: Json) -> Json:
    name = _field(metric)
    about = metric.get(name) or {}
    current = {"averageUtilization": about.get("currentAverageUtilization"), "averageValue": about.get("currentAverageValue")}
    current["value"] = about.get("currentValue")
    made = {"name": about.get("name"), "current": {key: value for key, value in current.items() if value is not None}}
    return {"type": metric.get("type"), name: made}


def _capital(value: Json) -> Json:
    """Rules with the names that Go gives them, as the annotation has them."""
    order = ("ScaleUp", "ScaleDown", "StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance")
    made = {name[:1].upper() + name[1:]: inner for name, inner in value.items()}
    if "Policies" in made:
        made["Policies"] = [{n[:1].upper() + n[1:]: policy[n] for n in ("type", "value", "periodSeconds")} for policy in made["Policies"]]
        made.setdefault("Tolerance", None)
    return {name: made[name] for name in order if name in made}


def _small(value: Json) -> Json:
    made = {name[:1].lower() + name[1:]: inner for name, inner in value.items() if inner is not None}
    if isinstance(made.get("policies"), list):
        policies = [policy for policy in made["policies"] if isinstance(policy, dict)]
        made["policies"] = [{n[:1].lower() + n[1:]: inner for n, inner in policy.items()} for policy in policies]
    return made


_PAIRS = {
    ("events.k8s.io/v1", "Event"): _Pair("v1", _event_shown, _event_stored),
    ("autoscaling/v1", "HorizontalPodAutoscaler"): _Pair("autoscaling/v2", _scaler_shown, _scaler_stored),
}
