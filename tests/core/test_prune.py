"""What nobody wants any more goes: every guard, and every number of the budgets at its edge."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.messages import Fetch, GitFailure, ListRefs, RefsListed, Request
from tests.core.driver import Daemon, World, asks, config_map, manifest, says, started, unheard, unit

KEEP = {f"keep/k{i}.yaml": config_map(f"k{i}") for i in range(3)}


def maps(folder: str, count: int, first: int = 0, **notes: str) -> dict[str, str]:
    return {f"{folder}/{i}.yaml": config_map(f"{folder.replace('/', '-')}{i}", **notes) for i in range(first, first + count)}


def without(files: dict[str, str], count: int | None = None) -> dict[str, None]:
    return dict.fromkeys(list(files)[:count])


def deleted(daemon: Daemon) -> list[str]:
    return [r.path.rsplit("/", 1)[1] for r in daemon.requests("DELETE")]


def gates(daemon: Daemon) -> dict[str, Any]:
    return {str(u.key): gate for u in daemon.report.units for gate, _ in u.gates}


def approval(daemon: Daemon, path: str, **changes: Any) -> str:
    """The file that a person merges."""
    report = unit(daemon, path)
    gate, cluster = report.gates[0]
    of = {"kind": "Folder", "name": path, "cluster": cluster}
    spec = {"verb": "approve", "of": of, "gate": gate.name, "revision": gate.revision, **changes}
    return json.dumps({"apiVersion": "reconciler.dev/v1alpha1", "kind": "Approval", "metadata": {"name": gate.name}, "spec": spec})


# -- the numbers ----------


@pytest.mark.parametrize(
    ("has", "loses", "goes"),
    [(4, 4, True), (5, 1, True), (5, 2, False), (8, 2, True), (8, 3, False), (16, 4, True), (16, 5, False), (3, 3, True)],
)
def test_a_unit_loses_a_quarter_at_most_if_it_has_more_than_four(has: int, loses: int, goes: bool) -> None:
    files = maps("a", has)
    world, daemon = started({**KEEP, **files})
    world.commit(without(files, loses))
    world.settle(daemon)
    assert len(deleted(daemon)) == (loses if goes else 0)
    report = unit(daemon, "a") if has > loses or not goes else None
    if report:
        assert (report.state, len(report.gates)) == (("Healthy", 0) if goes else ("Waiting", 1))


@pytest.mark.parametrize(("units", "loses", "goes"), [(5, 3, False), (5, 2, True), (4, 4, True)])
def test_a_cluster_loses_a_tenth_at_most_if_it_has_more_than_twenty(units: int, loses: int, goes: bool) -> None:
    """Units of four and a `keep` of one or four: 21 or 20 objects."""
    files = {k: v for i in range(units) for k, v in maps(f"u{i}", 4).items()}
    files |= maps("keep", 1 if units == 5 else 4)
    world, daemon = started(files)
    assert len(world.names()) == (21 if units == 5 else 20)
    world.commit(without(maps("u0", 4), loses))
    world.settle(daemon)
    assert len(deleted(daemon)) == (loses if goes else 0)
    assert bool(gates(daemon)) != goes


@pytest.mark.parametrize(("losers", "goes"), [(4, True), (5, False)])
def test_all_units_of_a_commit_share_the_clusters_tenth(losers: int, goes: bool) -> None:
    files = {k: v for i in range(5) for k, v in maps(f"u{i}", 8).items()}
    world, daemon = started(files)
    world.commit({f"u{i}/0.yaml": None for i in range(losers)})
    world.settle(daemon)
    assert len(deleted(daemon)) == (losers if goes else 0)
    assert len(gates(daemon)) == (0 if goes else losers)


@pytest.mark.parametrize(("loses", "goes"), [(50, True), (51, False)])
def test_a_unit_loses_fifty_at_most(loses: int, goes: bool) -> None:
    files = {**maps("big", 260), **maps("other", 300)}
    world, daemon = started(files)
    world.commit(without(files, loses))
    world.settle(daemon)
    assert len(deleted(daemon)) == (loses if goes else 0)
    if not goes:
        assert "more than 50" in unit(daemon, "big").message


@pytest.mark.parametrize(("loses", "goes"), [(100, True), (101, False)])
def test_a_cluster_loses_a_hundred_at_most(loses: int, goes: bool) -> None:
    files = {k: v for i in range(4) for k, v in maps(f"u{i}", 260).items()}
    world, daemon = started(files)
    gone = [f"u{i % 4}/{i // 4}.yaml" for i in range(loses)]
    world.commit(dict.fromkeys(gone))
    world.settle(daemon)
    assert len(deleted(daemon)) == (loses if goes else 0)


def test_what_may_never_go_does_not_use_up_the_budget() -> None:
    """Objects that are kept stand as leftovers for good; others may still go."""
    kept = maps("a", 5, prune="disabled")
    others = maps("b", 16)
    world, daemon = started({**KEEP, **kept, **others})
    world.commit(without(kept))
    world.settle(daemon)
    world.commit({"b/0.yaml": None})
    world.settle(daemon)
    assert deleted(daemon) == ["b0"] and gates(daemon) == {}


# -- guards ----------


def test_a_source_with_nothing_left_is_asked_about() -> None:
    files = maps("a", 2)
    world, daemon = started(files)
    world.commit(without(files))
    world.settle(daemon)
    assert deleted(daemon) == [] and "no manifests left at all" in gates(daemon)["a"].message


def test_a_source_that_cannot_be_read_deletes_nothing() -> None:
    files = maps("a", 4)
    world, daemon = started({**KEEP, **files})
    world.rule(lambda e: isinstance(e, ListRefs), lambda e, perform: RefsListed(e.id, GitFailure("no route to host")), times=50)
    world.commit(without(files))
    world.run(120)
    assert deleted(daemon) == [] and daemon.report.source_problems == {"fleet": "no route to host"}
    again = world.restart(daemon)
    world.run(120)
    assert deleted(again) == []


def test_nothing_is_deleted_while_a_kind_cannot_be_listed() -> None:
    """An object of that kind could be what Git wants, or what tells how large the unit is."""
    files = maps("a", 2)
    service = manifest("v1", "Service", "s", "default", spec={"ports": [{"port": 80}]})
    world, daemon = started({**KEEP, **files, "a/s.yaml": service})
    world.rule(asks("GET", "/api/v1/services"), says(403, "forbidden"), times=1_000)
    again = world.restart(daemon)
    world.commit({"a/0.yaml": None, "a/s.yaml": None})
    world.run(60)
    assert deleted(again) == []
    world.rules = []
    world.until(lambda: deleted(again) == ["s", "a0"], 300)


def test_nothing_is_deleted_before_what_is_wanted_stands() -> None:
    files = maps("a", 2)
    world, daemon = started({**KEEP, **files})
    world.rule(asks("PATCH", "/new"), says(422, "no"), times=2)
    world.commit({"a/0.yaml": None, "a/new.yaml": config_map("new")})
    world.until(lambda: unit(daemon, "a").state == "Failed")
    world.run(0.1)
    assert deleted(daemon) == []
    assert unit(daemon, "a").message.endswith("no; 1 object no longer in Git waits until all that is wanted is applied")
    world.settle(daemon)
    world.until(lambda: deleted(daemon) == ["a0"], 60)


@pytest.mark.parametrize("kind", ["Namespace", "PersistentVolumeClaim", "StatefulSet"])
@pytest.mark.parametrize("allowed", [False, True])
def test_what_holds_data_is_asked_about(kind: str, allowed: bool) -> None:
    notes = {"reconciler.dev/prune": "allowed"} if allowed else {}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    stateful = {"serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "template": pods}
    text = {
        "Namespace": manifest("v1", "Namespace", "data", notes=notes),
        "PersistentVolumeClaim": manifest("v1", "PersistentVolumeClaim", "data", "default", notes, spec=claim),
        "StatefulSet": manifest("apps/v1", "StatefulSet", "data", "default", notes, spec=stateful),
    }[kind]
    world = World()
    world.commit({**KEEP, "a/data.yaml": text, "a/x.yaml": config_map("x")})
    daemon = world.daemon()
    world.until(lambda: len(daemon.requests("PATCH")) == 5)
    world.run(5)
    world.commit({"a/data.yaml": None})
    world.run(5)
    assert deleted(daemon) == (["data"] if allowed else [])
    if not allowed:
        assert f"{kind}/data" in gates(daemon)["a"].message


def test_disabled_is_for_ever() -> None:
    files = maps("a", 2, prune="disabled")
    world, daemon = started({**KEEP, **files})
    world.commit(without(files))
    world.settle(daemon)
    assert deleted(daemon) == [] and gates(daemon) == {}
    again = world.restart(daemon)
    world.settle(again)
    assert deleted(again) == [] and set(world.names()) >= {"a0", "a1"}


def test_what_moves_to_another_folder_or_source_stays_the_same_object() -> None:
    world, daemon = started({**KEEP, **maps("a", 2)}, sources=("fleet", "more"))
    world.repos["more"].commit({"m/m.yaml": config_map("m")})
    world.settle(daemon)
    uid = world.get("a0")["metadata"]["uid"]  # type: ignore[index]
    world.commit({"a/0.yaml": None, "b/0.yaml": config_map("a0")})
    world.settle(daemon)
    world.commit({"elsewhere/0.yaml": config_map("a0")}, source="more")
    world.run(5)
    world.commit({"b/0.yaml": None})
    world.settle(daemon)
    assert world.get("a0")["metadata"]["uid"] == uid and deleted(daemon) == []  # type: ignore[index]
    owner = world.get("a0")["metadata"]["annotations"]["reconciler.dev/owner"]  # type: ignore[index]
    assert owner.endswith("more//Folder//elsewhere")


@pytest.mark.parametrize("why", ["YAML", "annotation"])
def test_what_moves_into_a_held_folder_is_not_deleted(why: str) -> None:
    """The new folder cannot be applied yet, and the old one wants it no more: Git still wants it."""
    broken = "a: [" if why == "YAML" else config_map("broken", wave="high")
    world, daemon = started({**KEEP, **maps("a", 2), "b/y.yaml": config_map("y")})
    world.commit({"a/0.yaml": None, "b/0.yaml": config_map("a0"), "b/broken.yaml": broken})
    world.run(30)
    assert unit(daemon, "b").state == "Held" and deleted(daemon) == []
    again = world.restart(daemon)
    world.run(30)
    assert deleted(again) == []
    world.commit({"b/broken.yaml": config_map("broken")})
    world.settle(again)
    assert deleted(again) == [] and "a0" in world.names()


def test_a_version_that_is_not_served_is_still_wanted() -> None:
    service = manifest("v1", "Service", "s", "default", spec={"ports": [{"port": 80}]})
    world, daemon = started({**KEEP, "a/s.yaml": service, "a/x.yaml": config_map("x")})
    world.commit({"a/s.yaml": None, "b/s.yaml": service.replace('"v1"', '"v9"')})
    world.run(30)
    assert unit(daemon, "b").state == "Failed" and deleted(daemon) == []


def test_what_is_not_proven_ours_is_never_deleted() -> None:
    world, daemon = started({**KEEP, **maps("a", 1)})
    live = world.get("a0")
    assert live is not None
    copy = {"metadata": {**live["metadata"], "name": "copy"}, "data": {}}
    for field in ("uid", "resourceVersion", "managedFields", "creationTimestamp"):
        copy["metadata"].pop(field)
    assert world.call("POST", "/api/v1/namespaces/default/configmaps", copy)[0] == 201
    world.run(30)
    assert deleted(daemon) == []


# -- approvals ----------


def waiting(count: int = 8) -> tuple[World, Daemon, dict[str, str]]:
    files = maps("a", count)
    world, daemon = started({**KEEP, **files})
    world.commit(without(files, count - 1))
    world.settle(daemon)
    return world, daemon, files


def test_an_approval_lets_exactly_that_set_go_once() -> None:
    world, daemon, _ = waiting()
    assert unit(daemon, "a").state == "Waiting" and "pruning 7 of 8 objects" in unit(daemon, "a").message
    world.commit({"approvals/a.yaml": approval(daemon, "a")})
    world.settle(daemon)
    assert sorted(deleted(daemon)) == [f"a{i}" for i in range(7)] and gates(daemon) == {}
    assert unit(daemon, "a").state == "Healthy"
    assert not [key for key in daemon.engine.store.records if key.startswith("prune:")]


@pytest.mark.parametrize(
    "changes",
    [
        {"revision": "sha256:0"},
        {"gate": "prune-eu-b"},
        {"verb": "abort"},
        {"verb": None},
        {"of": {"kind": "Folder", "name": "a"}},
        {"of": {"kind": "Folder", "name": "a", "cluster": "us"}},
        {"of": {"kind": "Folder", "name": "a", "cluster": "eu", "more": "x"}},
        {"of": None},
        {"of": []},
    ],
    ids=str,
)
def test_nothing_else_is_an_approval(changes: dict[str, Any]) -> None:
    world, daemon, _ = waiting()
    world.commit({"approvals/a.yaml": approval(daemon, "a", **changes)})
    world.settle(daemon)
    assert deleted(daemon) == [] and len(gates(daemon)) == 1


def test_an_approval_is_for_those_very_objects() -> None:
    """One of the set was deleted and made anew meanwhile: another uid, another question."""
    world, daemon, files = waiting()
    text = approval(daemon, "a")
    world.commit({"a/0.yaml": files["a/0.yaml"]})
    world.settle(daemon)
    world.call("DELETE", "/api/v1/namespaces/default/configmaps/a0")
    world.settle(daemon)
    world.commit({"a/0.yaml": None})
    world.settle(daemon)
    world.commit({"approvals/a.yaml": text})
    world.settle(daemon)
    assert deleted(daemon) == [] and approval(daemon, "a") != text


def test_what_a_person_took_from_us_while_it_waits_stays() -> None:
    """Whoever takes our annotation off one of them takes it out of the question, whatever is approved afterwards."""
    world, daemon, _ = waiting()
    ours = {"metadata": {"annotations": {"reconciler.dev/owner": None}}}
    where = "/api/v1/namespaces/default/configmaps/a3"
    assert world.call("PATCH", where, ours, content="application/merge-patch+json")[0] == 200
    world.until(lambda: "pruning 6 of" in unit(daemon, "a").message)
    world.commit({"approvals/a.yaml": approval(daemon, "a")})
    world.settle(daemon)
    assert sorted(deleted(daemon)) == [f"a{i}" for i in range(7) if i != 3] and world.get("a3") is not None


def test_one_more_deletion_is_another_question() -> None:
    world, daemon, _ = waiting()
    text = approval(daemon, "a")
    world.commit({"approvals/a.yaml": text, "a/7.yaml": None, "a/new.yaml": config_map("new")})
    world.settle(daemon)
    assert deleted(daemon) == [] and len(gates(daemon)) == 1


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_a_crash_half_way_asks_nobody_twice(after: int) -> None:
    """The approved uids are written down before the first of them is deleted."""
    world, daemon, _ = waiting()
    world.rule(asks("DELETE", "/configmaps/a"), lambda e, perform: perform(), times=after)
    world.rule(asks("DELETE", "/configmaps/a"), lambda e, perform: None, times=100)
    world.commit({"approvals/a.yaml": approval(daemon, "a")})
    world.until(lambda: len(deleted(daemon)) == 7)
    world.rules = []
    again = world.restart(daemon)
    world.settle(again)
    assert sorted(deleted(again)) == [f"a{i}" for i in range(7) if f"a{i}" not in deleted(daemon)[:after]]
    assert gates(again) == {}


def test_a_crash_after_the_record_and_before_the_deletes_goes_on_with_them() -> None:
    world, daemon, _ = waiting()
    world.rule(asks("PUT", "/secrets"), unheard)
    world.commit({"approvals/a.yaml": approval(daemon, "a")})
    world.until(lambda: any(rule.used for rule in world.rules))
    assert deleted(daemon) == []
    again = world.restart(daemon)
    world.settle(again)
    assert len(deleted(again)) == 7


def test_an_approval_does_not_outlive_its_gate() -> None:
    """Merged together with what makes the question vanish, it is no answer when the same question comes up again."""
    world, daemon, files = waiting()
    old = approval(daemon, "a")
    world.commit({"approvals/a.yaml": old, **files})
    world.settle(daemon)
    assert gates(daemon) == {} and deleted(daemon) == []
    world.commit(without(files, 7))
    world.settle(daemon)
    assert unit(daemon, "a").state == "Waiting" and deleted(daemon) == []
    assert approval(daemon, "a") != old
    again = world.restart(daemon)
    world.settle(again)
    assert unit(again, "a").state == "Waiting" and deleted(again) == []
    world.commit({"approvals/a.yaml": approval(again, "a")})
    world.settle(again)
    assert len(deleted(again)) == 7


# -- approvals that approve nothing ----------


def idle(daemon: Daemon) -> dict[str, tuple[str, bool]]:
    """What is said of approvals that let nothing through, by file, and whether they can be removed."""
    return {str(one.place): (one.message, one.spent) for found in daemon.report.idle.values() for one in found}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"revision": "sha256:" + "0" * 64}, "approves nothing: it is for sha256:000000000000…, and sha256:"),
        ({"verb": "abort"}, "approves nothing: abort is not understood yet"),
        ({"gate": "prune-eu-b"}, "nothing waits for prune-eu-b (any more)"),
        ({"of": {"kind": "Folder", "name": "b", "cluster": "eu"}}, "nothing waits for prune-eu-a (any more)"),
        ({"of": {"kind": "Folder", "name": "a", "cluster": "us"}}, "approves nothing: no cluster us is configured"),
        ({"of": {"kind": "Folder", "name": "a"}}, "nothing waits for prune-eu-a (any more)"),
    ],
    ids=str,
)
def test_an_approval_that_approves_nothing_is_told_at_its_line(changes: dict[str, Any], says: str) -> None:
    world, daemon, _ = waiting()
    world.commit({"approvals/a.yaml": approval(daemon, "a", **changes)})
    world.settle(daemon)
    [(place, (message, _))] = idle(daemon).items()
    assert place.startswith("approvals/a.yaml:1:") and says in message


def test_an_approval_that_was_used_is_said_to_be_spent() -> None:
    world, daemon, _ = waiting()
    assert idle(daemon) == {}
    world.commit({"approvals/a.yaml": approval(daemon, "a")})
    world.settle(daemon)
    assert idle(daemon) == {"approvals/a.yaml:1:1": ("has let prune-eu-a through, and counts once; the file can be removed", True)}
    again = world.restart(daemon)
    world.settle(again)
    [(message, spent)] = idle(again).values()
    assert "nothing waits for prune-eu-a (any more)" in message and "can be removed" in message and spent


def test_nothing_is_said_of_an_approval_before_it_is_known_what_waits() -> None:
    """Merged with a commit of which something cannot be applied yet, or while the cluster is away: it may still count."""
    world, daemon, _ = waiting()
    world.rule(asks("PATCH", "/new"), says(500, "not now"), times=5)
    world.commit({"approvals/a.yaml": approval(daemon, "a"), "a/new.yaml": config_map("new")})
    world.never(lambda: any("(any more)" in message for message, _ in idle(daemon).values()), 5)
    world.settle(daemon)
    world.run(120)
    assert len(deleted(daemon)) == 7


def test_twenty_approvals_are_offered_at_once_and_the_next_when_one_is_answered() -> None:
    files = {k: v for i in range(23) for k, v in maps(f"u{i:02}", 6).items()}
    world, daemon = started({**KEEP, **files})

    def branches() -> list[str]:
        return sorted(ref.rpartition("/")[2] for ref in world.repo.refs if ref.startswith("refs/heads/reconciler/approve/"))

    def not_offered() -> list[str]:
        return [str(u.key) for u in daemon.report.units if "not offered yet: 20 others are" in u.waits_for]

    world.commit({f"u{i:02}/{n}.yaml": None for i in range(23) for n in range(3)})
    world.settle(daemon)
    world.run(5)
    before = branches()
    assert len(before) == 20 and len(not_offered()) == 3 and len(gates(daemon)) == 23
    daemon = world.restart(daemon)
    world.settle(daemon)
    world.run(5)
    assert branches() == before and len(not_offered()) == 3
    answered = before[0].removeprefix("prune-eu-")
    world.commit({"approvals/a.yaml": approval(daemon, answered)})
    world.settle(daemon)
    world.until(lambda: len(branches()) == 21 and len(not_offered()) == 2, 10)
    assert len(deleted(daemon)) == 3


# -- what grows and shrinks while it waits ----------


def test_what_a_commit_adds_makes_no_room_for_what_it_takes_away() -> None:
    """Four of twelve, and ten new ones in the same commit: still a third."""
    world, daemon = started({**KEEP, **maps("a", 12)})
    world.commit({**without(maps("a", 4)), **maps("a", 10, first=20)})
    world.settle(daemon)
    assert deleted(daemon) == [] and "delete 4 of 12 objects" in gates(daemon)["a"].message


def test_what_the_cluster_gains_makes_no_room_either() -> None:
    files = {k: v for i in range(5) for k, v in maps(f"u{i}", 8).items()}
    world, daemon = started(files)
    world.commit({**{f"u{i}/0.yaml": None for i in range(5)}, **{k: v for i in range(5, 9) for k, v in maps(f"u{i}", 8).items()}})
    world.settle(daemon)
    assert deleted(daemon) == [] and len(gates(daemon)) == 5


@pytest.mark.parametrize("again", [False, True])
def test_deletions_that_wait_do_not_go_because_their_unit_grew(again: bool) -> None:
    world, daemon = started({**KEEP, **maps("a", 12)})
    world.commit(without(maps("a", 4)))
    world.settle(daemon)
    asked = approval(daemon, "a")
    world.commit(maps("a", 10, first=20))
    world.settle(daemon)
    if again:
        daemon = world.restart(daemon)
        world.settle(daemon)
    assert deleted(daemon) == [] and approval(daemon, "a") == asked and "4 of 12" in unit(daemon, "a").message
    world.commit({"approvals/a.yaml": asked})
    world.settle(daemon)
    assert len(deleted(daemon)) == 4 and gates(daemon) == {}


def test_a_set_that_shrinks_waits_on_and_one_that_comes_back_whole_is_forgotten() -> None:
    files = maps("a", 12)
    world, daemon = started({**KEEP, **files})
    world.commit(without(files, 4))
    world.settle(daemon)
    world.commit({"a/0.yaml": files["a/0.yaml"]})
    world.settle(daemon)
    assert deleted(daemon) == [] and "delete 3 of 12" in gates(daemon)["a"].message, "three would have gone unasked"
    world.commit(files)
    world.settle(daemon)
    assert gates(daemon) == {} and not [key for key in daemon.engine.store.records if key.startswith("prune:")]
    world.commit(without(files, 3))
    world.settle(daemon)
    assert len(deleted(daemon)) == 3, "and now it is another question"


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def test_what_holds_data_waits_alone() -> None:
    files = {**maps("a", 12), "a/data.yaml": manifest("v1", "PersistentVolumeClaim", "data", "default", spec=CLAIM)}
    world = World()
    world.commit({**KEEP, **files})
    daemon = world.daemon()
    world.until(lambda: len(daemon.requests("PATCH")) == 16)
    world.run(5)
    world.commit({"a/data.yaml": None, "a/0.yaml": None})
    world.run(5)
    assert deleted(daemon) == ["a0"] and "delete 1 of 13 objects" in gates(daemon)["a"].message
    asked = approval(daemon, "a")
    world.commit({"a/1.yaml": None})
    world.run(5)
    assert deleted(daemon) == ["a0", "a1"] and approval(daemon, "a") == asked, "nor does it hold up what comes later"
    world.commit({"approvals/a.yaml": asked})
    world.run(5)
    assert deleted(daemon) == ["a0", "a1", "data"] and gates(daemon) == {}


def test_what_a_stateful_set_that_waits_may_use_stays_as_long() -> None:
    pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = {"serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "template": pods}
    files = {**maps("a", 12), "a/s.yaml": manifest("apps/v1", "StatefulSet", "s", "default", spec=body)}
    world, daemon = started({**KEEP, **files})
    world.commit({"a/s.yaml": None, "a/0.yaml": None})
    world.settle(daemon)
    assert deleted(daemon) == []
    world.commit({"approvals/a.yaml": approval(daemon, "a")})
    world.settle(daemon)
    assert deleted(daemon) == ["s", "a0"]


def test_a_question_of_which_nothing_is_left_after_a_crash_is_closed() -> None:
    """All that waited, and its folder, went while nobody looked."""
    world, daemon, _ = waiting()
    world.kill(daemon)
    for i in range(8):
        world.call("DELETE", f"/api/v1/namespaces/default/configmaps/a{i}")
    world.commit({"a/7.yaml": None})
    world.rule(asks("GET", "/api/v1/configmaps"), lambda _, perform: perform(), seconds=1.0)
    world.rule(lambda effect: isinstance(effect, Fetch), lambda _, perform: perform(), seconds=3.0)
    again = world.daemon()
    world.settle(again)
    world.run(5)
    assert not [key for key in again.engine.store.records if key.startswith("prune:")]


# -- requests ----------


def test_every_deletion_names_the_uid_and_order_is_reversed() -> None:
    files = {
        "a/d.yaml": manifest(
            "apps/v1",
            "Deployment",
            "d",
            "default",
            spec={
                "replicas": 0,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
            },
        ),
        "a/c.yaml": config_map("c"),
        "a/s.yaml": manifest("v1", "ServiceAccount", "s", "default"),
    }
    world, daemon = started({**KEEP, **files})
    world.commit(without(files))
    world.settle(daemon)
    assert deleted(daemon) == ["d", "c", "s"]
    for request in daemon.requests("DELETE"):
        assert len(json.loads(request.body)["preconditions"]["uid"]) == 36


def test_deletions_are_not_over_while_the_answer_to_one_is_still_to_come() -> None:
    """The watch may tell that an object is gone before the answer does: those of a lower order are still to be asked for."""
    files = {"a/c.yaml": config_map("c"), "a/s.yaml": manifest("v1", "ServiceAccount", "s", "default")}
    world, daemon = started({**KEEP, **files})
    world.rule(asks("DELETE", "/configmaps/c"), lambda effect, perform: perform(), seconds=20.0)
    world.commit(without(files))
    world.until(lambda: "c" not in world.names())
    world.never(lambda: daemon.report.settled, 15)
    world.settle(daemon)
    assert deleted(daemon) == ["c", "s"]


@pytest.mark.parametrize("status", [403, 500, 0])
def test_a_deletion_that_is_refused_is_tried_later_and_later(status: int) -> None:
    files = maps("a", 2)
    world, daemon = started({**KEEP, **files})
    rule = world.rule(asks("DELETE", "/configmaps/a0"), says(status, "not today"), times=1_000)
    world.commit({"a/0.yaml": None})
    world.run(300)
    assert 2 <= rule.used <= 20
    assert "ConfigMap/a0" in unit(daemon, "a").message and "not today" in unit(daemon, "a").message
    world.rules = []
    world.until(lambda: "a0" not in world.names(), 400)
    world.settle(daemon)
    assert unit(daemon, "a").state == "Healthy"


def test_an_object_that_was_replaced_meanwhile_is_not_deleted_by_its_name() -> None:
    files = maps("a", 2)
    world, daemon = started({**KEEP, **files})

    def replaced(effect: Request, perform: Callable[[], Any]) -> Any:
        world.call("DELETE", "/api/v1/namespaces/default/configmaps/a0")
        world.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "a0"}, "data": {"by": "hand"}})
        return perform()

    world.rule(asks("DELETE", "/configmaps/a0"), replaced)
    world.commit({"a/0.yaml": None})
    world.settle(daemon)
    world.run(10)
    assert world.get("a0")["data"] == {"by": "hand"}  # type: ignore[index]


CHANGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.sampled_from(["write", "remove", "break", "move", "restart", "wait"])),
    max_size=14,
)


@settings(max_examples=40)
@given(CHANGES)
def test_what_git_wants_is_never_deleted(changes: list[tuple[str, int, str]]) -> None:
    """Files come, go, break and move between folders; no deletion is ever of an object that a readable file of the tip asks for."""
    world = World()
    world.commit({**KEEP, "a/0.yaml": config_map("o0"), "b/1.yaml": config_map("o1")})
    daemon = world.daemon()
    world.settle(daemon)
    seen = 0
    tree = world.repo.commits
    for folder, number, change in changes:
        files = tree[world.repo.refs["refs/heads/main"]][1]
        path = f"{folder}/{number}.yaml"
        holder = next((p for p in files if p.endswith(f"/{number}.yaml")), None)
        match change:
            case "write" if holder is None:
                world.commit({path: config_map(f"o{number}", change)})
            case "remove" if holder:
                world.commit({holder: None})
            case "break":
                world.commit({f"{folder}/broken.yaml": "a: [" if f"{folder}/broken.yaml" not in files else None})
            case "move" if holder and holder != path:
                world.commit({holder: None, path: files[holder]})
            case "restart":
                daemon = world.restart(daemon)
                seen = 0
        world.run(3)
        files = tree[world.repo.refs["refs/heads/main"]][1]
        wanted = {f"o{p.split('/')[1].split('.')[0]}" for p in files if "broken" not in p}
        assert not wanted & set(deleted(daemon)[seen:])
        seen = len(deleted(daemon))




def test_what_waits_waits_on_when_a_restart_has_not_listed_it_yet() -> None:
    """Before the kinds are listed it looks as if nothing were left to delete: the question stays the same one."""
    world, daemon, _ = waiting()
    asked = approval(daemon, "a")
    world.commit({"b/new.yaml": config_map("new")})
    world.settle(daemon)
    world.rule(lambda effect: isinstance(effect, Fetch), lambda _, perform: perform(), seconds=1.0)
    world.rule(asks("GET", "/api/v1/configmaps"), lambda _, perform: perform(), seconds=3.0)
    again = world.restart(daemon)
    world.settle(again)
    assert approval(again, "a") == asked


def test_a_unit_that_was_small_when_something_began_to_wait_has_a_budget_all_the_same() -> None:
    """A claim that waits holds the size that the unit had then; what leaves later is counted against what the unit has become."""
    world = World()
    claim = manifest("v1", "PersistentVolumeClaim", "data", "default", spec=CLAIM)
    world.commit({"a/0.yaml": config_map("c0"), "a/pvc.yaml": claim})
    daemon = world.daemon()
    world.settle(daemon)
    world.commit({"a/pvc.yaml": None})
    world.settle(daemon)
    many = {f"a/{n}.yaml": config_map(f"c{n}") for n in range(6)}
    world.commit(many)
    world.settle(daemon)
    world.commit(dict.fromkeys(list(many)[1:]))
    world.settle(daemon)
    assert len(world.names()) == 6, "five of seven wait"


def test_a_range_whose_end_could_not_be_written_is_ended_later() -> None:
    """And until then it is not all settled: else it would be written out of the blue."""
    world = World()
    world.commit({f"a/{n}.yaml": config_map(f"c{n}") for n in range(8)})
    daemon = world.daemon()
    world.settle(daemon)
    world.commit({f"a/{n}.yaml": None for n in range(4)})
    world.settle(daemon)
    refused = world.rule(asks("DELETE", "/secrets/"), says(500))
    world.commit({f"a/{n}.yaml": config_map(f"c{n}") for n in range(4)})
    world.until(lambda: refused.used, 20)
    world.run(1)
    assert not daemon.report.settled
    world.settle(daemon)
    assert not [key for key in daemon.engine.store.records if key.startswith("prune:")]
