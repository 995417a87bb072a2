"""What is rendered is what a real API server takes: each object of every good case, by a dry run with strict field validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.controlplane.plane import Access

from .cases import cases, run, types

pytestmark = pytest.mark.real


def test_a_real_server_takes_what_is_rendered(control_plane: Access, namespace: str) -> None:
    refused, kinds = [], dict[str, int]()
    for case, body in _rendered(namespace):
        kinds[body["kind"]] = kinds.get(body["kind"], 0) + 1
        status, answer = _dry_run(control_plane, body)
        if status not in (200, 201):
            refused.append((case, body["kind"], answer.get("message")))
    assert refused == []
    assert kinds == {"Deployment": 9, "Service": 4, "ConfigMap": 20, "Ingress": 3, "Secret": 2, "ClusterRole": 2, "ServiceAccount": 1}


def test_a_moved_version_is_an_update_in_place(control_plane: Access, namespace: str) -> None:
    """A Deployment made by one version takes another: nothing of it that cannot change differs."""
    uids = []
    for image, port in (("web:1", 80), ("web:2", 81)):
        component = {"name": f"c{port}", "properties": {"container.image": image}}
        ports = {"service.ports": f'[{{"port":{port}}}]'}
        for one in run({"namespace": namespace, "spec": {"metadata": ports, "components": [component]}}).objects:
            status, answer = _apply(control_plane, one.json, "")
            assert status in (200, 201), answer
            uids.append(answer["metadata"]["uid"])
    assert len(uids) == 4
    assert uids[:2] == uids[2:]


def _rendered(namespace: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the good cases whose kind the server has, in the test's namespace."""
    for case in [*cases("containers.yaml"), *cases("others.yaml")]:
        for one in run(case).objects:
            if one.json["kind"] != "Widget":
                if "namespace" in one.json["metadata"]:
                    one.json["metadata"]["namespace"] = namespace
                yield case["name"], one.json


def _dry_run(plane: Access, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return _apply(plane, body, "&dryRun=All")


def _apply(plane: Access, body: dict[str, Any], more: str) -> tuple[int, dict[str, Any]]:
    group, _, version = body["apiVersion"].rpartition("/")
    kind = types().kind(group, version, body["kind"])
    assert kind is not None
    about = body["metadata"]
    top = f"/apis/{group}/{version}" if group else f"/api/{version}"
    where = f"/namespaces/{about['namespace']}" if kind.namespaced else ""
    path = f"{top}{where}/{kind.plural}/{about['name']}?fieldManager=test&fieldValidation=Strict{more}"
    return plane.request("PATCH", path, body, "application/apply-patch+yaml")
