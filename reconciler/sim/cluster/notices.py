"""What the server warns of without refusing it: the Warning headers of creates, updates and patches of built-in kinds.

Law of the module: pure; one function a kind; paths and sentences are those of kube-apiserver 1.36 (pkg/api/*/warnings.go). Warnings
that people do not run into are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.lib import quantity

from . import metadata
from .resources import Resource

Json = dict[str, Any]

_NANOS = 10**9
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
    if resource.custom:
        return []
    if key == ("networking.k8s.io", "Ingress") and "kubernetes.io/ingress.class" in obj["metadata"].get("annotations", {}):
        return ["annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"]
    if key == ("", "Service") and obj["spec"].get("clusterIP") == "None" and obj["spec"].get("sessionAffinity") != "None":
        return ["spec.SessionAffinity is ignored for headless services"]
    path = _TEMPLATES.get(key)
    if path is None:
        return []
    spec: Any = obj
    for name in path.split("."):
        spec = spec.get(name) if isinstance(spec, dict) else None
    found = list(_pod_spec(spec, path)) if isinstance(spec, dict) else []
    if key == ("", "Pod") and (words := metadata.label_words(obj["metadata"]["name"])):
        # Of a dot it says so first, and then no more of the letters.
        said = "must not contain dots" if "." in obj["metadata"]["name"] else ", ".join(words)
        text = "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended"
        found.insert(0, f"{text}: [{said}]")
    return found


def _pod_spec(spec: Json, path: str) -> Iterator[str]:
    for at, spread in enumerate(spec.get("topologySpreadConstraints") or ()):
        if spread.get("labelSelector") is None:
            yield f"{path}.topologySpreadConstraints[{at}].labelSelector: a null labelSelector results in matching no pod"
    for part in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(part) or ()):
            yield from _container(container, f"{path}.{part}[{at}]")


def _container(container: Json, path: str) -> Iterator[str]:
    for side in ("limits", "requests"):
        for name in ("ephemeral-storage", "memory"):
            amount = ((container.get("resources") or {}).get(side) or {}).get(name)
            if amount is not None and quantity.parse(amount).nanos % _NANOS:
                yield f'{path}.resources.{side}[{name}]: fractional byte value "{amount}" is invalid, must be an integer'
    names: dict[str, None] = {}
    for at, variable in enumerate(container.get("env") or ()):
        name = variable.get("name", "")
        if name in names and variable.get("value", "") != f"$({name})":
            yield f'{path}.env[{at}]: hides previous definition of "{name}", which may be dropped when using apply'
        names[name] = None
    ports: dict[tuple[Any, ...], str] = {}
    for at, port in enumerate(container.get("ports") or ()):
        key = tuple(port.get(name) for name in ("containerPort", "protocol", "hostIP", "hostPort"))
        if key in ports:
            yield f"{path}.ports[{at}]: duplicate port definition with {ports[key]}"
        ports.setdefault(key, f"{path}.ports[{at}]")
