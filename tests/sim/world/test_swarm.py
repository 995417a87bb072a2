"""Random work in random worlds: whatever goes wrong, every check holds, and it ends in silence as Git says.

The everyday run draws 300 seeds, `--deep` 5,000. A failure names its seed and the fewest faults that still make it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from reconciler.sim.faults import KINDS, Chance, Draw, Script
from reconciler.sim.trial import run

from .seeds import hold
from .swarm import swarm
from .workloads import WORKLOADS

ROOT = Path(__file__).parents[3]
TOGETHER = 25
EVERYDAY, DEEP = 300, 5000
SEEN_SEEDS = 12
PREMISES = ["I01", "I04", "I08", "I26", "I27", "I28", "I29", "I30", "I31", "I33", "I34", "I35", "I36", "I38", "I43", "I52"]
ARMED_SEEDS, ARMED_LIMIT = 4, 20
"""So many runs of each kind of fault, and more until it strikes: not every world has a status branch to push to."""


@pytest.mark.parametrize("first", range(0, EVERYDAY, TOGETHER))
def test_every_check_holds(first: int) -> None:
    hold(swarm, range(first, first + TOGETHER))


@pytest.mark.deep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(EVERYDAY, DEEP, TOGETHER))
def test_every_check_holds_deep(first: int) -> None:
    hold(swarm, range(first, first + TOGETHER))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_fault_strikes_and_is_survived(kind: str) -> None:
    """Each alone, often: a fault that is never reached proves nothing."""
    struck = 0
    for number in range(ARMED_LIMIT):
        often = Chance(Draw(f"{kind} {1_000_000 + number}"), {kind: min(0.5, 0.03 * KINDS[kind].weight)})
        outcome, _ = swarm(1_000_000 + number, often)
        assert outcome.failure == "", f"seed {1_000_000 + number}, {kind} {list(often.drawn)}: {outcome.failure}"
        struck += outcome.reached[kind]
        if struck and number + 1 >= ARMED_SEEDS:
            return
    pytest.fail(f"{kind} struck in none of {ARMED_LIMIT} runs")


def test_every_check_has_something_to_look_at() -> None:
    """A check whose premise is never reached proves nothing."""
    outcomes = [swarm(seed)[0] for seed in range(SEEN_SEEDS)] + [run(workload, 0, silence_seconds=1.0) for workload in WORKLOADS]
    assert [outcome.failure for outcome in outcomes if outcome.failure] == []
    met = sum((outcome.met for outcome in outcomes), Counter[str]())
    missing = [name for name in PREMISES if not met[name]]
    assert missing == [] and met["I01 excused"] < met["I01"] / 10


def test_a_script_repeats_what_was_drawn() -> None:
    outcome, drawn = swarm(1)
    assert drawn is not None and drawn.drawn
    again, _ = swarm(1, Script(dict(drawn.drawn)))
    assert (again.trace, again.points, again.reached) == (outcome.trace, outcome.points, outcome.reached)


def traces(hash_seed: str, seeds: range) -> list[str]:
    code = f"from tests.sim.world.swarm import swarm\nfor seed in {seeds!r}: print(swarm(seed)[0].trace, flush=True)"
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout.split()


def test_a_seed_leaves_the_same_trace_whatever_the_hash_seed() -> None:
    seeds = range(2_000_000, 2_000_008)
    first = traces("1", seeds)
    assert len(set(first)) == len(seeds) and traces("2", seeds) == first


@pytest.mark.deep
@pytest.mark.timeout(1200)
def test_a_hundred_seeds_leave_the_same_traces() -> None:
    seeds = range(100)
    first = traces("3", seeds)
    assert len(set(first)) == len(seeds) and traces("4", seeds) == first
