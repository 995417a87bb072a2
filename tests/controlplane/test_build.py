"""Building the servers, as a program of its own: what a machine without Go, without a network or with ready binaries gets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlplane.build import BINARIES

ROOT = Path(__file__).parents[2]


def build(cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "tests.controlplane.build"],
        cwd=ROOT,
        env={**kept, "XDG_CACHE_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_machine_without_go_is_told_so_in_one_line(tmp_path: Path) -> None:
    done = build(tmp_path, PATH="")
    assert done.returncode == 1
    assert done.stderr == "Go is missing, which builds the Kubernetes servers that this test runs against\n"


def test_ready_binaries_are_used_as_they_are(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.mkdir()
    for name in BINARIES[:-1]:
        (ready / name).touch()
    assert build(tmp_path, RECONCILER_TEST_SERVERS=str(ready)).stderr == f"RECONCILER_TEST_SERVERS={ready} lacks kwok\n"
    (ready / "kwok").touch()
    assert build(tmp_path, RECONCILER_TEST_SERVERS=str(ready), PATH="").stdout == f"{ready}\n"


@pytest.mark.skipif(shutil.which("go") is None, reason="Go is missing")
def test_a_build_that_fails_leaves_nothing_that_looks_built(tmp_path: Path) -> None:
    """Twice: what the first try left is no stumbling block, and is not taken for servers."""
    nothing_to_fetch = {"GOPROXY": "off", "GOMODCACHE": str(tmp_path / "modules"), "GOFLAGS": "-mod=mod -modcacherw"}
    for _ in range(2):
        done = build(tmp_path, **nothing_to_fetch)
        assert done.returncode == 1
        assert "module lookup disabled by GOPROXY=off" in done.stderr
        assert done.stdout == ""
        left = [path.name for path in (tmp_path / "reconciler-test-servers").iterdir() if path.is_dir()]
        assert all(name.endswith(".building") for name in left)
