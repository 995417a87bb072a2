"""Helm charts that units ask for: rendered outside, once for each different request, and kept.

Law of the module: what a chart comes to depends on the request alone. What is known is never asked again, whatever time passes; what
failed is tried again, later and later, while anybody asks for it. So of a version that is left open the newest is taken once, and stays.
All that is kept has one limit: what nobody asks for any more goes first, and beyond it a chart is a failure, told as one. Ten thousand
targets of one instance may ask for a chart each, and all of it is planned anew when one is there: so answers are told together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .messages import Chart, ChartFailure, ChartObjects, ChartRendered
from .wire import Wire

AT_ONCE = 2
"""Charts that are rendered at the same time: each is a process. More wait their turn."""

KEPT_BYTES = 256 << 20
"""Of requests and answers together."""

TELL_SECONDS = 5.0
"""While more wait their turn, answers are told at most so often."""

BACK_OFF_BASE_SECONDS = 10.0
PERMANENT_BASE_SECONDS = 60.0
BACK_OFF_CAP_SECONDS = 900.0

_OVERHEAD_BYTES = 1_000  # of one request, whatever it says

Answer = ChartObjects | ChartFailure


@dataclass(slots=True, eq=False)
class _Entry:
    asked: bool = True
    answer: Answer | None = None
    failures: int = 0
    bytes: int = 0


class Charts:
    """What is known of charts. `on_change(chart)` hears of each new answer."""

    def __init__(self, wire: Wire, on_change: Callable[[Chart], None], kept_bytes: int = KEPT_BYTES) -> None:
        self._wire = wire
        self._on_change = on_change
        self._kept_bytes = kept_bytes
        self._entries: dict[Chart, _Entry] = {}  # those that nobody asks for any more: oldest first
        self._waiting: dict[Chart, None] = {}
        self._unknown: dict[Chart, None] = {}
        self._changed: dict[Chart, None] = {}
        self._flying = 0
        self._bytes = 0

    @property
    def busy(self) -> bool:
        """Whether anybody waits for a first answer; that failures are tried again makes nobody wait."""
        return bool(self._unknown) or bool(self._changed)

    def ask(self, chart: Chart) -> Answer | None:
        """What a chart comes to; None while that is being found out."""
        entry = self._entries.get(chart)
        if entry is None:
            entry = self._entries[chart] = _Entry()
            self._count(entry, _OVERHEAD_BYTES + len(chart.values))
            self._queue(chart)
        entry.asked = True
        if entry.answer is None:
            self._unknown[chart] = None
        return entry.answer

    def end(self, chart: Chart) -> None:
        """Nobody asks for it any more."""
        entry = self._entries.get(chart)
        if entry is None:
            return
        self._wire.cancel(("chart", chart))
        self._unknown.pop(chart, None)
        self._changed.pop(chart, None)
        entry.asked = False
        if chart in self._waiting or isinstance(entry.answer, ChartFailure):
            self._waiting.pop(chart, None)
            self._drop(chart)
        elif entry.answer is not None:
            self._entries[chart] = self._entries.pop(chart)

    def _queue(self, chart: Chart) -> None:
        self._waiting[chart] = None
        self._send()

    def _send(self) -> None:
        while self._waiting and self._flying < AT_ONCE:
            chart = next(iter(self._waiting))
            del self._waiting[chart]
            self._flying += 1
            self._wire.chart(chart, lambda message, chart=chart: self._answered(chart, message))  # type: ignore[misc]

    def _answered(self, chart: Chart, message: ChartRendered) -> None:
        self._flying -= 1
        entry = self._entries.get(chart)
        if entry is not None:  # else what it was asked for has gone, and its failure with it
            self._take(chart, entry, message.answer)
        if isinstance(message.answer, ChartFailure) and not message.answer.permanent:
            self._fail_alike(chart, message.answer)
        self._send()
        if not self._waiting:
            self._tell()
        elif self._changed and not self._wire.has_timer("charts"):
            self._wire.after("charts", TELL_SECONDS, self._tell)

    def _fail_alike(self, chart: Chart, answer: ChartFailure) -> None:
        """Whoever waits for the same archive would wait in vain too, and hold up all others."""
        for other in list(self._waiting):
            if (other.repo, other.name, other.version) == (chart.repo, chart.name, chart.version):
                del self._waiting[other]
                self._take(other, self._entries[other], answer)

    def _tell(self) -> None:
        changed, self._changed = self._changed, {}
        self._wire.cancel("charts")
        for chart in changed:
            self._on_change(chart)

    def _take(self, chart: Chart, entry: _Entry, answer: Answer) -> None:
        if isinstance(entry.answer, ChartObjects):
            return  # asked for, left, and asked for again, all while it was on its way
        if isinstance(answer, ChartObjects):
            answer = self._kept(entry, answer)
        if isinstance(answer, ChartFailure):
            if not entry.asked:
                self._drop(chart)
                return
            self._failed(chart, entry, answer)
        else:
            self._wire.log("info", "chart rendered", chart=chart.name, repo=chart.repo, version=answer.version)
            entry.failures = 0
            self._also_exact(chart, answer)
        self._unknown.pop(chart, None)
        if answer != entry.answer:
            entry.answer = answer
            self._changed[chart] = None

    def _failed(self, chart: Chart, entry: _Entry, answer: ChartFailure) -> None:
        entry.failures += 1
        if answer != entry.answer:
            self._wire.log("error", "chart cannot be rendered", chart=chart.name, repo=chart.repo, reason=answer.message)
        base = PERMANENT_BASE_SECONDS if answer.permanent else BACK_OFF_BASE_SECONDS
        seconds = self._wire.jitter.back_off(entry.failures, base, BACK_OFF_CAP_SECONDS)
        self._wire.after(("chart", chart), seconds, lambda: self._queue(chart))

    def _also_exact(self, chart: Chart, answer: ChartObjects) -> None:
        """Who asks for the version that was found has the same objects."""
        exact = replace(chart, version=answer.version)
        if exact not in self._entries and self._bytes + (more := _OVERHEAD_BYTES + len(chart.values)) <= self._kept_bytes:
            entry = self._entries[exact] = _Entry(asked=False, answer=answer)
            self._count(entry, more)

    # -- the limit ----------

    def _kept(self, entry: _Entry, answer: ChartObjects) -> Answer:
        """The answer, if there is room for it."""
        self._count(entry, len(answer.json))
        for chart, other in list(self._entries.items()):
            if self._bytes <= self._kept_bytes:
                break
            if not other.asked and other.answer is not None and other is not entry:
                self._drop(chart)
        if self._bytes <= self._kept_bytes:
            return answer
        self._count(entry, -len(answer.json))
        return ChartFailure(f"all charts together come to more than {self._kept_bytes >> 20} MiB", permanent=True)

    def _count(self, entry: _Entry, more: int) -> None:
        entry.bytes += more
        self._bytes += more

    def _drop(self, chart: Chart) -> None:
        self._bytes -= self._entries.pop(chart).bytes
