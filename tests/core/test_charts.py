"""Charts in the core: asked for once, kept, tried again, bounded."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from reconciler.core import charts
from reconciler.core.charts import AT_ONCE, TELL_SECONDS, Charts
from reconciler.core.identity import Instant
from reconciler.core.messages import Chart, ChartFailure, ChartObjects, ChartRendered, RenderChart
from reconciler.core.wire import Wire

WEB = Chart("https://charts.example.org", "web", "1.0.0", "web", "shop", b"{}")
MADE = ChartObjects("1.0.0", b"[]")
DOWN = ChartFailure("no route to host")


class World:
    """A wire whose answers a test gives, and what was told."""

    def __init__(self, kept_bytes: int = charts.KEPT_BYTES) -> None:
        self.wire = Wire(b"seed")
        self.told: list[Chart] = []
        self.charts = Charts(self.wire, self.told.append, kept_bytes)

    @property
    def flying(self) -> list[RenderChart]:
        return [effect for effect in self.wire.effects if isinstance(effect, RenderChart)]

    def answer(self, answer: ChartObjects | ChartFailure) -> Chart:
        """Answer the oldest request."""
        effect = self.flying[0]
        self.wire.effects.remove(effect)
        self.wire.deliver(ChartRendered(effect.id, answer))
        return effect.chart

    def wait(self, seconds: float) -> None:
        self.wire.now = Instant(0.0, self.wire.now.steady + seconds)
        self.wire.fire()


def numbered(count: int) -> list[Chart]:
    return [replace(WEB, name=f"web-{number}") for number in range(count)]


def test_a_chart_is_asked_for_once_and_then_known() -> None:
    world = World()
    assert [world.charts.ask(WEB), world.charts.ask(WEB)] == [None, None]
    assert (len(world.flying), world.charts.busy) == (1, True)
    world.answer(MADE)
    assert (world.told, world.charts.ask(WEB), world.charts.busy) == ([WEB], MADE, False)
    world.wait(1_000_000)
    world.charts.end(WEB)
    assert world.charts.ask(WEB) == MADE and world.flying == []


def test_whatever_is_different_is_another_chart() -> None:
    world = World()
    others = (replace(WEB, values=b'{"a":1}'), replace(WEB, namespace="other"), replace(WEB, release="b"), replace(WEB, version="2"))
    for other in (WEB, *others):
        assert world.charts.ask(other) is None
    asked = [world.answer(MADE) for _ in range(5)]
    assert len(set(asked)) == 5


def test_the_version_that_was_taken_is_known_by_its_number_too() -> None:
    world = World()
    world.charts.ask(replace(WEB, version=""))
    world.answer(MADE)
    assert world.charts.ask(WEB) == MADE and world.flying == []


def test_so_many_at_once_and_told_together() -> None:
    world = World()
    asked = numbered(10)
    assert [world.charts.ask(chart) for chart in asked] == [None] * 10
    assert len(world.flying) == AT_ONCE
    for _ in range(4):
        world.answer(MADE)
    assert world.told == []
    world.wait(TELL_SECONDS)
    assert world.told == asked[:4]
    for _ in range(6):
        world.answer(MADE)
    assert world.told == [*asked[:8], *asked[8:]], "the last ones without waiting: at first nothing waits its turn, then nothing flies"
    assert world.flying == []


def test_a_failure_is_tried_again_later_and_later_and_told_once() -> None:
    world = World()
    world.charts.ask(WEB)
    waits = []
    for _ in range(10):
        world.answer(DOWN)
        assert world.charts.ask(WEB) == DOWN and world.flying == []
        due = world.wire.wake_at
        assert due is not None
        waits.append(due - world.wire.now.steady)
        world.wait(waits[-1])
        assert len(world.flying) == 1 and world.charts.ask(WEB) == DOWN and not world.charts.busy, "meanwhile the failure stands"
    assert waits[0] < 13 and all(later > sooner for sooner, later in pairwise(waits[:7])) and max(waits) <= 1_080
    assert world.told == [WEB]
    world.answer(MADE)
    assert world.told == [WEB, WEB] and world.charts.ask(WEB) == MADE and world.wire.wake_at is None


def test_who_waits_for_the_same_archive_fails_alike_and_holds_nobody_up() -> None:
    """A server that is down must not cost its time limit for each of ten thousand targets."""
    world = World()
    first = replace(WEB, name="other")
    alike = [replace(WEB, namespace=f"n{number}") for number in range(5)]
    for chart in (*alike, first):
        world.charts.ask(chart)
    world.answer(DOWN)
    assert [world.charts.ask(chart) for chart in alike] == [DOWN, None, DOWN, DOWN, DOWN]
    assert [effect.chart for effect in world.flying] == [alike[1], first]


def test_what_a_template_refuses_says_nothing_of_others() -> None:
    world = World()
    alike = [replace(WEB, namespace=f"n{number}") for number in range(4)]
    for chart in alike:
        world.charts.ask(chart)
    world.answer(ChartFailure("no name", permanent=True))
    assert [effect.chart for effect in world.flying] == [alike[1], alike[2]]


def test_nobody_is_asked_for_what_nobody_asks_any_more() -> None:
    world = World()
    for chart in (one := numbered(4)):
        world.charts.ask(chart)
    world.answer(DOWN)
    for chart in one:
        world.charts.end(chart)
    assert not world.charts.busy
    world.answer(DOWN)
    world.answer(DOWN)
    assert world.flying == [] and world.wire.wake_at is None
    world.charts.end(WEB)  # nobody ever did


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    """Asked for, failed, asked again, left, asked for anew, all while the second try is on its way."""
    world = World()
    world.charts.ask(WEB)
    world.answer(DOWN)
    world.wait(20)
    world.charts.end(WEB)
    world.charts.ask(WEB)
    assert len(world.flying) == 2
    world.answer(MADE)
    world.answer(DOWN)
    assert world.charts.ask(WEB) == MADE and world.wire.wake_at is None


def test_beyond_the_limit_what_nobody_asks_for_goes_and_then_charts_fail() -> None:
    world = World(kept_bytes=10_000)
    big = ChartObjects("1.0.0", b"x" * 3_000)
    asked = numbered(4)
    for chart in asked[:2]:
        world.charts.ask(chart)
        world.answer(big)
    world.charts.end(asked[0])
    world.charts.ask(asked[2])
    world.answer(big)
    assert world.charts.ask(asked[1]) == big and world.charts.ask(asked[2]) == big
    world.charts.ask(asked[3])
    world.answer(big)
    refused = world.charts.ask(asked[3])
    assert isinstance(refused, ChartFailure) and refused.message == "all charts together come to more than 0 MiB"
    assert world.charts.ask(asked[0]) is None, "it went"
    world.charts.end(asked[1])
    world.charts.end(asked[0])
    world.answer(MADE)
    world.wait(100)
    world.answer(big)
    assert world.charts.ask(asked[3]) == big


def test_a_request_shows_no_values() -> None:
    assert "hunter2" not in repr(RenderChart(1, replace(WEB, values=b'{"a":"hunter2"}'))) + repr(ChartObjects("1", b"hunter2"))
