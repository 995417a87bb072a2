"""The log: one JSON object a line, on standard error.

Law of the module: the message is constant, the facts are keys, the time is RFC 3339 in UTC. A line stays a line and cannot steer
a terminal, whatever stands in it; it is bounded; credentials that slipped into a text are masked. When to say something is the
engine's decision (the effect `Log`).
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from typing import TextIO

from .core.identity import Instant
from .core.messages import Log
from .lib.scrub import scrub

VALUE_LIMIT = 2000  # characters

# JSON escapes the C0 controls. Also: DEL and C1 (which a terminal obeys), line separators, marks that turn the direction of text,
# and lone surrogates, which cannot be encoded.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def line(entry: Log, now: Instant) -> str:
    """One line for `entry`, without its end."""
    at = dt.datetime.fromtimestamp(now.wall, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record: dict[str, str | int | float | bool | None] = {"at": at, "level": entry.level, "msg": entry.message}
    for name, value in entry.facts:
        record.setdefault(name, _bounded(scrub(value)) if isinstance(value, str) else value)
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write(entry: Log, now: Instant, stream: TextIO | None = None) -> None:
    """Write `entry` to standard error, or to `stream`."""
    print(line(entry, now), file=stream or sys.stderr, flush=True)


def _bounded(text: str) -> str:
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}… ({len(text)} characters)"
