"""The shell does what it is told, as long as it is not too late for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

import pytest

from reconciler.adapters.clock import Clock
from reconciler.adapters.kube.auth import KubeconfigData, connection
from reconciler.adapters.kube.client import KubeClient
from reconciler.core.engine import Engine
from reconciler.core.identity import ClusterName, Instant
from reconciler.core.manifest import parse
from reconciler.core.messages import Answer, Effect, Input, Method, Request
from reconciler.shell import Shell

EU = ClusterName("eu")


class StoppedClock(Clock):
    """This machine's time, of a process that is stopped for a while after its first look at it, and goes on."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._looks = 0

    def now(self) -> Instant:
        self._looks += 1
        late = self._seconds if self._looks > 2 else 0.0  # the first is the start's, the second that of the step
        return super().now()._replace(steady=super().now().steady + late)


class OneRequest:
    """Asks for one thing, and keeps the answer."""

    stopping = False
    wake_at = None

    def __init__(self, request: Request) -> None:
        self.request = request
        self.answers: list[Input] = []
        self._asked = False

    def step(self, inputs: Iterable[Input], now: Instant) -> list[Effect]:
        self.answers.extend(inputs)
        asked, self._asked = self._asked, True
        return [] if asked else [self.request]


async def answer_to(method: Method, stopped_seconds: float) -> tuple[Answer, int]:
    """What comes of a request with ten seconds' time, and how often somebody was called."""
    calls = 0

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    config = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    engine = OneRequest(Request(1, EU, method, "/x", timeout_seconds=10))
    client = KubeClient(connection(KubeconfigData(config, "test")))
    shell = Shell(cast(Engine, engine), {EU: client}, {}, parse, StoppedClock(stopped_seconds))
    async with asyncio.timeout(20):
        await shell.run(until=lambda: bool(engine.answers))
    server.close()
    [answer] = engine.answers
    assert isinstance(answer, Answer)
    return answer, calls


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST", "DELETE"])
def test_a_write_whose_time_is_over_is_not_sent(method: Method) -> None:
    """The process was stopped between deciding and doing: another daemon may act by now."""
    answer, calls = asyncio.run(answer_to(method, 60))
    assert (answer.status, calls) == (0, 0) and "not sent" in answer.error
    assert asyncio.run(answer_to(method, 0))[0].status == 200


def test_a_read_is_asked_whenever_its_turn_comes() -> None:
    assert asyncio.run(answer_to("GET", 60))[0].status == 200
