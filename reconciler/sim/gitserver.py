"""A real Git server on loopback: `git http-backend` behind a small threaded HTTP server.

Law of the module: the protocol is Git's own; nothing here knows packs or refs. What the front adds is what tests and the demo need
of a forge: passwords and tokens, TLS, redirects, hooks that refuse, a moment between the advertisement of refs and the update (for
lost races), and a count of what was asked. It serves bare repositories of one folder, to read and to write, by name.

It binds to loopback and speaks for as long as its `with` block runs. It needs the `git` command: `installed()` says whether it
is there.

Sources: gitprotocol-http(5) for the paths, git-http-backend(1) and RFC 3875 for the environment.
"""

from __future__ import annotations

import base64
import hmac
import os
import shutil
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import IO, Self

REQUEST_LIMIT_BYTES = 256 << 20  # the longest body of one request
COPY_BYTES = 64 << 10
STOP_SECONDS = 10.0

SERVICES = {
    ("GET", "git-upload-pack"): "listing",
    ("GET", "git-receive-pack"): "push listing",
    ("POST", "git-upload-pack"): "fetch",
    ("POST", "git-receive-pack"): "push",
}


def installed() -> bool:
    """Whether this machine has the `git` command with its HTTP half."""
    return shutil.which("git") is not None


class GitServer:
    """Serves the bare repositories under `root` at `url(name)` while its `with` block runs.

    Attributes that may be changed while it runs:
        users: name → password for basic authentication; with `tokens` empty too, everybody may read and write.
        tokens: bearer tokens that are let in.
        redirects: repository name → address to send the client to (its last part, the service, is added).
        status: repository name → HTTP status to answer with instead of serving.
        before_update: called with the repository's name between the advertisement of refs and a push's update.
        while_fetching: called with the repository's name before the pack of a fetch is sent.
        counts: requests by word ("listing", "fetch", "push listing", "push") that Git answered, "refused" for 401.
        authorizations: what each request carried as Authorization header ("" for none), in order.
    """

    def __init__(self, root: Path, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.root = root.resolve()
        self.host = host
        self.users: dict[str, str] = {}
        self.tokens: tuple[str, ...] = ()
        self.redirects: dict[str, str] = {}
        self.status: dict[str, int] = {}
        self.before_update: Callable[[str], None] = _nothing
        self.while_fetching: Callable[[str], None] = _nothing
        self.counts: Counter[str] = Counter()
        self.authorizations: list[str] = []
        self.lock = threading.Lock()
        self._server = _Server((host, port), _Handler)
        self._server.git = self
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gitserver", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(STOP_SECONDS)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def url(self, name: str, host: str = "") -> str:
        """The address of repository `name`; `host` for another name of this machine ("localhost")."""
        return f"{self._scheme}://{host or self.host}:{self.port}/{name}.git"

    def path(self, name: str) -> Path:
        """Where repository `name` lies."""
        return self.root / f"{name}.git"

    def create(self, name: str, branch: str = "main") -> Path:
        """Make an empty bare repository, and say where it lies."""
        path = self.path(name)
        command = ["git", "init", "-q", "--bare", f"--initial-branch={branch}", "--", str(path)]
        subprocess.run(command, check=True, env=environment(), timeout=60)  # noqa: S603
        return path

    def refuse_pushes(self, name: str, reason: str = "") -> None:
        """Install a pre-receive hook that says `reason` and refuses; with no reason, remove it."""
        hook = self.path(name) / "hooks" / "pre-receive"
        if not reason:
            hook.unlink(missing_ok=True)
            return
        hook.parent.mkdir(exist_ok=True)
        (self.path(name) / "refusal").write_text(reason + "\n", encoding="utf-8")
        hook.write_text("#!/bin/sh\ncat refusal >&2\nexit 1\n", encoding="utf-8")  # hooks run in the repository
        hook.chmod(0o755)


def environment() -> dict[str, str]:
    """The environment in which Git runs here: no configuration of the machine or of its user, no prompt."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def _nothing(_name: str) -> None:
    """Do nothing: the hook points' rest state."""


class _Server(ThreadingHTTPServer):
    """One thread a connection; a client that goes away in the middle is no error of ours."""

    daemon_threads = True
    git: GitServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: the client has gone, or spoke no TLS; what it sees is its own test's matter."""


class _Handler(BaseHTTPRequestHandler):
    """One HTTP request of Git's smart protocol."""

    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 60.0  # a connection without a byte

    def do_GET(self) -> None:
        """The advertisement of refs."""
        self._serve()

    def do_POST(self) -> None:
        """A fetch or a push."""
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: tests and the demo have output of their own."""

    def _serve(self) -> None:
        git = self.server.git
        path, _, query = self.path.partition("?")
        name = path.lstrip("/").partition(".git/")[0]
        service = query.removeprefix("service=") if self.command == "GET" else path.rpartition("/")[2]
        word = SERVICES.get((self.command, service))
        authorization = self.headers.get("Authorization", "")
        body = self._body()
        if body is None or word is None or not git.path(name).resolve().is_relative_to(git.root):
            return self._answer(404)
        with git.lock:
            git.authorizations.append(authorization)
        if name in git.redirects:
            suffix = path.partition(".git")[2] + ("?" + query if query else "")
            return self._answer(302, {"Location": git.redirects[name] + suffix})
        user = _who(git, authorization)
        if user is None:
            with git.lock:
                git.counts["refused"] += 1
            return self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'})
        if name in git.status:
            return self._answer(git.status[name])
        if word == "push":
            git.before_update(name)
        if word == "fetch":
            git.while_fetching(name)
        with git.lock:
            git.counts[word] += 1
        return self._backend(path, query, user, body)

    def _body(self) -> bytes | None:
        """The request's body; None where it is longer than the limit or broken."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            length = int(self.headers.get("Content-Length") or 0)
            return self.rfile.read(length) if 0 <= length <= REQUEST_LIMIT_BYTES else None
        parts: list[bytes] = []
        total = 0
        while size := int(self.rfile.readline(64).split(b";")[0], 16):
            total += size
            if total > REQUEST_LIMIT_BYTES:
                return None
            parts.append(self.rfile.read(size))
            self.rfile.readline(64)
        while self.rfile.readline(1024).strip():
            pass  # trailers
        return b"".join(parts)

    def _answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _backend(self, path: str, query: str, user: str, body: bytes) -> None:
        settings = {"http.receivepack": "true", "receive.autogc": "false", "safe.directory": "*"}
        env = environment() | {
            "GIT_PROJECT_ROOT": str(self.server.git.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": user,
            "REMOTE_ADDR": self.client_address[0],
            "GIT_CONFIG_COUNT": str(len(settings)),
        }
        for index, (key, value) in enumerate(settings.items()):
            env |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
        with subprocess.Popen(
            ["git", "http-backend"],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
        ) as backend:
            assert backend.stdin is not None and backend.stdout is not None
            # The backend may answer before it has read all: write beside, so that neither waits for the other.
            writer = threading.Thread(target=_feed, args=(backend.stdin, body))
            writer.start()
            try:
                self._relay(backend.stdout)
            finally:
                backend.stdout.close()
                backend.kill()
                writer.join()

    def _relay(self, source: IO[bytes]) -> None:
        """Turn the backend's CGI answer into HTTP, as it comes."""
        status = 200
        headers: list[tuple[str, str]] = []
        while line := source.readline(8192).strip():
            key, _, value = line.decode("latin-1").partition(":")
            if key.lower() == "status":
                status = int(value.split()[0])
            else:
                headers.append((key, value.strip()))
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while block := source.read(COPY_BYTES):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        self.wfile.write(b"0\r\n\r\n")


def _feed(sink: IO[bytes], body: bytes) -> None:
    """Write `body` and close; a backend that has already answered may have closed its end."""
    try:
        with sink:
            sink.write(body)
    except BrokenPipeError:
        return


def _who(git: GitServer, authorization: str) -> str | None:
    """The name of whoever asks; None for nobody that is let in."""
    if not git.users and not git.tokens:
        return "anybody"
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        known = [token for token in git.tokens if hmac.compare_digest(token.encode(), value.encode())]
        return "token" if known else None
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return None
    expected = git.users.get(user)
    return user if expected is not None and hmac.compare_digest(expected.encode(), password.encode()) else None
