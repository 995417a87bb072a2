"""What every test has: `--deep`, the hypothesis profiles, and real servers, built before the first test needs them.

Law of the module: the everyday run is small and repeats itself exactly; `--deep` is the full count. Whoever runs the tests sees
why they wait: a build of servers tells how far it is.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

from tests.controlplane.build import HELM, SERVERS, BuildError, NoServersError, built
from tests.controlplane.fixtures import (  # the fixtures are for every test
    RUN_FOLDER,
    RUN_PID,
    control_plane,
    control_planes,
    helm,
    kubectl,
    namespace,
    own_plane,
    server_binaries,
)
from tests.controlplane.keep import end_kept_planes

__all__ = ["control_plane", "control_planes", "helm", "kubectl", "namespace", "own_plane", "server_binaries"]

hypothesis.settings.register_profile("everyday", max_examples=100, derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("deep", max_examples=5000, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--deep` runs the full counts."""
    parser.addoption("--deep", action="store_true", help="the full counts: tests marked deep, and many more examples")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the counts; before the workers start, build the servers."""
    hypothesis.settings.load_profile("deep" if config.getoption("--deep") else "everyday")
    if given := getattr(config, "workerinput", None):
        config.stash[RUN_FOLDER], config.stash[RUN_PID] = Path(given["run_folder"]), given["run_pid"]
        return
    config.stash[RUN_FOLDER], config.stash[RUN_PID] = Path(tempfile.mkdtemp(prefix="reconciler-tests-")), os.getpid()
    if _may_need_servers(config):
        _build_servers(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker of pytest-xdist which run it is part of."""
    config, told = node.config, node.workerinput  # type: ignore[attr-defined]
    told["run_folder"], told["run_pid"] = str(config.stash[RUN_FOLDER]), config.stash[RUN_PID]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `--deep`, leave the deep tests out."""
    if config.getoption("--deep"):
        return
    for item in items:
        if item.get_closest_marker("deep"):
            item.add_marker(pytest.mark.skip(reason="the full count; run with --deep"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Stop the shared servers; keep their logs where something failed."""
    if hasattr(session.config, "workerinput"):
        return
    folder = session.config.stash[RUN_FOLDER]
    end_kept_planes(folder.glob("plane-*"))
    if exitstatus == pytest.ExitCode.TESTS_FAILED and any(folder.iterdir()):
        _say(session.config, f"logs of the test servers: {folder}")
    else:
        shutil.rmtree(folder)


def _may_need_servers(config: pytest.Config) -> bool:
    """Whether anything that is asked for could be a test on real servers. (Workers collect the tests, after us.)"""
    if config.option.collectonly or "not real" in config.option.markexpr:
        return False
    marked = re.compile(r"\bmark\.real\b")  # in a test's module, or in the conftest.py beside it
    asked = [Path(argument.split("::")[0]) for argument in config.args]
    files = (file for path in asked for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path, path.parent / "conftest.py"]))
    return any(marked.search(file.read_text(encoding="utf-8")) for file in files if file.is_file())


def _build_servers(config: pytest.Config) -> None:
    """Build, saying how it goes. What cannot be had, or failed, is told by each test that needs it."""
    live = sys.stderr.isatty()
    for tools in (SERVERS, HELM):
        try:
            built(tools, lambda line: _say(config, line, live=live), say_every_seconds=1.0 if live else 30.0)
        except NoServersError:
            pass
        except BuildError as error:
            _say(config, str(error))
    if live:
        _say(config, "", live=live)


def _say(config: pytest.Config, line: str, *, live: bool = False) -> None:
    """Past pytest's capturing; on a terminal each line takes the place of the one before."""
    capture = config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        sys.stderr.write(f"\r\x1b[K{line}" if live else f"{line}\n")
        sys.stderr.flush()
