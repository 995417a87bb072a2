"""The commands in README.md and in the example repository do what the page says.

The convention: in a ```console block a line that begins with "$ " is a command for a second terminal beside `reconciler demo --keep`; the
lines below it are what it shows, in order, though others may stand between; "…" is any text, and blanks count as one. A command with
output is a question, asked again until that is the answer; one without acts once, and must succeed. Other blocks are for reading.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler import config
from tests.waiting import until

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "example-repo"
PAGES = [ROOT / "README.md", EXAMPLE / "README.md", *sorted(EXAMPLE.glob("*/**/README.md"))]
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Step(NamedTuple):
    """A command, and what it shows."""

    command: str
    shown: tuple[str, ...]


def steps(page: Path) -> list[Step]:
    found: list[Step] = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            first, *shown = command.splitlines()
            found.append(Step(first, tuple(line for line in shown if line.strip())))
    return found


def shows(output: str, shown: tuple[str, ...]) -> bool:
    """Whether all of the lines stand in the output, in that order."""
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    return all(any(_pattern(line).search(said) for said in lines) for line in shown)


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile("^" + ".*".join(re.escape(" ".join(part.split())) for part in line.split("…")) + "$")


def run(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = ["bash", "-c", command]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def environment(tmp_path: Path, kubectl: str) -> dict[str, str]:
    """That of a newcomer: `reconciler` and `kubectl` are installed, nothing is configured."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl)
    (programs / "reconciler").write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
    (programs / "reconciler").chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def demo(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The folder in which `reconciler demo --keep` runs; when it ends it has taken everything away."""
    folder = tmp_path / "here"
    folder.mkdir()
    told = tmp_path / "told"
    with told.open("wb") as out:
        process = subprocess.Popen(["reconciler", "demo", "--keep"], cwd=folder, env=environment, stdout=out, stderr=out)
    try:
        until(lambda: "goes on running" in told.read_text() or process.poll() is not None, "the demo has been told", 120)
        assert process.poll() is None, told.read_text()
        yield folder
        assert process.poll() is None, told.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert list(folder.iterdir()) == []
    finally:
        process.kill()
        process.wait()


def test_every_page_has_commands() -> None:
    """A page without any would mean that the convention is not followed there."""
    assert [str(page.relative_to(ROOT)) for page in PAGES if not steps(page)] == []


@pytest.mark.real  # kubectl
def test_commands_do_what_the_pages_say(demo: Path, environment: dict[str, str]) -> None:
    for page in PAGES:
        for step in steps(page):
            at = f"{page.relative_to(ROOT)}: $ {step.command}"
            if not step.shown:
                done = run(step.command, demo, environment)
                assert done.returncode == 0, f"{at}\n{done.stdout}{done.stderr}"
                continue
            last = ""

            def answers(step: Step = step) -> bool:
                nonlocal last
                done = run(step.command, demo, environment)
                last = done.stdout + done.stderr
                return shows(last, step.shown)

            try:
                until(answers, at, 30)
            except TimeoutError as error:
                raise AssertionError(f"{error}\n{last}") from None


def test_the_configuration_on_the_page_can_be_read() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    [text] = [block for block in blocks if block.startswith("sources:")]
    read = config.parse(text.encode(), "reconciler.yaml", ROOT)
    assert [cluster.settings.name for cluster in read.clusters] == ["eu", "us"]
    assert read.sources[0].settings.path == "deploy"


@pytest.mark.parametrize(
    ("shown", "is_shown"),
    [
        (("shop  3/3  …  2.0",), True),
        (("shop …",), True),
        (("…3/3…",), True),
        (("NAME …", "shop …"), True),
        (("shop …", "NAME …"), False),
        (("shop",), False),
    ],
)
def test_what_is_shown_is_compared_line_by_line(shown: tuple[str, ...], is_shown: bool) -> None:
    assert shows("NAME   READY\nmore\nshop   3/3    3   2.0\n", shown) == is_shown
