"""One cluster: reachable or not, what it serves, and how little is asked of it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from reconciler.core.identity import ClusterName, GroupKind, ObjectId
from reconciler.core.messages import Answer, Effect, Input, OpenWatch, Request, WatchClosed
from reconciler.sim.cluster.cluster import Cluster as SimCluster
from tests.core.driver import Daemon, Perform, World, asks, config_map, manifest, says, started, unit
from tests.core.test_observed import CONFIG_MAP, LIST, linked, put

WIDGET = GroupKind("example.org", "Widget")


def of(cluster: str) -> Any:
    return lambda e: isinstance(e, Request | OpenWatch) and e.cluster == cluster


def refused(effect: Any, perform: Perform) -> Input:
    """Nobody is there."""
    if isinstance(effect, OpenWatch):
        return WatchClosed(effect.id, 0, "no route to host")
    return Answer(effect.id, 0, error="no route to host")


def requests(daemon: Daemon, since: int = 0) -> list[Request]:
    return [e for e in daemon.sent[since:] if isinstance(e, Request)]


# -- reachability ----------


def test_a_cluster_that_does_not_answer_is_probed_and_asked_nothing_else() -> None:
    world, daemon = started({"clusters/us/x.yaml": config_map("x")}, clusters=("eu", "us"))
    world.rule(of("us"), refused, times=100_000)
    world.cut("configmaps", status=0)
    world.run(5)
    assert daemon.report.clusters[ClusterName("us")] == ("down", "no route to host")
    before = len(daemon.sent)
    world.commit({"clusters/us/x.yaml": config_map("x", "2"), "y.yaml": config_map("y")})
    world.run(3_600)
    sent = [e for e in daemon.sent[before:] if isinstance(e, Request | OpenWatch) and e.cluster == "us"]
    assert {e.path for e in sent} == {"/version"} and 60 <= len(sent) <= 90
    assert world.names() == ["y"] and len(daemon.said("cluster unreachable")) == 1
    world.rules = []
    world.until(lambda: world.get("x", cluster="us")["data"]["v"] == "2", 120)  # type: ignore[index]
    assert len(daemon.said("cluster reachable")) == 1


def test_after_an_interruption_watches_go_on_where_they_were() -> None:
    world = World()
    put(world, "a")
    link, daemon = linked(world)
    world.run(1)
    world.rule(lambda e: of("eu")(e) and not isinstance(e, OpenWatch), says(0, "down"), times=4)
    world.cut("configmaps", status=0)
    link.cluster.unreachable("for the test")
    put(world, "b")
    world.run(60)
    assert link.held == {"a": "1", "b": "1"} and len([r for r in requests(daemon) if r.path == LIST]) == 1
    assert link.cluster.state == "up" and link.states[-1] == "up"


def test_while_home_is_down_nothing_is_asked_of_it_but_whether_it_is_there() -> None:
    """No Lease, no record, no mark: an hour of nothing but probes. Back again, one daemon acts."""
    world, daemon = started({"x.yaml": config_map("x")})
    world.rule(of("eu"), refused, times=100_000)
    world.cut(status=0)
    world.commit({"x.yaml": config_map("x", "2")})
    world.run(60)
    before = len(daemon.sent)
    world.run(3_600)
    sent = [e for e in daemon.sent[before:] if isinstance(e, Request | OpenWatch)]
    assert {e.path for e in sent} == {"/version"} and 50 <= len(sent) <= 90
    told = daemon.report.standing_by
    assert told.startswith("the home cluster eu cannot be reached since 2030-03-17T17:46:4")
    assert told.endswith("no route to host; nothing is written to any cluster until it answers, which is tried at least every minute")
    world.rules = []
    world.until(lambda: world.get("x")["data"]["v"] == "2", 120)  # type: ignore[index]
    assert daemon.report.leading


@pytest.mark.parametrize("before", ["discovery", "records", "marks", "namespace"])
def test_a_home_that_goes_away_while_we_start_is_waited_for_in_silence(before: str) -> None:
    part = {"discovery": "/apis", "records": "/secrets", "marks": "/configmaps", "namespace": "/namespaces"}[before]
    world = World()
    world.commit({"x.yaml": config_map("x")})
    daemon = world.daemon()
    gone: list[float] = []

    def cuts(effect: Effect) -> bool:
        if isinstance(effect, Request) and part in effect.path:
            gone.append(world.steady)
        return bool(gone) and of("eu")(effect)

    world.rule(cuts, refused, times=100_000)
    world.run(60)
    count = len(daemon.sent)
    world.run(600)
    assert {e.path for e in daemon.sent[count:] if isinstance(e, Request | OpenWatch)} == {"/version"}
    world.rules = []
    world.until(lambda: world.names() == ["x"], 120)
    world.settle(daemon)


def test_a_discovery_that_fails_once_does_not_take_a_known_cluster_away() -> None:
    world, daemon = started({"x.yaml": config_map("x")})
    world.rule(discovers, says(503, "an aggregated server is slow"), times=3)
    daemon.engine.wire.after("again", 0.0, daemon.engine.clusters[ClusterName("eu")].refresh_discovery)
    world.run(1)
    world.commit({"x.yaml": config_map("x", "2")})
    world.until(lambda: world.get("x")["data"]["v"] == "2", 3)  # type: ignore[index]
    world.run(60)
    assert daemon.said("cluster unreachable") == [] and all(rule.used == 3 for rule in world.rules)


# -- another cluster ----------


@pytest.mark.parametrize("out_of_reach", [True, False])
@pytest.mark.parametrize("versions", [0, 500])
def test_another_cluster_behind_the_same_address_gets_everything(out_of_reach: bool, versions: int) -> None:
    """Its versions may be lower or higher than those of the old one: what is held of the old one says nothing about it."""
    files = {f"clusters/us/{i}.yaml": config_map(f"x{i}") for i in range(3)}
    world, daemon = started({**files, "y.yaml": config_map("y")}, clusters=("eu", "us"))
    world.clusters["us"] = SimCluster("us", 8, world.wall)
    for number in range(versions):
        world.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": f"other{number}"}}, cluster="us")
    if out_of_reach:
        world.rule(of("us"), refused, times=8)
    for name in ("configmaps", "secrets"):
        world.cut(name, status=0)
    world.until(lambda: world.names(cluster="us") == ["x0", "x1", "x2"], 300)
    world.settle(daemon, 300)
    assert len(daemon.said("another cluster, or its mark was deleted: all is looked at anew")) == 1
    assert daemon.requests("DELETE") == [] and daemon.report.healthy
    labels = world.call("GET", "/api/v1/namespaces/reconciler-system/configmaps", cluster="us")[1]["items"][0]["metadata"]["labels"]
    assert labels["reconciler.dev/marker"] == daemon.engine.store.installation


def test_a_connection_that_breaks_is_reason_to_ask_once_whether_it_is_the_same_cluster() -> None:
    world, daemon = started({"x.yaml": config_map("x")})
    before = len(daemon.sent)
    for _ in range(5):
        world.cut("configmaps", status=0)
        world.run(1)
    world.run(60)
    sent = [r for r in requests(daemon, before) if "/configmaps" in r.path]
    assert 1 <= len(sent) <= 3 and daemon.report.healthy
    assert [r for r in requests(daemon, before) if r.method != "GET" and "/leases" not in r.path] == []


def test_a_list_that_always_takes_too_long_does_not_take_the_cluster_away() -> None:
    """One kind times out, everything else is answered."""
    world, daemon = started({"x.yaml": config_map("x"), "s.yaml": manifest("v1", "ServiceAccount", "s", "default")})
    world.rule(asks("GET", "/api/v1/serviceaccounts"), says(0, "timed out"), times=100_000, seconds=60)
    again = world.restart(daemon)
    world.run(1_200)
    assert again.said("cluster unreachable") == []
    world.commit({"x.yaml": config_map("x", "2")})
    world.run(5)
    assert world.get("x")["data"]["v"] == "2"  # type: ignore[index]


def test_one_answer_that_is_lost_is_no_reason_to_give_up() -> None:
    world, daemon = started({"x.yaml": config_map("x")})
    world.rule(asks("PATCH", "/y"), says(0, "reset"), times=1)
    world.commit({"y.yaml": config_map("y")})
    world.until(lambda: world.names() == ["x", "y"], 20)
    assert daemon.said("cluster unreachable") == []


def test_refused_credentials_are_told_and_tried_again() -> None:
    world, daemon = started({"x.yaml": config_map("x")})
    rule = world.rule(of("eu"), lambda e, perform: Answer(e.id, 401) if isinstance(e, Request) else None, times=100_000)
    world.commit({"x.yaml": config_map("x", "2")})
    world.run(600)
    assert daemon.report.clusters[ClusterName("eu")][0] == "down" and rule.used < 700
    world.rules = []
    world.until(lambda: world.get("x")["data"]["v"] == "2", 120)  # type: ignore[index]


# -- what is served ----------


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b'{"kind": "APIVersions", "versions": ["v1"]}', b'{"kind": "APIGroupDiscoveryList", "items": [{}]}', b"\xff"],
    ids=str,
)
def test_an_old_server_or_something_else_is_told(body: bytes) -> None:
    world = World()
    world.rule(asks("GET", "/api"), lambda e, perform: Answer(e.id, 200, body), times=8)
    link, _ = linked(world)
    world.run(3)
    assert link.cluster.state == "down" and "older than Kubernetes 1.30, or this is none" in link.cluster.problem
    world.run(120)
    assert link.states[-1] == "up"


def discovers(effect: Effect) -> bool:
    return isinstance(effect, Request) and effect.path == "/apis"


def stale(group: str) -> Any:
    """Discovery while the server of a group does not answer: the group is there, and stale."""

    def answer(effect: Request, perform: Perform) -> Input:
        given = perform()
        assert isinstance(given, Answer)
        body = json.loads(given.body)
        body["items"] = [item for item in body["items"] if item["metadata"]["name"] != group]
        body["items"].append({"metadata": {"name": group}, "versions": [{"version": "v1", "freshness": "Stale"}]})
        return Answer(effect.id, 200, json.dumps(body).encode())

    return answer


def test_the_kinds_of_a_stale_group_are_unknown_and_nothing_is_pruned_until_they_are_not() -> None:
    files = {"a/r.yaml": manifest("rbac.authorization.k8s.io/v1", "Role", "r", "default", rules=[]), "a/x.yaml": config_map("x")}
    world, daemon = started({**files, "k.yaml": config_map("k")})
    rule = world.rule(discovers, stale("rbac.authorization.k8s.io"), times=5)
    world.kill(daemon)
    world.commit({"a/r.yaml": None, "a/x.yaml": None})
    again = world.daemon()
    world.run(4)
    assert again.requests("DELETE") == [] and not again.engine.clusters[ClusterName("eu")].all_listed
    assert "not every kind of the cluster is listed yet" in unit(again, "a").message
    world.until(lambda: len(again.requests("DELETE")) == 2, 1_000)
    assert rule.used == 5


def test_what_is_wanted_of_a_stale_group_waits_and_says_for_what() -> None:
    world = World()
    world.rule(discovers, stale("rbac.authorization.k8s.io"), times=4)
    world.commit({"a/r.yaml": manifest("rbac.authorization.k8s.io/v1", "Role", "r", "default", rules=[])})
    daemon = world.daemon()
    world.run(2)
    told = unit(daemon, "a")
    assert told.state == "Reconciling" and "the server of rbac.authorization.k8s.io does not answer" in told.message
    world.settle(daemon, 600)
    world.until(lambda: unit(daemon, "a").state == "Healthy", 600)


def test_a_kind_that_cannot_be_watched_holds_up_nothing_else() -> None:
    """Some kinds are only answered: written in Git, they are told, and nobody waits for a list of them."""
    spec = {"nonResourceAttributes": {"path": "/", "verb": "get"}}
    review = manifest("authorization.k8s.io/v1", "SelfSubjectAccessReview", "r", spec=spec)
    world = World()
    world.commit({"a/r.yaml": review, "b/x.yaml": config_map("x"), "b/y.yaml": config_map("y")})
    daemon = world.daemon()
    world.run(10)
    told = unit(daemon, "a")
    assert told.state == "Failed" and "a/r.yaml" in told.message and "cannot be watched" in told.message
    world.commit({"b/x.yaml": None})
    world.until(lambda: world.names() == ["y"], 30)
    world.commit({"a/r.yaml": None})
    world.settle(daemon)
    assert daemon.report.healthy


# -- looking ----------


def looks(daemon: Daemon) -> list[Request]:
    return [r for r in requests(daemon) if "PartialObjectMetadata" in r.accept]


@pytest.mark.parametrize(("count", "asked"), [(1, 1), (3, 3), (4, 1), (40, 1)])
def test_few_are_looked_for_one_by_one_and_many_by_a_list(count: int, asked: int) -> None:
    world, daemon = started({"k.yaml": config_map("k")})
    before = len(looks(daemon))
    world.commit({f"a/{i}.yaml": config_map(f"a{i}") for i in range(count)})
    world.settle(daemon)
    assert len(looks(daemon)) - before == asked


def test_a_look_by_list_goes_through_all_pages() -> None:
    world = World()
    for i in range(520):
        put(world, f"b{i:03}", ours="2")
    world.commit({f"a/{i}.yaml": config_map(f"b{i:03}") for i in (0, 499, 500, 519)})
    daemon = world.daemon()
    world.settle(daemon)
    assert len(looks(daemon)) == 2 and daemon.requests("PATCH") == []
    assert unit(daemon, "a").lanes[0].message.count("exists and is not ours") == 1 and unit(daemon, "a").lanes[0].healthy == 0


@pytest.mark.parametrize("status", [0, 403, 410, 500])
@pytest.mark.parametrize("count", [2, 5])
def test_a_look_that_is_refused_is_no_absence(status: int, count: int) -> None:
    """What exists may not be ours: nothing is applied before somebody knows."""
    world = World()
    for i in range(count):
        put(world, f"a{i}", ours="2")
    world.rule(lambda e: isinstance(e, Request) and "PartialObjectMetadata" in e.accept, says(status, "not now"), times=count)
    world.commit({f"a/{i}.yaml": config_map(f"a{i}") for i in range(count)})
    daemon = world.daemon()
    world.run(1)
    assert daemon.requests("PATCH") == [] and "nobody knows whether it exists" in unit(daemon, "a").message
    world.run(60)
    assert daemon.requests("PATCH") == [] and unit(daemon, "a").message.count("exists and is not ours") == 1


# -- kinds that come and go ----------


def test_a_kind_that_is_not_served_any_more_has_no_objects() -> None:
    world = World()
    put(world, "a")
    link, _ = linked(world, (CONFIG_MAP, WIDGET))
    world.run(1)
    assert link.cluster.listed(WIDGET) and link.cluster.all_listed


def test_a_kind_that_nobody_serves_is_looked_for_later_and_later_and_only_while_somebody_waits_for_it() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x"), "a/w.yaml": manifest("example.org/v1", "Widget", "w", spec={"n": 1})})
    daemon = world.daemon()

    def looks(seconds: float) -> int:
        before = len(daemon.requests("GET", "/apis"))
        world.run(seconds)
        return len([r for r in daemon.requests("GET", "/apis")[before:] if r.path == "/apis"])

    assert 14 <= looks(3_600) <= 30
    world.commit({"a/w.yaml": None})
    assert looks(400) <= 1 and looks(7_200) == 0
    world.commit({"a/w.yaml": manifest("example.org/v1", "Widget", "w", spec={"n": 1})})
    assert looks(60) >= 4, "as if it had never been waited for"


def test_an_object_of_somebody_else_is_followed_by_name() -> None:
    world = World()
    link, daemon = linked(world)
    world.run(1)
    told: list[bool] = []
    id = ObjectId("", "ConfigMap", "default", "theirs")

    def follow() -> None:
        link.cluster.followed.ask(id, lambda old, new: told.append(new is not None))

    link.wire.after("follow", 0.0, follow)
    world.run(1)
    reflector = link.cluster.followed.ask(id, lambda old, new: None)
    assert reflector is not None and len(link.cluster.followed.reflectors) == 1
    assert reflector.complete and reflector.objects == {}
    put(world, "theirs", ours="2")
    put(world, "another", ours="2")
    world.run(1)
    assert [live.id for live in reflector.objects.values()] == [id] and told[-1]
    assert link.cluster.followed.ask(ObjectId("nowhere.org", "Thing", "", "x"), lambda old, new: None) is None
    watched: list[Effect] = [e for e in daemon.sent if isinstance(e, OpenWatch)]
    assert len(watched) == 2


def free(daemon: Daemon) -> int:
    return daemon.engine.clusters[ClusterName("eu")].slots.free


def test_writes_are_bounded() -> None:
    """So many at once, and the next when one is answered."""
    world = World()
    world.commit({f"{folder}/{i}.yaml": config_map(f"{folder}{i}") for folder in "abcd" for i in range(10)})
    most: list[int] = []
    daemon = world.daemon(requests_in_flight=4)

    def counted(effect: Request, perform: Perform) -> Input:
        most.append(4 - free(daemon))
        return perform()

    world.rule(asks("PATCH", "/configmaps"), counted, times=1_000)
    world.settle(daemon)
    assert len(world.names()) == 40 and max(most) == 4
    assert free(daemon) == 4


@pytest.mark.parametrize("hanging", [1, 2, 6])
def test_units_whose_writes_hang_leave_others_their_latency(hanging: int) -> None:
    """A webhook that hangs for the objects of some folders: a change of another one goes through as ever, then and an hour later."""
    world, daemon = started({"k/k.yaml": config_map("k")})
    world.rule(asks("PATCH", "/hang"), says(0, "no answer within 30 s"), times=100_000, seconds=30)
    world.commit({f"h{n}/{i}.yaml": config_map(f"hang-{n}-{i}") for n in range(hanging) for i in range(40)})
    for seconds in (1, 40, 600, 3_600):
        world.run(seconds)
        if hanging < 6 or seconds > 1:  # six at once, of which nobody knows yet, may take all of it for half a minute
            world.commit({f"k/{i}.yaml": config_map(f"k{seconds}-{i}") for i in range(6)})
            last = f"k{seconds}-5"
            world.until(partial(lambda name: name in world.names(), last), 3)
    world.rules = []
    world.until(lambda: sum(name.startswith("hang-") for name in world.names()) == 40 * hanging, 1_000)
    world.settle(daemon, 600)
    assert free(daemon) == 16


def test_an_hour_in_which_all_is_slow_is_no_standstill() -> None:
    """Every write takes six seconds: still several at once."""
    world = World()
    world.rule(asks("PATCH", "/configmaps"), lambda e, perform: perform(), times=100_000, seconds=6)
    world.commit({f"a/{i}.yaml": config_map(f"a{i}") for i in range(40)})
    world.daemon()
    world.until(lambda: len(world.names()) == 40, 80)
