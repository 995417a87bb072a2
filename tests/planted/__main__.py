"""The command: `python -m tests.planted [NAME…] [--suite NAME] [--jobs N] [--json]`.

Law of the module: prints and decides nothing; ends with 1 where less than `SHARE_WANTED` were caught.
"""

from __future__ import annotations

import sys

import click
import msgspec

from .bugs import BugError, read_bugs
from .runner import SHARE_WANTED, Outcome, Result, meet_all
from .suites import SUITES


@click.command()
@click.argument("names", nargs=-1)
@click.option("--suite", type=click.Choice([suite.name for suite in SUITES]), help="Run this suite alone: what does it catch by itself?")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Copies of the tree to work in at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON, and nothing else.")
def main(names: tuple[str, ...], suite: str | None, jobs: int, as_json: bool) -> None:
    """Plant bugs in a copy of the program and see which suite notices. NAME: all whose name holds it."""
    try:
        bugs = read_bugs().named(names)

        def tell(outcome: Outcome) -> None:
            if not as_json:
                click.echo(str(outcome))

        result = meet_all(bugs, tuple(s for s in SUITES if suite in (None, s.name)), jobs, tell)
    except BugError as error:
        raise click.ClickException(str(error)) from error
    click.echo(msgspec.json.encode(result.outcomes) if as_json else summary(result))
    sys.exit(result.share < SHARE_WANTED)


def summary(result: Result) -> str:
    """How many were caught, by which suite, and what nobody noticed."""
    total = len(result.outcomes)
    lines = ["", f"{total - len(result.survivors)} of {total} caught ({result.share:.1%}; at least {SHARE_WANTED:.0%} are wanted)"]
    lines += [f"{name:>8}  {count}" for name, count in result.by_suite.items() if count]
    lines += [f"survives  {outcome.bug} ({outcome.breaks}): {outcome.wrong}" for outcome in result.survivors]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
