"""Plants one bug after the other in a copy of the tree, and sees which suite notices.

Law of the module: the tree itself is never touched. A worker has one copy, in which a bug is planted, the suites are run until one
fails, and the file is put back. What neither passes nor fails (a test that cannot be collected, a suite over its limit) is no catch.
A suite that fails without any bug would catch all of them: each is run on the sound copy first.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import msgspec

from .bugs import ROOT, Bug, BugError
from .suites import SUITES, Suite

SHARE_WANTED = 0.95
LEFT_OUT = (".git", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", ".venv", "venv", "build", "dist")
Verdict = Literal["passes", "fails", "unclear"]
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?::.*?)(?: - .*)?$", re.MULTILINE)


class Outcome(msgspec.Struct, frozen=True):
    """What became of one bug. `by` is the suite that caught it; `test` the first that failed, or why it is no catch."""

    bug: str
    caught: bool
    by: str
    test: str
    seconds: float
    breaks: str
    wrong: str

    def __str__(self) -> str:
        state = f"{self.by:>8}" if self.caught else "SURVIVES"
        return f"{state}  {self.seconds:6.1f} s  {self.bug}" + (f"  <- {self.test}" if self.test else "")


class Result(msgspec.Struct, frozen=True):
    """What became of all."""

    outcomes: tuple[Outcome, ...]

    @property
    def survivors(self) -> tuple[Outcome, ...]:
        """Bugs that nobody noticed."""
        return tuple(outcome for outcome in self.outcomes if not outcome.caught)

    @property
    def share(self) -> float:
        """How many of all were caught."""
        return 1.0 if not self.outcomes else 1 - len(self.survivors) / len(self.outcomes)

    @property
    def by_suite(self) -> dict[str, int]:
        """How many each suite caught, of those that the suites before it let pass."""
        return {suite.name: sum(o.caught and o.by == suite.name for o in self.outcomes) for suite in SUITES}


class Tree:
    """A copy of the tree, for one bug at a time."""

    def __init__(self, root: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="planted-"))
        shutil.copytree(root, self.folder, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True, symlinks=True)

    def remove(self) -> None:
        """Throw the copy away."""
        shutil.rmtree(self.folder)

    def must_be_sound(self, suites: tuple[Suite, ...]) -> None:
        """See each suite pass while there is no bug.

        Raises:
            BugError: one does not.
        """
        for suite in suites:
            if suite.there(self.folder):
                verdict, said = self._suite(suite, "")
                if verdict != "passes":
                    raise BugError(f"suite {suite.name} {verdict} without any bug: {said}")

    def meet(self, bug: Bug, suites: tuple[Suite, ...]) -> Outcome:
        """Plant a bug, and run the suites until one fails.

        Raises:
            BugError: it cannot be planted.
        """
        path = self.folder / bug.file
        sound = path.read_text(encoding="utf-8")
        began, passed = time.monotonic(), []
        try:
            self._write(path, bug.planted(sound))
            for suite in suites:
                if suite.there(self.folder):
                    verdict, test = self._suite(suite, bug.hint)
                    if verdict == "fails":
                        return self._outcome(bug, True, suite.name, test, began)
                    passed += [f"{suite.name}: {test}"] if verdict == "unclear" else []
        finally:
            self._write(path, sound)
        return self._outcome(bug, False, "", "; ".join(passed), began)

    @staticmethod
    def _outcome(bug: Bug, caught: bool, by: str, test: str, began: float) -> Outcome:
        return Outcome(bug.name, caught, by, test, round(time.monotonic() - began, 1), bug.breaks, bug.wrong)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        """Also away with what was compiled: two versions within one second look alike to Python."""
        path.write_text(text, encoding="utf-8")
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)

    def _suite(self, suite: Suite, hint: str) -> tuple[Verdict, str]:
        verdict: Verdict = "passes"
        said = ""
        for command in suite.commands(self.folder, hint):
            verdict, said = self._run(command, suite.limit_seconds)
            if verdict == "fails":
                break
        return verdict, said

    def _run(self, command: list[str], limit_seconds: float) -> tuple[Verdict, str]:
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that what the tests started ends with them
        )
        try:
            output, _ = process.communicate(timeout=limit_seconds)
        except subprocess.TimeoutExpired:
            return "unclear", f"not done within {limit_seconds:g} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if process.returncode in (0, 5):  # 5: there are no such tests
            return "passes", ""
        found = _FAILED.search(output)
        if process.returncode == 1 and found is not None:
            return "fails", found[1]
        return "unclear", f"pytest ended with {process.returncode}: {output.strip()[-300:]}"


def meet_all(
    bugs: tuple[Bug, ...],
    suites: tuple[Suite, ...] = SUITES,
    jobs: int = 1,
    tell: Callable[[Outcome], None] = lambda _: None,
    root: Path = ROOT,
) -> Result:
    """Plant all bugs, one by one in each of so many copies; `tell` hears of each, in order.

    Raises:
        BugError: one of them cannot be planted, or a suite fails without any.
    """
    for bug in bugs:
        bug.planted((root / bug.file).read_text(encoding="utf-8"))
    trees = [Tree(root) for _ in range(max(1, min(jobs, len(bugs))))]
    free: SimpleQueue[Tree] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def meet(bug: Bug) -> Outcome:
        tree = free.get()
        try:
            return tree.meet(bug, suites)
        finally:
            free.put(tree)

    def outcomes() -> Iterator[Outcome]:
        with ThreadPoolExecutor(len(trees)) as pool:
            for outcome in pool.map(meet, bugs):
                tell(outcome)
                yield outcome

    try:
        trees[0].must_be_sound(suites)
        return Result(tuple(outcomes()))
    finally:
        for tree in trees:
            tree.remove()
