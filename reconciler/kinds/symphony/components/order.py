"""Which components come before which.

Law of the module: a component's wave is the length of the longest chain of dependencies below it. Components that become one object (the
containers of a pod) are one node. Where dependencies go in a circle there is no order: the circle is named, and nothing on it has a wave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Order(NamedTuple):
    """Waves by node; nodes on a circle, or above one, have none. Each circle begins and ends at the node that is named first."""

    waves: Mapping[str, int]
    circles: tuple[tuple[str, ...], ...]


def order(needs: Mapping[str, Sequence[str]]) -> Order:
    """Put nodes in order. Every node that is needed is a key; a node may be named twice, and may not need itself but by a circle."""
    waiting = {node: len(dict.fromkeys(below)) for node, below in needs.items()}
    above: dict[str, list[str]] = {node: [] for node in needs}
    for node, below in needs.items():
        for needed in dict.fromkeys(below):
            above[needed].append(node)
    waves: dict[str, int] = {}
    ready = [node for node, count in waiting.items() if not count]
    for node in ready:  # grows while it is gone through
        waves[node] = max((waves[needed] + 1 for needed in needs[node]), default=0)
        for next_one in above[node]:
            waiting[next_one] -= 1
            if not waiting[next_one]:
                ready.append(next_one)
    return Order(waves, _circles(needs, waves))


def _circles(needs: Mapping[str, Sequence[str]], waves: Mapping[str, int]) -> tuple[tuple[str, ...], ...]:
    """A circle for each node without a wave, each told once: such a node needs another such node."""
    position = {node: at for at, node in enumerate(needs)}
    circles: list[tuple[str, ...]] = []
    seen: dict[str, None] = {}
    for start in needs:
        walked: dict[str, int] = {}
        node = start
        while node not in waves and node not in seen:
            seen[node] = None
            walked[node] = len(walked)
            node = next(needed for needed in needs[node] if needed not in waves)
        if node in walked:
            around = list(walked)[walked[node] :]
            first = min(range(len(around)), key=lambda at: position[around[at]])
            around = around[first:] + around[:first]
            circles.append((*around, around[0]))
    return tuple(circles)
