"""One fault at one point, for every point and every kind of fault that can strike there.

Law of the module: the run without a fault says which points there are; each run with one must end as that one did, with every object
made and deleted as often (specs: reliability-security, 1.1, the oracle of Sieve).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.sim.faults import KINDS, Fault, Point, Script
from reconciler.sim.trial import Outcome, Workload, differs, run

SEED = 0

SILENCE_SECONDS = 900.0
"""After each run: longer than every timer of the engine. The hour is for the seeds."""

SECONDS = {
    "crash before": 2.0,
    "crash after": 2.0,
    "crash hearing": 2.0,
    "late": 20.0,
    "slow": 20.0,
    "zombie": 10.0,
    "stale read": 30.0,
    "stale refs": 30.0,
}
"""Of each kind that wants some."""

MODES = tuple(KINDS)


@dataclass
class Recorder:
    """No fault, but a note of what could have struck where."""

    found: list[tuple[int, str]] = field(default_factory=list)

    def at(self, point: Point) -> Fault | None:
        self.found += [(point.number, kind) for kind in MODES if KINDS[kind].strikes(point.message)]
        return None


def reference(workload: Workload) -> tuple[Outcome, list[tuple[int, str]]]:
    """The run without a fault, and every (point, kind) before its rest."""
    recorder = Recorder()
    outcome = run(workload, SEED, recorder, silence_seconds=SILENCE_SECONDS)
    assert outcome.failure == "", outcome.failure
    return outcome, recorder.found


def strike(workload: Workload, expected: Outcome, number: int, kind: str) -> str:
    """One run with one fault: what is wrong with its end, or ""."""
    outcome = run(workload, SEED, Script({number: Fault(kind, SECONDS.get(kind, 0.0))}), silence_seconds=SILENCE_SECONDS)
    wrong = differs(outcome, expected)
    return f"{workload.name}: {kind} at point {number}: {wrong}" if wrong else ""


def sample(found: list[tuple[int, str]], count: int, salt: int) -> Iterator[tuple[int, str]]:
    """So many of them, spread evenly; another salt gives others."""
    step = max(1, len(found) // count)
    yield from found[salt % step :: step]
