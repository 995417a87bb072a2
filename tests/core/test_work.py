"""How wanted objects become live ones: order, waits, drift, rivals, and every answer that a server gives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.core.messages import Answer, Input, Request
from tests.core.driver import Daemon, Json, Perform, World, asks, config_map, lost, manifest, says, started, unheard, unit, value
from tests.sim.world.workloads import CRD as WIDGET_DEFINITION

MAPS = "/api/v1/namespaces/default/configmaps"
MAPS_EVERYWHERE = "/api/v1/configmaps"
POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}


def deployment(name: str, notes: Json | None = None, **spec: Any) -> str:
    body = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": POD, **spec}
    return manifest("apps/v1", "Deployment", name, "default", notes, spec=body)


def applied(daemon: Daemon) -> list[str]:
    return [r.path.rsplit("/", 1)[1] for r in daemon.requests("PATCH")]


def by_hand(world: World, name: str, value: str, manager: str = "kubectl-edit") -> None:
    body = {"data": {"v": value}}
    status, _ = world.call("PATCH", f"{MAPS}/{name}?fieldManager={manager}", body, content="application/merge-patch+json")
    assert status == 200


# -- what it costs ----------


def test_a_first_install_lists_each_kind_once_however_many_objects_it_has() -> None:
    """More than are checked in one step, in many folders: one look answers all of a kind, and the list to watch from is the other."""
    files = {f"f{i}/all.yaml": f"{config_map(f'c{i}')}\n---\n{manifest('v1', 'Secret', f's{i}', 'default')}" for i in range(130)}
    _, daemon = started({"a/ns.yaml": manifest("v1", "Namespace", "shop"), **files})
    lists = Counter(r.path for r in daemon.requests("GET") if "PartialObjectMetadataList" in r.accept)
    assert lists == {MAPS_EVERYWHERE: 1, MAPS_EVERYWHERE.replace("configmaps", "secrets"): 1}
    assert sorted(applied(daemon)) == sorted(["shop", *(f"{letter}{i}" for i in range(130) for letter in "cs")])
    assert daemon.requests("GET", "/configmaps/c") == daemon.requests("GET", "/secrets/s") == []


def test_looks_that_come_one_after_the_other_wait_for_those_under_way() -> None:
    """A fleet's namespaces come one by one, and what is wanted in each asks at once: no more are under way, and one list answers them."""
    world, daemon = started({"keep/k.yaml": config_map("k")})
    world.rule(asks("GET", "/configmaps/c"), lambda _, perform: perform(), times=20, seconds=20.0)
    for i in range(9):
        world.commit({f"f{i}/c.yaml": config_map(f"c{i}")})
        world.run(1)
    lists = [r for r in daemon.requests("GET", MAPS_EVERYWHERE) if "PartialObjectMetadataList" in r.accept]
    assert len(daemon.requests("GET", "/configmaps/c")) == 3 and applied(daemon) == ["k"]
    world.run(30)
    assert len(daemon.requests("GET", "/configmaps/c")) == 3 and sorted(applied(daemon)) == [*(f"c{i}" for i in range(9)), "k"]
    assert len([r for r in daemon.requests("GET", MAPS_EVERYWHERE) if "PartialObjectMetadataList" in r.accept]) == len(lists) + 1


# -- order ----------


def test_kinds_come_in_their_order_and_what_is_lower_has_been_answered_first() -> None:
    files = {
        "a/1.yaml": deployment("d"),
        "a/2.yaml": config_map("c", namespace="default"),
        "a/3.yaml": manifest("v1", "ServiceAccount", "s", "default"),
        "a/4.yaml": manifest("v1", "Namespace", "n"),
        "a/5.yaml": manifest("v1", "Service", "v", "default", spec={"ports": [{"port": 80}]}),
    }
    _, daemon = started(files)
    assert applied(daemon) == ["n", "s", "c", "v", "d"]


def test_a_rank_waits_for_the_answers_of_the_ranks_before_it_healthy_or_not() -> None:
    world = World()
    world.rule(asks("PATCH", "/configmaps/c"), says(422, "no"), times=1, seconds=5)
    world.commit({"a/1.yaml": deployment("d"), "a/2.yaml": config_map("c"), "b/3.yaml": deployment("other")})
    daemon = world.daemon()
    world.run(4)
    assert sorted(applied(daemon)) == ["c", "other"]
    world.run(3)
    assert "d" in applied(daemon)


def test_a_wave_waits_until_all_before_it_is_healthy() -> None:
    world = World()
    wave = {"reconciler.dev/wave": "1"}
    world.commit({"a/d.yaml": deployment("d"), "a/x.yaml": manifest("v1", "ConfigMap", "x", "default", wave), "b/y.yaml": config_map("y")})
    daemon = world.daemon()
    world.until(lambda: "d" in applied(daemon))
    world.run(0.5)
    assert sorted(applied(daemon)) == ["d", "y"], "the pods are not there yet, and other units do not wait"
    assert "later waves wait for wave 0" in unit(daemon, "a").message
    world.settle(daemon)
    assert applied(daemon)[-1] == "x"


def test_a_negative_wave_comes_first_and_argos_word_counts() -> None:
    first = {"argocd.argoproj.io/sync-wave": "-5"}
    _, daemon = started({"a/a.yaml": config_map("a"), "a/z.yaml": manifest("v1", "ConfigMap", "z", "default", first)})
    assert applied(daemon) == ["z", "a"]


def test_a_large_install_is_told_in_few_lines() -> None:
    world = World()
    commit = world.commit({f"a/{i}.yaml": config_map(f"a{i}") for i in range(70)} | {"b/x.yaml": config_map("x")})
    daemon = world.daemon()
    world.settle(daemon)
    world.run(20)
    assert len(daemon.said("applied")) == 21
    facts = {"cluster": "eu", "unit": "a", "created": 50, "changed": 0, "commit": commit}
    assert daemon.said("applied more") == [facts]
    world.commit({"a/0.yaml": config_map("a0", "2")})
    world.settle(daemon)
    assert len(daemon.said("applied")) == 22 and len(daemon.said("applied more")) == 1


def test_drift_waits_for_no_wave() -> None:
    world, daemon = started({"a/d.yaml": deployment("d"), "a/x.yaml": config_map("x", wave="1")})
    world.rule(asks("PATCH", "/deployments/d"), says(422, "no"), times=1_000)
    world.commit({"a/d.yaml": deployment("d", replicas=3)})
    world.until(lambda: unit(daemon, "a").state == "Failed")
    by_hand(world, "x", "drift")
    world.run(1)
    assert value(world, "x") == "1"


def test_what_is_rejected_in_a_wave_holds_the_next_one_alone() -> None:
    world = World()
    world.rule(asks("PATCH", "/bad"), says(422, "is invalid"), times=1_000)
    world.commit({"a/bad.yaml": config_map("bad"), "a/same.yaml": config_map("same"), "a/later.yaml": config_map("later", wave="1")})
    daemon = world.daemon()
    world.run(60)
    assert world.names() == ["same"] and unit(daemon, "a").state == "Failed"
    world.rules = []
    world.until(lambda: world.names() == ["bad", "later", "same"], 400)


def test_objects_wait_for_the_namespace_of_another_folder() -> None:
    world = World()
    world.rule(asks("PATCH", "/namespaces/shop"), says(500, "busy"), times=1)
    world.commit({"a/x.yaml": config_map("x", namespace="shop"), "z/ns.yaml": manifest("v1", "Namespace", "shop")})
    daemon = world.daemon()
    world.run(1)
    assert applied(daemon) == ["shop"] and "waits for Namespace shop" in unit(daemon, "a").message
    world.settle(daemon)
    assert applied(daemon) == ["shop", "shop", "x"]


CRD = json.loads(WIDGET_DEFINITION)["spec"]
WIDGET = manifest("example.org/v1", "Widget", "w", "default", spec={"size": 1})
WIDGETS = "/apis/example.org/v1"


def test_a_custom_object_waits_for_its_definition() -> None:
    crd = manifest("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.org", spec=CRD)
    world = World()
    world.commit({"a/w.yaml": WIDGET, "z/crd.yaml": crd})
    daemon = world.daemon()
    world.settle(daemon)
    assert applied(daemon) == ["widgets.example.org", "w"]
    assert world.get("w", "widgets", top=WIDGETS)


def test_a_kind_that_nobody_brings_is_told_and_the_rest_is_applied() -> None:
    world, daemon = started({"a/w.yaml": WIDGET, "a/x.yaml": config_map("x")})
    told = unit(daemon, "a")
    assert told.state == "Failed" and "no kind Widget.example.org on eu" in told.message and world.names() == ["x"]
    body = {"apiVersion": "apiextensions.k8s.io/v1", "metadata": {"name": "widgets.example.org"}, "spec": CRD}
    top = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert world.call("POST", top, {**body, "kind": "CustomResourceDefinition"})[0] == 201
    world.until(lambda: world.get("w", "widgets", top=WIDGETS), 600)
    world.settle(daemon)
    assert unit(daemon, "a").state == "Healthy"


# -- drift, and fights ----------


def test_drift_is_healed_and_told() -> None:
    world, daemon = started({"a/x.yaml": config_map("x")})
    by_hand(world, "x", "2")
    world.run(1)
    assert value(world, "x") == "1"
    assert daemon.said("drift healed")[0]["changes"] == "data.v 2 -> 1"


def fight(world: World, name: str = "x") -> None:
    """Somebody who undoes, at once, whatever we do."""

    def undo(effect: Request, perform: Perform) -> Input:
        answer = perform()
        by_hand(world, name, "theirs")
        return answer

    world.rule(asks("PATCH", f"/configmaps/{name}"), undo, times=100_000)


def test_a_fight_is_fought_later_and_later_and_hurts_nobody_else() -> None:
    world, daemon = started({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y")})
    fight(world)
    by_hand(world, "x", "theirs")
    world.run(3600)
    heals = len(applied(daemon)) - 2
    assert 10 <= heals <= 25
    assert "somebody keeps changing it back" in unit(daemon, "a").message
    by_hand(world, "y", "drift")
    world.run(1)
    assert value(world, "y") == "1"
    world.rules = []
    world.run(700)
    assert value(world, "x") == "1" and unit(daemon, "a").state == "Healthy"


def test_a_fight_of_many_days_ends_nothing_else() -> None:
    world, daemon = started({"a/x.yaml": config_map("x")})
    item = next(iter(next(iter(daemon.engine.work.all_lanes())).items.values()))
    item.heals, item.healed_at = 5_000, world.steady
    by_hand(world, "x", "theirs")
    world.run(10)
    assert value(world, "x") == "theirs" and unit(daemon, "a").state == "Reconciling"
    world.run(600)
    assert value(world, "x") == "1"


def test_what_an_annotation_leaves_to_others_is_left() -> None:
    world, daemon = started({"a/x.yaml": config_map("x", ignore="/data/v"), "a/y.yaml": config_map("y")})
    by_hand(world, "x", "theirs")
    by_hand(world, "y", "theirs")
    world.run(5)
    assert (value(world, "x"), value(world, "y")) == ("theirs", "1")
    world.commit({"a/x.yaml": config_map("x", "3", ignore="/data/v")})
    world.settle(daemon)
    assert value(world, "x") == "theirs"


# -- whose an object is ----------


def foreign(world: World, name: str = "x", data: str = "theirs") -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": data, "more": "1"}}
    assert world.call("POST", MAPS, body)[0] == 201


def test_what_is_not_ours_is_left_as_it_was_until_a_person_says_adopt() -> None:
    world = World()
    foreign(world)
    world.commit({"a/x.yaml": config_map("x")})
    daemon = world.daemon()
    world.settle(daemon)
    told = unit(daemon, "a")
    assert told.state == "Failed" and "exists and is not ours" in told.message and value(world, "x") == "theirs"
    assert daemon.requests("PATCH") == []
    world.commit({"a/x.yaml": config_map("x", "theirs", adopt="allowed")})
    world.settle(daemon)
    assert unit(daemon, "a").state == "Healthy" and world.names() == ["x"]


@pytest.mark.parametrize("folder", ["a", "z"])
def test_a_namespace_that_is_not_ours_keeps_nothing_in_it_from_being_applied(folder: str) -> None:
    """In the same folder or another: the conflict is about the Namespace alone."""
    world = World()
    assert world.call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})[0] == 201
    later = config_map("later", namespace="shop", wave="1")
    files = {"a/ns.yaml": manifest("v1", "Namespace", "shop"), "a/l.yaml": later}
    world.commit({**files, f"{folder}/x.yaml": config_map("x", namespace="shop")})
    daemon = world.daemon()
    world.until(lambda: world.names(namespace="shop") == ["later", "x"], 10)
    world.settle(daemon)
    told = unit(daemon, "a")
    assert told.state == "Failed" and "a/ns.yaml:1:1: Namespace/shop exists and is not ours; left as it was" in told.message
    assert "what is written for it is applied all the same" in told.message
    world.run(600)
    assert sorted(applied(daemon)) == ["later", "x"]


def test_what_came_while_a_wave_was_waited_for_is_not_merged_into() -> None:
    """Looked at when the folder was read, and applied an hour later: somebody else was faster."""
    world = World()
    world.rule(asks("PATCH", "/first"), says(422, "not yet"), times=8)
    world.commit({"a/first.yaml": config_map("first"), "a/x.yaml": config_map("x", wave="1")})
    daemon = world.daemon()
    world.run(30)
    foreign(world, data="1")
    world.until(lambda: "first" in world.names(), 1_000)
    world.settle(daemon)
    assert "x" not in world.names() and "exists and is not ours" in unit(daemon, "a").message


def test_two_folders_that_want_one_object_are_both_told_and_neither_wins() -> None:
    world, daemon = started({"a/x.yaml": config_map("x", "a"), "b/x.yaml": config_map("x", "b")})
    assert world.get("x") is None
    assert "also wanted at b/x.yaml:1" in unit(daemon, "a").message and "also wanted at a/x.yaml:1" in unit(daemon, "b").message
    world.commit({"b/x.yaml": None})
    world.settle(daemon)
    assert value(world, "x") == "a" and unit(daemon, "a").state == "Healthy"


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.003, 0.006, 0.01, 5.0])
def test_a_second_claim_is_told_at_both_places_whenever_it_comes(seconds: float) -> None:
    """Also while the first one is looked at, queued, or on its way."""
    world, daemon = started({"k/k.yaml": config_map("k")})
    world.commit({"a/x.yaml": config_map("x", "a")})
    world.until(lambda: any(unit.key.name == "a" for unit in daemon.report.units))
    world.run(seconds)
    world.repo.commit({"b/x.yaml": config_map("x", "b")})
    daemon.engine.sources["fleet"]._listed_at = float("-inf")  # type: ignore[index]
    world.commit({})
    world.settle(daemon)
    world.run(5)
    assert "also wanted at b/x.yaml:1" in unit(daemon, "a").message and "also wanted at a/x.yaml:1" in unit(daemon, "b").message


def test_one_namespace_in_many_folders_is_no_clash_and_the_first_path_owns_it() -> None:
    text = manifest("v1", "Namespace", "shop")
    world, daemon = started({"b/ns.yaml": text, "a/ns.yaml": text, "c/ns.yaml": text})
    assert applied(daemon) == ["shop"] and [u.state for u in daemon.report.units] == ["Healthy"] * 3
    owner = world.get("shop", "namespaces", namespace="")["metadata"]["annotations"]["reconciler.dev/owner"]  # type: ignore[index]
    assert owner.endswith("fleet//Folder//a")
    world.commit({"a/ns.yaml": None, "a/x.yaml": config_map("x")})
    world.settle(daemon)
    assert applied(daemon) == ["shop", "shop", "x"] or applied(daemon) == ["shop", "x", "shop"]
    assert [u.state for u in daemon.report.units] == ["Healthy"] * 3


def test_one_namespace_at_the_same_path_of_two_sources_has_one_owner() -> None:
    text = manifest("v1", "Namespace", "shop")
    world = World(sources=("fleet", "more"))
    world.repos["more"].commit({"a/ns.yaml": text})
    world.commit({"a/ns.yaml": text})
    daemon = world.daemon()
    world.run(60)
    assert applied(daemon) == ["shop"] and [u.state for u in daemon.report.units] == ["Healthy"] * 2


def test_namespaces_that_differ_are_a_clash() -> None:
    other = manifest("v1", "Namespace", "shop", notes={"x": "y"})
    _, daemon = started({"a/ns.yaml": manifest("v1", "Namespace", "shop"), "b/ns.yaml": other})
    assert applied(daemon) == [] and [u.state for u in daemon.report.units] == ["Failed"] * 2


# -- answers ----------

LATER = [0, 401, 408, 429, 500, 502, 503, 504]
TOLD = [400, 403, 404, 409, 410, 413, 422]


@pytest.mark.parametrize("status", [*LATER, *TOLD])
def test_every_refusal_is_tried_again_later_and_told_if_it_is_about_the_object(status: int) -> None:
    world = World()
    rule = world.rule(asks("PATCH", "/x"), says(status, "the reason of the server"), times=1_000)
    world.commit({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y"), "b/z.yaml": config_map("z")})
    daemon = world.daemon()
    world.run(300)
    told = unit(daemon, "a")
    assert told.state == ("Failed" if status in TOLD else "Reconciling") or status in (0, 401)
    assert "the reason of the server" in told.message or status in (0, 401)
    assert 2 <= rule.used <= 14, "later and later"
    assert len(daemon.said("rejected")) == (status in TOLD)
    if status in TOLD:
        assert told.message.startswith("eu: a/x.yaml:1:1: ConfigMap/x ")
    world.rules = []
    world.until(lambda: world.names() == ["x", "y", "z"], 600)
    world.settle(daemon)
    assert unit(daemon, "a").state == "Healthy"


def test_a_rejection_names_the_line_of_the_field() -> None:
    world = World()
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  v: one\n"
    details = {"causes": [{"reason": "FieldValueInvalid", "field": "data.v"}]}
    world.rule(asks("PATCH", "/x"), says(422, "is invalid", details=details), times=1)
    world.commit({"a/x.yaml": text})
    daemon = world.daemon()
    world.until(lambda: unit(daemon, "a").state == "Failed" if daemon.report.units else False)
    assert "a/x.yaml:6:6: ConfigMap/x is invalid" in unit(daemon, "a").message


def test_retry_after_lets_the_whole_cluster_rest() -> None:
    world = World(clusters=("eu", "us"))
    world.rule(asks("PATCH", "/x"), says(429, "slow down", retry_after_seconds=20), times=1)
    us = {f"clusters/us/{i}.yaml": config_map(f"u{i}") for i in range(3)}
    world.commit({"a/x.yaml": config_map("x"), "b/y.yaml": config_map("y", wave="1"), "b/w.yaml": config_map("w"), **us})
    daemon = world.daemon()
    world.until(lambda: any(rule.used for rule in world.rules))
    before = len([r for r in daemon.requests("PATCH") if r.cluster == "eu"])
    world.run(15)
    assert len([r for r in daemon.requests("PATCH") if r.cluster == "eu"]) <= before + 1
    assert world.names(cluster="us") == ["u0", "u1", "u2"]
    world.settle(daemon)
    assert world.names() == ["w", "x", "y"]


def test_an_apply_that_nobody_heard_of_is_looked_at_and_not_repeated() -> None:
    world = World()
    world.rule(asks("PATCH", "/x"), unheard, times=1)
    world.commit({"a/x.yaml": config_map("x")})
    daemon = world.daemon()
    world.until(lambda: daemon.report.units and unit(daemon, "a").state == "Healthy")
    assert applied(daemon) == ["x"]


def test_what_is_deleted_before_its_apply_is_answered_comes_back() -> None:
    """The watch has told of both by the time the answer says that all is well."""
    world, daemon = started({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y")})
    world.rule(asks("PATCH", "/x"), lambda e, perform: perform(), times=1, seconds=5)
    world.call("DELETE", f"{MAPS}/x")
    world.run(1)
    assert world.names() == ["x", "y"]
    world.call("DELETE", f"{MAPS}/x")
    world.run(10)
    assert world.names() == ["x", "y"] and unit(daemon, "a").state == "Healthy"


def test_an_answer_that_never_comes_holds_that_object_alone() -> None:
    world = World()
    world.rule(asks("PATCH", "/x"), lost, times=1)
    world.commit({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y"), "a/z.yaml": config_map("z", wave="1")})
    daemon = world.daemon()
    world.run(60)
    assert world.names() == ["y"] and unit(daemon, "a").state == "Reconciling"


@pytest.mark.parametrize("gone", [False, True])
def test_a_page_of_a_proxy_is_no_success(gone: bool) -> None:
    world = World()

    def page(effect: Request, perform: Callable[[], Input]) -> Input:
        return Answer(effect.id, 200, b"<html>welcome</html>")

    world.rule(asks("PATCH", "/x"), page, times=1, seconds=2.0)
    world.commit({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y")})
    daemon = world.daemon()
    world.run(1)
    if gone:
        world.commit({"a/x.yaml": None})
        world.run(5)
        world.commit({"a/later.yaml": config_map("later", wave="1")})
    world.settle(daemon)
    world.until(lambda: world.names() == (["later", "y"] if gone else ["x", "y"]), 60)
    world.settle(daemon)
    assert unit(daemon, "a").state == "Healthy"


def test_a_rejected_apply_is_not_sent_again_at_every_event() -> None:
    """Status moves every second; what was rejected stays rejected until something of it changes."""
    world, daemon = started({"a/d.yaml": deployment("d")})
    world.rule(asks("PATCH", "/deployments/d"), says(422, "field is immutable"), times=1_000)
    world.commit({"a/d.yaml": deployment("d", selector={"matchLabels": {"a": "c"}})})
    world.until(lambda: unit(daemon, "a").state == "Failed")
    before = len(applied(daemon))
    for i in range(30):
        body = {"status": {"observedGeneration": 1, "replicas": i % 2, "readyReplicas": i % 2}}
        path = "/apis/apps/v1/namespaces/default/deployments/d/status"
        assert world.call("PATCH", path, body, content="application/merge-patch+json")[0] == 200
        world.run(1)
    assert len(applied(daemon)) - before <= 5


IMMUTABLE = "ConfigMap x is invalid: data: Invalid value: field is immutable"


@pytest.mark.parametrize("recreate", [False, True])
def test_an_immutable_object_is_made_anew_only_where_asked(recreate: bool) -> None:
    notes = {"recreate": "allowed"} if recreate else {}
    world, daemon = started({"a/x.yaml": config_map("x", **notes)})
    was = world.get("x")["metadata"]  # type: ignore[index]
    uid, version = was["uid"], was["resourceVersion"]
    world.rule(asks("PATCH", "/x"), says(422, IMMUTABLE), times=1)
    world.commit({"a/x.yaml": config_map("x", "2", **notes)})
    world.run(1)
    if not recreate:
        assert "annotate it with reconciler.dev/recreate: allowed" in unit(daemon, "a").message
        assert daemon.requests("DELETE") == []
        return
    world.settle(daemon)
    assert world.get("x")["metadata"]["uid"] != uid and value(world, "x") == "2"  # type: ignore[index]
    assert json.loads(daemon.requests("DELETE")[0].body)["preconditions"] == {"uid": uid, "resourceVersion": version}


def test_what_lost_our_marks_is_not_deleted_to_be_made_anew() -> None:
    """It is put right as soon as that is possible, and nothing goes before it carries our proof again."""
    world, daemon = started({"a/x.yaml": config_map("x", recreate="allowed")})
    refused = world.rule(asks("PATCH", "/x"), says(422, IMMUTABLE), times=3)
    taken = {"metadata": {"labels": {"reconciler.dev/managed-by": None}}}
    assert world.call("PATCH", f"{MAPS}/x", taken, content="application/merge-patch+json")[0] == 200
    world.until(lambda: refused.used == 3, 60)
    world.settle(daemon)
    world.until(lambda: unit(daemon, "a").state == "Healthy", 60)
    assert daemon.requests("DELETE") == [] and world.names() == ["x"]


def test_a_recreation_that_may_not_delete_is_told_and_tried_again() -> None:
    world, daemon = started({"a/x.yaml": config_map("x", recreate="allowed")})
    world.rule(asks("PATCH", "/x"), says(422, IMMUTABLE), times=3)
    world.rule(asks("DELETE", "/x"), says(403, "you may not delete"), times=2)
    world.commit({"a/x.yaml": config_map("x", "2", recreate="allowed")})
    world.run(1)
    assert "you may not delete" in unit(daemon, "a").message
    world.until(lambda: value(world, "x") == "2" if world.get("x") else False, 120)


def test_what_is_deleted_by_hand_comes_back_and_what_is_going_is_waited_for() -> None:
    world, daemon = started({"a/x.yaml": config_map("x")})
    world.call("PATCH", f"{MAPS}/x", {"metadata": {"finalizers": ["example.org/slow"]}}, content="application/merge-patch+json")
    world.call("DELETE", f"{MAPS}/x")
    world.run(5)
    assert "is being deleted" in unit(daemon, "a").message and unit(daemon, "a").state == "Reconciling"
    world.call("PATCH", f"{MAPS}/x", {"metadata": {"finalizers": None}}, content="application/merge-patch+json")
    world.settle(daemon)
    assert world.names() == ["x"] and unit(daemon, "a").state == "Healthy"


def test_a_slow_or_dead_cluster_holds_up_nobody_else() -> None:
    world = World(clusters=("eu", "us"))
    world.rule(lambda e: isinstance(e, Request) and e.cluster == "us", says(0, "connection refused"), times=10_000)
    world.commit({"a/x.yaml": config_map("x"), "clusters/us/y.yaml": config_map("y")})
    daemon = world.daemon()
    world.until(lambda: world.names() == ["x"], 5)
    world.run(30)
    told = unit(daemon, "clusters/us")
    assert told.state == "Unknown" and "us cannot be reached: connection refused" in told.message
    world.rules = []
    world.until(lambda: world.names(cluster="us") == ["y"], 120)


def test_nothing_from_git_stands_among_the_records() -> None:
    """A committer could else write a record, and so an approval, by himself."""
    home = "reconciler-system"
    forged = manifest("v1", "Secret", "record-x", home, {"reconciler.dev/adopt": "allowed"}, stringData={"key": "prune:eu:x"})
    lease = manifest("coordination.k8s.io/v1", "Lease", "reconciler", home, {"reconciler.dev/adopt": "allowed"})
    taken = manifest("v1", "Namespace", home, "", {"reconciler.dev/adopt": "allowed"})
    _, daemon = started({"bad/a.yaml": forged, "bad/b.yaml": lease, "bad/c.yaml": taken, "good/c.yaml": config_map("c")})
    assert applied(daemon) == ["c"]
    assert "bad/a.yaml:1:1: Secret/record-x namespace reconciler-system holds the daemon's own records" in unit(daemon, "bad").message
    assert unit(daemon, "good").state == "Healthy"


def test_what_waits_for_a_wave_that_cannot_be_applied_does_not_move() -> None:
    """Else `run --once` would wait for it for ever."""
    world = World()
    world.commit({"a/first.yaml": config_map("first", namespace="nowhere"), "a/then.yaml": config_map("then", wave="1")})
    daemon = world.daemon()
    assert world.settle(daemon).units[0].state == "Failed"
