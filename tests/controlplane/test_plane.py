"""The rig itself: what every test on real servers rests on."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.controlplane.keep import kept_plane
from tests.controlplane.plane import Access, ControlPlane, StartError
from tests.waiting import until

pytestmark = pytest.mark.real

POD = {"containers": [{"name": "web", "image": "shop:1.0"}]}


def test_pods_become_ready_unless_a_label_says_otherwise(control_plane: Access, namespace: str) -> None:
    """The four things that can become of a pod, and that each recovers when its label is taken off."""

    def states() -> dict[str, str]:
        return {pod["metadata"]["name"]: _state(pod) for pod in control_plane.request("GET", pods)[1]["items"]}

    pods = f"/api/v1/namespaces/{namespace}/pods"
    expected = {"good": "ready", "not-ready": "not ready", "crash": "CrashLoopBackOff", "image-pull": "ImagePullBackOff"}
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    until(lambda: control_plane.request("GET", account)[0] == 200, "the service account")
    for name in expected:
        metadata = {"name": name, "labels": {} if name == "good" else {"fault": name}}
        status, answer = control_plane.request("POST", pods, {"metadata": metadata, "spec": POD})
        assert status == 201, answer
    until(lambda: states() == expected, f"{expected}", 15)
    for name in expected:
        patch = {"metadata": {"labels": {"fault": None}}}
        control_plane.request("PATCH", f"{pods}/{name}", patch, "application/merge-patch+json")
    until(lambda: [*states().values()] == ["ready"] * 4, "all to recover", 15)


def test_several_planes_know_nothing_of_each_other(control_planes: Callable[[int], list[Access]], namespace: str) -> None:
    first, second = control_planes(2)
    assert control_planes(1) == [first]
    statuses = [plane.request("GET", f"/api/v1/namespaces/{namespace}")[0] for plane in (first, second)]
    assert statuses == [200, 404]
    with pytest.raises(ssl.SSLCertVerificationError):
        replace(first, ca_pem=second.ca_pem).request("GET", "/readyz")


def test_a_plane_of_its_own_may_be_broken_and_mended(own_plane: Callable[[], ControlPlane]) -> None:
    """What was stored is there again after the API server crashed."""
    plane = own_plane()
    access = plane.access
    assert access is not None
    name = {"metadata": {"name": "kept"}}
    access.request("POST", "/api/v1/namespaces/default/configmaps", name)
    plane.stop_server("kube-apiserver", gently=False)
    with pytest.raises(ConnectionRefusedError):
        access.request("GET", "/readyz")
    plane.start_server("kube-apiserver")
    assert access.request("GET", "/api/v1/namespaces/default/configmaps/kept")[0] == 200
    assert access.request("GET", "/api/v1/nodes")[1]["items"] == []  # no controllers were asked for


def test_a_server_that_ends_is_named_with_its_last_words(own_plane: Callable[[], ControlPlane]) -> None:
    plane = own_plane()
    plane.stop_server("kube-apiserver")
    plane.stop_server("etcd")
    assert plane._commands["kube-apiserver"][0].startswith("--etcd-servers=")
    plane._commands["kube-apiserver"].append("--no-such-flag")
    with pytest.raises(StartError, match=r"(?s)kube-apiserver ended with 1:.*unknown flag: --no-such-flag"):
        plane.start_server("kube-apiserver")


def test_a_shared_plane_ends_with_the_run_that_started_it(server_binaries: Path, tmp_path: Path) -> None:
    """Even a test runner that is killed leaves no server behind."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as run:
        access = kept_plane(server_binaries, tmp_path, run.pid)
        assert kept_plane(server_binaries, tmp_path, run.pid) == access  # the second who asks gets the same
        run.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in access.pids.values()), "the servers to end", 10)
    until(lambda: not (tmp_path / "access.json").exists(), "the way in to be taken away", 10)


def _state(pod: dict) -> str:
    [container] = pod.get("status", {}).get("containerStatuses") or [{"state": {}, "ready": False}]
    if container["ready"]:
        return "ready"
    return str(container["state"].get("waiting", {}).get("reason", "not ready"))
