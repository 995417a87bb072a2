"""Edits on bad days, from seeds: a key is never on the branch twice (I53), and everything comes to rest."""

from __future__ import annotations

import re

import pytest

from reconciler.core.edits import BRANCH
from reconciler.kinds import KINDS
from reconciler.sim.faults import KINDS as FAULTS
from reconciler.sim.faults import Chance, Draw, armed
from reconciler.sim.git import MAIN
from reconciler.sim.trial import Act, Outcome, Workload, run
from reconciler.sim.world import World
from tests.kinds import switches

from .workloads import config_map, merges_what_is_offered, obj

NAMES = ("s0", "s1", "s2")
SAMPLE, DEEP = 12, 300


class People:
    """What people do to switches, drawn one by one."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.count = 0

    def act(self, world: World) -> None:
        self.draw.one([self.wish, self.wish, self.go_back, self.write, self.merge, self.crash, self.protect, self.rewrite])(world)

    def wish(self, world: World) -> None:
        """A switch is to become something that nobody has asked for before: its key is of this wish alone."""
        self.count += 1
        spec = {"stage": "a", "then": f"b{self.count}", "offer": self.draw.chance(0.2)}
        name = self.draw.one(NAMES)
        world.commit({f"s/{name}.yaml": obj("test.reconciler.dev/v1", "Switch", name, "default", spec=spec)}, hint=self.draw.chance(0.5))

    def go_back(self, world: World) -> None:
        """Whatever an edit has made of it."""
        stage = re.compile(rb'"stage": "b[0-9]+"')
        back = {path: stage.sub(b'"stage": "a"', text) for path, text in world.repo.tree().items() if path.startswith("s/")}
        world.commit(back, hint=self.draw.chance(0.5))

    def write(self, world: World) -> None:
        """Something else."""
        world.commit({"x.yaml": config_map("x", str(self.draw.below(9)))}, hint=self.draw.chance(0.5))

    def merge(self, world: World) -> None:
        """All that is offered."""
        if any(ref.startswith(BRANCH) for ref in world.repo.refs):
            merges_what_is_offered(world, BRANCH)

    def crash(self, world: World) -> None:
        """A daemon."""
        if world.daemons:
            world.crash(self.draw.one(world.daemons), self.draw.between(0.0, 60.0))

    def protect(self, world: World) -> None:
        """The branch, for a while."""
        world.repo.refused[MAIN] = "protected"
        world.network.later(self.draw.between(1.0, 200.0), lambda: world.repo.refused.pop(MAIN, None))

    def rewrite(self, world: World) -> None:
        """The last commit, whosever it was."""
        parent = world.repo.commits[world.repo.refs[MAIN]][0].parent
        if parent is not None:
            world.commit({"x.yaml": config_map("x", "anew")}, parent=parent, subject="written anew")


def bad_day(seed: int) -> Outcome:
    """The world, the work and the faults of a seed."""
    draw = Draw(f"edits {seed}")
    people = People(draw)
    acts: list[Act] = [lambda world: world.commit({"x.yaml": config_map("x")}), people.wish, *[people.act] * (draw.below(12) + 4)]
    mood = draw.between(0.1, 40.0)
    work = Workload(
        f"edits {seed}",
        tuple(acts),
        kinds=(*KINDS, switches.KIND),
        daemons=2 if draw.chance(0.3) else 1,
        commits=draw.one(["direct", "direct", "propose"]),
        pause_seconds=lambda world: draw.between(0.0, mood),
    )
    faults = Draw(f"edits' faults {seed}")
    rates = armed(faults, FAULTS, 0.04 * faults.between(0.0, 1.0)) | {kind: faults.between(0.0, 0.3) for kind in FAULTS if "push" in kind}
    return run(work, seed, Chance(faults, rates), jitter=True)


def test_a_sample_of_bad_days() -> None:
    outcomes = [bad_day(seed) for seed in range(SAMPLE)]
    assert [outcome.failure for outcome in outcomes if outcome.failure] == []
    assert sum(outcome.met["I53"] for outcome in outcomes) >= SAMPLE / 2


@pytest.mark.deep
def test_many_bad_days() -> None:
    assert [(seed, outcome.failure) for seed in range(DEEP) if (outcome := bad_day(seed)).failure] == []
