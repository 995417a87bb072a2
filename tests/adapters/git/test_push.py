"""Pushing to a real server and to a local repository: compare and swap, refusals, lost races."""

from __future__ import annotations

import shutil
from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git import Repository
from reconciler.core.identity import CommitId, SourceName
from reconciler.core.messages import GitFailure, Push, Pushed, ReadFiles
from reconciler.sim.gitserver import GitServer
from tests.adapters.git.test_fetch import fetched
from tests.gitserver import commit, git_server

__all__ = ["git_server"]

STATUS = "refs/heads/reconciler-status"
NAME = SourceName("fleet")


@pytest.fixture
def served(git_server: GitServer) -> Path:
    return git_server.path("fleet")


@pytest.fixture
def repository(git_server: GitServer, tmp_path: Path) -> Repository:
    return Repository(NAME, git_server.url("fleet"), tmp_path / "cache", author=("Robot", "robot@example.org"))


def push(
    repository: Repository,
    files: dict[str, bytes | None],
    expected: CommitId | None,
    *,
    base: CommitId | None = None,
    ref: str = STATUS,
    force: bool = False,
) -> Pushed:
    return repository.push(Push(5, NAME, ref, expected, base, files, "status\n\nbody", at=1_800_000_000.0, force=force))


def tip(path: Path, ref: str = STATUS) -> CommitId | None:
    found = pygit2.Repository(str(path)).references.get(ref)
    return CommitId(str(found.target)) if found is not None else None


def files(path: Path, commit_id: CommitId | None) -> dict[str, bytes]:
    repository = pygit2.Repository(str(path))
    found: dict[str, bytes] = {}

    def down(tree: pygit2.Tree, prefix: str) -> None:
        for entry in tree:
            if isinstance(entry, pygit2.Tree):
                down(entry, f"{prefix}{entry.name}/")
            else:
                found[prefix + entry.name] = entry.data

    down(repository[commit_id].tree, "")
    return found


def pushed(answer: Pushed) -> CommitId:
    assert answer.outcome == "pushed" and answer.commit is not None, answer
    return answer.commit


def test_a_branch_begins_and_grows(served: Path, repository: Repository) -> None:
    first = pushed(push(repository, {"STATUS.md": b"one", "units/a.yaml": b"1", "units/b.yaml": b"1"}, None))
    assert tip(served) == first and files(served, first) == {"STATUS.md": b"one", "units/a.yaml": b"1", "units/b.yaml": b"1"}
    second = pushed(push(repository, {"units/a.yaml": None, "pins/x/y.yaml": b"2"}, first, base=first))
    assert tip(served) == second and files(served, second) == {"STATUS.md": b"one", "units/b.yaml": b"1", "pins/x/y.yaml": b"2"}
    third = pushed(push(repository, {"units/b.yaml": None}, second, base=second))
    assert files(served, third) == {"STATUS.md": b"one", "pins/x/y.yaml": b"2"}
    made = pygit2.Repository(str(served))[third]
    assert (made.author.name, made.author.email, made.commit_time) == ("Robot", "robot@example.org", 1_800_000_000)
    assert made.message == "status\n\nbody" and [str(parent) for parent in made.parent_ids] == [second]
    assert repository.counts.pushes == 3 and repository.counts.fetches == 0


def test_the_same_files_again_push_nothing(git_server: GitServer, repository: Repository) -> None:
    first = pushed(push(repository, {"a": b"1"}, None))
    asked = dict(git_server.counts)
    assert push(repository, {"a": b"1", "gone": None}, first, base=first) == Pushed(5, "pushed", first)
    assert git_server.counts == asked


def test_files_and_folders_take_each_others_place(served: Path, repository: Repository) -> None:
    first = pushed(push(repository, {"a": b"file", "b/c": b"below"}, None))
    second = pushed(push(repository, {"a/x": b"below", "b": b"file"}, first, base=first))
    assert files(served, second) == {"a/x": b"below", "b": b"file"}


def test_a_proposal_begins_at_the_source_s_tip(served: Path, tmp_path: Path, repository: Repository) -> None:
    main = commit(served, {"a.yaml": b"1"})
    branch = "refs/heads/reconciler/approve/x"
    assert push(repository, {"approvals/x.yaml": b"ok"}, None, base=main, ref=branch).outcome == "stale"  # never read
    fetched(repository, main)
    shutil.rmtree(tmp_path / "cache")
    repository.close()
    made = pushed(push(repository, {"approvals/x.yaml": b"ok"}, None, base=main, ref=branch))
    assert files(served, made) == {"a.yaml": b"1", "approvals/x.yaml": b"ok"} and tip(served, branch) == made


def test_a_branch_that_moved_is_stale_and_untouched(served: Path, repository: Repository) -> None:
    first = pushed(push(repository, {"a": b"1"}, None))
    other = commit(served, {"a": b"2"}, ref=STATUS)
    asked = push(repository, {"a": b"3"}, first, base=first)
    assert (asked.outcome, asked.message) == ("stale", f"the branch is at {other[:12]}")
    assert push(repository, {"a": b"3"}, None).outcome == "stale"
    assert tip(served) == other


def test_a_branch_that_is_gone_is_stale(served: Path, repository: Repository) -> None:
    first = pushed(push(repository, {"a": b"1"}, None))
    pygit2.Repository(str(served)).references.delete(STATUS)
    answer = push(repository, {"a": b"3"}, first, base=first)
    assert (answer.outcome, answer.message) == ("stale", "the branch does not exist") and tip(served) is None


def test_a_second_writer_between_look_and_update_wins(git_server: GitServer, served: Path, repository: Repository) -> None:
    first = pushed(push(repository, {"a": b"1"}, None))
    others: list[CommitId] = []
    git_server.before_update = lambda _name: others.append(commit(served, {"a": b"theirs"}, ref=STATUS))
    answer = push(repository, {"a": b"ours"}, first, base=first)
    assert answer.outcome == "stale" and tip(served) == others[0]


def test_a_hook_that_refuses_is_heard(git_server: GitServer, served: Path, repository: Repository) -> None:
    git_server.refuse_pushes("fleet", "the branch is \x1b[31mprotected")
    answer = push(repository, {"a": b"1"}, None)
    assert (answer.outcome, answer.message) == ("refused", "pre-receive hook declined: the branch is  [31mprotected")
    assert tip(served) is None
    git_server.refuse_pushes("fleet")
    pushed(push(repository, {"a": b"1"}, None))


def test_a_branch_of_our_own_may_start_anew(served: Path, repository: Repository) -> None:
    first = pushed(push(repository, {"a": b"1"}, None))
    main = commit(served, {"m.yaml": b"1"})
    fetched(repository, main)
    refused = push(repository, {"b": b"1"}, first, base=main)
    assert refused.outcome == "refused" and "needs force" in refused.message and tip(served) == first
    anew = pushed(push(repository, {"b": b"1"}, first, base=main, force=True))
    assert tip(served) == anew and files(served, anew) == {"m.yaml": b"1", "b": b"1"}
    assert push(repository, {"b": b"2"}, first, base=main, force=True).outcome == "stale"


def test_a_followed_branch_is_never_forced(served: Path, repository: Repository) -> None:
    main = commit(served, {"m.yaml": b"1"})
    assert not isinstance(repository.read_files(ReadFiles(1, NAME, "refs/heads/main", main)).files, GitFailure)
    fetched(repository, main)
    answer = push(repository, {"b": b"1"}, main, base=None, ref="refs/heads/main", force=True)
    assert answer.outcome == "refused" and "never forced" in answer.message and tip(served, "refs/heads/main") == main


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/../b", ".git/hooks/x", "a/.GIT/b", "a\0b", "", "a\\b", "x" * 5000])
def test_a_path_that_leads_elsewhere_is_refused(served: Path, repository: Repository, path: str) -> None:
    answer = push(repository, {path: b"1"}, None)
    assert answer.outcome == "refused" and "no path" in answer.message and tip(served) is None


@pytest.mark.parametrize("ref", ["refs/tags/x", "main", "refs/heads/a..b", "refs/heads/-x:refs/heads/main", "refs/heads/", "HEAD"])
def test_only_branches_are_pushed(repository: Repository, ref: str) -> None:
    answer = push(repository, {"a": b"1"}, None, ref=ref)
    assert answer.outcome == "refused" and repository.counts.pushes == 0


def test_a_lost_cache_fetches_the_base_again(git_server: GitServer, served: Path, tmp_path: Path, repository: Repository) -> None:
    first = pushed(push(repository, {"a": b"1"}, None))
    other = Repository(NAME, git_server.url("fleet"), tmp_path / "elsewhere")
    second = pushed(push(other, {"b": b"1"}, first, base=first))
    assert tip(served) == second and files(served, second) == {"a": b"1", "b": b"1"}


def test_a_server_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    repository = Repository(NAME, "http://127.0.0.1:9/fleet.git", tmp_path / "cache")
    assert push(repository, {"a": b"1"}, None).outcome == "unreachable"


def test_a_status_branch_is_read_back(repository: Repository) -> None:
    first = pushed(push(repository, {"STATUS.md": b"x", "status/a.yaml": b"1", "status/c/b.yaml": b"2"}, None))
    read = repository.read_files(ReadFiles(9, NAME, STATUS, first, prefix="status"))
    assert (read.id, read.files) == (9, {"status/a.yaml": b"1", "status/c/b.yaml": b"2"})
    assert (repository.counts.files_read, repository.counts.blobs_read) == (2, 0)  # no manifests
    assert repository.read_files(ReadFiles(9, NAME, STATUS, first, prefix="none/such")).files == {}


# -- a repository on this machine ---------------------------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    pygit2.init_repository(str(path), initial_head="main")
    return path


def test_a_local_repository_is_pushed_to_in_place(local: Path, tmp_path: Path) -> None:
    repository = Repository(NAME, str(local), tmp_path / "cache")
    main = commit(local, {"a.yaml": b"1"})
    first = pushed(push(repository, {"a": b"1"}, None))
    assert tip(local) == first
    second = pushed(push(repository, {"b": b"1"}, first, base=first))
    assert files(local, tip(local)) == {"a": b"1", "b": b"1"} and tip(local) == second
    assert push(repository, {"c": b"1"}, first, base=first).outcome == "stale" and tip(local) == second
    assert push(repository, {"c": b"1"}, None).outcome == "stale"
    assert push(repository, {"b": b"1"}, second, base=second) == Pushed(5, "pushed", second)
    refused = push(repository, {"a.yaml": b"2"}, main, base=main, ref="refs/heads/main")
    assert refused.outcome == "refused" and "checked out" in refused.message and tip(local, "refs/heads/main") == main
    assert not (tmp_path / "cache").exists()


def test_a_local_branch_that_somebody_moves_just_now_is_stale(local: Path, tmp_path: Path) -> None:
    repository = Repository(NAME, f"file://{local}", tmp_path / "cache")
    first = pushed(push(repository, {"a": b"1"}, None))
    with pygit2.Repository(str(local)).transaction() as held:
        held.lock_ref(STATUS)
        assert push(repository, {"b": b"1"}, first, base=first).outcome == "stale"
    assert tip(local) == first
