"""The checks themselves, where a seed has shown one to be wrong."""

from __future__ import annotations

from reconciler.sim.checks import Checks
from reconciler.sim.trial import Workload, at_rest, start
from reconciler.sim.world import World

from .world.workloads import MERGE, config_map

AT = "/api/v1/namespaces/default/configmaps"


def test_what_a_finalizer_holds_counts_once_against_a_budget() -> None:
    """Two of four objects may go without asking; one of them is still there when the other goes."""
    world = World()
    checks = Checks(world)
    start(world, "one", Workload("", ()))
    world.commit({f"a/{name}.yaml": config_map(name) for name in "wxyz"})
    assert world.wait(lambda: at_rest(world), 60)
    world.call("PATCH", f"{AT}/x", {"metadata": {"finalizers": ["example.org/slow"]}}, content=MERGE)
    world.commit({"a/x.yaml": None, "a/y.yaml": None})
    world.run(10)
    assert checks.met["I30"] == 2 and sum(checks.deletes.values()) == 2
