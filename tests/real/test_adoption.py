"""Taking over what people made with kubectl, judged by a real API server."""

from __future__ import annotations

import json
from typing import Any

from tests.daemon import Daemon
from tests.real.fleet import Fleet
from tests.waiting import until

ADOPT = {"reconciler.dev__adopt": "allowed"}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MERGE = "application/merge-patch+json"


def arranged(fleet: Fleet) -> None:
    fleet.eu.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": fleet.ns}})


def by_hand(fleet: Fleet, name: str, **data: str) -> None:
    """Client-side apply, as most objects were made that are adopted."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": fleet.ns}, "data": data}
    fleet.eu.kubectl("apply", "-f", "-", given=json.dumps(body))


def edited(fleet: Fleet, name: str, manager: str, **data: str) -> None:
    path = f"/api/v1/namespaces/{fleet.ns}/configmaps/{name}?fieldManager={manager}"
    assert fleet.eu.request("PATCH", path, {"data": data}, MERGE)[0] == 200


def owners(live: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((entry["manager"], entry["operation"]) for entry in live["metadata"]["managedFields"] if "subresource" not in entry)


def fails(daemon: Daemon, words: str) -> str:
    unit = until(lambda: (unit := daemon.unit("a")) and unit.state == "Failed" and words in unit.message and unit, f"it says {words!r}", 20)
    return str(unit.message)


def test_what_kubectl_made_becomes_as_git_says(fleet: Fleet) -> None:
    """Values are taken, what Git does not say goes, a controller's field stays, and one manager of people is left: us."""
    arranged(fleet)
    by_hand(fleet, "c", v="theirs", more="1")
    edited(fleet, "c", "kubectl-edit", edit="2")
    edited(fleet, "c", "some-controller", theirs="3")
    before = fleet.get("configmaps", "c") or {}
    assert LAST_APPLIED in before["metadata"]["annotations"] and len(owners(before)) == 3
    commit = fleet.commit({"a/c.yaml": fleet.config_map("c", "1", **ADOPT)})
    with fleet.daemon() as daemon:
        daemon.wait(commit)
        live = fleet.get("configmaps", "c") or {}
        assert live["data"] == {"v": "1", "theirs": "3"} and live["metadata"]["uid"] == before["metadata"]["uid"]
        assert LAST_APPLIED not in live["metadata"]["annotations"]
        assert owners(live) == [("reconciler", "Apply"), ("some-controller", "Update")]
        sent = [request for request in daemon.writes() if request.path.endswith("/configmaps/c")]
        assert [request.content_type for request in sent] == ["application/json-patch+json", "application/apply-patch+yaml"]
        assert not any(("force", "true") in request.query for request in sent)
    with fleet.daemon() as daemon:
        daemon.wait(commit)
        assert daemon.writes() == []


def test_whole_applications_are_adopted_as_they_run(fleet: Fleet) -> None:
    """Namespace, Deployment (scaled by hand, with defaults and a status) and Service, in the words that made them: no pod is replaced."""
    service = f"apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: {fleet.ns}}}\n"
    service += "spec: {selector: {app: web}, ports: [{port: 80}]}\n"
    files = {"ns": fleet.namespace(), "web": fleet.deployment("web"), "svc": service}
    for text in files.values():
        fleet.eu.kubectl("apply", "-f", "-", given=text)
    fleet.eu.kubectl("scale", "deployment/web", "--replicas=3", "-n", fleet.ns)
    until(lambda: (fleet.get("deployments", "web", group="apps/v1") or {})["status"].get("readyReplicas") == 3, "it runs", 30)
    made = fleet.get("deployments", "web", group="apps/v1") or {}
    address = (fleet.get("services", "web") or {})["spec"]["clusterIP"]
    adopt = "annotations: {reconciler.dev/adopt: allowed}, name: "
    files["web"] = files["web"].replace("metadata: {name: web, namespace", "metadata: {" + adopt + "web, namespace")
    files["ns"], files["svc"] = (files[name].replace("metadata: {name: ", "metadata: {" + adopt) for name in ("ns", "svc"))
    commit = fleet.commit({f"a/{name}.yaml": text for name, text in files.items()})
    with fleet.daemon() as daemon:
        daemon.wait(commit)
    live = fleet.get("deployments", "web", group="apps/v1") or {}
    assert live["spec"]["replicas"] == 2, "what was scaled by hand is as Git says"
    assert {**live["spec"], "replicas": 3} == made["spec"], "and nothing else of it changed"
    assert live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1", "nor was any pod replaced"
    assert (fleet.get("services", "web") or {})["spec"]["clusterIP"] == address


def test_a_field_that_another_applier_owns_is_not_taken(fleet: Fleet) -> None:
    arranged(fleet)
    by_hand(fleet, "c", v="0", more="1")
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"v": "theirs"}}
    path = f"/api/v1/namespaces/{fleet.ns}/configmaps/c?fieldManager=other-gitops&force=true"
    assert fleet.eu.request("PATCH", path, theirs, "application/apply-patch+yaml")[0] == 200
    commit = fleet.commit({"a/c.yaml": fleet.config_map("c", "1", **ADOPT)})
    with fleet.daemon() as daemon:
        message = fails(daemon, 'conflict with "other-gitops"')
        assert ".data.v" in message and "a/c.yaml:9:6: ConfigMap/c cannot be taken over" in message
        assert (fleet.get("configmaps", "c") or {})["data"] == {"v": "theirs", "more": "1"}
        commit = fleet.commit({"a/c.yaml": fleet.config_map("c", "theirs", **ADOPT)})
        daemon.wait(commit)
        assert (fleet.get("configmaps", "c") or {})["data"] == {"v": "theirs"}


def test_an_object_without_any_book_of_owners_is_adopted(fleet: Fleet) -> None:
    """As those are that are older than server-side apply: nobody is known to own anything, so values are taken and nothing goes."""
    arranged(fleet)
    by_hand(fleet, "c", v="theirs", more="1")
    fleet.patch("configmaps", "c", {"metadata": {"managedFields": [{}]}})
    assert "managedFields" not in (fleet.get("configmaps", "c") or {})["metadata"]
    commit = fleet.commit({"a/c.yaml": fleet.config_map("c", "1", **ADOPT)})
    with fleet.daemon() as daemon:
        daemon.wait(commit)
        live = fleet.get("configmaps", "c") or {}
        assert live["data"] == {"v": "1", "more": "1"} and ("reconciler", "Apply") in owners(live)


def test_what_an_autoscaler_owns_is_its_own_and_what_is_ignored_keeps_its_value(fleet: Fleet) -> None:
    arranged(fleet)
    for name in ("web", "api"):
        fleet.eu.kubectl("apply", "-f", "-", given=fleet.deployment(name, replicas=3))
    scale = f"/apis/apps/v1/namespaces/{fleet.ns}/deployments/web/scale?fieldManager=autoscaler"
    assert fleet.eu.request("PATCH", scale, {"spec": {"replicas": 4}}, MERGE)[0] == 200
    adopt = "annotations: {reconciler.dev/adopt: allowed, reconciler.dev/ignore: /spec/replicas}, name: "
    files = {f"a/{n}.yaml": fleet.deployment(n).replace("metadata: {name: ", "metadata: {" + adopt, 1) for n in ("web", "api")}
    files["a/api.yaml"] = files["a/api.yaml"].replace("  replicas: 2\n", "")
    commit = fleet.commit(files)
    with fleet.daemon() as daemon:
        daemon.wait(commit)
        replicas = {n: (fleet.get("deployments", n, group="apps/v1") or {})["spec"]["replicas"] for n in ("web", "api")}
        assert replicas == {"web": 4, "api": 3}
