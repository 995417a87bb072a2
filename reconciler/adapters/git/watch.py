"""When a repository on this machine may have changed: its refs, seen by the operating system.

Law of the module: it tells that something moved, never what; the next listing says that. A burst (a push moves several refs, each
by way of a lock file) is told once. It is a convenience: where nothing can be watched (no repository, too many watches on this
machine) it ends without a word, and polling goes on.

Source: gitrepository-layout(5) for where refs live: `HEAD`, `packed-refs`, `refs/`, `reftable/`, `commondir` of a linked work tree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag
from watchfiles import awatch

from .transport import prepare_once

BURST_MILLISECONDS = 200  # what comes within is one change
STEP_MILLISECONDS = 50
_TOP = ("HEAD", "packed-refs")
_BELOW = ("refs", "reftable")


def watched(path: Path) -> tuple[Path, ...]:
    """The folders in which the refs of the repository at `path` live: its own, and the shared one of a linked work tree.

    None where there is no repository.
    """
    prepare_once()
    try:
        own = Path(pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH).path)
        shared = own / "commondir"
        return (own, (own / shared.read_text(encoding="utf-8").strip()).resolve()) if shared.is_file() else (own,)
    except (pygit2.GitError, KeyError, ValueError, OSError):
        return ()


async def changes(path: Path) -> AsyncGenerator[None, None]:
    """Yield once for each burst of changes to the refs of the local repository at `path`, until closed. Never raises."""
    folders = await asyncio.to_thread(watched, path)
    if not folders:
        return
    deep = [folder / name for folder in folders for name in _BELOW if (folder / name).is_dir()]
    moved = asyncio.Event()
    stop = asyncio.Event()

    async def follow(places: list[Path], *, recursive: bool) -> None:
        """Objects lie beside the refs and change all the time: only the top itself and the folders of refs are watched."""
        seen = awatch(
            *places,
            watch_filter=lambda _change, name: recursive or Path(name).name in _TOP,
            debounce=BURST_MILLISECONDS,
            step=STEP_MILLISECONDS,
            stop_event=stop,
            recursive=recursive,
        )
        async with aclosing(seen):
            async for _ in seen:
                moved.set()

    tasks = [
        asyncio.create_task(follow(list(folders), recursive=False)),
        asyncio.create_task(follow(deep, recursive=True)),
    ]
    try:
        while True:
            waiting = asyncio.create_task(moved.wait())
            await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                return
            moved.clear()
            yield
    finally:
        stop.set()
        await asyncio.gather(*tasks, return_exceptions=True)
