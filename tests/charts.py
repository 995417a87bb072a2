"""A chart repository on loopback, from files that a test writes.

Law of the module: plain HTTP on a free port of this machine; what was asked for is counted. Helm asks loopback without any proxy.
"""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

CHUNK = bytes(1 << 20)

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-config"}
data: {{ toJson (merge (dict "version" .Chart.Version) (default dict .Values.data)) }}
"""


class ChartServer:
    """Serves `index.yaml` and archives. A context manager; `endless` names an archive that never ends."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.files: dict[str, bytes] = {}
        self.endless = ""
        self._entries: dict[str, list[dict[str, Any]]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ChartServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, name: str, version: str, files: Mapping[str, str] | None = None) -> None:
        """A version of a chart: its templates, and other files, by their paths in it."""
        about = json.dumps({"apiVersion": "v2", "name": name, "version": version})
        contents = {"Chart.yaml": about, **(files if files is not None else {"templates/config.yaml": CONFIG})}
        self.files[f"/{name}-{version}.tgz"] = archive({f"{name}/{path}": text for path, text in contents.items()})
        entry = {"apiVersion": "v2", "name": name, "version": version, "urls": [f"{name}-{version}.tgz"]}
        self._entries.setdefault(name, []).append(entry)
        self.files["/index.yaml"] = json.dumps({"apiVersion": "v1", "entries": self._entries}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                body = server.files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                while self.path == server.endless:
                    try:
                        self.wfile.write(CHUNK)
                    except OSError:
                        return
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def archive(files: Mapping[str, str]) -> bytes:
    """Files as Helm packs them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()
