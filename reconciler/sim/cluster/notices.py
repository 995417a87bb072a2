"""What the server warns of without refusing it: the Warning headers of creates, updates and patches of built-in kinds.

Law of the module: pure; one function a kind; paths and sentences are those of kube-apiserver 1.36 (pkg/api/*/warnings.go). Warnings
that people do not run into are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .resources import Resource

Json = dict[str, Any]

_TEMPLATES = {
    ("", "Pod"): "spec",
    ("", "PodTemplate"): "template.spec",
    ("", "ReplicationController"): "spec.template.spec",
    ("apps", "Deployment"): "spec.template.spec",
    ("apps", "ReplicaSet"): "spec.template.spec",
    ("apps", "StatefulSet"): "spec.template.spec",
    ("apps", "DaemonSet"): "spec.template.spec",
    ("batch", "Job"): "spec.template.spec",
    ("batch", "CronJob"): "spec.jobTemplate.spec.template.spec",
}


def notices(resource: Resource, obj: Json) -> list[str]:
    """What an object of a kind is warned of."""
    key = (resource.group, resource.kind)
    path = _TEMPLATES.get(key)
    if resource.custom or path is None:
        return []
    spec: Any = obj
    for name in path.split("."):
        spec = spec.get(name) if isinstance(spec, dict) else None
    return list(_pod_spec(spec, path)) if isinstance(spec, dict) else []


def _pod_spec(spec: Json, path: str) -> Iterator[str]:
    for at, spread in enumerate(spec.get("topologySpreadConstraints") or ()):
        if spread.get("labelSelector") is None:
            yield f"{path}.topologySpreadConstraints[{at}].labelSelector: a null labelSelector results in matching no pod"
    for part in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(part) or ()):
            yield from _container(container, f"{path}.{part}[{at}]")


def _container(container: Json, path: str) -> Iterator[str]:
    names: dict[str, None] = {}
    for at, variable in enumerate(container.get("env") or ()):
        name = variable.get("name", "")
        if name in names and variable.get("value", "") != f"$({name})":
            yield f'{path}.env[{at}]: hides previous definition of "{name}", which may be dropped when using apply'
        names[name] = None
