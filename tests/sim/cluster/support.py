"""An embedded cluster as tests drive it: requests without sockets, and a clock that moves when told."""

from __future__ import annotations

import json
from typing import Any

from reconciler.sim.cluster.cluster import Cluster
from reconciler.sim.cluster.http import Request, Response, parse_query
from reconciler.sim.cluster.settings import Settings
from reconciler.sim.cluster.watching import Cursor

Json = dict[str, Any]

JSON = "application/json"
AGENT = "test/1"
PROTOBUF = "application/vnd.kubernetes.protobuf"
START = 1_900_000_000.0
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_STEPS_LIMIT = 10_000


class Machine:
    """One cluster and its clock."""

    def __init__(self, seed: int = 1, settings: Settings | None = None) -> None:
        self.now = START
        self.cluster = Cluster("test", seed, self.now, settings or Settings())
        self.settle()

    def raw(self, method: str, path: str, body: bytes = b"", content: str = JSON, accept: str = JSON) -> Response:
        path, _, query = path.partition("?")
        return self.cluster.handle(Request(method, path, parse_query(query), body, content, accept, AGENT), self.now)

    def call(self, method: str, path: str, body: Any = None, content: str = JSON, **more: Any) -> tuple[int, Json]:
        answer = self.raw(method, path, b"" if body is None else json.dumps(body).encode(), content, **more)
        return answer.status, json.loads(answer.body)

    def ok(self, method: str, path: str, body: Any = None, content: str = JSON, **more: Any) -> Json:
        status, answer = self.call(method, path, body, content, **more)
        assert status < 300, answer
        return answer

    def watch(self, path: str, accept: str = JSON) -> Cursor:
        path, _, query = path.partition("?")
        opened = self.cluster.watch(Request("GET", path, parse_query(query), accept=accept), self.now)
        assert isinstance(opened, Cursor), opened
        return opened

    def events(self, cursor: Cursor) -> list[tuple[str, Json]]:
        documents = [json.loads(line) for line in cursor.take(self.now)]
        return [(each["type"], each["object"]) for each in documents]

    def settle(self, seconds: float = 0.0) -> None:
        """Let controllers work for some time."""
        end = self.now + seconds
        for _ in range(_STEPS_LIMIT):
            due = self.cluster.tick(self.now)
            assert self.cluster.controllers.refused == {}
            if due is None or due > end:
                self.now = end
                return
            self.now = due
        raise AssertionError("the controllers never rest")


def config_map(name: str, data: Json | None = None, **meta: Any) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}} | ({"data": data} if data else {})


def pod_spec(image: str = "web:1") -> Json:
    return {"containers": [{"name": "c", "image": image}]}


def deployment(name: str, replicas: int = 3, image: str = "web:1", labels: Json | None = None, **spec: Any) -> Json:
    template = {"metadata": {"labels": {"app": name, **(labels or {})}}, "spec": pod_spec(image)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def definition(plural: str = "widgets", kind: str = "Widget", group: str = "demo.example") -> Json:
    properties = {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1},
                "replicas": {"type": "integer", "default": 1},
                "color": {"type": "string", "enum": ["red", "blue"]},
            },
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "note": {"type": "string"}}},
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
        "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": properties}},
    }
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": ["wd"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
