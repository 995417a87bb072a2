"""A commit is found again by a line of its message: by the adapter on a real repository, and alike by the simulated one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pygit2
import pytest

from reconciler.adapters.git import Repository
from reconciler.core.identity import CommitId, SourceName
from reconciler.core.messages import FindTrailer, GitFailure, TrailerFound
from reconciler.sim.git import Repo
from reconciler.sim.gitserver import GitServer
from tests.gitserver import SIGNATURE, commit, git_server

__all__ = ["git_server"]

NAME = SourceName("fleet")
MAIN, SIDE = "refs/heads/main", "refs/heads/side"
LINE = "Reconciler-Edit: a/b"
SAYS = f"Let it be\n\nwhy\n\n{LINE}\nReconciler-Content: 1\n"


class Git(Protocol):
    """A repository that people write to, and what answers questions about it."""

    def commit(self, message: str, ref: str = MAIN) -> CommitId: ...

    def merge(self, ref: str, into: str = MAIN) -> CommitId: ...

    def point(self, ref: str, to: CommitId) -> None: ...

    def answer(self, effect: FindTrailer) -> TrailerFound: ...


class Real:
    """A served repository behind the adapter."""

    def __init__(self, server: GitServer, cache: Path) -> None:
        self.server = server
        self.path = server.path("fleet")
        self.repository = Repository(NAME, server.url("fleet"), cache)
        self.count = 0

    def commit(self, message: str, ref: str = MAIN) -> CommitId:
        self.count += 1
        return commit(self.path, {"n": str(self.count).encode()}, ref, message)

    def merge(self, ref: str, into: str = MAIN) -> CommitId:
        repository = pygit2.Repository(str(self.path))
        parents = [repository.references[into].target, repository.references[ref].target]
        tree = repository[parents[1]].peel(pygit2.Commit).tree_id
        made = repository.create_commit(None, SIGNATURE, SIGNATURE, "Merge", tree, parents)
        self.point(into, CommitId(str(made)))
        return CommitId(str(made))

    def point(self, ref: str, to: CommitId) -> None:
        pygit2.Repository(str(self.path)).references.create(ref, to, force=True)

    def answer(self, effect: FindTrailer) -> TrailerFound:
        return self.repository.find_trailer(effect)


class Simulated:
    """The repository of simulated worlds."""

    def __init__(self) -> None:
        self.repo = Repo("fleet", lambda: 1_900_000_000.0 + self.count)
        self.count = 0

    def commit(self, message: str, ref: str = MAIN) -> CommitId:
        self.count += 1
        return self.repo.commit({"n": str(self.count)}, ref, subject=message)

    def merge(self, ref: str, into: str = MAIN) -> CommitId:
        self.count += 1
        return self.repo.merge(ref, into)

    def point(self, ref: str, to: CommitId) -> None:
        self.repo.move(ref, to)

    def answer(self, effect: FindTrailer) -> TrailerFound:
        found = self.repo.answer(effect)
        assert isinstance(found, TrailerFound)
        return found


@pytest.fixture(params=["real", "simulated"])
def git(request: pytest.FixtureRequest, tmp_path: Path) -> Git:
    if request.param == "simulated":
        return Simulated()
    return Real(request.getfixturevalue("git_server"), tmp_path / "cache")


def found(git: Git, tip: CommitId, since: CommitId, limit: int = 1_000, line: str = LINE) -> CommitId | GitFailure | None:
    answer = git.answer(FindTrailer(7, NAME, MAIN, tip, since, line, limit))
    assert answer.id == 7
    return answer.commit


def test_it_is_found_behind_other_commits(git: Git) -> None:
    since = git.commit("first")
    said = git.commit(SAYS)
    tip = git.commit("last")
    assert found(git, tip, since) == said
    assert found(git, said, since) == said
    assert found(git, since, since) is None


def test_what_is_known_already_does_not_count(git: Git) -> None:
    git.commit("first")
    said = git.commit(SAYS)
    tip = git.commit("last")
    assert found(git, tip, said) is None and found(git, tip, tip) is None


@pytest.mark.parametrize(
    ("message", "counts"),
    [
        (LINE, True),
        (f"* Let it be\n\n  {LINE}  \n", True),
        (f"a\r\n\r\n{LINE}\r\n", True),
        (f"{LINE}/c", False),
        (f"see {LINE}", False),
        (LINE.lower(), False),
        ("a\n\nReconciler-Edit:\na/b\n", False),
    ],
    ids=["alone", "indented, as a squash does", "CRLF", "longer", "quoted", "lower case", "two lines"],
)
def test_the_line_stands_alone(git: Git, message: str, counts: bool) -> None:
    since = git.commit("first")
    tip = git.commit(message)
    assert found(git, tip, since) == (tip if counts else None)


def test_merged_branches_count(git: Git) -> None:
    since = git.commit("first")
    git.point(SIDE, since)
    said = git.commit(SAYS, SIDE)
    git.commit("side", SIDE)
    other = git.commit("main goes on")
    assert found(git, other, since) is None
    tip = git.merge(SIDE)
    assert found(git, tip, since) == said
    assert found(git, tip, other) == said, "also what is older than `since`, but came only now"


def test_a_rewritten_history_is_searched_from_where_it_parts(git: Git) -> None:
    base = git.commit(SAYS)
    since = git.commit("old line")
    assert found(git, since, base) is None  # and so it has been read
    git.point(MAIN, base)
    tip = git.commit("new line")
    assert found(git, tip, since) is None
    git.point(MAIN, base)
    again = git.commit(SAYS + "\n")
    assert found(git, again, since) == again


def test_beyond_the_limit_nobody_knows(git: Git) -> None:
    since = git.commit("first")
    said = git.commit(SAYS)
    for number in range(4):
        tip = git.commit(str(number))
    assert found(git, tip, since, limit=5) == said
    answer = found(git, tip, since, limit=4)
    assert isinstance(answer, GitFailure) and answer.permanent and answer.message.startswith(f"more than 4 commits since {since[:7]}")
    assert found(git, tip, said, limit=4) is None, "exactly as many as may be"


def test_where_the_old_commit_is_no_more_all_is_searched(git: Git) -> None:
    said = git.commit(SAYS)
    tip = git.commit("last")
    gone = CommitId("1" * 40)
    assert found(git, tip, gone) == said
    assert found(git, tip, gone, line="Reconciler-Edit: x") is None


def test_a_tip_that_is_not_there_is_no_answer(git: Git) -> None:
    since = git.commit("first")
    answer = found(git, CommitId("1" * 40), since)
    assert isinstance(answer, GitFailure) and not answer.permanent and "does not hold commit 111111111111" in answer.message


def test_what_is_here_is_not_asked_for(git_server: GitServer, tmp_path: Path) -> None:
    git = Real(git_server, tmp_path / "cache")
    since = git.commit("first")
    tip = git.commit(SAYS)
    look: Callable[[], object] = lambda: found(git, tip, since)  # noqa: E731
    assert look() == tip and git_server.counts["fetch"] == 1
    asked = dict(git_server.counts)
    assert look() == tip and git_server.counts == asked


def test_bytes_that_are_no_text_are_passed_over(git_server: GitServer, tmp_path: Path) -> None:
    git = Real(git_server, tmp_path / "cache")
    since = git.commit("first")
    repository = pygit2.Repository(str(git.path))
    who = b"Eve <eve@example.org> 1700000000 +0000"
    tree = str(repository[since].peel(pygit2.Tree).id).encode()
    head = b"tree %s\nparent %s\nauthor %s\ncommitter %s\n\n" % (tree, since.encode(), who, who)
    odd = repository.odb.write(pygit2.enums.ObjectType.COMMIT, head + b"\xff\xfe\n\n" + LINE.encode() + b"\n\xff")
    git.point(MAIN, CommitId(str(odd)))
    assert found(git, CommitId(str(odd)), since) == str(odd)
