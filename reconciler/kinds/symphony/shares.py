"""Which target gets which version: shares of targets, whole, stable, and changed by as few moves as can be.

Law of the module: pure. The counts follow from weights and number of targets alone (largest remainder, ties to the one listed first);
who is among them follows from who was: of a version that holds too many those go that a hash of instance and target puts last, and
whoever is free fills up what is short, first in that order. So two daemons, or one after any crash, come to the same, and a repeat
moves nobody (symphony.md §4).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction


def counts(weights: Sequence[float], targets: int) -> tuple[int, ...]:
    """How many of the targets each weight comes to; they sum to `targets`. Weights are not negative and not all zero."""
    total = sum(map(Fraction, weights))
    exact = [Fraction(weight) * targets / total for weight in weights]
    whole = [int(share) for share in exact]
    left = targets - sum(whole)
    # Sorting is stable: of equal remainders the one listed first counts.
    for index in sorted(range(len(weights)), key=lambda i: whole[i] - exact[i])[:left]:
        whole[index] += 1
    return tuple(whole)


def assign(
    instance: str, targets: Sequence[str], shares: Sequence[tuple[str, float]], before: Mapping[str, str]
) -> dict[str, str]:
    """Target → version, for all `targets`. `before` is what each had; what it says of others, and of other versions, counts nothing."""
    if len(shares) == 1:
        return dict.fromkeys(targets, shares[0][0])
    wanted = dict(zip((version for version, _ in shares), counts([weight for _, weight in shares], len(targets)), strict=True))
    had = {target: before.get(target, "") for target in targets}
    if Counter(had.values()) == wanted:
        return had  # nobody moves
    ordered = sorted(targets, key=lambda target: hashlib.sha256(f"{instance}\0{target}".encode()).digest())
    short = dict(wanted)
    found: dict[str, str] = {}
    free: list[str] = []
    for target in ordered:
        version = had[target]
        if short.get(version, 0):
            short[version] -= 1
            found[target] = version
        else:
            free.append(target)
    rest = (version for version, count in short.items() for _ in range(count))
    found.update(zip(free, rest, strict=True))
    return {target: found[target] for target in targets}
