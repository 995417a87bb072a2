"""What is told is held against the commit that was read, not against another tip at which the same folder was changed last."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.identity import SourceName
from reconciler.core.messages import Push, Pushed
from reconciler.sim.checks import Broken, Checks
from reconciler.sim.daemon import Daemon
from reconciler.sim.git import MAIN
from reconciler.sim.trial import STATUS_BRANCH, Workload, at_rest, start
from reconciler.sim.verdicts import Verdicts
from reconciler.sim.world import World

from .world.workloads import config_map

STATUS = f"refs/heads/{STATUS_BRANCH}"


def told(world: World, daemon: Daemon) -> None:
    """All that stands on the status branch is told once more, to an observer that saw nothing of what went before."""
    files: Any = dict(world.repo.commits[world.repo.refs[STATUS]][1])
    push = Push(0, SourceName("fleet"), STATUS, None, None, files, "told again", 0.0)
    verdicts = Verdicts(world, Checks(world))
    verdicts.answered(daemon, push, Pushed(0, "pushed", world.repo.refs[STATUS]))
    assert verdicts.met["I33"]


def test_a_folder_is_healthy_as_the_commit_says_that_was_read() -> None:
    world = World()
    daemon = start(world, "one", Workload("", (), status_branch=True))
    first = world.commit({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y")})
    assert world.wait(lambda: at_rest(world), 60)
    world.commit({"a/y.yaml": None})
    world.run(1)
    assert world.wait(lambda: at_rest(world), 60)
    told(world, daemon)
    world.repo.move(MAIN, first)  # the same commit has changed the folder last, and it wants more
    told(world, daemon)
    world.call("DELETE", "/api/v1/namespaces/default/configmaps/x")
    with pytest.raises(Broken, match="I33: a is told Healthy, and ConfigMap/x"):
        told(world, daemon)
