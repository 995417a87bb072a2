"""Waiting for the real world, with a limit.

Law of the module: a test never waits for time to pass, only for something to be so; and it says what it waited for in vain.
Virtual time needs none of this: only tests on real servers do. This is the one module under tests/ that may sleep.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

T = TypeVar("T")

LOOK_AGAIN_SECONDS = 0.05


def until(look: Callable[[], T | Literal[False] | None], what: str, limit_seconds: float = 60.0) -> T:
    """Look again and again until `look` returns something true, and return that.

    Raises:
        TimeoutError: it was still not so after `limit_seconds`.
    """
    deadline = time.monotonic() + limit_seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_seconds:g} s in vain for {what}; last seen: {seen!r}")
        time.sleep(LOOK_AGAIN_SECONDS)
    return seen


async def until_async(look: Callable[[], Awaitable[T]], what: str, limit_seconds: float = 60.0) -> T:
    """The same in an event loop."""
    deadline = time.monotonic() + limit_seconds
    while not (seen := await look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_seconds:g} s in vain for {what}; last seen: {seen!r}")
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return seen
