"""A queue: never too many at once, each key in order, and nothing left out."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.in_turn import InTurn


@given(st.integers(1, 4), st.lists(st.integers(0, 5)), st.lists(st.integers(0, 20)))
def test_so_many_at_once_and_each_key_in_order(limit: int, keys: list[int], ends: list[int]) -> None:
    """Between requests that are added others are over, whichever."""
    turns = InTurn(limit)
    open_: dict[int, Callable[[], None]] = {}
    sent: list[int] = []

    def end(which: int) -> None:
        open_.pop(sorted(open_)[which % len(open_)])()

    def add(number: int) -> None:
        def send(over: Callable[[], None]) -> None:
            sent.append(number)
            open_[number] = over

        turns.add(str(keys[number]), send)

    for number in range(len(keys)):
        add(number)
        assert len(open_) <= limit and len({keys[one] for one in open_}) == len(open_)
        if open_ and number < len(ends) and ends[number] % 2:
            end(ends[number])
    while open_:
        assert len(open_) <= limit and len({keys[one] for one in open_}) == len(open_)
        end(0)
    assert sorted(sent) == list(range(len(keys)))
    for key in range(6):
        assert [one for one in sent if keys[one] == key] == [one for one, other in enumerate(keys) if other == key]
    assert not turns._waiting and not turns._next


def test_those_that_have_nothing_to_send_after_all_are_no_calls_deep() -> None:
    turns, sent = InTurn(1), []
    held: list[Callable[[], None]] = []
    turns.add("first", held.append)
    for number in range(10_000):

        def send(over: Callable[[], None], number: int = number) -> None:
            sent.append(number)
            over()

        turns.add(str(number), send)
    assert sent == []
    held[0]()
    assert sent == list(range(10_000))
