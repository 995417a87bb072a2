"""The socket side of an embedded cluster: an aiohttp server on loopback, one clock, streams for watches.

Law of the module: it reads requests, hands them to a `Cluster` with the time, and writes answers; it decides nothing about objects.
The clock is an argument. All calls into the cluster come from one event loop, so it needs no lock. A slow watcher holds nobody
else up: each has its own cursor and reads history when it can.

Where a token is set, a request must bring it, as a bearer token or as the first segment of its path: kubectl sends no credentials
over plain HTTP, but keeps a path that stands in its kubeconfig.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from .bodies import LIMIT_BYTES
from .cluster import Cluster
from .errors import ApiError
from .http import Request, Response, parse_query
from .store import Event, encode
from .watching import Cursor

_GZIP_ABOVE_BYTES = 128 * 1024
_BOOKMARK_SECONDS = 60.0
_TICK_SECONDS_LIMIT = 3_600.0
_LATE_SECONDS = 0.05  # clients that measure must not find a watch shorter than they asked for


class Front:
    """Serves one cluster over HTTP. Use as an asynchronous context manager; `url` is known inside."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float], token: str = "") -> None:
        self.cluster = cluster
        self.url = ""
        self._clock = clock
        self._token = token
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._news = asyncio.Event()

    async def __aenter__(self) -> Front:
        app = web.Application(client_max_size=LIMIT_BYTES)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self.cluster.subscribe(self._on_event)
        self._tasks = [asyncio.create_task(self._tick())]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._news.set()
        if self._runner is not None:
            await self._runner.cleanup()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def kubeconfig(self, name: str = "") -> dict[str, Any]:
        """A kubeconfig for this server; its one context has the cluster's name."""
        return kubeconfig(name or self.cluster.name, self.url, self._token)

    def _on_event(self, _: Event) -> None:
        self._wake.set()
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _tick(self) -> None:
        while True:
            self._wake.clear()
            due = self.cluster.tick(self._clock())
            wait = _TICK_SECONDS_LIMIT if due is None else min(max(due - self._clock(), 0.0), _TICK_SECONDS_LIMIT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)

    async def _serve(self, incoming: web.Request) -> web.StreamResponse:
        for task in self._tasks:
            if task.done():
                task.result()  # controllers that broke must not look like controllers that rest
        path = self._admitted(incoming)
        if path is None:
            return _plain(Response(401, encode(ApiError(401, "Unauthorized", "Unauthorized").status())))
        try:
            body = await incoming.read()
        except web.HTTPRequestEntityTooLarge:
            text = f"Request entity is too large: limit is {LIMIT_BYTES}"
            return _plain(Response(413, encode(ApiError(413, "RequestEntityTooLarge", text).status())))
        headers = incoming.headers
        request = Request(
            incoming.method,
            path,
            parse_query(incoming.rel_url.raw_query_string),
            body,
            headers.get("Content-Type", ""),
            headers.get("Accept", "application/json"),
            headers.get("User-Agent", "unknown"),
        )
        if self.cluster.is_watch(request):
            opened = self.cluster.watch(request, self._clock())
            if isinstance(opened, Cursor):
                return await self._stream(incoming, opened)
            return _plain(opened)
        return _plain(self.cluster.handle(request, self._clock()), "gzip" in headers.get("Accept-Encoding", ""))

    def _admitted(self, incoming: web.Request) -> str | None:
        """The path that is asked for, None where the token is missing."""
        path = incoming.rel_url.raw_path
        if not self._token:
            return path
        first, _, rest = path[1:].partition("/")
        if hmac.compare_digest(first.encode(), self._token.encode()):
            return "/" + rest
        sent = incoming.headers.get("Authorization", "").removeprefix("Bearer ")
        return path if hmac.compare_digest(sent.encode(), self._token.encode()) else None

    async def _stream(self, incoming: web.Request, cursor: Cursor) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": cursor.content_type})
        response.enable_chunked_encoding()
        await response.prepare(incoming)
        told_at, ends_at = self._clock(), cursor.ends_at + _LATE_SECONDS
        with contextlib.suppress(ConnectionResetError):
            while True:
                news, now = self._news, self._clock()
                lines = cursor.take(now) if now - told_at < _BOOKMARK_SECONDS else cursor.bookmark(now)
                if lines:
                    told_at = now
                    await response.write(b"".join(lines))
                if cursor.closed or self._closing or now >= ends_at:
                    break
                wait = min(ends_at - now, told_at + _BOOKMARK_SECONDS - now)
                if now - told_at >= _BOOKMARK_SECONDS:
                    told_at = now
                    wait = min(ends_at - now, _BOOKMARK_SECONDS)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), max(wait, 0.0))
            await response.write_eof()
        cursor.close()
        return response


def _plain(answer: Response, gzip: bool = False) -> web.Response:
    headers = [("Content-Type", answer.content_type), *answer.headers]
    made = web.Response(status=answer.status, body=answer.body, headers=headers)
    if gzip and len(answer.body) > _GZIP_ABOVE_BYTES:
        made.enable_compression(web.ContentCoding.gzip)
    return made


def kubeconfig(name: str, url: str, token: str = "") -> dict[str, Any]:
    """A kubeconfig with one context."""
    server = f"{url}/{token}" if token else url
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {"token": token} if token else {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def kubeconfig_text(*configs: dict[str, Any]) -> str:
    """Several kubeconfigs as the text of one file; the first one's context is current. JSON is YAML."""
    merged = {**configs[0]}
    for part in ("clusters", "users", "contexts"):
        merged[part] = [entry for config in configs for entry in config[part]]
    return json.dumps(merged, indent=2)
