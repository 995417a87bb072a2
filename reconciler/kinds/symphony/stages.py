"""Which solutions a stage puts on which targets.

Law of the module: pure, of one instance alone. A stage is a ring: the versions that share its targets (one, where it is no canary), and
who those targets are; what it leaves out is the instance's own. Rings are exclusive: the stage's own counts and no other, unless the
instance keeps those listed before it (`reconciler.dev/rings: cumulative`). The default stage leaves all rings (symphony.md §4).
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.core.problem import Pointer

from .model import BLOCK, DEFAULT, Choice, Instance, Schedule, Share, Stage, Topology


class Ring(NamedTuple):
    """What one stage asks for. `shares` has at least one; `topologies` go before the targets' own."""

    stage: str
    shares: tuple[Share, ...]
    choice: Choice
    topologies: tuple[Topology, ...]
    pointer: Pointer


def name_of(stage: str) -> str:
    """A stage's name as it is told: the empty one is the default."""
    return stage or DEFAULT


def rings(instance: Instance, stage: str) -> tuple[Ring, ...]:
    """The rings that stand in a stage, the one that goes first where they share a target; none for a stage that there is not, or BLOCK."""
    if name_of(stage) == DEFAULT:
        shares = instance.shares or (Share(instance.solution, 1.0, ("spec", "solution")),)
        return (Ring(DEFAULT, shares, instance.target, instance.topologies, ("spec",)),)
    index = next((i for i, entry in enumerate(instance.stages) if entry.name == stage), None)
    if stage == BLOCK or index is None:
        return ()
    first = 0 if instance.rings == "cumulative" else index
    return tuple(_ring(instance, entry) for entry in reversed(instance.stages[first : index + 1]))


def _ring(instance: Instance, entry: Stage) -> Ring:
    shares = entry.shares or (Share(entry.solution or instance.solution, 1.0, (*entry.pointer, "solution")),)
    return Ring(entry.name, shares, entry.target or instance.target, entry.topologies or instance.topologies, entry.pointer)


def next_stage(instance: Instance, stage: str) -> str | None:
    """The stage that follows in the order of the list, the default one (if there is one) after the last; None where nothing follows."""
    names = [entry.name for entry in instance.stages]
    if stage not in names:
        return None
    has_default = bool(instance.solution or instance.shares) and bool(instance.target.name or instance.target.selector)
    following = [*names, DEFAULT] if has_default else names
    return next(iter(following[names.index(stage) + 1 :]), None)


def armed(instance: Instance) -> Schedule | None:
    """The schedule that clears the stage as it stands: of the instance while it is blocked, of a stage while it is the current one."""
    if instance.stage == BLOCK:
        return instance.schedule
    return next((entry.schedule for entry in instance.stages if entry.name == instance.stage), None)
