"""What must happen again, and when: nothing waits for ever, nothing is asked in a storm, and what is over is forgiven."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.identity import ClusterName, Instant
from reconciler.core.kind import Plan, Spec
from reconciler.core.messages import Answer, Effect, Fetch, Fetched, GitFailure, Input, ListRefs, ReadPast, Request, SourceHint
from reconciler.core.view import View
from tests.core.driver import Perform, World, asks, config_map, manifest, says, started, unit, value
from tests.core.test_units import world_of
from tests.sim.world.workloads import CRD as WIDGET_DEFINITION

EU = ClusterName("eu")
MAPS = "/api/v1/namespaces/default/configmaps"


def discovers(effect: Effect) -> bool:
    return isinstance(effect, Request) and effect.path == "/api"


def no_route(effect: Any, perform: Perform) -> Input:
    return Answer(effect.id, 0, error="no route")


# -- back-off ends with success ----------


def test_an_object_that_was_refused_for_an_hour_is_tried_soon_when_it_is_refused_again() -> None:
    world, daemon = started({"a/x.yaml": config_map("x")})
    rule = world.rule(asks("PATCH", "/x"), says(500, "not now"), times=9)
    for seconds in (7_200, 10):
        assert world.call("PATCH", f"{MAPS}/x", {"data": {"v": "by hand"}}, content="application/merge-patch+json")[0] == 200
        world.until(lambda: value(world, "x") == "1", seconds)
        world.settle(daemon)
        rule.times += 1


def test_a_source_that_was_gone_for_an_hour_is_asked_soon_when_it_fails_again() -> None:
    world, daemon = started({"a/x.yaml": config_map("x")})
    rule = world.rule(lambda e: isinstance(e, ListRefs), _no_refs, times=9)
    world.until(lambda: rule.used == 9 and not any(daemon.report.source_problems.values()), 7_200)
    rule.times += 1
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.until(lambda: value(world, "x") == "2", 10)


def _no_refs(effect: Any, perform: Perform) -> Input:
    return type(perform())(effect.id, GitFailure("no route to host"))  # type: ignore[call-arg, arg-type]


# -- timers ----------


def test_a_pod_that_no_node_takes_is_told_as_failed_when_its_time_is_over() -> None:
    """Nothing happens meanwhile: time alone changes the answer."""
    spec = {"nodeSelector": {"no": "such node"}, "containers": [{"name": "c", "image": "i"}]}
    world = World()
    world.commit({"a/p.yaml": manifest("v1", "Pod", "p", "default", spec=spec)})
    daemon = world.daemon()
    world.run(5)
    assert unit(daemon, "a").state == "Reconciling" and "no node yet" in unit(daemon, "a").message
    world.run(15)
    assert unit(daemon, "a").state == "Failed" and "no node takes the pod" in unit(daemon, "a").message


def test_a_cluster_that_answers_but_does_not_say_what_it_serves_is_asked_again() -> None:
    """It starts: the probe is answered before discovery is."""
    world, daemon = started({"a/x.yaml": config_map("x")})
    down = world.rule(lambda e: isinstance(e, Request), no_route, times=6)
    world.cut(status=0)
    world.until(lambda: daemon.report.clusters[EU][0] == "down")
    down.times = down.used
    world.rule(discovers, says(503, "starting"), times=3)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.until(lambda: value(world, "x") == "2", 60)


def test_a_definition_that_comes_while_discovery_is_under_way_is_found() -> None:
    world, daemon = started({"a/x.yaml": config_map("x")})
    slow = world.rule(discovers, lambda e, perform: perform(), times=2, seconds=20)
    cluster = daemon.engine.clusters[EU]
    cluster.wire.after("test", 0.0, cluster.refresh_discovery)
    world.repo.commit({"z/crd.yaml": WIDGET_DEFINITION, "a/w.yaml": manifest("example.org/v1", "Widget", "w", "default")})
    daemon.inbox.append(SourceHint(next(iter(daemon.engine.sources))))
    world.until(lambda: daemon.requests("PATCH", "/widgets/w"), 60)
    assert slow.used == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_cluster_that_asks_for_a_pause_gets_it_and_no_more(status: int) -> None:
    """Another object waits with the one that was refused, and goes on when the pause is over though nothing else happens."""
    world = World()
    world.rule(asks("PATCH", "/x"), says(status, "slow down", retry_after_seconds=40), times=1)
    world.rule(asks("PATCH", "/x"), says(status, "slow down"), times=1_000)
    files = {f"{name}/{name}.yaml": config_map(name) for name in "x"}
    world.commit(files)
    daemon = world.daemon()
    world.until(lambda: daemon.requests("PATCH"))
    world.commit({"y/y.yaml": config_map("y")})
    at = world.steady
    world.never(lambda: "y" in world.names(), 38)
    world.until(lambda: "y" in world.names(), 4)
    assert 38 <= world.steady - at <= 42


# -- hints ----------


def test_a_push_during_a_fetch_is_read_right_after_it() -> None:
    world, _ = started({"a/x.yaml": config_map("x")})
    world.rule(lambda e: isinstance(e, Fetch), lambda e, perform: perform(), seconds=3)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.run(2)
    world.commit({"a/x.yaml": config_map("x", "3")})
    world.run(4)
    assert value(world, "x") == "3", "and not after the next poll"


def test_two_versions_of_a_source_that_fails_to_answer_are_not_mixed() -> None:
    """A fetch that fails says nothing of what it would have brought."""
    world, _ = started({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y")})
    world.rule(lambda e: isinstance(e, Fetch), lambda e, perform: Fetched(e.id, GitFailure("reset")), times=2)
    world.commit({"a/x.yaml": config_map("x", "2"), "a/y.yaml": config_map("y", "2")})
    world.run(1)
    assert (value(world, "x"), value(world, "y")) == ("1", "1")
    world.until(lambda: (value(world, "x"), value(world, "y")) == ("2", "2"), 60)


# -- history ----------


def test_nothing_is_settled_while_history_is_looked_through() -> None:
    """What a plan shows before that would hold a folder with nothing, that is about to be held as it was."""
    world = World()
    world.repo.commit({"a/x.yaml": config_map("x")})
    world.commit({"a/broken.yaml": "a: ["})
    world.rule(lambda e: isinstance(e, ReadPast), lambda e, perform: perform(), seconds=5)
    daemon = world.daemon()
    world.never(lambda: daemon.report.settled, 5)
    world.settle(daemon)
    assert world.names() == ["x"] and "held as of" in unit(daemon, "a").message


def test_a_folder_that_has_long_been_broken_is_held_with_nothing_and_not_with_half() -> None:
    """Past the limit of looking back no version was found that can be read whole; what can be read of one is none."""
    world = World()
    for number in range(25):
        world.repo.commit({"a/x.yaml": config_map("x", str(number)), "a/broken.yaml": f"a: [{number}"})
    world.commit({"k/k.yaml": config_map("k")})
    daemon = world.daemon()
    world.settle(daemon)
    assert world.names() == ["k"] and "no earlier version can be read" in unit(daemon, "a").message
    world.commit({"a/broken.yaml": None})
    world.settle(daemon)
    assert world.names() == ["k", "x"]


# -- appointments ----------


def test_an_appointment_that_is_due_already_is_kept_at_once_and_once() -> None:
    """A plan may name the very moment at which it is made, or one that has passed."""
    made: list[float] = []

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        made.append(now.steady)
        return Plan(wake_at=now.steady - 5 if len(made) < 4 else None)

    world, _ = world_of(plan)
    world.run(60)
    assert made[3] - made[0] < 1 and len(made) <= 6
