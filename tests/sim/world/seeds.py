"""Seeds run in a row, for every swarm: the first that fails is told with its number and the fewest faults that still make it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from reconciler.sim.faults import Chance, Schedule
from reconciler.sim.trial import Outcome, shrink

Swarm = Callable[[int, Schedule | None], tuple[Outcome, Chance | None]]
"""One seed, with the faults that it draws or with a schedule of its own."""


def explain(swarm: Swarm, seed: int, drawn: Chance, failure: str) -> str:
    """A failure as somebody wants to read it who has to mend it."""
    fewest = shrink(lambda script: swarm(seed, script)[0].failure, drawn.drawn)
    faults = "\n".join(f"    {number}: {fault}" for number, fault in fewest.items())
    return f"seed {seed}: {failure}\nthe fewest faults with which it still fails, by the number of their point:\n{faults or '    none'}"


def hold(swarm: Swarm, seeds: Iterable[int]) -> None:
    """Every check holds in all of them."""
    for seed in seeds:
        outcome, drawn = swarm(seed, None)
        if outcome.failure:
            assert drawn is not None
            pytest.fail(explain(swarm, seed, drawn, outcome.failure), pytrace=False)
