"""History that is no straight line: rewritten, unrelated, merged; the earlier version of a folder; names that collide."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git import Repository, history
from reconciler.core.identity import CommitId, SourceName
from reconciler.core.messages import CommitChanges, Fetch, GitFailure, ListRefs, PastRead, ReadPast
from reconciler.sim.gitserver import GitServer
from tests.adapters.git.test_fetch import MAIN, fetched, parse, steps, told
from tests.gitserver import SIGNATURE, commit, git_server

__all__ = ["git_server"]

NAME = SourceName("fleet")


@pytest.fixture
def served(git_server: GitServer) -> Path:
    return git_server.path("fleet")


@pytest.fixture
def repository(git_server: GitServer, tmp_path: Path) -> Repository:
    return Repository(NAME, git_server.url("fleet"), tmp_path / "cache")


def point(path: Path, ref: str, to: CommitId) -> None:
    pygit2.Repository(str(path)).references.create(ref, to, force=True)


def test_a_force_push_is_one_step_between_the_trees(served: Path, repository: Repository) -> None:
    base = commit(served, {"a.yaml": b"1", "b.yaml": b"1"})
    old = commit(served, {"a.yaml": b"2", "old.yaml": b"1"})
    fetched(repository, old)
    point(served, MAIN, base)
    new = commit(served, {"b.yaml": b"2"})
    answer = fetched(repository, new, since=old)
    assert told(answer) == [{"a.yaml": True, "b.yaml": True, "old.yaml": False}] and answer.rewritten
    back = fetched(repository, base, since=new)
    assert told(back) == [{"b.yaml": True}] and back.rewritten and back.rewound  # pushed back to an older commit
    assert not answer.rewound


def test_unrelated_history_is_one_step(served: Path, repository: Repository) -> None:
    old = commit(served, {"a.yaml": b"1", "same.yaml": b"1"})
    fetched(repository, old)
    new = commit(served, {"b.yaml": b"1", "same.yaml": b"1"}, ref="refs/heads/other")
    point(served, MAIN, new)
    answer = fetched(repository, new, since=old)
    assert told(answer) == [{"a.yaml": False, "b.yaml": True}] and answer.rewritten


def test_a_merge_is_one_step(served: Path, repository: Repository) -> None:
    first = commit(served, {"a.yaml": b"1"})
    fetched(repository, first)
    point(served, "refs/heads/feature", first)
    commit(served, {"b.yaml": b"1"}, ref="refs/heads/feature")
    feature = commit(served, {"c.yaml": b"1"}, ref="refs/heads/feature")
    raw = pygit2.Repository(str(served))
    tree = raw[feature].tree_id
    merge = CommitId(str(raw.create_commit(MAIN, SIGNATURE, SIGNATURE, "merge", tree, [first, feature])))
    answer = fetched(repository, merge, since=first)
    assert told(answer) == [{"b.yaml": True, "c.yaml": True}] and not answer.rewritten
    assert (steps(answer)[0].commit.parent, steps(answer)[0].commit.merged) == (first, (feature,))
    assert not fetched(repository, merge, since=feature).rewritten  # came in by the merge's other parent


def test_a_ref_that_moved_on_before_the_fetch(served: Path, repository: Repository) -> None:
    first = commit(served, {"a.yaml": b"1"})
    commit(served, {"a.yaml": b"2"})
    assert steps(fetched(repository, first))[-1].commit.id == first  # what was asked for, not the newest
    gone = commit(served, {"a.yaml": b"3"})
    point(served, MAIN, first)
    answer = fetched(repository, gone).steps
    assert isinstance(answer, GitFailure) and "has moved" in answer.message and not answer.permanent


def test_since_is_unknown(served: Path, repository: Repository) -> None:
    tip = commit(served, {"a.yaml": b"1"})
    answer = fetched(repository, tip, since=CommitId("1" * 40)).steps
    assert isinstance(answer, GitFailure) and "no more" in answer.message


@pytest.mark.parametrize("tip", ["main", "HEAD~1", "", "1" * 39, "main^{/x}", "1" * 64])
def test_only_full_ids_are_commits(repository: Repository, tip: str) -> None:
    answer = fetched(repository, CommitId(tip)).steps
    assert isinstance(answer, GitFailure) and answer.permanent and repository.counts.fetches == 0


@pytest.mark.parametrize("ref", ["main", "refs/heads/../x", "refs/heads/*", "+refs/heads/main", "refs/heads/a:b", "--x"])
def test_only_full_names_are_fetched(repository: Repository, ref: str) -> None:
    answer = repository.fetch(Fetch(1, NAME, ref, CommitId("1" * 40), None), parse).steps
    assert isinstance(answer, GitFailure) and answer.permanent and repository.counts.fetches == 0


def test_names_that_collide_stay_apart(served: Path, repository: Repository) -> None:
    """A tag named like the branch, a branch whose name ends like it, a file named like it."""
    main = commit(served, {"main": b"a file", "a.yaml": b"main"})
    other = commit(served, {"a.yaml": b"feature"}, ref="refs/heads/feature/main")
    tag = commit(served, {"a.yaml": b"tag"}, ref="refs/tags/main")
    refs = repository.list_refs(ListRefs(1, NAME)).refs
    assert refs == {"HEAD": main, MAIN: main, "refs/heads/feature/main": other, "refs/tags/main": tag}
    assert told(fetched(repository, main)) == [{"a.yaml": True}]
    assert repository.resolve("main") == main and repository.resolve("refs/tags/main") is None  # never fetched
    here = pygit2.Repository(str(served.parent.parent / "cache" / cache_name(repository)))
    assert len(list(here.references)) == 1 and other not in here and tag not in here


def cache_name(repository: Repository) -> str:
    path = repository._cache._path
    assert path is not None
    return path.name


def test_a_branch_gives_way_to_branches_below_its_name(served: Path, repository: Repository) -> None:
    first = commit(served, {"a.yaml": b"1"}, ref="refs/heads/team")
    assert steps(repository.fetch(Fetch(1, NAME, "refs/heads/team", first, None), parse))
    pygit2.Repository(str(served)).references.delete("refs/heads/team")
    second = commit(served, {"b.yaml": b"1"}, ref="refs/heads/team/a")
    assert steps(repository.fetch(Fetch(1, NAME, "refs/heads/team/a", second, None), parse))


def test_annotated_tags_are_listed_as_their_commits(served: Path, repository: Repository) -> None:
    tip = commit(served, {"a.yaml": b"1"})
    tag = pygit2.Repository(str(served)).create_tag("v1", tip, pygit2.enums.ObjectType.COMMIT, SIGNATURE, "one")
    assert str(tag) != tip
    refs = repository.list_refs(ListRefs(1, NAME)).refs
    assert refs == {"HEAD": tip, MAIN: tip, "refs/tags/v1": tip}
    assert steps(repository.fetch(Fetch(1, NAME, "refs/tags/v1", tip, None), parse))[0].commit.id == tip
    assert repository.resolve("v1") == tip
    local = Repository(NAME, str(served), served.parent)
    assert local.list_refs(ListRefs(1, NAME)).refs == refs


def test_a_path_of_its_own(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    repository = Repository(NAME, git_server.url("fleet"), tmp_path / "cache", "deploy/prod")
    first = commit(served, {"deploy/prod/a.yaml": b"1", "deploy/test/a.yaml": b"1", "other.yaml": b"1"})
    assert told(fetched(repository, first)) == [{"a.yaml": True}]
    tip = commit(served, {"other.yaml": b"2"})
    assert told(fetched(repository, tip, first)) == [{}]
    gone = commit(served, {"deploy/prod/a.yaml": None})
    answer = fetched(repository, gone, tip).steps
    assert isinstance(answer, GitFailure) and "no folder deploy/prod" in answer.message  # unknown, not empty
    again = commit(served, {"deploy/prod/b.yaml": b"1"})
    assert told(fetched(repository, again, tip)) == [{"a.yaml": False}, {"b.yaml": True}]


# -- the earlier version of a folder ------------------------------------------------------------------------------------------


def past(repository: Repository, folder: str, before: CommitId) -> CommitChanges | None:
    answer = repository.read_past(ReadPast(3, NAME, folder, before), parse)
    assert isinstance(answer, PastRead) and not isinstance(answer.found, GitFailure)
    return answer.found


def test_the_earlier_version_of_a_folder(git_server: GitServer, served: Path, repository: Repository) -> None:
    first = commit(served, {"team/a.yaml": b"1", "team/sub/x.yaml": b"1", "top.yaml": b"1"})
    second = commit(served, {"team/a.yaml": b"2", "team/b.yaml": b"1"})
    commit(served, {"team/sub/x.yaml": b"2", "team/README.md": b"words", "top.yaml": b"2"})
    tip = commit(served, {"team/a.yaml": b"3"})
    fetched(repository, tip)
    asked = dict(git_server.counts)
    found = past(repository, "team", tip)
    assert found is not None and [(c.path, c.blob) for c in found.changes] == [
        ("team/a.yaml", pygit2.hash(b"2")),
        ("team/b.yaml", pygit2.hash(b"1")),
    ]
    assert found.commit.parent == second  # the newest that had it so
    earlier = past(repository, "team", found.commit.id)
    assert earlier is not None and earlier.commit.id == first and [c.path for c in earlier.changes] == ["team/a.yaml"]
    assert past(repository, "team", first) is None and past(repository, "none", tip) is None
    top = past(repository, ".", tip)
    assert top is not None and [c.path for c in top.changes] == ["top.yaml"] and top.commit.id == second
    assert git_server.counts == asked


def test_a_folder_that_was_gone_for_a_while(served: Path, repository: Repository) -> None:
    first = commit(served, {"t/a.yaml": b"1", "x.yaml": b"1"})
    commit(served, {"t/a.yaml": None})
    tip = commit(served, {"t/a.yaml": b"2"})
    fetched(repository, tip)
    found = past(repository, "t", tip)
    assert found is not None and found.commit.id == first


# -- what people mean ---------------------------------------------------------------------------------------------------------


def test_revisions_that_people_write(tmp_path: Path) -> None:
    path = tmp_path / "local"
    pygit2.init_repository(str(path), initial_head="main")
    repository = Repository(NAME, str(path), tmp_path / "cache")
    assert repository.resolve("HEAD") is None
    main = commit(path, {"a.yaml": b"1"})
    feature = commit(path, {"a.yaml": b"2"}, ref="refs/heads/feature/x")
    commit(path, {"a.yaml": b"3"}, ref="refs/tags/main")
    for name in ("main", "HEAD", MAIN, main, main[:7], main[:20]):
        assert repository.resolve(name) == main, name
    assert repository.resolve("feature/x") == feature
    tree = str(pygit2.Repository(str(path))[main].tree_id)
    for name in ("main~1", "main^", "HEAD@{1}", ":/a", "main:a.yaml", "", "x", "1" * 40, main[:6], tree, tree[:10], "-x", "a" * 2000):
        assert repository.resolve(name) is None, name


def test_each_file_has_the_step_that_changed_it_last(served: Path, repository: Repository) -> None:
    first = commit(served, {"deploy/a.yaml": b"1", "deploy/b.yaml": b"1"}, message="first")
    second = commit(served, {"deploy/b.yaml": b"2", "deploy/c.yaml": b"1"}, message="second")
    tip = commit(served, {"other.yaml": b"1"}, message="third")
    fetched(repository, tip)
    found = repository.last_changed(tip, ["deploy/a.yaml", "deploy/b.yaml", "deploy/c.yaml", "deploy/none.yaml"])
    assert {path: step.id for path, step in found.items()} == {
        "deploy/a.yaml": first, "deploy/b.yaml": second, "deploy/c.yaml": second, "deploy/none.yaml": first,
    }  # fmt: skip
    assert found["deploy/a.yaml"].subject == "first"
    assert repository.last_changed(CommitId("0" * 40), ["deploy/a.yaml"]) == {}


def test_history_that_is_too_long_is_not_gone_through(served: Path) -> None:
    tip = ""
    for number in range(4):
        tip = commit(served, {f"{number}.yaml": b"1"})
    opened = pygit2.Repository(str(served))
    at = opened[tip]
    assert isinstance(at, pygit2.Commit)
    assert list(history.last_changed(opened, at, ["0.yaml", "3.yaml"], 2)) == ["3.yaml"]
