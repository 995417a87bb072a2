"""`--help`: quick, because it imports nothing heavy; complete; the same words for the same options."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reconciler import __version__
from reconciler.cli import main

HEAVY = ("aiohttp", "asyncio", "jsonschema", "kubernetes", "msgspec", "pygit2", "rich", "yaml")


def test_help_imports_nothing_heavy() -> None:
    """Counted, not timed: what is not imported takes no time (the budget is 150 ms, of which Python itself is a tenth)."""
    program = (
        "import sys\nfrom reconciler.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def commands() -> list[str]:
    return list(main.commands)


def test_the_commands_are_those_that_are_documented() -> None:
    for name in ("run", "plan", "validate", "status", "get", "approve", "promote", "block", "unblock"):
        assert name in commands()


@pytest.mark.parametrize("name", commands())
def test_every_command_explains_itself(name: str) -> None:
    for flag in ("--help", "-h"):
        done = CliRunner().invoke(main, [name, flag], terminal_width=80)
        assert done.exit_code == 0
        assert done.output.startswith(f"Usage: main {name} [OPTIONS]")
        assert max(len(line) for line in done.output.splitlines()) <= 80
    command = main.commands[name]
    assert command.help is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"], prog_name="reconciler").output == f"reconciler {__version__}\n"


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "reconciler", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"reconciler {__version__}\n"


def test_shells_can_complete() -> None:
    environment = {**os.environ, "_RECONCILER_COMPLETE": "bash_complete", "COMP_WORDS": "reconciler va", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "reconciler"], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,validate"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "Name a repository with --repo"),
        (["run", "--repo", "https://git.example.org/a", "--config", "x.yaml"], "exclude each other"),
        (["run", "--branch", "main"], "--branch goes with --repo"),
        (["run", "--repo", "https://ada:secret@git.example.org/a"], "may hold no user name or password"),
        (["run", "--repo", "https://git.example.org/a", "--path", "../x"], "without .."),
        (["run", "--repo", "https://git.example.org/a", "--source", "Not This"], "--source 'Not This'"),
        (["run", "--config", "missing.yaml"], "missing.yaml: No such file"),
        (["run", "--once", "--timeout", "10", "--repo", "https://git.example.org/a"], "must be a span of time"),
        (["plan", "--working-tree", "--at", "main"], "exclude each other"),
        (["validate", "missing"], "does not exist"),
    ],
)
def test_wrong_usage_and_configuration_end_with_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    with chdir(tmp_path):
        done = CliRunner().invoke(main, arguments, env={"KUBECONFIG": "/nonexistent/kubeconfig"})
    assert done.exit_code == 2
    assert words in done.output
    assert "secret" not in done.output
