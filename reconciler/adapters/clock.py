"""The only reader of time.

Law of the module: the calendar may jump, waits may not. `steady` starts at the calendar's time and then moves with the monotonic
clock, so both count seconds since the epoch and a wait that is written down still means something after a restart.
"""

from __future__ import annotations

import time

from reconciler.core.identity import Instant


class Clock:
    """This machine's time."""

    def __init__(self) -> None:
        self._monotonic_epoch = time.time() - time.monotonic()

    def now(self) -> Instant:
        """This moment, on both clocks."""
        return Instant(wall=time.time(), steady=self._monotonic_epoch + time.monotonic())
