"""Waiting until there is something to say: everything has settled, or the world does not answer.

Law of the module: the engine says when nothing will move by itself any more; this only waits for it, with limits. Who does not answer
within UNANSWERED_SECONDS is not waited for: what is known of the others is still worth telling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reconciler.core.report import Report
from reconciler.errors import UnansweredError

from .assembly import Assembly

UNANSWERED_SECONDS = 15.0

Say = Callable[[str], None]


class Settling:
    """One wait. `report` is how everything stood at its end; None as long as it has not ended."""

    def __init__(self, parts: Assembly, timeout_seconds: float, say: Say = lambda _: None) -> None:
        self.report: Report | None = None
        self.timed_out = False
        self._parts = parts
        self._say = say
        self._act = parts.engine.settings.act
        self._waiting_for_answers = True
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(UNANSWERED_SECONDS, self._stop_waiting_for_answers),
            loop.call_later(timeout_seconds, self._give_up),
        ]

    async def wait(self) -> Report:
        """Drive the shell until the end; one that acts then ends in good order.

        Raises:
            UnansweredError: no repository or no cluster answered.
        """
        try:
            await self._parts.shell.run(self._look)
        finally:
            for timer in self._timers:
                timer.cancel()
        if self.report is None:  # stopped by a signal
            self.report = self._parts.engine.reports.report()
        silent = unanswered(self._parts)
        if silent:
            raise UnansweredError(silent)
        return self.report

    def _look(self) -> bool:
        """After each step: is it over?"""
        if self.report is not None:
            return not self._act
        engine = self._parts.engine
        if not engine.reports.settled:
            self._say(_doing(self._parts))
            return False
        if self._waiting_for_answers and not _all_answer(self._parts):
            return False
        report = engine.reports.report()
        if self._act and (
            any(unit.state == "Reconciling" for unit in report.units) or not all(one.idle for one in engine.publishers.values())
        ):
            self._say(_doing(self._parts))
            return False
        return self._end(report)

    def _end(self, report: Report) -> bool:
        self.report = report
        self._parts.cancel()
        self._parts.shell.stop()
        return not self._act  # a daemon gives its Lease back first, and the shell sees to that

    def _stop_waiting_for_answers(self) -> None:
        self._waiting_for_answers = False
        engine = self._parts.engine
        if self.report is None and (unanswered(self._parts) or engine.reports.settled):
            self._end(engine.reports.report())

    def _give_up(self) -> None:
        if self.report is None:
            self.timed_out = True
            self._end(self._parts.engine.reports.report())


def _all_answer(parts: Assembly) -> bool:
    engine = parts.engine
    return all(source.loaded and not source.problem for source in engine.sources.values()) and all(
        cluster.state == "up" for cluster in engine.clusters.values()
    )


def unanswered(parts: Assembly) -> str:
    """Why there is nothing to tell: no repository could be read, or no cluster reached. "" where there is."""
    engine = parts.engine
    sources, clusters = list(engine.sources.values()), list(engine.clusters.values())
    if not any(source.loaded for source in sources):
        return "; ".join(f"source {source.name}: {source.problem or 'has not answered'}" for source in sources)
    if not any(cluster.state == "up" for cluster in clusters):
        return "; ".join(f"cluster {cluster.name}: {cluster.problem or 'has not answered'}" for cluster in clusters)
    home = engine.store.home
    if home.state != "up":
        return f"the home cluster {home.name}, which keeps the records: {home.problem or 'has not answered'}"
    return ""


def _doing(parts: Assembly) -> str:
    """What is waited for, in a few words."""
    engine = parts.engine
    for source in engine.sources.values():
        if not source.loaded:
            return f"reading {source.name}" + (f" ({source.problem})" if source.problem else "")
    for cluster in engine.clusters.values():
        if cluster.state != "up" or not cluster.all_listed:
            return f"looking at cluster {cluster.name}" + (f" ({cluster.problem})" if cluster.problem else "")
    units = list(engine.reports.units().values())
    moving = sum(unit.state == "Reconciling" for unit in units)
    return f"{moving} of {len(units)} units on their way"
