"""What a new cluster holds before anybody uses it.

Law of the module: what a fresh control plane has that people and tools look at: namespaces, nodes, the kubernetes Service, priority
classes, the role that lets everything through. Bootstrap roles of components that do not run here are left out.
"""

from __future__ import annotations

from reconciler.sim.cluster.resources import Storage
from reconciler.sim.cluster.store import Json

from . import nodes
from .base import NAMESPACES, NODES, SERVICES, Item, World

SERVER = "kube-apiserver"
_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_ADDRESS = "10.0.0.1"


def populate(world: World, now: float) -> None:
    """Create it."""
    for name in ("kube-system", "kube-public", "kube-node-lease", "default"):
        world.create(NAMESPACES, {"metadata": {"name": name}}, now, SERVER)
    for name, value in _CLASSES.items():
        body: Json = {"metadata": {"name": name}, "value": value, "description": "Used for system critical pods."}
        world.create(Storage("scheduling.k8s.io", "priorityclasses"), body, now, SERVER)
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]
    role: Json = {"metadata": {"name": "cluster-admin"}, "rules": rules}
    world.create(Storage("rbac.authorization.k8s.io", "clusterroles"), role, now, SERVER)
    world.create(SERVICES, _kubernetes(), now, SERVER)
    for number in range(1, world.settings.nodes + 1):
        _node(world, f"node-{number}", number, now)


def _kubernetes() -> Json:
    labels = {"component": "apiserver", "provider": "kubernetes"}
    spec = {
        "clusterIP": _ADDRESS,
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        "ipFamilyPolicy": "SingleStack",
    }
    return {"metadata": {"name": "kubernetes", "namespace": "default", "labels": labels}, "spec": spec}


def _node(world: World, name: str, number: int, now: float) -> None:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    body: Json = {"metadata": {"name": name, "labels": labels}, "spec": {"podCIDR": f"10.244.{number}.0/24"}}
    world.create(NODES, body, now, "kubelet")
    nodes.report(world, Item(NODES, "", name), now, f"192.168.0.{number}")
