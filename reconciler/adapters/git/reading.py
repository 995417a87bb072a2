"""Blobs: reading what a walk found, each once, never more than the limits.

Law of the module: a file's size is known before it is read; what is too large, is no regular file or has an odd name becomes a file
with one problem, so that its author hears of it and its folder is held. Counted: every blob that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import pygit2
from pygit2.enums import FileMode

from reconciler.core.identity import BlobId, Place
from reconciler.core.ignore import BYTES, read_ignore
from reconciler.core.manifest import ManifestFile
from reconciler.core.messages import FileChange
from reconciler.core.problem import Problem

from .counts import Counts
from .transport import GitTrouble
from .trees import DEPTH_LIMIT, ENTRIES_LIMIT, Difference, Node, shown

BLOB_LIMIT_BYTES = 4 << 20  # of one manifest file; generated CRDs reach one or two
CALL_LIMIT_BYTES = 1 << 30  # read in answer to one effect
RAW_LIMIT_BYTES = 256 << 20  # of the files that `ReadFiles` hands over

Parse = Callable[[bytes, str, BlobId], ManifestFile]
NOTHING: Mapping[tuple[str, BlobId], ManifestFile] = MappingProxyType({})

NOT_READ = {
    "link": "is a symbolic link, which is never followed",
    "submodule": "is a submodule, which is never followed",
    "deep": f"is nested deeper than {DEPTH_LIMIT} folders and is not read",
}


ODD_NAME = "has a name that is not allowed: control characters, no UTF-8, a backslash, or a part like '..' or '.git'"


class Damaged(Exception):
    """An object that should be here is missing or broken."""


@contextmanager
def sound() -> Iterator[None]:
    """Turn what libgit2 raises about objects into `Damaged`; nothing but reads of objects may stand inside."""
    try:
        yield
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        raise Damaged(str(error)) from error


def no_one(_file: ManifestFile, _parsed: bool) -> None:
    """Hears of files where nobody keeps them."""


class Reader:
    """Reads for one effect: parses each content at each path once, however many steps name it; what is `known` not at all.

    `fresh` hears of every file that was made, and whether it was parsed: where there is nothing to parse, a problem says why.
    """

    def __init__(
        self,
        repository: pygit2.Repository,
        parse: Parse,
        counts: Counts,
        known: Mapping[tuple[str, BlobId], ManifestFile] = NOTHING,
        fresh: Callable[[ManifestFile, bool], None] = no_one,
    ) -> None:
        self._repository = repository
        self._parse = parse
        self._counts = counts
        self._known = known
        self._fresh = fresh
        self.unparsed: dict[str, None] = {}  # paths at which there was nothing to parse
        self._files: dict[tuple[str, Node], ManifestFile] = {}
        self._bytes = 0

    def change(self, difference: Difference) -> FileChange:
        """What a difference means: the file as it is now, or that it is gone."""
        path, node = difference.path, difference.new
        if node is None:
            return FileChange(path, None, None)
        file = self._files.get((path, node))
        if file is None:
            file = self._files[path, node] = self._known_or_read(path, node)
        return FileChange(path, node.id, file)

    def _ignore_file(self, path: str, node: Node) -> ManifestFile:
        """An ignore file that could not be used in full: its problems, and no manifests."""
        with sound():
            oid = pygit2.Oid(hex=node.id)
            _, size = self._repository.odb.read_header(oid)
            # One byte too many is enough for the parser to say so.
            content = bytes(self._repository[oid].data) if size <= BYTES else bytes(BYTES + 1)
        _, problems = read_ignore(content, path)
        return ManifestFile(path, node.id, (), problems, 0)

    def _known_or_read(self, path: str, node: Node) -> ManifestFile:
        is_regular = node.sort == "file" and not node.odd
        known = self._known.get((path, node.id)) if is_regular else None
        if known is not None:
            self._take(len(known.manifests[0].text) if known.manifests else 0)
            return known
        file = self._read(path, node) if is_regular else self._not_read(path, node)
        self._fresh(file, path not in self.unparsed)
        return file

    def _not_read(self, path: str, node: Node) -> ManifestFile:
        self.unparsed[path] = None
        if node.sort == "ignore":
            return self._ignore_file(path, node)
        return unread(path, node.id, ODD_NAME if node.sort == "file" else NOT_READ[node.sort])

    def _read(self, path: str, node: Node) -> ManifestFile:
        with sound():
            oid = pygit2.Oid(hex=node.id)
            _, size = self._repository.odb.read_header(oid)
        if size > BLOB_LIMIT_BYTES:
            self.unparsed[path] = None
            return unread(path, node.id, too_large(size, BLOB_LIMIT_BYTES))
        self._take(size)
        with sound():
            content = bytes(self._repository[oid].data)
        self._counts.blobs_read += 1
        self._counts.parses += 1
        return self._parse(content, path, node.id)

    def _take(self, size: int) -> None:
        self._bytes += size
        if self._bytes > CALL_LIMIT_BYTES:
            raise GitTrouble(f"the manifests that changed are together larger than {CALL_LIMIT_BYTES >> 20} MiB")


def too_large(size: int, limit: int) -> str:
    """The words for a file above its limit."""
    return f"has {size:,} bytes, more than the {limit:,} that are read"


def unread(path: str, blob: BlobId, why: str) -> ManifestFile:
    """A file that was not read, with the reason as its one problem."""
    return ManifestFile(path, blob, (), (Problem(Place(path), why),), 0)


def raw_files(repository: pygit2.Repository, tree: pygit2.Tree, prefix: str, counts: Counts) -> dict[str, bytes]:
    """The content of every regular file below `tree`, by path; odd names, links and submodules are left out."""
    files: dict[str, bytes] = {}
    total = entries = 0
    waiting = [(tree, prefix, 0)]
    while waiting:
        folder, above, depth = waiting.pop()
        for entry in folder:
            name, odd = shown(entry.raw_name)
            entries += 1
            if entries > ENTRIES_LIMIT:
                raise GitTrouble(f"there are more than {ENTRIES_LIMIT:,} files and folders to read")
            if odd or entry.filemode in (FileMode.LINK, FileMode.COMMIT):
                continue
            if entry.filemode == FileMode.TREE:
                if depth < DEPTH_LIMIT:
                    waiting.append((entry, f"{above}{name}/", depth + 1))
                continue
            total += repository.odb.read_header(entry.id)[1]
            if total > RAW_LIMIT_BYTES:
                raise GitTrouble(f"the files to read are together larger than {RAW_LIMIT_BYTES >> 20} MiB")
            files[above + name] = bytes(entry.data)
            counts.files_read += 1
    return dict(sorted(files.items()))
