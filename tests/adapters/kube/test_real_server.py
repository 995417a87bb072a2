"""The client against a real API server: what it says is handed over as it is."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import trustme
import yaml

from reconciler.adapters.kube.auth import InCluster, KubeconfigData, KubeconfigFile, connection
from reconciler.adapters.kube.client import KubeClient
from reconciler.core.identity import ClusterName
from reconciler.core.messages import Answer, OpenWatch, Request, WatchClosed, WatchLines
from tests.adapters.kube.environment import environment
from tests.controlplane.plane import Access, ControlPlane

pytestmark = pytest.mark.real

T = TypeVar("T")

HERE = ClusterName("here")
READY = Request(1, HERE, "GET", "/readyz", timeout_seconds=10)
APPLY = "application/apply-patch+yaml"


@asynccontextmanager
async def client_of(kubeconfig: dict[str, Any]) -> AsyncIterator[KubeClient]:
    client = KubeClient(connection(KubeconfigData(kubeconfig, "test")))
    try:
        yield client
    finally:
        await client.close()


def answer_to(kubeconfig: dict[str, Any], request: Request) -> Answer:
    async def ask() -> Answer:
        async with client_of(kubeconfig) as client:
            return await client.perform(request)

    return asyncio.run(ask())


def apply(name: str, namespace: str, data: dict[str, str], manager: str = "reconciler", **query: str) -> Request:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}
    path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
    asked = {"fieldManager": manager, "fieldValidation": "Strict", **query}
    return Request(1, HERE, "PATCH", path, tuple(asked.items()), json.dumps(body).encode(), APPLY)


def test_server_side_apply_creates_and_answers_with_the_object(control_plane: Access, namespace: str) -> None:
    answer = answer_to(control_plane.kubeconfig, apply("shop", namespace, {"stage": "ring0"}))
    assert (answer.id, answer.status, answer.error) == (1, 201, "")
    live = json.loads(answer.body)
    assert live["data"] == {"stage": "ring0"}
    assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == ["reconciler"]


def test_a_conflict_comes_as_the_server_says_it(control_plane: Access, namespace: str) -> None:
    answer_to(control_plane.kubeconfig, apply("shop", namespace, {"stage": "ring0"}, manager="another"))
    answer = answer_to(control_plane.kubeconfig, apply("shop", namespace, {"stage": "ring1"}))
    status = json.loads(answer.body)
    assert (answer.status, answer.error, status["reason"]) == (409, "", "Conflict")
    assert [(c["reason"], c["field"]) for c in status["details"]["causes"]] == [("FieldManagerConflict", ".data.stage")]


def test_a_list_comes_in_pages(control_plane: Access, namespace: str) -> None:
    """Packed or not: the second page holds enough for the server to use gzip."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"

    async def ask() -> list[dict[str, Any]]:
        async with client_of(control_plane.kubeconfig) as client:
            for number in range(5):
                await client.perform(apply(f"cm-{number}", namespace, {"filling": "x" * 100_000}))
            selected = (("fieldSelector", "metadata.name!=kube-root-ca.crt"), ("limit", "2"))
            pages: list[dict[str, Any]] = []
            follow = ""
            while not pages or follow:
                query = (*selected, *((("continue", follow),) if follow else ()))
                answer = await client.perform(Request(2, HERE, "GET", path, query))
                pages.append(json.loads(answer.body))
                follow = pages[-1]["metadata"].get("continue", "")
            return pages

    pages = asyncio.run(ask())
    assert [[item["metadata"]["name"] for item in page["items"]] for page in pages] == [
        ["cm-0", "cm-1"],
        ["cm-2", "cm-3"],
        ["cm-4"],
    ]


def test_a_watch_gives_the_first_state_a_bookmark_and_then_each_change(control_plane: Access, namespace: str) -> None:
    query = {
        "watch": "1",
        "allowWatchBookmarks": "1",
        "sendInitialEvents": "1",
        "resourceVersionMatch": "NotOlderThan",
        "fieldSelector": "metadata.name=shop",
    }
    opened = OpenWatch(7, HERE, f"/api/v1/namespaces/{namespace}/configmaps", tuple(query.items()), 30.0)

    async def follow() -> tuple[list[tuple[str, str]], list[WatchClosed]]:
        events, closed = [], []
        async with client_of(control_plane.kubeconfig) as client:
            await client.perform(apply("shop", namespace, {"stage": "ring0"}))
            async for heard in client.watch(opened):
                if isinstance(heard, WatchClosed):
                    closed.append(heard)
                    continue
                for event in map(json.loads, heard.lines):
                    annotations = event["object"]["metadata"].get("annotations", {})
                    events.append((event["type"], event["object"].get("data", {}).get("stage", "")))
                    if annotations.get("k8s.io/initial-events-end") == "true":
                        await client.perform(apply("shop", namespace, {"stage": "ring1"}))
                    if event["type"] == "MODIFIED":
                        client.close_watch(7)
            client.close_watch(7)  # it has ended: no mistake
        return events, closed

    events, closed = asyncio.run(follow())
    assert events == [("ADDED", "ring0"), ("BOOKMARK", ""), ("MODIFIED", "ring1")]
    assert closed == [WatchClosed(7, 200)]


def test_a_refused_watch_says_why(control_plane: Access) -> None:
    [closed] = _all_of(control_plane, OpenWatch(4, HERE, "/api/v1/pods", (("watch", "1"), ("limit", "x")), 30.0))
    assert isinstance(closed, WatchClosed)
    assert closed.status == 400
    assert closed.error == 'strconv.ParseInt: parsing "x": invalid syntax'


def test_a_watch_that_the_server_ends_in_time_is_a_clean_end(control_plane: Access, namespace: str) -> None:
    query = (("watch", "1"), ("timeoutSeconds", "1"), ("fieldSelector", "metadata.name=none"))
    opened = OpenWatch(5, HERE, f"/api/v1/namespaces/{namespace}/configmaps", query, 30.0)
    assert _all_of(control_plane, opened) == [WatchClosed(5, 200)]


def test_who_we_are_is_told_in_each_of_the_ways(control_plane: Access, tmp_path: Path) -> None:
    """A token, a client certificate, a plug-in that gives either, a token file; and nobody at all."""

    def user_name(user: dict[str, Any]) -> str:
        config = {**control_plane.kubeconfig, "users": [{"name": "test", "user": user}]}
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))

        async def ask() -> str:
            client = KubeClient(connection(KubeconfigFile(path)))
            try:
                review = b'{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'
                path_of = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
                answer = await client.perform(Request(1, HERE, "POST", path_of, (), review, "application/json"))
                if answer.status != 201:
                    return f"{answer.status} {answer.error}".strip()
                return str(json.loads(answer.body)["status"]["userInfo"]["username"])
            finally:
                await client.close()

        return asyncio.run(ask())

    (tmp_path / "token").write_text(control_plane.powerless_token + "\n")
    (tmp_path / "crt").write_text(control_plane.client_cert_pem)
    (tmp_path / "key").write_text(control_plane.client_key_pem)
    inline = {
        "clientCertificateData": control_plane.client_cert_pem,
        "clientKeyData": control_plane.client_key_pem,
    }
    assert user_name({"token": control_plane.token}) == "admin"
    assert user_name({"tokenFile": "token"}) == "powerless"
    assert user_name({"client-certificate": "crt", "client-key": "key"}) == "by-certificate"
    assert user_name({"exec": _plugin(tmp_path, {"token": control_plane.powerless_token})}) == "powerless"
    assert user_name({"exec": _plugin(tmp_path, inline)}) == "by-certificate"
    assert user_name({"token": "wrong"}) == "401"
    assert user_name({"exec": {**_plugin(tmp_path, {}), "command": "/no/such/program"}}).startswith("0 the credential plug-in")


def test_a_pod_logs_in_with_its_service_account(control_plane: Access, tmp_path: Path) -> None:
    """A token that ends its line, as one written by hand does; and the authority from beside it."""
    cluster = control_plane.kubeconfig["clusters"][0]["cluster"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    (tmp_path / "token").write_text(control_plane.token + "\n")
    server = urlsplit(control_plane.url)

    async def ask() -> Answer:
        with environment(KUBERNETES_SERVICE_HOST=str(server.hostname), KUBERNETES_SERVICE_PORT=str(server.port)):
            client = KubeClient(connection(InCluster(tmp_path)))
        answer = await client.perform(Request(1, HERE, "GET", "/api/v1/namespaces"))
        await client.close()
        return answer

    answer = asyncio.run(ask())
    assert (answer.status, answer.error) == (200, "")


def test_an_authority_that_we_do_not_trust_is_named_as_the_reason(control_plane: Access) -> None:
    stranger = {**control_plane.kubeconfig, "clusters": [_cluster(control_plane.url, trustme.CA())]}
    refusal = answer_to(stranger, READY)
    assert refusal.status == 0
    assert refusal.error.startswith("the server's certificate is not trusted: "), refusal.error


def test_a_server_crashes_under_a_watch_and_comes_back(own_plane: Callable[[], ControlPlane]) -> None:
    """The watch breaks off, requests are refused; afterwards the version from before is too old: 410 as an event, with HTTP 200."""
    plane = own_plane()
    access = plane.access
    assert access is not None
    first = (("watch", "1"), ("sendInitialEvents", "1"), ("resourceVersionMatch", "NotOlderThan"), ("allowWatchBookmarks", "1"))

    async def follow() -> tuple[list[WatchClosed], Answer, list[WatchLines | WatchClosed]]:
        closed: list[WatchClosed] = []
        async with client_of(access.kubeconfig) as client:
            async for heard in client.watch(OpenWatch(2, HERE, "/api/v1/namespaces", first, 30.0)):
                if isinstance(heard, WatchClosed):
                    closed.append(heard)
                elif "kube-apiserver" in plane.running:
                    plane.stop_server("kube-apiserver", gently=False)
            answer = await client.perform(READY)
            await asyncio.to_thread(plane.start_server, "kube-apiserver")
            opened = OpenWatch(3, HERE, "/api/v1/namespaces", (("watch", "1"), ("resourceVersion", "1")), 30.0)
            return closed, answer, [heard async for heard in client.watch(opened)]

    closed, answer, again = asyncio.run(_limited(follow()))
    assert closed == [WatchClosed(2, 200, "the connection broke off in the middle of the answer")]
    port = access.url.rsplit(":", 1)[1]
    assert answer == Answer(1, 0, error=f"cannot connect to 127.0.0.1:{port}: connection refused")
    [lines, end] = again
    assert isinstance(lines, WatchLines)
    event = json.loads(lines.lines[0])
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert end == WatchClosed(3, 200)


def test_a_limit_on_time_holds_for_the_whole_answer(control_plane: Access) -> None:
    """A watch asked for as a plain request never ends by itself."""
    query = (("watch", "1"), ("timeoutSeconds", "60"))
    answer = answer_to(control_plane.kubeconfig, Request(1, HERE, "GET", "/api/v1/namespaces", query, timeout_seconds=0.5))
    assert answer == Answer(1, 0, error="no answer within 0.5 s")


def test_a_server_gives_a_write_up_at_the_limit_that_it_was_told(control_plane: Access, namespace: str) -> None:
    """It hangs in a webhook that may take half a minute; told `timeout`, the server itself ends it, and nothing comes of it later."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections, and never says a word
        url = f"https://127.0.0.1:{deaf.getsockname()[1]}/"
        hook = {
            "name": "deaf.example.org",
            "clientConfig": {"url": url},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "timeoutSeconds": 30,
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "webhooks": [hook]}
        path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        made = json.dumps({**body, "metadata": {"name": namespace}}).encode()
        assert answer_to(control_plane.kubeconfig, Request(1, HERE, "POST", path, (), made, "application/json")).status == 201
        held = next(
            answer
            for number in range(100)  # until the server has heard of the webhook
            if (answer := answer_to(control_plane.kubeconfig, apply(f"held{number}", namespace, {}, timeout="1s"))).status != 201
        )
        assert answer_to(control_plane.kubeconfig, Request(1, HERE, "DELETE", f"{path}/{namespace}")).status == 200
    assert held.status in (500, 504) or (held.status, held.error) == (0, "the server hung up before it answered")


def _all_of(plane: Access, opened: OpenWatch) -> list[WatchLines | WatchClosed]:
    async def follow() -> list[WatchLines | WatchClosed]:
        async with client_of(plane.kubeconfig) as client:
            return [heard async for heard in client.watch(opened)]

    return asyncio.run(_limited(follow()))


async def _limited(work: Coroutine[Any, Any, T]) -> T:
    async with asyncio.timeout(60):
        return await work


def _cluster(url: str, authority: trustme.CA) -> dict[str, Any]:
    ca = base64.b64encode(authority.cert_pem.bytes()).decode()
    return {"name": "test", "cluster": {"server": url, "certificate-authority-data": ca}}


def _plugin(folder: Path, status: dict[str, str]) -> dict[str, Any]:
    """An exec entry that prints `status` as an ExecCredential."""
    version = "client.authentication.k8s.io/v1"
    output = folder / "credential.json"
    output.write_text(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))
    return {"apiVersion": version, "command": "cat", "args": [str(output)], "interactiveMode": "Never"}
