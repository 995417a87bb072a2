"""What one change costs the engine, counted in lines of its code: as many in a folder of six hundred objects as in one of sixty."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

import pytest

from reconciler.core.engine import Engine
from tests.core.driver import World, config_map


class Lines:
    """A context in which the lines that run in steps of an engine, and below them, are counted."""

    def __init__(self) -> None:
        self.count = 0
        self._stepping = False

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, _event: str, _about: Any) -> Callable[..., Any] | None:
        if frame.f_code is Engine.step.__code__:
            self._stepping = True
        return self._line if self._stepping else None

    def _line(self, frame: FrameType, event: str, _about: Any) -> Callable[..., Any]:
        self.count += event == "line"
        if event == "return" and frame.f_code is Engine.step.__code__:
            self._stepping = False
        return self._line


def _cost(objects: int, change: dict[str, str]) -> int:
    world = World()
    world.commit({f"a/c{i:03}.yaml": config_map(f"c{i:03}") for i in range(objects)})
    daemon = world.daemon()
    world.settle(daemon)
    world.run(100)
    with Lines() as lines:
        world.commit(change)
        world.run(40)
    assert daemon.report.healthy and daemon.report.settled
    return lines.count


@pytest.mark.parametrize(
    "change",
    [{"a/c007.yaml": config_map("c007", "2")}, {"a/more.yaml": config_map("more")}, {"b/other.yaml": config_map("other")}],
    ids=["change", "add", "elsewhere"],
)
def test_a_change_costs_as_much_however_many_objects_do_not_change(change: dict[str, str]) -> None:
    few, many = _cost(60, change), _cost(600, change)
    assert few > 500 and abs(many - few) < 60, (few, many)


def test_an_object_costs_little_until_it_is_planned() -> None:
    """At a start with a hundred thousand of them, half of the time is this: some 110 lines of ours for each."""

    def until_planned(objects: int) -> int:
        world = World()
        world.commit({f"a{i % 5}/c{i}.yaml": config_map(f"c{i}") for i in range(objects)})
        daemon = world.daemon()
        with Lines() as lines:
            world.until(lambda: daemon.engine.units.units and not daemon.engine.waits_for_plans())
        return lines.count

    each = (until_planned(300) - until_planned(100)) / 200
    assert each < 125, each
