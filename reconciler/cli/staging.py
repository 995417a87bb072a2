"""`reconciler promote`, `block`, `unblock`: the stage of a Symphony Instance, edited in Git.

Law of the module: a change is a commit in Git, made in the person's name, of that one scalar; it is shown before it is made. No cluster
is asked, and the daemon need not run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .options import Where, where

if TYPE_CHECKING:
    from .staged import Change

BLOCK = "BLOCK"

_OPTIONS = (
    click.option("-n", "--namespace", default="", help="Of the Instance.  [default: any, where there is only one]"),
    click.option("--yes", is_flag=True, help="Do not ask."),
    click.option("--author", default="", metavar="'NAME <EMAIL>'", help="Whose commit it is.  [default: as git config says]"),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return where(command)


@click.command()
@_options
@click.argument("instance")
@click.argument("stage")
def promote(at: Where, *, instance: str, stage: str, namespace: str, yes: bool, author: str) -> None:
    """Put a Symphony Instance on another stage: edit its spec.stage, and nothing else.

    STAGE is one of the Instance's spec.stages, or default. Where the source says `commits: direct` the edit is committed to the branch;
    else it is pushed as a branch reconciler/edit/…, to be merged.
    """
    sys.exit(_edit(at, instance, namespace, lambda change: change.to(stage), yes=yes, author=author))


@click.command()
@_options
@click.argument("instance")
def block(at: Where, *, instance: str, namespace: str, yes: bool, author: str) -> None:
    """Freeze a Symphony Instance as it stands: let its spec.stage be BLOCK.

    Nothing of it is applied, deleted or healed until it is unblocked. Whether the edit is committed or offered as a branch, the source's
    `commits` says.
    """
    sys.exit(_edit(at, instance, namespace, lambda change: change.to(BLOCK), yes=yes, author=author))


@click.command()
@_options
@click.argument("instance")
@click.argument("stage", default="")
def unblock(at: Where, *, instance: str, stage: str, namespace: str, yes: bool, author: str) -> None:
    """Let a blocked Symphony Instance go on: clear its spec.stage, or let it be STAGE.

    Without STAGE the Instance goes on as its default stage says. Whether the edit is committed or offered as a branch, the source's
    `commits` says.
    """
    sys.exit(_edit(at, instance, namespace, lambda change: change.unblock(stage), yes=yes, author=author))


def _edit(at: Where, instance: str, namespace: str, how: Callable[[Change], str], *, yes: bool, author: str) -> int:
    """Find the Instance, say what would change, ask, and do it; the exit code. `how` gives why there is nothing to do, or ""."""
    from reconciler.lib.plain import plain

    from .approving import person
    from .assembly import checks, repositories
    from .staged import find
    from .workdir import default_cache

    sources, ca_file = at.sources()
    sources = tuple(source for source in sources if not at.source or source.settings.name == at.source)
    who = person(author, sources[0].settings.url if sources else "", "a change")
    opened = repositories(sources, (at.cache or default_cache()) / "git", ca_file, who)
    try:
        followed = [source.settings for source in sources if source.settings.commit is None]
        change = find([(settings, opened[settings.name]) for settings in followed], checks(), instance, namespace)
        already = how(change)
        if already:
            click.echo(plain(already))
            return 0
        for line in change.shown():
            click.echo(plain(line).rstrip())
        if not yes and not _sure(change):
            return 1
        click.echo(plain(change.make()))
        return 0
    finally:
        for repository in opened.values():
            repository.close()


def _sure(change: Change) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("There is nobody to ask: say --yes.")
    return click.confirm(f"Commit this to {change.branch}?" if change.is_direct else "Offer this as a branch?")
