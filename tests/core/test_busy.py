"""Units with many lanes: whose turn it is, and who is looked at again."""

from __future__ import annotations

from reconciler.core.identity import Instant, Lane
from reconciler.core.kind import Held, Kind, Plan, Spec
from reconciler.core.view import View
from reconciler.kinds import KINDS
from tests.core.driver import World, asks, config_map, says
from tests.core.test_roots import namespace
from tests.core.test_units import EU, STEP, _parsed, report, step, want

LANES = 40
IN_FLIGHT = 4


def lane(number: int) -> Lane:
    return Lane(EU.cluster, f"t{number:02}")


def many(spec: Spec, view: View, now: Instant) -> Plan:
    if spec.key.name == "one":
        return Plan({EU: (want(spec, view, "one"),)})
    return Plan({lane(i): (want(spec, view, f"many-{i:02}"),) for i in range(LANES)})


def test_a_unit_of_many_lanes_leaves_others_their_turn() -> None:
    world = World(kinds=(*KINDS, Kind("step", many, roots=(STEP,))))
    world.commit({"s/step.yaml": step(), "z/one.yaml": step().replace('"name": "s"', '"name": "one"')})
    daemon = world.daemon(requests_in_flight=IN_FLIGHT)
    world.settle(daemon)
    sent = [request.path.rpartition("/")[2] for request in daemon.requests("PATCH", "/configmaps/")]
    assert len(sent) == LANES + 1 and sent.index("one") < IN_FLIGHT
    assert [name for name in sent if name != "one"] == [f"many-{i:02}" for i in range(LANES)]


def spaces(spec: Spec, view: View, now: Instant) -> Plan:
    """In each lane a Namespace, and something that lives in it."""
    inside = [view.wanted(_parsed(config_map("inside", "1", f"n{i:02}").encode()))[0] for i in range(LANES)]
    return Plan({lane(i): (namespace(f"n{i:02}"), *inside[i]) for i in range(LANES)})


def test_each_waits_for_its_own_namespace() -> None:
    world = World(kinds=(*KINDS, Kind("step", spaces, roots=(STEP,))))
    world.commit({"s/step.yaml": step()})
    late = world.rule(asks("PATCH", "/namespaces/n07"), says(503), times=3)
    daemon = world.daemon()
    world.until(lambda: daemon.report.units and sum(one.state == "Healthy" for one in report(daemon).lanes) == LANES - 1)
    assert [one.target for one in report(daemon).lanes if one.state != "Healthy"] == ["t07"]
    world.settle(daemon)
    assert late.used == 3 and report(daemon).state == "Healthy"
    assert len(daemon.requests("PATCH", "/configmaps/inside")) == LANES  # each once, none too early


def half_held(spec: Spec, view: View, now: Instant) -> Plan:
    text = spec.manifests[0].body()["spec"]["text"]
    held = Held("a person says so") if text == "held" else None
    return Plan({lane(i): held if held is not None and i % 2 else (want(spec, view, f"c{i}", text),) for i in range(4)})


def test_of_the_lanes_of_a_plan_those_move_that_have_changed() -> None:
    world = World(kinds=(*KINDS, Kind("step", half_held, roots=(STEP,))))
    world.commit({"s/step.yaml": step(text="first")})
    daemon = world.daemon()
    for text, moved in (("held", [0, 2]), ("held", []), ("last", [0, 1, 2, 3]), ("last", [])):
        world.settle(daemon)
        before = len(daemon.requests("PATCH"))
        world.commit({"s/step.yaml": step(text=text, again=before)})
        world.settle(daemon)
        sent = sorted(request.path.rpartition("/")[2] for request in daemon.requests("PATCH")[before:])
        assert sent == [f"c{i}" for i in moved]
        if text == "held":
            world.call("DELETE", "/api/v1/namespaces/default/configmaps/c1")  # stays so while it is held
    assert [world.get(f"c{i}")["data"]["v"] for i in range(4)] == ["last"] * 4  # type: ignore[index]
