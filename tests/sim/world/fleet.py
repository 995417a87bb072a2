"""Files of staged instances, with the solutions and targets that they name: what people write in simulated worlds.

Law of the module: no more of Symphony than `stage_truth` can read. What an object holds says which solution it is of.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

Json = dict[str, Any]


def at(wall: float) -> str:
    """A schedule for an instant."""
    return dt.datetime.fromtimestamp(int(wall), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def solution(name: str, content: int, parts: int = 2, replicas: int = 0) -> str:
    """A Solution of one container, and a ConfigMap where it has two parts."""
    says = f"{name}:{content}"
    web = {"name": "web", "type": "container", "properties": {"container.image": says}}
    config = {"name": f"{name.partition('-')[0]}-settings", "type": "config", "properties": {"v": says}}
    spec = {"metadata": {"deployment.replicas": f"#{replicas}"}, "components": [web, config][:parts]}
    return _file("solution.symphony/v1", "Solution", name, spec)


def target(name: str, cluster: str, label: str, scope: str = "") -> str:
    """A Target with a scope of its own."""
    web = {"role": "instance", "provider": "providers.target.k8s", "config": {"cluster": cluster}}
    bindings = [web, {"role": "config", "provider": "providers.target.configmap"}]
    spec = {"solutionScope": scope or f"at-{name}", "properties": {"label": label, "fleet": "all"}, "topologies": [{"bindings": bindings}]}
    return _file("fabric.symphony/v1", "Target", name, spec)


def instance(name: str, stage: str, weights: tuple[int, ...] = (30, 70), notes: Json | None = None, **more: Any) -> str:
    """An Instance with two rings and a canary, all of solutions of its own."""
    versions = [{"solution": f"{name}-v{n + 1}", "weight": weight} for n, weight in enumerate(weights)]
    stages = [
        {"name": "ring0", "solution": f"{name}-v1", "target": {"selector": {"label": "ring0"}}},
        {"name": "ring1", "solution": f"{name}-v2", "target": {"selector": {"label": "ring1"}}},
        {"name": "canary", "versions": versions, "target": {"selector": {"fleet": "all"}}},
    ]
    spec = {"stage": stage, "solution": f"{name}-v0", "target": {"name": "t1"}, "stages": stages, **more}
    return _file("solution.symphony/v1", "Instance", name, spec, notes)


def _file(api: str, kind: str, name: str, spec: Json, notes: Json | None = None) -> str:
    metadata = {"name": name, **({"annotations": notes} if notes else {})}
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})
