"""What is written down of deletions that wait for a person, one record a unit and cluster.

Law of the module: written before anything is offered, and an approval before the first deletion that it lets through; so a crash at
any point asks nobody twice, and no question changes because its unit grew meanwhile. Removed when nothing is left to delete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .identity import ClusterName, CommitId, UnitKey

if TYPE_CHECKING:
    from .store import Store

CLOSE_SECONDS = 10.0
"""When a range that could not be removed is looked at again."""

Pair = tuple[UnitKey, ClusterName]


@dataclass(frozen=True, slots=True)
class Range:
    """Deletions that began to wait at one commit."""

    since: str  # that commit: part of what is approved, so that no approval outlives its gate
    size: int  # of the unit before any of it went
    why: str = ""  # past which budget; "" where only objects wait that hold data
    approved: tuple[str, ...] = ()  # uids that a person let through


class Ranges:
    """All ranges that are open. `on_saved(pair)` hears of each answer of the store."""

    def __init__(self, store: Store, act: bool, on_saved: Callable[[Pair], None]) -> None:
        self._store = store
        self._act = act
        self._on_saved = on_saved
        self._saving: dict[Pair, None] = {}

    @property
    def busy(self) -> bool:
        """Whether any of them is being written down."""
        return bool(self._saving)

    def busy_with(self, pair: Pair) -> bool:
        """Whether this one is being written down."""
        return pair in self._saving

    def of(self, pair: Pair) -> Range | None:
        """What is written down."""
        record = self._store.records.get(_key(pair))
        if record is None:
            return None
        value = record.value
        return Range(str(value["since"]), int(value.get("size", 0)), str(value.get("why", "")), tuple(value["uids"]))

    def open(self, pair: Pair, commit: CommitId, size: int, why: str) -> Range | None:
        """The range in which deletions wait from `commit` on, or go on waiting; None until it is written down."""
        held = self.of(pair)
        wanted = Range(commit, size, why) if held is None else replace(held, why=why)
        if held != wanted and self._act:
            self._save(pair, wanted)
            return None
        return wanted

    def approve(self, pair: Pair, uids: list[str]) -> None:
        """A person has let these through."""
        held = self.of(pair)
        if held is not None and self._act:
            self._save(pair, replace(held, why="", approved=tuple(dict.fromkeys([*held.approved, *uids]))))

    def close(self, pair: Pair) -> None:
        """Nothing is left to delete."""
        if _key(pair) in self._store.records and pair not in self._saving and self._act:
            self._saving[pair] = None
            self._store.save(_key(pair), None, lambda ok: self._closed(pair, ok))

    def _closed(self, pair: Pair, ok: bool) -> None:
        if ok:
            self._saving.pop(pair, None)
            return

        def again() -> None:
            self._saving.pop(pair, None)
            self._on_saved(pair)

        self._store.wire.after(("close", pair), CLOSE_SECONDS, again)

    def pairs(self) -> list[Pair]:
        """Of which units in which clusters ranges are written down."""
        found: list[Pair] = []
        for key in self._store.records:
            prefix, _, rest = key.partition(":")
            cluster, _, text = rest.partition(":")
            unit = UnitKey.parse(text)
            if prefix == "prune" and unit is not None:
                found.append((unit, ClusterName(cluster)))
        return found

    def _save(self, pair: Pair, wanted: Range) -> None:
        if pair in self._saving:
            return
        self._saving[pair] = None

        def saved(_ok: bool) -> None:
            self._saving.pop(pair, None)
            self._on_saved(pair)

        value = {"since": wanted.since, "size": wanted.size, "why": wanted.why, "uids": list(wanted.approved)}
        self._store.save(_key(pair), value, saved)


def _key(pair: Pair) -> str:
    return f"prune:{pair[1]}:{pair[0].text}"
