"""Effects and who waits for their answers; timers, and numbers that look random."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.identity import ClusterName, Instant, SourceName
from reconciler.core.messages import Answer, CloseWatch, ListRefs, Log, OpenWatch, RefsListed, Request, WatchClosed, WatchLines
from reconciler.core.wire import Jitter, Wire

EU = ClusterName("eu")


def at(wire: Wire, steady: float, wall: float = 0.0) -> None:
    wire.now = Instant(wall, steady)


def test_every_answer_goes_to_whoever_asked_once() -> None:
    wire = Wire(b"w")
    told: list[object] = []
    wire.request(EU, "GET", "/a", lambda answer: told.append(("a", answer.status)))
    wire.request(EU, "GET", "/b", lambda answer: told.append(("b", answer.status)))
    wire.git(ListRefs, lambda answer: told.append(("git", answer.refs)), SourceName("fleet"))
    a, b, git = wire.effects
    assert isinstance(a, Request) and isinstance(b, Request) and isinstance(git, ListRefs) and wire.in_flight == 3
    wire.deliver(Answer(b.id, 200))
    wire.deliver(RefsListed(git.id, {}))
    wire.deliver(Answer(a.id, 404))
    assert told == [("b", 200), ("git", {}), ("a", 404)] and wire.in_flight == 0
    with pytest.raises(KeyError):
        wire.deliver(Answer(a.id, 200))


def test_what_comes_of_a_watch_that_nobody_holds_is_dropped() -> None:
    wire = Wire(b"w")
    told: list[object] = []

    def watch() -> int:
        return wire.watch(EU, "/w", (), told.append, told.append, idle_timeout_seconds=1)

    first, second = watch(), watch()
    wire.deliver(WatchLines(first, (b"1",)))
    wire.close(first)
    wire.close(first)
    wire.deliver(WatchLines(first, (b"2",)))
    wire.deliver(WatchClosed(first, 200))
    wire.deliver(WatchClosed(second, 500))
    wire.deliver(WatchLines(second, (b"3",)))
    assert told == [WatchLines(first, (b"1",)), WatchClosed(second, 500)]
    assert [type(e) for e in wire.effects] == [OpenWatch, OpenWatch, CloseWatch]


def test_timers_fire_once_in_order_of_time_and_a_new_one_takes_the_place_of_the_old() -> None:
    wire = Wire(b"w")
    told: list[str] = []
    at(wire, 100)
    wire.after("b", 20, lambda: told.append("b"))
    wire.after("a", 10, lambda: told.append("a"))
    wire.after("gone", 5, lambda: told.append("gone"))
    wire.after("moved", 1, lambda: told.append("early"))
    wire.after("moved", 30, lambda: told.append("late"))
    wire.cancel("gone")
    wire.cancel("never was")
    assert wire.wake_at == 110 and wire.has_timer("moved") and not wire.has_timer("gone")
    at(wire, 120)
    wire.fire()
    wire.fire()
    assert told == ["a", "b"] and wire.wake_at == 130
    at(wire, 1_000, wall=-5)
    wire.fire()
    assert told == ["a", "b", "late"] and wire.wake_at is None


def test_what_a_timer_sets_for_now_waits_for_the_next_step() -> None:
    wire = Wire(b"w")
    told: list[int] = []

    def again() -> None:
        told.append(1)
        wire.after("again", 0, again)

    wire.after("again", 0, again)
    for count in (1, 2, 3):
        wire.fire()
        assert len(told) == count and wire.wake_at == 0


def test_a_timer_that_another_cancels_at_the_same_moment_does_not_fire() -> None:
    """A cluster that is found gone stops its reflectors, whose own turn it was too."""
    wire = Wire(b"w")
    told: list[str] = []
    wire.at("first", 1, lambda: wire.cancel("second"))
    wire.at("second", 1, lambda: told.append("second"))
    wire.at("third", 1, lambda: wire.at("fourth", 50, lambda: told.append("late")))
    wire.at("fourth", 2, lambda: told.append("early"))
    at(wire, 5)
    wire.fire()
    assert told == [] and wire.wake_at == 50


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.booleans()), max_size=30), st.integers(0, 25))
def test_timers_are_as_a_plain_table_says(calls: list[tuple[str, int, bool]], now: int) -> None:
    wire = Wire(b"w")
    told: list[str] = []
    table: dict[str, int] = {}
    for key, seconds, cancels in calls:
        if cancels:
            wire.cancel(key)
            table.pop(key, None)
        else:
            wire.at(key, seconds, lambda key=key: told.append(key))  # type: ignore[misc]
            table[key] = seconds
    assert wire.wake_at == min(table.values(), default=None)
    at(wire, now)
    wire.fire()
    assert sorted(told) == sorted(key for key, due in table.items() if due <= now)
    assert [table[key] for key in told] == sorted(table[key] for key in told)
    assert wire.wake_at == min((due for due in table.values() if due > now), default=None)


def test_a_log_line_is_an_effect() -> None:
    wire = Wire(b"w")
    wire.log("info", "moved", count=3, name="x")
    assert wire.effects == [Log("info", "moved", (("count", 3), ("name", "x")))]


@given(st.binary(min_size=1, max_size=8), st.integers(1, 5_000))
def test_back_off_grows_to_its_cap_and_is_never_more_than_a_fifth_off(seed: bytes, failures: int) -> None:
    seconds = Jitter(seed).back_off(failures, 2.0, 600.0)
    right = min(600.0, 2.0 * 2.0 ** min(failures - 1, 30))
    assert 0.8 * right <= seconds <= 1.2 * right


def test_the_same_seed_gives_the_same_numbers_and_no_two_draws_are_alike() -> None:
    one, two = Jitter(b"s"), Jitter(b"s")
    numbers = [one.fraction() for _ in range(1_000)]
    assert numbers == [two.fraction() for _ in range(1_000)]
    assert all(0 <= n < 1 for n in numbers) and 0.45 < sum(numbers) / 1_000 < 0.55 and len(dict.fromkeys(numbers)) == 1_000
    wire = Wire(b"s")
    assert len({wire.draw(16) for _ in range(100)}) == 100 and wire.draw(5) != Wire(b"t").draw(5)


def test_daemons_that_failed_together_do_not_come_back_together() -> None:
    """Nor does one that fails for many reasons ask for all of them at once."""
    daemons = [Jitter(b"one"), Jitter(b"two"), Jitter(b"three")]
    waits = [jitter.back_off(failures, 2.0, 300.0) for jitter in daemons for failures in (1, 1, 9, 9)]
    assert len({round(wait, 3) for wait in waits}) == len(waits)
