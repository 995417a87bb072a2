"""`reconciler demo`: clusters, a Git server and a daemon on this machine, and a story that shows what the daemon does.

Law of the module: nothing leaves this machine, and nothing stays on it when the command ends. The story is `reconciler.sim.demo`; the
daemon is put together as `reconciler run` does it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import asyncio

    from reconciler.sim.demo import World

TOURS = {
    "basics": "a roll-out, a typo, drift, a mass deletion",
    "stages": "BLOCK, rings, a canary, a schedule",
}
FOLDER = Path("demo")
STOP_SECONDS = 10.0
LAST_LINES = 20  # of the log, where something went wrong


@click.command()
@click.argument("tour", type=click.Choice([*TOURS]), default="basics")
@click.option("--keep", is_flag=True, help=f"Leave everything running in ./{FOLDER} until Ctrl-C, to look around and to push to.")
def demo(tour: str, *, keep: bool) -> None:
    """See it work: three embedded clusters, a Git server and a daemon, in less than a minute.

    Commits are pushed, and what follows is shown and checked. The tour basics: a version rolls out, a broken file is held, an edit by
    hand is healed, a deletion is pruned, a mass deletion waits for a merge. The tour stages: a Symphony instance is blocked, goes from
    ring to ring, another is a canary on a share of its targets, a third waits for its time.

    Needs Git and nothing else; nothing leaves this machine. Exit code 0 if everything that is told was seen to be so, else 1.
    """
    import asyncio

    from reconciler.sim.gitserver import installed

    if not installed():
        raise click.UsageError("The demo needs the command git, which is not installed here.")
    if keep and FOLDER.exists():
        raise click.UsageError(f"There is a ./{FOLDER} already; remove it, or go to another folder.")
    top = FOLDER if keep else Path(tempfile.mkdtemp(prefix="reconciler-demo-"))
    code = 1
    try:
        top.mkdir(exist_ok=True)
        code = asyncio.run(_interruptible(top, tour, keep=keep))
    finally:
        shutil.rmtree(top)
    sys.exit(code)


async def _interruptible(top: Path, tour: str, *, keep: bool) -> int:
    """The demo, which Ctrl-C and SIGTERM end in good order."""
    import asyncio
    import signal

    task = asyncio.ensure_future(_demo(top, tour, keep=keep))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        click.echo("\nStopped before the end.", err=True)
        return 1


async def _demo(top: Path, tour: str, *, keep: bool) -> int:
    from reconciler.sim.demo import TOURS as STORIES
    from reconciler.sim.demo import Trouble, Unseen, play, world

    acts = STORIES[tour]

    try:
        async with world(top, _daemon) as made:
            _welcome(made)
            await play(made, acts, _say)
            click.echo()
            await made.git("fetch", "--quiet", "origin")
            commits = await made.git("rev-list", "--count", "origin/reconciler-status")
            click.echo(f"{len(acts)} of {len(acts)} told and checked in {made.now - made.begun:.0f}s. Status branch: {commits} commits.")
            for other, about in TOURS.items():
                if other != tour:
                    click.echo(f"More: reconciler demo {other}  ({about})")
            if keep:
                await _keep(made)
    except (Unseen, Trouble) as error:
        click.echo(f"\nNot as told. {error}", err=True)
        click.echo(_last_lines(top / "daemon.log"), err=True)
        return 1
    return 0


def _welcome(made: World) -> None:
    click.echo("Three embedded clusters (eu, us, lab), one Git server, one daemon. Nothing leaves")
    click.echo("this machine. Times count from the push, or from the edit.")
    click.echo(f"  git clone {made.url}")
    click.echo(f"  kubectl --kubeconfig {made.top / 'kubeconfig'} --context eu get pods -A")
    click.echo(f"  {made.top / 'daemon.log'} is the daemon's log\n")


async def _keep(made: World) -> None:
    """Until Ctrl-C; a daemon that falls over ends it too."""
    import asyncio
    from contextlib import suppress

    click.echo(
        f"""
All of it goes on running, until Ctrl-C. In another terminal, from this folder:
  kubectl --kubeconfig {FOLDER}/kubeconfig --context eu get pods -A
  reconciler status --config {FOLDER}/reconciler.yaml
  git -C {FOLDER}/repo log --oneline --graph main origin/reconciler-status
{FOLDER}/repo is your clone: edit, commit, push. Its README.md has things to try."""
    )
    assert made.daemon is not None
    with suppress(asyncio.CancelledError):
        await asyncio.shield(made.daemon)  # it ends in good order, with the rest


def _say(line: str) -> None:
    from .tables import colours

    click.echo(line if colours() else click.unstyle(line))


def _last_lines(log: Path) -> str:
    """The end of the daemon's log, which goes with the folder."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return "\n".join(["The daemon's last words:", *lines[-LAST_LINES:]])


@asynccontextmanager
async def _daemon(top: Path) -> AsyncIterator[asyncio.Task[None]]:
    """A daemon with the configuration in `top`, as `reconciler run` has it."""
    import asyncio

    from reconciler import config, log

    from .assembly import assemble
    from .workdir import WorkDir

    loaded = config.load(top / "reconciler.yaml")
    with WorkDir(loaded, top / "cache") as workdir, (top / "daemon.log").open("w", encoding="utf-8") as stream:
        parts = assemble(loaded, workdir, act=True, tell=lambda entry, now: log.write(entry, now, stream))
        running = asyncio.ensure_future(parts.shell.run())
        try:
            yield running
        finally:
            parts.cancel()
            parts.shell.stop()
            await asyncio.wait([running], timeout=STOP_SECONDS)
            running.cancel()
            parts.close()
