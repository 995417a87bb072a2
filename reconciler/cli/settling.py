"""Waiting until there is something to say: everything has settled, or the world does not answer.

Law of the module: the engine says when nothing will move by itself any more; this only waits for it, with limits. Who has failed to answer
for PATIENCE_SECONDS is not waited for: what is known of the others is still worth telling. Slow is no failure: a long fetch is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reconciler.core.report import Report
from reconciler.errors import UnansweredError

from .assembly import Assembly

PATIENCE_SECONDS = 5.0

Say = Callable[[str], None]


class Settling:
    """One wait. `report` is how everything stood at its end; None as long as it has not ended."""

    def __init__(self, parts: Assembly, timeout_seconds: float, say: Say = lambda _: None) -> None:
        self.report: Report | None = None
        self.timed_out = False
        self._parts = parts
        self._say = say
        self._act = parts.engine.settings.act
        self._patient = True
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(PATIENCE_SECONDS, self._lose_patience),
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
        silent = _unanswered(self._parts, wait_for_the_slow=False)
        if silent:
            raise UnansweredError(silent)
        return self.report

    def _look(self) -> bool:
        """After each step: is it over?"""
        if self.report is not None:
            return not self._act
        engine = self._parts.engine
        if not self._patient and _unanswered(self._parts, wait_for_the_slow=True):
            return self._end(engine.reports.report())
        if not engine.reports.settled or (self._patient and not _all_answer(self._parts)) or (self._act and self._moving()):
            self._say(_doing(self._parts))
            return False
        return self._end(engine.reports.report())

    def _moving(self) -> bool:
        engine = self._parts.engine
        units = engine.reports.units().values()
        return any(unit.state == "Reconciling" for unit in units) or not all(one.idle for one in engine.publishers.values())

    def _end(self, report: Report) -> bool:
        self.report = report
        self._parts.cancel()
        self._parts.shell.stop()
        return not self._act  # a daemon gives its Lease back first, and the shell sees to that

    def _lose_patience(self) -> None:
        self._patient = False
        if self.report is None:
            self._look()

    def _give_up(self) -> None:
        if self.report is None:
            self.timed_out = True
            self._end(self._parts.engine.reports.report())


def _all_answer(parts: Assembly) -> bool:
    engine = parts.engine
    return all(source.loaded and not source.problem for source in engine.sources.values()) and all(
        cluster.state == "up" for cluster in engine.clusters.values()
    )


def _unanswered(parts: Assembly, *, wait_for_the_slow: bool) -> str:
    """Why there is nothing to tell: no repository could be read, or no cluster reached. "" where there is."""
    engine = parts.engine
    sources = {f"source {source.name}": source.problem for source in engine.sources.values()}
    if not any(source.loaded for source in engine.sources.values()):
        return _silence(sources, wait_for_the_slow=wait_for_the_slow)
    clusters = {f"cluster {cluster.name}": cluster.problem for cluster in engine.clusters.values()}
    if not any(cluster.state == "up" for cluster in engine.clusters.values()):
        return _silence(clusters, wait_for_the_slow=wait_for_the_slow)
    home = engine.store.home
    if home.state != "up":
        return _silence({f"the home cluster {home.name}, which keeps the records": home.problem}, wait_for_the_slow=wait_for_the_slow)
    return ""


def _silence(problems: dict[str, str], *, wait_for_the_slow: bool) -> str:
    if wait_for_the_slow and not all(problems.values()):
        return ""
    return "\n".join(f"{name}: {problem or 'has not answered yet'}" for name, problem in problems.items())


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
