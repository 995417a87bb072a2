"""When all is said to be well, and who says it: never before it is so, never of what is not known, and not after the end."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.identity import ClusterName, SourceName
from reconciler.core.messages import (
    CloseWatch,
    GitFailure,
    Input,
    ListRefs,
    OpenWatch,
    Push,
    Pushed,
    RefsListed,
    Request,
    Stop,
    WatchClosed,
)
from reconciler.core.settings import SourceSettings
from tests.core.driver import Daemon, Perform, World, asks, config_map, manifest, says, unit
from tests.core.test_term import taken

EU = ClusterName("eu")
MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
FILES = {"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y"), "k/k.yaml": config_map("k")}
WITH_STATUS = (SourceSettings(SourceName("fleet"), "https://git.example.org/fleet"),)


def started(files: dict[str, Any] | None = None, **more: Any) -> tuple[World, Daemon]:
    world = World()
    world.commit(files or FILES)
    daemon = world.daemon(**more)
    world.settle(daemon)
    assert daemon.report.healthy
    return world, daemon


def unreadable(world: World, daemon: Daemon) -> None:
    """The source cannot be read."""
    world.rule(lambda e: isinstance(e, ListRefs), lambda e, perform: RefsListed(e.id, GitFailure("no route")), times=1_000)


def unreachable(world: World, daemon: Daemon) -> None:
    """The cluster does not answer."""

    def nobody(effect: Any, perform: Perform) -> Input:
        return WatchClosed(effect.id, 0, "no route") if isinstance(effect, OpenWatch) else says(0, "no route")(effect, perform)

    world.rule(lambda e: isinstance(e, Request | OpenWatch), nobody, times=1_000)
    world.cut(status=0)


def deposed(world: World, daemon: Daemon) -> None:
    """Another daemon acts."""
    taken(world, "another")


def going(world: World, daemon: Daemon) -> None:
    """What Git no longer wants still stands there."""
    assert world.call("PATCH", f"{MAPS}/x", {"metadata": {"finalizers": ["example.org/slow"]}}, content=MERGE)[0] == 200
    world.commit({"a/x.yaml": None})


def held(world: World, daemon: Daemon) -> None:
    """A file cannot be read."""
    world.commit({"a/z.yaml": "a: ["})


def refused(world: World, daemon: Daemon) -> None:
    """The cluster does not take what Git says."""
    world.rule(asks("PATCH", "/x"), says(422, "no"), times=1_000)
    world.commit({"a/x.yaml": config_map("x", "2")})


def starting(world: World, daemon: Daemon) -> None:
    """Pods are not there yet."""
    pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": pods}
    world.commit({"a/d.yaml": manifest("apps/v1", "Deployment", "d", "default", spec=spec)})


@pytest.mark.parametrize("what", [unreadable, unreachable, deposed, going, held, refused, starting])
def test_all_is_said_to_be_well_only_while_it_is(what: Any) -> None:
    world, daemon = started()
    what(world, daemon)
    world.until(lambda: not daemon.report.healthy)
    world.never(lambda: daemon.report.healthy, 20)


def test_of_a_cluster_that_another_daemon_acts_on_nothing_is_known() -> None:
    world, daemon = started()
    taken(world, "another")
    world.until(lambda: not daemon.report.leading)
    assert [told.state for told in daemon.report.units] == ["Unknown"] * 2 and "another holds the Lease" in unit(daemon, "a").message


# -- who says it ----------


def pushes(daemon: Daemon) -> int:
    return len([effect for effect in daemon.sent if isinstance(effect, Push)])


def test_only_who_leads_tells() -> None:
    """Also one that led until now, and knows what the branch holds."""
    world, daemon = started(sources=WITH_STATUS)
    world.until(lambda: pushes(daemon) and daemon.at_rest)
    taken(world, "another")
    world.until(lambda: not daemon.report.leading)
    told = pushes(daemon)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.never(lambda: daemon.report.leading or pushes(daemon) > told, 20)


def test_a_forge_that_was_away_for_a_day_is_told_soon_when_it_hiccups_again() -> None:
    world, daemon = started(sources=WITH_STATUS)
    world.until(lambda: pushes(daemon) and daemon.at_rest)
    rule = world.rule(lambda e: isinstance(e, Push), lambda e, perform: Pushed(e.id, "unreachable", message="no route"), times=9)
    publisher = daemon.engine.publishers[SourceName("fleet")]
    for value, seconds in (("2", 7_200), ("3", 20)):
        world.commit({"a/x.yaml": config_map("x", value)})
        world.until(lambda: rule.used == rule.times and not publisher.problem and daemon.at_rest, seconds)
        rule.times += 1


# -- the end ----------


def test_who_is_told_to_stop_begins_nothing_more() -> None:
    """What is under way is waited for; what would follow from its answer, and what is due meanwhile, is left to the next life."""
    world, daemon = started()
    world.rule(asks("PATCH", "/x"), lambda e, perform: perform(), seconds=80)
    world.commit({"a/x.yaml": config_map("x", "2"), "a/later.yaml": config_map("later", wave="1")})
    world.until(lambda: len(daemon.requests("PATCH")) == 4)
    daemon.inbox.append(Stop())
    sent = len(daemon.sent)
    for value in ("by hand", "and again"):  # watches go on telling until the process ends
        world.run(45)
        assert world.call("PATCH", f"{MAPS}/y", {"data": {"v": value}}, content=MERGE)[0] == 200
    after = [effect for effect in daemon.sent[sent:] if not isinstance(effect, CloseWatch)]
    assert [(e.method, e.path.rsplit("/", 2)[1]) for e in after if isinstance(e, Request)] == [("PUT", "leases")]
    assert len(after) == 1, "the Lease is given back, and that is all"
    assert daemon.engine.wire.in_flight == 0
