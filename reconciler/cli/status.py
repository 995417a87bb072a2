"""`reconciler status` and `reconciler get`: how everything stands, asked of Git and the clusters themselves.

Law of the module: read-only; works whether or not a daemon runs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .options import Where, output, span, where

if TYPE_CHECKING:
    from .tables import Format


_TIMEOUT = click.option(
    "--timeout", metavar="DURATION", callback=span, default="1m", show_default=True, help="Answer with what is known after so long."
)


@click.command()
@where
@_TIMEOUT
@output("table", "wide", "json", "yaml")
def status(at: Where, *, timeout: float, output: Format) -> None:
    """Show how everything stands: every unit, in which state, since when, and what it waits for.

    Reads Git and the clusters itself, and the status branch for times. Exit code 1 where anything is not healthy.
    """
    from . import reading, standing

    report, timed_out = reading.look(at.load(), at.cache, timeout, lambda _, report: report)
    standing.show(report, output)
    if timed_out:
        click.echo(f"not all of it was known after {timeout:g} seconds", err=True)
    if timed_out or not report.healthy:
        sys.exit(1)
