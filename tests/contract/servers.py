"""The two servers that scripts are run against, behind one small face: a real one over HTTP, an embedded one without sockets.

Law of the module: a driver sends what a `Call` says and gives back what was answered; it judges nothing. The real server has the
clock; the embedded one is told the time before each call (`at`), and runs its controllers up to it.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.error import HTTPError
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

import yaml

from reconciler.sim.cluster.cluster import Cluster
from reconciler.sim.cluster.http import Request, Response, parse_query
from reconciler.sim.cluster.settings import Settings
from reconciler.sim.cluster.watching import Cursor
from tests.controlplane.plane import Access
from tests.waiting import until

from .answers import HEADERS, Answer
from .script import Call

_LIMIT_SECONDS = 30.0
_FORGOTTEN = 5  # the last version that is forgotten


class Server(Protocol):
    """What a script needs of a server."""

    def ask(self, call: Call) -> Answer:
        """One call."""
        ...

    def watch(self, call: Call) -> Watch | Answer:
        """Open a watch; an answer where it is refused."""
        ...

    def compact(self) -> None:
        """Forget how the first objects came about, before scripts began."""
        ...

    def until(self, look: Callable[[], bool], what: str) -> None:
        """Let the server work until something is so."""
        ...


class Watch(Protocol):
    """A watch that is open."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def read(self, lines: int | None) -> list[Any]:
        """So many lines, or (None) all until the server ends it."""
        ...

    def close(self) -> None:
        """Leave it."""
        ...


def _document(body: bytes, content_type: str) -> Any:
    if content_type.startswith("application/yaml"):
        return yaml.safe_load(body)
    return json.loads(body) if content_type.startswith("application/json") and body else body.decode()


class Real:
    """A real API server."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._address = access.url.removeprefix("https://")
        self._tls = ssl.create_default_context(cadata=access.ca_pem)
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._address, context=self._tls, timeout=_LIMIT_SECONDS)

    def _send(self, connection: http.client.HTTPSConnection, call: Call) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self._access.token}", "Accept": call.accept, "User-Agent": call.agent}
        if call.content_type:
            headers["Content-Type"] = call.content_type
        connection.request(call.method, call.path, call.body or None, headers)
        return connection.getresponse()

    def ask(self, call: Call) -> Answer:
        """One call, over a connection that is kept."""
        answer = self._send(self._connection, call)
        body = answer.read()
        return Answer(answer.status, _headers(answer), _document(body, answer.headers["Content-Type"] or ""))

    def watch(self, call: Call) -> Watch | Answer:
        """Open a watch, over a connection of its own."""
        connection = self._connect()
        answer = self._send(connection, call)
        if answer.status == 200:
            return _RealWatch(connection, answer)
        body = answer.read()
        connection.close()
        return Answer(answer.status, _headers(answer), _document(body, answer.headers["Content-Type"] or ""))

    def compact(self) -> None:
        """Have etcd forget, as the API server has it do every few minutes."""
        body = json.dumps({"revision": _FORGOTTEN, "physical": True}).encode()
        try:
            urlopen(UrlRequest(self._access.etcd_url + "/v3/kv/compaction", body), timeout=_LIMIT_SECONDS).close()
        except HTTPError as error:  # it did already
            error.close()

    def until(self, look: Callable[[], bool], what: str) -> None:
        """Wait."""
        until(look, what, _LIMIT_SECONDS)


def _headers(answer: http.client.HTTPResponse) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in answer.getheaders() if name.lower() in HEADERS)


class _RealWatch:
    def __init__(self, connection: http.client.HTTPSConnection, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers = answer.status, _headers(answer)
        self._connection, self._answer = connection, answer

    def read(self, lines: int | None) -> list[Any]:
        found: list[Any] = []
        while lines is None or len(found) < lines:
            line = self._answer.readline()
            if not line:
                break
            found.append(json.loads(line))
        return found

    def close(self) -> None:
        self._connection.close()


class Embedded:
    """An embedded API server, and its clock (seconds since the Unix epoch)."""

    def __init__(self, now: float, *, controllers: bool) -> None:
        self.now = now
        self.cluster = Cluster("contract", 1, now, Settings(controllers=controllers))
        self.cluster.tick(now)

    def at(self, now: float) -> None:
        """Be at a time, if it is later; controllers work up to it."""
        self.now = max(self.now, now)

    def _request(self, call: Call) -> Request:
        path, _, query = call.path.partition("?")
        return Request(call.method, path, parse_query(query), call.body, call.content_type, call.accept, call.agent)

    def ask(self, call: Call) -> Answer:
        """One call; first the controllers do what is due."""
        self.cluster.tick(self.now)
        return _answer(self.cluster.handle(self._request(call), self.now))

    def watch(self, call: Call) -> Watch | Answer:
        """Open a watch."""
        self.cluster.tick(self.now)
        opened = self.cluster.watch(self._request(call), self.now)
        return _answer(opened) if isinstance(opened, Response) else _EmbeddedWatch(self, opened)

    def compact(self) -> None:
        """Forget."""
        self.cluster.store.compact(_FORGOTTEN)

    def until(self, look: Callable[[], bool], what: str) -> None:
        """Let time pass, from one alarm of a controller to the next."""
        end = self.now + _LIMIT_SECONDS
        while not look():
            due = self.cluster.tick(self.now)
            if due is None or due > end:
                raise TimeoutError(f"in vain for {what}")
            self.now = due


def _answer(response: Response) -> Answer:
    headers = (("content-type", response.content_type), *((name.lower(), value) for name, value in response.headers))
    return Answer(response.status, headers, _document(response.body, response.content_type))


class _EmbeddedWatch:
    def __init__(self, server: Embedded, cursor: Cursor) -> None:
        self.status = 200
        self.headers: tuple[tuple[str, str], ...] = (("content-type", cursor.content_type),)
        self._lines = self._read(server, cursor)

    @staticmethod
    def _read(server: Embedded, cursor: Cursor) -> Iterator[Any]:
        """The lines as they come; None where there are none now."""
        while True:
            server.cluster.tick(server.now)
            lines = cursor.take(server.now)
            yield from (json.loads(line) for line in lines)
            if cursor.closed:
                return
            if not lines:
                yield None

    def read(self, lines: int | None) -> list[Any]:
        found: list[Any] = []
        while (lines is None or len(found) < lines) and (line := next(self._lines, None)) is not None:
            found.append(line)
        return found

    def close(self) -> None:
        """Nothing is held."""


def now() -> float:
    """The time that the real server has too: it runs on this machine."""
    return time.time()
