"""Parsed files on disk: what the parser made of each blob, so that a start parses only what is new.

Law of the module: a cache is worth nothing but time. It stands beside the clone, in the same private directory, under the same lock. It is
a row of segments, each with a keyed digest: the key names the parser (its code, the schemas), so what another version made, what
was torn by a crash and what a disk has damaged do not fit, and from there on nothing is read; it is made anew. No failure here is
told: what is not kept is parsed again. Entries are found by path and blob id, because the form of a file and what is said of it
depend on its path.

Where a mark stands, all before it is what one tree holds, and the mark says which. A start then does not go through a hundred thousand
files that it knows: it looks at what differs between that tree and the one that it was asked for.

At most `SIZE_LIMIT_BYTES` are kept. What is not in the commit that a start reads is dropped when it is more than half.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Container, Iterator
from pathlib import Path

import msgspec

from reconciler.core.identity import BlobId
from reconciler.core.manifest import ManifestFile
from reconciler.core.messages import FileChange

SIZE_LIMIT_BYTES = 1 << 30
SEGMENT_FILES = 1_000
_MAGIC = b"parsed2\n"
_DIGEST_BYTES = 32
_HEAD_BYTES = len(_MAGIC) + 8 + _DIGEST_BYTES  # magic, length of what follows, its digest

Key = tuple[str, BlobId]  # path, blob


class _Entry(msgspec.Struct, array_like=True, gc=False):
    """One file. Its manifests are kept without what they all share: path, blob and text are put back when it is read."""

    text: bytes
    file: ManifestFile
    parsed: bool  # not where what stands at its path is nothing to parse, a link for example, and that is all that is told of it


class _Segment(msgspec.Struct, array_like=True, gc=False):
    """Files, and then, perhaps, the mark: all up to here is this tree."""

    entries: list[_Entry]
    tree: str = ""


class Kept:
    """What is kept: the files of `tree` ("" where none is whole) in its order, and others, by path and blob."""

    def __init__(self) -> None:
        self.tree = ""
        self.files: list[FileChange] = []
        self.unparsed: dict[str, None] = {}  # paths of the tree at which nothing was parsed
        self.others: dict[Key, ManifestFile] = {}

    def take(self, segment: _Segment) -> None:
        """Take in what was written down next."""
        changes = _whole(segment.entries)
        unparsed = [entry.file.path for entry in segment.entries if not entry.parsed]
        if not self.tree:
            self.files += changes
            self.unparsed.update(dict.fromkeys(unparsed))
            self.tree = segment.tree
        elif changes:
            self.others.update(_by_key(changes, dict.fromkeys(unparsed)))

    def all_parsed(self) -> dict[Key, ManifestFile]:
        """Each file that was parsed, by path and blob: what stood there unparsed may have been something else with the same content."""
        return _by_key(self.files, self.unparsed) | self.others


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Segment).decode
_replace, _set = msgspec.structs.replace, msgspec.structs.force_setattr


class Parsed:
    """The file at `path`, for one version of the parser. Nothing is read or written before it is asked for."""

    def __init__(self, path: Path, parser: str) -> None:
        self._path = path
        self._key = hashlib.sha256(parser.encode()).digest()
        self._waiting: list[tuple[ManifestFile, bool]] = []
        self._sound = False  # whether what stands in the file can be read to its end
        self._count = 0  # files in it

    def read(self) -> Kept:
        """All that is kept, as far as it can be trusted."""
        kept = Kept()
        self._sound, self._count = True, 0
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size > SIZE_LIMIT_BYTES:
                    self._sound = False
                elif os.fstat(file.fileno()).st_size:
                    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
                        self._sound = self._segments(view, kept)
        except FileNotFoundError:
            pass
        except OSError:
            self._sound = False
        return kept

    def _segments(self, content: memoryview, kept: Kept) -> bool:
        """Take in one segment after the other; whether all of them fit."""
        at = 0
        while at < len(content):
            head = bytes(content[at : at + _HEAD_BYTES])
            length = int.from_bytes(head[len(_MAGIC) : len(_MAGIC) + 8], "big")
            with content[at + _HEAD_BYTES : at + _HEAD_BYTES + length] as body:
                if not head.startswith(_MAGIC) or len(body) != length or self._digest(body) != head[-_DIGEST_BYTES:]:
                    return False
                try:
                    segment = _decode(body)
                except msgspec.DecodeError:
                    return False
            kept.take(segment)
            self._count += len(segment.entries)
            at += _HEAD_BYTES + length
        return True

    def keep(self, file: ManifestFile, parsed: bool) -> None:
        """Keep what was just read, with others; `flush` when there are no more."""
        self._waiting.append((file, parsed))
        if len(self._waiting) >= SEGMENT_FILES:
            self.flush()

    def flush(self) -> None:
        """Write down what waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._write(waiting, anew=not self._sound)

    def tidy(self, tree: str, files: list[FileChange], unparsed: Container[str], *, marked: bool) -> None:
        """`files` is what a tree holds: keep just that where most is something else, or some was lost, or no tree was `marked`."""
        self.flush()
        if marked and self._sound and len(files) <= self._count <= 2 * len(files):
            return
        used = [(file, path not in unparsed) for path, _, file in files if file is not None]
        # Where no more is kept than was needed, it is just that: what was needed was there already, or has been added.
        complete = not marked and self._sound and self._count == len(used)
        self._write([] if complete else used, anew=not complete, tree=tree)

    def _write(self, files: list[tuple[ManifestFile, bool]], *, anew: bool, tree: str = "") -> None:
        aside = self._path.with_suffix(".parsed-new")
        path = aside if anew else self._path
        try:
            if anew:
                aside.unlink(missing_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "ab") as out:
                written = 0
                for segment in _segments(files, tree):
                    sealed = self._sealed(segment)
                    if out.tell() + len(sealed) > SIZE_LIMIT_BYTES:
                        break
                    out.write(sealed)
                    written += len(segment.entries)
            if anew:
                aside.replace(self._path)
                self._sound, self._count = True, 0
            self._count += written
        except OSError:
            self._sound = False

    def _sealed(self, segment: _Segment) -> bytes:
        body = _encode(segment)
        return _MAGIC + len(body).to_bytes(8, "big") + self._digest(body) + body

    def _digest(self, body: bytes | memoryview) -> bytes:
        return hashlib.blake2b(body, key=self._key, digest_size=_DIGEST_BYTES).digest()


def laid_over(files: list[FileChange], changes: list[FileChange]) -> list[FileChange]:
    """All files of a tree, as those of another one and what differs between them."""
    if not changes:
        return files
    new = {change.path: change for change in changes}
    over = [new.pop(change.path, change) for change in files]
    return [change for change in (*over, *new.values()) if change.file is not None]


def _segments(files: list[tuple[ManifestFile, bool]], tree: str) -> Iterator[_Segment]:
    for start in range(0, len(files), SEGMENT_FILES):
        yield _Segment([_entry(file, parsed) for file, parsed in files[start : start + SEGMENT_FILES]])
    if tree:
        yield _Segment([], tree)


def _entry(file: ManifestFile, parsed: bool) -> _Entry:
    bare = tuple(_replace(manifest, path="", blob=BlobId(""), text=b"") for manifest in file.manifests)
    return _Entry(file.manifests[0].text if file.manifests else b"", _replace(file, manifests=bare), parsed)


def _by_key(changes: list[FileChange], but: Container[str]) -> dict[Key, ManifestFile]:
    return {(path, file.blob): file for path, _, file in changes if file is not None and path not in but}


def _whole(entries: list[_Entry]) -> list[FileChange]:
    """Files with what their manifests share put back, as a start is told of them."""
    changes = []
    for entry in entries:
        file, text = entry.file, entry.text
        path, blob = file.path, file.blob
        for manifest in file.manifests:
            _set(manifest, "path", path)
            _set(manifest, "blob", blob)
            _set(manifest, "text", text)
        changes.append(FileChange(path, blob, file))
    return changes
