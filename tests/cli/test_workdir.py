"""The daemon's directory: one living process each, the same identity after a restart."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.workdir import SLOTS_LIMIT, WorkDir, default_cache
from reconciler.config import Config, parse
from reconciler.errors import ConfigError

TEXT = b"sources: [{name: fleet, url: https://git.example.org/fleet}]\nclusters: [{name: eu, kubeconfig: eu.yaml}]\n"


def config(text: bytes = TEXT) -> Config:
    return parse(text, "reconciler.yaml", Path("/etc/reconciler"))


def test_a_restart_gets_its_directory_and_identity_again(tmp_path: Path) -> None:
    with WorkDir(config(), tmp_path / "cache") as first:
        path, identity = first.path, first.identity
    with WorkDir(config(), tmp_path / "cache") as again:
        assert (again.path, again.identity) == (path, identity)


def test_a_second_daemon_at_the_same_time_gets_another(tmp_path: Path) -> None:
    with WorkDir(config(), tmp_path) as first, WorkDir(config(), tmp_path) as second:
        assert second.path == first.path.with_name(f"{first.path.name}-2")
        assert second.identity != first.identity


def test_other_sources_or_another_home_are_another_daemon(tmp_path: Path) -> None:
    others = [TEXT, TEXT.replace(b"/fleet", b"/other"), TEXT.replace(b"eu.yaml", b"us.yaml"), TEXT.replace(b"name: eu", b"name: us")]
    paths = []
    for text in others:
        with WorkDir(config(text), tmp_path) as taken:
            paths.append(taken.path)
    assert len(dict.fromkeys(paths)) == len(others)


def test_a_killed_process_leaves_its_directory_free(tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom reconciler.cli.workdir import WorkDir\nfrom reconciler.config import parse\n"
        f"taken = WorkDir(parse({TEXT!r}, 'r', Path('/etc/reconciler')), Path({str(tmp_path)!r}))\n"
        "print(taken.identity, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    with WorkDir(config(), tmp_path) as taken:
        assert taken.identity == killed.stdout.strip()


def test_an_identity_that_was_damaged_is_drawn_anew(tmp_path: Path) -> None:
    with WorkDir(config(), tmp_path) as first:
        (first.path / "identity").write_bytes(b"\xff half")
    with WorkDir(config(), tmp_path) as again:
        assert again.path == first.path
        assert again.identity != first.identity
        assert again.identity.isascii()


def test_the_operator_may_name_the_identity(tmp_path: Path) -> None:
    with WorkDir(config(TEXT + b"identity: store-7\n"), tmp_path) as taken:
        assert taken.identity == "store-7"


def test_it_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with WorkDir(config(), tmp_path / "a" / "b") as taken:
            assert stat.S_IMODE(taken.path.stat().st_mode) == 0o700
            assert stat.S_IMODE(taken.path.parent.stat().st_mode) == 0o700
            assert stat.S_IMODE((taken.path / "identity").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    with WorkDir(config(), tmp_path / "cache") as taken:
        name = taken.path.name
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="must be a directory"):
        WorkDir(config(), tmp_path / "other")


def test_the_number_of_daemons_is_bounded(tmp_path: Path) -> None:
    taken = [WorkDir(config(), tmp_path) for _ in range(SLOTS_LIMIT)]
    try:
        with pytest.raises(ConfigError, match=f"{SLOTS_LIMIT} processes"):
            WorkDir(config(), tmp_path)
    finally:
        for one in taken:
            one.close()


def test_a_reader_leaves_the_daemon_its_directory(tmp_path: Path) -> None:
    with WorkDir(config(), tmp_path, reads_only=True) as reader, WorkDir(config(), tmp_path) as daemon:
        assert reader.path == daemon.path.with_name(f"{daemon.path.name}-reader")


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"XDG_CACHE_HOME": "/var/cache/me", "HOME": "/home/ada"}, "/var/cache/me/reconciler"),
        ({"XDG_CACHE_HOME": "relative/is/ignored", "HOME": "/home/ada"}, "/home/ada/.cache/reconciler"),
        ({"HOME": "/home/ada"}, "/home/ada/.cache/reconciler"),
    ],
)
def test_the_cache_is_where_the_user_keeps_caches(environment: dict[str, str], path: str) -> None:
    assert default_cache(environment) == Path(path)
