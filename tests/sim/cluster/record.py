"""Asks a real API server what it answers to the cases, and writes that down beside them.

    python -m tests.sim.cluster.record https://127.0.0.1:6443 TOKEN [case file …]

The server should have no controllers: they would write too. Every step gets a second of its own, because ownership is
written in whole seconds; in the answers a time is the number of its step.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from reconciler.sim.cluster.resources import table
from tests.sim.cluster.machine import CASES, CONTENT_TYPES, body_of, clock, definition_kind, definitions, normal, query_of
from tests.waiting import until

Json = dict[str, Any]


class Server:
    """A real API server."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token
        self.tls = ssl._create_unverified_context()  # a test server on loopback signs for itself

    def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> tuple[int, Json]:
        """One request."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self.tls) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def main() -> None:
    """Record every case, or those of the files that are named."""
    server = Server(sys.argv[1].rstrip("/"), sys.argv[2])
    install_definitions(server)
    for file in [Path(name) for name in sys.argv[3:]] or sorted(CASES.glob("*.yaml")):
        if file.name == "definitions.yaml":
            continue
        answers = {case["name"]: record(server, case) for case in yaml.safe_load(file.read_text())}
        lines = [f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(step) for step in steps) + "]" for name, steps in answers.items()]
        file.with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
        print(file.name, len(answers))


def install_definitions(server: Server) -> None:
    """Make the custom kinds, and wait until they are served."""
    for definition in definitions().values():
        name = definition["metadata"]["name"]
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        server.ask("PATCH", path + "?fieldManager=test&force=true", definition, CONTENT_TYPES["apply"])
        spec = definition["spec"]
        served = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        wait_for(server, served)


def wait_for(server: Server, path: str) -> None:
    """Wait until a path is served."""
    until(lambda: server.ask("GET", path)[0] == 200, f"{path} being served")


def next_second() -> None:
    """Wait until the clock shows another second."""
    second = int(time.time())
    until(lambda: int(time.time()) > second, "the next second")


def record(server: Server, case: Json) -> list[Json]:
    """The answers to the steps of one case."""
    kind = table().kinds.get(case["kind"]) or definition_kind(case["kind"])
    group = f"apis/{kind.group}" if kind.group else "api"
    place = f"/{group}/{kind.version}/" + ("namespaces/default/" if kind.namespaced else "") + kind.plural
    remove(server, f"{place}/x")
    answers: list[Json] = []
    times: dict[str, str] = {}
    for number, step in enumerate(case["steps"]):
        next_second()
        verb, body = body_of(step, kind)
        on = f"/{step['on']}" if step.get("on") else ""
        method = {"create": "POST", "put": "PUT"}.get(verb, "PATCH")
        path = place + query_of(step) if verb == "create" else f"{place}/x{on}{query_of(step)}"
        code, answer = server.ask(method, path, body, CONTENT_TYPES[verb])
        for entry in answer.get("metadata", {}).get("managedFields", ()):
            if "time" in entry:
                entry["time"] = times.setdefault(entry["time"], clock(number))
        answers.append({"code": code, "body": normal(answer)})
    remove(server, f"{place}/x")
    return answers


def remove(server: Server, path: str) -> None:
    """Delete an object and whatever keeps it."""
    server.ask("PATCH", path, {"metadata": {"finalizers": None}}, CONTENT_TYPES["merge"])
    server.ask("DELETE", path + "?gracePeriodSeconds=0")
    if "/namespaces/x" in path:  # no controller empties it
        server.ask("PUT", path + "/finalize", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})


if __name__ == "__main__":
    main()
