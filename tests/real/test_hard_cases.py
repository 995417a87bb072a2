"""What goes wrong on ordinary days: mistakes at night, hostile objects, definitions that change, objects that will not go."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pygit2
import pytest

from reconciler.core.messages import OpenWatch, Request
from reconciler.core.report import UnitReport
from tests.daemon import Daemon
from tests.gitserver import commit_tree
from tests.real.fleet import Fleet
from tests.waiting import until

ADMISSION = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def says(daemon: Daemon, name: str, words: str) -> UnitReport:
    """The unit, once it says these words."""
    return until(lambda: (unit := daemon.unit(name)) is not None and words in unit.message and unit, f"{name} says {words!r}", 20)


def polls(daemon: Daemon, count: int) -> None:
    """Let so many polls pass."""
    before = daemon.repository.counts.listings
    until(lambda: daemon.repository.counts.listings >= before + count, f"{count} polls have passed", 30)


def value(fleet: Fleet, name: str) -> str | None:
    found = fleet.get("configmaps", name)
    return found["data"].get("v") if found else None


def many(fleet: Fleet, folder: str, count: int) -> dict[str, str | bytes | None]:
    return {f"{folder}/{i}.yaml": fleet.config_map(f"{folder}{i}") for i in range(count)}


@contextmanager
def no_deleting(fleet: Fleet) -> Iterator[None]:
    """Admission refuses to delete ConfigMaps of the test's namespace."""
    name = f"{fleet.ns}-keep"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]}
    keep = {"expression": f"oldObject.metadata.namespace != '{fleet.ns}'", "message": "not today"}
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": [keep]}
    bindings = ADMISSION.replace("policies", "policybindings")
    api = "admissionregistration.k8s.io/v1"
    meta = {"apiVersion": api, "metadata": {"name": name}}
    fleet.eu.request("POST", ADMISSION, {**meta, "kind": "ValidatingAdmissionPolicy", "spec": policy})
    binding = {"policyName": name, "validationActions": ["Deny"]}
    fleet.eu.request("POST", bindings, {**meta, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding})
    try:
        yield
    finally:
        fleet.eu.request("DELETE", f"{bindings}/{name}")
        fleet.eu.request("DELETE", f"{ADMISSION}/{name}")


# -- whose an object is ----------


def test_copied_marks_prove_nothing(fleet: Fleet) -> None:
    """A copy under another name, and one of the same name on another cluster of ours (as a backup restores it)."""
    files = {"a/ns.yaml": fleet.namespace(), "a/c.yaml": fleet.config_map("c")}
    elsewhere = {"clusters/us/b/ns.yaml": fleet.namespace(), "clusters/us/b/d.yaml": fleet.config_map("d")}
    first = fleet.commit({**files, **elsewhere})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        copy = fleet.get("configmaps", "c") or {}
        copy["metadata"] = {key: copy["metadata"][key] for key in ("name", "labels", "annotations")}
        path = f"/api/v1/namespaces/{fleet.ns}/configmaps"
        assert fleet.us.request("POST", path, copy)[0] == 201
        assert fleet.eu.request("POST", path, {**copy, "metadata": {**copy["metadata"], "name": "copy"}})[0] == 201
        daemon.wait(fleet.commit({"a/c.yaml": fleet.config_map("c", "2"), "clusters/us/b/d.yaml": fleet.config_map("d", "2")}))
        polls(daemon, 3)
        assert fleet.get("configmaps", "copy") and fleet.get("configmaps", "c", cluster=fleet.us)
        fleet.commit({"clusters/us/b/c.yaml": fleet.config_map("c", "ours")})
        says(daemon, "clusters/us/b", "exists and is not ours")
        assert [r for r in daemon.writes() if r.method == "DELETE"] == []


def test_kubectl_replace_takes_our_marks_off_and_they_come_back(fleet: Fleet) -> None:
    first = fleet.commit({"a/ns.yaml": fleet.namespace(), "a/c.yaml": fleet.config_map("c")})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        for metadata in ({"labels": None}, {"annotations": None}, {"labels": None, "annotations": None}):
            fleet.patch("configmaps", "c", {"metadata": metadata})
            until(lambda: fleet.names("configmaps") == ["c"] and _owner(fleet), f"{metadata} is mended", 10)
        fleet.eu.kubectl("replace", "-f", "-", given=fleet.config_map("c", "at night"))
        until(lambda: value(fleet, "c") == "1" and _owner(fleet), "it is ours again, as Git says", 15)
        assert fleet.names("configmaps") == ["c"]


def _owner(fleet: Fleet) -> bool:
    found = fleet.get("configmaps", "c") or {}
    return "reconciler.dev/owner" in (found["metadata"].get("annotations") or {})


def test_a_field_that_another_applier_takes_is_named_at_once(fleet: Fleet) -> None:
    first = fleet.commit({"a/ns.yaml": fleet.namespace(), "a/c.yaml": fleet.config_map("c")})
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    path = f"/api/v1/namespaces/{fleet.ns}/configmaps/c?fieldManager=other-gitops"
    with fleet.daemon() as daemon:
        daemon.wait(first)
        apply = "application/apply-patch+yaml"
        assert fleet.eu.request("PATCH", path, {**theirs, "data": {"v": "theirs"}}, apply)[0] == 409, "they are told that it is ours"
        assert fleet.eu.request("PATCH", f"{path}&force=true", {**theirs, "data": {"v": "theirs"}}, apply)[0] == 200
        left_alone = until(lambda: daemon.report().units[0].lanes[0].left_alone, "the field is named", 10)
        assert "data.v" in left_alone[0] and "other-gitops" in left_alone[0] and value(fleet, "c") == "theirs"
        assert fleet.eu.request("PATCH", f"{path}&force=true", theirs, apply)[0] == 200
        until(lambda: (fleet.get("configmaps", "c") or {}).get("data") == {"v": "1"}, "let go, it is ours again", 10)


def test_a_namespace_that_is_not_ours_holds_nothing_back(fleet: Fleet) -> None:
    """Made by hand before it came into Git, as most are."""
    fleet.eu.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": fleet.ns}})
    fleet.commit({"a/ns.yaml": fleet.namespace(), "b/c.yaml": fleet.config_map("c")})
    with fleet.daemon() as daemon:
        says(daemon, "a", "exists and is not ours")
        until(lambda: fleet.names("configmaps") == ["c"], "what lives in it is applied", 10)


# -- what will not go ----------


def test_a_deletion_that_is_refused_is_told_and_not_hammered(fleet: Fleet) -> None:
    first = fleet.commit({"ns/ns.yaml": fleet.namespace(), **many(fleet, "a", 6)})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        with no_deleting(fleet):
            probe = f"/api/v1/namespaces/{fleet.ns}/configmaps/a1?dryRun=All"
            until(lambda: fleet.eu.request("DELETE", probe)[0] == 422, "the policy is in force", 20)
            fleet.commit({"a/0.yaml": None})
            unit = says(daemon, "a", "ConfigMap/a0")
            assert unit.state == "Reconciling" and "not today" in unit.message
            polls(daemon, 10)
            assert len([r for r in daemon.writes() if r.method == "DELETE"]) <= 3
        until(lambda: "a0" not in fleet.names("configmaps"), "allowed, it is deleted", 30)
        until(lambda: daemon.report().healthy, "and all is well", 10)


def test_what_hangs_on_a_finalizer_is_told_and_comes_back_when_wanted(fleet: Fleet) -> None:
    first = fleet.commit({"ns/ns.yaml": fleet.namespace(), **many(fleet, "a", 5)})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        fleet.patch("configmaps", "a0", {"metadata": {"finalizers": ["example.org/never"]}})
        fleet.commit({"a/0.yaml": None})
        says(daemon, "a", "waits for example.org/never")
        fleet.commit({"a/0.yaml": fleet.config_map("a0", "2")})
        says(daemon, "a", "applied anew when it is gone")
    with fleet.daemon() as daemon:
        says(daemon, "a", "waits for example.org/never")
        assert daemon.writes() == []
        fleet.patch("configmaps", "a0", {"metadata": {"finalizers": None}})
        until(lambda: value(fleet, "a0") == "2", "gone, it is applied anew", 10)


def test_a_namespace_on_its_way_out_is_waited_for(fleet: Fleet) -> None:
    first = fleet.commit({"ns/ns.yaml": fleet.namespace(), **many(fleet, "a", 3)})
    with fleet.daemon(clusters={"eu": fleet.eu.kubeconfig}) as daemon:
        daemon.wait(first)
        fleet.patch("configmaps", "a0", {"metadata": {"finalizers": ["example.org/never"]}})
        fleet.eu.request("DELETE", f"/api/v1/namespaces/{fleet.ns}")
        says(daemon, "a", f"waits for Namespace {fleet.ns}, which is being deleted")
        mark = len(daemon.writes())
        polls(daemon, 5)
        assert len(daemon.writes()) == mark, "nobody writes into it"
        fleet.patch("configmaps", "a0", {"metadata": {"finalizers": None}})
        until(lambda: daemon.report().healthy and fleet.names("configmaps") == ["a0", "a1", "a2"], "all is made anew", 30)


def test_a_hopeless_wave_gives_way_to_the_next_commit(fleet: Fleet) -> None:
    def web(name: str, wave: int, labels: str = "") -> str:
        note = f"namespace: {fleet.ns}, annotations: {{reconciler.dev/wave: '{wave}'}}}}"
        return fleet.deployment(name, labels=labels).replace(f"namespace: {fleet.ns}}}", note, 1)

    fleet.commit({"a/ns.yaml": fleet.namespace(), "a/one.yaml": web("one", 1, "fault: crash"), "a/two.yaml": web("two", 2)})
    with fleet.daemon() as daemon:
        says(daemon, "a", "later waves wait for wave 1")
        mended = fleet.commit({"a/one.yaml": web("one", 1)})
        daemon.wait(mended)
        assert all(fleet.get("deployments", name, group="apps/v1") for name in ("one", "two"))


# -- definitions ----------


def test_a_definition_that_comes_back_otherwise(fleet: Fleet) -> None:
    group = f"{fleet.ns}.example.org"

    def widget(version: str) -> str:
        return f"apiVersion: {group}/{version}\nkind: Widget\nmetadata: {{name: w, namespace: {fleet.ns}}}\nspec: {{size: 1}}\n"

    def swap(old: str, version: str, plural: str) -> None:
        if old:
            fleet.eu.request("DELETE", f"{DEFINITIONS}/{old}.{group}")
            until(lambda: fleet.eu.request("GET", f"{DEFINITIONS}/{old}.{group}")[0] == 404, "the definition is gone", 20)
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        versions = [{"name": version, "served": True, "storage": True, "schema": schema}]
        names = {"kind": "Widget", "plural": plural}
        body = {
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": versions},
        }
        made = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **body}
        assert fleet.eu.request("POST", DEFINITIONS, made)[0] == 201

    swap("", "v1", "widgets")
    first = fleet.commit({"a/ns.yaml": fleet.namespace(), "b/w.yaml": widget("v1"), "b/c.yaml": fleet.config_map("c")})
    with fleet.daemon(clusters={"eu": fleet.eu.kubeconfig}) as daemon:
        daemon.wait(first)
        swap("widgets", "v2", "widgets")
        says(daemon, "b", f"is not served in version v1; {group}/v2 is")
        mark = len(daemon.requests())
        polls(daemon, 25)  # 5 s
        assert len([r for r in daemon.requests()[mark:] if r.path == "/apis"]) <= 3, "asked for later and later"
        fleet.commit({"b/w.yaml": widget("v2")})
        until(lambda: fleet.get("widgets", "w", group=f"{group}/v2"), "another version", 20)
        swap("widgets", "v2", "gadgets")
        until(lambda: fleet.get("gadgets", "w", group=f"{group}/v2"), "another plural", 20)
        daemon.wait(fleet.commit({"b/c.yaml": None}))
        until(lambda: value(fleet, "c") is None, "pruning still works", 10)
    fleet.eu.request("DELETE", f"{DEFINITIONS}/gadgets.{group}")


# -- Git ----------


def test_history_that_is_rewritten_lost_or_emptied_deletes_nothing_by_itself(fleet: Fleet) -> None:
    first = fleet.commit({"a/ns.yaml": fleet.namespace(), **many(fleet, "a", 4)})
    second = fleet.commit({"a/0.yaml": fleet.config_map("a0", "2")})
    references = pygit2.Repository(str(fleet.path)).references
    with fleet.daemon() as daemon:
        daemon.wait(second)
        references.create("refs/heads/main", pygit2.Oid(hex=first), force=True)
        daemon.wait(first)
        assert value(fleet, "a0") == "1", "a forced push back is obeyed"
        references["refs/heads/main"].delete()
        until(lambda: "is not in the repository" in daemon.report().source_problems["fleet"], "a lost branch is told", 10)
        commit_tree(fleet.path, {}, parents=(second,))
        says(daemon, "a", "no manifests left at all")
        fleet.commit({"z/other.yaml": fleet.config_map("other")}, ref="refs/heads/unrelated")
        references.create("refs/heads/main", references["refs/heads/unrelated"].target, force=True)
        until(lambda: "other" in fleet.names("configmaps"), "an unrelated history is applied", 20)
        says(daemon, "a", "past the budget")
        assert [r for r in daemon.writes() if r.method == "DELETE"] == []
        references.create("refs/heads/main", pygit2.Oid(hex=second), force=True)
        daemon.wait(second)
        assert fleet.names("configmaps") == ["a0", "a1", "a2", "a3"]


def test_another_path_under_the_same_store_touches_nothing_and_asks_seldom(fleet: Fleet) -> None:
    first = fleet.commit({"a/ns.yaml": fleet.namespace(), "a/c.yaml": fleet.config_map("c"), "a/d/d.yaml": fleet.config_map("d")})
    with fleet.daemon() as daemon:
        daemon.wait(first)
    with fleet.daemon(path="a") as daemon:
        assert "pinned to" in says(daemon, "d", "nothing is done there until").message
        mark = len(daemon.requests())
        polls(daemon, 10)
        assert len([r for r in daemon.requests()[mark:] if "/leases/" not in r.path]) <= 2
        assert daemon.writes() == [] and fleet.names("configmaps") == ["c", "d"]


def test_an_approval_that_says_anything_else_approves_nothing(fleet: Fleet) -> None:
    first = fleet.commit({"ns/ns.yaml": fleet.namespace(), **many(fleet, "a", 8)})
    branch, path = "refs/heads/reconciler/approve/prune-eu-a", "approvals/prune-eu-a.yaml"
    gone: dict[str, str | bytes | None] = {f"a/{i}.yaml": None for i in range(5)}
    with fleet.daemon() as daemon:
        daemon.wait(first)
        fleet.commit(gone)
        smaller = until(lambda: fleet.read(branch, path), "the approval is offered", 15)
        fleet.commit({"a/5.yaml": None})
        text = until(lambda: (found := fleet.read(branch, path)) != smaller and found, "another set, another offer", 15).decode()
        for other in (smaller.decode(), text.replace('"a"', '"ns"'), text.replace('"eu"', '"us"'), text.replace("approve\n", "pause\n")):
            seen = fleet.commit({path: other})
            daemon.wait(seen, healthy=False)
            assert len(fleet.names("configmaps")) == 8, other
        fleet.commit({path: text})
        until(lambda: fleet.names("configmaps") == ["a6", "a7"], "as offered, it approves", 15)
        daemon.wait(fleet.commit(many(fleet, "a", 6)))
        fleet.commit({**gone, "a/5.yaml": None})
        says(daemon, "a", "past the budget")
        assert len(fleet.names("configmaps")) == 8, "spent: these are other objects of the same names"


# -- secrets ----------

CANARY = "canary-4711"


def _secret(fleet: Fleet, name: str, rest: str) -> str:
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {fleet.ns}}}\n{rest}\n"


def test_a_secret_value_is_shown_nowhere(fleet: Fleet, capfd: pytest.CaptureFixture[str]) -> None:
    encoded = base64.b64encode(CANARY.encode()).decode()
    bad = {
        "base64": f"data: {{p: {CANARY}}}",
        "type": f"type: kubernetes.io/dockerconfigjson\nstringData: {{.dockerconfigjson: '{CANARY}'}}",
        "kind": f"stringData: {{p: [{CANARY}]}}",
        "broken": f'stringData: {{p: "{CANARY}',
        "twice": f"stringData: {{p: {CANARY}, p: {CANARY}}}",
        "fixed": f"immutable: true\nstringData: {{p: {CANARY}}}",
        "good": f"stringData: {{p: {CANARY}}}",
    }
    files = {f"{name}/s.yaml": _secret(fleet, name, rest) for name, rest in bad.items()}
    fleet.commit({"ns/ns.yaml": fleet.namespace(), **files})
    with fleet.daemon() as daemon:
        until(lambda: fleet.names("secrets") == ["fixed", "good"], "those that are right are applied", 20)
        until(lambda: {u.state for u in daemon.report().units if str(u.key) in bad} == {"Held", "Failed", "Healthy"}, "all is told", 10)
        fleet.commit({"fixed/s.yaml": _secret(fleet, "fixed", f"immutable: true\nstringData: {{p: {CANARY}-2}}")})
        says(daemon, "fixed", "immutable")
        fleet.patch("secrets", "good", {"data": {"p": base64.b64encode(f"{CANARY}-3".encode()).decode()}})
        until(lambda: (fleet.get("secrets", "good") or {})["data"]["p"] == encoded, "its drift is healed", 10)
        until(lambda: all(p.idle for p in daemon.engine.publishers.values()), "the status is published", 40)
        told = [repr(daemon.report()), *(repr(e) for e in daemon.effects if not isinstance(e, Request | OpenWatch)), *capfd.readouterr()]
    repository = pygit2.Repository(str(fleet.path))
    status = repository[repository.references["refs/heads/reconciler-status"].target]
    told += list(_texts(status.tree))
    assert "Secret/good" in "".join(told)
    for text in told:
        assert CANARY not in text and encoded[:-2] not in text


def _texts(tree: Any) -> Iterator[str]:
    for entry in tree:
        if isinstance(entry, pygit2.Tree):
            yield from _texts(entry)
        else:
            yield entry.data.decode()
