"""Taking over what others made: people's fields become ours, those of controllers and other appliers do not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.adoption import JSON_PATCH, patch, union
from reconciler.core.messages import Request
from tests.core.driver import Daemon, Json, Perform, World, asks, config_map, says, unheard, unit

MAPS = "/api/v1/namespaces/default/configmaps"
APPLY = "application/apply-patch+yaml"
NODE: st.SearchStrategy[Any] = st.recursive(
    st.just({}), lambda below: st.dictionaries(st.sampled_from([".", "f:a", "f:b", 'k:{"name":"c"}', 'v:"d"']), below, max_size=4)
)
TREE = NODE.map(lambda node: {name: {} if name == "." else below for name, below in node.items() if name != "."})


def paths(tree: Json, at: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The fields that a tree names, as the server reads it: an empty node below the root is the thing itself, as is "."."""
    found = {at} if at and (not tree or "." in tree) else set()
    return found.union(*(paths(below, (*at, name)) for name, below in tree.items() if name != "."))


# -- the union of two entries ----------


@given(TREE, TREE, TREE)
def test_a_union_names_what_either_names_in_whatever_order(a: Json, b: Json, c: Json) -> None:
    assert paths(dict(union(a, b))) == paths(a) | paths(b)
    assert union(a, b) == union(b, a)
    assert union(a, a) == a
    assert union(union(a, b), c) == union(a, union(b, c))


@pytest.mark.parametrize(
    ("a", "b", "both"),
    [
        ({}, {"f:a": {}}, {"f:a": {}}),
        ({"f:a": {}}, {"f:a": {"f:b": {}}}, {"f:a": {".": {}, "f:b": {}}}),
        ({"f:a": {".": {}}}, {"f:a": {}}, {"f:a": {".": {}}}),
        ({"f:a": {"f:b": {}}}, {"f:a": {"f:c": {}}}, {"f:a": {"f:b": {}, "f:c": {}}}),
        ({"f:a": None}, {"f:a": {"f:c": {}}}, {"f:a": {".": {}, "f:c": {}}}),
    ],
    ids=["nothing", "a whole and a part", "twice itself", "two parts", "no tree"],
)
def test_unions(a: Json, b: Json, both: Json) -> None:
    assert union(a, b) == union(b, a) == both


# -- the patch ----------


def entry(manager: str, operation: str = "Update", version: str = "v1", subresource: str = "", *names: str) -> Json:
    made = {"manager": manager, "operation": operation, "apiVersion": version, "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z"}
    fields: Json = {"f:data": {f"f:{name}": {} for name in names or (manager,)}}
    return {**made, "fieldsV1": fields, **({"subresource": subresource} if subresource else {})}


def book(*entries: Any) -> list[Any] | None:
    """`managedFields` as the patch leaves it; None where it only tests."""
    live = {"metadata": {"uid": "u", "resourceVersion": "7", "managedFields": list(entries)}}
    tests, change = (made := patch(live, "v1"))[:2], made[2:]
    assert tests == [{"op": "test", "path": f"/metadata/{k}", "value": v} for k, v in (("uid", "u"), ("resourceVersion", "7"))]
    assert all(op.items() >= {"op": "add", "path": "/metadata/managedFields"}.items() for op in change) and len(change) <= 1
    return change[0]["value"] if change else None


def ours(version: str, *names: str) -> Json:
    made = {"manager": "reconciler", "operation": "Apply", "apiVersion": version, "fieldsType": "FieldsV1"}
    return {**made, "fieldsV1": {"f:data": {f"f:{name}": {} for name in names}}}


def test_what_people_and_we_wrote_is_folded_and_all_else_stays() -> None:
    stay = [
        entry("helm"),
        entry("argocd-controller", "Apply"),
        entry("kube-controller-manager", subresource="status"),
        entry("kubectl-edit", "Update", "v1", "status"),
        entry("autoscaler", "Update", "v1", "scale"),
        {"manager": "kubectl", "operation": "Update"},
        "nonsense",
    ]
    fold = [
        entry("kubectl", "Apply"),
        entry("reconciler", "Apply"),
        entry("kubectl-client-side-apply"),
        entry("kubectl", "Update", "v1", "scale", "replicas"),
        entry("before-first-apply"),
        entry("reconciler", "Update", "v1", "", "old"),
    ]
    names = ("kubectl", "reconciler", "kubectl-client-side-apply", "replicas", "before-first-apply", "old")
    assert book(*stay, *fold) == book(*fold, *stay) == [*stay, ours("v1", *names)]


def test_what_is_folded_already_is_only_tested() -> None:
    assert book(entry("reconciler", "Apply"), entry("helm")) is None
    assert book(entry("helm")) is None


def test_entries_of_other_versions_cannot_be_folded_and_go() -> None:
    old, new = entry("kubectl", "Update", "v1beta1"), entry("kubectl-edit", "Update", "v1")
    assert book(old, new) == book(new, old) == [ours("v1", "kubectl-edit")]
    assert book(old, entry("kubectl-edit", "Update", "v1beta1")) == [ours("v1beta1", "kubectl", "kubectl-edit")]
    assert book(old, entry("kubectl-edit", "Update", "v1beta2")) == [ours("v1beta2", "kubectl-edit")]


@pytest.mark.parametrize("nothing", [None, [], "x", 7])
def test_an_object_that_nobody_is_known_to_own_gets_a_book(nothing: Any) -> None:
    live = {"metadata": {"managedFields": nothing}}
    (made,) = patch(live, "v1")[2]["value"]
    assert made["manager"] == "reconciler" and made["fieldsV1"] == {"f:metadata": {"f:annotations": {"f:reconciler.dev/owner": {}}}}


# -- a world ----------


def made_by(world: World, manager: str, **data: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data}
    assert world.call("POST", f"{MAPS}?fieldManager={manager}", body)[0] == 201


def edited_by(world: World, manager: str, **data: str) -> None:
    body, content = {"data": data}, "application/merge-patch+json"
    assert world.call("PATCH", f"{MAPS}/x?fieldManager={manager}", body, content=content)[0] == 200


def data(world: World) -> dict[str, str]:
    return world.get("x")["data"]  # type: ignore[index, no-any-return]


def adopts(world: World, value: str = "1", **more: Any) -> Daemon:
    world.commit({"a/x.yaml": config_map("x", value, adopt="allowed", **more)})
    daemon = world.daemon()
    world.settle(daemon)
    world.until(lambda: unit(daemon, "a").state != "Reconciling")
    return daemon


def patches(daemon: Daemon) -> list[str]:
    return ["fold" if request.content_type == JSON_PATCH else "apply" for request in daemon.requests("PATCH")]


def test_adoption_takes_peoples_values_and_removes_what_git_does_not_say() -> None:
    world = World()
    made_by(world, "kubectl-create", v="theirs", more="1")
    edited_by(world, "kubectl-edit", edit="2")
    edited_by(world, "some-controller", theirs="3")
    daemon = adopts(world)
    assert unit(daemon, "a").state == "Healthy" and data(world) == {"v": "1", "theirs": "3"}
    assert patches(daemon) == ["fold", "apply"]
    assert all(("force", "true") not in request.query for request in daemon.requests("PATCH"))
    edited_by(world, "kubectl-edit", v="drift")
    world.run(2)
    assert data(world)["v"] == "1", "from then on it is ours like any other"


@pytest.mark.parametrize("operation", ["apply", "update"])
def test_a_field_of_somebody_else_is_named_and_not_taken(operation: str) -> None:
    """The refusal stands at the line, and is tried again later and later, as all refusals are."""
    world = World()
    made_by(world, "kubectl-create", v="0", more="1")
    if operation == "apply":
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"v": "theirs"}}
        assert world.call("PATCH", f"{MAPS}/x?fieldManager=other&force=true", config, content=APPLY)[0] == 200
    else:
        edited_by(world, "other", v="theirs")
    daemon = adopts(world)
    told = unit(daemon, "a")
    assert told.state == "Failed" and data(world) == {"v": "theirs", "more": "1"}
    assert patches(daemon) == ["fold", "apply"], "told at once, and not looked at again as if it had been replaced"
    assert "a/x.yaml:1:" in told.message and 'conflict with "other"' in told.message and ".data.v" in told.message
    world.run(900)
    assert len(patches(daemon)) <= 24 and len(daemon.said("rejected")) == 1
    world.commit({"a/x.yaml": config_map("x", "theirs", adopt="allowed")})
    world.settle(daemon)
    assert unit(daemon, "a").state == "Healthy" and data(world) == {"v": "theirs"}


def test_what_is_ignored_keeps_its_value_when_it_is_taken_over() -> None:
    world = World()
    made_by(world, "kubectl-create", v="theirs", more="1")
    assert unit(adopts(world, ignore="/data/v"), "a").state == "Healthy"
    assert data(world) == {"v": "theirs"}


def test_a_crash_between_the_two_requests_changes_nothing() -> None:
    world = World()
    made_by(world, "kubectl-create", v="theirs", more="1")
    world.rule(lambda e: isinstance(e, Request) and e.content_type == APPLY and "/configmaps/x" in e.path, says(503), times=1)
    world.commit({"a/x.yaml": config_map("x", adopt="allowed")})
    daemon = world.daemon()
    world.until(lambda: "apply" in patches(daemon))
    assert data(world) == {"v": "theirs", "more": "1"} and world.names() == []
    daemon = world.restart(daemon)
    world.settle(daemon)
    assert data(world) == {"v": "1"} and patches(daemon) == ["fold", "apply"]
    assert b"managedFields" not in daemon.requests("PATCH")[0].body, "nothing is left to fold"


@pytest.mark.parametrize("answer", [unheard, *map(says, (0, 404, 409, 422, 503))])
def test_a_fold_that_is_not_answered_well_is_looked_at_again(answer: Any) -> None:
    world = World()
    made_by(world, "kubectl-create", v="theirs")
    world.rule(asks("PATCH", "/configmaps/x"), answer)
    daemon = adopts(world)
    assert unit(daemon, "a").state == "Healthy" and data(world) == {"v": "1"}
    assert patches(daemon) == ["fold", "fold", "apply"] and daemon.said("rejected") == []


def test_what_somebody_writes_at_that_moment_is_seen_before_it_is_taken() -> None:
    world = World()
    made_by(world, "kubectl-create", v="theirs")

    def meanwhile(effect: Request, perform: Perform) -> Any:
        edited_by(world, "other", v="late")
        return perform()

    world.rule(asks("PATCH", "/configmaps/x"), meanwhile)
    daemon = adopts(world)
    assert unit(daemon, "a").state == "Failed" and data(world) == {"v": "late"}
    assert 'conflict with "other"' in unit(daemon, "a").message


def test_a_fold_that_is_refused_for_ever_is_told_and_not_hammered() -> None:
    world = World()
    made_by(world, "kubectl-create", v="theirs")
    rule = world.rule(asks("PATCH", "/configmaps/x"), says(422, "a webhook says no"), times=1_000)
    world.commit({"a/x.yaml": config_map("x", adopt="allowed")})
    daemon = world.daemon()
    world.run(600)
    assert unit(daemon, "a").state == "Failed" and "a webhook says no" in unit(daemon, "a").message and 5 <= rule.used <= 14
    assert data(world) == {"v": "theirs"}


def test_a_conflict_that_never_ends_is_told_about_our_own_objects_too() -> None:
    """As a webhook may answer: nothing else is wrong, so the object is not one that was replaced."""
    world = World()
    world.commit({"a/x.yaml": config_map("x")})
    daemon = world.daemon()
    world.settle(daemon)
    rule = world.rule(asks("PATCH", "/configmaps/x"), says(409, "the object has been modified"), times=1_000)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.run(10)
    assert unit(daemon, "a").state == "Reconciling" and 2 <= rule.used <= 4
    world.run(50)
    assert unit(daemon, "a").state == "Failed" and rule.used <= 8
    world.rules = []
    world.until(lambda: data(world) == {"v": "2"}, 600)
    world.settle(daemon)
    assert unit(daemon, "a").state == "Healthy"


# -- what a plan tells of it ----------


def test_a_plan_tells_what_adoption_would_take_and_remove_and_writes_nothing() -> None:
    world = World()
    made_by(world, "kubectl-create", v="theirs", more="1")
    before = world.get("x")
    world.commit({"a/x.yaml": config_map("x", adopt="allowed")})
    looker = world.daemon("looker", act=False)
    world.settle(looker)
    (item,) = [item for work in looker.engine.work.all_lanes() for item in work.items.values()]
    told = {change.pretty: (change.live, change.wanted) for change in item.changes if change.path[0] == "data"}
    assert item.planned == "change" and told == {"data.v": ("theirs", "1"), "data.more": ("1", None)}
    assert world.get("x") == before and all(("dryRun", "All") in request.query for request in looker.requests())


def test_a_plan_tells_whose_field_would_not_be_taken() -> None:
    world = World()
    made_by(world, "kubectl-create", v="0")
    edited_by(world, "other", v="theirs")
    world.commit({"a/x.yaml": config_map("x", adopt="allowed")})
    looker = world.daemon("looker", act=False)
    world.settle(looker)
    told = unit(looker, "a")
    assert told.state == "Failed" and "a/x.yaml:1:" in told.message and "data.v belongs to other (update)" in told.message
