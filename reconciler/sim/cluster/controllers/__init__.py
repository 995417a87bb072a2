"""The controllers of an embedded cluster: what kube-controller-manager, scheduler and kubelet do, as far as people see it.

Law of the package: level-based and deterministic. A controller is told keys, reads what is there now, and writes towards what should
be, through the same `Writes` as everybody, under the field manager that a real cluster would show. Nothing waits: a controller says
when it wants to look again, and `Controllers.run` is called with the time.
"""

from __future__ import annotations

from reconciler.sim.cluster.errors import ApiError
from reconciler.sim.cluster.settings import Settings
from reconciler.sim.cluster.store import Event
from reconciler.sim.cluster.writes import Writes

from .base import Controller, Item, World
from .budgets import Budgets
from .daemons import DaemonSets
from .definitions import Definitions
from .deployments import Deployments
from .garbage import Garbage
from .jobs import Jobs
from .namespaces import Namespaces
from .pods import Kubelet, Scheduler
from .replicas import ReplicaSets
from .services import EndpointSlices
from .setup import populate
from .stateful import StatefulSets
from .volumes import Volumes

_RETRY_SECONDS = 10.0
_STEPS_LIMIT = 1_000_000


class Controllers:
    """All controllers of one cluster, with one queue and one set of alarms."""

    def __init__(self, writes: Writes, settings: Settings, now: float) -> None:
        world = World(writes, settings)
        self._controllers: tuple[Controller, ...] = (
            Definitions(world),
            Namespaces(world),
            Garbage(world),
            Deployments(world),
            ReplicaSets(world),
            StatefulSets(world),
            DaemonSets(world),
            Jobs(world),
            Scheduler(world),
            Kubelet(world),
            EndpointSlices(world),
            Volumes(world),
            Budgets(world),
        )
        self._queue: dict[tuple[int, Item], None] = {}
        self._alarms: dict[tuple[int, Item], float] = {}
        self.refused: dict[Item, str] = {}  # what a controller last tried in vain, and why
        writes.store.subscribe(self._on_event)
        populate(world, now)

    def _on_event(self, event: Event) -> None:
        for number, controller in enumerate(self._controllers):
            for item in controller.concerned(event):
                self._queue[number, item] = None

    def run(self, now: float) -> float | None:
        """Work until nothing is left to do now; returns when the next alarm is due."""
        due = [key for key, at in self._alarms.items() if at <= now]
        for key in sorted(due, key=lambda k: (self._alarms[k], k)):
            del self._alarms[key]
            self._queue[key] = None
        steps = 0
        while self._queue:
            steps += 1
            assert steps < _STEPS_LIMIT, "controllers do not come to rest"
            key = next(iter(self._queue))
            del self._queue[key]
            self._step(key, now)
        return min(self._alarms.values(), default=None)

    def _step(self, key: tuple[int, Item], now: float) -> None:
        number, item = key
        try:
            again = self._controllers[number].sync(item, now)
            self.refused.pop(item, None)
        except ApiError as error:
            # Refused (a namespace that ends, a name taken): the world must change first, or time pass.
            self.refused[item] = error.message
            again = now + _RETRY_SECONDS
        if again is None:
            self._alarms.pop(key, None)
        elif again <= now:
            self._queue[key] = None
        else:
            self._alarms[key] = again
