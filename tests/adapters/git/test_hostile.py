"""Repositories that mean harm: names, links, submodules, sizes, depth, bombs, ignore files. Over HTTP from a real server."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import ObjectType

from reconciler.adapters.git import Repository, reading, trees
from reconciler.core.identity import CommitId, SourceName
from reconciler.core.messages import GitFailure, ListRefs, ReadFiles
from reconciler.sim.gitserver import GitServer, environment
from tests.adapters.git.test_fetch import MAIN, fetched, steps, told
from tests.gitserver import Tree, commit, commit_tree, git_server, raw_tree

__all__ = ["git_server"]

NAME = SourceName("fleet")


@pytest.fixture
def served(git_server: GitServer) -> Path:
    return git_server.path("fleet")


@pytest.fixture
def repository(git_server: GitServer, tmp_path: Path) -> Repository:
    return Repository(NAME, git_server.url("fleet"), tmp_path / "cache")


def problems(repository: Repository, tip: CommitId, since: CommitId | None = None) -> dict[str, str]:
    """Path → its one problem ("" for none)."""
    found: dict[str, str] = {}
    for change in steps(fetched(repository, tip, since))[-1].changes:
        assert change.file is not None and len(change.file.problems) <= 1 and change.file.path == change.path
        assert change.path.isprintable() and change.path not in found
        found[change.path] = change.file.problems[0].message if change.file.problems else ""
        assert change.file.readable is not bool(found[change.path])
    return found


def test_names_that_lead_elsewhere_are_never_read(served: Path, repository: Repository) -> None:
    tree: Tree = {
        b"..": {b"a.yaml": b"1"},
        b".": {b"a.yaml": b"1"},
        b".git": {b"config.yaml": b"1"},
        b".GIT": {b"config.yaml": b"1"},
        b"\n.yaml": b"1",
        b"\x1b[2J.yaml": b"1",
        b"\xff.yaml": b"1",
        b"a\\..\\b.yaml": b"1",
        b"ok.yaml": b"1",
        b"\xe2\x80\xaelmay.yaml": b"1",
    }
    found = problems(repository, commit_tree(served, tree))
    assert found.pop("ok.yaml") == "" and len(found) == 9
    assert all("name that is not allowed" in problem for problem in found.values())
    assert "\\u000a.yaml" in found and "\\xff.yaml" in found and "a\\\\..\\\\b.yaml" in found
    assert repository.counts.blobs_read == 1


def test_links_and_submodules_are_reported_and_not_followed(served: Path, repository: Repository) -> None:
    raw = pygit2.Repository(str(served))
    blob = str(raw.create_blob(b"/etc/passwd"))
    tip = commit_tree(served, {
        b"link.yaml": (0o120000, blob),
        b"linked": (0o120000, blob),
        b"module.json": (0o160000, "1" * 40),
        b"module": (0o160000, "1" * 40),
        b"run.yaml": (0o100755, blob),
        b"strange.yaml": (0o100664, blob),
        b"stranger.yaml": (0o777, blob),
    })  # fmt: skip
    found = problems(repository, tip)
    assert found.pop("link.yaml") == "is a symbolic link, which is never followed"
    assert found.pop("module.json") == "is a submodule, which is never followed"
    assert found == {"run.yaml": "", "strange.yaml": "", "stranger.yaml": ""}


def test_a_file_that_becomes_a_link_with_the_same_content(served: Path, repository: Repository) -> None:
    blob = str(pygit2.Repository(str(served)).create_blob(b"x"))
    first = commit_tree(served, {b"a.yaml": (0o100644, blob), b"b.yaml": (0o100644, blob)})
    fetched(repository, first)
    tip = commit_tree(served, {b"a.yaml": (0o120000, blob), b"b.yaml": (0o100755, blob)})
    assert problems(repository, tip, first) == {"a.yaml": "is a symbolic link, which is never followed"}


def test_a_file_becomes_a_folder_and_back(served: Path, repository: Repository) -> None:
    first = commit(served, {"a.yaml": b"1"})
    fetched(repository, first)
    second = commit(served, {"a.yaml": None, "a.yaml/b.yaml": b"1"})
    assert told(fetched(repository, second, first)) == [{"a.yaml": False, "a.yaml/b.yaml": True}]
    third = commit(served, {"a.yaml/b.yaml": None, "a.yaml": b"1"})
    assert told(fetched(repository, third, second)) == [{"a.yaml": True, "a.yaml/b.yaml": False}]


def test_a_file_above_the_limit_is_not_read(served: Path, repository: Repository) -> None:
    size = reading.BLOB_LIMIT_BYTES
    found = problems(repository, commit(served, {"fits.yaml": bytes(size), "large.yaml": bytes(size + 1)}))
    assert found == {"fits.yaml": "", "large.yaml": "has 4,194,305 bytes, more than the 4,194,304 that are read"}
    assert repository.counts.blobs_read == 1


def test_folders_nested_too_deep(served: Path, repository: Repository) -> None:
    raw = pygit2.Repository(str(served))
    node = raw_tree(raw, {b"leaf.yaml": b"1"})
    for _ in range(500):
        node = raw_tree(raw, {b"a.yaml": b"1", b"d": (0o40000, str(node))})
    tip = commit_tree(served, {b"d": (0o40000, str(node))})
    found = problems(repository, tip)
    deepest = "/".join(["d"] * trees.DEPTH_LIMIT)
    assert found.pop(deepest) == "is nested deeper than 64 folders and is not read"
    assert len(found) == trees.DEPTH_LIMIT - 1 and set(found.values()) == {""}


def test_a_tree_built_to_be_endless_is_given_up(served: Path, repository: Repository) -> None:
    """Twenty folders, each holding the next ten times: ten to the twentieth files in twenty objects."""
    raw = pygit2.Repository(str(served))
    node = raw_tree(raw, {b"a.md": b"1"})
    for _ in range(20):
        node = raw_tree(raw, {b"%d" % n: (0o40000, str(node)) for n in range(10)})
    tip = commit_tree(served, {b"top": (0o40000, str(node))})
    answer = fetched(repository, tip).steps
    assert isinstance(answer, GitFailure) and "500,000 files" in answer.message
    read = repository.read_files(ReadFiles(1, NAME, MAIN, tip)).files
    assert isinstance(read, GitFailure)


def test_commit_words_are_made_safe(served: Path, repository: Repository) -> None:
    said = steps(fetched(repository, commit(served, {"a.yaml": b"1"}, message="\x1b]0;x\x07 red \u202e" + "long " * 99)))[0].commit
    assert said.subject.isprintable() and said.subject.startswith("]0;x  red") and len(said.subject) <= 200


def test_refs_with_odd_names_do_not_hide_the_others(served: Path, repository: Repository) -> None:
    tip = commit(served, {"a.yaml": b"1"})
    names = [b"refs/heads/\xff\xfe", "refs/heads/\u202e".encode(), "refs/heads/für".encode()]
    for name in names:
        subprocess.run([b"git", b"update-ref", name, tip.encode()], cwd=served, check=True, env=environment())
    subprocess.run(["git", "symbolic-ref", "refs/heads/dangling", "refs/heads/none"], cwd=served, check=True, env=environment())
    (served / "refs" / "heads" / "garbage").write_text("no id\n")
    expected = {"HEAD": tip, MAIN: tip, "refs/heads/für": tip}
    assert repository.list_refs(ListRefs(1, NAME)).refs == expected
    assert Repository(NAME, str(served), served).list_refs(ListRefs(1, NAME)).refs == expected


def test_a_commit_that_is_none_is_told_without_cloning_for_ever(served: Path, repository: Repository) -> None:
    good = commit(served, {"a.yaml": b"1"})
    raw = pygit2.Repository(str(served))
    bad = CommitId(str(raw.odb.write(ObjectType.COMMIT, b"tree %s\n\nno author\n" % str(raw[good].tree_id).encode())))
    (served / "refs" / "heads" / "main").write_text(bad + "\n")
    said = [fetched(repository, bad, good).steps for _ in range(4)]
    assert all(isinstance(answer, GitFailure) for answer in said) and f"commit {bad[:12]} cannot be read" in str(said[-1])
    assert repository.counts.fetches <= 2
    (served / "refs" / "heads" / "main").write_text(good + "\n")
    assert told(fetched(repository, good)) == [{"a.yaml": True}]


@pytest.mark.parametrize(
    "content",
    [b"100644 a.yaml", b"100644 a.yaml\0short", b"100644 \0" + bytes(20), b"10x644 a.yaml\0" + bytes(20), b"no tree", b"40000 b\0%(blob)s"],
)
def test_a_folder_that_is_none_is_told_in_one_sentence(served: Path, repository: Repository, content: bytes) -> None:
    good = commit(served, {"a/a.yaml": b"1"})
    raw = pygit2.Repository(str(served))
    content = content.replace(b"%(blob)s", raw.create_blob(b"no folder").raw)
    top = raw.odb.write(ObjectType.TREE, b"40000 a\0" + raw.odb.write(ObjectType.TREE, content).raw)
    who = b"Eve <eve@example.org> 1 +0000"
    bad = CommitId(str(raw.odb.write(ObjectType.COMMIT, b"tree %s\nauthor %s\ncommitter %s\n\nbad\n" % (str(top).encode(), who, who))))
    (served / "refs" / "heads" / "main").write_text(bad + "\n")
    said = [fetched(repository, bad, good).steps for _ in range(4)]
    assert all(isinstance(answer, GitFailure) and answer.message.count("\n") == 0 for answer in said)
    (served / "refs" / "heads" / "main").write_text(good + "\n")
    assert told(fetched(repository, good)) == [{"a/a.yaml": True}]


def test_modes_that_old_tools_wrote_are_files_and_folders(served: Path, repository: Repository) -> None:
    raw = pygit2.Repository(str(served))
    blob, inner = raw.create_blob(b"1"), raw_tree(raw, {b"c.yaml": b"1"})
    rows = [b"100664 a.yaml\0" + blob.raw, b"040000 b\0" + inner.raw, b"100755 c.yaml\0" + blob.raw]
    who = pygit2.Signature("Eve", "eve@example.org", 1, 0)
    tip = CommitId(str(raw.create_commit(MAIN, who, who, "old", raw.odb.write(ObjectType.TREE, b"".join(rows)), [])))
    assert problems(repository, tip) == {"a.yaml": "", "b/c.yaml": "", "c.yaml": ""}


def test_a_commit_of_the_far_future(served: Path, repository: Repository) -> None:
    raw = pygit2.Repository(str(served))
    who = b"Eve <eve@example.org> 99999999999999999 +0000"
    text = b"tree %s\nauthor %s\ncommitter %s\n\nlate\n" % (str(raw.TreeBuilder().write()).encode(), who, who)
    late = CommitId(str(raw.odb.write(ObjectType.COMMIT, text)))
    raw.references.create(MAIN, late)
    at = steps(fetched(repository, late))[0].commit.at
    assert dt.datetime.fromtimestamp(at, dt.UTC).year == 9999


# -- ignore files -------------------------------------------------------------------------------------------------------------


def test_ignored_files_are_not_read(served: Path, repository: Repository) -> None:
    ignore = b"# charts\n/charts/\n*.tmp.yaml\n!keep.tmp.yaml\n"
    files: dict[str, bytes | None] = {
        ".reconcilerignore": ignore,
        "a.yaml": b"1",
        "x.tmp.yaml": b"1",
        "keep.tmp.yaml": b"1",
        "charts/values.yaml": b"1",
        "sub/charts/c.yaml": b"1",
        "sub/.reconcilerignore": b"/local.yaml\n",  # from its own folder
        "sub/local.yaml": b"1",
        "local.yaml": b"1",
    }
    assert list(problems(repository, commit(served, files))) == ["a.yaml", "keep.tmp.yaml", "local.yaml", "sub/charts/c.yaml"]


def test_a_change_of_the_ignore_file_changes_what_is_seen(served: Path, repository: Repository) -> None:
    first = commit(served, {"a.yaml": b"1", "team/b.yaml": b"1", "team/c.yaml": b"1", "other/d.yaml": b"1"})
    fetched(repository, first)
    second = commit(served, {".reconcilerignore": b"b.yaml\nother/\n"})
    before = repository.counts.blobs_read
    assert told(fetched(repository, second, first)) == [{"other/d.yaml": False, "team/b.yaml": False}]
    assert repository.counts.blobs_read - before == 1  # the ignore file
    third = commit(served, {"team/b.yaml": b"2", "other/d.yaml": b"2", "team/c.yaml": b"2"})
    assert told(fetched(repository, third, second)) == [{"team/c.yaml": True}]
    fourth = commit(served, {".reconcilerignore": b"other/\n"})
    before = repository.counts.blobs_read
    assert told(fetched(repository, fourth, third)) == [{"team/b.yaml": True}]
    assert repository.counts.blobs_read - before == 2
    fifth = commit(served, {".reconcilerignore": None})
    assert told(fetched(repository, fifth, fourth)) == [{"other/d.yaml": True}]


def test_an_ignore_file_that_cannot_be_used_is_a_problem(served: Path, repository: Repository) -> None:
    first = commit(served, {"a.yaml": b"1", "sub/.reconcilerignore": b"*a*b*c*d*.yaml\n"})
    assert "too many stars" in problems(repository, first)["sub/.reconcilerignore"]
    second = commit(served, {"sub/.reconcilerignore": bytes(70_000)})
    assert "bytes" in problems(repository, second, first)["sub/.reconcilerignore"]
    third = commit(served, {"sub/.reconcilerignore": b"x.yaml\n"})
    assert told(fetched(repository, third, second)) == [{"sub/.reconcilerignore": False}]
    blob = str(pygit2.Repository(str(served)).create_blob(b"a.yaml"))
    fourth = commit_tree(served, {b".reconcilerignore": (0o120000, blob), b"a.yaml": b"1"})
    assert "symbolic link" in problems(repository, fourth, third)[".reconcilerignore"]
