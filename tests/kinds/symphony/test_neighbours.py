"""Several instances on the same targets: each has objects of its own there, and none moves what is another's."""

from __future__ import annotations

import pytest

from reconciler import schemas
from reconciler.core.messages import Request
from tests.core.driver import Daemon, World

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
