"""A folder of files read as if it were a commit: what `plan` shows before anything is committed.

Law of the module: the same files give the same answer as their commit would, blob ids and all; links are not followed, `.git` is
not entered, nothing is written. Limits are those of a commit.

Source: gitformat-loose(5) for the id of a blob: the SHA-1 of "blob", its length, a zero byte and the content.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pygit2

from reconciler.core.identity import BlobId, CommitId
from reconciler.core.ignore import BYTES, NAME, read_ignore
from reconciler.core.manifest import ManifestFile
from reconciler.core.messages import Commit, CommitChanges, FileChange, GitFailure

from .ignoring import Rule, Rules
from .reading import BLOB_LIMIT_BYTES, CALL_LIMIT_BYTES, NOT_READ, ODD_NAME, Parse, too_large, unread
from .transport import GitTrouble, clean
from .trees import DEPTH_LIMIT, ENTRIES_LIMIT, SUFFIXES, shown

UNCOMMITTED = CommitId("0" * 40)
NO_BLOB = BlobId("0" * 40)


def working_tree(folder: Path, parse: Parse, at: float) -> CommitChanges | GitFailure:
    """All manifest files below `folder`, as one step of a commit that does not exist (its id is all zeros)."""
    commit = Commit(UNCOMMITTED, None, author="", author_email="", at=at, subject="not committed")
    try:
        if not folder.is_dir():
            return GitFailure(f"there is no folder {folder}", permanent=True)
        found = sorted(_Reading(parse).folder(folder, "", Rules(), 0, odd=False), key=lambda change: change.path)
        return CommitChanges(commit, tuple(found))
    except GitTrouble as trouble:
        return trouble.failure
    except OSError as error:
        return GitFailure(f"{folder} cannot be read: {clean(str(error))}")


class Earlier:
    """The files of a repository as they were before: as committed last, or, where that is what lies there, as the step before had them."""

    def __init__(self, top: Path) -> None:
        self._trees: list[pygit2.Tree] = []
        self._repository: pygit2.Repository | None = None
        try:
            self._repository = pygit2.Repository(str(top))
            head = self._repository.head.peel(pygit2.Commit)
            self._trees = [head.tree, *(parent.tree for parent in head.parents[:1])]
        except (pygit2.GitError, KeyError, ValueError, OSError):
            pass  # no repository, or one without a commit: nothing was before

    def text(self, path: str, blob: BlobId) -> bytes | None:
        """The last other text of a file whose text now is `blob`; None where there is none."""
        for tree in self._trees:
            try:
                found = tree[path]
            except (KeyError, ValueError):
                return None
            if str(found.id) != blob:
                return found.data if isinstance(found, pygit2.Blob) and found.size <= BLOB_LIMIT_BYTES else None
        return None


class _Reading:
    """One walk over a folder, with its limits."""

    def __init__(self, parse: Parse) -> None:
        self._parse = parse
        self._entries = 0
        self._bytes = 0

    def folder(self, folder: Path, prefix: str, rules: Rules, depth: int, *, odd: bool) -> Iterator[FileChange]:
        """The manifest files of a folder and of those below it."""
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
        self._entries += len(entries)
        if self._entries > ENTRIES_LIMIT:
            raise GitTrouble(f"there are more than {ENTRIES_LIMIT:,} files and folders")
        for entry in entries:
            if entry.name == NAME:
                file = self._ignore_file(Path(entry.path), prefix + NAME)
                if isinstance(file, Rule):
                    rules = rules.within(prefix, entry.path, file)
                else:
                    yield FileChange(prefix + NAME, file.blob, file)
        for entry in entries:
            name, name_odd = shown(os.fsencode(entry.name))
            path, is_odd = prefix + name, odd or name_odd
            if entry.is_dir(follow_symlinks=False):
                if entry.name == ".git" or rules.ignored(path + "/"):
                    continue
                if depth + 1 >= DEPTH_LIMIT:
                    yield FileChange(path, NO_BLOB, unread(path, NO_BLOB, NOT_READ["deep"]))
                else:
                    yield from self.folder(Path(entry.path), path + "/", rules, depth + 1, odd=is_odd)
            elif entry.name.encode("utf-8", "surrogateescape").endswith(SUFFIXES) and not rules.ignored(path):
                found = self._file(Path(entry.path), path, odd=is_odd)
                yield FileChange(path, found.blob, found)

    def _file(self, file: Path, path: str, *, odd: bool) -> ManifestFile:
        content = self._content(file, BLOB_LIMIT_BYTES)
        if isinstance(content, str):
            return unread(path, NO_BLOB, content)
        blob = blob_id(content)
        return unread(path, blob, ODD_NAME) if odd else self._parse(content, path, blob)

    def _ignore_file(self, file: Path, path: str) -> Rule | ManifestFile:
        """The rules of an ignore file, or what is wrong with it (then it ignores nothing: its problem holds the folder)."""
        content = self._content(file, BYTES)
        if isinstance(content, str):
            return unread(path, NO_BLOB, content)
        ignored, problems = read_ignore(content, path)
        return ManifestFile(path, blob_id(content), (), problems, 0) if problems else Rule(ignored, whole=True)

    def _content(self, file: Path, limit: int) -> bytes | str:
        """The bytes of a regular file, or why it is not read."""
        if file.is_symlink():
            return NOT_READ["link"]
        # Opened without following a link that took the file's place meanwhile, and without waiting for a pipe's other end.
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as opened:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                return "is no regular file and is not read"
            if about.st_size > limit:
                return too_large(about.st_size, limit)
            self._bytes += about.st_size
            if self._bytes > CALL_LIMIT_BYTES:
                raise GitTrouble(f"the files are together larger than {CALL_LIMIT_BYTES >> 20} MiB")
            return opened.read(limit)


def blob_id(content: bytes) -> BlobId:
    """The id that Git gives to `content`."""
    return BlobId(hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest())
