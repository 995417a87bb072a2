"""Stages follow on targets as they follow in Git, however fast people commit, and whenever the daemon dies: in the simulated world."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.driver import World
from tests.kinds.symphony.cases import instance_text, solution_text, target_text

Json = dict[str, Any]

TARGETS = {"a": {"ring": "ring0"}, "b": {"ring": "ring0", "cluster": "us"}, "c": {"ring": "ring1"}, "d": {"ring": "own", "cluster": "us"}}
VERSIONS = [{"solution": "v1", "weight": 50}, {"solution": "v2", "weight": 50}]
SPEC: Json = {
    "solution": "v0",
    "target": {"name": "d"},
    "stages": [
        {"name": "ring0", "solution": "v1", "target": {"selector": {"label": "ring0"}}},
        {"name": "ring1", "solution": "v2", "target": {"selector": {"label": "ring*"}}},
        {"name": "canary", "versions": VERSIONS, "target": {"selector": {"label": "ring*"}}},
    ],
}
ALLOWED: dict[str, dict[str, str]] = {
    "BLOCK": {},
    "default": {"d": "v0"},
    "ring0": {"a": "v1", "b": "v1"},
    "ring1": {"a": "v2", "b": "v2", "c": "v2"},
    "canary": {"a": "v1 v2", "b": "v1 v2", "c": "v1 v2"},
}
"""Stage → target → the versions that it may get there."""


def begun() -> World:
    world = World(clusters=("eu", "us"))
    files = {f"targets/{name}.yaml": target_text(name, target) for name, target in TARGETS.items()}
    files |= {f"solutions/{name}.yaml": solution_text(name, f"app:{name}") for name in ("v0", "v1", "v2")}
    world.commit({**files, "i.yaml": instance_text({"stage": "BLOCK", **SPEC}, {})})
    return world


def standing(world: World) -> dict[str, str]:
    """The version on each target."""
    found: dict[str, str] = {}
    for cluster in ("eu", "us"):
        _, body = world.call("GET", "/apis/apps/v1/deployments", cluster=cluster)
        found.update((item["metadata"]["namespace"].removeprefix("shop-"), version(item)) for item in body["items"])
    return found


def version(deployment: Json) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"]).removeprefix("app:")


def applied(world: World) -> dict[str, list[str]]:
    """The versions that each target was given, in order."""
    found: dict[str, list[str]] = {}
    for daemon in world.daemons:
        for request in daemon.requests("PATCH", "/deployments/my-instance"):
            target = request.path.split("/namespaces/shop-")[1].split("/")[0]
            found.setdefault(target, []).append(version(json.loads(request.body)))
    return found


@settings(max_examples=8)
@given(st.lists(st.tuples(st.sampled_from(sorted(ALLOWED)), st.sampled_from([0.1, 5.0, 40.0]), st.booleans()), min_size=2, max_size=6))
def test_the_order_of_stages_in_git_is_their_order_on_targets(history: list[tuple[str, float, bool]]) -> None:
    world = begun()
    daemon = world.daemon()
    world.settle(daemon)
    stages = ["BLOCK"]
    for stage, seconds, dies in history:
        stages.append(stage)
        world.commit({"i.yaml": instance_text({"stage": stage, **SPEC}, {})})
        world.run(seconds)
        if dies:
            daemon = world.restart(daemon)
    world.settle(daemon)
    before = standing(world)
    for target, versions in applied(world).items():
        at = 0
        for one in versions:
            while at < len(stages) and one not in ALLOWED[stages[at]].get(target, "").split():
                at += 1
            assert at < len(stages), f"{target} was given {versions} in stages {stages}"
    if stages[-1] == "BLOCK":
        world.run(300)
        assert standing(world) == before
    else:
        allowed = ALLOWED[stages[-1]]
        assert before.keys() == allowed.keys()
        assert all(one in allowed[target].split() for target, one in before.items())
