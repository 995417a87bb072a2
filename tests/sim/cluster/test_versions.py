"""Kinds in two versions: nothing is lost on the way out and back, whatever an object says."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.cluster import versions

from .support import APPLY, Json, Machine

EVENTS, NEW_EVENTS = "/api/v1/namespaces/default/events", "/apis/events.k8s.io/v1/namespaces/default/events"
SCALERS = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
NAMES = st.sampled_from(["a", "cpu", "memory", "qps"])
NUMBERS = st.integers(1, 99)
QUANTITIES = st.sampled_from(["1", "100m", "2Gi"])


def _metric(kind: str) -> st.SearchStrategy[Json]:
    field = kind[:1].lower() + kind[1:]
    percent = NUMBERS.map(lambda n: {"type": "Utilization", "averageUtilization": n})
    average = QUANTITIES.map(lambda q: {"type": "AverageValue", "averageValue": q})
    value = QUANTITIES.map(lambda q: {"type": "Value", "value": q})
    metric = st.builds(lambda name: {"name": name}, NAMES)
    target = {"Resource": percent | average, "ContainerResource": percent | average, "Pods": average}.get(kind, average | value)
    parts: dict[str, st.SearchStrategy[Any]] = {"target": target}
    if kind in ("Resource", "ContainerResource"):
        parts["name"] = NAMES
    else:
        parts["metric"] = metric
    if kind == "ContainerResource":
        parts["container"] = NAMES
    if kind == "Object":
        parts["describedObject"] = st.just({"kind": "Service", "name": "s", "apiVersion": "v1"})
    return st.fixed_dictionaries(parts).map(lambda about: {"type": kind, field: about})


KINDS = ("Resource", "ContainerResource", "Pods", "Object", "External")
METRICS = st.lists(st.one_of([_metric(kind) for kind in KINDS]), max_size=4)
POLICIES = st.lists(st.fixed_dictionaries({"type": st.just("Pods"), "value": NUMBERS, "periodSeconds": NUMBERS}), max_size=2)
RULES = st.fixed_dictionaries(
    {"stabilizationWindowSeconds": NUMBERS, "selectPolicy": st.sampled_from(["Max", "Min"])}, optional={"policies": POLICIES}
)
NOTES = st.sampled_from([f"autoscaling.alpha.kubernetes.io/{name}" for name in ("metrics", "behavior", "conditions")])
SPECS = st.fixed_dictionaries(
    {"maxReplicas": NUMBERS, "metrics": METRICS},
    optional={"behavior": st.fixed_dictionaries({}, optional={"scaleUp": RULES, "scaleDown": RULES})},
)


def _is_processor(metric: Json) -> bool:
    about = metric.get("resource") or {}
    return about.get("name") == "cpu" and "averageUtilization" in about["target"]


@given(SPECS)
def test_an_autoscaler_comes_back_as_it_was(spec: Json) -> None:
    """The one target for the processor comes last: the old form holds it elsewhere; a second one it cannot hold."""
    own = [metric for metric in spec["metrics"] if _is_processor(metric)][:1]
    rest = [metric for metric in spec["metrics"] if not _is_processor(metric)]
    if not spec.get("behavior"):
        spec.pop("behavior", None)
    obj = {"metadata": {"name": "h"}, "spec": {**spec, "metrics": rest + own}}
    old = versions.converted(obj, "HorizontalPodAutoscaler", "autoscaling/v2", "autoscaling/v1")
    back = versions.converted(old, "HorizontalPodAutoscaler", "autoscaling/v1", "autoscaling/v2")
    default = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    assert back["spec"] == {**spec, "metrics": rest + own or [default]}
    assert "annotations" not in back["metadata"] or not back["metadata"]["annotations"]


ODD = st.sampled_from(["[1]", '[{"type":1}]', '{"a":[]}', "null", '[{"type":"Resource","resource":1}]'])


@given(st.dictionaries(NOTES, st.text() | ODD))
def test_notes_that_people_write_break_nothing(notes: dict[str, str]) -> None:
    obj: Json = {"metadata": {"name": "h", "annotations": notes}, "spec": {"maxReplicas": 1}}
    back = versions.converted(obj, "HorizontalPodAutoscaler", "autoscaling/v1", "autoscaling/v2")
    assert back["spec"]["metrics"]


def test_events_are_one_list_under_two_names() -> None:
    machine = Machine()
    about = {"kind": "Pod", "name": "p", "namespace": "default", "apiVersion": "v1"}
    old: Json = {"metadata": {"name": "old"}, "involvedObject": about, "reason": "R", "message": "m", "type": "Normal"}
    machine.ok("POST", EVENTS, old)
    new = {"metadata": {"name": "new"}, "regarding": about, "reason": "R", "note": "n", "eventTime": "2026-01-01T00:00:00.000000Z"}
    machine.ok("POST", NEW_EVENTS, new)
    assert [one["message"] for one in machine.ok("GET", EVENTS)["items"]] == ["n", "m"]
    assert [one["note"] for one in machine.ok("GET", f"{NEW_EVENTS}?fieldSelector=regarding.name=p")["items"]] == ["n", "m"]
    watched = machine.watch(f"{NEW_EVENTS}?resourceVersion={machine.cluster.store.version}")
    machine.ok("DELETE", f"{EVENTS}/old")
    assert [(kind, obj["note"]) for kind, obj in machine.events(watched)] == [("DELETED", "m")]


def test_owners_of_fields_are_compared_in_their_own_terms() -> None:
    machine = Machine()
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    body: Json = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}}
    body["spec"] = {"maxReplicas": 3, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 50}
    old, new = SCALERS.format("v1") + "/h", SCALERS.format("v2") + "/h"
    machine.ok("PATCH", f"{old}?fieldManager=one", body, APPLY)
    wish = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}, "spec": {"maxReplicas": 4}}
    status, answer = machine.call("PATCH", f"{new}?fieldManager=two", wish, APPLY)
    assert status == 409 and ".spec.maxReplicas" in answer["message"]
    made = machine.ok("PATCH", f"{new}?fieldManager=two&force=true", wish, APPLY)
    assert made["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    owned = {entry["manager"]: (entry["apiVersion"], entry["fieldsV1"]) for entry in made["metadata"]["managedFields"]}
    assert owned["one"][0] == "autoscaling/v1" and "f:maxReplicas" not in owned["one"][1]["f:spec"]
    assert "f:targetCPUUtilizationPercentage" in owned["one"][1]["f:spec"] and owned["two"][0] == "autoscaling/v2"
