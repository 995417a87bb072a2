"""Deletions beside everything else: other clusters, other sources, folders that break meanwhile, and answers that are no success."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.identity import Instant
from reconciler.core.kind import Plan, Spec
from reconciler.core.messages import GitFailure, Input, ListRefs, RefsListed, Request
from reconciler.core.view import View
from tests.core.driver import Daemon, Perform, World, asks, config_map, manifest, says, started, unit
from tests.core.test_units import step, world_of

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
KEEP = {f"keep/k{i}.yaml": config_map(f"k{i}") for i in range(3)}


def maps(folder: str, count: int, first: int = 0) -> dict[str, str]:
    return {f"{folder}/{i}.yaml": config_map(f"{folder.replace('/', '-')}{i}") for i in range(first, first + count)}


def deleted(daemon: Daemon) -> list[str]:
    return [r.path.rsplit("/", 1)[1] for r in daemon.requests("DELETE")]


def gates(daemon: Daemon) -> list[Any]:
    return [gate for told in daemon.report.units for gate, _ in told.gates]


def finalizer(world: World, name: str, value: str | None) -> None:
    body = {"metadata": {"finalizers": [value] if value else None}}
    assert world.call("PATCH", f"{MAPS}/{name}", body, content=MERGE)[0] == 200


# -- budgets ----------


def test_a_cluster_s_tenth_is_of_that_cluster() -> None:
    """However much stands in others: a tenth of 21 is two."""
    files = {**maps("clusters/eu/keep", 17), **maps("clusters/eu/a", 4)}
    for number in range(5):
        files |= maps(f"clusters/us/u{number}", 20)
    world, daemon = started(files, clusters=("eu", "us"))
    world.commit(dict.fromkeys(maps("clusters/eu/a", 3)))
    world.settle(daemon)
    assert deleted(daemon) == [] and len(gates(daemon)) == 1


def test_what_is_on_its_way_out_is_not_counted_again() -> None:
    """Two of eight may go, and two of eight again, though the first two still wait for their finalizers."""
    world, daemon = started({**maps("keep", 40), **maps("a", 8)})
    for name in ("a0", "a1"):
        finalizer(world, name, "example.org/slow")
    world.commit(dict.fromkeys(maps("a", 2)))
    world.run(5)
    assert deleted(daemon) == ["a0", "a1"] and world.get("a0") is not None
    world.commit(dict.fromkeys(maps("a", 2, first=2)))
    world.run(5)
    assert deleted(daemon) == ["a0", "a1", "a2", "a3"] and gates(daemon) == []


CRD = {
    "group": "example.org",
    "scope": "Namespaced",
    "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}],
}
VOLUME = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize(
    ("api", "kind", "name", "spec"),
    [
        ("v1", "PersistentVolume", "data", VOLUME),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.org", CRD),
    ],
)
def test_what_holds_the_data_of_others_is_asked_about(api: str, kind: str, name: str, spec: Any, allowed: bool) -> None:
    notes = {"reconciler.dev/prune": "allowed"} if allowed else {}
    world = World()
    world.commit({**KEEP, "a/data.yaml": manifest(api, kind, name, notes=notes, spec=spec), "a/x.yaml": config_map("x")})
    daemon = world.daemon()
    world.run(5)
    world.commit({"a/data.yaml": None})
    world.run(5)
    assert deleted(daemon) == ([name] if allowed else [])
    assert len(gates(daemon)) == (0 if allowed else 1)


# -- what must be known first ----------


def test_nothing_of_a_folder_goes_while_it_cannot_be_read() -> None:
    """What was to go when it broke waits, although all that it wanted last stands."""
    world, daemon = started({**KEEP, **maps("a", 3)})
    world.rule(asks("PATCH", "/new"), says(422, "no"), times=1_000)
    world.commit({"a/0.yaml": None, "a/new.yaml": config_map("new")})
    world.until(lambda: unit(daemon, "a").state == "Failed")
    world.commit({"a/1.yaml": "a: ["})
    world.run(1)
    world.rules = []
    world.until(lambda: world.get("new"), 300)
    world.run(30)
    assert deleted(daemon) == [] and unit(daemon, "a").state == "Held"
    world.commit({"a/1.yaml": maps("a", 3)["a/1.yaml"]})
    world.settle(daemon)
    assert deleted(daemon) == ["a0"]


def test_what_moved_to_a_source_that_is_not_read_yet_is_not_deleted() -> None:
    world = World(sources=("fleet", "more"))
    world.repos["more"].commit({"m/m.yaml": config_map("m")})
    world.commit({**KEEP, **maps("a", 2)})
    daemon = world.daemon()
    world.settle(daemon)
    uid = world.get("a0")["metadata"]["uid"]  # type: ignore[index]
    world.repos["more"].commit({"m/0.yaml": config_map("a0")})
    world.repo.commit({"a/0.yaml": None})
    down = world.rule(
        lambda e: isinstance(e, ListRefs) and e.source == "more", lambda e, perform: RefsListed(e.id, GitFailure("no route")), times=5
    )
    again = world.restart(daemon)
    world.run(20)
    assert deleted(again) == [] and "more is not read yet" in unit(again, "a").message
    world.until(lambda: down.used == 5, 600)
    world.settle(again, 600)
    assert deleted(again) == [] and world.get("a0")["metadata"]["uid"] == uid  # type: ignore[index]


# -- answers ----------


@pytest.mark.parametrize("status", [0, 403, 409, 422, 429, 500, 503])
def test_a_deletion_that_was_not_done_is_told_and_asked_for_again(status: int) -> None:
    """Whatever the server says, as long as the object stands there."""
    world, daemon = started({**KEEP, **maps("a", 2)})
    rule = world.rule(asks("DELETE", "/a0"), says(status, "not now"), times=3)
    world.commit({"a/0.yaml": None})
    world.run(1)
    assert unit(daemon, "a").state == "Reconciling" and world.get("a0") is not None
    world.until(lambda: world.get("a0") is None, 120)
    assert rule.used == 3 and len(deleted(daemon)) == 4


# -- what people are asked ----------


def waiting(**more: Any) -> tuple[World, Daemon]:
    world, daemon = started({**KEEP, **maps("a", 8)}, **more)
    world.commit(dict.fromkeys(maps("a", 5)))
    world.settle(daemon)
    assert deleted(daemon) == []
    return world, daemon


def offered(world: World) -> dict[str, bytes]:
    """What stands on the branches that offer approvals."""
    refs = [ref for ref in world.repo.refs if ref.startswith("refs/heads/reconciler/approve/")]
    return {ref: b"".join(t for p, t in world.repo.commits[world.repo.refs[ref]][1].items() if p.startswith("approvals/")) for ref in refs}


def test_the_branch_offers_what_waits_now() -> None:
    """Its file names the digest of exactly that set, also when the set has changed since it was made."""
    world, daemon = waiting()
    for gone in ("a/5.yaml", "a/6.yaml"):
        world.until(lambda: any(gates(daemon)[0].revision.encode() in text for text in offered(world).values()), 60)
        world.commit({gone: None})
        world.settle(daemon)
    world.until(lambda: any(gates(daemon)[0].revision.encode() in text for text in offered(world).values()), 60)
    assert len(offered(world)) == 1


def test_nobody_is_asked_before_the_question_is_written_down() -> None:
    """A crash would ask another question then, and what was answered would be worth nothing."""
    world, daemon = started({**KEEP, **maps("a", 8)})
    world.rule(asks("POST", "/secrets"), says(500, "no"), times=4)
    world.commit(dict.fromkeys(maps("a", 5)))
    world.never(lambda: gates(daemon) or offered(world), 3)
    world.until(lambda: gates(daemon) and offered(world), 120)
    revision = gates(daemon)[0].revision
    again = world.restart(daemon)
    world.settle(again)
    assert gates(again)[0].revision == revision


def test_a_question_that_is_over_is_not_offered_any_more() -> None:
    """Nobody makes, or tells of, a branch whose merge would let nothing through."""
    world, daemon = waiting()
    assert daemon.engine.offers.offers
    world.commit(maps("a", 5))
    world.settle(daemon)
    assert gates(daemon) == [] and daemon.engine.offers.offers == {}


def test_a_list_that_brings_nothing_lets_deletions_go_on() -> None:
    """They waited for it alone, and no event comes with it."""
    service = manifest("v1", "Service", "s", "default", spec={"ports": [{"port": 80}]})
    world, daemon = started({**KEEP, **maps("a", 2), "a/s.yaml": service})
    world.commit({"a/s.yaml": None})
    world.settle(daemon)
    busy = world.rule(asks("GET", "/api/v1/services"), says(403, "forbidden"), times=6)
    again = world.restart(daemon)
    world.commit({"a/0.yaml": None})
    world.never(lambda: deleted(again), 5)
    world.until(lambda: busy.used == 6, 300)
    world.until(lambda: deleted(again) == ["a0"], 60)


def test_deletions_go_on_when_the_last_plan_is_made() -> None:
    """They wait while another unit's record is being stored, and nothing happens to their own unit meanwhile."""

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        return Plan(record={"of": spec.commit})

    world, daemon = world_of(plan, maps("a", 2))
    world.settle(daemon)
    world.rule(asks("PUT", "/secrets"), lambda e, perform: perform(), seconds=5)
    world.commit({"s/step.yaml": step(a=1), "a/0.yaml": None})
    world.never(lambda: deleted(daemon), 4)
    world.until(lambda: deleted(daemon) == ["a0"], 3)


# -- what moved since it was read ----------


def test_what_people_took_from_us_during_an_outage_is_not_deleted_by_an_old_list() -> None:
    """The watch could not go on from where it was, and the new list is slow: until then the old one may say nothing any more."""
    world, daemon = started({**KEEP, **maps("a", 2)})
    world.network.cut_off("eu", 30)
    world.run(5)
    assert world.call("PATCH", f"{MAPS}/a0", {"metadata": {"labels": {"reconciler.dev/managed-by": None}}}, content=MERGE)[0] == 200
    world.commit({"a/0.yaml": None})
    store = world.clusters["eu"].store
    store.compact(store.version)
    world.rule(asks("GET", "/api/v1/configmaps"), lambda e, perform: perform(), seconds=20)
    world.run(120)
    world.settle(daemon)
    assert world.get("a0") is not None and unit(daemon, "a").state == "Healthy"


def test_what_somebody_changes_while_it_is_deleted_is_deleted_as_soon_as_that_is_read() -> None:
    """As the status of what still works does: only the one try is lost."""
    world, daemon = started({**KEEP, **maps("a", 2)})

    def touched(effect: Request, perform: Perform) -> Input:
        assert world.call("PATCH", f"{MAPS}/a0", {"data": {"by": "hand"}}, content=MERGE)[0] == 200
        return perform()

    world.rule(asks("DELETE", "/a0"), touched)
    world.commit({"a/0.yaml": None})
    world.until(lambda: world.get("a0") is None, 5)
    assert deleted(daemon) == ["a0", "a0"]
