"""One Kubernetes control plane: etcd and the API server; with controllers also the controller manager, scheduler and kwok.

Law of the module: every server listens on loopback alone, on ports that were free; what was started is stopped by its own
process, the API server before etcd (else it hangs); data is thrown away, logs stay in the plane's folder. Ready in 3 to 5 s.

The API server's certificate is from a certificate authority of the plane's own, which also signs client certificates. Two users
have tokens: `token` may do everything, `powerless_token` nothing.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import socket
import ssl
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.waiting import until

from .build import program

HERE = Path(__file__).parent
START_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 10.0
START_TRIES = 3  # a free port may be taken between asking and listening
NODES = 2


class StartError(Exception):
    """A server did not start; says which and the end of its log."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one plane: all that a test in another process needs. JSON in and out."""

    url: str
    etcd_url: str
    token: str
    powerless_token: str
    ca_pem: str
    client_cert_pem: str
    client_key_pem: str
    kubeconfig_path: str
    kubectl_path: str
    pids: dict[str, int]

    @property
    def kubeconfig(self) -> dict[str, Any]:
        """A kubeconfig of one context, `test`, as the user who may do everything."""
        cluster = {"server": self.url, "certificate-authority-data": base64.b64encode(self.ca_pem.encode()).decode()}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": self.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[int, dict[str, Any]]:
        """One request as the user who may do everything: (status, decoded body). For arranging and judging in tests."""
        host, port = self.url.removeprefix("https://").split(":")
        context = ssl.create_default_context(cadata=self.ca_pem)
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] == b"{" else {"text": text.decode()}
        finally:
            connection.close()

    def kubectl(self, *words: str, given: str = "") -> str:
        """What `kubectl` prints; `given` is its standard input. Raises CalledProcessError with what it said."""
        command = [self.kubectl_path, "--kubeconfig", self.kubeconfig_path, *words]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60).stdout


class ControlPlane:
    """A control plane in `folder`, from the binaries in `binaries`; a context manager."""

    def __init__(self, binaries: Path, folder: Path, *, controllers: bool = True) -> None:
        self.binaries = binaries
        self.folder = folder
        self.controllers = controllers
        self.access: Access | None = None
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}

    def __enter__(self) -> Access:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> Access:
        """Start every server and wait until all are ready.

        Raises:
            StartError: one ended or was not ready in time; nothing is left running.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for tries_left in reversed(range(START_TRIES)):
            try:
                return self._start_once()
            except StartError as error:
                self.stop()
                # kwok 0.8.0 writes one of its maps from two threads when it starts: seldom, but then it ends.
                if not tries_left or not ("address already in use" in str(error) or str(error).startswith("kwok ended")):
                    raise
            except BaseException:
                self.stop()
                raise
        raise AssertionError("unreachable: the last try returns or raises")

    def stop(self) -> None:
        """Stop what runs, in reverse order of starting, at once: the data is thrown away."""
        for name in reversed(self.running):
            self.stop_server(name, gently=False)
        for file in sorted((self.folder / "etcd").rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the servers that we have started and not stopped."""
        return tuple(self._running)

    def stop_server(self, name: str, *, gently: bool = True) -> None:
        """Stop one server; not gently is a crash."""
        process = self._running.pop(name)
        process.terminate() if gently else process.kill()
        try:
            process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start_server(self, name: str) -> None:
        """Start again a server that was stopped, where and with what it had."""
        self._launch(name, self._commands[name])
        if name == "kube-apiserver":
            assert self.access is not None
            self._until_ready(self.access)

    def _start_once(self) -> Access:
        ports = _free_ports(6)
        access = self._write_files(f"https://127.0.0.1:{ports[2]}", f"http://127.0.0.1:{ports[0]}")
        self._launch("etcd", _etcd(ports[0], ports[1]))
        self._launch("kube-apiserver", _api_server(ports[0], ports[2]))
        self._until_ready(access)
        if self.controllers:
            self._launch("kube-controller-manager", _controller_manager(ports[3]))
            self._launch("kube-scheduler", _scheduler(ports[4]))
            self._launch("kwok", _kwok(ports[5]))
            self._until_pods_can_run(access)
        access.pids.update({name: process.pid for name, process in self._running.items()})
        self.access = access
        return access

    def _write_files(self, url: str, etcd_url: str) -> Access:
        """Keys, certificates, tokens and the kubeconfig."""
        authority = trustme.CA()
        serving = authority.issue_cert("127.0.0.1", "localhost")
        serving.private_key_pem.write_to_path(self.folder / "serving.key")
        serving.cert_chain_pems[0].write_to_path(self.folder / "serving.crt")
        authority.cert_pem.write_to_path(self.folder / "ca.crt")
        client = authority.issue_cert("admin.test", common_name="by-certificate", organization_name="system:masters")
        key = ec.generate_private_key(ec.SECP256R1())
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        (self.folder / "sa.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain))
        public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "sa.pub").write_bytes(public)
        access = Access(
            url=url,
            etcd_url=etcd_url,
            token=secrets.token_hex(16),
            powerless_token=secrets.token_hex(16),
            ca_pem=authority.cert_pem.bytes().decode(),
            client_cert_pem=client.cert_chain_pems[0].bytes().decode(),
            client_key_pem=client.private_key_pem.bytes().decode(),
            kubeconfig_path=str(self.folder / "kubeconfig"),
            kubectl_path=program(self.binaries, "kubectl"),
            pids={},
        )
        users = f"{access.token},admin,admin,system:masters\n{access.powerless_token},powerless,powerless\n"
        (self.folder / "tokens.csv").write_text(users)
        Path(access.kubeconfig_path).write_text(json.dumps(access.kubeconfig, indent=1))
        return access

    def _launch(self, name: str, arguments: list[str]) -> None:
        self._commands[name] = arguments
        command = [program(self.binaries, name), *arguments]
        with (self.folder / f"{name}.log").open("ab") as log:
            # A session of their own: an interrupt at the keyboard is for the test runner, which stops them in order.
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._running[name] = process

    def _until_ready(self, access: Access) -> None:
        self._until(lambda: access.request("GET", "/readyz")[0] == 200, "the API server to be ready")

    def _until_pods_can_run(self, access: Access) -> None:
        for number in range(1, NODES + 1):
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{number}"}}
            access.request("POST", "/api/v1/nodes", node)
        self._until(lambda: _nodes_ready(access) == NODES, "the nodes to be ready")
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._until(lambda: access.request("GET", account)[0] == 200, "the default service account")

    def _until(self, look: Any, what: str) -> None:
        """Wait, but not for the dead."""

        def looked() -> bool:
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise StartError(f"{name} ended with {process.returncode}:\n{self._end_of_log(name)}")
            try:
                return bool(look())
            except OSError:  # not listening yet
                return False

        try:
            until(looked, what, START_LIMIT_SECONDS)
        except TimeoutError as error:
            logs = "\n".join(f"-- {name}\n{self._end_of_log(name)}" for name in self._running)
            raise StartError(f"{error}\n{logs}") from None

    def _end_of_log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]


def _nodes_ready(access: Access) -> int:
    _, nodes = access.request("GET", "/api/v1/nodes")
    conditions = [c for node in nodes["items"] for c in node.get("status", {}).get("conditions", [])]
    tainted = any(node["spec"].get("taints") for node in nodes["items"])
    return 0 if tainted else sum(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _etcd(clients: int, peers: int) -> list[str]:
    client, peer = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    return [
        "--data-dir=etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=error",
    ]


def _api_server(etcd: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--tls-cert-file=serving.crt",
        "--tls-private-key-file=serving.key",
        "--client-ca-file=ca.crt",
        "--service-account-key-file=sa.pub",
        "--service-account-signing-key-file=sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--token-auth-file=tokens.csv",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--endpoint-reconciler-type=none",
    ]


def _controller_manager(port: int) -> list[str]:
    return [
        "--kubeconfig=kubeconfig",
        "--service-account-private-key-file=sa.key",
        "--use-service-account-credentials=false",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--cert-dir=controller-manager",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def _scheduler(port: int) -> list[str]:
    return [
        "--kubeconfig=kubeconfig",
        "--authentication-kubeconfig=kubeconfig",
        "--authorization-kubeconfig=kubeconfig",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--cert-dir=scheduler",
        "--leader-elect=false",
    ]


def _kwok(port: int) -> list[str]:
    return [
        "--kubeconfig=kubeconfig",
        "--manage-all-nodes=true",
        "--node-lease-duration-seconds=0",  # with leases, a kwok that starts again waits for the old one to end
        f"--server-address=127.0.0.1:{port}",
        "--cidr=10.244.0.0/16",
        f"--config={HERE / 'stages.yaml'}",
    ]
