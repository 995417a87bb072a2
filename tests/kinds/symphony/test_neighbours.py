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
    return [f"{r.method} {r.path.rsplit('/', 2)[1]}/{r.path.rsplit('/', 1)[1]}" for r in sent if r.method != "GET" and "reconciler" not in r.path]


@pytest.mark.parametrize("solution", ["my-app-v1", "my-app-v2"])
def test_an_instance_that_comes_and_goes_leaves_the_namespaces_of_another_alone(solution: str) -> None:
    """Whichever solutions the two have: a Namespace is asked for by the target, and the first instance there has it."""
    files = {f"stages/{path.relative_to(STAGES)}": path.read_text() for path in sorted(STAGES.rglob("*.yaml"))}
    staged = files["stages/staged/instance.yaml"].replace("my-app-v1", solution)
    world = World(clusters=("eu", "us"))
    world.commit(files)
    daemon = world.daemon()
    world.settle(daemon)
    for stage, told in (
        ("ring0", ["PATCH deployments/staged"] * 10),
        ("BLOCK", []),
        ("ring1", ["PATCH namespaces/office-1", "PATCH namespaces/office-2", *["PATCH deployments/staged"] * 2, *["DELETE deployments/staged"] * 10]),
    ):
        begin = len(daemon.requests())
        world.commit({"stages/staged/instance.yaml": staged.replace("BLOCK", stage)})
        world.settle(daemon)
        assert sorted(written(daemon, begin)) == sorted(told), stage
