"""`reconciler simulate`: the whole future of a repository in a few seconds, in a world that exists in this process only.

Law of the module: the daemon's own engine on embedded clusters under a virtual clock; no cluster, network or Git command is needed, and
nothing is written. Standard output depends on the files, the options and the seed alone: the same again, byte for byte. How long it
took in real time goes to standard error.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from .options import CONFIG, output, span

if TYPE_CHECKING:
    from reconciler.sim.future import Future, Only, Outcome
    from reconciler.sim.timeline import Event

    from .simulated import Telling
    from .tables import Format

BROKEN = 4
"""Exit code: the program itself did what it must never do."""

_FAULT = re.compile(r"([0-9]{1,9}):([a-z][a-z-]{1,30})(?::([0-9]{1,6}(?:\.[0-9]{1,6})?))?")
_DEED = re.compile("deed:([0-9]{1,6})")


def _patience(ctx: click.Context, param: click.Parameter, value: str) -> float | None:
    return None if value == "never" else span(ctx, param, value)


def _only(ctx: click.Context, param: click.Parameter, value: str | None) -> Only | None:
    """Read what `_written` wrote."""
    if value is None:
        return None
    from reconciler.sim.faults import KINDS, Fault
    from reconciler.sim.future import Only

    faults, deeds = {}, []
    for part in filter(None, value.split(",")):
        deed, fault = _DEED.fullmatch(part), _FAULT.fullmatch(part)
        if deed:
            deeds.append(int(deed[1]))
        elif fault and (kind := fault[2].replace("-", " ")) in KINDS:
            # What lasts longer than the run waits for would look like a bug of the daemon.
            if (seconds := float(fault[3] or 0.0)) > (limit := KINDS[kind].seconds[1]):
                raise click.BadParameter(f"{part!r} lasts too long: {limit:g} s at most", ctx, param)
            faults[int(fault[1])] = Fault(kind, seconds)
        else:
            raise click.BadParameter(f'{part!r} is neither a fault such as "12:crash-after:3.5" nor a deed such as "deed:2"', ctx, param)
    return Only(faults, tuple(deeds))


def _written(only: Only) -> str:
    """Faults and deeds as `--only` takes them."""
    faults = [f"{n}:{fault.kind.replace(' ', '-')}" + (f":{fault.seconds:g}" if fault.seconds else "") for n, fault in only.faults.items()]
    return ",".join([*faults, *(f"deed:{number}" for number in only.deeds)])


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@click.option("--since", default="", metavar="REV", help="Begin with this branch, tag or commit, and follow the commits up to now.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides everything that is left to chance.")
@click.option(
    "--faults", "level", type=click.Choice(["none", "some", "all"]), default="none", show_default=True,
    help="What goes wrong: crashes, lost answers, outages, edits by hand.",
)
@click.option("--until", metavar="DURATION", callback=span, default="2h", show_default=True, help="Virtual time for commits and people.")
@click.option(
    "--approve-after", metavar="DURATION", callback=_patience, default="5m", show_default=True,
    help="When simulated people approve what waits, or: never.",
)
@click.option("--only", metavar="LIST", callback=_only, help="With --faults: these and no others, as a failed run prints them.")
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), envvar="RECONCILER_CONFIG", show_envvar=True,
    help=f"Take clusters and the source's folder from this file.  [default: ./{CONFIG} where there is one]",
)
@click.option("--source", default="", help="With a configuration: which source this is.  [default: the only one]")
@output("table", "json", "yaml")
def simulate(path: Path, *, since: str, config: Path | None, source: str, output: Format, **asked: Any) -> None:
    """Run a repository's whole future in seconds: what would happen, when, and what would wait for whom.

    \b
      reconciler simulate .
      reconciler simulate --since main            what would merging this do?
      reconciler simulate --faults all --seed 7   on a bad day

    PATH (default: here) is a folder of manifests, taken as it lies there. The daemon's own engine applies it to embedded clusters
    under a virtual clock: those that clusters/ names, and one called default. Pods are pretended, everything else is real. Nothing
    leaves this process. The same seed prints the same bytes.

    Exit codes: 0 all is healthy; 1 something is not, or does not come to rest; 2 wrong usage; 4 the program itself broke one of its
    invariants, which is a bug: the shortest schedule that shows it is printed.
    """  # noqa: D301 - click's own mark, not an escape that was forgotten
    from reconciler.adapters.clock import Clock
    from reconciler.sim.future import Future

    from . import future, simulated, tables, terminal
    from .assembly import checks

    if asked["only"] is not None and asked["level"] == "none":
        raise click.UsageError("--only goes with --faults some or --faults all.")
    clock = Clock()
    begun, against = clock.now().steady, checks()
    assert against.types is not None
    with terminal.progress("reading files") as say:
        reader = future.Reader(against, say)
        read = future.read(path, since, config, source, reader)
    planned = Future(
        read.source.name, read.steps, read.clusters, read.home, reader.parse, against.types, poll_seconds=read.source.poll_seconds, **asked
    )
    telling = simulated.Telling(read, planned, str(path), tables.columns()) if output == "table" else None
    events, outcome = _run(planned, telling)
    again = _again(planned, outcome) if outcome.failure else ""
    if telling is not None:
        _echo(telling.end(outcome, again))
    else:
        tables.show(simulated.as_data(planned, events, outcome, again), output)
    click.echo(f"{clock.now().steady - begun:.1f} s of real time", err=True)
    if outcome.failure or not outcome.healthy:
        sys.exit(BROKEN if outcome.failure else 1)


def _echo(lines: Iterable[str], out: TextIO | None = None) -> None:
    for line in lines:
        click.echo(line, file=out)


def _run(future: Future, telling: Telling | None) -> tuple[list[Event], Outcome]:
    """Run it, and tell it as it goes."""
    from reconciler.sim.future import Run

    from . import terminal
    from .simulated import offset

    events: list[Event] = []
    # Where both are a terminal, the line that says what goes on makes room for others; a file gets them straight.
    out = None if sys.stdout.isatty() else sys.stdout
    if telling is not None:
        _echo(telling.begin())
    with terminal.progress("simulating") as say:

        def tell(event: Event) -> None:
            events.append(event)
            say(f"simulating: {offset(event.at)}")
            if telling is not None:
                _echo(telling.feed(event), out)

        return events, Run(future, tell).go()


def _again(future: Future, outcome: Outcome) -> str:
    """The shortest command that shows a broken invariant again."""
    from reconciler.sim.future import shortest

    from . import terminal

    context = click.get_current_context()
    only = None
    if future.level != "none":
        with terminal.progress("looking for the shortest schedule") as say:
            only = shortest(future, outcome, say)
    words = ["reconciler", "simulate", str(context.params["path"]), "--seed", str(future.seed)]
    words += ["--faults", future.level] if only is not None else []
    for name in ("since", "config", "source"):
        if context.params[name]:
            words += [f"--{name}", str(context.params[name])]
    for name in ("until", "approve_after"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            words += [f"--{name.replace('_', '-')}", "never" if context.params[name] is None else f"{context.params[name]:g}s"]
    return shlex.join([*words, *(["--only", _written(only)] if only is not None else [])])
