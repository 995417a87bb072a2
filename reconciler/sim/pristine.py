"""What an API server makes of a manifest: quantities in their short form, fields that it does not know left out, its own namespace.

Law of the module: asked of an embedded server that holds nothing but the definitions of the same tree, by dry runs; what it refuses stays
as it was written. Only what the manifest says is in the answer, no defaults: it is what checks compare live objects with
(`truth`), where the manifests are anybody's and not ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .cluster.cluster import Cluster
from .cluster.http import Request
from .cluster.resources import Resource

APPLY = "application/apply-patch+yaml"
DEFINITION = "CustomResourceDefinition"
STEP_SECONDS = 1.0

Json = dict[str, Any]


class Pristine:
    """An API server that is asked and nothing else. `namespaces` are those of manifests that name none, by cluster."""

    def __init__(self, namespaces: Mapping[str, str]) -> None:
        self._namespaces = namespaces
        self._cluster = Cluster("pristine")
        self._now = 0.0
        self._answers: dict[tuple[str, str, int], Json] = {}
        self._definitions: dict[str, None] = {}
        self._there: dict[str, None] = {}

    def define(self, body: Json) -> None:
        """A definition stands in the tree: what it defines can be asked for."""
        text = json.dumps(body)
        if text not in self._definitions:
            self._definitions[text] = None
            self._ask(body, "", dry=False)

    def stored(self, cluster: str, body: Json) -> Json:
        """A manifest as a server would hold it, with the namespace that it gets."""
        text = json.dumps(body)
        key = (self._namespaces.get(cluster, "default"), text, len(self._definitions))
        if key not in self._answers:
            found = self._ask(body, key[0], dry=True)
            answer = body if found is None else _restricted(found, body)
            namespace = None if found is None else found["metadata"].get("namespace")
            metadata = {name: value for name, value in answer["metadata"].items() if name != "namespace"}
            given = body["metadata"].get("namespace") if found is None else namespace
            self._answers[key] = {**answer, "metadata": {**metadata, **({"namespace": given} if given else {})}}
        return self._answers[key]

    def _ask(self, body: Json, namespace: str, *, dry: bool) -> Json | None:
        resource = self._resource(body)
        if resource is None:
            return None
        metadata = body["metadata"]
        inside = metadata.get("namespace") or namespace if resource.namespaced else ""
        if inside:
            self._see_to(inside)
        top = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.api_version}"
        path = f"{top}{f'/namespaces/{inside}' if inside else ''}/{resource.plural}/{metadata['name']}"
        clean = {k: v for k, v in metadata.items() if k != "namespace"}
        sent = {**body, "metadata": {**clean, **({"namespace": inside} if inside else {})}}
        return self._patch(path, sent, dry=dry)

    def _resource(self, body: Json) -> Resource | None:
        group, _, version = body["apiVersion"].rpartition("/")
        served = self._cluster.catalogue.versions().get((group, version), {})
        return next((resource for resource in served.values() if resource.kind == body["kind"]), None)

    def _see_to(self, namespace: str) -> None:
        if namespace not in self._there:
            self._there[namespace] = None
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            self._patch(f"/api/v1/namespaces/{namespace}", body, dry=False)

    def _patch(self, path: str, body: Json, *, dry: bool) -> Json | None:
        query = (("fieldManager", "pristine"), ("force", "true"), *((("dryRun", "All"),) if dry else ()))
        answer = self._cluster.handle(Request("PATCH", path, query, json.dumps(body).encode(), APPLY), self._now)
        if not dry:
            self._now += STEP_SECONDS
            self._cluster.tick(self._now)
        return json.loads(answer.body) if answer.status < 300 else None


def _restricted(found: Any, asked: Any) -> Any:
    """What was found, as far as it was asked for."""
    if isinstance(asked, dict) and isinstance(found, dict):
        return {key: _restricted(found[key], value) for key, value in asked.items() if key in found}
    if isinstance(asked, list) and isinstance(found, list) and len(asked) == len(found):
        return [_restricted(a, b) for a, b in zip(found, asked, strict=True)]
    return found
