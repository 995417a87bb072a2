"""`explain`: all that is known of one object, over an engine that does not act."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cli import explained
from reconciler.cli.explained import Explained
from reconciler.cli.listing import Pick
from tests.core.driver import World, asks, config_map, manifest, says

from .test_sorts import FILES as SHOPS

MERGE = "application/merge-patch+json"
KEEP = {f"keep/k{i}.yaml": config_map(f"k{i}") for i in range(3)}
MAPS = {f"many/m{i}.yaml": config_map(f"m{i}") for i in range(8)}


def installed(files: dict[str, Any], clusters: tuple[str, ...] = ("eu",)) -> World:
    """All is applied, and nobody acts any more."""
    world = World(clusters=clusters)
    world.commit(files, subject="Open the shop")
    daemon = world.daemon()
    world.settle(daemon)
    world.run(5)
    world.kill(daemon)
    return world


def find(world: World, kind: str, name: str, **more: str) -> tuple[list[Explained], list[str]]:
    daemon = world.daemon("reader", act=False)
    world.settle(daemon)
    found = explained.find(daemon.engine, Pick(kind, name, **more))
    lines = explained.as_text(found, daemon.report.at, None, wide=False)
    world.kill(daemon)
    return found, lines


def test_who_wants_it_where_it_is_written_and_what_was_applied() -> None:
    world = installed({"a/two.yaml": config_map("one") + "\n---\n" + config_map("two")})
    tip = world.repos["fleet"].refs["refs/heads/main"]
    (one,), lines = find(world, "configmap", "two")
    assert (one.state, one.cluster, [str(place) for place in one.written]) == ("Healthy", "eu", ["a/two.yaml:3:1"])
    live = world.get("two")
    assert live is not None and one.applied is not None
    assert (one.applied.uid, one.applied.commit) == (live["metadata"]["uid"], tip)
    # data.v, the label, and the four annotations that say whose it is
    assert one.applied.fields == 6
    assert lines[0] == "ConfigMap/two in default on eu: Healthy"
    assert lines[1:3] == ["  Wanted by   a", "  Written at  a/two.yaml:3:1"]
    assert lines[3].startswith(f'  By          {tip[:7]} "Open the shop", ')
    assert lines[4].startswith(f"  Applied     as of {tip[:7]}, ") and len(lines) == 5


def test_what_an_instance_puts_on_a_target_names_the_target_the_component_and_both_files() -> None:
    world = installed(SHOPS, clusters=("eu", "us"))
    found, lines = find(world, "deployments.apps", "checkout", cluster="us")
    assert [str(one.id) for one in found] == ["Deployment/checkout in shop-2"]
    applied = found[0].applied
    # replicas, selector, the label of the pods; name, image and pull policy of the container; our label and four annotations
    assert applied is not None and applied.fields == 11
    assert lines[1:4] == [
        "  Wanted by   Instance/checkout, target shop-2, component web",
        "  Written at  solutions.yaml:5:16",
        "              checkout.yaml:1:1",
    ]


def test_what_differs_is_told_and_of_a_secret_only_that_it_does() -> None:
    secret = manifest("v1", "Secret", "key", "default", stringData={"token": "hidden-one"})
    world = installed({"a/c.yaml": config_map("c"), "a/s.yaml": secret})
    assert world.call("PATCH", "/api/v1/namespaces/default/configmaps/c", {"data": {"v": "by hand"}}, content=MERGE)[0] == 200
    token = {"data": {"token": "aGlkZGVuLXR3bw=="}}
    assert world.call("PATCH", "/api/v1/namespaces/default/secrets/key", token, content=MERGE)[0] == 200
    _, lines = find(world, "configmap", "c")
    assert "  Differs     data.v by hand -> 1" in lines
    _, lines = find(world, "secret", "key")
    assert any(line.startswith("  Differs     ") and line.endswith("(changed, not shown)") for line in lines)
    assert not any("hidden" in line or "aGlkZGVu" in line for line in lines)


def test_what_fails_says_why() -> None:
    world = World()
    world.rule(asks("PATCH", "/configmaps/c"), says(422, "no such thing"), times=1_000)
    world.commit({"a/c.yaml": config_map("c")})
    (one,), lines = find(world, "configmap", "c")
    assert (one.state, one.applied) == ("Failed", None)
    assert lines[-2] == "  Applied     nothing of ours stands there"
    assert "no such thing" in lines[-1]


def test_what_nobody_wants_any_more_says_what_it_waits_for() -> None:
    world = installed({**KEEP, **MAPS})
    acting = world.daemon()
    world.commit(dict.fromkeys(MAPS))
    world.settle(acting)
    world.kill(acting)
    (one,), lines = find(world, "configmap", "m3")
    assert lines[0] == "ConfigMap/m3 in default on eu: Waiting"
    assert lines[1] == "  Wanted by   nobody: it is no longer in Git (it was of many)"
    assert lines[-1].endswith("; approval prune-eu-many") and "past the budget" in lines[-1]
    assert one.written == () and one.by is None


@pytest.mark.parametrize(("kind", "name", "more"), [("configmap", "x", {}), ("pod", "c", {}), ("configmap", "c", {"namespace": "other"})])
def test_what_is_not_there_is_nothing(kind: str, name: str, more: dict[str, str]) -> None:
    assert find(installed({"a/c.yaml": config_map("c")}), kind, name, **more) == ([], [])


def test_on_a_narrow_terminal_nothing_is_lost() -> None:
    world = installed({"a/c.yaml": config_map("c")})
    daemon = world.daemon("reader", act=False)
    world.settle(daemon)
    found = explained.find(daemon.engine, Pick("configmap", "c"))
    wide, narrow = (explained.as_text(found, daemon.report.at, limit, wide=True) for limit in (None, 60))
    assert max(map(len, narrow)) <= 60
    assert " ".join(" ".join(narrow).split()) == " ".join(" ".join(wide).split())


def test_machines_get_all_of_it() -> None:
    (one,), _ = find(installed({"a/c.yaml": config_map("c")}), "configmap", "c")
    data = explained.as_data(one)
    assert data["applied"]["uid"] == one.applied.uid  # type: ignore[union-attr]
    assert (data["wantedBy"], data["places"], data["commit"]["subject"]) == ("a", ["a/c.yaml:1:1"], "Open the shop")
