"""The daemon's process: `python -m tests.benchmarks.process FILE WORD…` is `reconciler WORD…`, which can be looked into from outside.

Law of the module: nothing of the daemon is changed, but that a clock stands around its steps, plans and statuses from the first question
on, and it is looked into only between two of its steps. On SIGUSR1 it
writes to FILE what its own counters say; this only reads. On SIGUSR2 it begins, or ends, a profile of its main thread, FILE.prof.
Until all is planned a timer looks now and then whether it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import cProfile
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli import main as reconciler

if TYPE_CHECKING:  # the command imports it, when it does
    from reconciler.cli.assembly import Assembly

LOOK_SECONDS = 0.02  # how exactly it is known when all was planned
LONG_SECONDS = 0.05  # steps that are told one by one


class Clock:
    """Processor time of this thread in the calls of one function."""

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0
        self.long: list[tuple[int, float]] = []  # number, seconds

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, clocked."""

        def clocked(*given: Any) -> Any:
            began = time.thread_time()
            answer = call(*given)
            took = time.thread_time() - began
            self.calls += 1
            self.seconds += took
            if took > LONG_SECONDS:
                self.long.append((self.calls, took))
            return answer

        return clocked


class Told:
    """Answers signals."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.answers = 0
        self.planned_at = 0.0  # on the monotonic clock, which is one for all processes
        self.planned_cpu = 0.0  # processor seconds until then
        self.parts: Assembly | None = None
        self.profile: cProfile.Profile | None = None
        self.steps, self.plans, self.published = Clock(), Clock(), Clock()

    def find(self) -> None:
        """Find the daemon's parts, once they stand."""
        if self.parts is None:
            self.parts = _assembly()
            if self.parts is not None:
                engine = self.parts.engine
                engine.step = self.steps.around(engine.step)  # type: ignore[method-assign]
                engine.units._plan = self.plans.around(engine.units._plan)  # type: ignore[method-assign]
                for publisher in engine.publishers.values():
                    publisher.run = self.published.around(publisher.run)  # type: ignore[method-assign]

    def tell(self) -> None:
        """Write down how far it is."""
        self.find()
        self.answers += 1
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"answer": self.answers, **self.counts()}))
        new.replace(self.file)

    def look(self) -> None:
        """Note when all is planned for the first time."""
        self.find()
        if self.parts is not None and self.parts.engine.units.units:
            units = self.parts.engine.units
            if units.all_planned and not units.busy:
                self.planned_at, self.planned_cpu = time.monotonic(), time.process_time()
                signal.setitimer(signal.ITIMER_REAL, 0)

    def counts(self) -> dict[str, Any]:
        """What the parts of the daemon have counted, and how everything stands."""
        if self.parts is None:
            return {"commit": "", "planned_at": 0.0, "settled": False, "healthy": False}
        engine, repositories = self.parts.engine, list(self.parts.repositories.values())
        read = [source.desired.commit for source in engine.sources.values()]
        units = engine.units.units
        unwell = [name for work in engine.work.all_lanes() for name, items in work.standings.items() if items and name != "healthy"]
        counted: dict[str, Any] = {
            "commit": read[0].id if read and read[0] else "",
            "planned_at": self.planned_at,
            "planned_cpu": self.planned_cpu,
            "settled": engine.reports.settled,
            "healthy": not unwell,
            "units": len(units),
            "plans": sum(unit.plans for unit in units.values()),
            "objects": sum(len(work.items) for work in engine.work.all_lanes()),
            "steps": self.steps.calls,
            "step_cpu": self.steps.seconds,
            "long_steps": self.steps.long,
            "plan_cpu": self.plans.seconds,
            "status_cpu": self.published.seconds,
            "told": all(publisher.idle for publisher in engine.publishers.values()),
        }
        for field in repositories[0].counts.__slots__:
            counted[field] = sum(getattr(one.counts, field) for one in repositories)
        return counted

    def profiling(self, *_: object) -> None:
        """Begin a profile, or end it."""
        if self.profile is None:
            self.profile = cProfile.Profile()
            self.profile.enable()
        else:
            self.profile.disable()
            self.profile.dump_stats(self.file.with_suffix(".prof"))
            self.profile = None


def _between_steps(then: Callable[[], None]) -> None:
    """Call `then` when the loop gets its turn: a signal may come in the middle of a step, where nothing fits together."""
    try:
        asyncio.get_running_loop().call_soon_threadsafe(then)
    except RuntimeError:  # no loop runs yet, or no more
        then()


def _assembly() -> Assembly | None:
    """The parts of the daemon that runs in this thread: a local variable of the task that runs it. None before it stands."""
    assembly = sys.modules.get("reconciler.cli.assembly")
    with contextlib.suppress(RuntimeError):  # no loop runs yet
        for task in asyncio.all_tasks(asyncio.get_running_loop()):
            frame = getattr(task.get_coro(), "cr_frame", None)
            for value in frame.f_locals.values() if frame is not None else ():
                if assembly is not None and type(value) is assembly.Assembly:
                    found: Assembly = value
                    return found
    return None


def main() -> None:
    """Run the command."""
    told = Told(Path(sys.argv[1]))
    signal.signal(signal.SIGUSR1, lambda *_: _between_steps(told.tell))
    signal.signal(signal.SIGUSR2, told.profiling)
    signal.signal(signal.SIGALRM, lambda *_: _between_steps(told.look))
    signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
    told.file.with_suffix(".pid").write_text(str(os.getpid()))
    reconciler(sys.argv[2:])


if __name__ == "__main__":
    main()
