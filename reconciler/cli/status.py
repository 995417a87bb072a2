"""`reconciler status`, `get` and `explain`: how everything stands, asked of Git and the clusters themselves.

Law of the module: read-only; works whether or not a daemon runs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

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


@click.command()
@where
@click.argument("kind")
@click.argument("name", default="")
@click.option("-n", "--namespace", default="", help="Only of this namespace.")
@click.option("--cluster", default="", help="Only of this cluster.")
@_TIMEOUT
@output("table", "wide", "json", "yaml")
def get(
    at: Where, *, kind: str, name: str, namespace: str, cluster: str, timeout: float, output: Format
) -> None:
    """List the objects of a KIND that Git wants, on every cluster, and how each is.

    KIND is as for kubectl: deployment, deployments, Deployment.apps. Instances, targets and solutions are listed as Symphony lists
    them; -o yaml prints them with their status. Exit code 1 where there are none.
    """
    from . import listing, reading, sorts, tables

    pick = listing.Pick(kind.lower(), name, namespace, cluster)
    sort = sorts.sort_of(kind)
    known: list[str] = []
    config = at.load()
    if sort is not None:
        asked = sort
        (found, now), timed_out = reading.look(
            config, at.cache, timeout, lambda engine, report: (sorts.find(engine, report, asked, pick), report.at)
        )
        data: Any = sorts.as_data(found, pick)
        lines = sorts.as_text(found, sort, now, tables.columns(), wide=output == "wide") if found else []
    else:
        (rows, known, now), timed_out = reading.look(
            config, at.cache, timeout, lambda engine, report: (listing.rows(engine, pick), listing.kinds(engine), report.at)
        )
        data = [listing.as_data(row) for row in rows]
        lines = listing.as_text(rows, now, tables.columns(), wide=output == "wide") if rows else []
    if timed_out:
        click.echo(f"not all of it was known after {timeout:g} seconds", err=True)
    if output in ("json", "yaml"):
        tables.show(data, output)
    for line in lines if output in ("table", "wide") else ():
        click.echo(line)
    if not lines and output in ("table", "wide"):
        besides = "" if sort is not None else f"; kinds that it wants: {', '.join(known) or 'none'}"
        click.echo(f"Git {'wants' if sort is None else 'has'} no {kind}{f' {name}' if name else ''}{besides}", err=True)
    if timed_out or not lines:
        sys.exit(1)


@click.command()
@where
@click.argument("object", metavar="KIND/NAME")
@click.option("-n", "--namespace", default="", help="Of this namespace.")
@click.option("--cluster", default="", help="On this cluster.")
@_TIMEOUT
@output("table", "wide", "json", "yaml")
def explain(at: Where, *, object: str, namespace: str, cluster: str, timeout: float, output: Format) -> None:
    """Tell all of one object: who wants it, where it is written and by whom, what was applied, and what it waits for.

    On every cluster and in every namespace, unless one is named. Exit code 1 where neither Git wants it nor anything of ours is left of it.
    """
    from . import explained, listing, reading, sorts, tables

    kind, _, name = object.partition("/")
    if not kind or not name:
        raise click.BadParameter("must be KIND/NAME, such as deployment/shop", param_hint="KIND/NAME")
    if sorts.sort_of(kind) is not None:
        raise click.UsageError(f"{kind}s are no objects on a cluster; this one is told by: reconciler get {kind} {name} -o wide")
    pick = listing.Pick(kind.lower(), name, namespace, cluster)
    (found, known, now), timed_out = reading.look(
        at.load(),
        at.cache,
        timeout,
        lambda engine, report: (explained.find(engine, pick), listing.kinds(engine), report.at),
        written=lambda engine: explained.written(engine, pick),
    )
    if output in ("json", "yaml"):
        tables.show([explained.as_data(one) for one in found], output)
    for line in explained.as_text(found, now, tables.columns(), wide=output == "wide") if output in ("table", "wide") else ():
        click.echo(line)
    if timed_out:
        click.echo(f"not all of it was known after {timeout:g} seconds", err=True)
    if not found:
        there = "".join(f" {word} {value}" for word, value in (("in", namespace), ("on", cluster)) if value)
        besides = ", ".join(known) or "none"
        click.echo(f"Git wants no {kind} {name}{there}, and none of ours is left; kinds that it wants: {besides}", err=True)
    if timed_out or not found:
        sys.exit(1)
