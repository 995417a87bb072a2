"""When a unit is planned, what it may act on, and what happens if its plan fails: with kinds made up for the purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.identity import ClusterName, GroupKind, Instant, Lane, ObjectId, ObjectRef, SourceName, UnitKey
from reconciler.core.kind import Gate, Held, Kind, Plan, Spec, Status
from reconciler.core.manifest import NO_CHECKS, parse
from reconciler.core.messages import Request, SourceHint
from reconciler.core.view import View
from reconciler.kinds import KINDS
from tests.core.driver import Daemon, Perform, World, asks, config_map, manifest, says, unheard, unit
from tests.core.test_work import CRD, WIDGET, WIDGETS
from tests.kinds import steps

STEP = GroupKind("example.org", "Step")
KEY = UnitKey(SourceName("fleet"), "example.org", "Step", "default", "s")
EU, US = Lane(ClusterName("eu")), Lane(ClusterName("us"))
REF = ObjectRef(ClusterName("eu"), ObjectId("", "ConfigMap", "default", "asked"))

Planner = Callable[[Spec, View, Instant], Plan]


def step(**spec: Any) -> str:
    return manifest("example.org/v1", "Step", "s", "default", spec=spec)


def world_of(plan: Planner, files: dict[str, Any] | None = None, **more: Any) -> tuple[World, Daemon]:
    """A world in which `plan` plans the one root; other files are plain."""
    kind = Kind("step", plan, roots=(STEP,), references=(GroupKind("example.org", "Note"),))
    world = World(kinds=(*KINDS, kind), **more)
    world.commit({"s/step.yaml": step(), "k/k.yaml": config_map("k"), **(files or {})})
    return world, world.daemon()


def want(spec: Spec, view: View, name: str, value: str = "1") -> Any:
    """An object that the kind renders itself."""
    text = config_map(name, value).encode()
    return view.wanted(_parsed(text))[0][0]


_FILES: dict[bytes, Any] = {}


def _parsed(text: bytes) -> Any:
    if text not in _FILES:
        _FILES[text] = parse(text, "rendered.yaml", "0" * 40, NO_CHECKS).manifests[0]  # type: ignore[arg-type]
    return _FILES[text]


def plans(daemon: Daemon) -> int:
    return daemon.engine.units.units[KEY].plans


def report(daemon: Daemon) -> Any:
    return next(u for u in daemon.report.units if u.key == KEY)


# -- questions ----------


def ask(world: World, value: str) -> None:
    """Somebody else writes what the unit asks about."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "asked"}, "data": {"v": value}}
    path = "/api/v1/namespaces/default/configmaps"
    if world.call("POST", path, body)[0] == 409:
        assert world.call("PUT", f"{path}/asked", body)[0] == 200


def live_value(spec: Spec, view: View, now: Instant) -> Plan:
    live = view.live(REF)
    return Plan({EU: (want(spec, view, "copy", live.body()["data"]["v"] if live else "none"),)})


def test_a_question_whose_answer_is_not_known_yet_is_asked_again() -> None:
    world, daemon = world_of(live_value)
    ask(world, "7")
    world.rule(lambda e: isinstance(e, Request) and ("fieldSelector", "metadata.name=asked") in e.query, says(500, "busy"), times=3)
    world.run(1)
    assert world.get("copy") is None and daemon.engine.units.units[KEY].not_yet
    world.run(30)
    world.settle(daemon)
    assert world.get("copy")["data"]["v"] == "7"  # type: ignore[index]


def test_a_unit_is_planned_when_an_answer_that_it_asked_changes_and_then_only() -> None:
    world, daemon = world_of(live_value)
    world.settle(daemon)
    assert world.get("copy")["data"]["v"] == "none", "absent is an answer"  # type: ignore[index]
    before = plans(daemon)
    for i in range(5):
        world.commit({"k/k.yaml": config_map("k", str(i)), f"other/{i}.yaml": config_map(f"o{i}")})
        world.settle(daemon)
    world.run(3_600)
    assert plans(daemon) == before
    ask(world, "1")
    world.run(1)
    assert plans(daemon) == before + 1 and world.get("copy")["data"]["v"] == "1"  # type: ignore[index]
    world.call("DELETE", "/api/v1/namespaces/default/configmaps/asked")
    world.run(1)
    assert plans(daemon) == before + 2 and world.get("copy")["data"]["v"] == "none"  # type: ignore[index]


def test_many_changes_of_one_moment_are_one_plan() -> None:
    note = GroupKind("example.org", "Note")

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        return Plan({EU: (want(spec, view, "count", str(len(view.manifests(note)))),)})

    world, daemon = world_of(plan)
    world.settle(daemon)
    before = plans(daemon)
    world.commit({f"n/{i}.yaml": manifest("example.org/v1", "Note", f"n{i}", "default") for i in range(50)} | {"s/step.yaml": step(a=1)})
    world.settle(daemon)
    assert plans(daemon) == before + 1 and world.get("count")["data"]["v"] == "50"  # type: ignore[index]
    assert daemon.requests("PATCH", "/notes") == [], "a reference is read, never applied"


WIDGET_REF = ObjectRef(EU.cluster, ObjectId("example.org", "Widget", "default", "w"))


def test_a_kind_that_comes_and_goes_is_heard_of_by_who_asked() -> None:
    """Not served: no object. Served: what it says. Not served any more: no object again, whatever was held."""

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        live = view.live(WIDGET_REF)
        return Plan({EU: (want(spec, view, "copy", str(live.body()["spec"]["size"]) if live else "none"),)})

    def copied() -> str:
        return str((world.get("copy") or {"data": {"v": ""}})["data"]["v"])

    world, daemon = world_of(plan)
    world.settle(daemon)
    assert copied() == "none"
    top = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    assert world.call("POST", top, {**definition, "metadata": {"name": "widgets.example.org"}, "spec": CRD})[0] == 201
    world.run(400)
    assert copied() == "none"
    widget = json.loads(WIDGET)
    assert world.call("POST", f"{WIDGETS}/namespaces/default/widgets", widget)[0] == 201
    world.until(lambda: copied() == "1", 5)
    assert world.call("DELETE", f"{top}/widgets.example.org")[0] == 200
    daemon.engine.wire.after("look again", 1.0, daemon.engine.clusters[EU.cluster].refresh_discovery)
    world.until(lambda: copied() == "none", 400)


def test_what_nobody_asks_about_any_more_is_not_watched_any_more() -> None:
    """The unit asks no more, or is gone."""

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        asks = bool(spec.manifests) and spec.manifests[0].body()["spec"]["a"] == 1
        live = view.live(REF) if asks else None
        return Plan({EU: (want(spec, view, "copy", "there" if live else "none"),)} if spec.manifests else {})

    def watched() -> int:
        named = ("fieldSelector", "metadata.name=asked")
        return sum(named in stream.effect.query for stream in daemon.streams.values())

    world, daemon = world_of(plan, {"s/step.yaml": step(a=1)})
    world.settle(daemon)
    assert watched() == 1
    world.commit({"s/step.yaml": step(a=2)})
    world.settle(daemon)
    assert watched() == 0
    world.commit({"s/step.yaml": step(a=1)})
    world.until(lambda: watched() == 1, 5)
    world.commit({"s/step.yaml": None})
    world.settle(daemon)
    assert watched() == 0


def test_a_unit_asks_about_another_and_is_told_when_that_changes() -> None:
    other = UnitKey(SourceName("fleet"), "", "Folder", "", "k")

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        status = view.unit(other)
        return Plan(status=Status("Waiting", f"k is {status.state if status else 'well'}"))

    world, daemon = world_of(plan)
    world.settle(daemon)
    assert report(daemon).message == "k is well"
    world.commit({"k/k.yaml": "a: ["})
    world.settle(daemon)
    assert report(daemon).message == "k is Held"


def test_a_gate_is_offered_and_an_approval_is_heard() -> None:
    gate = Gate("go", "sha256:1", "go on")

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        approved = view.approval(gate)
        if approved is None:
            return Plan(gates=(gate,), status=Status("Waiting", "waits"))
        assert approved.commit is not None
        return Plan(status=Status("Healthy", f"let through at {approved.place.path} by {approved.commit.author}"))

    world, daemon = world_of(plan)
    world.settle(daemon)
    world.until(lambda: "refs/heads/reconciler/approve/go" in world.repo.refs, 10)
    assert "merge branch reconciler/approve/go" in report(daemon).waits_for
    offered = world.repo.commits[world.repo.refs["refs/heads/reconciler/approve/go"]][1]["approvals/go.yaml"]
    for wrong in (offered.replace(b"sha256:1", b"sha256:2"), offered.replace(b'name: "s"', b'name: "t"')):
        world.commit({"approvals/wrong.yaml": wrong})
        world.settle(daemon)
        assert report(daemon).state == "Waiting"
    world.commit({"approvals/go.yaml": offered})
    world.settle(daemon)
    assert (report(daemon).state, report(daemon).message) == ("Healthy", "let through at approvals/go.yaml by Ada")


def test_the_time_that_a_plan_names_is_kept_and_no_other() -> None:
    seen: list[float] = []

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        seen.append(now.steady)
        return Plan(wake_at=now.steady + 100 if len(seen) < 5 else None)

    world, daemon = world_of(plan)
    world.run(2)
    world.wall_offset += 86_400
    world.run(3_600)
    waits = [b - a for a, b in pairwise(seen)]
    assert waits[1:] == pytest.approx([100] * 3, abs=0.01) and waits[0] < 0.01, "once when read, once when the record store is"
    assert daemon.engine.units.units[KEY].plan is not None


# -- intent before act ----------


def climb(spec: Spec, view: View, now: Instant) -> Plan:
    """Three steps: each wants another object, and is left when that is applied as asked."""
    at = (spec.record or {"step": 0})["step"]
    if not spec.manifests:
        return Plan(record=None)
    wanted = want(spec, view, "ladder", str(at))
    if at < 3 and spec.record is not None and view.health(EU, wanted).status == "Current":
        at += 1
    return Plan({EU: (want(spec, view, "ladder", str(at)),)}, record={"step": at})


def ladder(daemon: Daemon) -> list[str]:
    return [json.loads(r.body)["data"]["v"] for r in daemon.requests("PATCH", "/configmaps/ladder")]


def writes(daemon: Daemon) -> list[str]:
    """Records and applies, in the order in which they were sent."""
    found = []
    for effect in daemon.sent:
        if isinstance(effect, Request) and effect.method in ("PUT", "POST", "PATCH"):
            if "/secrets" in effect.path:
                found.append("record")
            elif "/ladder" in effect.path:
                found.append(json.loads(effect.body)["data"]["v"])
    return found


def test_a_step_is_written_down_before_it_is_taken() -> None:
    world, daemon = world_of(climb)
    world.settle(daemon)
    assert ladder(daemon) == ["0", "1", "2", "3"]
    told = [w for i, w in enumerate(writes(daemon)) if w != "record" or i > 2]
    assert told[-6:] == ["record", "1", "record", "2", "record", "3"] and told.index("0") < told.index("1")
    assert report(daemon).record == {"step": 3}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["crash", "unheard", "refused", "conflict", "wait"]), st.integers(0, 12)), max_size=8))
def test_no_step_is_skipped_repeated_or_taken_back(faults: list[tuple[str, int]]) -> None:
    """Crashes at any moment, writes of which nobody hears, records that are refused."""
    world, daemon = world_of(climb)
    seen: list[str] = []

    def recorded(effect: Request, perform: Perform) -> Any:
        seen.append(json.loads(effect.body)["data"]["v"])
        return perform()

    world.rule(asks("PATCH", "/configmaps/ladder"), recorded, times=10_000)
    for fault, number in faults:
        if fault == "crash":
            world.run(number * 0.003)
            daemon = world.restart(daemon)
        elif fault == "wait":
            world.run(number)
        else:
            answer = {"unheard": unheard, "refused": says(500), "conflict": says(409)}[fault]
            world.rule(asks("PUT" if number % 2 else "POST", "/secrets"), answer, times=number % 3)
            world.run(0.02)
    world.rules = world.rules[:1]
    world.until(lambda: daemon.report.units and report(daemon).record == {"step": 3}, 300)
    world.settle(daemon)
    assert [v for i, v in enumerate(seen) if i == 0 or v != seen[i - 1]] == ["0", "1", "2", "3"]
    assert len(seen) <= 4 + 2 * len(faults)


def test_a_retreat_does_not_wait_for_its_record() -> None:
    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        live = view.live(REF)
        bad = live is not None
        record = {"weight": 0 if bad else 10}
        return Plan({EU: (want(spec, view, "weight", str(record["weight"])),)}, record=record, retreat=bad)

    world, daemon = world_of(plan)
    world.settle(daemon)
    world.rule(asks("PUT", "/secrets"), says(500, "no writes today"), times=1_000)
    ask(world, "bad")
    world.run(1)
    assert world.get("weight")["data"]["v"] == "0"  # type: ignore[index]
    world.rules = []
    world.until(lambda: daemon.engine.store.records[KEY.text].value == {"weight": 0}, 120)


def test_what_does_not_retreat_waits_for_its_record() -> None:
    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        record = {"weight": 20 if view.live(REF) else 10}
        return Plan({EU: (want(spec, view, "weight", str(record["weight"])),)}, record=record)

    world, daemon = world_of(plan)
    world.settle(daemon)
    rule = world.rule(asks("PUT", "/secrets"), says(500, "no writes today"), times=1_000)
    ask(world, "go")
    world.run(60)
    assert world.get("weight")["data"]["v"] == "10" and rule.used < 15  # type: ignore[index]
    world.rules = []
    world.until(lambda: world.get("weight")["data"]["v"] == "20", 120)  # type: ignore[index]


def test_a_root_that_is_gone_is_planned_until_it_says_that_it_is_done() -> None:
    world, daemon = world_of(climb)
    world.settle(daemon)
    assert KEY.text in daemon.engine.store.records
    world.commit({"s/step.yaml": None})
    world.settle(daemon)
    assert world.get("ladder") is None and KEY not in daemon.engine.units.units
    assert KEY.text not in daemon.engine.store.records


def test_a_root_that_went_while_we_were_away_is_planned_too() -> None:
    world, daemon = world_of(climb)
    world.settle(daemon)
    world.kill(daemon)
    world.commit({"s/step.yaml": None})
    again = world.daemon()
    world.settle(again)
    assert world.get("ladder") is None and KEY.text not in again.engine.store.records


def test_a_root_that_owns_nothing_but_a_record_is_planned_after_a_restart() -> None:
    """Its objects are gone, its record stands: it may still have to end something."""

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        return Plan(record={"step": 1} if spec.manifests else None)

    world, daemon = world_of(plan)
    world.settle(daemon)
    world.kill(daemon)
    world.commit({"s/step.yaml": None})
    again = world.daemon()
    world.settle(again)
    world.run(5)
    assert KEY.text not in again.engine.store.records


# -- the fence ----------


def test_a_plan_that_raises_holds_its_unit_alone_and_what_stands_there_stays() -> None:
    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        if spec.manifests[0].body()["spec"].get("bad"):
            raise ZeroDivisionError("secret sauce")
        return Plan({EU: (want(spec, view, "mine"),)})

    world, daemon = world_of(plan)
    world.settle(daemon)
    world.commit({"s/step.yaml": step(bad=True), "k/k.yaml": config_map("k", "2")})
    world.settle(daemon)
    told = report(daemon)
    assert told.state == "Held" and "internal error" in told.message and "sauce" not in told.message
    assert unit(daemon, "k").state == "Healthy" and world.names() == ["k", "mine"]
    world.call("DELETE", "/api/v1/namespaces/default/configmaps/mine")
    world.run(1)
    assert world.names() == ["k", "mine"], "what the last plan wanted is healed"
    before = plans(daemon)
    world.run(1_000)
    assert plans(daemon) - before == 3 and len(daemon.said("internal error")) == 1
    world.commit({"s/step.yaml": step(bad=False)})
    world.settle(daemon)
    assert report(daemon).state == "Healthy"


def test_a_plan_for_a_cluster_that_nobody_knows_is_its_kinds_fault() -> None:
    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        return Plan({Lane(ClusterName("nowhere")): (want(spec, view, "x"),)})

    world, daemon = world_of(plan)
    world.settle(daemon)
    assert report(daemon).state == "Held" and "internal error" in report(daemon).message
    assert unit(daemon, "k").state == "Healthy"


def test_a_unit_that_cannot_be_planned_keeps_what_others_leave() -> None:
    """It could be the one that wants it now."""

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        if spec.manifests[0].body()["spec"].get("bad"):
            raise ValueError
        return Plan()

    world, daemon = world_of(plan, {"k/x.yaml": config_map("x")})
    world.settle(daemon)
    world.commit({"s/step.yaml": step(bad=True), "k/x.yaml": None})
    world.run(30)
    assert "x" in world.names()
    world.commit({"s/step.yaml": step()})
    world.settle(daemon)
    assert "x" not in world.names()


def test_a_held_lane_moves_nothing_and_the_others_go_on() -> None:
    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        held = spec.manifests[0].body()["spec"].get("held")
        mine, us = want(spec, view, "mine", "2" if held else "1"), Lane(ClusterName("us"))
        return Plan({EU: Held("a person said so") if held else (mine,), us: (mine,)})

    world, daemon = world_of(plan, clusters=("eu", "us"))
    world.settle(daemon)
    world.commit({"s/step.yaml": step(held=True)})
    world.settle(daemon)
    assert [world.get("mine", cluster=c)["data"]["v"] for c in ("eu", "us")] == ["1", "2"]  # type: ignore[index]
    assert report(daemon).state == "Held"


def test_the_same_inputs_give_the_same_effects() -> None:
    def life() -> list[str]:
        world, daemon = world_of(climb, {f"f/{i}.yaml": config_map(f"f{i}") for i in range(20)})
        world.settle(daemon)
        daemon.inbox.append(SourceHint(SourceName("fleet")))
        world.commit({"f/3.yaml": None, "f/4.yaml": config_map("f4", "2")})
        world.settle(daemon)
        world.run(100)
        return [repr(e) for e in daemon.sent]

    assert life() == life()


def test_deletions_that_waited_for_a_plan_are_looked_at_when_the_last_one_is_made() -> None:
    """A root whose record is being stored is planned by nobody's commit: what waited for it must not wait for the next event."""
    world = World(kinds=(*KINDS, steps.KIND))
    world.commit({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y")})
    daemon = world.daemon()
    world.settle(daemon)
    world.rule(asks("POST", "/secrets"), lambda e, perform: perform(), seconds=20)
    ladder = manifest("test.reconciler.dev/v1", "Steps", "demo", "default", spec={"values": ["a"]})
    world.commit({"a/x.yaml": None, "r/steps.yaml": ladder})
    world.until(lambda: world.names() == ["demo", "y"], 30)


def test_deletions_that_met_a_plan_to_be_made_anew_are_looked_at_when_it_is() -> None:
    """What is decided for one cluster may let the unit ask again whether all is well, before another cluster's turn comes."""

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        wanted = tuple(want(spec, view, f"m{n}") for n in range(spec.manifests[0].body()["spec"]["count"]))
        view.well({EU: wanted, US: wanted})
        return Plan({EU: wanted, US: wanted})

    world, daemon = world_of(plan, {"s/step.yaml": step(count=5)}, clusters=("eu", "us"))
    world.settle(daemon)
    world.commit({"s/step.yaml": step(count=3)})
    world.until(lambda: len(report(daemon).gates) == 2, 60)
