"""What kinds with roots of their own rest on: names, absence, dates, well-being, and leaving a place at once."""

from __future__ import annotations

from typing import Any

from reconciler.core.identity import GroupKind, Instant, Lane, ObjectId, Place
from reconciler.core.kind import Held, Kind, Plan, Policy, Spec, Status, Wanted
from reconciler.core.view import View
from reconciler.kinds import KINDS
from reconciler.sim.world import START
from tests.core.driver import World, asks, config_map, manifest, says
from tests.core.test_units import EU, KEY, plans, report, step, want, world_of

STEP = GroupKind("example.org", "Step")
NOTE = GroupKind("example.org", "Note")


def note(name: str, text: str = "") -> str:
    return manifest("example.org/v1", "Note", name, "default", text=text)


def namespace(name: str, path: str = "rendered") -> Wanted:
    body = f'{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}}}}'.encode()
    return Wanted(ObjectId("", "Namespace", "", name), "v1", body, Place(path), policy=Policy(yields=True))


# -- names and absence ----------


def by_name(spec: Spec, view: View, now: Instant) -> Plan:
    found = view.named(NOTE, "default", "a")
    return Plan({EU: (want(spec, view, "copy", found[0].body()["text"] if found else "none"),)})


def test_a_unit_that_asked_for_one_name_is_not_planned_for_another() -> None:
    world, daemon = world_of(by_name, {"n/a.yaml": note("a", "1"), "n/b.yaml": note("b")})
    world.settle(daemon)
    before = plans(daemon)
    world.commit({"n/b.yaml": note("b", "other")})
    world.settle(daemon)
    assert plans(daemon) == before and world.get("copy")["data"]["v"] == "1"  # type: ignore[index]
    world.commit({"n/a.yaml": note("a", "2")})
    world.settle(daemon)
    assert plans(daemon) == before + 1 and world.get("copy")["data"]["v"] == "2"  # type: ignore[index]
    world.commit({"n/a.yaml": None})
    world.settle(daemon)
    assert world.get("copy")["data"]["v"] == "none"  # type: ignore[index]


def wants_one(spec: Spec, view: View, now: Instant) -> Plan:
    if not spec.manifests:
        return Plan() if spec.complete else Plan(prune=False, status=Status("Held", str(spec.held)))
    return Plan({EU: (want(spec, view, "one"),)}, status=Status("Held", str(spec.held)) if spec.held else None)


def test_one_root_among_many_is_planned_alone() -> None:
    world, daemon = world_of(wants_one, {f"s/{i}.yaml": manifest("example.org/v1", "Step", f"s{i}", "default") for i in range(20)})
    world.settle(daemon)
    before = {key: unit.plans for key, unit in daemon.engine.units.units.items() if key.kind == "Step"}
    world.commit({"s/step.yaml": step(more=1)})
    world.settle(daemon)
    after = {key: unit.plans for key, unit in daemon.engine.units.units.items() if key.kind == "Step"}
    assert {key: after[key] - before[key] for key in after if after[key] != before[key]} == {KEY: 1}


def test_what_is_no_root_by_its_content_is_no_unit() -> None:
    kind = Kind("step", wants_one, roots=(STEP,), is_root=lambda manifest: "spec" in manifest.body())
    world = World(kinds=(*KINDS, kind))
    world.commit({"s/step.yaml": step(a=1), "s/none.yaml": manifest("example.org/v1", "Step", "none", "default")})
    daemon = world.daemon()
    world.settle(daemon)
    assert [key.name for key in daemon.engine.units.units if key.kind == "Step"] == ["s"]


def test_a_root_whose_file_cannot_be_read_counts_as_it_last_could_be() -> None:
    world, daemon = world_of(wants_one)
    world.settle(daemon)
    world.commit({"s/step.yaml": "a: ["})
    world.run(120)
    assert world.get("one") is not None and report(daemon).state == "Held"
    assert "s/step.yaml:2:1: " in report(daemon).message and "is held until that is mended" in report(daemon).message


def test_a_root_that_an_unreadable_file_may_hold_is_not_taken_for_gone() -> None:
    world, daemon = world_of(wants_one)
    world.settle(daemon)
    world.commit({"s/step.yaml": None, "x/other.yaml": "a: ["})  # no earlier version of that folder can be read
    world.kill(daemon)
    daemon = world.daemon("two")
    world.run(300)
    assert world.get("one") is not None
    assert "a file that cannot be read may hold it" in report(daemon).message
    world.commit({"x/other.yaml": config_map("other")})
    world.settle(daemon)
    assert world.get("one") is None


# -- dates ----------


def at_a_date(spec: Spec, view: View, now: Instant) -> Plan:
    due = START + 7_200
    return Plan({EU: (want(spec, view, "copy", "after" if now.wall >= due else "before"),)}, due_at=None if now.wall >= due else due)


def test_a_date_comes_by_the_calendar() -> None:
    world, daemon = world_of(at_a_date)
    world.settle(daemon)
    before = plans(daemon)
    world.run(7_100 - (world.wall - START))
    assert world.get("copy")["data"]["v"] == "before" and plans(daemon) == before  # type: ignore[index]
    world.wall_offset = 50.0  # somebody sets the clock forward
    world.run(65)
    assert world.get("copy")["data"]["v"] == "after" and plans(daemon) == before + 1  # type: ignore[index]


# -- well-being ----------


def copies_when_well(spec: Spec, view: View, now: Instant) -> Plan:
    first = want(spec, view, "first", str(spec.manifests[0].body()["spec"].get("v", "0")))
    well = view.well({EU: (first,)})
    return Plan({EU: (first,)}, status=Status("Healthy", "well" if well else "not well"))


def test_lanes_are_well_when_exactly_what_is_wanted_stands_there() -> None:
    world, daemon = world_of(copies_when_well)
    world.settle(daemon)
    assert "; well" not in report(daemon).message and report(daemon).message == "well"
    world.rule(asks("PATCH", "/configmaps/first"), says(500, "no"), times=1_000)
    world.commit({"s/step.yaml": step(v="2")})
    world.run(120)
    assert "not well" in report(daemon).message
    world.rules.clear()
    world.run(400)
    assert report(daemon).message == "well"


# -- leaving ----------


def leaves(spec: Spec, view: View, now: Instant) -> Plan:
    names: list[str] = spec.manifests[0].body()["spec"]["names"]
    held = spec.manifests[0].body()["spec"].get("held")
    wanted: dict[Lane, Any] = {EU: tuple(want(spec, view, name) for name in names)}
    if held:
        wanted[Lane(EU.cluster, "other")] = Held("somebody must decide")
    return Plan(wanted, left={("eu", "default"): "left"} if held else {})


def test_what_has_been_left_goes_without_a_budget_and_without_waiting() -> None:
    names = [f"m{i}" for i in range(12)]
    world, daemon = world_of(leaves)
    world.commit({"s/step.yaml": step(names=names)})
    world.settle(daemon)
    assert world.names() == ["k", *sorted(names)]
    world.commit({"s/step.yaml": step(names=["m0"], held=True)})
    world.run(60)
    assert world.names() == ["k", "m0"] and report(daemon).lanes[0].prune is None


def paused(spec: Spec, view: View, now: Instant) -> Plan:
    if spec.manifests[0].body()["spec"].get("stage") == "BLOCK":
        return Plan({EU: Held("blocked", paused=True)}, prune=False, status=Status("Paused", "blocked"))
    return Plan({EU: (want(spec, view, "one"), want(spec, view, "two"))})


def test_what_is_paused_is_not_told_as_deletions_that_wait() -> None:
    """After a restart nobody knows any more what was wanted there."""
    world, daemon = world_of(paused, {"s/step.yaml": step(stage="")})
    world.settle(daemon)
    world.commit({"s/step.yaml": step(stage="BLOCK")})
    world.settle(daemon)
    daemon = world.restart(daemon)
    world.settle(daemon)
    assert [(lane.state, lane.prune) for lane in report(daemon).lanes] == [("Paused", None)]
    assert report(daemon).state == "Paused" and world.names() == ["k", "one", "two"]


# -- what yields ----------


def makes_its_namespace(spec: Spec, view: View, now: Instant) -> Plan:
    return Plan({EU: (namespace("shop"), want(spec, view, "one"))})


def test_what_yields_is_made_where_nobody_has_made_it() -> None:
    world, daemon = world_of(makes_its_namespace)
    world.settle(daemon)
    assert world.get("shop", "namespaces", namespace="") is not None and report(daemon).state == "Healthy"


def test_what_yields_leaves_alone_what_is_there() -> None:
    world, daemon = world_of(makes_its_namespace)
    assert world.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})[0] == 201
    world.run(60)
    live = world.get("shop", "namespaces", namespace="")
    assert live is not None and "reconciler.dev/managed-by" not in live["metadata"].get("labels", {})
    assert report(daemon).state == "Healthy" and world.get("one") is not None
    world.call("DELETE", "/api/v1/namespaces/shop")
    world.run(400)
    assert world.get("shop", "namespaces", namespace="") is not None, "gone, it is made"


def test_what_yields_gives_way_to_who_writes_it() -> None:
    written = manifest("v1", "Namespace", "shop")
    world, daemon = world_of(makes_its_namespace, {"a/ns.yaml": written})
    world.settle(daemon)
    live = world.get("shop", "namespaces", namespace="")
    assert live is not None and "/Folder//a" in live["metadata"]["annotations"]["reconciler.dev/owner"]
    assert all(unit.state == "Healthy" for unit in daemon.report.units)


def shares_its_namespace(spec: Spec, view: View, now: Instant) -> Plan:
    made = namespace("shop", {"s": "b", "two": "a"}[spec.key.name])  # who is planned first comes second here
    return Plan({EU: (made, want(spec, view, spec.key.name))})


def test_who_gives_way_stands_as_who_is_first() -> None:
    """Also for who only asks, to whom no event tells that the other one is well."""
    world, daemon = world_of(shares_its_namespace, {"s/two.yaml": manifest("example.org/v1", "Step", "two", "default")})
    world.settle(daemon)
    reader = world.daemon("reader", act=False)
    world.run(10)
    assert {str(unit.key): (unit.state, unit.message) for unit in reader.report.units} == dict.fromkeys(
        ("Step/s", "Step/two", "k"), ("Healthy", "")
    )


# -- what would happen ----------


def records_first(spec: Spec, view: View, now: Instant) -> Plan:
    value = str(spec.manifests[0].body()["spec"].get("v", "0"))
    if spec.record != {"v": value}:
        return Plan(record={"v": value})
    return Plan({EU: (want(spec, view, "one", value),)}, record=spec.record)


def test_who_only_asks_takes_records_for_stored() -> None:
    world, daemon = world_of(records_first)
    world.settle(daemon)
    world.commit({"s/step.yaml": step(v="2")}, hint=False)
    world.kill(daemon)
    reader = world.daemon("reader", act=False)
    world.run(10)
    items = [item for work in reader.engine.work.all_lanes() for item in work.items.values()]
    assert {(item.wanted.id.name, item.planned) for item in items if item.wanted.id.name == "one"} == {("one", "change")}
    assert not reader.requests() or all("dryRun" in dict(request.query) for request in reader.requests())
    assert world.get("one")["data"]["v"] == "0"  # type: ignore[index]


def never_settles(spec: Spec, view: View, now: Instant) -> Plan:
    return Plan(record={"n": (spec.record or {"n": 0})["n"] + 1})


def test_a_record_that_never_settles_ends_somewhere_for_who_only_asks() -> None:
    world, daemon = world_of(never_settles)
    world.kill(daemon)
    reader = world.daemon("reader", act=False)
    world.run(600)
    assert plans(reader) < 100
