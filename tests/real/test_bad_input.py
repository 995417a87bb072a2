"""What can be wrong, on real servers: one clear sentence, nothing lost, nobody else affected, healed when the cause goes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.core.report import UnitReport
from tests.controlplane.plane import ControlPlane
from tests.daemon import Daemon
from tests.real.fleet import Fleet
from tests.waiting import until


def failed(daemon: Daemon, name: str, words: str, state: str = "Failed") -> UnitReport:
    """The unit, once it is in a state and says these words."""
    return until(
        lambda: (unit := daemon.unit(name)) is not None and unit.state == state and words in unit.message and unit,
        f"{name} is {state} and says {words!r}",
        20,
    )


def good(fleet: Fleet) -> dict[str, str | bytes | None]:
    return {"ns/namespace.yaml": fleet.namespace(), "good/c.yaml": fleet.config_map("good")}


def test_a_wrong_type_is_told_at_its_line_before_anything_is_sent(fleet: Fleet) -> None:
    bad = fleet.deployment("web").replace("replicas: 2", "replicas: two")
    fleet.commit({**good(fleet), "bad/web.yaml": bad, "bad/c.yaml": fleet.config_map("beside")})
    with fleet.daemon() as daemon:
        unit = failed(daemon, "bad", "bad/web.yaml:5:13", "Held")
        assert "replicas" in unit.message and "integer" in unit.message
        until(lambda: fleet.names("configmaps") == ["good"], "the others are applied", 10)
        fleet.commit({"bad/web.yaml": fleet.deployment("web")})
        until(lambda: daemon.report().healthy, "mended, it is applied", 20)
        assert fleet.names("configmaps") == ["beside", "good"]


def test_what_the_server_rejects_is_told_at_its_field(fleet: Fleet) -> None:
    bad = fleet.deployment("web").replace("{app: web, }", "{app: other}")
    fleet.commit({**good(fleet), "bad/web.yaml": bad, "bad/c.yaml": fleet.config_map("beside")})
    with fleet.daemon() as daemon:
        unit = failed(daemon, "bad", "selector")
        assert "bad/web.yaml:8:" in unit.message, unit.message
        until(lambda: fleet.names("configmaps") == ["beside", "good"], "its neighbours go on", 10)
        fleet.commit({"bad/web.yaml": fleet.deployment("web")})
        until(lambda: daemon.report().healthy, "mended, it is applied", 20)


def test_an_unknown_kind_waits_for_its_definition(fleet: Fleet) -> None:
    group = f"{fleet.ns}.example.org"
    widget = f"apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w, namespace: {fleet.ns}}}\nspec: {{size: 1}}\n"
    crd = f"""apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  names: {{kind: Widget, plural: widgets}}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""
    fleet.commit({**good(fleet), "bad/w.yaml": widget})
    with fleet.daemon(clusters={"eu": fleet.eu.kubeconfig}) as daemon:
        unit = failed(daemon, "bad", "no kind Widget")
        assert "bad/w.yaml:2:" in unit.message
        until(lambda: fleet.names("configmaps") == ["good"], "the others are applied", 10)
        fleet.commit({"crd/widgets.yaml": crd})
        until(lambda: daemon.report().healthy, "defined, it is applied", 20)
        assert fleet.get("widgets", "w", group=f"{group}/v1")
    fleet.eu.request("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}")


def test_one_object_in_two_files_is_told_at_both(fleet: Fleet) -> None:
    fleet.commit({**good(fleet), "a/c.yaml": fleet.config_map("twice", "a"), "b/c.yaml": fleet.config_map("twice", "b")})
    with fleet.daemon() as daemon:
        assert "b/c.yaml:1:1" in failed(daemon, "a", "also wanted at").message
        assert "a/c.yaml:1:1" in failed(daemon, "b", "also wanted at").message
        until(lambda: daemon.report().settled and fleet.names("configmaps") == ["good"], "neither is applied, others are", 10)
        fleet.commit({"b/c.yaml": None})
        until(lambda: daemon.report().healthy and (fleet.get("configmaps", "twice") or {})["data"]["v"] == "a", "the one left", 20)
        fleet.commit({"b/c.yaml": fleet.config_map("twice", "b")})
        failed(daemon, "a", "also wanted at")
        assert (fleet.get("configmaps", "twice") or {})["data"]["v"] == "a", "what stood stays"


def test_what_is_not_ours_is_not_touched(fleet: Fleet) -> None:
    fleet.eu.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": fleet.ns}})
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"v": "theirs"}}
    fleet.eu.request("POST", f"/api/v1/namespaces/{fleet.ns}/configmaps", theirs)
    fleet.commit({"a/c.yaml": fleet.config_map("theirs"), "a/d.yaml": fleet.config_map("ours")})
    with fleet.daemon() as daemon:
        unit = failed(daemon, "a", "exists and is not ours")
        assert "a/c.yaml:1:1" in unit.message and "reconciler.dev/adopt" in unit.message
        until(lambda: fleet.names("configmaps") == ["ours"], "its neighbour is applied", 10)
        assert (fleet.get("configmaps", "theirs") or {})["data"] == {"v": "theirs"}
        fleet.eu.request("DELETE", f"/api/v1/namespaces/{fleet.ns}/configmaps/theirs")
        until(lambda: daemon.report().healthy, "gone, ours is applied", 30)


def test_rejected_by_admission_until_the_policy_goes(fleet: Fleet) -> None:
    name = f"{fleet.ns}-policy"
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "object.metadata.name != 'forbidden'", "message": "that name is forbidden"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    assert fleet.eu.request("POST", policies, policy)[0] == 201
    assert fleet.eu.request("POST", policies.replace("policies", "policybindings"), binding)[0] == 201
    try:
        fleet.eu.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": fleet.ns}})
        until(lambda: _denied(fleet), "the policy is in force", 20)
        fleet.commit({**good(fleet), "bad/c.yaml": fleet.config_map("forbidden")})
        fleet.eu.request("DELETE", f"/api/v1/namespaces/{fleet.ns}")
        until(lambda: fleet.eu.request("GET", f"/api/v1/namespaces/{fleet.ns}")[0] == 404, "the namespace is gone", 30)
        with fleet.daemon() as daemon:
            assert "bad/c.yaml:1:1" in failed(daemon, "bad", "that name is forbidden").message
            until(lambda: fleet.names("configmaps") == ["good"], "the others are applied", 10)
            fleet.eu.request("DELETE", f"{policies.replace('policies', 'policybindings')}/{name}")
            until(lambda: daemon.report().healthy, "without the policy it is applied", 60)
    finally:
        fleet.eu.request("DELETE", f"{policies.replace('policies', 'policybindings')}/{name}")
        fleet.eu.request("DELETE", f"{policies}/{name}")


def _denied(fleet: Fleet) -> bool:
    forbidden = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "forbidden"}}
    return fleet.eu.request("POST", f"/api/v1/namespaces/{fleet.ns}/configmaps?dryRun=All", forbidden)[0] == 422


def test_an_unreachable_cluster_delays_only_itself(fleet: Fleet, own_plane: Callable[..., ControlPlane]) -> None:
    plane = own_plane()
    first = fleet.commit({**good(fleet), "clusters/far/a/ns.yaml": fleet.namespace(), "clusters/far/a/c.yaml": fleet.config_map("far")})
    assert plane.access is not None
    clusters = {"eu": fleet.eu.kubeconfig, "far": plane.access.kubeconfig}
    with fleet.daemon(clusters=clusters) as daemon:
        daemon.wait(first)
        plane.stop_server("kube-apiserver", gently=False)
        fleet.commit({"good/c.yaml": fleet.config_map("good", "2"), "clusters/far/a/c.yaml": fleet.config_map("far", "2")})
        until(lambda: (fleet.get("configmaps", "good") or {})["data"]["v"] == "2", "the others go on", 10)
        failed(daemon, "clusters/far/a", "far cannot be reached", "Unknown")
        plane.start_server("kube-apiserver")
        until(lambda: daemon.report().healthy, "back, it catches up", 60)
        found = fleet.get("configmaps", "far", cluster=plane.access)
        assert found and found["data"]["v"] == "2"


def test_a_refused_push_changes_nothing_else(fleet: Fleet) -> None:
    fleet.server.refuse_pushes("fleet", "no writing here")
    files = {f"good/{i}.yaml": fleet.config_map(f"c{i}") for i in range(6)}
    first = fleet.commit({**good(fleet), **files})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        fleet.commit({f"good/{i}.yaml": None for i in range(6)})
        unit = failed(daemon, "good", "past the budget", "Waiting")
        until(lambda: "no branch could be made" in (daemon.unit("good") or unit).waits_for, "it is told", 20)
        publisher = next(iter(daemon.engine.publishers.values()))
        until(lambda: "no writing here" in publisher.problem, "so is the status branch", 20)
        assert len(fleet.names("configmaps")) == 7


def test_a_second_daemon_stands_by_and_takes_over(fleet: Fleet) -> None:
    first = fleet.commit({**good(fleet)})
    with fleet.daemon(identity="one") as one:
        one.wait(first)
        with fleet.daemon(identity="two") as two:
            until(lambda: "one holds the Lease" in two.report().standing_by, "the second stands by", 20)
            second = fleet.commit({"good/c.yaml": fleet.config_map("good", "2")})
            one.wait(second)
            assert two.writes() == []
            one.abandon()
            third = fleet.commit({"good/c.yaml": fleet.config_map("good", "3")})
            two.wait(third, limit_seconds=40)
            assert (fleet.get("configmaps", "good") or {})["data"]["v"] == "3"


@pytest.mark.parametrize("name", ["reconciler.dev/prune", "reconciler.dev/wave", "reconciler.dev/ignore"])
def test_an_annotation_that_cannot_be_read_holds_its_folder(fleet: Fleet, name: str) -> None:
    bad = fleet.config_map("c").replace("\ndata:", f"\n  annotations: {{{name}: 'what?'}}\ndata:")
    fleet.commit({**good(fleet), "bad/c.yaml": bad})
    with fleet.daemon() as daemon:
        unit = failed(daemon, "bad", name, "Held")
        assert "bad/c.yaml:6:" in unit.message
        until(lambda: fleet.names("configmaps") == ["good"], "the others are applied", 10)
