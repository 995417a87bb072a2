"""A person at a terminal: readable log lines, and a line that says what we wait for.

Law of the module: only for standard error, only where it is a terminal; rich is imported here and nowhere else, and only then. What
comes from outside is made plain first.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconciler.core.identity import Instant
from reconciler.core.messages import Log
from reconciler.lib.plain import plain
from reconciler.lib.scrub import scrub

Say = Callable[[str], None]

_STYLES = {"info": "", "warning": "yellow", "error": "red"}
_FACT_CHARACTERS = 300


def readable(entry: Log, now: Instant) -> str:
    """A log entry as a line for people: local time, message, facts."""
    at = dt.datetime.fromtimestamp(now.wall, dt.UTC).astimezone().strftime("%H:%M:%S")
    facts = []
    for name, value in entry.facts:
        text = plain(scrub(str(value)))
        text = text if len(text) <= _FACT_CHARACTERS else text[:_FACT_CHARACTERS] + "…"
        facts.append(f"{name}={text!r}" if " " in text else f"{name}={text}")
    level = "" if entry.level == "info" else f"{entry.level}: "
    return f"{at}  {level}{entry.message}" + (f"  {' '.join(facts)}" if facts else "")


def writer() -> Callable[[Log, Instant], None]:
    """A writer of readable log lines on standard error."""
    if not sys.stderr.isatty():
        return lambda entry, now: print(readable(entry, now), file=sys.stderr, flush=True)
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)

    def write(entry: Log, now: Instant) -> None:
        console.print(Text(readable(entry, now), style=_STYLES[entry.level]), soft_wrap=True)

    return write


@contextmanager
def progress(first: str) -> Iterator[Say]:
    """Show on one line of the terminal what is going on; nothing where there is none."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status(Text(first), refresh_per_second=8) as status:
        yield lambda text: status.update(Text(plain(text)))
