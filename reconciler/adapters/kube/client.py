"""One cluster's API server: requests and watches, performed as they are asked for.

Law of the module: one `Request` gives one `Answer`, one `OpenWatch` any number of `WatchLines` and then exactly one `WatchClosed`.
Nothing is tried twice (but that aiohttp sends an idempotent request again where a kept connection turns out to be dead, as RFC 9110
§9.2.2 allows), no redirect is followed (it would carry credentials elsewhere), no cookie kept. Whatever the server does, memory is
bounded: by `BODY_LIMIT` a request in flight, by `LINE_LIMIT` a watch. Why no answer came is said in words for people.

Connections and credentials are those of `kubernetes.aio`. What is sent goes over its aiohttp session directly: its own `request`
encodes bodies anew, changes content types, follows redirects and ends watches after five minutes.

Bytes in, bytes out: what stands in a body is the engine's business.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from reconciler.adapters.kube.auth import Connection
from reconciler.adapters.kube.credentials import CredentialsError
from reconciler.core.messages import Answer, OpenWatch, Request, WatchClosed, WatchLines
from reconciler.lib.scrub import scrub

T = TypeVar("T")

BODY_LIMIT: Final = 128 * 1024 * 1024  # bytes, unpacked; 500 objects of 3.7 KB are 2 MB, one object is at most 1.5 MB (etcd)
LINE_LIMIT: Final = 8 * 1024 * 1024  # bytes of one watch event, which holds one object
REFUSAL_LIMIT: Final = 64 * 1024  # bytes read of a refused watch's body
MESSAGE_LIMIT: Final = 500  # characters
CONNECT_SECONDS: Final = 10.0
IN_FLIGHT_LIMIT: Final = 32  # requests at once; the engine has a lower one
READ_SIZE: Final = 256 * 1024  # bytes the loop takes from a socket ahead of us


class _TooLarge(Exception):
    """The other side sent more than we keep."""


class KubeClient:
    """The API server behind `connection`. Made in a running event loop; `close` it there."""

    def __init__(self, connection: Connection, in_flight_limit: int = IN_FLIGHT_LIMIT) -> None:
        self._connection = connection
        self._in_flight = asyncio.Semaphore(in_flight_limit)
        self._watches: dict[int, _Watch] = {}
        rest = connection.api.rest_client
        assert rest.pool_manager is None, "one client a connection"
        rest.configuration.client_session_kwargs = {
            "cookie_jar": aiohttp.DummyCookieJar(),
            "headers": {"User-Agent": f"reconciler/{_version()}", "Accept-Encoding": "gzip"},
            "read_bufsize": READ_SIZE,
            "max_line_size": 64 * 1024,
            "max_field_size": 64 * 1024,
            "trust_env": False,  # a proxy or a ~/.netrc that only happens to be there gets no credentials
        }
        # The package's place for making the session; it would itself come here with its first request.
        self._session: aiohttp.ClientSession = rest._create_pool_manager()
        rest.pool_manager = self._session  # which `close` of the package closes

    async def close(self) -> None:
        """Hang up. Watches end; what is in flight fails."""
        for watch in self._watches.values():
            watch.stop()
        await self._connection.api.close()

    async def perform(self, request: Request) -> Answer:
        """Send `request` and wait for the whole answer, at most its timeout: of a read from when its turn came, of a write from now."""
        before, within = (None, request.timeout_seconds) if request.method == "GET" else (request.timeout_seconds, None)
        try:
            async with asyncio.timeout(before), self._in_flight, asyncio.timeout(within):
                return await self._perform(request)
        except Exception as error:  # a failure is an answer like any other
            return Answer(request.id, 0, error=_said(error, f"no answer within {request.timeout_seconds:.3g} s"))

    async def _perform(self, request: Request) -> Answer:
        headers = {"Accept": request.accept}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        async with await self._send(request.method, request.path, request.query, headers, request.body) as response:
            body = await _read(response, BODY_LIMIT)
            wait = _seconds(response.headers.get("Retry-After", ""))
            return Answer(request.id, response.status, body, retry_after_seconds=wait)

    def watch(self, opened: OpenWatch) -> AsyncIterator[WatchLines | WatchClosed]:
        """Follow a watch to its end. From this call on `close_watch` knows it."""
        assert opened.id not in self._watches, opened.id
        self._watches[opened.id] = watch = _Watch(opened.idle_timeout_seconds)
        return self._follow(opened, watch)

    def close_watch(self, id: int) -> None:
        """Let watch `id` end; its `WatchClosed` comes from its iterator. One that has ended already is no mistake."""
        if watch := self._watches.get(id):
            watch.stop()

    async def _follow(self, opened: OpenWatch, watch: _Watch) -> AsyncIterator[WatchLines | WatchClosed]:
        status, error = 0, ""
        response: aiohttp.ClientResponse | None = None
        try:
            sent = self._send("GET", opened.path, opened.query, {"Accept": "application/json"}, b"")
            response = await watch.wait(sent)
            status = response.status
            if status != 200:
                error = _refusal(await watch.wait(_read(response, REFUSAL_LIMIT)), response.reason)
            else:
                lines = _Lines()
                while chunk := await watch.wait(response.content.readany()):
                    if whole := lines.feed(chunk):
                        yield WatchLines(opened.id, whole)
        except _Stopped:
            pass
        except Exception as failure:
            error = _said(failure, f"nothing was heard for {opened.idle_timeout_seconds:g} s")
        finally:
            del self._watches[opened.id]
            if response is not None:
                response.close()
        yield WatchClosed(opened.id, status, error)

    async def _send(
        self, method: str, path: str, query: tuple[tuple[str, str], ...], headers: dict[str, str], body: bytes
    ) -> aiohttp.ClientResponse:
        assert path.startswith("/"), path
        link = self._connection
        link.tls.refresh()
        configuration = link.api.configuration
        header = (await configuration.get_api_key_with_prefix("BearerToken") or "").strip()  # a token from a file ends its line
        if header:
            headers["Authorization"] = header
        url = configuration.host + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        response = await self._session.request(
            method,
            URL(url, encoded=True),
            headers=headers,
            data=body or None,
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
            proxy=configuration.proxy,
            server_hostname=configuration.tls_server_name,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )
        if response.status == 401 and link.credentials is not None:
            link.credentials.refused(header)
        return response


class _Stopped(Exception):
    """We were asked to stop waiting."""


class _Watch:
    """The waiting of one watch: each wait ends with silence for too long, or when the watch is stopped."""

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._stopped = False
        self._scope: asyncio.Timeout | None = None

    def stop(self) -> None:
        """End the wait that is going on, and every later one."""
        self._stopped = True
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def wait(self, what: Coroutine[Any, Any, T]) -> T:
        """What `what` gives. Raises _Stopped, TimeoutError, and whatever it raises.

        The time limit is around each wait and never around a `yield`: it would cancel whatever our caller does meanwhile.
        """
        if self._stopped:
            what.close()
            raise _Stopped
        try:
            async with asyncio.timeout(self._idle_seconds) as self._scope:
                return await what
        except TimeoutError:
            if self._stopped:
                raise _Stopped from None
            raise
        finally:
            self._scope = None


class _Lines:
    """Cuts a stream into lines. Raises `_TooLarge` where one does not end."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []  # of the line that has not ended yet
        self._size = 0

    def feed(self, chunk: bytes) -> tuple[bytes, ...]:
        """The lines that end in `chunk`."""
        first, *rest = chunk.split(b"\n")
        self._keep(first)
        if not rest:
            return ()
        lines = [b"".join(self._begun), *rest[:-1]]
        self._begun, self._size = [], 0
        self._keep(rest[-1])
        return tuple(line for line in lines if line)

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > LINE_LIMIT:
            raise _TooLarge(f"an event of more than {LINE_LIMIT} bytes")
        self._begun.append(part)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body, unpacked."""
    chunks, size = [], 0
    while chunk := await response.content.readany():
        size += len(chunk)
        if size > limit:
            response.close()
            raise _TooLarge(f"an answer of more than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _refusal(body: bytes, reason: str | None) -> str:
    """Why a watch was refused: the message of the Status object, else the reason phrase."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = None
    return scrub(message if isinstance(message, str) and message else reason or "refused")[:MESSAGE_LIMIT]


def _said(error: Exception, too_late: str) -> str:
    """Why no answer came, for people, without credentials; `too_late` where a time limit of ours ended the wait."""
    match error:
        case CredentialsError() | _TooLarge():
            text = str(error)
        case aiohttp.ClientConnectorCertificateError():
            why = error.certificate_error
            text = f"the server's certificate is not trusted: {getattr(why, 'verify_message', '') or why}"
        case aiohttp.ClientConnectorError():
            text = f"cannot connect to {error.host}:{error.port}: {_os_reason(error.os_error)}"
        case aiohttp.ServerTimeoutError():  # a TimeoutError too
            text = f"no connection within {CONNECT_SECONDS:g} s"
        case TimeoutError():
            text = too_late
        case aiohttp.ServerDisconnectedError():
            text = "the server hung up before it answered"
        case aiohttp.ClientResponseError():
            text = f"the server does not speak HTTP as we know it: {error.message}"
        case aiohttp.ClientPayloadError() | aiohttp.ClientOSError():
            text = "the connection broke off in the middle of the answer"
        case _:
            text = f"{type(error).__name__}: {error}"
    return scrub(text)[:MESSAGE_LIMIT]


def _os_reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    if isinstance(error, socket.gaierror) or not error.errno:
        return (error.strerror or str(error)).lower()
    return os.strerror(error.errno).lower()  # asyncio puts a text of its own into `strerror`


def _seconds(text: str) -> float | None:
    """Retry-After in its seconds form (RFC 9110 §10.2.3), the only one that API servers use."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _version() -> str:
    try:
        return importlib.metadata.version("reconciler")
    except importlib.metadata.PackageNotFoundError:  # run from a tree that was not installed
        return "unreleased"
