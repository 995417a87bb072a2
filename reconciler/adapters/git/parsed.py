"""Parsed files on disk: what the parser made of each blob, so that a start parses only what is new.

Law of the module: a cache is worth nothing but time. It stands beside the clone, in the same private directory, under the same lock. It is
a row of segments, each with a keyed digest: the key names the parser (its code, the schemas), so what another version made, what
was torn by a crash and what a disk has damaged do not fit, and from there on nothing is read; it is made anew. No failure here is
told: what is not kept is parsed again. Entries are found by path and blob id, because the form of a file and what is said of it
depend on its path.

At most `SIZE_LIMIT_BYTES` are kept. What is not in the commit that a start reads is dropped when it is more than half.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from reconciler.core.identity import BlobId
from reconciler.core.manifest import ManifestFile

SIZE_LIMIT_BYTES = 1 << 30
SEGMENT_FILES = 1_000
_MAGIC = b"parsed1\n"
_DIGEST_BYTES = 32
_HEAD_BYTES = len(_MAGIC) + 8 + _DIGEST_BYTES  # magic, length of what follows, its digest

Key = tuple[str, BlobId]  # path, blob


class _Entry(msgspec.Struct, array_like=True, gc=False):
    """One file. Its manifests are kept without what they all share: path, blob and text are put back when it is read."""

    text: bytes
    file: ManifestFile


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Entry]).decode
_replace, _set = msgspec.structs.replace, msgspec.structs.force_setattr


class Parsed:
    """The file at `path`, for one version of the parser. Nothing is read or written before it is asked for."""

    def __init__(self, path: Path, parser: str) -> None:
        self._path = path
        self._key = hashlib.sha256(parser.encode()).digest()
        self._waiting: list[ManifestFile] = []
        self._sound = False  # whether what stands in the file can be read to its end
        self._count = 0  # files in it

    def read(self) -> dict[Key, ManifestFile]:
        """All that is kept, as far as it can be trusted."""
        found: dict[Key, ManifestFile] = {}
        self._sound, self._count = True, 0
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size > SIZE_LIMIT_BYTES:
                    self._sound = False
                elif os.fstat(file.fileno()).st_size:
                    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                        self._sound = self._segments(content, found)
        except FileNotFoundError:
            pass
        except OSError:
            self._sound = False
        return found

    def _segments(self, content: mmap.mmap, found: dict[Key, ManifestFile]) -> bool:
        """Take in one segment after the other; whether all of them fit."""
        at = 0
        while at < len(content):
            head = content[at : at + _HEAD_BYTES]
            length = int.from_bytes(head[len(_MAGIC) : len(_MAGIC) + 8], "big")
            body = content[at + _HEAD_BYTES : at + _HEAD_BYTES + length]
            if not head.startswith(_MAGIC) or len(body) != length or self._digest(body) != head[-_DIGEST_BYTES:]:
                return False
            try:
                entries = _decode(body)
            except msgspec.DecodeError:
                return False
            for entry in entries:
                file, text = entry.file, entry.text
                for manifest in file.manifests:
                    _set(manifest, "path", file.path)
                    _set(manifest, "blob", file.blob)
                    _set(manifest, "text", text)
                found[file.path, file.blob] = file
            self._count += len(entries)
            at += _HEAD_BYTES + length
        return True

    def keep(self, file: ManifestFile) -> None:
        """Keep what was just parsed, with others; `flush` when there are no more."""
        self._waiting.append(file)
        if len(self._waiting) >= SEGMENT_FILES:
            self.flush()

    def flush(self) -> None:
        """Write down what waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._write(waiting, anew=not self._sound)

    def tidy(self, used: list[ManifestFile]) -> None:
        """`used` is all that a start needs: keep just that where most is something else, or where some of it was lost."""
        self.flush()
        if not len(used) <= self._count <= 2 * len(used):
            self._write(used, anew=True)

    def _write(self, files: list[ManifestFile], *, anew: bool) -> None:
        aside = self._path.with_suffix(".parsed-new")
        path = aside if anew else self._path
        try:
            if anew:
                aside.unlink(missing_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "ab") as out:
                for segment in self._written(files):
                    if out.tell() + len(segment) > SIZE_LIMIT_BYTES:
                        break
                    out.write(segment)
            if anew:
                aside.replace(self._path)
                self._sound, self._count = True, 0
            self._count += len(files)
        except OSError:
            self._sound = False

    def _written(self, files: list[ManifestFile]) -> Iterator[bytes]:
        for start in range(0, len(files), SEGMENT_FILES):
            body = _encode(list(_entries(files[start : start + SEGMENT_FILES])))
            yield _MAGIC + len(body).to_bytes(8, "big") + self._digest(body) + body

    def _digest(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._key, digest_size=_DIGEST_BYTES).digest()


def _entries(files: Iterable[ManifestFile]) -> Iterator[_Entry]:
    for file in files:
        bare = tuple(_replace(manifest, path="", blob=BlobId(""), text=b"") for manifest in file.manifests)
        yield _Entry(file.manifests[0].text if file.manifests else b"", _replace(file, manifests=bare))
