"""Spans of time as people write and read them.

Law of the module: pure and total. Written spans follow Go's syntax (`time.ParseDuration`: "30s", "1h30m", "1.5h"), which Kubernetes
uses everywhere; a bare number is refused, for nobody knows its unit. Spans for reading are one number and one unit, cut and not
rounded, so that "59m" never reads "1h" too early. All values are seconds.
"""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(ns|us|µs|ms|s|m|h)", re.ASCII)
_READABLE = ((86_400, "d"), (3_600, "h"), (60, "m"))


def parse(text: str) -> float | None:
    """The seconds that `text` says; None where it is no span, or a negative one."""
    total, at = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != at:
            return None
        total += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    return total if text and at == len(text) else (0.0 if text == "0" else None)


def brief(seconds: float) -> str:
    """A span for a table: "40s", "12m", "1h", "3d"."""
    whole = max(0, int(seconds))
    for size, unit in _READABLE:
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"
