"""Publishing over HTTP to a real Git server: the same publisher, the real adapter."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygit2
import pytest

from reconciler.adapters.git import Repository
from reconciler.core import publish
from reconciler.core.identity import CommitId
from reconciler.core.messages import Effect, GitFailure, Input, ListRefs, Push, ReadFiles
from reconciler.sim.gitserver import GitServer
from tests.core.publishing import FLEET, MAIN, STATUS, Life, commit_of, unit
from tests.gitserver import commit, git_server

__all__ = ["git_server"]


class Served:
    """A repository on a server, in the place of the branch in memory."""

    def __init__(self, server: GitServer, cache: Path) -> None:
        self.path = server.path("fleet")
        self.repository = Repository(FLEET, server.url("fleet"), cache)

    def answer(self, effect: Effect) -> Input:
        if isinstance(effect, ListRefs):
            return self.repository.list_refs(effect)
        if isinstance(effect, ReadFiles):
            return self.repository.read_files(effect)
        assert isinstance(effect, Push)
        return self.repository.push(effect)

    @property
    def refs(self) -> dict[str, CommitId]:
        found = self.repository.list_refs(ListRefs(0, FLEET)).refs
        assert not isinstance(found, GitFailure)
        return found

    @property
    def log(self) -> list[str]:
        """The messages of the branch, newest first."""
        served = pygit2.Repository(str(self.path))
        return [made.message for made in served.walk(served.references[STATUS].target)]

    def text(self, name: str) -> str:
        served = pygit2.Repository(str(self.path))
        return str(served[served.references[STATUS].target].tree[name].data.decode())


@pytest.fixture
def served(git_server: GitServer, tmp_path: Path) -> Iterator[Served]:
    served = Served(git_server, tmp_path / "cache")
    commit(served.path, {"a.yaml": b"a: 1\n"}, MAIN)
    yield served
    served.repository.close()


def begun(served: Any, *units, **settings: Any) -> Life:
    life = Life(served, *units, **settings)
    life.poll()
    return life.run()


def test_a_life_publishes_and_the_next_writes_nothing(git_server: GitServer, served: Served, tmp_path: Path) -> None:
    units = [unit(commit=commit_of(1)), unit("apps/news", "Failed", message="1 of 3 pods ready | @ada")]
    first = begun(served, *units)
    assert first.pushes == 1 and git_server.counts["push"] == 1 and len(served.log) == 1
    assert served.log[0].startswith(f"2 units: 1 Failed, 1 Healthy ({commit_of(1).id[:7]})\n")
    first.say(unit("apps/news"))
    first.run()
    assert served.log[0].splitlines()[0] == f"apps/news: Healthy on eu, us ({commit_of(1).id[:7]})"
    served.repository.close()
    shutil.rmtree(tmp_path / "cache")
    second = begun(Served(git_server, tmp_path / "cache"), units[0], unit("apps/news"), now=first.now + 3600)
    second.run(600)
    assert second.pushes == 0 and git_server.counts["push"] == 2 and second.publisher.idle


def test_another_writer_in_between_loses_nothing(git_server: GitServer, served: Served) -> None:
    life = begun(served, unit())
    others: list[dict[str, bytes | None]] = [{"pins/a": b"theirs"}]

    def meanwhile(_name: str) -> None:
        if others:
            commit(served.path, others.pop(), STATUS)

    git_server.before_update = meanwhile
    life.say(unit(state="Failed"))
    life.run()
    said = [message.split(" (")[0] for message in served.log]
    assert said == ["apps/shop: Failed on eu, us", "change", "apps/shop: Healthy on eu, us"]
    assert served.text("pins/a") == "theirs" and "| Failed |" in served.text("STATUS.md") and life.logs == []


def test_a_protected_branch_is_told_once(git_server: GitServer, served: Served) -> None:
    git_server.refuse_pushes("fleet", "the branch is protected")
    life = begun(served, unit())
    life.run(600)
    assert [log.message for log in life.logs] == ["status not published"] and life.publisher.idle
    assert "the branch is protected" in life.publisher.problem
    git_server.refuse_pushes("fleet")
    life.run(2 * publish.BACK_OFF_CAP_SECONDS)
    assert life.publisher.problem == "" and len(served.log) == 1


def test_a_branch_begins_anew_without_losing_files(served: Served) -> None:
    life = begun(served, unit())
    long = served.text("status/history.yaml").replace("commits: 1", f"commits: {publish.HISTORY_LIMIT}")
    commit(served.path, {"status/history.yaml": long.encode(), "x": b"y"}, STATUS)
    life.poll()
    life.say(unit(state="Failed"))
    life.run()
    assert len(served.log) == 1 and served.text("x") == "y" and "commits: 1\n" in served.text("status/history.yaml")
