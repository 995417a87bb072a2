"""Controllers: pods appear, roll, end; owners take what they own along."""

from __future__ import annotations

import pytest

from reconciler.sim.cluster.settings import Settings

from .support import (
    CONFIGMAPS,
    DEFINITIONS,
    DEPLOYMENTS,
    MERGE,
    PODS,
    STRATEGIC,
    Json,
    Machine,
    config_map,
    definition,
    deployment,
    pod_spec,
)

SETS = "/apis/apps/v1/namespaces/default/replicasets"
STATEFUL = "/apis/apps/v1/namespaces/default/statefulsets"
DAEMONS = "/apis/apps/v1/namespaces/default/daemonsets"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


def conditions(obj: Json) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c.get("reason", "")) for c in obj["status"].get("conditions", [])}


def names(machine: Machine, path: str) -> list[str]:
    return [item["metadata"]["name"] for item in machine.ok("GET", path)["items"]]


def image(tag: str) -> Json:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": tag}]}}}}


def test_a_deployment_becomes_available() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    machine.settle(5)
    live = machine.ok("GET", f"{DEPLOYMENTS}/web")
    assert live["status"]["readyReplicas"] == live["status"]["updatedReplicas"] == 3
    assert conditions(live) == {"Progressing": ("True", "NewReplicaSetAvailable"), "Available": ("True", "MinimumReplicasAvailable")}
    assert live["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
    assert {pod["spec"]["nodeName"] for pod in machine.ok("GET", PODS)["items"]} == {"node-1", "node-2", "node-3"}
    version = machine.cluster.store.version
    machine.settle(3600)
    assert machine.cluster.store.version == version, "at rest, silence"


def test_a_rolling_update_never_has_too_few_or_too_many() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web", replicas=8))
    machine.settle(5)
    machine.ok("PATCH", f"{DEPLOYMENTS}/web", image("web:2"), STRATEGIC)
    ready = []
    for _ in range(60):
        machine.settle(0.5)
        status = machine.ok("GET", f"{DEPLOYMENTS}/web")["status"]
        ready.append(status["availableReplicas"])
        assert status["replicas"] <= 10
    assert min(ready) >= 6
    assert {pod["spec"]["containers"][0]["image"] for pod in machine.ok("GET", PODS)["items"]} == {"web:2"}
    assert [s["spec"]["replicas"] for s in machine.ok("GET", SETS)["items"]].count(0) == 1


def test_going_back_takes_the_old_replica_set_again() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    machine.settle(5)
    for tag in ("web:2", "web:1"):
        machine.ok("PATCH", f"{DEPLOYMENTS}/web", image(tag), STRATEGIC)
        machine.settle(20)
    assert len(names(machine, SETS)) == 2
    assert machine.ok("GET", f"{DEPLOYMENTS}/web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


@pytest.mark.parametrize(
    ("fault", "phase", "reason"),
    [("not-ready", "Running", ""), ("crash", "Running", "CrashLoopBackOff"), ("image-pull", "Pending", "ImagePullBackOff")],
)
def test_a_fault_stops_a_rollout_until_its_deadline(fault: str, phase: str, reason: str) -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web", labels={"fault": fault}, progressDeadlineSeconds=60))
    machine.settle(5)
    pod = machine.ok("GET", PODS)["items"][0]
    assert pod["status"]["phase"] == phase
    assert conditions(pod)["Ready"][0] == "False"
    assert pod["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason", "") == reason
    assert conditions(machine.ok("GET", f"{DEPLOYMENTS}/web"))["Progressing"] == ("True", "ReplicaSetUpdated")
    machine.settle(60)
    assert conditions(machine.ok("GET", f"{DEPLOYMENTS}/web"))["Progressing"] == ("False", "ProgressDeadlineExceeded")


def test_a_pod_recovers_when_the_label_goes() -> None:
    machine = Machine()
    machine.ok("POST", PODS, {"metadata": {"name": "p", "labels": {"fault": "crash"}}, "spec": pod_spec()})
    machine.settle(30)
    assert machine.ok("GET", f"{PODS}/p")["status"]["containerStatuses"][0]["restartCount"] > 1
    machine.ok("PATCH", f"{PODS}/p", {"metadata": {"labels": {"fault": None}}}, MERGE)
    machine.settle(1)
    assert conditions(machine.ok("GET", f"{PODS}/p"))["Ready"][0] == "True"


def test_of_too_many_pods_the_least_useful_go() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    machine.settle(5)
    first, sick, last = names(machine, PODS)
    machine.ok("PATCH", f"{PODS}/{sick}", {"metadata": {"labels": {"fault": "not-ready"}}}, MERGE)
    machine.ok("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 2}}, MERGE)
    machine.settle(10)
    assert names(machine, PODS) == [first, last]


def test_recreate_waits_for_the_old_pods() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web", strategy={"type": "Recreate"}))
    machine.settle(5)
    machine.ok("PATCH", f"{DEPLOYMENTS}/web", image("web:2"), STRATEGIC)
    for _ in range(40):
        machine.settle(0.25)
        assert len({pod["spec"]["containers"][0]["image"] for pod in machine.ok("GET", PODS)["items"]}) <= 1
    assert machine.ok("GET", f"{DEPLOYMENTS}/web")["status"]["availableReplicas"] == 3


def test_a_stateful_set_rises_one_by_one() -> None:
    machine = Machine()
    spec = {**deployment("db")["spec"], "serviceName": "db"}
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    machine.ok("POST", STATEFUL, {"metadata": {"name": "db"}, "spec": {**spec, "volumeClaimTemplates": [claim]}})
    seen = []
    for _ in range(8):
        machine.settle(0.5)
        ready = [conditions(pod).get("Ready", ("False", ""))[0] for pod in machine.ok("GET", PODS)["items"]]
        assert ready.count("False") <= 1
        seen.append(len(ready))
    assert seen == sorted(seen)
    assert names(machine, PODS) == ["db-0", "db-1", "db-2"]
    claims = machine.ok("GET", "/api/v1/namespaces/default/persistentvolumeclaims")["items"]
    assert [(c["metadata"]["name"], c["status"]["phase"]) for c in claims] == [(f"data-db-{n}", "Bound") for n in range(3)]
    machine.ok("PATCH", f"{STATEFUL}/db", image("web:2"), STRATEGIC)
    machine.settle(30)
    status = machine.ok("GET", f"{STATEFUL}/db")["status"]
    assert status["currentRevision"] == status["updateRevision"]
    assert {pod["spec"]["containers"][0]["image"] for pod in machine.ok("GET", PODS)["items"]} == {"web:2"}


def test_a_daemon_set_has_one_pod_a_node() -> None:
    machine = Machine(settings=Settings(nodes=4))
    spec = {k: v for k, v in deployment("d")["spec"].items() if k != "replicas"}
    machine.ok("POST", DAEMONS, {"metadata": {"name": "d"}, "spec": spec})
    machine.settle(5)
    assert machine.ok("GET", f"{DAEMONS}/d")["status"]["numberReady"] == 4
    machine.ok("PATCH", f"{DAEMONS}/d", image("web:2"), STRATEGIC)
    for _ in range(60):
        machine.settle(0.5)
        assert machine.ok("GET", f"{DAEMONS}/d")["status"].get("numberUnavailable", 0) <= 1
    assert {pod["spec"]["containers"][0]["image"] for pod in machine.ok("GET", PODS)["items"]} == {"web:2"}


def test_a_job_completes_and_expires() -> None:
    machine = Machine()
    spec = {"template": {"spec": {**pod_spec(), "restartPolicy": "Never"}}, "completions": 2, "ttlSecondsAfterFinished": 30}
    machine.ok("POST", JOBS, {"metadata": {"name": "j"}, "spec": spec})
    machine.settle(15)
    done = machine.ok("GET", f"{JOBS}/j")
    assert (done["status"]["succeeded"], conditions(done)["Complete"][0]) == (2, "True")
    machine.settle(60)
    assert machine.call("GET", f"{JOBS}/j")[0] == 404
    assert names(machine, PODS) == []


def test_a_job_whose_pods_fail_gives_up() -> None:
    machine = Machine()
    template = {"metadata": {"labels": {"fault": "crash"}}, "spec": {**pod_spec(), "restartPolicy": "Never"}}
    machine.ok("POST", JOBS, {"metadata": {"name": "j"}, "spec": {"template": template, "backoffLimit": 1}})
    machine.settle(30)
    assert conditions(machine.ok("GET", f"{JOBS}/j"))["Failed"] == ("True", "BackoffLimitExceeded")


def test_slices_follow_the_pods_of_a_service() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}
    machine.ok("POST", "/api/v1/namespaces/default/services", service)
    machine.settle(5)
    (one,) = machine.ok("GET", SLICES)["items"]
    assert [e["conditions"]["ready"] for e in one["endpoints"]] == [True] * 3
    assert one["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
    machine.ok("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 1}}, MERGE)
    machine.settle(0.5)
    (one,) = machine.ok("GET", SLICES)["items"]
    told = [tuple(e["conditions"].values()) for e in one["endpoints"]]
    assert sorted(told) == [(False, True, True), (False, True, True), (True, True, False)]
    machine.settle(10)
    (one,) = machine.ok("GET", SLICES)["items"]
    assert len(one["endpoints"]) == 1


def test_dependents_follow_their_owner() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    machine.settle(5)
    machine.ok("DELETE", f"{DEPLOYMENTS}/web")
    machine.settle(60)
    assert (names(machine, SETS), names(machine, PODS)) == ([], [])


def test_foreground_lets_the_owner_go_last() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    machine.settle(5)
    machine.ok("DELETE", f"{DEPLOYMENTS}/web?propagationPolicy=Foreground")
    machine.settle(0.5)
    assert machine.ok("GET", f"{DEPLOYMENTS}/web")["metadata"]["finalizers"] == ["foregroundDeletion"]
    machine.settle(60)
    assert machine.call("GET", f"{DEPLOYMENTS}/web")[0] == 404
    assert names(machine, PODS) == []


def test_orphans_stay_and_are_adopted_again() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    machine.settle(5)
    before = names(machine, PODS)
    machine.ok("DELETE", f"{DEPLOYMENTS}/web?propagationPolicy=Orphan")
    machine.settle(60)
    assert machine.call("GET", f"{DEPLOYMENTS}/web")[0] == 404
    assert "ownerReferences" not in machine.ok("GET", SETS)["items"][0]["metadata"]
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    machine.settle(5)
    assert names(machine, PODS) == before


def test_an_object_with_an_owner_that_never_was_is_collected() -> None:
    machine = Machine()
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "ghost", "uid": "0"}
    machine.ok("POST", CONFIGMAPS, config_map("a", ownerReferences=[owner]))
    machine.settle()
    assert machine.call("GET", f"{CONFIGMAPS}/a")[0] == 404


def test_a_namespace_is_furnished_and_emptied() -> None:
    machine = Machine()
    machine.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    machine.settle()
    assert names(machine, "/api/v1/namespaces/n/serviceaccounts") == ["default"]
    machine.ok("POST", "/api/v1/namespaces/n/configmaps", config_map("held", finalizers=["example.org/hold"]))
    machine.ok("DELETE", "/api/v1/namespaces/n")
    machine.settle()
    assert machine.call("POST", "/api/v1/namespaces/n/configmaps", config_map("late"))[0] == 403
    told = machine.ok("GET", "/api/v1/namespaces/n")
    assert conditions(told)["NamespaceFinalizersRemaining"] == ("True", "SomeFinalizersRemain")
    machine.ok("PATCH", "/api/v1/namespaces/n/configmaps/held", {"metadata": {"finalizers": None}}, MERGE)
    machine.settle()
    assert machine.call("GET", "/api/v1/namespaces/n")[0] == 404


def test_a_budget_refuses_what_it_cannot_spare() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web", replicas=2))
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}
    machine.ok("POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", budget)
    machine.settle(5)
    first, second = names(machine, PODS)
    for name, expected in ((first, 201), (second, 429)):
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        assert machine.call("POST", f"{PODS}/{name}/eviction", body)[0] == expected


def test_a_definition_serves_and_takes_its_objects_along() -> None:
    machine = Machine()
    machine.ok("POST", DEFINITIONS, definition())
    machine.settle()
    widgets = "/apis/demo.example/v1/namespaces/default/widgets"
    made = machine.ok("POST", widgets, {"apiVersion": "demo.example/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 2}})
    assert made["spec"] == {"size": 2, "replicas": 1}
    status, refused = machine.call("PATCH", f"{widgets}/w", {"spec": {"size": 0, "color": "green"}}, MERGE)
    assert (status, [c["field"] for c in refused["details"]["causes"]]) == (422, ["spec.color", "spec.size"])
    assert machine.ok("PATCH", f"{widgets}/w", {"spec": {"size": 3}}, MERGE)["metadata"]["generation"] == 2
    machine.ok("DELETE", f"{DEFINITIONS}/widgets.demo.example")
    machine.settle()
    assert machine.call("GET", f"{DEFINITIONS}/widgets.demo.example")[0] == 404
    assert machine.raw("GET", widgets).status == 404
