"""Tables and words on a terminal, and the same facts for machines.

Law of the module: a table never wraps. On a terminal the widest columns give way, and "…" says so; in a pipe nothing is cut. Colour is
only for a terminal (and not with NO_COLOR), and says nothing that a word does not say too. Machines get JSON or YAML with everything,
in a fixed order. Whatever comes from outside has been made plain before it is printed.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import click

from reconciler.lib.plain import cut, pad, plain, width

Format = Literal["table", "wide", "json", "yaml"]

GAP = 2  # columns between two columns
MESSAGE_MIN = 30  # columns of a message beside its place; with less room it begins below
COLUMN_MIN = 8  # a column gives way no further
_COLOURS = {
    "Healthy": "green",
    "Succeeded": "green",
    "Reconciling": "cyan",
    "Waiting": "yellow",
    "Paused": "yellow",
    "Blocked": "yellow",
    "Held": "yellow",
    "Failed": "red",
    "Unknown": "magenta",
    "error": "red",
    "warning": "yellow",
    "+": "green",
    "~": "yellow",
    "-": "red",
}


def columns() -> int | None:
    """How wide the terminal on standard output is; None where nothing limits a line."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return max(40, shutil.get_terminal_size().columns)
    return None


def colours(stream: Any = None) -> bool:
    """Whether to colour what goes to a stream (default: standard output)."""
    return (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, word: str) -> str:
    """`text` in the colour of a word (a state, a severity)."""
    return click.style(text, fg=_COLOURS[word]) if word in _COLOURS and colours() else text


def table(header: Sequence[str], rows: Iterable[Sequence[str]], limit: int | None, state: int | None = None) -> list[str]:
    """Lines of a table, at most `limit` columns wide. Column number `state` is coloured by its words."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(width(row[index]) for row in [list(header), *cells]) for index in range(len(header))]
    if limit is not None:
        widths = _squeezed(widths, limit - GAP * (len(header) - 1))
    lines = []
    for number, row in enumerate([list(header), *cells]):
        parts = [pad(cut(cell, columns), columns) for cell, columns in zip(row, widths, strict=True)]
        parts[-1] = parts[-1].rstrip()
        if number and state is not None:
            parts[state] = painted(parts[state], row[state])
        lines.append((" " * GAP).join(parts).rstrip())
    return lines


def aligned(rows: Iterable[Sequence[str]], indent: str, limit: int | None) -> list[str]:
    """Rows without a header, their columns below each other; what begins with + ~ - is coloured so."""
    cells = [[plain(cell) for cell in row] for row in rows]
    if not cells:
        return []
    widths = [max(width(row[index]) for row in cells) for index in range(len(cells[0]))]
    if limit is not None:
        widths = _squeezed(widths, limit - len(indent) - GAP * (len(widths) - 1))
    lines = []
    for row in cells:
        parts = [pad(cut(cell, columns), columns) for cell, columns in zip(row, widths, strict=True)]
        line = (indent + (" " * GAP).join(parts)).rstrip()
        lines.append(painted(line, row[0][:1]))
    return lines


def findings(rows: Iterable[tuple[str, str, str]], limit: int | None) -> list[str]:
    """Place, severity and message, one a line; on a narrow terminal the message goes on below itself, for it must be read in full."""
    cells = [(plain(place), word, plain(message)) for place, word, message in rows]
    if not cells:
        return []
    wide = max(width(place) for place, _, _ in cells)
    words = max(len(word) for _, word, _ in cells)
    start = wide + words + 2 * GAP
    below = 4 if limit is not None and start + MESSAGE_MIN > limit else start
    lines = []
    for place, word, message in cells:
        head = f"{pad(place, wide)}{' ' * GAP}{painted(pad(word, words), word)}{' ' * GAP}"
        if limit is None:
            lines.append(head + message)
            continue
        parts = textwrap.wrap(message, limit - below, break_on_hyphens=False) or [""]
        if below < start:
            lines.append(head.rstrip())
        else:
            lines.append(head + parts.pop(0))
        lines += [" " * below + part for part in parts]
    return lines


def _squeezed(widths: list[int], room: int) -> list[int]:
    """Take columns from the widest until all fit, none below its least."""
    made = list(widths)
    while sum(made) > room:
        widest = max(range(len(made)), key=lambda index: made[index])
        if made[widest] <= COLUMN_MIN:
            break
        made[widest] -= 1
    return made


def wrapped(text: str, indent: str, limit: int | None) -> list[str]:
    """Text that must be read in full, on as many lines as the terminal needs, what follows the first a little further in."""
    text = plain(text)
    if limit is None or not text:
        return [indent + text] if text else []
    return textwrap.wrap(text, limit, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False)


def fitted(text: str, limit: int | None) -> str:
    """One line of text, cut to the terminal."""
    text = plain(text)
    return text if limit is None else cut(text, limit)


def show(value: Any, form: Format) -> None:
    """Print a value for machines."""
    if form == "json":
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
        return
    import yaml

    # Escaped where it is not plain text; no aliases: readers of other languages stumble over them.
    dumper = yaml.CSafeDumper
    dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
    click.echo(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1_000), nl=False)


def moment(at: float) -> str:
    """A point in time, as the log writes it."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
