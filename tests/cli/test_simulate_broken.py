"""What `simulate` says when the program itself is wrong: tried on copies of it with a bug in them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from reconciler import __version__, schemas
from reconciler.cli.simulate import BROKEN

from .test_simulate import CONFIG_MAP, committed, tree

ROOT = Path(schemas.__file__).parents[1]


def wrong(top: Path, file: str, text: str, becomes: str) -> Path:
    """A copy of the program in which `text` is something else."""
    made = top / "wrong"
    for part in ("reconciler", "schemas"):
        shutil.copytree(ROOT / part, made / part, ignore=shutil.ignore_patterns("__pycache__"))
    content = (made / "reconciler" / file).read_text()
    assert content.count(text) == 1
    (made / "reconciler" / file).write_text(content.replace(text, becomes))
    return made


def run(program: Path, here: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(program), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": ""}
    command = [sys.executable, "-m", "reconciler", *words]
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=200)


def again(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The words of the command that shows it again."""
    program, *words = shlex.split(done.stdout.splitlines()[-1])
    assert program == "reconciler"
    return words


def test_a_broken_invariant_is_told_with_a_command_that_shows_it(tmp_path: Path) -> None:
    program = wrong(tmp_path, "core/requests.py", '{"preconditions": {"uid": uid, "resourceVersion": live.version}, ', "{")
    here = tmp_path / "my repository"
    first, _ = committed(here, {"a.yaml": CONFIG_MAP % ("a", "x"), "b.yaml": CONFIG_MAP % ("b", "x")}, {"b.yaml": None})
    done = run(program, tmp_path, "simulate", str(here), "--since", first)
    assert done.returncode == BROKEN
    assert done.stdout.splitlines()[-3:-1] == [
        "I26: DELETE /api/v1/namespaces/default/configmaps/b without a uid",
        f"That is a bug of reconciler {__version__}, not of the repository. To see it again:",
    ]
    assert again(done) == ["simulate", str(here), "--seed", "0", "--since", first]
    assert run(program, tmp_path, *again(done)).stdout == done.stdout


def test_the_shortest_schedule_that_shows_it_is_found(tmp_path: Path) -> None:
    """A daemon that falls over when a connection is reset: of a whole bad day one fault is enough."""
    place = "            if self.stopping:\n                self.wire"
    bug = '            if getattr(message, "error", "") == "connection reset by peer":\n                raise ValueError("sw0rdfish")\n'
    program = wrong(tmp_path, "core/engine.py", place, bug + place)
    here = tree(tmp_path / "here", {"a.yaml": CONFIG_MAP % ("a", "x")})
    done = run(program, here, "simulate", "--faults", "all", "--seed", "1")
    assert done.returncode == BROKEN
    assert "the daemon fell over: ValueError in " in done.stdout
    assert "core/engine.py:" in done.stdout
    assert "sw0rdfish" not in done.stdout + done.stderr
    number, kind = again(done)[-1].split(":")
    assert number.isdigit()
    assert kind in ("reset", "unheard", "cut", "expire")
    repeated = run(program, here, *again(done))
    assert repeated.returncode == BROKEN
    assert again(repeated) == again(done)
