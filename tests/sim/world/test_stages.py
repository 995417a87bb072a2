"""Random work on staged instances: whatever goes wrong, nobody is deployed to who is blocked, every schedule comes once, shares are whole.

The everyday run draws 60 seeds, `--deep` 1,000. A failure names its seed and the fewest faults that still make it.
"""

from __future__ import annotations

from collections import Counter

import pytest

from reconciler.sim.trial import Workload, differs, run
from reconciler.sim.world import START

from .fleet import at
from .seeds import hold
from .stage_checks import StageChecks
from .stages import calm, stages
from .workloads import commits, fleet, stage, waits

TOGETHER = 20
EVERYDAY, DEEP = 60, 1000
CALM_EVERYDAY, CALM_DEEP = 20, 200
SEEN_SEEDS = 60
PREMISES = [
    *("S01", "S01 by hand", "S02", "S03", "S04", "S04 leaves", "S04 budget", "S04 open", "S05", "S06", "S06 moves"),
    *("S07 direct", "S07 propose", "S07 promotes direct", "S07 promotes propose", "S08", "S08 shares", "S09", "I53"),
]


@pytest.mark.parametrize("first", range(0, EVERYDAY, TOGETHER))
def test_every_check_holds(first: int) -> None:
    hold(stages, range(first, first + TOGETHER))


@pytest.mark.deep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(EVERYDAY, DEEP, TOGETHER))
def test_every_check_holds_deep(first: int) -> None:
    hold(stages, range(first, first + TOGETHER))


def ends_alike(seed: int) -> bool:
    """Whether faults left each step time to end, as the run without them did; if so both must have ended alike."""
    (calmly, rested), (badly, rested_too) = calm(seed, faults=False), calm(seed, faults=True)
    assert calmly.failure == "" and rested, f"seed {seed}, without faults: {calmly.failure}"
    assert badly.failure == "", f"seed {seed}: {badly.failure}"
    wrong = differs(badly, calmly) if rested_too else ""
    assert wrong == "", f"seed {seed}: {wrong}"
    return rested_too


@pytest.mark.parametrize("first", range(0, CALM_EVERYDAY, TOGETHER))
def test_faults_change_nothing_of_how_it_ends(first: int) -> None:
    """The same history in Git comes to the same objects, and each target to the same version."""
    assert sum(ends_alike(seed) for seed in range(first, first + TOGETHER)) > TOGETHER / 2


@pytest.mark.deep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(CALM_EVERYDAY, CALM_DEEP, TOGETHER))
def test_faults_change_nothing_of_how_it_ends_deep(first: int) -> None:
    assert sum(ends_alike(seed) for seed in range(first, first + TOGETHER)) > TOGETHER / 2


def test_every_check_has_something_to_look_at() -> None:
    """A check whose premise is never reached proves nothing."""
    met = sum((stages(seed)[0].met for seed in range(SEEN_SEEDS)), Counter[str]())
    assert [name for name in PREMISES if not met[name]] == []


def test_a_seed_leaves_the_same_trace_again() -> None:
    assert stages(3)[0].trace == stages(3)[0].trace


def test_an_instance_that_is_made_again_is_cleared_again_by_an_edit_of_its_own() -> None:
    """It is another instance of the same name: that the one before was cleared by the same date says nothing of it."""
    begins = stage("BLOCK", schedule=at(START - 60))
    acts = (commits(fleet("ring0")), begins, waits(20), commits({"f/shop.yaml": None}), waits(20), begins, waits(60), begins)
    outcome = run(Workload("made again", acts, commits="direct", extra_checks=(StageChecks,)), 0, silence_seconds=60.0)
    assert outcome.failure == "" and (outcome.met["S07 direct"], outcome.met["S01"]) == (2, 1)
