"""The cache: one private bare clone a process, on disk.

Law of the module: a cache is worth nothing but time. One that is broken or half made is not repaired: it is removed, and the
next fetch makes it anew. Its directory is ours alone (0700) and locked while it is open, so what lies about in it (a pack half
received, a lock file) is left over from a process that was killed, and goes.

Two processes with one cache directory do not share a clone: the second takes the next slot. A slot is free again when its process
ends, however it ends, because the kernel drops the lock.

Sources: flock(2); CVE-2022-24765 (a repository that belongs to another user brings its own configuration).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
from pathlib import Path

import pygit2

from reconciler.core.identity import SourceName

from .reading import Damaged
from .transport import GitTrouble

SLOTS_LIMIT = 8  # processes with one source and one cache directory
PACKS_LIMIT = 200  # every fetch leaves one; then they are made one
_PACK = re.compile(r"(?:multi-)?pack-[0-9a-f]+\.(?:pack|idx)")


class Cache:
    """The clone of one source. Opened on first use; `close` gives it up."""

    def __init__(self, name: SourceName, directory: Path) -> None:
        self._name = name
        self._directory = directory
        self._lock = -1
        self._path: Path | None = None
        self._repository: pygit2.Repository | None = None

    def open(self) -> pygit2.Repository:
        """The repository, made if need be.

        Raises:
            GitTrouble: the directory is not ours alone, or cannot be written.
        """
        if self._repository is None:
            try:
                self._repository = self._opened(self.slot())
            except OSError as error:
                raise GitTrouble(f"the cache in {self._directory} cannot be used: {error.strerror}") from error
        return self._repository

    def slot(self) -> Path:
        """Where the clone is or would be, ours until `close`: what else is worth keeping stands beside it.

        Raises:
            GitTrouble: the directory is not ours alone.
            OSError: it cannot be written.
        """
        self._path = self._path or self._take_slot()
        return self._path

    def forget(self) -> None:
        """Let go of what is open: the next `open` looks again whether it is sound."""
        self._repository = None

    def remove(self) -> None:
        """Throw the clone away; the next `open` begins anew."""
        self._repository = None
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)

    def close(self) -> None:
        """Let others have the slot. What is cached stays."""
        self._repository = None
        self._path = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def tidy(self) -> None:
        """Make many packs two, the largest and all others: libgit2 never does, and every look for an object asks each."""
        assert self._path is not None and self._repository is not None
        packs = self._path / "objects" / "pack"
        old = sorted(packs.glob("pack-*.pack"))
        if len(old) <= PACKS_LIMIT:
            return
        largest = max(old, key=lambda pack: pack.stat().st_size)
        old.remove(largest)

        def add(builder: pygit2.PackBuilder) -> None:
            for pack in old:
                for oid in _objects(pack.with_suffix(".idx")):
                    builder.add(oid)

        self._repository.pack(pack_delegate=add)
        new = [pack for pack in packs.glob("pack-*.pack") if pack not in (*old, largest)]
        if not new:
            return  # the same objects as one of the old ones; its name says so
        self._repository.free()
        self._repository = None
        for pack in old:
            # The index goes first: a pack without one is never looked into, so a kill in between is harmless.
            pack.with_suffix(".idx").unlink(missing_ok=True)
            pack.unlink(missing_ok=True)

    def _take_slot(self) -> Path:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _private(self._directory)
        readable = re.sub(r"[^a-z0-9-]", "-", self._name.lower())[:40]
        stem = f"{readable}-{hashlib.sha256(self._name.encode()).hexdigest()[:8]}"
        for slot in range(SLOTS_LIMIT):
            lock = os.open(self._directory / f"{stem}.{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            self._lock = lock
            return self._directory / f"{stem}.{slot}.git"
        raise GitTrouble(f"{SLOTS_LIMIT} processes use the cache in {self._directory} already", permanent=True)

    @staticmethod
    def _opened(path: Path) -> pygit2.Repository:
        if path.is_symlink():
            raise GitTrouble(f"{path} is a symbolic link; the cache must be a directory", permanent=True)
        if path.exists():
            _private(path)
            _sweep(path)
            try:
                repository = pygit2.Repository(str(path), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
                if repository.is_bare and not _broken(repository):
                    _configure(repository)
                    return repository
            except (pygit2.GitError, KeyError, ValueError):
                pass
            shutil.rmtree(path)
        path.mkdir(mode=0o700)
        repository = pygit2.init_repository(str(path), bare=True)
        _configure(repository)
        return repository


def _objects(index: Path) -> list[pygit2.Oid]:
    """The ids of the objects in a pack, from its index (gitformat-pack(5), version 2: magic, 256 counts, then the ids)."""
    content = index.read_bytes()
    if content[:8] != b"\xfftOc\0\0\0\x02":
        raise Damaged(f"{index.name} is no index of a pack")
    start, count = 8 + 256 * 4, int.from_bytes(content[8 + 255 * 4 : 8 + 256 * 4], "big")
    return [pygit2.Oid(raw=content[at : at + 20]) for at in range(start, start + 20 * count, 20)]


def _configure(repository: pygit2.Repository) -> None:
    """Settings without which the clone must not speak to a server."""
    repository.config["http.followRedirects"] = "false"


def _broken(repository: pygit2.Repository) -> bool:
    """Whether a ref names something that is not here: then no fetch could say what it has."""
    return any(repository.get(repository.references[name].target) is None for name in repository.references)


def _private(path: Path) -> None:
    """See that a directory is ours and closed to others."""
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise GitTrouble(f"{path} is no directory", permanent=True)
    if about.st_uid != os.geteuid():
        raise GitTrouble(f"{path} belongs to another user; the cache must be our own", permanent=True)
    if stat.S_IMODE(about.st_mode) & 0o077:
        path.chmod(0o700)


def _sweep(path: Path) -> None:
    """Remove what a killed process left: half packs and lock files. The slot is locked, so nobody else is at work."""
    packs = path / "objects" / "pack"
    if packs.is_dir():
        for file in packs.iterdir():
            whole = file.with_suffix(".pack").exists() and file.with_suffix(".idx").exists()
            if not _PACK.fullmatch(file.name) or not whole:
                file.unlink(missing_ok=True)
    for lock in [*path.glob("*.lock"), *path.glob("refs/**/*.lock")]:
        lock.unlink()
