"""Records and marks: a first start, a restart, a lost store, and every way in which a write may end."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from reconciler.core.identity import ClusterName, GroupKind, Instant, SourceName
from reconciler.core.kind import Kind, Plan, Spec, Status
from reconciler.core.messages import Answer, Input, Request
from reconciler.core.records import LABEL, secret_name
from reconciler.core.settings import SourceSettings
from reconciler.core.store import RECORDS_IN_FLIGHT
from reconciler.core.view import View
from reconciler.kinds import KINDS
from tests.core.driver import Daemon, Json, Perform, World, asks, config_map, manifest, says, unheard, unit

STORE = "/api/v1/namespaces/reconciler-system"
SECRETS = f"{STORE}/secrets"
MARKERS = f"{STORE}/configmaps"
SERVICE = manifest("v1", "Service", "s", "default", spec={"ports": [{"port": 80}]})


def running(world: World, **changes: Any) -> Daemon:
    world.commit({"a/x.yaml": config_map("x"), "b/keep.yaml": config_map("keep")})
    daemon = world.daemon(**changes)
    world.settle(daemon)
    return daemon


def records(world: World) -> dict[str, Any]:
    """All records, unpacked by hand."""
    _, body = world.call("GET", f"{SECRETS}?labelSelector={LABEL}")
    found = {}
    for item in body["items"]:
        data = item["data"]
        found[base64.b64decode(data["key"]).decode()] = json.loads(zlib.decompress(base64.b64decode(data["record"])))
    return found


def record(world: World, key: str, value: Any = None, name: str = "", raw: bytes = b"") -> Json:
    """A Secret that holds a record, as somebody else writes it."""
    packed = base64.b64encode(raw or zlib.compress(json.dumps(value).encode())).decode()
    data = {"key": base64.b64encode(key.encode()).decode(), "record": packed}
    metadata = {"name": name or secret_name(key), "labels": {LABEL: "head"}}
    return {"apiVersion": "v1", "kind": "Secret", "type": "reconciler.dev/record", "metadata": metadata, "data": data}


def put(world: World, secret: Json) -> None:
    name = secret["metadata"]["name"]
    status, body = world.call("POST", SECRETS, secret)
    if status == 409:
        status, body = world.call("PUT", f"{SECRETS}/{name}", secret)
    assert status in (200, 201), body


def lose_store(world: World, cluster: str = "", markers: bool = False) -> None:
    for plural in ("secrets", "configmaps") if markers else ("secrets",):
        _, body = world.call("GET", f"{STORE}/{plural}", cluster=cluster)
        for item in body["items"]:
            world.call("DELETE", f"{STORE}/{plural}/{item['metadata']['name']}", cluster=cluster)


def test_a_first_start_draws_an_installation_and_marks_every_cluster() -> None:
    world = World(clusters=("eu", "us"))
    daemon = running(world)
    store = daemon.engine.store
    assert not store.lost and len(store.installation) == 10
    for cluster in ("eu", "us"):
        marker = world.get(f"reconciler-{store.installation}", namespace="reconciler-system", cluster=cluster)
        assert marker and marker["data"] == {"installation": store.installation, "sources": "fleet https://git.example.org/fleet ."}
    assert records(world)["cluster:eu"] == {"kinds": ["/ConfigMap"]} and "cluster:us" not in records(world)
    assert world.call("GET", f"{STORE}/secrets", cluster="us")[1].get("items", []) == []


def test_kinds_are_written_down_before_anything_of_them_is_applied() -> None:
    world = World()
    daemon = running(world)
    world.commit({"a/s.yaml": SERVICE})
    world.until(lambda: daemon.requests("PATCH", "/services/s"))
    assert records(world)["cluster:eu"] == {"kinds": ["/ConfigMap", "/Service"]}
    paths = [e.path for e in daemon.sent if isinstance(e, Request) and e.method in ("PUT", "PATCH")]
    assert paths[-2].startswith(SECRETS) and paths[-1].endswith("/services/s")


def test_a_restart_finds_everything_and_writes_nothing() -> None:
    world = World()
    daemon = running(world)
    again = world.restart(daemon)
    world.settle(again)
    assert again.engine.store.installation == daemon.engine.store.installation
    assert again.requests() == [] and unit(again, "a").state == "Healthy"
    assert not [e for e in again.sent if isinstance(e, Request) and e.method != "GET" and "/leases" not in e.path]


def test_a_lost_store_is_found_again_by_its_marker() -> None:
    world = World()
    daemon = running(world)
    lose_store(world)
    again = world.restart(daemon)
    world.settle(again)
    assert again.engine.store.lost and again.engine.store.installation == daemon.engine.store.installation
    assert unit(again, "a").state == "Healthy" and again.said("record store was lost")
    world.commit({"a/x.yaml": None})
    world.settle(again)
    assert world.names() == ["keep"], "what was ours is ours"


def test_a_lost_home_is_found_again_by_the_marker_of_another_cluster_however_slow() -> None:
    world = World(clusters=("eu", "us"))
    world.commit({"clusters/us/a/x.yaml": config_map("x")})
    daemon = world.daemon()
    world.settle(daemon)
    lose_store(world, markers=True)
    world.rule(asks("GET", "/api", "us"), lambda e, perform: perform(), seconds=4)
    again = world.restart(daemon)
    world.settle(again)
    assert again.engine.store.lost and again.engine.store.installation == daemon.engine.store.installation
    assert unit(again, "clusters/us/a").state == "Healthy"


def test_a_store_that_is_deleted_while_we_run_is_made_anew() -> None:
    world = World()
    daemon = running(world)
    before = daemon.engine.store.installation
    assert world.call("DELETE", STORE)[0] == 200
    world.run(60)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.settle(daemon)
    assert daemon.engine.store.installation == before and unit(daemon, "a").state == "Healthy"
    assert world.get("x")["data"] == {"v": "2"}  # type: ignore[index]
    again = world.restart(daemon)
    world.settle(again)
    assert again.engine.store.installation == before and again.requests() == []


@pytest.mark.parametrize("status", [500, 403, 0])
def test_markers_that_cannot_be_read_are_not_absent(status: int) -> None:
    world = World()
    daemon = running(world)
    lose_store(world)
    world.rule(asks("GET", MARKERS), says(status), times=3)
    again = world.restart(daemon)
    world.settle(again)
    assert again.engine.store.installation == daemon.engine.store.installation


def marker(installation: str, sources: str) -> Json:
    metadata = {"name": f"reconciler-{installation}", "labels": {"reconciler.dev/marker": installation}}
    return {"metadata": metadata, "data": {"installation": installation, "sources": sources}}


@pytest.mark.parametrize(
    "others",
    [
        [("aa", "fleet https://git.example.org/other .")],
        [("aa", "fleet https://git.example.org/fleet ."), ("bb", "fleet https://git.example.org/fleet .")],
    ],
    ids=["of another source", "more than one of ours"],
)
def test_marks_that_say_nothing_for_certain_are_a_first_start(others: list[tuple[str, str]]) -> None:
    world = World()
    world.call("POST", "/api/v1/namespaces", {"metadata": {"name": "reconciler-system"}})
    for other in others:
        assert world.call("POST", MARKERS, marker(*other))[0] == 201
    world.call("POST", MARKERS, {"metadata": {"name": "odd", "labels": {"reconciler.dev/marker": "x"}}, "data": {"installation": "x"}})
    world.call("POST", MARKERS, {"metadata": {"name": "empty", "labels": {"reconciler.dev/marker": "x"}}})
    daemon = running(world)
    assert not daemon.engine.store.lost and daemon.engine.store.installation not in ("aa", "bb", "x")
    assert unit(daemon, "a").state == "Healthy"


def sources(*urls: tuple[str, str]) -> tuple[SourceSettings, ...]:
    return tuple(SourceSettings(SourceName(name), url, status_branch="") for name, url in urls)


def test_another_repository_under_the_same_source_is_held_off_until_a_person_decides() -> None:
    world = World()
    daemon = running(world)
    world.kill(daemon)
    other = world.daemon(sources=sources(("fleet", "https://git.example.org/elsewhere")))
    world.commit({"a/x.yaml": None, "b/z.yaml": config_map("z")})
    world.run(60)
    told = unit(other, "b")
    assert told.state == "Unknown" and "pinned to https://git.example.org/fleet ." in told.message
    assert other.requests() == [] and world.names() == ["keep", "x"]
    world.call("DELETE", f"{MARKERS}/reconciler-{other.engine.store.installation}")
    world.settle(other)
    assert world.names() == ["keep", "z"]


def test_one_more_source_is_no_other_installation() -> None:
    world = World(sources=("fleet", "more"))
    world.repos["more"].commit({"m/y.yaml": config_map("y")})
    world.commit({"a/x.yaml": config_map("x")})
    first = world.daemon(sources=sources(("fleet", "https://git.example.org/fleet")))
    world.until(lambda: world.names() == ["x"])
    world.kill(first)
    daemon = world.daemon()
    world.settle(daemon)
    assert world.names() == ["x", "y"] and daemon.engine.store.installation == first.engine.store.installation
    held = world.get(f"reconciler-{daemon.engine.store.installation}", namespace="reconciler-system")
    assert held and len(held["data"]["sources"].splitlines()) == 2


# -- how a write may end ----------


def test_a_record_that_another_wrote_is_read_again_and_not_overwritten() -> None:
    world = World()
    daemon = running(world)
    put(world, record(world, "cluster:eu", {"kinds": ["/ConfigMap", "apps/Deployment"]}))
    world.commit({"a/s.yaml": SERVICE})
    world.settle(daemon)
    assert records(world)["cluster:eu"] == {"kinds": ["/ConfigMap", "/Service", "apps/Deployment"]}


def test_a_write_that_nobody_heard_of_is_read_again_and_not_repeated() -> None:
    world = World()
    daemon = running(world)
    before = len([e for e in daemon.sent if asks("PUT", SECRETS)(e)])
    world.rule(asks("PUT", SECRETS), unheard)
    world.commit({"a/s.yaml": SERVICE})
    world.settle(daemon)
    assert len([e for e in daemon.sent if asks("PUT", SECRETS)(e)]) == before + 1
    assert world.get("s", "services")


@pytest.mark.parametrize("status", [403, 422, 500])
def test_writes_that_are_always_refused_are_tried_later_and_later_and_told(status: int) -> None:
    world = World()
    daemon = running(world)
    rule = world.rule(asks("PUT", SECRETS), says(status, "quota exceeded"), times=1_000)
    world.commit({"a/s.yaml": SERVICE})
    world.run(120)
    assert 2 <= rule.used <= 20 and world.get("s", "services") is None
    assert {"record": "cluster:eu", "reason": "quota exceeded"}.items() <= daemon.said("record not stored")[0].items()
    assert len(daemon.said("record not stored")) == 1
    world.rules = []
    world.settle(daemon)
    assert world.get("s", "services")


def test_a_first_start_that_may_write_no_record_does_not_spin() -> None:
    world = World()
    rule = world.rule(asks("POST", SECRETS), says(403, "no secrets for you"), times=1_000)
    world.commit({"a/x.yaml": config_map("x")})
    daemon = world.daemon()
    world.run(120)
    assert 2 <= rule.used <= 20 and daemon.requests("PATCH") == [] and not daemon.engine.store.ready
    assert not daemon.said("record store was lost")


def welcome(effect: Request, perform: Perform) -> Input:
    return Answer(effect.id, 200, b"<html>welcome</html>")


@pytest.mark.parametrize("path", [SECRETS, MARKERS, "/leases", "/namespaces"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_page_of_a_proxy_is_no_answer_and_no_crash(method: str, path: str) -> None:
    world = World()
    world.rule(lambda e: asks(method, path)(e) and ("namespaces/" in e.path or method == "POST"), welcome, times=3)  # type: ignore[union-attr]
    daemon = running(world)
    world.commit({"a/s.yaml": SERVICE})
    world.settle(daemon)
    assert world.get("s", "services")


# -- what others do to records ----------


@pytest.mark.parametrize(
    "broken",
    [
        {"key": "unit", "raw": b"junk"},
        {"key": "unit", "value": [1]},
        {"key": "installation", "value": {}},
        {"key": "installation", "value": {"id": "x", "key": "no hex"}},
        {"key": "installation", "value": "x"},
        {"key": "cluster:eu", "value": {}},
        {"key": "cluster:eu", "value": {"kinds": ["ConfigMap"]}},
        {"key": "cluster:eu", "value": {"kinds": 3}},
    ],
    ids=str,
)
def test_a_record_that_is_none_stops_everything_and_is_named(broken: dict[str, Any]) -> None:
    """Unknown is not empty: nothing is done until a person has looked."""
    world = World()
    daemon = running(world)
    before = records(world)
    put(world, record(world, **broken))
    world.commit({"a/x.yaml": None})
    again = world.restart(daemon)
    world.run(30)
    assert again.requests() == [] and world.names() == ["keep", "x"]
    assert secret_name(broken["key"]) in again.report.standing_by
    if broken["key"] in before:
        put(world, record(world, broken["key"], before[broken["key"]]))
    else:
        world.call("DELETE", f"{SECRETS}/{secret_name(broken['key'])}")
    world.settle(again)
    assert world.names() == ["keep"]


def test_a_copy_of_a_record_under_another_name_is_nobodys() -> None:
    """As backup tools make them: with an older content, and read after the true one."""
    world = World()
    daemon = running(world)
    put(world, record(world, "cluster:eu", {"kinds": []}, name=f"{secret_name('cluster:eu')}-copy"))
    put(world, record(world, "installation", {"id": "other", "key": "00"}, name="zzz"))
    again = world.restart(daemon)
    world.settle(again)
    assert again.engine.store.installation == daemon.engine.store.installation
    assert unit(again, "a").state == "Healthy" and again.requests() == []


def test_what_was_read_before_leadership_was_lost_is_not_acted_on() -> None:
    """The list began under an older term: another daemon may have written since."""
    world = World()
    daemon = running(world)
    world.kill(daemon)
    one = world.daemon("one")
    slow = world.rule(asks("GET", SECRETS), lambda e, perform: perform(), seconds=60)
    world.until(lambda: slow.used, 20)
    world.rule(asks("PUT", "/leases"), says(500), times=12)
    world.until(lambda: not one.engine.store.lease.leading, 60)
    put(world, record(world, "cluster:eu", {"kinds": ["/ConfigMap", "apps/Deployment"]}))
    world.run(90)
    assert one.engine.store.leading
    assert one.engine.store.records["cluster:eu"].value == {"kinds": ["/ConfigMap", "apps/Deployment"]}


def test_a_cluster_that_is_not_home_holds_no_records() -> None:
    world = World(clusters=("eu", "us"))
    world.commit({"a/x.yaml": config_map("x")})
    daemon = world.daemon(home=ClusterName("us"))
    world.settle(daemon)
    assert world.call("GET", SECRETS)[1]["items"] == []
    assert len(world.call("GET", SECRETS, cluster="us")[1]["items"]) == 2


# -- many records at once ----------


STEPS = {f"s/{n}.yaml": manifest("example.org/v1", "Step", f"s{n}", "default") for n in range(40)}


def remembers(spec: Spec, view: View, now: Instant) -> Plan:
    """Every root has something to write down."""
    return Plan(record={"seen": spec.manifests[0].name} if spec.manifests else None, status=Status("Healthy"))


def many(**more: Any) -> tuple[World, Daemon]:
    world = World(kinds=(*KINDS, Kind("step", remembers, roots=(GroupKind("example.org", "Step"),))), **more)
    world.commit({**STEPS, "a/x.yaml": config_map("x")})
    return world, world.daemon()


def stored(world: World) -> list[str]:
    return sorted(key for key in records(world) if "/Step/" in key)


def test_of_many_records_few_are_written_at_once_and_the_lease_waits_for_none() -> None:
    """The first get no answer for a while: the Lease is renewed all the same."""
    world, daemon = many()
    rule = world.rule(asks("POST", SECRETS), lambda _, perform: perform(), times=1_000, seconds=25.0)
    world.until(lambda: rule.used > 1, 60)
    begun = len([e for e in daemon.sent if asks("PUT", "/leases")(e)])
    world.run(20)
    assert rule.used == 1 + RECORDS_IN_FLIGHT, "the installation's own, and not one more before one of these is answered"
    assert daemon.engine.store.leading
    assert len([e for e in daemon.sent if asks("PUT", "/leases")(e)]) > begun
    world.rules = []
    world.settle(daemon, 300)
    assert len(stored(world)) == 40
    posts = [e.path for e in daemon.sent if isinstance(e, Request) and asks("POST", SECRETS)(e)]
    assert len(posts) == 40 + len(records(world)) - len(stored(world)), "and none of them twice"


def test_records_that_wait_when_the_lease_is_lost_are_written_when_it_is_back() -> None:
    world, daemon = many()
    rule = world.rule(asks("POST", SECRETS), lambda _, perform: perform(), times=1_000, seconds=25.0)
    world.until(lambda: rule.used > 1, 60)
    world.rules = []
    refuse = world.rule(asks("PUT", "/leases"), says(500), times=1_000)
    world.until(lambda: not daemon.engine.store.leading, 60)
    world.run(60)
    assert len(stored(world)) <= 9 and refuse.used
    world.rules = []
    world.settle(daemon, 300)
    assert len(stored(world)) == 40


def test_a_crash_with_records_that_wait_loses_none() -> None:
    world, daemon = many()
    rule = world.rule(asks("POST", SECRETS), lambda _, perform: perform(), times=1_000, seconds=25.0)
    world.until(lambda: rule.used > 1, 60)
    world.rules = []
    assert len(stored(world)) < 40
    again = world.restart(daemon)
    world.settle(again, 300)
    assert len(stored(world)) == 40
