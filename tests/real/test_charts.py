"""Helm charts on a real cluster: a real helm, a real repository, and what stands there after each commit."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.messages import Log, Push, RenderChart
from tests.charts import CONFIG, ChartServer
from tests.daemon import Daemon
from tests.real.fleet import Fleet
from tests.waiting import until

Json = dict[str, Any]

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: {{ .Values.replicas | default 1 }}
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec: {containers: [{name: web, image: "web:{{ .Chart.Version }}"}]}
"""
HOOK = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade}}\n"


@pytest.fixture
def server() -> Iterator[ChartServer]:
    with ChartServer() as serving:
        yield serving


def component(server: ChartServer, name: str = "web", version: str = "", chart: str = "web", values: Json | None = None) -> Json:
    about = {"repo": server.url, "name": chart, **({"version": version} if version else {})}
    return {"name": name, "type": "helm.v3", "properties": {"chart": about, "values": values or {}}}


def symphony(fleet: Fleet, *components: Json, targets: tuple[str, ...] = ("",)) -> dict[str, str | bytes | None]:
    """A solution on targets of the cluster eu, each with a namespace of its own."""
    files: dict[str, str | bytes | None] = {}
    bindings = [
        {"role": "helm.v3", "provider": "providers.target.helm", "config": {"cluster": "eu"}},
        {"role": "config", "provider": "providers.target.configmap", "config": {"cluster": "eu"}},
    ]
    for end in targets:
        spec: Json = {"solutionScope": fleet.ns + end, "properties": {"is": "one"}, "topologies": [{"bindings": bindings}]}
        files[f"t{end}.yaml"] = manifest("fabric.symphony/v1", "Target", f"edge{end}", spec)
    files["s.yaml"] = manifest("solution.symphony/v1", "Solution", "shop", {"components": list(components)})
    files["i.yaml"] = manifest("solution.symphony/v1", "Instance", "shop", {"solution": "shop", "target": {"selector": {"is": "one"}}})
    return files


def manifest(api: str, kind: str, name: str, spec: Json) -> str:
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec})


def rendered(daemon: Daemon) -> int:
    return sum(isinstance(effect, RenderChart) for effect in list(daemon.effects))


def config(fleet: Fleet, name: str = "web-config") -> Json:
    found = fleet.get("configmaps", name)
    assert found is not None
    data: Json = found["data"]
    return data


def test_a_chart_is_installed_upgraded_changed_and_taken_away(fleet: Fleet, helm: Path, server: ChartServer) -> None:
    both = {"templates/a.yaml": CONFIG, "templates/web.yaml": WEB}
    server.publish("web", "1.0.0", {**both, "templates/old.yaml": CONFIG.replace("-config", "-old"), "templates/h.yaml": HOOK})
    server.publish("web", "1.1.0", both)
    stays: Json = {"name": "stays", "type": "config", "properties": {"a": "b"}}
    first = fleet.commit(symphony(fleet, stays, component(server, version="1.0.0")))
    with fleet.daemon(helm=helm, urls=(server.url,)) as daemon:
        daemon.wait(first)
        assert fleet.names("configmaps") == ["stays", "web-config", "web-old"]
        assert config(fleet) == {"version": "1.0.0"}
        assert fleet.names("jobs") == [], "hooks are left out"
        unit = daemon.unit("Instance/shop")
        assert unit is not None
        assert [message for _, message in unit.problems] == [
            "component web: chart has 1 hook, which nothing runs here; left out: Job/migrate"
        ]
        before = fleet.get("deployments", "web", group="apps/v1")
        daemon.wait(fleet.commit(symphony(fleet, stays, component(server, version="1.1.0"))))
        until(lambda: fleet.names("configmaps") == ["stays", "web-config"], "what the new version has not is gone", 15)
        assert config(fleet) == {"version": "1.1.0"}
        after = fleet.get("deployments", "web", group="apps/v1")
        assert before is not None and after is not None and before["metadata"]["uid"] == after["metadata"]["uid"]
        assert after["spec"]["template"]["spec"]["containers"][0]["image"] == "web:1.1.0"
        values = {"replicas": 2, "data": {"more": "yes"}}
        daemon.wait(fleet.commit(symphony(fleet, stays, component(server, version="1.1.0", values=values))))
        assert config(fleet) == {"version": "1.1.0", "more": "yes"}
        assert rendered(daemon) == 3, "each request once"
        asked = len(server.asked)
        fleet.patch("configmaps", "web-config", {"data": {"more": "by hand"}})
        until(lambda: config(fleet)["more"] == "yes", "drift is healed without helm", 10)
        daemon.wait(fleet.commit(symphony(fleet, stays)))
        until(lambda: fleet.names("configmaps") == ["stays"] and fleet.names("deployments") == [], "the component is gone", 15)
        assert (rendered(daemon), len(server.asked)) == (3, asked)


def test_the_newest_version_stays_what_it_was_across_a_restart(fleet: Fleet, helm: Path, server: ChartServer) -> None:
    server.publish("web", "1.0.0")
    first = fleet.commit(symphony(fleet, component(server)))
    with fleet.daemon(helm=helm, urls=(server.url,)) as daemon:
        daemon.wait(first)
        assert config(fleet) == {"version": "1.0.0"}
    server.publish("web", "2.0.0")
    with fleet.daemon(helm=helm, urls=(server.url,)) as daemon:
        daemon.wait(first)
        unit = daemon.unit("Instance/shop")
        assert unit is not None and "1.0.0 was taken" in unit.problems[0][1]
        assert config(fleet) == {"version": "1.0.0"}
        daemon.wait(fleet.commit(symphony(fleet, component(server, version=">=1.0.0"))))
        assert config(fleet) == {"version": "2.0.0"}


def test_a_secret_in_values_is_nowhere_but_in_the_object(fleet: Fleet, helm: Path, server: ChartServer) -> None:
    password = "c0rrect-h0rse-b4ttery"
    server.publish("web", "1.0.0")
    server.publish("web", "1.0.1", {"templates/a.yaml": "{{ fail .Values.data.password }}"})
    fleet.eu.request("POST", "/api/v1/namespaces", {"metadata": {"name": fleet.ns}})
    secret = {"metadata": {"name": "db"}, "data": {"password": base64.b64encode(password.encode()).decode()}}
    assert fleet.eu.request("POST", f"/api/v1/namespaces/{fleet.ns}/secrets", secret)[0] == 201
    values = {"data": {"password": "${{$secret(db,password)}}"}}
    first = fleet.commit(symphony(fleet, component(server, version="1.0.0", values=values)))
    with fleet.daemon(helm=helm, urls=(server.url,)) as daemon:
        daemon.wait(first)
        assert config(fleet)["password"] == password
        fleet.patch("configmaps", "web-config", {"data": {"password": "by hand"}})
        until(lambda: config(fleet)["password"] == password, "drift is healed", 10)
        fleet.commit(symphony(fleet, component(server, version="1.0.1", values=values)))
        unit = until(lambda: (u := daemon.unit("Instance/shop")) and u.state == "Failed" and u, "the new version fails", 20)
        assert unit.problems[0][1].endswith("cannot be rendered: nothing that helm says is shown, since a value is secret")
        assert config(fleet)["password"] == password, "what stands stays"
        told = [effect for effect in list(daemon.effects) if isinstance(effect, Log | Push)]
        assert told and password not in repr(told) and password not in repr(daemon.report())


def test_what_a_chart_may_not_fails_it_alone(fleet: Fleet, helm: Path, server: ChartServer) -> None:
    """From nowhere allowed, of a server that is gone, with objects that are none: the others go on, and nothing is pruned."""
    server.publish("web", "1.0.0")
    server.publish("none", "1.0.0", {"templates/a.yaml": "kind: ConfigMap\nmetadata: {name: x}\n"})
    ours, outside = "annotations: {reconciler.dev/owner: me}", "namespace: ../kube-system"
    server.publish("ours", "1.0.0", {"templates/a.yaml": CONFIG.replace("metadata: {", f"metadata: {{{ours}, ")})
    server.publish("sys", "1.0.0", {"templates/a.yaml": CONFIG.replace("metadata: {", f"metadata: {{{outside}, ")})
    down = component(server, "down", "1.0.0")
    down["properties"]["chart"]["repo"] = "http://127.0.0.1:9"
    elsewhere = component(server, "elsewhere", "1.0.0")
    elsewhere["properties"]["chart"]["repo"] = "http://169.254.169.254"
    others = [component(server, name, "1.0.0", name) for name in ("none", "ours", "sys")]
    fleet.commit(symphony(fleet, component(server, version="1.0.0"), down, elsewhere, *others))
    with fleet.daemon(helm=helm, urls=(server.url, "http://127.0.0.1:9")) as daemon:
        until(lambda: fleet.names("configmaps") == ["web-config"], "what is well stands", 20)
        unit = daemon.unit("Instance/shop")
        assert unit is not None and unit.state == "Failed"
        told = {message.split(":")[0]: message.partition(": ")[2] for _, message in unit.problems}
        assert told["component down"].startswith("chart cannot be rendered: helm pull: looks like")
        assert told["component elsewhere"].startswith('chart comes from "http://169.254.169.254", which the operator does not allow')
        assert told["component none"] == "chart[0]: apiVersion is missing, so this is no manifest"
        assert "is set by the reconciler alone" in told["component ours"]
        assert 'metadata.namespace is "../kube-system"' in told["component sys"]


def test_objects_of_the_whole_cluster_are_not_fought_for(fleet: Fleet, helm: Path, server: ChartServer) -> None:
    """One chart on two targets of a cluster: what has no namespace is claimed twice, and told.

    It is made only where the one claim came before the other, which is whose chart was rendered first.
    """
    role = f"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {fleet.ns}}}\nrules: []\n"
    server.publish("web", "1.0.0", {"templates/a.yaml": CONFIG, "templates/role.yaml": role})
    fleet.extra_namespaces.append(f"{fleet.ns}-b")
    fleet.commit(symphony(fleet, component(server, version="1.0.0"), targets=("", "-b")))
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{fleet.ns}"
    with fleet.daemon(helm=helm, urls=(server.url,)) as daemon:
        until(lambda: fleet.names("configmaps") == ["web-config"], "the rest stands", 20)
        words = f"ClusterRole/{fleet.ns}"
        until(lambda: (u := daemon.unit("Instance/shop")) and words in str(u) and u.state != "Reconciling", "the clash is told", 20)
        writes = [request for request in daemon.writes() if request.path == path]
        assert len(writes) == (fleet.eu.request("GET", path)[0] == 200)
    fleet.eu.request("DELETE", path)
