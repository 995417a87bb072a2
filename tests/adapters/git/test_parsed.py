"""Parsed files on disk: a start parses what is new, and nothing that is kept is believed unless it fits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reconciler.adapters.git import Repository, parsed
from reconciler.core.identity import BlobId, CommitId, SourceName
from reconciler.core.manifest import ManifestFile, parse
from reconciler.core.messages import CommitChanges, Fetch
from reconciler.sim.gitserver import GitServer
from tests.adapters.git.test_fetch import steps
from tests.gitserver import commit, git_server

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


@pytest.mark.parametrize("at", [0, 9, 20, 60, 300, -1])
def test_a_damaged_byte_costs_time_and_nothing_else(git_server: GitServer, served: Path, tmp_path: Path, at: int) -> None:
    url, folder, tip = git_server.url("fleet"), tmp_path / "c", commit(served, files())
    whole = shape(Life(url, tmp_path / "other").fetch(tip))
    cost(url, folder, tip)
    content = bytearray(kept(folder).read_bytes())
    content[at] ^= 1
    kept(folder).write_bytes(content)
    life = Life(url, folder)
    assert shape(life.fetch(tip)) == whole
    assert life.end() == (10, 10) and cost(url, folder, tip) == (0, 0)


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
    assert cache.read() == {}
    for file in made:
        cache.keep(file)
    assert len(parsed.Parsed(path, "one").read()) == 2 * parsed.SEGMENT_FILES
    cache.flush()
    assert list(parsed.Parsed(path, "one").read()) == [(file.path, file.blob) for file in made]


def test_a_place_that_cannot_be_written_keeps_nothing_and_fails_nothing(tmp_path: Path) -> None:
    cache = parsed.Parsed(tmp_path / "not there" / "x.parsed", "one")
    assert cache.read() == {}
    cache.keep(_made("a.yaml"))
    cache.tidy([_made("a.yaml")])
    assert cache.read() == {}


def _made(path: str) -> ManifestFile:
    return parse((MAP % "c").encode(), path, BlobId("0" * 40))
