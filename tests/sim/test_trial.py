"""When a world counts as at rest: not while a daemon knows that it has missed something."""

from __future__ import annotations

from reconciler.sim.trial import Workload, at_rest, start
from reconciler.sim.world import World

from .world.workloads import MERGE, config_map


def test_nothing_rests_while_a_watch_is_still_to_be_opened_again() -> None:
    world = World()
    daemon = start(world, "one", Workload("", ()))
    world.commit({"a/x.yaml": config_map("x")})
    assert world.wait(lambda: at_rest(world), 60)

    for _ in range(2):  # the first is listed anew at once, the next later
        (watch,) = daemon.streams
        world.network.break_watch(daemon, watch, 410)
        world.run(0.1)
    world.call("PATCH", "/api/v1/namespaces/default/configmaps/x", {"data": {"v": "by hand"}}, content=MERGE)
    world.run(0.1)
    assert not at_rest(world)
    assert world.wait(lambda: at_rest(world), 60)
    world.run(1)
    assert world.call("GET", "/api/v1/namespaces/default/configmaps/x")[1]["data"]["v"] != "by hand" and at_rest(world)
