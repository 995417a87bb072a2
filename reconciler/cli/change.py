"""`reconciler approve`: let through what waits for a person.

Law of the module: a change is a commit in Git, made in the person's name; no cluster is asked, and the daemon need not run.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .options import Where, where

if TYPE_CHECKING:
    from .approving import Gates, Offer


@click.command()
@where
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--author", default="", metavar="'NAME <EMAIL>'", help="Who approves.  [default: as git config says]")
def approve(at: Where, *, names: tuple[str, ...], yes: bool, author: str) -> None:
    """Approve what waits: put the approval that the daemon offers on the branch that it follows.

    NAME is what `reconciler status` shows, or a glob such as 'prune-*'. Without a NAME, shows what waits. The same is done by
    merging branch reconciler/approve/NAME. An approval counts once, for exactly the content that it names.
    """
    from .approving import Gates, person
    from .assembly import checks, repositories
    from .workdir import default_cache

    sources, ca_file = at.sources()
    sources = tuple(source for source in sources if not at.source or source.settings.name == at.source)
    who = person(author, sources[0].settings.url if sources else "") if names else ("", "")
    opened = repositories(sources, (at.cache or default_cache()) / "git", ca_file, who)
    against = checks()
    gates = [Gates(source.settings, opened[source.settings.name], against) for source in sources if source.settings.commit is None]
    try:
        sys.exit(_approve(gates, names, ask=not yes))
    finally:
        for repository in opened.values():
            repository.close()


def _approve(gates: list[Gates], names: tuple[str, ...], *, ask: bool) -> int:
    """Approve by name; the exit code."""
    from .approving import matching

    waiting = {gate: gate.waiting() for gate in gates}
    chosen = {gate: matching(offers, names)[0] for gate, offers in waiting.items()}
    everything = [offer for offers in waiting.values() for offer in offers]
    missing = matching(everything, names)[1]
    if missing or not names:
        for pattern in missing:
            click.echo(f"Nothing that waits is called {pattern}.", err=True)
        _list(everything)
        return 1 if missing else 0
    for offers in chosen.values():
        for offer in offers:
            _show(offer)
    if ask and not _sure(sum(len(offers) for offers in chosen.values())):
        return 1
    return max(_give(gate, offers) for gate, offers in chosen.items() if offers)


def _list(offers: list[Offer]) -> None:
    click.echo("Waiting for an approval:" if offers else "Nothing waits for an approval.")
    for offer in offers:
        click.echo(f"  {offer.name}")


def _show(offer: Offer) -> None:
    """What would be let through: the file, whose first line says it in words."""
    from reconciler.lib.plain import plain

    for line in offer.text.splitlines():
        indent = line[: len(line) - len(line.lstrip(" "))]
        click.echo(f"  {indent}{plain(line.strip())}".rstrip())
    click.echo()


def _sure(count: int) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("There is nobody to ask: say --yes.")
    return click.confirm("Approve this?" if count == 1 else f"Approve these {count}?")


def _give(gate: Gates, offers: list[Offer]) -> int:
    names = ", ".join(offer.name for offer in offers)
    answer = gate.give(offers)
    branch = gate.settings.ref.removeprefix("refs/heads/")
    if len(answer) != len(gate.tip or ""):
        click.echo(f"Error: not approved: {answer}. Merging branch reconciler/approve/{offers[0].name} does the same.", err=True)
        return 1
    click.echo(f"Approved {names}: commit {answer[:7]} on {branch}. The daemon acts on it when it next reads the branch.")
    return 0
