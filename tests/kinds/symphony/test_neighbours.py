"""Several instances on the same targets: each has objects of its own there, and none moves what is another's."""

from __future__ import annotations

import pytest

from reconciler import schemas
from reconciler.core.messages import Request
from tests.core.driver import Daemon, World, asks, says

STAGES = schemas.example() / "stages"


def written(daemon: Daemon, begin: int) -> list[str]:
    """What has been written since; the Lease and records do not count."""
    sent: list[Request] = daemon.requests()[begin:]
    return sorted(f"{r.method} {'/'.join(r.path.split('/')[-2:])}" for r in sent if r.method != "GET" and "reconciler" not in r.path)


@pytest.mark.parametrize("solution", ["my-app-v1", "my-app-v2"])
def test_an_instance_that_comes_and_goes_leaves_the_namespaces_of_another_alone(solution: str) -> None:
    """Whichever solutions the two have: a Namespace is asked for by the target, and the first instance there has it."""
    files = {f"stages/{path.relative_to(STAGES)}": path.read_text() for path in sorted(STAGES.rglob("*.yaml"))}
    staged = files["stages/staged/instance.yaml"].replace("my-app-v1", solution)
    world = World(clusters=("eu", "us"))
    world.commit(files)
    daemon = world.daemon()
    world.settle(daemon)
    made, left = ["PATCH deployments/staged"], ["DELETE deployments/staged"]
    offices = ["PATCH namespaces/office-1", "PATCH namespaces/office-2"]
    for stage, told in (("ring0", made * 10), ("BLOCK", []), ("ring1", left * 10 + made * 2 + offices)):
        begin = len(daemon.requests())
        world.commit({"stages/staged/instance.yaml": staged.replace("BLOCK", stage)})
        world.settle(daemon)
        assert written(daemon, begin) == told, stage


TARGET = """apiVersion: fabric.symphony/v1
kind: Target
metadata: {name: t}
spec:
  solutionScope: shops
  topologies: [{bindings: [{role: container, provider: providers.target.k8s}]}]
"""
SOLUTION = """apiVersion: solution.symphony/v1
kind: Solution
metadata: {name: web}
spec: {components: [{name: web, type: container, properties: {container.image: "web:1"}}]}
"""
INSTANCE = """apiVersion: solution.symphony/v1
kind: Instance
metadata: {name: %s}
spec: {stage: "%s", solution: web, target: {name: t}}
"""


def test_an_instance_that_is_blocked_before_it_made_the_namespace_keeps_nobody_out_of_it() -> None:
    world = World()
    refused = world.rule(asks("PATCH", "/namespaces/shops"), says(503, "not now"), times=1_000)
    world.commit({"t.yaml": TARGET, "s.yaml": SOLUTION, "a.yaml": INSTANCE % ("first", "")})
    daemon = world.daemon()
    world.until(lambda: refused.used)
    world.commit({"a.yaml": INSTANCE % ("first", "BLOCK")})
    world.run(30)
    world.commit({"b.yaml": INSTANCE % ("second", "")})
    world.run(30)
    world.rules.clear()
    world.until(lambda: world.get("second", "deployments", namespace="shops", top="/apis/apps/v1"), 600)
    assert world.get("first", "deployments", namespace="shops", top="/apis/apps/v1") is None
    world.commit({"a.yaml": INSTANCE % ("first", "")})
    world.settle(daemon)
    assert world.get("first", "deployments", namespace="shops", top="/apis/apps/v1") is not None
