"""`reconciler plan`: what would change on which cluster, before it is merged, pushed or even committed.

Law of the module: nothing is written, to any cluster or to Git: the API servers are asked by dry runs. A Secret's values are never shown.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import Where, output, span, where

if TYPE_CHECKING:
    from .planned import Counted, Planned, Step, UnitPlan, Verb
    from .tables import Format

_WORDS: dict[Verb, str] = {"change": "changed", "create": "created", "delete": "deleted"}
_SIGNS = {"create": "+", "change": "~", "delete": "-", "keep": "="}


@click.command()
@where
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--at", "revision", default="", metavar="REV", help="A branch, tag or commit.  [default: what is followed]")
@click.option("--working-tree", is_flag=True, help="The files in FOLDER (default: here) as they are, committed or not.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where anything would change.")
@click.option(
    "--timeout", metavar="DURATION", callback=span, default="2m", show_default=True,
    help="Give up after so long: an incomplete plan is none.",
)  # fmt: skip
@output("table", "json", "yaml")
def plan(
    at: Where, *, folder: Path | None, revision: str, working_tree: bool, exit_code: bool, timeout: float, output: Format
) -> None:
    """Show what would change on which cluster, field by field, with deletions, waves and needed approvals.

    \b
      reconciler plan --at feature/checkout-v2
      reconciler plan --working-tree
      reconciler plan --repo https://git.example.org/shop.git

    FOLDER is a clone of the source on this machine, which is then read in place of its address: at what is checked out, or at
    --at. Without configuration it is the repository itself. Exit code 1 where something would be refused or cannot be read.
    """  # noqa: D301 - click's own mark, not an escape that was forgotten
    from reconciler.errors import UnansweredError

    from . import planned, reading, tables

    if working_tree and revision:
        raise click.UsageError("--working-tree and --at exclude each other.")
    here = folder or (Path() if working_tree else None)
    config = (at.at(str(here)) if here else at).load()
    target = reading.Target("" if at.repo else at.source, revision, here, working_tree)
    found, timed_out = reading.look(config, at.cache, timeout, planned.read, target)
    if timed_out:
        raise UnansweredError(f"not all of it was known after {timeout:g} seconds" + "".join(f"\n{one.message}" for one in found.troubles))
    if output == "table":
        for line in as_text(found, tables.columns()):
            click.echo(line)
    else:
        tables.show({**planned.as_data(found), "digest": f"sha256:{found.digest}"}, output)
    if found.troubles or (exit_code and found.changes):
        sys.exit(1)


def as_text(plan: Planned, limit: int | None) -> list[str]:
    """The lines that people read."""
    from .tables import findings, fitted

    lines = [fitted(_title(plan), limit)]
    for name, units in plan.clusters.items():
        lines.append("")
        if not units:
            lines.append(f"{name}  nothing")
            continue
        for number, unit in enumerate(units):
            head = f"   {unit.head}" if unit.head else ""
            lines.append(fitted(f"{name if number == 0 else ' ' * len(name)}  {unit.unit}{head}", limit))
            lines += _unit_lines(unit, " " * (len(name) + 4), limit)
    if plan.troubles:
        lines.append("")
    rows = [(str(one.place or one.unit or one.cluster or "source"), "error", one.message) for one in plan.troubles]
    lines += findings(rows, limit)
    return [*lines, "", _summary(plan)]


def _title(plan: Planned) -> str:
    from .standing import revision

    read = [f"{revision(commit)}" if set(commit.id) != {"0"} else "what is not committed" for commit in plan.commits.values() if commit]
    count = len(plan.clusters)
    return f"Plan of {', '.join(read)} against {count} live cluster{'' if count == 1 else 's'}"


def _summary(plan: Planned) -> str:
    counts = [f"{plan.count(verb)} {word}" for verb, word in _WORDS.items() if plan.count(verb)]
    needs = [gate.name for gate in plan.approvals]
    approval = f"approval needed: {', '.join(needs)}" if needs else "no approval needed"
    problems = f"{len(plan.troubles)} problem{'' if len(plan.troubles) == 1 else 's'}; " if plan.troubles else ""
    return f"{problems}{', '.join(counts) or 'nothing would change'}; {approval}. Digest {plan.digest[:4]}…{plan.digest[-2:]}"


def _unit_lines(unit: UnitPlan, indent: str, limit: int | None) -> list[str]:
    from .tables import fitted

    lines = _turn_lines(unit.turns, indent, limit)
    files = dict.fromkeys(step.file for step in unit.steps)
    waves = len(dict.fromkeys(step.wave for step in unit.steps if step.file)) > 1
    for file in files:
        if file:
            lines.append(fitted(f"{indent}{file}", limit))
        steps = [step for step in unit.steps if step.file == file]
        lines += _step_lines(steps, indent + ("  " if file else ""), limit, waves=waves)
    if unit.approval:
        lines.append(fitted(f"{indent}waits for an approval: {unit.waits} (reconciler approve {unit.approval.name})", limit))
    return [*lines, *(fitted(f"{indent}left alone: {text}", limit) for text in unit.left_alone)]


def _turn_lines(turns: tuple[Counted, ...], indent: str, limit: int | None) -> list[str]:
    """Who gets what, and who leaves: all of it is to be read, on as many lines as it needs, a hint on its own."""
    from reconciler.lib.plain import width

    from .tables import aligned, painted, wrapped

    rows = [(one.turn.who, one.turn.what + _deleted(one)) for one in turns]
    lines: list[str] = []
    for one, row, line in zip(turns, rows, aligned(rows, indent, None), strict=True):
        fits = limit is None or width(line) <= limit
        texts = [line] if fits else [*wrapped(row[0], indent, limit), *wrapped(row[1], indent + "  ", limit)]
        lines += [painted(text, "-" if one.turn.leaves else "") for text in texts]
        lines += wrapped(f"({one.turn.hint})", indent + "  ", limit) if one.turn.hint else []
    return lines


def _deleted(one: Counted) -> str:
    if not one.turn.leaves:
        return ""
    return f": {one.deleted} object{'' if one.deleted == 1 else 's'} deleted"


def _step_lines(steps: list[Step], indent: str, limit: int | None, *, waves: bool) -> list[str]:
    from .tables import aligned

    rows: list[tuple[str, ...]] = []
    for step in steps:
        wave = f"wave {step.wave}  " if waves and step.file else ""
        name = f"{_SIGNS[step.verb]} {wave}{step.object}"
        first = step.fields[0] if step.fields else None
        rows.append((name, first.path if first else step.note, first.words if first else ""))
        rows += [("", field.path, field.words) for field in step.fields[1:]]
    return aligned(rows, indent, limit)
