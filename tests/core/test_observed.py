"""List and watch against an embedded API server: whatever is lost, late or told twice, we end at what is there."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.clusters import Cluster
from reconciler.core.engine import Engine
from reconciler.core.identity import ClusterName, GroupKind, Instant, ObjectId
from reconciler.core.messages import Answer, Effect, Input, OpenWatch, Request, WatchClosed
from reconciler.core.observed import PAGE_LIMIT, WATCH_IDLE_SECONDS, Live, Reflector
from reconciler.core.settings import ClusterSettings
from reconciler.core.wire import Wire
from reconciler.sim.cluster.cluster import Cluster as SimCluster
from tests.core.driver import Daemon, Perform, World, asks, says, watches

CONFIG_MAP = GroupKind("", "ConfigMap")
PATH = "/api/v1/namespaces/default/configmaps"
LIST = "/api/v1/configmaps"


class Link:
    """One cluster of the core, without the engine around it: what it is told is kept."""

    def __init__(self, kinds: tuple[GroupKind, ...] = (CONFIG_MAP,)) -> None:
        self.wire = Wire(b"link")
        self.told: list[tuple[str, str]] = []  # what changed, by name: "+", "-" or "~"
        self.states: list[str] = []
        self.cluster = Cluster(ClusterSettings(ClusterName("eu")), self.wire, 16, self._changed, lambda c: self.states.append(c.state))
        self.cluster.own("ours=1")
        self.cluster.observe(dict.fromkeys(kinds))
        self._started = False

    def _changed(self, cluster: Cluster, old: Live | None, new: Live | None) -> None:
        live = new or old
        assert live is not None
        self.told.append(("-" if new is None else "+" if old is None else "~", live.id.name))

    def step(self, inputs: Iterable[Input], now: Instant) -> list[Effect]:
        self.wire.now, self.wire.effects = now, []
        if not self._started:
            self._started = True
            self.cluster.start()
        for message in inputs:
            self.wire.deliver(message)
        self.wire.fire()
        return self.wire.effects

    @property
    def wake_at(self) -> float | None:
        return 0.0 if not self._started else self.wire.wake_at

    @property
    def reflector(self) -> Reflector:
        return self.cluster.reflectors[CONFIG_MAP]

    @property
    def held(self) -> dict[str, str]:
        return {live.id.name: live.body()["data"]["v"] for live in self.reflector.objects.values()}


def linked(world: World, kinds: tuple[GroupKind, ...] = (CONFIG_MAP,)) -> tuple[Link, Daemon]:
    link = Link(kinds)
    world.daemons.append(Daemon("one", cast(Engine, link)))
    return link, world.daemons[-1]


def put(world: World, name: str, value: str = "1", ours: str = "1") -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"ours": ours}}, "data": {"v": value}}
    status, _ = world.call("POST", PATH, body)
    if status == 409:
        status, _ = world.call("PUT", f"{PATH}/{name}", body)
    assert status in (200, 201)


def remove(world: World, name: str) -> None:
    world.call("DELETE", f"{PATH}/{name}")


def there(world: World) -> dict[str, str]:
    _, body = world.call("GET", PATH)
    return {item["metadata"]["name"]: item["data"]["v"] for item in body["items"] if item["metadata"].get("labels") == {"ours": "1"}}


def lists(daemon: Daemon) -> list[Request]:
    return [e for e in daemon.sent if isinstance(e, Request) and e.path == LIST]


def opened(daemon: Daemon) -> list[OpenWatch]:
    return [e for e in daemon.sent if isinstance(e, OpenWatch)]


def test_what_is_listed_is_held_and_what_happens_is_told() -> None:
    world = World()
    put(world, "a")
    put(world, "strange", ours="2")
    link, daemon = linked(world)
    world.run(1)
    assert link.held == {"a": "1"} and link.reflector.complete
    put(world, "b")
    put(world, "a", "2")
    world.run(1)
    remove(world, "a")
    world.run(1)
    assert link.told == [("+", "a"), ("+", "b"), ("~", "a"), ("-", "a")]
    assert len(lists(daemon)) == 1 and len(opened(daemon)) == 1


def test_what_loses_our_label_is_gone_for_us() -> None:
    world = World()
    put(world, "a")
    link, _ = linked(world)
    world.run(1)
    put(world, "a", ours="2")
    world.run(1)
    assert link.held == {} and link.told == [("+", "a"), ("-", "a")]


def test_pages_are_one_list() -> None:
    world = World()
    for i in range(2 * PAGE_LIMIT + 1):
        put(world, f"c{i}")
    link, daemon = linked(world)
    world.run(1)
    assert len(link.held) == 2 * PAGE_LIMIT + 1 and len(lists(daemon)) == 3
    assert [dict(r.query).get("limit") for r in lists(daemon)] == ["500"] * 3


def test_pages_that_expire_are_begun_again_and_nothing_is_complete_before() -> None:
    world = World()
    for i in range(PAGE_LIMIT + 1):
        put(world, f"c{i}")
    link, daemon = linked(world)
    world.rule(lambda e: asks("GET", LIST)(e) and any(k == "continue" for k, _ in cast(Request, e).query), says(410, "expired"))
    world.run(0.01)
    assert len(link.held) == PAGE_LIMIT and not link.cluster.listed(CONFIG_MAP)
    world.run(5)
    assert len(link.held) == PAGE_LIMIT + 1 and link.reflector.complete
    assert len(lists(daemon)) == 4, "two pages, and two again"


def test_a_watch_is_from_the_lists_version_and_goes_on_from_the_last_one_seen() -> None:
    world = World()
    put(world, "a")
    link, daemon = linked(world)
    world.run(1)
    put(world, "b")
    version = world.get("b")["metadata"]["resourceVersion"]  # type: ignore[index]
    world.run(1)
    world.cut("configmaps", error="")
    world.run(3)
    put(world, "c")
    world.run(3)
    assert link.held == {"a": "1", "b": "1", "c": "1"} and len(lists(daemon)) == 1
    assert dict(opened(daemon)[1].query)["resourceVersion"] == version
    assert {"watch": "1", "allowWatchBookmarks": "1", "labelSelector": "ours=1"}.items() <= dict(opened(daemon)[0].query).items()


def test_a_bookmark_moves_the_version_on() -> None:
    world = World()
    link, daemon = linked(world)
    world.run(1)
    put(world, "strange", ours="2")
    version = world.get("strange")["metadata"]["resourceVersion"]  # type: ignore[index]
    world.run(70)
    world.cut("configmaps")
    world.run(3)
    assert int(dict(opened(daemon)[-1].query)["resourceVersion"]) >= int(version)
    assert link.told == []


@pytest.mark.parametrize("where", ["HTTP", "ERROR event", "garbage"])
def test_a_watch_that_is_too_old_is_listed_anew(where: str) -> None:
    world = World()
    put(world, "a")
    put(world, "gone")
    link, daemon = linked(world)
    world.run(1)
    error = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}).encode() + b"\n"
    used: list[int] = []

    def once(effect: OpenWatch, lines: tuple[bytes, ...]) -> tuple[bytes, ...]:
        used.append(1)
        return lines if len(used) > 1 else (error if where == "ERROR event" else b"{]",)

    if where == "HTTP":
        world.cut("configmaps")
        world.rule(watches("configmaps"), lambda e, perform: WatchClosed(e.id, 410))
    else:
        world.rewrite = once
    remove(world, "gone")  # nobody is told: only a list shows it
    put(world, "new")
    world.run(3)
    assert link.held == {"a": "1", "new": "1"} and len(lists(daemon)) == 2
    assert ("-", "gone") in link.told and link.told.count(("+", "a")) == 1


def test_what_was_deleted_and_made_anew_while_we_were_away_is_another_object() -> None:
    world = World()
    put(world, "a")
    link, _ = linked(world)
    world.run(1)
    uid = next(iter(link.reflector.objects.values())).uid
    world.cut("configmaps", status=410)
    remove(world, "a")
    put(world, "a", "2")
    world.run(3)
    assert link.held == {"a": "2"} and next(iter(link.reflector.objects.values())).uid != uid


def test_an_answer_to_a_write_is_folded_at_once_and_an_old_event_does_not_undo_it() -> None:
    world = World()
    put(world, "a", "1")
    link, _ = linked(world)
    world.run(1)
    put(world, "a", "2")
    put(world, "a", "3")
    live = Live(link.reflector.resource, json.dumps(world.get("a")).encode())
    link.reflector.fold(live)
    assert link.held == {"a": "3"}
    world.run(1)
    assert link.held == {"a": "3"} and link.told == [("+", "a"), ("~", "a")]


def test_an_answer_that_comes_after_the_deletion_brings_nothing_back() -> None:
    """The watch told of the deletion first: nothing would ever take it away again."""
    world = World()
    link, _ = linked(world)
    world.run(1)
    put(world, "a")
    live = Live(link.reflector.resource, json.dumps(world.get("a")).encode())
    remove(world, "a")
    world.run(1)
    link.reflector.fold(live)
    assert link.held == {}


def test_an_old_answer_does_not_replace_the_object_that_came_after() -> None:
    world = World()
    put(world, "a", "old")
    old = json.dumps(world.get("a")).encode()
    remove(world, "a")
    put(world, "a", "new")
    link, _ = linked(world)
    world.run(1)
    link.reflector.fold(Live(link.reflector.resource, old))
    assert link.held == {"a": "new"}


def test_what_was_made_after_the_list_was_taken_stays() -> None:
    """An apply is answered while a list is under way: the list is of before."""
    world = World()
    put(world, "a")
    link, _ = linked(world)
    world.run(1)
    world.rule(asks("GET", LIST), lambda e, perform: perform(), seconds=2)
    world.cut("configmaps", status=410)
    world.run(1)
    put(world, "b")
    link.reflector.fold(Live(link.reflector.resource, json.dumps(world.get("b")).encode()))
    world.run(10)
    assert link.held == {"a": "1", "b": "1"} and ("-", "b") not in link.told


def test_a_deletion_that_an_answer_told_counts_for_that_object_only() -> None:
    world = World()
    put(world, "a")
    link, _ = linked(world)
    world.run(1)
    id = ObjectId("", "ConfigMap", "default", "a")
    link.reflector.drop(id, "another uid")
    assert link.held == {"a": "1"}
    link.reflector.drop(id, link.reflector.objects[id].uid)
    link.reflector.drop(id, "any")
    assert link.held == {} and link.told == [("+", "a"), ("-", "a")]


def spins(world: World, daemon: Daemon, seconds: float = 60) -> int:
    """How many lists and watches are asked for in a minute."""
    before = len(daemon.sent)
    world.run(seconds)
    return len(daemon.sent) - before


def test_a_watch_that_ends_at_once_is_not_opened_at_once_again() -> None:
    """A proxy that answers and closes: in good order, but for ever."""
    world = World()
    _, daemon = linked(world)
    world.run(1)
    world.rule(watches("configmaps"), lambda e, perform: WatchClosed(e.id, 200), times=10_000)
    world.cut("configmaps", error="")
    assert spins(world, daemon) < 20


def test_a_watch_that_is_always_too_old_is_not_listed_for_without_end() -> None:
    world = World()
    _, daemon = linked(world)
    world.run(1)
    world.rule(watches("configmaps"), lambda e, perform: WatchClosed(e.id, 410), times=10_000)
    world.cut("configmaps", status=410)
    assert spins(world, daemon) < 30


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_list_that_is_refused_is_asked_for_later_and_later(status: int) -> None:
    world = World()
    put(world, "a")
    rule = world.rule(asks("GET", LIST), says(status, "no lists today"), times=6)
    link, _ = linked(world)
    world.run(20)
    assert not link.reflector.complete and link.reflector.problem and link.cluster.state == "up"
    assert not link.cluster.listed(CONFIG_MAP) and not link.cluster.all_listed
    assert rule.used <= 6
    world.run(120)
    assert link.held == {"a": "1"} and link.reflector.problem == "" and link.cluster.all_listed


def test_a_list_that_is_none_is_no_empty_list() -> None:
    world = World()
    put(world, "a")

    def empty(effect: Request, perform: Perform) -> Input:
        return Answer(effect.id, 200, b"<html>welcome</html>")

    link, _ = linked(world)
    world.run(1)
    world.rule(asks("GET", LIST), empty, times=2)
    world.cut("configmaps", status=410)
    world.run(0.5)
    assert link.held == {"a": "1"}
    world.run(30)
    assert link.held == {"a": "1"} and ("-", "a") not in link.told


STEPS: list[Callable[[World, int], object]] = [
    lambda w, i: put(w, f"o{i % 5}", str(i)),
    lambda w, i: put(w, f"o{i % 3}", str(i), ours="2" if i % 2 else "1"),
    lambda w, i: remove(w, f"o{i % 5}"),
    lambda w, i: w.cut("configmaps"),
    lambda w, i: w.cut("configmaps", error=""),
    lambda w, i: w.cut("configmaps", status=410),
    lambda w, i: w.cut("configmaps", status=0),
    lambda w, i: w.rule(asks("GET", LIST), says([410, 500, 0, 403][i % 4])),
    lambda w, i: w.rule(watches("configmaps"), lambda e, p: WatchClosed(e.id, [410, 403, 0, 200][i % 4])),
    lambda w, i: w.rule(asks("GET", LIST), lambda e, p: p(), seconds=i % 7),
    lambda w, i: w.run(i % 4),
    lambda w, i: w.run(0.001),
]


@given(st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 20)), max_size=25))
def test_whatever_is_lost_we_end_at_what_is_there(steps: list[tuple[int, int]]) -> None:
    """Streams that break, lists that are refused or late, objects that come, change, go and come again: in any order."""
    world = World()
    put(world, "o0")
    link, _ = linked(world)
    world.run(1)
    for step, number in steps:
        STEPS[step](world, number)
    world.run(400)
    assert link.held == there(world)
    present: dict[str, None] = {}
    for mark, name in link.told:  # what is told adds up
        assert (mark == "+") == (name not in present)
        present.pop(name, None)
        if mark != "-":
            present[name] = None
    assert sorted(present) == sorted(link.held)


# -- versions that go back ----------


def restore(world: World, backup: SimCluster, status: int = 0) -> None:
    """Put a cluster back to what it was; its server was restarted with it."""
    world.clusters["eu"] = backup
    world.cut(status=status)


def test_after_a_restore_what_is_held_is_what_is_there() -> None:
    """Whatever was held is of a future that never was, and its versions are higher than all that is told from now on."""
    world = World()
    put(world, "kept")
    put(world, "back")
    link, daemon = linked(world)
    world.run(1)
    backup = copy.deepcopy(world.clusters["eu"])
    put(world, "never")
    put(world, "back", "2")
    remove(world, "kept")
    for number in range(20):
        put(world, "never", str(number))
    world.run(1)
    assert link.held == {"back": "2", "never": "19"}
    restore(world, backup, status=410)
    put(world, "new")
    world.run(20)
    assert link.held == {"kept": "1", "back": "1", "new": "1"} and link.reflector.complete
    assert [log["kind"] for log in daemon.said("versions went back: a backup was restored, or it is another cluster")] == ["ConfigMap"]
    put(world, "back", "3")
    world.run(1)
    assert link.held["back"] == "3", "and the watch is one of the restored server"


def test_a_watch_that_hangs_on_a_version_of_the_future_is_not_opened_again() -> None:
    """A restored server takes the old version, and says nothing, not even bookmarks, until it has come so far again."""
    world = World()
    put(world, "a")
    link, daemon = linked(world)
    world.run(1)
    backup = copy.deepcopy(world.clusters["eu"])
    for number in range(2, 30):
        put(world, "a", str(number))
    world.run(1)
    restore(world, backup)
    put(world, "a", "other")
    world.rewrite = lambda effect, lines: ()
    world.run(WATCH_IDLE_SECONDS)
    assert len(lists(daemon)) == 1 and link.held == {"a": "29"}
    world.cut(error="nothing was heard for 120 s")
    world.run(20)
    assert link.held == {"a": "other"}


def test_a_watch_that_goes_back_is_listed_anew() -> None:
    world = World()
    put(world, "a")
    link, daemon = linked(world)
    world.run(1)
    put(world, "b")
    world.run(1)
    old = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}}
    told = [json.dumps({"type": "BOOKMARK", "object": old}).encode() + b"\n"]
    world.rewrite = lambda effect, lines: (told.pop(),) if told else lines
    world.run(90)
    assert len(lists(daemon)) == 2 and link.held == {"a": "1", "b": "1"}


def test_one_list_of_a_front_end_that_lags_is_not_believed() -> None:
    world = World()
    put(world, "a")
    link, daemon = linked(world)
    world.run(1)
    stale = copy.deepcopy(world.clusters["eu"])
    put(world, "b")
    world.run(1)

    def lagging(effect: Request, perform: Perform) -> Input:
        current, world.clusters["eu"] = world.clusters["eu"], stale
        answer = perform()
        world.clusters["eu"] = current
        return answer

    world.rule(asks("GET", LIST), lagging)
    world.cut("configmaps", status=410)
    world.run(20)
    assert link.held == {"a": "1", "b": "1"} and ("-", "b") not in link.told
    assert len(lists(daemon)) == 3 and link.reflector.complete


def test_a_watch_that_falls_silent_tells_nothing_of_what_came_later_either() -> None:
    """In the simulated network as on a connection: what is told after something that was lost would have us believe that we know all."""
    world = World()
    link, daemon = linked(world)
    world.run(1)
    put(world, "a")
    world.run(0.0)  # on its way
    put(world, "b")
    for id in daemon.streams:
        world.network.stall(daemon, id)
    world.run(5)
    assert link.held == {}
    world.until(lambda: link.held == {"a": "1", "b": "1"}, WATCH_IDLE_SECONDS + 5)
