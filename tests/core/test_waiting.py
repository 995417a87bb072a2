"""What waits although its unit has left it, or moved: what holds data, what that uses, and what has no successor yet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.core.identity import BlobId, ClusterName, Instant, Lane
from reconciler.core.kind import Held, Plan, Spec, Wanted
from reconciler.core.manifest import NO_CHECKS, parse
from reconciler.core.view import View
from tests.core.driver import Daemon, World, asks, config_map, manifest, says
from tests.core.test_units import report, step, world_of

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
PODS = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
SET = {"serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "template": PODS}
FREE = {"reconciler.dev/prune": "allowed"}
OBJECTS = {
    "data": manifest("v1", "PersistentVolumeClaim", "data", "default", spec=CLAIM),
    "free": manifest("v1", "PersistentVolumeClaim", "free", "default", FREE, spec=CLAIM),
    "db": manifest("apps/v1", "StatefulSet", "db", "default", spec=SET),
    **{f"m{n}": config_map(f"m{n}") for n in range(12)},
    "there": config_map("there", namespace="other"),
}
OTHER = {"k/other.yaml": manifest("v1", "Namespace", "other")}


def planned(spec: Spec, view: View, now: Instant) -> Plan:
    """Names of `OBJECTS` by lane (a text: why it is held), and which namespaces are left."""
    body = spec.manifests[0].body()["spec"]
    lanes: dict[Lane, Any] = {}
    for name, found in body.get("lanes", {}).items():
        cluster, _, target = name.partition("/")
        lane = Lane(ClusterName(cluster), target)
        lanes[lane] = Held(found, paused=found == "BLOCK") if isinstance(found, str) else tuple(wanted(view, one) for one in found)
    return Plan(lanes, left={("eu", namespace): "stage one -> two" for namespace in body.get("left", ())})


def wanted(view: View, name: str) -> Wanted:
    file = parse(OBJECTS[name].encode(), f"{name}.yaml", BlobId("0" * 40), NO_CHECKS)
    return view.wanted(file.manifests[0])[0][0]


def running(*names: str, **more: Any) -> tuple[World, Daemon]:
    world, daemon = world_of(planned, OTHER, **more)
    to(world, {"eu": [*names]})
    world.run(30)
    assert len(owned(daemon)) == len(names)
    return world, daemon


def to(world: World, lanes: dict[str, Any], *left: str) -> None:
    world.commit({"s/step.yaml": step(lanes=lanes, left=left)})


def owned(daemon: Daemon, cluster: str = "eu") -> list[str]:
    """What stands of the unit, as the daemon knows it."""
    pairs = daemon.engine.pruner.owned
    return sorted(id.name for (unit, name), found in pairs.items() if (unit, name) == (report(daemon).key, cluster) for id in found)


def gone(daemon: Daemon) -> list[str]:
    return [request.path.rsplit("/", 1)[1] for request in daemon.requests("DELETE")]


def approve(world: World, daemon: Daemon) -> None:
    (gate, cluster), *more = report(daemon).gates
    assert not more
    key = report(daemon).key
    of = {"group": key.group, "kind": key.kind, "namespace": key.namespace, "name": key.name, "cluster": cluster}
    spec = {"verb": "approve", "of": of, "gate": gate.name, "revision": gate.revision}
    body = {"apiVersion": "reconciler.dev/v1alpha1", "kind": "Approval", "metadata": {"name": gate.name}, "spec": spec}
    world.commit({"approvals/a.yaml": json.dumps(body)})


# -- what is left and holds data ----------


def test_what_is_left_and_holds_data_waits_for_a_person_and_nothing_else_does() -> None:
    """Twelve others are far past the budget of the unit."""
    names = [f"m{n}" for n in range(12)]
    world, daemon = running("data", "free", *names)
    to(world, {}, "default")
    world.run(30)
    assert owned(daemon) == ["data"] and sorted(gone(daemon)) == sorted(["free", *names])
    ((gate, cluster),) = report(daemon).gates
    why = "PersistentVolumeClaim/data in default holds data or other objects, and is left: stage one -> two"
    assert (gate.message, cluster) == (f"delete 1 of 14 objects of Step/s on eu: {why}", "eu")
    assert report(daemon).state == "Waiting" and report(daemon).message == f"eu: pruning 1 of 14 objects: {why}"
    world.run(3_600)
    assert owned(daemon) == ["data"] and report(daemon).gates == ((gate, cluster),)
    approve(world, daemon)
    world.until(lambda: owned(daemon) == [], 60)
    world.run(5)
    assert not [key for key in daemon.engine.store.records if key.startswith("prune:")]


def test_what_is_left_and_holds_data_and_comes_back_is_asked_about_no_more() -> None:
    world, daemon = running("data", "m0")
    to(world, {}, "default")
    world.until(lambda: report(daemon).gates, 60)
    to(world, {"eu": ["data"]})
    world.run(30)
    assert report(daemon).gates == () and report(daemon).state == "Healthy" and owned(daemon) == ["data"]


def test_an_approval_of_what_was_left_survives_a_crash() -> None:
    world, daemon = running("data", "m0")
    to(world, {}, "default")
    world.until(lambda: report(daemon).gates, 60)
    world.rule(asks("DELETE", "/persistentvolumeclaims"), says(500), times=1_000)
    approve(world, daemon)
    world.until(lambda: any(record.value["uids"] for key, record in daemon.engine.store.records.items() if key.startswith("prune:")), 60)
    world.commit({"approvals/a.yaml": None})
    world.rules = []
    again = world.restart(daemon)
    world.until(lambda: gone(again) == ["data"], 60)


def test_a_stateful_set_that_was_left_keeps_what_it_uses() -> None:
    """In its own namespace: what the unit left elsewhere goes."""
    world, daemon = running("db", "m0", "there")
    to(world, {}, "default", "other")
    world.run(30)
    assert gone(daemon) == ["there"] and owned(daemon) == ["db", "m0"]
    approve(world, daemon)
    world.until(lambda: gone(daemon) == ["there", "db", "m0"], 60)


def test_what_is_left_and_holds_data_makes_nobody_else_wait_and_is_asked_about_with_them() -> None:
    """One set, one question: what the budget stops here is no part of what the stage has left."""
    world, daemon = running("data", "m0", "m1", "m2", "there")
    to(world, {"eu": ["m0", "m1", "m2"]}, "default")
    world.run(30)
    assert gone(daemon) == ["there"] and "delete 1 of 5 objects" in report(daemon).gates[0][0].message


def test_what_is_left_and_holds_data_waits_also_while_what_is_wanted_is_not_applied() -> None:
    world, daemon = running("db", "m0", "there")
    world.rule(asks("PATCH", "/m1"), says(500), times=1_000)
    to(world, {"eu": ["m1"]}, "default", "other")
    world.run(60)
    assert gone(daemon) == ["there"] and owned(daemon) == ["db", "m0"]
    approvals = report(daemon).gates
    world.rules = []
    world.until(lambda: report(daemon).gates, 600)
    assert approvals == () and owned(daemon) == ["db", "m0", "m1"]


# -- what has moved to another cluster ----------


@pytest.mark.parametrize("why", ["refused", "unreachable"])
def test_what_moves_to_another_cluster_stays_until_all_of_it_is_there(why: str) -> None:
    world, daemon = running("m0", "m1", clusters=("eu", "us"))
    if why == "refused":
        world.rule(asks("PATCH", "/m1", "us"), says(500, "no"), times=1_000)
    else:
        world.rule(lambda effect: getattr(effect, "cluster", "") == "us", says(0, "no route to host"), times=100_000)
        world.run(60)
    to(world, {"us/site": ["m0", "m1"]})
    world.run(300)
    assert owned(daemon) == ["m0", "m1"] and gone(daemon) == []
    lane = next(lane for lane in report(daemon).lanes if lane.cluster == "eu")
    assert lane.message == "pruning 2 of 2 objects: waits until all that is wanted on us (target site) is applied"
    world.rules = []
    world.until(lambda: owned(daemon, "us") == ["m0", "m1"], 600)
    world.until(lambda: owned(daemon) == [], 1.0)
    world.run(5)
    assert report(daemon).state == "Healthy"


@pytest.mark.parametrize("why", ["BLOCK", "somebody must decide"])
def test_what_moves_to_where_its_unit_is_held_stays(why: str) -> None:
    world, daemon = running("m0", clusters=("eu", "us"))
    to(world, {"us": why})
    world.run(300)
    assert owned(daemon) == ["m0"] and f"what is wanted on us is applied, which is held: {why}" in report(daemon).message
    to(world, {"us": ["m0"]})
    world.until(lambda: owned(daemon) == [], 60)


def test_a_cluster_that_is_away_stops_no_cleaning_where_its_unit_still_is() -> None:
    world, daemon = running("m0", "m1", clusters=("eu", "us"))
    world.rule(lambda effect: getattr(effect, "cluster", "") == "us", says(0, "no route to host"), times=100_000)
    world.run(60)
    to(world, {"eu": ["m0"], "us": ["m0"]})
    world.until(lambda: owned(daemon) == ["m0"], 60)
    to(world, {"us": ["m0"]}, "default")
    world.until(lambda: owned(daemon) == [], 60)
    assert owned(daemon, "us") == [], "what is left goes at once, wherever its unit goes"
