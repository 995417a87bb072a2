"""Telling the story: each act is done, each of its facts is waited for and then told with the time it took.

Law of the module: a fact is told only when it was seen; one that is not seen in time ends the story with what was expected and what was
seen instead. Times are seconds since the act was done (its commit pushed). Lines fit 80 columns.
"""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from .world import World

LIMIT_SECONDS = 30.0  # for all facts of an act; none takes more than a few on an idle machine
LOOK_AGAIN_SECONDS = 0.03
WIDTH = 80
_INDENT = " " * 8

Say = Callable[[str], None]
Do = Callable[[World, str], Awaitable[str]]
"""Does what an act is about, given its title, and says what it is called: its commit."""


class Seen(NamedTuple):
    """What a look showed: whether the fact holds, and how it is, in words; `notes` are lines of their own."""

    holds: bool
    words: str
    notes: tuple[str, ...] = ()


class Fact(NamedTuple):
    """What should come to be in a folder on a cluster: in words for the case that it does not, and how to look."""

    cluster: str
    unit: str
    expected: str
    look: Callable[[World], Seen]


class Act(NamedTuple):
    """Something that a person does, which says under what name it is told, and what follows from it."""

    title: str
    do: Do
    facts: tuple[Fact, ...]


class Unseen(Exception):
    """A fact did not come to be in time."""


async def play(world: World, acts: Sequence[Act], say: Say, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Tell the story; the facts of each act must come to be within the limit.

    Raises:
        Unseen: what was expected, and what was seen instead.
        Trouble: a part of the world did not do what it was told.
    """
    for number, act in enumerate(acts, 1):
        name = await act.do(world, act.title)
        say(f"{number:<3}\x1b[1m{name} {act.title}\x1b[0m")
        await _tell(world, act, say, limit_seconds)


async def _tell(world: World, act: Act, say: Say, limit_seconds: float) -> None:
    """Wait for all facts at once, and tell them in order."""
    begun = world.now
    told = 0
    seen: dict[int, tuple[Seen, float]] = {}
    while told < len(act.facts):
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        if world.daemon is not None and world.daemon.done():
            world.daemon.result()
            raise Unseen("the daemon has ended")
        for index, fact in enumerate(act.facts):
            if index not in seen and (found := fact.look(world)).holds:
                seen[index] = (found, world.now - begun)
        while told in seen:
            for line in lines(act.facts[told], *seen[told]):
                say(line)
            told += 1
        if told < len(act.facts) and world.now - begun > limit_seconds:
            raise Unseen(_unseen(world, act.facts[told], limit_seconds))


def lines(fact: Fact, seen: Seen, seconds: float) -> list[str]:
    """A fact as it is told."""
    head = f"   {fact.cluster:<5}{fact.unit:<19}{seen.words}"
    notes = [line for note in seen.notes for line in _wrapped(note)]
    took = "<0.1s" if seconds < 0.1 else f"{seconds:.1f}s"
    return [f"{head:<{WIDTH - 8}}{took:>6}", *notes]


def _wrapped(note: str) -> list[str]:
    return textwrap.wrap(note, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)


def _unseen(world: World, fact: Fact, limit_seconds: float) -> str:
    found = fact.look(world)
    status = world.status(fact.unit)
    said = f"{status.get('state', 'nothing')} {status.get('message', '')}".strip()
    return (
        f"{fact.unit} on {fact.cluster}, after {limit_seconds:g} s:\n"
        f"  expected  {fact.expected}\n"
        f"  seen      {'; '.join((found.words, *found.notes))}\n"
        f"  status    {said}"
    )
