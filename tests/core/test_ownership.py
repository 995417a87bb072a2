"""Whose an object is, and what may be done to one that is not, or not any more, the one that was looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.core.messages import Input, Request
from tests.core.driver import Json, Perform, World, asks, config_map, manifest, says, started, unit, value

MAPS = "/api/v1/namespaces/default/configmaps"
KEEP = {f"keep/k{i}.yaml": config_map(f"k{i}") for i in range(3)}


def foreign(world: World, name: str = "x", manager: str = "kubectl-create") -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": "theirs"}}
    assert world.call("POST", f"{MAPS}?fieldManager={manager}", body)[0] == 201


def applied_by(world: World, manager: str, path: str, body: Json) -> None:
    """Somebody else's server-side apply."""
    status, said = world.call("PATCH", f"{path}?fieldManager={manager}&force=true", body, content="application/apply-patch+yaml")
    assert status in (200, 201), said


def forge(world: World, owner: Callable[[list[str]], list[str]]) -> None:
    """An object `y` that looks like ours in all but what `owner` makes of the parts of its owner annotation."""
    metadata = world.get("x")["metadata"]  # type: ignore[index]
    installation, cluster, _, of = metadata["annotations"]["reconciler.dev/owner"].split(" ", 3)
    parts = owner([installation, cluster, "/ConfigMap/default/y", of])
    notes = {**metadata["annotations"], "reconciler.dev/owner": " ".join(parts)}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "y", "labels": metadata["labels"], "annotations": notes}}
    assert world.call("POST", MAPS, body)[0] == 201


@pytest.mark.parametrize(
    ("owner", "is_ours"),
    [
        (lambda parts: parts, True),
        (lambda parts: ["0123456789", *parts[1:]], False),
        (lambda parts: [parts[0], "us", *parts[2:]], False),
        (lambda parts: [parts[0], "renamed", *parts[2:]], True),
        (lambda parts: [*parts[:2], "/ConfigMap/default/x", parts[3]], False),
        (lambda parts: [*parts[:2], "/ConfigMap/other/y", parts[3]], False),
        (lambda parts: [*parts[:2], "/Secret/default/y", parts[3]], False),
        (lambda parts: parts[:3], False),
    ],
    ids=["ours", "another installation", "another cluster", "a cluster of the past", "name", "namespace", "kind", "no unit"],
)
def test_only_what_proves_itself_ours_is_pruned(owner: Callable[[list[str]], list[str]], is_ours: bool) -> None:
    """The annotation names the installation, the cluster and the object itself: all three count."""
    world, daemon = started({**KEEP, "a/x.yaml": config_map("x")}, clusters=("eu", "us"))
    forge(world, owner)
    world.run(30)
    assert (world.get("y") is None) == is_ours
    assert len(daemon.requests("DELETE")) == is_ours


def test_what_a_person_disowns_is_not_pruned_with_its_folder() -> None:
    """The owner annotation was taken off while the object was wanted by nobody yet: it is not ours any more."""
    world, daemon = started({**KEEP, "a/x.yaml": config_map("x"), "a/z.yaml": config_map("z")})
    world.rule(asks("PATCH", "/configmaps/x"), says(422, "no"), times=1_000)
    notes = {"metadata": {"annotations": {"reconciler.dev/owner": None}}}
    assert world.call("PATCH", f"{MAPS}/x", notes, content="application/merge-patch+json")[0] == 200
    world.run(2)
    world.commit({"a/x.yaml": None})
    world.settle(daemon)
    assert world.get("x") is not None and daemon.requests("DELETE") == []


def test_first_contact_is_never_forced() -> None:
    """Somebody makes the object between our look and our apply: theirs stays, and is told."""
    world = World()

    def meanwhile(effect: Request, perform: Perform) -> Input:
        foreign(world)
        return perform()

    world.rule(asks("PATCH", "/configmaps/x"), meanwhile)
    world.commit({"a/x.yaml": config_map("x")})
    daemon = world.daemon()
    world.settle(daemon)
    assert value(world, "x") == "theirs" and unit(daemon, "a").state == "Failed"
    assert all(("force", "true") not in request.query for request in daemon.requests("PATCH"))


def test_adoption_takes_no_field_from_another_applier() -> None:
    world = World()
    applied_by(world, "helm", f"{MAPS}/x", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"v": "theirs"}})
    world.commit({"a/x.yaml": config_map("x", adopt="allowed")})
    daemon = world.daemon()
    world.run(20)
    assert value(world, "x") == "theirs" and "conflict" in unit(daemon, "a").message
    world.commit({"a/x.yaml": config_map("x", "theirs", adopt="allowed")})
    world.settle(daemon)
    assert unit(daemon, "a").state == "Healthy" and world.names() == ["x"]


@pytest.mark.parametrize("recreate", [False, True])
@pytest.mark.parametrize("made_anew", [False, True])
def test_an_apply_is_for_the_very_object_that_was_compared(made_anew: bool, recreate: bool) -> None:
    """It is deleted, and perhaps made anew by somebody else, while our forced apply is under way: that is decided on anew."""
    notes = {"recreate": "allowed"} if recreate else {}
    world, daemon = started({"a/x.yaml": config_map("x", **notes)})

    def meanwhile(effect: Request, perform: Perform) -> Input:
        world.call("DELETE", f"{MAPS}/x")
        if made_anew:
            foreign(world)
        return perform()

    world.rule(asks("PATCH", "/configmaps/x"), meanwhile)
    world.commit({"a/x.yaml": config_map("x", "2", **notes)})
    world.run(30)
    assert value(world, "x") == ("theirs" if made_anew else "2")
    assert ("exists and is not ours" in unit(daemon, "a").message) == made_anew
    assert not daemon.said("rejected") and not daemon.requests("DELETE"), "no fault of what is written, and nothing to delete"


def test_what_is_deleted_is_looked_for_anew_before_it_is_applied() -> None:
    """What a look found counts for one decision: the name may be somebody else's by now."""
    world, daemon = started({"a/x.yaml": config_map("x")})
    world.call("DELETE", f"{MAPS}/x")
    foreign(world)
    world.run(30)
    live = world.get("x")
    assert live is not None and live["data"] == {"v": "theirs"} and "labels" not in live["metadata"]
    assert "exists and is not ours" in unit(daemon, "a").message


POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}


def deployment(image: str, notes: Json | None = None) -> str:
    template = {**POD, "spec": {"containers": [{"name": "c", "image": image}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    return manifest("apps/v1", "Deployment", "d", "default", notes, spec=spec)


def test_what_another_applier_owns_stays_so_when_something_else_changes() -> None:
    world, daemon = started({"a/d.yaml": deployment("i:1")})
    path = "/apis/apps/v1/namespaces/default/deployments/d"
    applied_by(world, "keda", path, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 3}})
    world.run(5)
    world.commit({"a/d.yaml": deployment("i:2")})
    world.settle(daemon)
    spec = world.get("d", "deployments", top="/apis/apps/v1")["spec"]  # type: ignore[index]
    assert (spec["replicas"], spec["template"]["spec"]["containers"][0]["image"]) == (3, "i:2")
    assert "spec.replicas" in str(unit(daemon, "a").lanes[0].left_alone)


def test_what_git_changes_waits_for_its_wave_though_it_stands_there_already() -> None:
    """Only what was changed behind our back is healed at once."""
    world, daemon = started({"a/first.yaml": config_map("first"), "a/x.yaml": config_map("x", wave="1")})
    world.rule(asks("PATCH", "/first"), says(422, "no"), times=1_000)
    world.commit({"a/first.yaml": config_map("first", "2"), "a/x.yaml": config_map("x", "2", wave="1")})
    world.run(20)
    assert value(world, "x") == "1" and unit(daemon, "a").state == "Failed"
    world.rules = []
    world.until(lambda: value(world, "x") == "2", 400)


@pytest.mark.parametrize("label", ["2", None])
def test_a_label_of_an_object_that_counts_generations_is_healed(label: str | None) -> None:
    """Metadata moves no generation."""
    labelled = deployment("i:1").replace('"metadata": {"name": "d"', '"metadata": {"labels": {"team": "1"}, "name": "d"', 1)
    world, _ = started({"a/d.yaml": labelled})
    path = "/apis/apps/v1/namespaces/default/deployments/d"
    body = {"metadata": {"labels": {"team": label}}}
    assert world.call("PATCH", f"{path}?fieldManager=kubectl-label", body, content="application/merge-patch+json")[0] == 200
    world.run(2)
    assert world.get("d", "deployments", top="/apis/apps/v1")["metadata"]["labels"]["team"] == "1"  # type: ignore[index]
