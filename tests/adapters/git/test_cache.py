"""The cache on disk: private, locked, made anew when broken, swept after a kill, and its packs made one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git import Repository, cache
from reconciler.core.identity import SourceName
from reconciler.core.messages import GitFailure
from reconciler.sim.gitserver import GitServer
from tests.adapters.git.test_fetch import fetched, told
from tests.gitserver import commit, git_server
from tests.waiting import until

__all__ = ["git_server"]

NAME = SourceName("fleet")


@pytest.fixture
def served(git_server: GitServer) -> Path:
    return git_server.path("fleet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(server: GitServer, folder: Path) -> Repository:
    return Repository(NAME, server.url("fleet"), folder)


def clones(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.git"))


def test_it_is_closed_to_others(git_server: GitServer, served: Path, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    fetched(opened(git_server, folder), commit(served, {"a.yaml": b"1"}))
    assert [path.stat().st_mode & 0o777 for path in (folder, *clones(folder))] == [0o700, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_what_belongs_to_another_user_is_refused(git_server: GitServer, served: Path, folder: Path) -> None:
    tip = commit(served, {"a.yaml": b"1"})
    first = opened(git_server, folder)
    fetched(first, tip)
    first.close()
    for path in (clones(folder)[0], folder):
        os.chown(path, 4242, 4242)
        answer = fetched(opened(git_server, folder), tip).steps
        assert isinstance(answer, GitFailure) and answer.permanent and "another user" in answer.message


def test_a_link_in_the_cache_s_place_is_refused(git_server: GitServer, served: Path, folder: Path, tmp_path: Path) -> None:
    tip = commit(served, {"a.yaml": b"1"})
    first = opened(git_server, folder)
    fetched(first, tip)
    first.close()
    (tmp_path / "elsewhere").mkdir()
    where = clones(folder)[0]
    shutil.rmtree(where)
    where.symlink_to(tmp_path / "elsewhere")
    answer = fetched(opened(git_server, folder), tip).steps
    assert isinstance(answer, GitFailure) and "symbolic link" in answer.message and not any((tmp_path / "elsewhere").iterdir())


def test_a_restart_uses_it_again(git_server: GitServer, served: Path, folder: Path) -> None:
    first = commit(served, {"a.yaml": b"1"})
    before = opened(git_server, folder)
    fetched(before, first)
    before.close()
    after = opened(git_server, folder)
    assert told(fetched(after, first)) == [{"a.yaml": True}] and after.counts.fetches == 0 and len(clones(folder)) == 1


def test_two_at_once_do_not_share_one(git_server: GitServer, served: Path, folder: Path) -> None:
    tip = commit(served, {"a.yaml": b"1"})
    one, two = opened(git_server, folder), opened(git_server, folder)
    assert told(fetched(one, tip)) == told(fetched(two, tip)) == [{"a.yaml": True}]
    assert len(clones(folder)) == 2
    one.close()
    three = opened(git_server, folder)
    fetched(three, tip)
    assert three.counts.fetches == 0 and len(clones(folder)) == 2


def test_only_so_many_at_once(git_server: GitServer, served: Path, folder: Path) -> None:
    tip = commit(served, {"a.yaml": b"1"})
    many = [opened(git_server, folder) for _ in range(cache.SLOTS_LIMIT + 1)]
    answers = [fetched(each, tip).steps for each in many]
    assert [isinstance(answer, GitFailure) for answer in answers] == [False] * cache.SLOTS_LIMIT + [True]


@pytest.mark.parametrize("harm", ["head", "config", "objects", "pack", "ref"])
def test_a_broken_one_is_made_anew(git_server: GitServer, served: Path, folder: Path, harm: str) -> None:
    first = commit(served, {"a.yaml": b"1", "b.yaml": b"1"})
    before = opened(git_server, folder)
    fetched(before, first)
    before.close()
    clone = clones(folder)[0]
    match harm:
        case "head":
            (clone / "HEAD").write_bytes(b"\0\0")
        case "config":
            (clone / "config").write_bytes(b"[core\n")
        case "objects":
            shutil.rmtree(clone / "objects")
        case "pack":
            for pack in clone.glob("objects/pack/*.pack"):
                pack.chmod(0o600)
                pack.write_bytes(pack.read_bytes()[:20] + b"\xff" * 400)
        case "ref":
            for ref in clone.glob("refs/sources/*"):
                ref.write_text("1" * 40 + "\n")
    tip = commit(served, {"a.yaml": b"2"})
    after = opened(git_server, folder)
    answers = [fetched(after, tip, since=first).steps for _ in range(2)]
    assert not isinstance(answers[-1], GitFailure) and [c.path for s in answers[-1] for c in s.changes] == ["a.yaml"]
    if isinstance(answers[0], GitFailure):
        assert "made anew" in answers[0].message and not answers[0].permanent


def test_one_that_breaks_while_in_use(git_server: GitServer, served: Path, folder: Path) -> None:
    first = commit(served, {"a.yaml": b"1"})
    repository = opened(git_server, folder)
    fetched(repository, first)
    shutil.rmtree(clones(folder)[0] / "objects")
    tip = commit(served, {"a.yaml": b"2"})
    answers = [fetched(repository, tip, since=first).steps for _ in range(3)]
    assert not isinstance(answers[-1], GitFailure)


def test_a_planted_setting_does_not_stay(git_server: GitServer, served: Path, folder: Path) -> None:
    tip = commit(served, {"a.yaml": b"1"})
    before = opened(git_server, folder)
    fetched(before, tip)
    before.close()
    clone = clones(folder)[0]
    with (clone / "config").open("a") as config:
        config.write(f'[http]\n\tfollowRedirects = true\n[url "http://127.0.0.1:9/"]\n\tinsteadOf = {git_server.url("fleet")[:-9]}\n')
    newer = commit(served, {"a.yaml": b"2"})
    after = opened(git_server, folder)
    assert told(fetched(after, newer, tip)) == [{"a.yaml": True}]
    assert "insteadOf" not in (clone / "config").read_text()


KILLED = """
import sys
from pathlib import Path
from reconciler.adapters.git import Repository
from reconciler.core.messages import Fetch
Repository("fleet", sys.argv[1], Path(sys.argv[2])).fetch(Fetch(1, "fleet", "refs/heads/main", sys.argv[3], None), None)
"""


def test_a_kill_in_the_middle_of_a_fetch_leaves_nothing_behind(git_server: GitServer, served: Path, folder: Path) -> None:
    tip = commit(served, {"a.yaml": b"1"})
    asked, answer = threading.Event(), threading.Event()

    def wait(_name: str) -> None:
        asked.set()
        answer.wait(60)

    git_server.while_fetching = wait
    process = subprocess.Popen([sys.executable, "-c", KILLED, git_server.url("fleet"), str(folder), tip])
    assert asked.wait(60)
    clone = until(lambda: clones(folder), "the clone")[0]
    # What libgit2 and a dying process leave: half a pack, a lock on a ref.
    (clone / "objects" / "pack" / "pack_git2_a1b2c3").write_bytes(b"PACK" + bytes(100_000))
    (clone / "refs" / "sources").mkdir(exist_ok=True)
    (clone / "refs" / "sources" / "x.lock").touch()
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    answer.set()
    git_server.while_fetching = lambda _name: None
    assert told(fetched(opened(git_server, folder), tip)) == [{"a.yaml": True}]
    assert clones(folder) == [clone] and not list(clone.rglob("*.lock")) and not list(clone.rglob("pack_git2*"))


def test_many_packs_become_one(git_server: GitServer, served: Path, folder: Path) -> None:
    repository = opened(git_server, folder)
    first = commit(served, {"a.yaml": b"0", "b.yaml": b"0"})
    fetched(repository, first)
    clone = pygit2.Repository(str(clones(folder)[0]))
    blobs = [clone.create_blob(b"%d" % number) for number in range(cache.PACKS_LIMIT)]
    for blob in blobs:  # as so many fetches would leave them
        builder = pygit2.PackBuilder(clone)
        builder.add(blob)
        builder.write()
    packs = clones(folder)[0] / "objects" / "pack"
    assert len(list(packs.iterdir())) == 2 * (cache.PACKS_LIMIT + 1)
    tip = commit(served, {"a.yaml": b"1"})
    assert told(fetched(repository, tip, first)) == [{"a.yaml": True}]
    assert len(list(packs.iterdir())) == 4
    assert told(fetched(repository, tip, first)) == [{"a.yaml": True}] and repository.counts.fetches == 2
    here = pygit2.Repository(str(clones(folder)[0]))
    assert all(oid in here for oid in [*pygit2.Repository(str(served)).odb, *blobs])


def test_a_fetch_can_be_cancelled(git_server: GitServer, served: Path, folder: Path) -> None:
    tip = commit(served, {f"{n}.yaml": b"%d" % n for n in range(2000)})
    repository = opened(git_server, folder)
    repository.cancel()
    answer = fetched(repository, tip).steps
    assert isinstance(answer, GitFailure) and "the program ends" in answer.message
