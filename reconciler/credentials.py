"""Credentials of repositories: named in the configuration, never written there.

Law of the module: a file or an environment variable holds them, and is read only when a source is opened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .adapters.git import Basic, Bearer, Credentials
from .core.identity import Place
from .errors import ConfigError

SECRET_LIMIT = 64 << 10  # bytes of a token or password


@dataclass(frozen=True, slots=True)
class CredentialsAt:
    """Where credentials are. With a `username` a password is there, without one a token."""

    file: Path | None
    variable: str
    username: str
    place: Place | None

    def read(self) -> Credentials:
        """The credentials as they are now (they may be renewed while we run).

        Raises:
            ConfigError: nothing is there.
        """
        secret = self._secret().strip("\r\n")
        if not secret:
            raise ConfigError(f"{self._at}{self.file or self.variable} is empty")
        return Basic(self.username, secret) if self.username else Bearer(secret)

    def _secret(self) -> str:
        if self.file is None:
            if self.variable not in os.environ:
                raise ConfigError(f"{self._at}the environment variable {self.variable} is not set")
            return os.environ[self.variable]
        try:
            with self.file.open("rb") as opened:
                return opened.read(SECRET_LIMIT).decode()
        except OSError as error:
            raise ConfigError(f"{self._at}{self.file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{self._at}{self.file} holds no text") from None

    @property
    def _at(self) -> str:
        return f"{self.place}: " if self.place else ""
