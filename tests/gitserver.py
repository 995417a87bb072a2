"""A real Git server for tests: the fixture around `reconciler.sim.gitserver`, and a hand that commits.

Use it with `pytest_plugins` or by importing `git_server` into a test module.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import FileMode, ObjectType

from reconciler.core.identity import CommitId
from reconciler.sim.gitserver import GitServer, installed

SIGNATURE = pygit2.Signature("Ada", "ada@example.org", 1_700_000_000, 0)
Entry = bytes | tuple[int, str]  # content of a file, or a mode and an object id
Tree = dict[bytes, "Entry | Tree"]


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A server on loopback with an empty repository "fleet"."""
    if not installed():
        pytest.skip("the git command is not installed")
    root = tmp_path / "served"
    root.mkdir()
    with GitServer(root) as server:
        server.create("fleet")
        yield server


def commit(path: Path, files: dict[str, bytes | None], ref: str = "refs/heads/main", message: str = "change") -> CommitId:
    """Commit files over the tip of `ref` in the repository at `path` (None removes), as somebody with push rights would."""
    repository = pygit2.Repository(str(path))
    found = repository.references.get(ref)
    parents = [found.target] if found is not None else []
    index = pygit2.Index()
    if parents:
        index.read_tree(repository[parents[0]].tree)
    for name, content in files.items():
        if content is None:
            index.remove(name)
        else:
            index.add(pygit2.IndexEntry(name, repository.create_blob(content), FileMode.BLOB))
    made = repository.create_commit(None, SIGNATURE, SIGNATURE, message, index.write_tree(repository), parents)
    repository.references.create(ref, made, force=True)
    return CommitId(str(made))


def commit_tree(path: Path, tree: Tree, ref: str = "refs/heads/main", parents: tuple[str, ...] = ()) -> CommitId:
    """Commit a tree written byte for byte, as no well-behaved client would: names, modes and order are what they are."""
    repository = pygit2.Repository(str(path))
    found = repository.references.get(ref)
    before = [pygit2.Oid(hex=parent) for parent in parents] or ([found.target] if found is not None else [])
    top = raw_tree(repository, tree)
    lines = [f"tree {top}", *(f"parent {parent}" for parent in before)]
    who = "Eve <eve@example.org> 1700000000 +0000"
    text = "\n".join([*lines, f"author {who}", f"committer {who}", "", "hostile\n"])
    made = repository.odb.write(ObjectType.COMMIT, text.encode())
    repository.references.create(ref, made, force=True)
    return CommitId(str(made))


def raw_tree(repository: pygit2.Repository, tree: Tree) -> pygit2.Oid:
    """Write one tree object, and those below it."""
    rows = []
    for name, entry in tree.items():
        if isinstance(entry, dict):
            mode, oid = 0o40000, raw_tree(repository, entry)
        elif isinstance(entry, bytes):
            mode, oid = 0o100644, repository.create_blob(entry)
        else:
            mode, oid = entry[0], pygit2.Oid(hex=entry[1])
        rows.append(b"%o %s\0%s" % (mode, name, oid.raw))
    return repository.odb.write(ObjectType.TREE, b"".join(rows))
