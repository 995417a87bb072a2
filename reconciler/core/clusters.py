"""One cluster as the engine knows it: reachable or not, what it serves, what of ours it holds, how much we ask of it at once.

Law of the module: a slow or dead cluster delays only itself. While it cannot be reached nothing is asked of it but one probe at
growing intervals; what was known of it stays known and is not acted on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal

from . import discovery
from .discovery import Discovery, Resource
from .followed import Followed
from .identity import ClusterName, GroupKind, ObjectId, UnitKey
from .looks import Looks
from .messages import Answer, Method
from .observed import Live, Reflector
from .settings import ClusterSettings
from .slots import Slots
from .wire import Wire

PROBE_BASE_SECONDS = 0.5
PROBE_CAP_SECONDS = 60.0
DOUBT_SECONDS = 10.0
"""How seldom a cluster that answers is asked whether it is still the same one."""

class Cluster:
    """The link to one cluster. `on_change(old, new)` hears of our objects, `on_state()` of everything else that moves."""

    def __init__(
        self,
        settings: ClusterSettings,
        wire: Wire,
        limit: int,
        on_change: Callable[[Cluster, Live | None, Live | None], None],
        on_state: Callable[[Cluster], None],
    ) -> None:
        self.settings = settings
        self.name: ClusterName = settings.name
        self.wire = wire
        self.state: Literal["new", "up", "down"] = "new"
        self.problem = ""
        self.down_at = 0.0  # since when, by the calendar, it does not answer
        self.discovery: Discovery | None = None
        self.reflectors: dict[GroupKind, Reflector] = {}
        self.followed = Followed(self)
        self.looks = Looks(self)
        self.slots = Slots(limit)
        self._unknown_kinds: dict[tuple[GroupKind, str], None] = {}  # kind, version ("": any)
        self._unknown_before: dict[tuple[GroupKind, str], None] = {}
        self._on_change = on_change
        self._on_state = on_state
        self._selector = ""
        self._kinds: dict[GroupKind, None] = {}
        self._failures = 0
        self._discovering = False
        self._discover_again = False
        self._unknown_polls = 0
        self._pause_until = 0.0
        self._parked: dict[Hashable, Callable[[], None]] = {}  # what waits for the cluster to answer
        self.on_doubt: Callable[[Cluster], None] = lambda _: None  # hears that this may be another cluster than it was
        self._doubted_at = float("-inf")

    # -- asking ----------

    def ask(self, method: Method, path: str, then: Callable[[Answer], None], **options: Any) -> None:
        """One request. If no answer comes at all it is asked whether it is there, whoever asked."""

        def answered(answer: Answer) -> None:
            if answer.status == 0:
                self.suspect()
            elif answer.status == 401:
                self.unreachable("the API server refuses our credentials (401 Unauthorized)")
            elif answer.status in (429, 503) and answer.retry_after_seconds:
                self._pause_until = self.wire.now.steady + min(answer.retry_after_seconds, 60.0)
                self.wire.at(("pause", self.name), self._pause_until, lambda: self._on_state(self))
            then(answer)

        self.wire.request(self.name, method, path, answered, **options)

    def write(
        self,
        method: Method,
        path: str,
        then: Callable[[Answer], None],
        seconds: float,
        *,
        query: tuple[tuple[str, str], ...] = (),
        **options: Any,
    ) -> None:
        """One write, over after so many seconds on either side: the server, too, is told how long it may hold it (`timeout`)."""
        seconds = max(seconds, 1.0)
        limit = ("timeout", f"{int(seconds)}s")
        self.ask(method, path, then, query=(*query, limit), timeout_seconds=seconds, **options)

    def after(self, key: Hashable, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` so many seconds from now, and not before the cluster answers."""
        self.wire.after(key, seconds, lambda: self._when_it_answers(key, then))

    def _when_it_answers(self, key: Hashable, then: Callable[[], None]) -> None:
        if self.state == "down":
            self._parked[key] = then
        else:
            then()

    def act(
        self, unit: UnitKey, method: Method, path: str, then: Callable[[Answer], None], seconds: float, **options: Any
    ) -> None:
        """One write for a unit, counted against the limits in flight; callers look at `may_act` first."""
        self.slots.take(unit)
        sent_at = self.wire.now.steady

        def answered(answer: Answer) -> None:
            self.slots.give_back(unit, self.wire.now.steady - sent_at)
            then(answer)

        self.write(method, path, answered, seconds, **options)

    @property
    def is_open(self) -> bool:
        """Whether the cluster takes writes at all at this moment."""
        return self.state == "up" and self.slots.free > 0 and self.wire.now.steady >= self._pause_until

    def may_act(self, unit: UnitKey) -> bool:
        """Whether this unit may send a write now."""
        return self.is_open and self.slots.has_room(unit)

    # -- reachability ----------

    def start(self) -> None:
        """Find out whether it answers, and what it serves."""
        self.refresh_discovery()

    def suspect(self) -> None:
        """Something was not answered. That may be the request: only a probe that is not answered either means the cluster."""
        if self.state == "up":
            self.wire.after(("probe", self.name), 0.0, self._probe)

    def unreachable(self, problem: str) -> None:
        """Nobody answers: stop asking, probe at growing intervals."""
        self.problem = problem
        if self.state == "down":
            return
        was_up, self.state, self.down_at = self.state == "up", "down", self.wire.now.wall
        if was_up:
            self.wire.log("warning", "cluster unreachable", cluster=self.name, reason=problem)
        for reflector in self._all_reflectors():
            reflector.stop()
        self._failures = 0
        self._schedule_probe()
        self._on_state(self)

    def _schedule_probe(self) -> None:
        self._failures += 1
        seconds = self.wire.jitter.back_off(self._failures, PROBE_BASE_SECONDS, PROBE_CAP_SECONDS)
        self.wire.after(("probe", self.name), seconds, self._probe)

    def _probe(self) -> None:
        self.wire.request(self.name, "GET", "/version", self._probed, timeout_seconds=5)

    def _probed(self, answer: Answer) -> None:
        if answer.status == 200:
            if self.state == "down":
                self.refresh_discovery()
            else:
                self.doubt()
            return
        problem = answer.error or f"the API server answers {answer.status}"
        if self.state == "down":
            self.problem = problem
            self._schedule_probe()
        else:
            self.unreachable(problem)

    def doubt(self) -> None:
        """Connections broke, or versions went back: behind the same address there may be another cluster now. Asked seldom."""
        if not self.wire.has_timer(("doubt", self.name)):
            self._doubted_at = max(self.wire.now.steady, self._doubted_at + DOUBT_SECONDS)
            self.wire.at(("doubt", self.name), self._doubted_at, lambda: self.on_doubt(self))

    def renew(self) -> None:
        """It is another cluster: what is held of it is held no longer than until it is listed."""
        for reflector in self._all_reflectors():
            reflector.renew()

    def _all_reflectors(self) -> list[Reflector]:
        return [*self.reflectors.values(), *self.followed.reflectors.values()]

    # -- discovery ----------

    def refresh_discovery(self) -> None:
        """Ask what is served; asked again while an answer is under way, once more after it."""
        if self._discovering:
            self._discover_again = True
            return
        self._discovering = True
        documents: list[bytes] = []

        def answered(answer: Answer) -> None:
            if answer.status == 200:
                documents.append(answer.body)
                if len(documents) == 1:
                    self.wire.request(self.name, "GET", "/apis", answered, accept=discovery.ACCEPT)
                    return
            self._discovered(answer, documents)

        self.wire.request(self.name, "GET", "/api", answered, accept=discovery.ACCEPT)

    def _discovered(self, answer: Answer, documents: list[bytes]) -> None:
        self._discovering = False
        found = discovery.parse(*documents) if len(documents) == 2 else None
        if found is None and self.state == "up" and answer.status != 401:
            # What it serves is known from before: that alone is no reason to do nothing more.
            self._failures += 1
            if answer.status == 0:
                self.suspect()
            self.after(("discovery", self.name), self.wire.jitter.back_off(self._failures, 1.0, PROBE_CAP_SECONDS), self.refresh_discovery)
            return
        if found is None:
            self.unreachable(answer.error or self._discovery_refused(answer, documents))
            if self.state == "down" and not self.wire.has_timer(("probe", self.name)):
                self._schedule_probe()
            return
        self.discovery = found
        was, self.state, self.problem, self._failures = self.state, "up", "", 0
        self.wire.cancel(("probe", self.name))
        if was != "up":
            if was == "down":
                self.wire.log("info", "cluster reachable", cluster=self.name)
            for reflector in self._all_reflectors():
                reflector.start()
            parked, self._parked = self._parked, {}
            for key, then in parked.items():
                self.wire.after(key, 0.0, then)
        self._unknown_before, self._unknown_kinds = self._unknown_kinds, {}
        if self._unknown_before:
            self._look_again_later()
        self._open_reflectors()
        self._on_state(self)
        if self._discover_again:
            self._discover_again = False
            self.refresh_discovery()

    @staticmethod
    def _discovery_refused(answer: Answer, documents: list[bytes]) -> str:
        if len(documents) == 2:
            return "no aggregated discovery: the API server is older than Kubernetes 1.30, or this is none"
        return f"discovery answers {answer.status}"

    def missing(self, kind: GroupKind, version: str = "") -> None:
        """Somebody waits for a kind that is not served: look again at growing intervals, and when a CRD is established.

        Who still waits after a look says so again: what nobody waits for any more is not looked for.
        """
        if (kind, version) not in self._unknown_kinds:
            self._unknown_kinds[kind, version] = None
            if (kind, version) not in self._unknown_before:
                self._unknown_polls = 0
            self._look_again_later()

    def _look_again_later(self) -> None:
        if not self.wire.has_timer(("unknown", self.name)):
            self._unknown_polls += 1
            seconds = self.wire.jitter.back_off(self._unknown_polls, 1.0, 300.0)
            self.after(("unknown", self.name), seconds, self._look_for_unknown_kinds)

    def _look_for_unknown_kinds(self) -> None:
        if self._unknown_kinds:
            self.refresh_discovery()
        else:
            self._unknown_before = {}

    # -- our objects ----------

    def own(self, selector: str) -> None:
        """From now on the objects with this label are ours."""
        self._selector = selector
        self._open_reflectors()

    def observe(self, kinds: dict[GroupKind, None]) -> None:
        """Watch our objects of these kinds too."""
        self._kinds.update(kinds)
        self._open_reflectors()

    def _open_reflectors(self) -> None:
        if self.state == "up":
            self.followed.discovered()
        if self.state != "up" or not self._selector or self.discovery is None:
            return
        for kind in self._kinds:
            resource = self.discovery.preferred.get(kind)
            held = self.reflectors.get(kind)
            if held is not None and resource is not None and not self.serves(held.resource):
                self.reflectors.pop(kind).forget()  # its definition was replaced: another version, scope or plural
                held = None
            if resource is None:
                if not self.discovery.absent(kind):
                    self.missing(kind)  # nothing of the cluster is pruned before its server answers again
                elif held is not None:
                    self.reflectors.pop(kind).forget()
                    self._on_state(self)
            elif held is None and resource.keeps:
                self.reflectors[kind] = Reflector(
                    self, resource, (("labelSelector", self._selector),), self._changed, lambda: self._on_state(self)
                )
                self.reflectors[kind].start()

    def serves(self, resource: Resource) -> bool:
        """Whether a kind is still served where we watch it."""
        assert self.discovery is not None
        found = self.discovery.find(resource.group, resource.version, resource.kind)
        return found is not None and (found.plural, found.namespaced) == (resource.plural, resource.namespaced)

    def _changed(self, old: Live | None, new: Live | None) -> None:
        self._on_change(self, old, new)

    def owned(self, id: ObjectId) -> Live | None:
        """Our live object of that identity, as far as listed."""
        reflector = self.reflectors.get(id.group_kind)
        return reflector.objects.get(id) if reflector else None

    def listed(self, kind: GroupKind) -> bool:
        """Whether all our objects of the kind are known: listed in full, or the kind proven not to be served, or never to be kept."""
        resource = self.discovery.preferred.get(kind) if self.discovery else None
        if resource is not None and not resource.keeps:
            return True
        reflector = self.reflectors.get(kind)
        if reflector is not None:
            return reflector.complete and self.discovery is not None and kind in self.discovery.preferred
        return self.discovery is not None and self.discovery.absent(kind)

    @property
    def all_listed(self) -> bool:
        """Whether all our objects of all kinds ever applied here are known (design, law 12)."""
        return self.state == "up" and bool(self._selector) and all(self.listed(kind) for kind in self._kinds)

    def resolve(self, id: ObjectId, version: str) -> tuple[Resource, ObjectId] | None:
        """The kind as served, and the identity with its namespace completed; None where the kind is not served."""
        assert self.discovery is not None
        resource = self.discovery.find(id.group, version, id.kind)
        if resource is None:
            return None
        namespace = (id.namespace or self.settings.namespace) if resource.namespaced else ""
        return resource, id._replace(namespace=namespace)

    def identify(self, id: ObjectId) -> ObjectId | None:
        """The identity with its namespace completed, whatever the version; None where no version of the kind is served."""
        resource = self.discovery.preferred.get((id.group, id.kind)) if self.discovery else None
        if resource is None:
            return None
        namespace = (id.namespace or self.settings.namespace) if resource.namespaced else ""
        return id if namespace == id.namespace else id._replace(namespace=namespace)
