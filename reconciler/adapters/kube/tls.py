"""The TLS side of one cluster: whom we trust, and as whom we show ourselves.

Law of the module: certificates that stand in files are read again when the files change, so that rotation needs no restart. A key
that we were given as data touches the disk only for the moment in which OpenSSL reads it, in a folder that only we may open. An
encrypted key is refused; nobody is asked for its password.

The context is made by `kubernetes.aio`, once. It would read the client's certificate too, but keeps a given key on disk until the
process ends, asks the terminal for a password, and never reads again.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

FileMark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Pem:
    """PEM text: in a file, or given."""

    file: Path | None = None
    data: bytes = field(default=b"", repr=False)

    def text(self) -> str:
        """The text as it is now. Raises OSError, ValueError."""
        return (self.data if self.file is None else self.file.read_bytes()).decode("ascii")


def mark(path: Path) -> FileMark | None:
    """What tells one content of a file from another; follows links, as mounted Secrets are swapped. None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


class Tls:
    """Keeps an SSL context in step with its files."""

    def __init__(
        self, context: ssl.SSLContext, authority: Pem | None = None, certificate: Pem | None = None, key: Pem | None = None
    ) -> None:
        """`context` trusts `authority` already.

        Raises:
            OSError, ValueError: a file cannot be read, or OpenSSL does not like what stands in it.
        """
        self._context = context
        self._authority, self._certificate, self._key = authority, certificate, key
        files = (pem.file for pem in (authority, certificate, key) if pem is not None and pem.file is not None)
        self._marks = {file: mark(file) for file in files}
        if certificate and key:
            self.show(certificate, key)

    def refresh(self) -> None:
        """Read again what has changed on disk; new connections use it. What is half written or gone is left for next time."""
        changed = {file: now for file, before in self._marks.items() if (now := mark(file)) not in (None, before)}
        if not changed:
            return
        try:
            if self._authority and self._authority.file in changed:
                self._context.load_verify_locations(cadata=self._authority.text())
            if self._certificate and self._key:
                self.show(self._certificate, self._key)
        except (OSError, ValueError):
            return  # a certificate and its key are two files: between the two writes they do not match
        self._marks.update(changed)

    def show(self, certificate: Pem, key: Pem) -> None:
        """From now on be who `certificate` says. Raises OSError, ValueError."""
        with ExitStack() as until_read:
            folder = Path(until_read.enter_context(tempfile.TemporaryDirectory(prefix="reconciler-")))  # mode 0700
            self._context.load_cert_chain(_as_file(certificate, folder / "crt"), _as_file(key, folder / "key"), password="")


def _as_file(pem: Pem, path: Path) -> Path:
    if pem.file is not None:
        return pem.file
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem.data)
    return path
