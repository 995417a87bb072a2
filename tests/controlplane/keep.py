"""Keeps one control plane for all workers of a test run, and ends it with that run, however the run ends.

Law of the module: whoever needs the plane first starts a keeper; the keeper is the servers' parent, says in `access.json` how to
reach them (or in `failed` why not), and stops them when it is told to, or when the process that runs the tests is no more.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.waiting import until

from .plane import START_LIMIT_SECONDS, Access, ControlPlane, StartError

ROOT = Path(__file__).parents[2]
STOP_LIMIT_SECONDS = 20.0


def kept_plane(binaries: Path, folder: Path, run_pid: int, *, controllers: bool = True) -> Access:
    """The plane in `folder`, started by the first who asks; it ends with process `run_pid`.

    Raises:
        StartError: it did not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "keeper.pid").exists():
            words = [sys.executable, "-m", "tests.controlplane.keep", str(binaries), str(folder), str(run_pid), str(controllers)]
            with (folder / "keeper.log").open("wb") as log:
                keeper = subprocess.Popen(
                    words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            (folder / "keeper.pid").write_text(str(keeper.pid))
            answers = (folder / "access.json", folder / "failed")
            until(
                lambda: any(file.exists() for file in answers) or keeper.poll() is not None,
                f"the control plane in {folder}",
                3 * START_LIMIT_SECONDS,
            )
            keeper.returncode = 0  # it outlives us; without this, Popen warns of a child left running
    if not (folder / "access.json").exists():
        reasons = [file.read_text() for file in (folder / "failed", folder / "keeper.log") if file.exists()]
        raise StartError("\n".join(reasons))
    return Access(**json.loads((folder / "access.json").read_text()))


def end_kept_planes(folders: Iterable[Path]) -> None:
    """Tell every keeper to stop, and wait until all have."""
    running = [folder for folder in folders if (folder / "access.json").exists()]
    for folder in running:
        try:
            os.kill(int((folder / "keeper.pid").read_text()), signal.SIGTERM)
        except ProcessLookupError:  # ended by itself: nothing is left to stop
            (folder / "access.json").unlink(missing_ok=True)
    for folder in running:
        until(partial(_is_over, folder), f"{folder} to stop", STOP_LIMIT_SECONDS)


def _is_over(folder: Path) -> bool:
    return not (folder / "access.json").exists()


def _keep(binaries: Path, folder: Path, run_pid: int, *, controllers: bool) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with ControlPlane(binaries, folder, controllers=controllers) as access:
            half = folder / "access.half"
            half.write_text(json.dumps(asdict(access)))
            half.rename(folder / "access.json")
            _wait_for_the_end_of(run_pid)
    except StartError as error:
        (folder / "failed").write_text(str(error))
    finally:
        (folder / "access.json").unlink(missing_ok=True)


def _wait_for_the_end_of(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([handle], [], [])


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), controllers=sys.argv[4] == "True")
