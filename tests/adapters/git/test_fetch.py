"""Fetching over HTTP from a real server: which steps come, what is read, how often."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.adapters.git import Counts, Repository
from reconciler.core.identity import BlobId, CommitId, SourceName
from reconciler.core.manifest import ManifestFile
from reconciler.core.messages import CommitChanges, Fetch, Fetched, GitFailure, ListRefs
from reconciler.sim.gitserver import GitServer
from tests.gitserver import commit, git_server

__all__ = ["git_server"]

MAIN = "refs/heads/main"


def parse(content: bytes, path: str, blob: BlobId) -> ManifestFile:
    """A parser that finds nothing: what is read, and how often, is all that matters here."""
    return ManifestFile(path, blob, (), (), 0)


@pytest.fixture
def repository(git_server: GitServer, tmp_path: Path) -> Repository:
    return Repository(SourceName("fleet"), git_server.url("fleet"), tmp_path / "cache")


def fetched(repository: Repository, tip: CommitId, since: CommitId | None = None, limit: int = 100) -> Fetched:
    return repository.fetch(Fetch(1, repository.name, MAIN, tip, since, limit), parse)


def steps(answer: Fetched) -> tuple[CommitChanges, ...]:
    assert not isinstance(answer.steps, GitFailure), answer.steps
    return answer.steps


def told(answer: Fetched) -> list[dict[str, bool]]:
    """For each step, path → whether it is there."""
    return [{change.path: change.file is not None for change in step.changes} for step in steps(answer)]


def test_the_first_fetch_tells_everything_as_one_step(git_server: GitServer, repository: Repository) -> None:
    commit(git_server.path("fleet"), {"a.yaml": b"a: 1\n", "README.md": b"no manifest\n"}, message="first")
    tip = commit(git_server.path("fleet"), {"b/c.yml": b"c: 1\n", "b/d.json": b"{}\n"}, message="second\n\nbody")
    refs = repository.list_refs(ListRefs(7, repository.name))
    assert refs.id == 7 and refs.refs == {"HEAD": tip, MAIN: tip}
    answer = fetched(repository, tip)
    assert told(answer) == [{"a.yaml": True, "b/c.yml": True, "b/d.json": True}]
    said = steps(answer)[0].commit
    assert (said.id, said.author, said.author_email, said.subject) == (tip, "Ada", "ada@example.org", "second")
    assert said.at == 1_700_000_000 and said.parent is not None and said.merged == ()
    assert repository.counts == Counts(listings=1, fetches=1, pushes=0, blobs_read=3, parses=3)
    assert git_server.counts == {"listing": 2, "fetch": 1}


def test_each_commit_is_a_step_and_tells_only_its_own_changes(git_server: GitServer, repository: Repository) -> None:
    path = git_server.path("fleet")
    first = commit(path, {"a.yaml": b"1", "b.yaml": b"1", "c.yaml": b"1"})
    fetched(repository, first)
    commit(path, {"a.yaml": b"2"})
    commit(path, {"b.yaml": None, "d/e.yaml": b"1"})
    commit(path, {"README.md": b"words"})
    tip = commit(path, {"a.yaml": b"1"})
    before = repository.counts.blobs_read
    answer = fetched(repository, tip, since=first)
    assert told(answer) == [{"a.yaml": True}, {"b.yaml": False, "d/e.yaml": True}, {}, {"a.yaml": True}]
    assert [step.commit.id for step in steps(answer)][-1] == tip and not answer.rewritten
    assert repository.counts.blobs_read - before == 3


def test_of_ten_thousand_files_the_one_that_changed_is_read(git_server: GitServer, repository: Repository) -> None:
    path = git_server.path("fleet")
    many: dict[str, bytes | None] = {f"team-{n % 37}/app-{n}.yaml": b"n: %d\n" % n for n in range(10_000)}
    first = commit(path, many)
    assert len(told(fetched(repository, first))[0]) == 10_000
    tip = commit(path, {"team-3/app-3.yaml": b"n: new\n"})
    before = repository.counts.blobs_read
    assert told(fetched(repository, tip, since=first)) == [{"team-3/app-3.yaml": True}]
    assert repository.counts.blobs_read - before == 1


def test_content_that_comes_back_is_read_once(git_server: GitServer, repository: Repository) -> None:
    path = git_server.path("fleet")
    first = commit(path, {"a.yaml": b"0"})
    fetched(repository, first)
    for number in range(10):
        tip = commit(path, {"a.yaml": b"%d" % (number % 2)}, message=str(number))
    before = repository.counts.blobs_read
    assert len(steps(fetched(repository, tip, since=first))) == 10
    assert repository.counts.blobs_read - before == 2


def test_past_the_limit_history_is_one_step(git_server: GitServer, repository: Repository) -> None:
    path = git_server.path("fleet")
    first = commit(path, {"a.yaml": b"0", "b.yaml": b"0"})
    fetched(repository, first)
    for number in range(1, 4):
        tip = commit(path, {"a.yaml": b"%d" % number})
    assert len(steps(fetched(repository, tip, first, limit=3))) == 3
    answer = fetched(repository, tip, first, limit=2)
    assert told(answer) == [{"a.yaml": True}] and not answer.rewritten
    assert steps(answer)[0].commit.id == tip


def test_what_is_here_already_costs_no_request(git_server: GitServer, repository: Repository) -> None:
    tip = commit(git_server.path("fleet"), {"a.yaml": b"0"})
    fetched(repository, tip)
    asked = dict(git_server.counts)
    assert told(fetched(repository, tip)) == [{"a.yaml": True}]
    assert steps(fetched(repository, tip, since=tip)) == ()
    assert git_server.counts == asked
