"""kubectl works against the embedded API server as against a real one: sessions of people, said and answered the same."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from reconciler.sim.cluster.cluster import Cluster
from reconciler.sim.cluster.front import Front
from reconciler.sim.cluster.http import Request
from reconciler.sim.cluster.settings import Settings
from tests.contract.session import Session, Side, play, sessions
from tests.controlplane.plane import NODES, Access

pytestmark = pytest.mark.real

QUICK = Settings(nodes=NODES, pod_start_seconds=0.05, pod_stop_seconds=0.05, job_seconds=0.1)
SESSIONS = sessions()


@pytest.mark.parametrize(
    "session", [pytest.param(one, id=one.name, marks=[pytest.mark.deep] if one.deep else []) for one in SESSIONS]
)
def test_a_session_is_answered_alike(session: Session, control_plane: Access, namespace: str, tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        async with Front(Cluster("test", 1, time.time(), QUICK), time.time, "of-this-test") as front:
            return await play(session, prepare(front, control_plane, namespace, tmp_path))

    found = asyncio.run(scenario())
    assert not found, "\n" + "\n".join(found)


def prepare(front: Front, access: Access, namespace: str, folder: Path) -> list[Side]:
    """Both sides: the namespace, a kubeconfig whose context is in it, and a folder to work in."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    access.request("POST", "/api/v1/namespaces", body)  # the fixture's, where there is one
    made = front.cluster.handle(Request("POST", "/api/v1/namespaces", body=json.dumps(body).encode()), time.time())
    assert made.status == 201
    sides = []
    for name, config in (("ours", front.kubeconfig("test")), ("real", access.kubeconfig)):
        work = folder / name / "work"
        work.mkdir(parents=True)
        config["contexts"][0]["context"]["namespace"] = namespace
        (folder / name / "config").write_text(json.dumps(config))
        sides.append(Side(name, access.kubectl_path, work, namespace))
    return sides
