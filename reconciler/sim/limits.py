"""How many requests of one daemon may be in flight to one cluster (I40), by what they are.

Law of the module: counts what is sent and not yet answered; a number past its limit is told, never mended. Writes to objects are
bounded by the settings, the records' by the store; what is left grows with the kinds that are watched, not with objects or units.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from reconciler.core.looks import LOOK_SINGLY
from reconciler.core.messages import Request
from reconciler.core.store import RECORDS_IN_FLIGHT

Sort = Literal["writes of objects", "requests for records", "other requests"]

STORE = "reconciler-system"
OTHERS_A_KIND = 2 + LOOK_SINGLY
"""Requests about one kind at once: its list, one more begun anew before that was answered, and looks before a first apply."""

OTHERS_OF_OURS = 8
"""The Lease, the list of records, namespace and mark, discovery (two documents), a probe; and one to spare for what is asked anew."""


@dataclass
class InFlight:
    """The requests of one daemon that are not answered yet."""

    _counts: Counter[tuple[str, Sort]] = field(default_factory=Counter)
    _asked: dict[int, tuple[str, Sort]] = field(default_factory=dict)

    def sends(self, effect: Request, writes: int, kinds: int) -> str:
        """One more; what is too much, "" for nothing. `writes` of objects are allowed; `kinds` are watched in that cluster."""
        key = (effect.cluster, sort_of(effect))
        self._asked[effect.id] = key
        self._counts[key] += 1
        others = OTHERS_OF_OURS + OTHERS_A_KIND * kinds
        allowed = {"writes of objects": writes, "requests for records": RECORDS_IN_FLIGHT, "other requests": others}[key[1]]
        return f"{self._counts[key]} {key[1]} in flight to {effect.cluster}, {allowed} allowed" if self._counts[key] > allowed else ""

    def hears(self, id: int) -> None:
        """An answer to whatever was asked under that number."""
        if id in self._asked:
            self._counts[self._asked.pop(id)] -= 1


def sort_of(effect: Request) -> Sort:
    """Which limit a request counts against."""
    if f"/namespaces/{STORE}/secrets" in effect.path:
        is_list = effect.method == "GET" and effect.path.endswith("/secrets")
        return "other requests" if is_list else "requests for records"
    ours = f"/namespaces/{STORE}" in effect.path or effect.path.endswith("/namespaces")
    return "other requests" if effect.method == "GET" or ours else "writes of objects"
