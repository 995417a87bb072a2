"""Parsed files on disk: a start parses what is new, and nothing that is kept is believed unless it fits."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import FileMode

from reconciler.adapters.git import Repository, parsed
from reconciler.core.identity import BlobId, CommitId, SourceName
from reconciler.core.manifest import ManifestFile, parse
from reconciler.core.messages import CommitChanges, Fetch, FileChange
from reconciler.sim.gitserver import GitServer
from tests.adapters.git.test_fetch import steps
from tests.gitserver import commit, commit_tree, git_server

__all__ = ["git_server"]

NAME = SourceName("fleet")
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {a: b}}\n"


@pytest.fixture
def served(git_server: GitServer) -> Path:
    return git_server.path("fleet")


class Life:
    """One life of a daemon's repository: what it was told, and how much it read for that."""

    def __init__(self, url: str, folder: Path, parser: str = "one") -> None:
        self.repository = Repository(NAME, url, folder, parser=parser)

    def fetch(self, tip: str, since: str | None = None) -> list[CommitChanges]:
        asked = Fetch(1, NAME, "refs/heads/main", CommitId(tip), CommitId(since) if since else None)
        return list(steps(self.repository.fetch(asked, parse)))

    def end(self) -> tuple[int, int]:
        """End it; how many blobs it has read, and how many files parsed."""
        self.repository.close()
        return self.repository.counts.blobs_read, self.repository.counts.parses


def cost(url: str, folder: Path, tip: str, parser: str = "one") -> tuple[int, int]:
    """Of a life that reads one commit whole."""
    life = Life(url, folder, parser)
    life.fetch(tip)
    return life.end()


def kept(folder: Path) -> Path:
    (found,) = folder.glob("*.parsed")
    return found


def marked(folder: Path, parser: str = "one") -> str:
    """The tree that is kept whole."""
    return parsed.Parsed(kept(folder), parser).read().tree


def tree_of(served: Path, commit: str) -> str:
    return str(pygit2.Repository(str(served))[commit].peel(pygit2.Tree).id)


def shape(told: list[CommitChanges]) -> list[object]:
    """All that was told, by value: files and manifests are compared by identity."""
    found = [change.file for step in told for change in step.changes]
    return [(_fields(file), [_fields(one) for one in file.manifests]) for file in found if file is not None]


def _fields(one: object) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__ if name != "manifests"}  # type: ignore[attr-defined]


def files(count: int = 5) -> dict[str, bytes | None]:
    several = "---\n".join(MAP % name for name in ("p", "q")) + "---\njust: data\n"
    listed = {"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}]}
    return {f"a/{i}.yaml": (MAP % f"c{i}").encode() for i in range(count)} | {  # type: ignore[return-value]
        "b/several.yaml": several.encode(),
        "b/broken.yaml": b"a: [",
        "b/warned.yaml": (MAP % "w" + "data: {v: on}\n").encode(),
        "b/empty.yaml": b"",
        "b/list.json": json.dumps(listed).encode(),
    }


def test_a_second_life_reads_and_parses_nothing_and_is_told_the_same(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    tip = commit(served, files())
    first, second = Life(git_server.url("fleet"), tmp_path / "c"), Life(git_server.url("fleet"), tmp_path / "c")
    before = first.fetch(tip)
    assert first.end() == (10, 10)
    after = second.fetch(tip)
    assert second.end() == (0, 0)
    assert shape(after) == shape(before) and len(shape(before)) == 10
    manifests = [one for step in after for change in step.changes if change.file for one in change.file.manifests]
    assert [str(one.place(("metadata", "name"))) for one in manifests if one.name == "q"] == ["b/several.yaml:7:18"]
    assert len({id(one.text) for one in manifests if one.path == "b/several.yaml"}) == 1, "a file's text is held once"


def test_what_changed_meanwhile_is_parsed_and_then_kept_too(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    url, folder = git_server.url("fleet"), tmp_path / "c"
    first = commit(served, files())
    life = Life(url, folder)
    life.fetch(first)
    second = commit(served, {"a/1.yaml": (MAP % "other").encode(), "a/2.yaml": None})
    life.fetch(second, first)
    assert life.end() == (11, 11)
    third = commit(served, {"a/3.yaml": (MAP % "more").encode()})
    assert cost(url, folder, third) == (1, 1)
    assert cost(url, folder, third) == cost(url, folder, second) == (0, 0)


def test_another_parser_believes_nothing_of_it(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    url, folder, tip = git_server.url("fleet"), tmp_path / "c", commit(served, files())
    assert [cost(url, folder, tip, parser)[1] for parser in ("one", "two", "two", "one", "")] == [10, 10, 0, 10, 10]


@pytest.mark.parametrize(("at", "parsed"), [(0, 10), (9, 10), (20, 10), (60, 10), (300, 10), (-1, 0)])
def test_a_damaged_byte_costs_time_and_nothing_else(git_server: GitServer, served: Path, tmp_path: Path, at: int, parsed: int) -> None:
    """The last one is of the mark: nothing is parsed, but all is gone through."""
    url, folder, tip = git_server.url("fleet"), tmp_path / "c", commit(served, files())
    whole = shape(Life(url, tmp_path / "other").fetch(tip))
    cost(url, folder, tip)
    content = bytearray(kept(folder).read_bytes())
    content[at] ^= 1
    kept(folder).write_bytes(content)
    life = Life(url, folder)
    assert shape(life.fetch(tip)) == whole
    assert life.end() == (parsed, parsed) and cost(url, folder, tip) == (0, 0)
    assert marked(folder) == tree_of(served, tip)


def test_what_a_crash_cut_off_is_made_again(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    url, folder, first = git_server.url("fleet"), tmp_path / "c", commit(served, files())
    life = Life(url, folder)
    life.fetch(first)
    size = kept(folder).stat().st_size
    tip = commit(served, {"a/1.yaml": (MAP % "other").encode()})
    life.fetch(tip, first)
    life.end()
    os.truncate(kept(folder), size + 100)
    assert cost(url, folder, tip) == (1, 1)
    assert cost(url, folder, tip) == (0, 0)


def test_it_is_ours_alone_and_follows_no_link(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    url, folder, tip = git_server.url("fleet"), tmp_path / "c", commit(served, files())
    cost(url, folder, tip)
    where = kept(folder)
    assert where.stat().st_mode & 0o777 == 0o600 and where.parent.stat().st_mode & 0o777 == 0o700
    where.unlink()
    (tmp_path / "elsewhere").write_bytes(b"mine")
    where.symlink_to(tmp_path / "elsewhere")
    assert cost(url, folder, tip) == (10, 10)
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"


def test_a_start_is_told_the_tree_that_it_knows_with_what_differs_laid_over(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    """Changed, gone, new, left out from now on: the same as a life that knows nothing is told."""
    url, folder = git_server.url("fleet"), tmp_path / "c"
    first = commit(served, {**files(), "c/.reconcilerignore": b"y.yaml\n", "c/x.yaml": b"", "c/y.yaml": b""})
    assert cost(url, folder, first)[1] == 11
    changes = {"a/1.yaml": (MAP % "other").encode(), "a/2.yaml": None, "a/9.yaml": b"a: [", "c/.reconcilerignore": b"x.yaml\n"}
    tip = commit(served, changes)
    life = Life(url, folder)
    told = life.fetch(tip)
    assert life.end()[1] == 3, "a/1, a/9, c/y"
    fresh = Life(url, tmp_path / "other").fetch(tip)
    assert by_path(told) == by_path(fresh)
    assert marked(folder) == tree_of(served, first), "what is kept need not be written again for a few files"
    assert cost(url, folder, tip)[1] == 0


def by_path(told: list[CommitChanges]) -> list[tuple[str, object]]:
    return sorted(zip([change.path for step in told for change in step.changes], shape(told), strict=True), key=lambda pair: pair[0])


def test_what_was_a_link_and_is_a_file_of_the_same_content_is_read(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    """In a life that knows the tree with the link, and in one that only knows its files."""
    url, folder = git_server.url("fleet"), tmp_path / "c"
    blob = pygit2.Repository(str(served)).create_blob((MAP % "it").encode())
    first = commit_tree(served, {b"a": {b"link.yaml": (FileMode.LINK, str(blob)), b"x.yaml": (MAP % "x").encode()}})
    tip = commit_tree(served, {b"a": {b"link.yaml": (FileMode.BLOB, str(blob)), b"x.yaml": (MAP % "x").encode()}})
    assert [cost(url, folder, each) for each in (first, first, tip, tip)] == [
        (1, 1),
        (0, 0),
        (1, 1),
        (0, 0),
    ]
    other = tmp_path / "other"
    cost(url, other, first)
    content = bytearray(kept(other).read_bytes())
    content[-1] ^= 1  # of the mark
    kept(other).write_bytes(content)
    assert cost(url, other, tip) == (1, 1)


def test_a_tree_that_is_here_no_more_is_missed_by_nobody(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    """The clone was lost and history rewritten: what was parsed is known all the same."""
    url, folder = git_server.url("fleet"), tmp_path / "c"
    cost(url, folder, commit(served, files()))
    for clone in folder.glob("*.git"):
        shutil.rmtree(clone)
    repository = pygit2.Repository(str(served))
    repository.references.delete("refs/heads/main")
    tip = commit(served, {**files(), "a/1.yaml": (MAP % "other").encode()})
    assert cost(url, folder, tip) == (1, 1)
    assert marked(folder) == tree_of(served, tip)


def test_what_no_start_needs_any_more_is_dropped(git_server: GitServer, served: Path, tmp_path: Path) -> None:
    url, folder = git_server.url("fleet"), tmp_path / "c"
    cost(url, folder, commit(served, files(40)))
    large = kept(folder).stat().st_size
    tip = commit(served, {f"a/{i}.yaml": None for i in range(40)})
    assert cost(url, folder, tip) == (0, 0)
    assert kept(folder).stat().st_size < large / 2
    assert cost(url, folder, tip) == (0, 0)


def test_many_files_are_many_segments_and_a_full_one_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.parsed"
    made = [_made(f"{i}.yaml") for i in range(2 * parsed.SEGMENT_FILES + 1)]
    cache = parsed.Parsed(path, "one")
    assert cache.read().all_parsed() == {}
    for file in made:
        cache.keep(file, True)
    assert len(parsed.Parsed(path, "one").read().all_parsed()) == 2 * parsed.SEGMENT_FILES
    cache.flush()
    assert list(parsed.Parsed(path, "one").read().all_parsed()) == [(file.path, file.blob) for file in made]


def test_a_place_that_cannot_be_written_keeps_nothing_and_fails_nothing(tmp_path: Path) -> None:
    cache = parsed.Parsed(tmp_path / "not there" / "x.parsed", "one")
    assert cache.read().files == []
    cache.keep(_made("a.yaml"), True)
    cache.tidy("0" * 40, [FileChange("a.yaml", BlobId("0" * 40), _made("a.yaml"))], (), marked=False)
    assert cache.read().files == []


def _made(path: str) -> ManifestFile:
    return parse((MAP % "c").encode(), path, BlobId("0" * 40))
