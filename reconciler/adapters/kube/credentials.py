"""The header that says who we are, kept fresh where it changes.

Law of the module: before each request the client asks for the header; what is fresh costs nothing. A token file is read again when
it changes. A plug-in runs when its credential is past four fifths of its life or was refused, once for all who wait, within a time
and an output limit. What cannot be had is a `CredentialsError`: no request goes out without.

`kubernetes.aio` asks us through its `refresh_api_key_hook`. Its own way to run a plug-in cannot be used: it has no limit and no
way to end the program, lends it our terminal, waits for ever for one that says much on stderr, gives only a log line where it
fails (the request then goes out anonymous), and runs anew for each who waits; a token file it reads once.

Plug-in protocol: kubernetes.io/docs/reference/access-authn-authz/authentication, "client-go credential plugins".
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from reconciler.adapters.clock import Clock
from reconciler.adapters.kube.tls import FileMark, Pem, Tls, mark
from reconciler.lib.scrub import scrub

PLUGIN_LIMIT_SECONDS = 60.0
PLUGIN_OUTPUT_LIMIT = 1024 * 1024  # bytes
TOKEN_LIMIT = 64 * 1024  # bytes
LIFE_USED = 0.8  # of a credential's life, before the next is fetched


class CredentialsError(Exception):
    """There are no credentials now; says why, without showing any."""


class TokenFile:
    """A token that somebody else keeps fresh in a file, as the kubelet does for a pod."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: FileMark | None = None
        self._header = ""

    async def authorization(self) -> str:
        """The token as it stands in the file."""
        now = mark(self._path)
        if now is None or now != self._mark:
            self._header, self._mark = f"Bearer {self._read()}", now
        return self._header

    def refused(self, header: str) -> None:
        """Read the file again, even where it looks unchanged."""
        if header == self._header:
            self._mark = None

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                token = file.read(TOKEN_LIMIT).decode("ascii").strip()
        except (OSError, ValueError) as error:
            raise CredentialsError(f"token file {self._path}: {getattr(error, 'strerror', 'not text')}") from None
        if not token or not token.isprintable():
            raise CredentialsError(f"token file {self._path}: " + ("not one line of text" if token else "empty"))
        return token


class ExecPlugin:
    """A program of the operator's that prints an ExecCredential."""

    API_VERSIONS: ClassVar = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")

    def __init__(
        self,
        command: tuple[str, ...],
        api_version: str,
        environment: Mapping[str, str],
        cluster: Mapping[str, Any] | None,
        *,
        tls: Tls,
        limit_seconds: float = PLUGIN_LIMIT_SECONDS,
    ) -> None:
        """`cluster` is what it is told of the cluster, `tls` where a certificate that it gives is shown."""
        self.command = command
        self._api_version = api_version
        self._environment = environment
        self._cluster = cluster
        self._tls = tls
        self._limit_seconds = limit_seconds
        self._clock = Clock()
        self._header: str | None = None
        self._fresh_until: float | None = None  # wall; None: as long as the server takes it
        self._fetching: asyncio.Task[None] | None = None

    async def authorization(self) -> str:
        """The plug-in's token, fresh; "" where it gave a certificate."""
        if self._header is None or (self._fresh_until is not None and self._clock.now().wall >= self._fresh_until):
            if self._fetching is None or self._fetching.done():
                self._fetching = asyncio.create_task(self._fetch())
                self._fetching.add_done_callback(_seen)
            await asyncio.shield(self._fetching)  # one who stops waiting does not stop it for the others
        assert self._header is not None
        return self._header

    def refused(self, header: str) -> None:
        """Run the plug-in again."""
        if header == self._header:
            self._header = None

    async def _fetch(self) -> None:
        started_at = self._clock.now().wall
        status = self._status(await self._run())
        token, certificate, key = (status.get(k) for k in ("token", "clientCertificateData", "clientKeyData"))
        if isinstance(certificate, str) and isinstance(key, str):
            try:
                self._tls.show(Pem(data=certificate.encode()), Pem(data=key.encode()))
            except (OSError, ValueError) as error:
                raise self._error(f"its certificate cannot be used: {error}") from None
        elif not isinstance(token, str) or not token:
            raise self._error("printed neither a token nor a certificate with its key")
        if isinstance(token, str) and not (token.isascii() and token.isprintable()):
            raise self._error("its token holds characters that no token has")
        expires_at = self._instant(status.get("expirationTimestamp"))
        self._fresh_until = None if expires_at is None else started_at + LIFE_USED * (expires_at - started_at)
        self._header = f"Bearer {token}" if token else ""

    async def _run(self) -> bytes:
        asked: dict[str, Any] = {"interactive": False}
        if self._cluster is not None:
            asked["cluster"] = dict(self._cluster)
        question = json.dumps({"apiVersion": self._api_version, "kind": "ExecCredential", "spec": asked})
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                env={**os.environ, **self._environment, "KUBERNETES_EXEC_INFO": question},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # so that what it starts can be ended with it
            )
        except (OSError, ValueError) as error:
            raise self._error(f"cannot be run: {error}") from None
        assert process.stdout is not None and process.stderr is not None
        try:
            async with asyncio.timeout(self._limit_seconds):
                out, err = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
                code = await process.wait()
        except TimeoutError:
            raise self._error(f"did not end within {self._limit_seconds:g} s") from None
        finally:
            with suppress(ProcessLookupError):  # already gone
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if code != 0:
            last_words = scrub(err.decode(errors="replace")).strip()[-300:]
            raise self._error(f"ended with {code}: {last_words}")
        return out

    def _status(self, output: bytes) -> Mapping[str, Any]:
        try:
            answer = json.loads(output)
        except (ValueError, RecursionError):
            raise self._error("did not print JSON") from None
        if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential" or answer.get("apiVersion") != self._api_version:
            raise self._error(f"did not print an ExecCredential of {self._api_version}")
        status = answer.get("status")
        if not isinstance(status, dict):
            raise self._error("printed no status")
        return status

    def _instant(self, text: Any) -> float | None:
        if text is None:
            return None
        try:
            at = dt.datetime.fromisoformat(text)
        except (TypeError, ValueError):
            raise self._error("its expirationTimestamp is not RFC 3339") from None
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp()

    def _error(self, message: str) -> CredentialsError:
        return CredentialsError(f"the credential plug-in {Path(self.command[0]).name} {message}")


def _seen(task: asyncio.Task[None]) -> None:
    """Take note of a failure that nobody may have waited for."""
    if not task.cancelled():
        task.exception()


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, keep the beginning."""
    kept = bytearray()
    while chunk := await stream.read(64 * 1024):
        kept += chunk[: PLUGIN_OUTPUT_LIMIT - len(kept)]
    return bytes(kept)
