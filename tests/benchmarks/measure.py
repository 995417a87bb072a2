"""Figures: what was measured, how much it varied, what it should be.

Law of the module: every figure keeps all its values; minimum, median and maximum are told, and a goal is judged by the median (of
percentiles and of counts, by the value itself).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured, several times. `goal` is the most that is good enough; None: nothing is asked of it."""

    what: str
    unit: str
    values: tuple[float, ...]
    goal: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.median <= self.goal

    def json(self) -> dict[str, Any]:
        spread = {"min": min(self.values), "median": self.median, "max": max(self.values), "runs": len(self.values)}
        return {"what": self.what, "unit": self.unit, **spread, "goal": self.goal, "met": self.met}


@dataclass(slots=True)
class Result:
    """What one benchmark found."""

    name: str
    about: str
    figures: list[Figure] = field(default_factory=list)
    counts: dict[str, dict[str, float]] = field(default_factory=dict)  # heading -> what -> how many
    notes: list[str] = field(default_factory=list)
    load: dict[str, float] = field(default_factory=dict)

    def add(self, what: str, unit: str, values: Sequence[float] | float, goal: float | None = None) -> Figure:
        """Keep a figure."""
        figure = Figure(what, unit, tuple(values) if isinstance(values, Sequence) else (values,), goal)
        self.figures.append(figure)
        return figure

    def ratio(self, what: str, ours: Sequence[float], theirs: Sequence[float]) -> None:
        """Keep how many times the yardstick ours is, by medians."""
        self.add(f"{what}, ratio", "x", statistics.median(ours) / max(statistics.median(theirs), 1e-9))

    @property
    def met(self) -> bool:
        """Whether every goal is reached."""
        return all(figure.met is not False for figure in self.figures)

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "about": self.about,
            "met": self.met,
            "figures": [figure.json() for figure in self.figures],
            "counts": self.counts,
            "load": self.load,
            "notes": self.notes,
        }


class Load:
    """How busy the machine is while something is measured: a context; `json` afterwards."""

    def __enter__(self) -> Load:
        self._before = os.getloadavg()[0]
        self._busy, self._all = _processor_ticks()
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        busy, total = _processor_ticks()
        share = (busy - self._busy) / max(1, total - self._all)
        self.json = {
            "load_before": round(self._before, 2),
            "load_after": round(os.getloadavg()[0], 2),
            "processors": float(os.cpu_count() or 1),
            "busy_percent": round(100 * share),
            "seconds": round(time.monotonic() - self._began, 1),
        }


def _processor_ticks() -> tuple[int, int]:
    """Busy and all ticks of all processors, from /proc/stat (proc_stat(5))."""
    with Path("/proc/stat").open(encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all are no larger than."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is."""

    files: int = 10_000
    folders: int = 50
    changes: int = 9  # changes measured one after the other
    apps: int = 1_000
    installs: int = 3
    idle_seconds: float = 60.0
    edits: int = 200
    further: int = 2_000  # objects added to see what one costs
    trees: tuple[int, ...] = (1_000, 10_000, 100_000)
    tree_folder: int = 100  # files in a folder of a tree
    starts: int = 3
    yardsticks: int = 5
    targets: int = 10_000
    shifts: int = 3  # changes of weights


TINY = Sizes(
    files=40, folders=4, changes=2, apps=3, installs=1, idle_seconds=2.0, edits=4, further=20, trees=(30,), tree_folder=10,
    starts=1, yardsticks=1, targets=20, shifts=2,
)  # fmt: skip
