"""Repositories on this machine: read where they lie, never written to by reading; work trees; and when their refs change."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git import Repository, changes, working_tree
from reconciler.core.identity import SourceName
from reconciler.core.messages import CommitChanges, GitFailure, ListRefs
from reconciler.sim.gitserver import environment, installed
from tests.adapters.git.test_fetch import fetched, parse, told
from tests.gitserver import commit

NAME = SourceName("fleet")
FILES: dict[str, bytes | None] = {
    "a.yaml": b"1",
    "team/b.yml": b"2",
    "team/.reconcilerignore": b"skip.yaml\n",
    "team/skip.yaml": b"3",
    "README.md": b"words",
}


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    pygit2.init_repository(str(path), initial_head="main")
    return path


def snapshot(path: Path) -> dict[str, tuple[int, int]]:
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(path.rglob("*"))}


@pytest.mark.parametrize("form", ["plain", "file://", ".git"])
def test_it_is_read_where_it_lies(local: Path, tmp_path: Path, form: str) -> None:
    first = commit(local, FILES)
    tip = commit(local, {"a.yaml": b"2"})
    before = snapshot(local)
    url = {"plain": str(local), "file://": f"file://{local}", ".git": str(local / ".git")}[form]
    repository = Repository(NAME, url, tmp_path / "cache")
    assert repository.list_refs(ListRefs(1, NAME)).refs == {"HEAD": tip, "refs/heads/main": tip}
    assert told(fetched(repository, tip, first)) == [{"a.yaml": True}]
    assert told(fetched(repository, tip)) == [{"a.yaml": True, "team/b.yml": True}]
    later = commit(local, {"a.yaml": b"3"})  # seen without opening it anew
    assert repository.list_refs(ListRefs(1, NAME)).refs == {"HEAD": later, "refs/heads/main": later}
    assert told(fetched(repository, later, tip)) == [{"a.yaml": True}]
    assert not (tmp_path / "cache").exists()
    after = snapshot(local)
    assert {path: after[path] for path in before if "objects" not in path and "refs" not in path and "logs" not in path} == {
        path: about for path, about in before.items() if "objects" not in path and "refs" not in path and "logs" not in path
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_one_that_belongs_to_another_user_is_read(local: Path, tmp_path: Path) -> None:
    """A mounted volume in a container: the operator named this very path, and nothing that it configures is run."""
    tip = commit(local, FILES)
    for path in (local, *local.rglob("*")):
        os.chown(path, 4242, 4242)
    assert len(told(fetched(Repository(NAME, str(local), tmp_path / "cache"), tip))) == 1


def test_a_folder_above_or_below_a_repository_is_none(local: Path, tmp_path: Path) -> None:
    commit(local, FILES)
    (local / "team").mkdir()
    for path in (tmp_path, local / "team", tmp_path / "none"):
        answer = Repository(NAME, str(path), tmp_path / "cache").list_refs(ListRefs(1, NAME)).refs
        assert isinstance(answer, GitFailure) and answer.permanent


def test_a_repository_of_another_format_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sha256"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(path)], check=True, env=environment())
    answer = Repository(NAME, str(path), tmp_path / "cache").list_refs(ListRefs(1, NAME)).refs
    assert isinstance(answer, GitFailure) and answer.permanent and "unknown object format" in answer.message


# -- work trees ---------------------------------------------------------------------------------------------------------------


def tree_of(path: Path) -> CommitChanges:
    found = working_tree(path, parse, at=1.0)
    assert isinstance(found, CommitChanges)
    return found


def test_files_are_told_as_their_commit_would_tell_them(local: Path, tmp_path: Path) -> None:
    tip = commit(local, FILES)
    for name, content in FILES.items():
        (local / name).parent.mkdir(exist_ok=True)
        (local / name).write_bytes(content or b"")
    (local / ".git" / "x.yaml").write_text("not ours")
    found = tree_of(local)
    steps = fetched(Repository(NAME, str(local), tmp_path / "cache"), tip).steps
    assert not isinstance(steps, GitFailure)
    assert [(c.path, c.blob) for c in found.changes] == [(c.path, c.blob) for c in steps[0].changes] != []
    assert (found.commit.id, found.commit.at) == ("0" * 40, 1.0)


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "secret.yaml").write_text("s3cret")
    (top / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (top / "linked").symlink_to(tmp_path)
    os.mkfifo(top / "pipe.yaml")
    (top / "a\nb.yaml").write_text("1")
    (top / "large.yaml").write_bytes(bytes((4 << 20) + 1))
    (top / "sub").mkdir()
    (top / "sub" / ".reconcilerignore").symlink_to(tmp_path / "secret.yaml")
    (top / "loop").symlink_to(top)
    found = {c.path: c.file.problems[0].message for c in tree_of(top).changes if c.file is not None}
    assert list(found) == ["a\\u000ab.yaml", "large.yaml", "link.yaml", "pipe.yaml", "sub/.reconcilerignore"]
    assert "symbolic link" in found["link.yaml"] and "no regular file" in found["pipe.yaml"]
    assert isinstance(working_tree(tmp_path / "none", parse, at=1.0), GitFailure)


# -- watching -----------------------------------------------------------------------------------------------------------------


async def told_of(path: Path, act: str) -> int:
    """How often a change is told while `act` is done again and again until it is told at all."""
    seen = changes(path)
    first = asyncio.ensure_future(anext(seen))
    times = 0
    while not first.done() and times < 100:
        times += 1
        command = act.replace("N", str(times))
        await asyncio.to_thread(subprocess.run, ["sh", "-c", command], cwd=path, check=True, env=environment(), capture_output=True)
        await asyncio.wait([first], timeout=0.5)
    await asyncio.wait_for(first, 30)
    await seen.aclose()
    return times


@pytest.mark.skipif(not installed(), reason="the git command is not installed")
@pytest.mark.parametrize(
    "act",
    [
        "git update-ref refs/heads/main$$ HEAD",
        "git update-ref refs/heads/deep/er/N HEAD",
        "git symbolic-ref HEAD refs/heads/bN",
        "git tag N && git pack-refs --all",
    ],
)
def test_a_change_of_refs_is_told(local: Path, act: str) -> None:
    commit(local, FILES)
    if "symbolic" in act:
        act = "git update-ref refs/heads/bN main && " + act
    asyncio.run(told_of(local, act))


@pytest.mark.skipif(not installed(), reason="the git command is not installed")
def test_a_linked_work_tree_sees_its_repository(local: Path, tmp_path: Path) -> None:
    commit(local, FILES)
    subprocess.run(["git", "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "side"], cwd=local, check=True, env=environment())
    asyncio.run(told_of(tmp_path / "linked", f"git -C {local} update-ref refs/heads/fromN HEAD"))


def test_watching_no_repository_ends_at_once(tmp_path: Path) -> None:
    async def told() -> list[None]:
        return [told async for told in changes(tmp_path)]

    assert asyncio.run(told()) == []
