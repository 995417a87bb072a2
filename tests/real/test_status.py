"""The status branch of a whole daemon: what people read there, and what a restart does to it."""

from __future__ import annotations

import pygit2
import pytest

from tests.daemon import Daemon
from tests.real.fleet import Fleet
from tests.waiting import until

pytestmark = pytest.mark.real

STATUS = "refs/heads/reconciler-status"


def published(daemon: Daemon) -> None:
    until(lambda: all(publisher.idle for publisher in daemon.engine.publishers.values()), "the status is published", 60)


def tip(fleet: Fleet) -> str:
    return str(pygit2.Repository(str(fleet.path)).references[STATUS].target)


def test_a_restart_in_an_unchanged_world_pushes_nothing(fleet: Fleet) -> None:
    fleet.commit({"a/namespace.yaml": fleet.namespace(), "a/web.yaml": fleet.deployment("web"), "b/c.yaml": fleet.config_map("c")})
    last = fleet.commit({"b/c.yaml": fleet.config_map("c", "2")}, message="Only | b")
    with fleet.daemon() as daemon:
        daemon.wait(last)
        published(daemon)
        later = fleet.commit({"b/c.yaml": fleet.config_map("c", "3")}, message="Only @b")
        daemon.wait(later)
        published(daemon)
        since = {str(unit.key): int(unit.since) for unit in daemon.report().units}
    before, page = tip(fleet), fleet.read(STATUS, "STATUS.md")
    assert page is not None and b"2 units: 2 Healthy" in page
    assert last[:7].encode() in page and later[:7].encode() in page  # a changed by the one, b by the other
    with fleet.daemon() as daemon:
        daemon.wait(later)
        published(daemon)
        listings = daemon.repository.counts.listings
        until(lambda: daemon.repository.counts.listings >= listings + 5, "some polls have passed", 10)
        assert daemon.repository.counts.pushes == 0 and tip(fleet) == before
        assert {str(unit.key): int(unit.since) for unit in daemon.report().units} == since


def test_a_file_that_cannot_be_read_stands_on_the_page(fleet: Fleet) -> None:
    first = fleet.commit({"a/namespace.yaml": fleet.namespace(), "b/c.yaml": fleet.config_map("c")})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        published(daemon)
        fleet.commit({"b/c.yaml": "a: [\n"})
        until(lambda: b"1 Held" in (fleet.read(STATUS, "STATUS.md") or b""), "the page says that b is held", 20)
        page = (fleet.read(STATUS, "STATUS.md") or b"").decode()
        assert "* b/c.yaml:2:1: " in page and "held as of" in page
        file = (fleet.read(STATUS, "status/units/b.yaml") or b"").decode()
        assert "state: Held" in file and first[:7] in file
