"""`reconciler run`: the daemon, until it is told to stop, or until everything has settled.

Law of the module: signals end it in good order (the Lease is given back), a second one at once. The log goes to standard error, the
answer of `--once` to standard output.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from .options import Where, output, span, where

if TYPE_CHECKING:
    from reconciler.config import Config

    from .assembly import Assembly, Tell
    from .tables import Format
    from .workdir import WorkDir


@click.command()
@where
@click.option("--once", is_flag=True, help="End when everything has settled: exit code 0 if all is healthy, 1 if not.")
@click.option(
    "--timeout", metavar="DURATION", callback=span, default="10m", show_default=True, help="With --once: end with 1 after so long.",
)
@click.option(
    "--log", "log_form", type=click.Choice(["auto", "json", "text"]), default="auto", show_default=True,
    help="How to log: JSON lines, or lines for people (auto: on a terminal).",
)  # fmt: skip
@output("table", "wide", "json", "yaml")
def run(at: Where, *, once: bool, timeout: float, log_form: str, output: Format) -> None:
    """Follow Git and make the clusters match, until stopped.

    \b
      reconciler run --repo https://git.example.org/shop.git
      reconciler run --config reconciler.yaml

    The first form needs no configuration: one repository (branch main, all of it, polled every 30 s, answers on branch
    reconciler-status), and the cluster of the current kubectl context. A file can name more of both, and credentials;
    schemas/reconciler.dev/config.json describes it.

    Files under clusters/NAME/ go to that cluster, files under hub/ nowhere by themselves, all others to the default cluster.
    Records are Secrets in namespace reconciler-system of the home cluster (the default one); a Lease beside them says which of
    several daemons acts. SIGTERM ends it in good order, a second one at once.
    """  # noqa: D301 - click's own mark, not an escape that was forgotten
    import asyncio  # a third of the time that --help would take

    from . import terminal
    from .workdir import WorkDir

    config = at.load()
    as_text = log_form == "text" or (log_form == "auto" and sys.stderr.isatty())
    tell = terminal.writer() if as_text else _json()
    with WorkDir(config, at.cache) as workdir:
        if not once:
            asyncio.run(_follow(config, workdir, tell))
        elif code := asyncio.run(_once(config, workdir, tell, timeout, output)):
            sys.exit(code)


def _json() -> Tell:
    from reconciler import log

    return log.write


async def _follow(config: Config, workdir: WorkDir, tell: Tell) -> None:
    """Until a signal says to stop."""
    from .assembly import assemble

    parts = assemble(config, workdir, act=True, tell=tell)
    _obey_signals(parts)
    try:
        await parts.shell.run()
    finally:
        parts.close()


async def _once(config: Config, workdir: WorkDir, tell: Tell, timeout_seconds: float, form: Format) -> int:
    """Until everything has settled; the exit code."""
    from . import standing
    from .assembly import assemble
    from .settling import Settling

    parts = assemble(config, workdir, act=True, tell=tell)
    _obey_signals(parts)
    try:
        settling = Settling(parts, timeout_seconds)
        report = await settling.wait()
    finally:
        parts.close()
    standing.show(report, form)
    if settling.timed_out:
        click.echo(f"not settled after {timeout_seconds:g} seconds", err=True)
    return 0 if report.healthy and not settling.timed_out else 1


def _obey_signals(parts: Assembly) -> None:
    """The first signal ends in good order, the second at once."""
    import asyncio

    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def end(number: int) -> None:
        if seen:
            os._exit(128 + number)
        seen.append(number)
        parts.cancel()
        parts.shell.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
