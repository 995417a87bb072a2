"""`python -m tests.benchmarks [NAME…]`: run them, and say whether each reaches its goals."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.controlplane.build import BuildError, NoServersError, servers

from .change import change, folder
from .heal import heal
from .install import install
from .measure import TINY, Figure, Load, Result, Sizes
from .rest import idle, memory
from .targets import targets
from .trees import plan, start
from .world import Worlds

Benchmark = Callable[[Worlds, Sizes, Path | None], Result]

# In this order those that can share an installed world follow each other.
BENCHMARKS: tuple[Benchmark, ...] = (change, idle, heal, memory, folder, install, plan, start, targets)


def run(names: list[str], sizes: Sizes, say: Callable[[str], None], profiles: Path | None = None) -> list[Result]:
    """Run benchmarks, in their own order."""
    chosen = [benchmark for benchmark in BENCHMARKS if not names or benchmark.__name__ in names]
    folder = Path(tempfile.mkdtemp(prefix="reconciler-benchmarks-"))
    results = []
    try:
        with Worlds(servers(say), folder, say) as worlds:
            for benchmark in chosen:
                say(f"{benchmark.__name__}: {benchmark.__doc__}")
                with Load() as load:
                    result = benchmark(worlds, sizes, profiles / f"{benchmark.__name__}.prof" if profiles else None)
                result.load = load.json
                results.append(result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results


def show(result: Result, console: Console) -> None:
    """One benchmark, as a table."""
    table = Table(title=f"{result.name}: {result.about}", title_justify="left", title_style="bold")
    for heading in ("", "min", "median", "max", "unit", "goal"):
        table.add_column(heading, justify="right" if heading in ("min", "median", "max") else "left")
    for figure in result.figures:
        numbers = [_number(x) for x in (min(figure.values), figure.median, max(figure.values))]
        table.add_row(figure.what, *numbers, figure.unit, _goal(figure))
    console.print(table)
    for heading, counts in result.counts.items():
        console.print(f"  {heading}: " + (", ".join(f"{_number(count)} {what}" for what, count in counts.items()) or "none"))
    for note in result.notes:
        console.print(f"  {note}")
    load = result.load
    words = f"load {load['load_before']:g} to {load['load_after']:g} on {load['processors']:g} processors, {load['busy_percent']:g} % busy"
    console.print(f"  {words}, {load['seconds']:g} s\n")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'[green]met' if figure.met else '[red]MISSED'}[/]: at most {_number(figure.goal)}"


def main() -> int:
    """The command line. 0: every goal is reached; 1: one is missed; 2: wrong usage, or no servers."""
    listed = "\n".join(f"  {benchmark.__name__:<10}{benchmark.__doc__}" for benchmark in BENCHMARKS)
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="What the daemon costs, on a real API server, beside what the same costs elsewhere.",
        epilog=f"names:\n{listed}\n\nexit codes: 0 every goal is reached; 1 one is missed; 2 wrong usage, or no servers",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="which (default: all)")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--tiny", action="store_true", help="at a size that shows only that it works: goals mean nothing then")
    parser.add_argument("--profiles", metavar="FOLDER", type=Path, help="write a profile of the daemon's main thread, where one is taken")
    asked = parser.parse_args()
    known = [benchmark.__name__ for benchmark in BENCHMARKS]
    if unknown := [name for name in asked.names if name not in known]:
        parser.error(f"no benchmark {unknown[0]}; known are {', '.join(known)}")
    if asked.profiles:
        if asked.profiles.exists() and not asked.profiles.is_dir():
            parser.error(f"--profiles: {asked.profiles} is no folder")
        asked.profiles.mkdir(parents=True, exist_ok=True)
    try:
        results = run(asked.names, TINY if asked.tiny else Sizes(), lambda line: print(line, file=sys.stderr, flush=True), asked.profiles)
    except (NoServersError, BuildError) as error:
        print(error, file=sys.stderr)
        return 2
    if asked.json:
        print(json.dumps([result.json() for result in results], indent=1))
    else:
        console = Console(width=None if sys.stdout.isatty() else 160)
        for result in results:
            show(result, console)
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
