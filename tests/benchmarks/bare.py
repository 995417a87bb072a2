"""The least that must be done: server-side apply of objects as they come, nothing else. `python -m tests.benchmarks.bare KUBECONFIG N`.

Objects are read from standard input, one a line; N requests are in flight at once. It prints what it took, as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

PLURALS = {"ConfigMap": "api/v1 configmaps", "ServiceAccount": "api/v1 serviceaccounts", "Service": "api/v1 services"}
PLURALS |= {"Deployment": "apis/apps/v1 deployments", "Namespace": "api/v1 namespaces"}


def path_of(body: dict[str, Any]) -> str:
    """Where an object is applied."""
    top, plural = PLURALS[body["kind"]].split()
    namespace = body["metadata"].get("namespace")
    inner = f"namespaces/{namespace}/{plural}" if namespace else plural
    return f"/{top}/{inner}/{body['metadata']['name']}?fieldManager=bare&force=true"


async def apply_all(kubeconfig: dict[str, Any], bodies: list[str], at_once: int) -> dict[str, float]:
    """Apply them, so many at once."""
    cluster, token = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]["token"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/apply-patch+yaml", "Accept-Encoding": "gzip"}
    waiting = list(reversed([(cluster["server"] + path_of(json.loads(body)), body) for body in bodies]))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), headers=headers) as session:

        async def worker() -> None:
            while waiting:
                url, body = waiting.pop()
                async with session.patch(url, data=body) as answer:
                    text = await answer.read()
                    assert answer.status in (200, 201), text

        async with session.get(cluster["server"] + "/version") as answer:
            await answer.read()  # the connection stands
        began, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}


def main() -> None:
    """Read, apply, tell."""
    kubeconfig = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps(asyncio.run(apply_all(kubeconfig, sys.stdin.read().splitlines(), int(sys.argv[2])))))


if __name__ == "__main__":
    main()
