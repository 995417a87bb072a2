"""The controllers of an embedded cluster: what kube-controller-manager, scheduler and kubelet do, as far as people see it.

Law of the package: level-based and deterministic. A controller is told keys, reads what is there now, and writes towards what should
be, through the same `Writes` as everybody, under the field manager that a real cluster would show. Nothing waits: a controller says
when it wants to look again, and `Controllers.run` is called with the time.
"""

from __future__ import annotations

import heapq

from reconciler.sim.cluster.errors import ApiError
from reconciler.sim.cluster.resources import Storage
from reconciler.sim.cluster.settings import Settings
from reconciler.sim.cluster.store import Event
from reconciler.sim.cluster.writes import Writes

from .base import Controller, Item, World
from .budgets import Budgets
from .cronjobs import CronJobs
from .daemons import DaemonSets
from .definitions import Definitions
from .deployments import Deployments
from .garbage import Garbage
from .jobs import Jobs
from .namespaces import Namespaces
from .nodes import Nodes
from .pods import Kubelet, Scheduler
from .quotas import Quotas
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
        own: tuple[Controller, ...] = (Definitions(world),)  # the API server's
        self._controllers = own + (_managed(world) if settings.controllers else ())
        self._readers: dict[Storage, tuple[tuple[int, Controller], ...]] = {}
        self._queue: dict[tuple[int, Item], None] = {}
        self._alarms: dict[tuple[int, Item], float] = {}
        self._heap: list[tuple[float, tuple[int, Item]]] = []
        self.refused: dict[Item, str] = {}  # what a controller last tried in vain, and why
        writes.store.subscribe(self._on_event)
        populate(world, now)

    def _on_event(self, event: Event) -> None:
        readers = self._readers.get(event.storage)
        if readers is None:
            numbered = enumerate(self._controllers)
            readers = tuple((n, each) for n, each in numbered if event.storage in getattr(each, "reads", (event.storage,)))
            self._readers[event.storage] = readers
        for number, controller in readers:
            for item in controller.concerned(event):
                self._queue[number, item] = None

    @property
    def has_work(self) -> bool:
        """Whether anything waits to be looked at."""
        return bool(self._queue)

    def run(self, now: float) -> float | None:
        """Work until nothing is left to do now; returns when the next alarm is due."""
        while (first := self._first()) is not None and first[0] <= now:
            heapq.heappop(self._heap)
            del self._alarms[first[1]]
            self._queue[first[1]] = None
        steps = 0
        while self._queue:
            steps += 1
            assert steps < _STEPS_LIMIT, "controllers do not come to rest"
            key = next(iter(self._queue))
            del self._queue[key]
            self._step(key, now)
        first = self._first()
        return first[0] if first else None

    def _first(self) -> tuple[float, tuple[int, Item]] | None:
        """The next alarm. One that was set anew stands in the heap more than once; only the last counts."""
        while self._heap:
            at, key = self._heap[0]
            if self._alarms.get(key) == at:
                return self._heap[0]
            heapq.heappop(self._heap)
        return None

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
        elif self._alarms.get(key) != again:
            self._alarms[key] = again
            heapq.heappush(self._heap, (again, key))


def _managed(world: World) -> tuple[Controller, ...]:
    """The controllers that are programs of their own."""
    return (
        Namespaces(world),
        Garbage(world),
        Deployments(world),
        ReplicaSets(world),
        StatefulSets(world),
        DaemonSets(world),
        Jobs(world),
        CronJobs(world),
        Nodes(world),
        Scheduler(world),
        Kubelet(world),
        EndpointSlices(world),
        Volumes(world),
        Budgets(world),
        Quotas(world),
    )
