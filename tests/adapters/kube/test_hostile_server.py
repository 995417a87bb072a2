"""The client against a server that means harm, or is broken: memory and time stay bounded, credentials stay where they belong."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.kube.auth import KubeconfigData, KubeconfigFile, connection
from reconciler.adapters.kube.client import BODY_LIMIT, LINE_LIMIT, KubeClient, _Lines
from reconciler.core.identity import ClusterName
from reconciler.core.messages import Answer, OpenWatch, Request, WatchClosed, WatchLines
from tests.adapters.kube.environment import environment
from tests.waiting import until_async

HERE = ClusterName("here")
MEGABYTE = b"x" * 1024 * 1024
ASK = Request(1, HERE, "GET", "/", timeout_seconds=30)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """A server on loopback, all of whose answers are one handler's."""

    url: str
    seen: list[web.Request] = field(default_factory=list)

    def client(self) -> KubeClient:
        """A client with a token, which would be a pity to lose."""
        return KubeClient(connection(KubeconfigData(kubeconfig(self.url), "test")))


def kubeconfig(url: str) -> dict[str, object]:
    return {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "precious-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    async def seen(request: web.Request) -> web.StreamResponse:
        server.seen.append(request)
        return await handler(request)

    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", seen)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = Server(f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        yield server
    finally:
        await runner.cleanup()


def answer_of(handler: Handler, request: Request = ASK) -> tuple[Answer, Server]:
    async def ask() -> tuple[Answer, Server]:
        async with serving(handler) as server:
            client = server.client()
            answer = await client.perform(request)
            await client.close()
            return answer, server

    return asyncio.run(ask())


def heard_of(handler: Handler, idle_seconds: float = 30.0) -> list[WatchLines | WatchClosed]:
    async def follow() -> list[WatchLines | WatchClosed]:
        async with serving(handler) as server:
            client = server.client()
            heard = [one async for one in client.watch(OpenWatch(1, HERE, "/", (("watch", "1"),), idle_seconds))]
            await client.close()
            return heard

    return asyncio.run(follow())


def test_an_endless_body_is_given_up() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(MEGABYTE)
            sent += len(MEGABYTE)

    answer, _ = answer_of(endless)
    assert answer == Answer(1, 0, error=f"an answer of more than {BODY_LIMIT} bytes")
    assert sent < BODY_LIMIT + 64 * len(MEGABYTE)


def test_a_small_packed_body_that_unpacks_to_much_is_given_up() -> None:
    bomb = gzip.compress(MEGABYTE) * (2 * BODY_LIMIT // len(MEGABYTE))

    async def packed(request: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    answer, _ = answer_of(packed)
    assert len(bomb) < BODY_LIMIT // 100
    assert answer == Answer(1, 0, error=f"an answer of more than {BODY_LIMIT} bytes")


def test_a_packed_body_is_unpacked() -> None:
    async def packed(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "gzip"
        return web.Response(body=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})

    answer, _ = answer_of(packed)
    assert (answer.status, answer.body) == (200, b"{}")


def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    answer, _ = answer_of(_never, Request(1, HERE, "GET", "/", timeout_seconds=0.2))
    assert answer == Answer(1, 0, error="no answer within 0.2 s")


def test_a_redirect_is_handed_over_and_not_followed() -> None:
    """Credentials would go with it."""

    async def ask() -> tuple[Answer, Server]:
        async with serving(_ok) as other:

            async def elsewhere(request: web.Request) -> web.StreamResponse:
                return web.Response(status=307, headers={"Location": other.url})

            async with serving(elsewhere) as server:
                client = server.client()
                answer = await client.perform(ASK)
                await client.close()
                return answer, other

    answer, other = asyncio.run(ask())
    assert (answer.status, other.seen) == (307, [])


def test_what_is_sent_says_who_we_are_and_nothing_of_before() -> None:
    """The token, a User-Agent, the body byte for byte, the path and query as they were escaped; no cookie."""

    async def baker(request: web.Request) -> web.StreamResponse:
        response = web.Response(text=f"{request.raw_path} {(await request.read()).decode()}")
        response.set_cookie("follow", "me")
        return response

    async def ask() -> tuple[Answer, list[web.Request]]:
        async with serving(baker) as server:
            by_name = server.url.replace("127.0.0.1", "localhost")  # cookies are for names
            client = Server(by_name).client()
            query = (("x", "a b&c"), ("y", "1"))
            asked = Request(1, HERE, "PATCH", "/a%2Fb/c%20d", query, b'{"a":1}', "application/apply-patch+yaml")
            await client.perform(asked)
            answer = await client.perform(asked)
            await client.close()
            return answer, server.seen

    answer, seen = asyncio.run(ask())
    assert answer.body == b'/a%2Fb/c%20d?x=a%20b%26c&y=1 {"a":1}'
    assert len(seen) == 2
    for request in seen:
        assert "Cookie" not in request.headers
        assert request.headers["Authorization"] == "Bearer precious-token"
        assert request.headers["Content-Type"] == "application/apply-patch+yaml"
        assert request.headers["User-Agent"].startswith("reconciler/")


def test_a_proxy_that_only_stands_in_the_environment_gets_nothing() -> None:
    with environment(HTTP_PROXY="http://127.0.0.1:1", http_proxy="http://127.0.0.1:1", NO_PROXY="", no_proxy=""):
        answer, server = answer_of(_ok)
    assert (answer.status, len(server.seen)) == (200, 1)


def test_a_plugin_is_asked_before_each_request_and_again_when_refused(tmp_path: Path) -> None:
    """Where it fails nothing is sent: a request is never silently anonymous."""
    runs = tmp_path / "runs"
    script = f"""echo >> {runs}; n=$(wc -l < {runs}); [ $n -lt 3 ] || exit 7
        echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"'$n'"}}}}'"""
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script]}

    asked: list[str] = []

    async def second_only(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers["Authorization"])
        return web.Response(status=200 if asked[-1] == "Bearer 2" and len(asked) < 4 else 401)

    async def ask() -> list[Answer]:
        async with serving(second_only) as server:
            (tmp_path / "config").write_text(json.dumps({**kubeconfig(server.url), "users": [{"name": "u", "user": {"exec": plugin}}]}))
            client = KubeClient(connection(KubeconfigFile(tmp_path / "config")))
            answers = [await client.perform(ASK) for _ in range(5)]
            await client.close()
            return answers

    assert [(answer.status, answer.error) for answer in asyncio.run(ask())] == [
        (401, ""),
        (200, ""),
        (200, ""),
        (401, ""),
        (0, "the credential plug-in sh ended with 7: "),
    ]
    assert asked == ["Bearer 1", "Bearer 2", "Bearer 2", "Bearer 2"]


def test_when_to_come_again_is_handed_over() -> None:
    def busy(after: str) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            return web.Response(status=429, headers={"Retry-After": after})

        return handler

    waits = {after: answer_of(busy(after))[0].retry_after_seconds for after in ("7", "120", "0", "-1", "soon", "9" * 400, "٣")}
    assert waits == {"7": 7.0, "120": 120.0, "0": 0.0, "-1": None, "soon": None, "9" * 400: None, "٣": None}


def test_a_server_that_hangs_up_or_talks_nonsense_is_an_answer() -> None:
    async def talk(words: bytes) -> Answer:
        async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(words)
            writer.close()

        server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            client = Server(f"http://{host}:{port}").client()
            answer = await client.perform(ASK)
            await client.close()
            return answer

    def error_for(words: bytes) -> str:
        answer = asyncio.run(talk(words))
        assert (answer.id, answer.status) == (1, 0)
        return answer.error

    assert error_for(b"") == "the server hung up before it answered"
    assert error_for(b"SSH-2.0-OpenSSH_9.6\r\n").startswith("the server does not speak HTTP")
    assert error_for(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf") == "the connection broke off in the middle of the answer"
    assert error_for(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n").startswith("the server does not speak HTTP")
    assert asyncio.run(talk(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 50_000 + b"\r\nContent-Length: 0\r\n\r\n")).status == 200


def test_a_watch_event_that_never_ends_is_given_up() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"first":1}\n')
        while True:
            await response.write(MEGABYTE)
            sent += len(MEGABYTE)

    heard = heard_of(endless)
    assert heard == [WatchLines(1, (b'{"first":1}',)), WatchClosed(1, 200, f"an event of more than {LINE_LIMIT} bytes")]
    assert sent < LINE_LIMIT + 64 * len(MEGABYTE)


def test_a_watch_that_falls_silent_is_closed() -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{}\n")
        return await _never(request)

    assert heard_of(silent, idle_seconds=0.3) == [WatchLines(1, (b"{}",)), WatchClosed(1, 200, "nothing was heard for 0.3 s")]
    assert heard_of(_never, idle_seconds=0.3) == [WatchClosed(1, 0, "nothing was heard for 0.3 s")]


def test_a_refused_watch_says_why_in_a_bounded_text() -> None:
    def refusing(body: bytes) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            return web.Response(status=403, body=body)

        return handler

    reasons = {
        b'{"message":"pods is forbidden"}': "pods is forbidden",
        b'{"message":"' + b"long " * 1000 + b'"}': ("long " * 100),
        b'{"message":7}': "Forbidden",
        b"[" * 100_000: f"an answer of more than {64 * 1024} bytes",
        b"[" * 10_000: "Forbidden",
        b"\xff": "Forbidden",
    }
    assert {body: heard_of(refusing(body)) for body in reasons} == {b: [WatchClosed(1, 403, r)] for b, r in reasons.items()}


def test_a_watch_can_be_closed_at_any_time() -> None:
    """Before it was followed, while it connects, while it is silent, while its consumer is busy; each ends once, and hangs up."""

    async def close_when(when: str) -> tuple[list[WatchLines | WatchClosed], bool]:
        gone = asyncio.Event()
        connected = asyncio.Event()

        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                connected.set()
                if when == "connecting":
                    return await _never(request)
                response = web.StreamResponse()
                await response.prepare(request)
                await response.write(b"{}\n")
                return await _never(request)
            finally:
                gone.set()

        async with serving(handler) as server:
            client = server.client()
            watch = client.watch(OpenWatch(1, HERE, "/", (), 30.0))
            heard: list[WatchLines | WatchClosed] = []

            async def follow() -> None:
                async for one in watch:
                    heard.append(one)
                    if when == "busy":
                        client.close_watch(1)

            if when == "before":
                client.close_watch(1)
            following = asyncio.create_task(follow())
            if when == "connecting":
                await connected.wait()
                client.close_watch(1)
            if when == "silent":
                await until_async(lambda: _value(len(heard) == 1), "the first line")
                client.close_watch(1)
            await asyncio.wait_for(following, 10)
            if when != "before":
                await asyncio.wait_for(gone.wait(), 10)
            await client.close()
            return heard, connected.is_set()

    line = WatchLines(1, (b"{}",))
    assert asyncio.run(close_when("before")) == ([WatchClosed(1, 0)], False)
    assert asyncio.run(close_when("connecting")) == ([WatchClosed(1, 0)], True)
    assert asyncio.run(close_when("silent")) == ([line, WatchClosed(1, 200)], True)
    assert asyncio.run(close_when("busy")) == ([line, WatchClosed(1, 200)], True)


def test_a_closed_client_ends_its_watches() -> None:
    async def follow() -> list[WatchLines | WatchClosed]:
        async with serving(_never) as server:
            client = server.client()
            watch = client.watch(OpenWatch(1, HERE, "/", (), 30.0))
            task = asyncio.create_task(_collected(watch))
            await until_async(lambda: _value(bool(server.seen)), "the watch")
            await client.close()
            assert await client.perform(ASK) == Answer(1, 0, error="RuntimeError: Session is closed")
            return await asyncio.wait_for(task, 10)

    assert asyncio.run(follow()) == [WatchClosed(1, 0)]


def test_requests_wait_for_their_turn() -> None:
    """No more than the limit at once, and waiting for one's turn does not use up one's time."""

    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.wait_for(release.wait(), 10)
        return web.Response(text="ok")

    release = asyncio.Event()

    async def ask() -> list[Answer]:
        async with serving(handler) as server:
            client = KubeClient(connection(KubeconfigData(kubeconfig(server.url), "test")), in_flight_limit=3)
            tasks = [asyncio.create_task(client.perform(ASK)) for _ in range(10)]
            await until_async(lambda: _value(len(server.seen) == 3), "three requests")
            assert not any(task.done() for task in tasks)
            release.set()
            answers = await asyncio.gather(*tasks)
            assert len(server.seen) == 10
            await client.close()
            return answers

    assert {answer.status for answer in asyncio.run(ask())} == {200}


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 7)))
def test_lines_are_the_same_however_the_stream_is_cut(events: list[bytes], cuts: list[int]) -> None:
    """Empty lines are no events; a last line without an end is none either."""
    stream = b"".join(event + b"\n" for event in events) + b"unfinished"
    lines, at = _Lines(), 0
    found: list[bytes] = []
    for size in [*cuts, len(stream) + 1]:
        if chunk := stream[at : at + size]:
            found += lines.feed(chunk)
        at += size
    assert found == [line for event in events for line in event.split(b"\n") if line]


def test_the_limit_of_an_event_is_none_of_the_stream() -> None:
    """A watch may live for hours, and bring more than any event may hold."""
    event = b"x" * (LINE_LIMIT // 4)
    lines = _Lines()
    assert sum(len(lines.feed(event + b"\n")) for _ in range(12)) == 12


async def _ok(request: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


async def _never(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("never")


async def _value(value: bool) -> bool:
    return value


async def _collected(watch: AsyncIterator[WatchLines | WatchClosed]) -> list[WatchLines | WatchClosed]:
    return [heard async for heard in watch]
