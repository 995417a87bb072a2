"""What a fault does is over when the network says so: rest is taken, and the next step of a sweep begins, no earlier."""

from __future__ import annotations

import pytest

from reconciler.core.identity import ClusterName, SourceName
from reconciler.core.messages import Effect, Input, ListRefs, Push, Request
from reconciler.sim.cluster.store import Event
from reconciler.sim.daemon import Actor, Daemon
from reconciler.sim.faults import KINDS, ONE_DAEMON_LIVES, Fault
from reconciler.sim.trial import ARRIVAL_SECONDS
from reconciler.sim.world import World

EU, FLEET = ClusterName("eu"), SourceName("fleet")
NAMESPACES = "/api/v1/namespaces"
EFFECTS = (
    Request(1, EU, "DELETE", f"{NAMESPACES}/a"),
    Request(2, EU, "GET", NAMESPACES),
    ListRefs(3, FLEET),
    Push(4, FLEET, "refs/heads/told", None, None, {"a": b"a"}, "told", 0.0),
)
STRIKES = [
    pytest.param(kind, effect, id=f"{kind}, {type(effect).__name__} {effect.id}")
    for kind, fault in KINDS.items()
    if kind not in ONE_DAEMON_LIVES
    for effect in EFFECTS
    if fault.strikes(effect)
]


class Times:
    """When something was last carried out, or heard of."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.last = 0.0

    def sends(self, daemon: Daemon, effect: Effect) -> None: ...

    def changed(self, cluster: str, event: Event, actor: Actor) -> None: ...

    def struck(self, daemon: Daemon, fault: Fault, message: Effect | Input) -> None: ...

    def answered(self, daemon: Daemon, effect: Effect, answer: Input) -> None:
        self.last = self.world.steady

    def hears(self, daemon: Daemon, message: Input) -> None:
        self.last = self.world.steady


@pytest.mark.parametrize(("kind", "effect"), STRIKES)
def test_nothing_comes_of_a_fault_any_more_when_it_is_quiet(kind: str, effect: Effect) -> None:
    world = World()
    daemon = world.daemon()
    daemon.stopped_until = float("inf")  # it adds nothing of its own
    world.run(1.0)
    times = Times(world)
    world.network.observers.append(times)
    begun = world.steady
    KINDS[kind].do(world.network, daemon, effect, Fault(kind, KINDS[kind].seconds[1]))
    world.run(200.0)
    assert begun < times.last < max(begun, world.network.quiet_at) + ARRIVAL_SECONDS
