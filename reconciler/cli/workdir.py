"""The daemon's own directory: its identity, and its clones.

Law of the module: one directory belongs to one living process. It is private (0700), named after what the daemon reads and where it
keeps its records, and held by an exclusive flock for the life of the process, which the kernel drops however the process ends. So a
daemon that is started again gets its former directory, with the identity in it, and takes its own Lease over at once; a second one
beside it gets the next directory and another identity, and stands by. Commands that only read take directories of their own, so that
a daemon that is started meanwhile finds its own free.

Nothing in it is needed: thrown away, it costs a clone and at most one term of the Lease. Source: flock(2), XDG Base Directory 0.8.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from reconciler.config import Config
from reconciler.errors import ConfigError

SLOTS_LIMIT = 8  # living processes with the same sources and home


class WorkDir:
    """One directory, taken. Use it as a context; `path` is for caches, `identity` for the Lease."""

    def __init__(self, config: Config, cache: Path | None = None, *, reads_only: bool = False) -> None:
        """Take a directory below `cache` (default: the user's cache directory).

        Raises:
            ConfigError: none can be made, it is not ours alone, or all are taken.
        """
        self._lock = -1
        top = cache or default_cache()
        try:
            self.path = self._take(top, _digest(config) + ("-reader" if reads_only else ""))
            self.identity = config.identity or self._identity()
        except OSError as error:
            raise ConfigError(f"the cache in {top} cannot be used: {error.strerror}; name another one with --cache") from None

    def __enter__(self) -> WorkDir:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let others have it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take(self, top: Path, digest: str) -> Path:
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check(top)
        for slot in range(1, SLOTS_LIMIT + 1):
            path = top / (digest if slot == 1 else f"{digest}-{slot}")
            path.mkdir(mode=0o700, exist_ok=True)
            _check(path)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            self._lock = lock
            return path
        raise ConfigError(f"{SLOTS_LIMIT} processes with this configuration use the cache in {top} already")

    def _identity(self) -> str:
        """The one drawn earlier, or a new one. The file is written aside first: half an identity would be another daemon's."""
        file = self.path / "identity"
        if file.is_file() and not file.is_symlink():
            held = file.read_text(encoding="ascii", errors="replace").strip()
            if held.isascii() and held.isalnum() and len(held) == 32:
                return f"reconciler-{held}"
        drawn = secrets.token_hex(16)
        aside = self.path / "identity.new"
        aside.unlink(missing_ok=True)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as opened:
            opened.write(drawn + "\n")
            opened.flush()
            os.fsync(handle)
        aside.replace(file)
        return f"reconciler-{drawn}"


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's cache directory for this program."""
    told = environment.get("XDG_CACHE_HOME", "")
    return (Path(told) if told.startswith("/") else Path(environment.get("HOME") or Path.home()) / ".cache") / "reconciler"


def _digest(config: Config) -> str:
    """What tells one daemon's directory from another's: what it reads, and where it keeps its records."""
    home = next(cluster for cluster in config.clusters if cluster.settings.name == config.home)
    parts = [f"{s.settings.name} {s.settings.url} {s.settings.path}" for s in config.sources] + [f"{config.home} {home.login!r}"]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _check(path: Path) -> None:
    """See that a directory is ours, and closed to others."""
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise ConfigError(f"{path} must be a directory (no link to one); name another one with --cache")
    if about.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to another user; name another one with --cache")
    if stat.S_IMODE(about.st_mode) & 0o022:
        path.chmod(0o700)
