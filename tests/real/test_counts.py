"""What a change costs, counted: reads, parses, plans, requests, writes."""

from __future__ import annotations

import pytest

from reconciler.core.messages import Fetch, ListRefs, Push
from tests.real.fleet import Fleet
from tests.waiting import until


def test_one_changed_file_of_ten_thousand(fleet: Fleet) -> None:
    """50 folders of 200 files. Only one folder is applied: the others are under hub/, which is read and not applied."""
    files = {f"hub/f{folder}/{i}.yaml": fleet.config_map(f"c{folder}-{i}") for folder in range(49) for i in range(200)}
    files |= {f"live/{i}.yaml": fleet.config_map(f"live-{i}") for i in range(199)}
    first = fleet.commit({"live/namespace.yaml": fleet.namespace(), **files})
    with fleet.daemon(clusters={"eu": fleet.eu.kubeconfig}) as daemon:
        daemon.wait(first, limit_seconds=120)
        until(lambda: not daemon.engine.wire.in_flight, "all is answered", 10)
        plans = {key: unit.plans for key, unit in daemon.engine.units.units.items()}
        before = (daemon.parses, daemon.repository.counts.blobs_read, len(daemon.requests()), len(daemon.watches()))
        second = fleet.commit({"live/7.yaml": fleet.config_map("live-7", "2")})
        daemon.wait(second)
        planned = {str(key): unit.plans - plans[key] for key, unit in daemon.engine.units.units.items() if unit.plans != plans[key]}
        sent = [(r.method, r.path.rsplit("/", 1)[1]) for r in daemon.requests()[before[2] :] if "/leases" not in r.path]
        assert (daemon.parses - before[0], daemon.repository.counts.blobs_read - before[1]) == (1, 1)
        assert planned == {"live": 1}
        assert sent == [("PATCH", "live-7")]
        assert len(daemon.watches()) == before[3]


@pytest.mark.deep
@pytest.mark.timeout(200)
def test_an_idle_minute_is_silent(fleet: Fleet) -> None:
    _assert_silent(fleet, seconds=60)


def test_an_idle_while_is_silent(fleet: Fleet) -> None:
    """The everyday form of the idle minute: some thirty polls and the Lease."""
    _assert_silent(fleet, seconds=6)


def _assert_silent(fleet: Fleet, seconds: int) -> None:
    first = fleet.commit(
        {"a/namespace.yaml": fleet.namespace(), "a/web.yaml": fleet.deployment("web"), **{f"a/{i}": "x" for i in range(3)}}
        | {f"b/{i}.yaml": fleet.config_map(f"b{i}") for i in range(20)}
    )
    with fleet.daemon() as daemon:
        daemon.wait(first)
        until(lambda: all(p.idle for p in daemon.engine.publishers.values()), "the status is published", 40)
        until(lambda: not daemon.engine.wire.in_flight, "all is answered", 10)
        plans = sum(unit.plans for unit in daemon.engine.units.units.values())
        mark, parses = len(daemon.effects), daemon.parses
        listings = daemon.repository.counts.listings
        until(lambda: daemon.repository.counts.listings >= listings + seconds * 4, "some polls have passed", seconds * 3)
        seen = daemon.effects[mark:]
        assert daemon.parses == parses
        assert [r for r in daemon.requests() if r in seen and "/leases/reconciler" not in r.path] == []
        assert [effect for effect in seen if isinstance(effect, Fetch | Push)] == []
        assert sum(isinstance(effect, ListRefs) for effect in seen) >= seconds * 4
        assert sum(unit.plans for unit in daemon.engine.units.units.values()) == plans


def test_a_status_commit_plans_nothing(fleet: Fleet) -> None:
    first = fleet.commit({"a/namespace.yaml": fleet.namespace(), "a/c.yaml": fleet.config_map("c")})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        until(lambda: all(p.idle for p in daemon.engine.publishers.values()), "the status is published", 40)
        plans = sum(unit.plans for unit in daemon.engine.units.units.values())
        pushes, listings, parses = daemon.repository.counts.pushes, daemon.repository.counts.listings, daemon.parses
        assert fleet.read("refs/heads/reconciler-status", "STATUS.md"), "there is a status commit"
        until(lambda: daemon.repository.counts.listings >= listings + 3, "it has been seen by polls", 10)
        assert sum(unit.plans for unit in daemon.engine.units.units.values()) == plans
        assert (daemon.repository.counts.pushes, daemon.parses) == (pushes, parses)
