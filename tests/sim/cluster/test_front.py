"""The front, over real sockets: an ordinary client, watches, a token; and kubectl where there is one."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from reconciler.sim.cluster.cluster import Cluster
from reconciler.sim.cluster.front import Front, kubeconfig_text
from reconciler.sim.cluster.settings import Settings

from .support import CONFIGMAPS, config_map, definition, deployment

TOKEN = "of-this-test"
QUICK = Settings(pod_start_seconds=0.05, pod_stop_seconds=0.05, job_seconds=0.1)
KUBECTL = os.environ.get("RECONCILER_TEST_KUBECTL") or shutil.which("kubectl") or ""


def served(scenario: Callable[[Front, aiohttp.ClientSession], Awaitable[None]]) -> None:
    """Run a scenario against a served cluster."""

    async def run() -> None:
        async with Front(Cluster("test", 1, time.time(), QUICK), time.time, TOKEN) as front:
            headers = {"Authorization": f"Bearer {TOKEN}", "User-Agent": "front-test/1"}
            async with aiohttp.ClientSession(front.url, headers=headers) as session:
                await asyncio.wait_for(scenario(front, session), 60)

    asyncio.run(run())


async def next_event(response: aiohttp.ClientResponse) -> tuple[str, str]:
    event = json.loads(await asyncio.wait_for(response.content.readline(), 10))
    return event["type"], event["object"]["metadata"].get("name", "")


def test_a_watch_streams_what_happens() -> None:
    async def scenario(front: Front, session: aiohttp.ClientSession) -> None:
        async with session.get(CONFIGMAPS) as listed:
            version = (await listed.json())["metadata"]["resourceVersion"]
        async with session.get(CONFIGMAPS, params={"watch": "1", "resourceVersion": version}) as response:
            assert response.status == 200
            await session.post(CONFIGMAPS, json=config_map("a"))
            # The namespace may be furnished at the same time.
            while await next_event(response) != ("ADDED", "a"):
                pass
            await session.delete(f"{CONFIGMAPS}/a")
            assert await next_event(response) == ("DELETED", "a")

    served(scenario)


def test_a_watch_ends_in_time() -> None:
    async def scenario(front: Front, session: aiohttp.ClientSession) -> None:
        async with session.get(CONFIGMAPS, params={"watch": "1", "timeoutSeconds": "1"}) as response:
            await asyncio.wait_for(response.content.read(), 10)

    served(scenario)


def test_the_token_is_asked_for() -> None:
    async def scenario(front: Front, session: aiohttp.ClientSession) -> None:
        async with session.get("/api", headers={"Authorization": "Bearer wrong"}) as response:
            assert response.status == 401
        async with session.get(f"/{TOKEN}/api", headers={"Authorization": ""}) as response:
            assert response.status == 200

    served(scenario)


def test_large_lists_come_compressed() -> None:
    async def scenario(front: Front, session: aiohttp.ClientSession) -> None:
        for number in range(30):
            await session.post(CONFIGMAPS, json=config_map(f"c{number}", {"k": "x" * 10_000}))
        async with session.get(CONFIGMAPS, headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert len((await response.json())["items"]) >= 30

    served(scenario)


def test_requests_are_counted() -> None:
    async def scenario(front: Front, session: aiohttp.ClientSession) -> None:
        for _ in range(3):
            await session.get(CONFIGMAPS)
        await session.post(CONFIGMAPS, json=config_map("a"))
        counted = {(verb, plural): n for (verb, plural, agent), n in front.cluster.requests.items() if agent == "front-test"}
        assert counted == {("list", "configmaps"): 3, ("create", "configmaps"): 1}

    served(scenario)


def test_an_oversized_body_is_refused() -> None:
    async def scenario(front: Front, session: aiohttp.ClientSession) -> None:
        async with session.post(CONFIGMAPS, data=io.BytesIO(b"{" + b" " * 4_000_000)) as response:
            assert response.status == 413

    served(scenario)


@pytest.mark.skipif(not KUBECTL, reason="no kubectl is found")
def test_a_session_with_kubectl(tmp_path: Path) -> None:
    """What a curious person does, in one go; each command must succeed and say what is expected."""

    async def scenario(front: Front, session: aiohttp.ClientSession) -> None:
        (tmp_path / "config").write_text(kubeconfig_text(front.kubeconfig()))
        (tmp_path / "web.json").write_text(json.dumps(deployment("web", replicas=2)))
        (tmp_path / "crd.json").write_text(json.dumps(definition()))
        widget: dict[str, Any] = {"apiVersion": "demo.example/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 4}}
        (tmp_path / "widget.json").write_text(json.dumps(widget))

        async def kubectl(*words: str, code: int = 0) -> str:
            home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "KUBE_EDITOR": "sed -i s/web:1/web:3/"}
            command = (KUBECTL, "--kubeconfig", str(tmp_path / "config"), *words)
            ran = await asyncio.create_subprocess_exec(*command, env=home, cwd=tmp_path, stdout=-1, stderr=-2)
            output, _ = await asyncio.wait_for(ran.communicate(), 45)
            assert ran.returncode == code, (words, output.decode())
            return output.decode()

        assert "created" in await kubectl("apply", "-f", "web.json")
        assert "successfully rolled out" in await kubectl("rollout", "status", "deploy/web", "--timeout=30s")
        assert "2/2" in await kubectl("get", "deploy,rs,pods", "-o", "wide")
        assert "unchanged" in await kubectl("apply", "-f", "web.json")
        assert "scaled" in await kubectl("scale", "deploy/web", "--replicas=3")
        assert "replicas: 2" in await kubectl("diff", "-f", "web.json", code=1)
        assert "edited" in await kubectl("edit", "deploy/web")
        assert "conflict" in await kubectl("apply", "--server-side", "--field-manager=x", "-f", "web.json", code=1)
        assert "serverside-applied" in await kubectl("apply", "--server-side", "--force-conflicts", "-f", "web.json")
        assert "condition met" in await kubectl("wait", "--for=condition=Available", "deploy/web", "--timeout=30s")
        assert "deleted" in await kubectl("delete", "deploy/web", "--cascade=foreground")
        assert "created" in await kubectl("create", "configmap", "c", "--from-literal=a=b")
        assert "created" in await kubectl("create", "-f", "crd.json")
        assert "condition met" in await kubectl("wait", "--for=condition=Established", "crd/widgets.demo.example")
        assert "created" in await kubectl("apply", "-f", "widget.json")
        assert "4" in await kubectl("get", "wd")
        assert "yes" in await kubectl("auth", "can-i", "create", "pods")

    served(scenario)
