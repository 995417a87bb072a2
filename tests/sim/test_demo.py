"""The demo as a newcomer runs it; and that it says so when something is not as it tells."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reconciler.cli.demo import TOURS as OFFERED
from reconciler.sim.demo import ACTS, STAGES, TOURS, Act, Unseen, play, world
from reconciler.sim.gitserver import installed
from tests.waiting import until

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "reconciler", "demo"]

pytestmark = pytest.mark.skipif(not installed(), reason="the git command is not installed")


def environment(folder: Path) -> dict[str, str]:
    """Nothing of this machine but its programs; temporary files go where the test sees them."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(("tour", "acts"), TOURS.items())
def test_everything_it_tells_is_so_and_nothing_is_left(tour: str, acts: tuple[Act, ...], tmp_path: Path) -> None:
    done = subprocess.run([*DEMO, tour], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    story = done.stdout.split("\n\n")[1].splitlines()
    assert [line[0] for line in story if not line.startswith(" ")] == [str(number) for number in range(1, len(acts) + 1)]
    assert max(len(line) for line in [*story, *done.stdout.split("\n\n")[2].splitlines()]) <= 80
    assert f"{len(acts)} of {len(acts)} told and checked" in done.stdout
    assert "\x1b" not in done.stdout, "colour is for a terminal"
    assert list(tmp_path.iterdir()) == []


def test_it_can_be_stopped_at_any_time(tmp_path: Path) -> None:
    with subprocess.Popen(DEMO, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        until(lambda: any(tmp_path.glob("*/daemon.log")), "the daemon has begun", 30)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=20)
    assert (running.returncode, err.decode().strip()) == (1, "Stopped before the end.")
    assert list(tmp_path.iterdir()) == []


def test_without_git_it_says_so(tmp_path: Path) -> None:
    bare = {**environment(tmp_path), "PATH": str(tmp_path)}
    done = subprocess.run(DEMO, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "needs the command git" in done.stderr


def test_it_never_takes_a_folder_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine").touch()
    command = [*DEMO, "--keep"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "There is a ./demo already" in done.stderr
    assert (tmp_path / "demo" / "mine").exists()


@asynccontextmanager
async def idle(_top: Path) -> AsyncIterator[asyncio.Task[None]]:
    """A daemon that does nothing."""
    task = asyncio.ensure_future(asyncio.Event().wait())
    yield task  # type: ignore[misc]
    task.cancel()


@asynccontextmanager
async def broken(_top: Path) -> AsyncIterator[asyncio.Task[None]]:
    """A daemon that falls over."""

    async def fall() -> None:
        raise ZeroDivisionError

    yield asyncio.ensure_future(fall())


def test_what_does_not_come_to_be_is_not_told(tmp_path: Path) -> None:
    told: list[str] = []

    async def main() -> None:
        async with world(tmp_path, idle) as made:
            await play(made, ACTS, told.append, limit_seconds=0.2)

    with pytest.raises(Unseen, match=r"apps/shop on eu, after 0.2 s:\n  expected  6 objects, .*\n  seen      0 applied, 0/3"):
        asyncio.run(main())
    assert len(told) == 1
    assert "Shop 1.0" in told[0]


def test_no_instance_is_told_to_stand_where_nothing_does(tmp_path: Path) -> None:
    """The tour over stages, likewise: a daemon that does nothing has blocked nothing."""

    async def main() -> None:
        async with world(tmp_path, idle) as made:
            await play(made, STAGES, lambda _: None, limit_seconds=0.2)

    with pytest.raises(Unseen, match=r"Instance/gated on both, after 0.2 s:\n  expected  blocked, on no target\n  seen      not blocked"):
        asyncio.run(main())


def test_a_daemon_that_falls_over_ends_the_story(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, broken) as made:
            await play(made, ACTS, lambda _: None)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())


def test_the_story_is_about_the_example_repository() -> None:
    """Every unit that it speaks of is there."""
    units = {fact.unit for acts in TOURS.values() for act in acts for fact in act.facts}
    folders = [unit.replace("Instance/", "stages/") for unit in sorted(units)]
    assert [folder for folder in folders if not (ROOT / "example-repo" / folder).is_dir()] == []


def test_the_command_knows_all_tours() -> None:
    assert [*TOURS] == [*OFFERED]
