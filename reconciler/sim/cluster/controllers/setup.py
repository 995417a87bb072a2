"""What a new cluster holds before anybody uses it.

Law of the module: what a fresh control plane has that people and tools look at: namespaces, nodes, the kubernetes Service, priority
classes, the role that lets everything through. Bootstrap roles of components that do not run here are left out.

What is made depends on the seed, the name, the count of nodes and the time alone, so it is made once for all clusters that agree in
these: simulations begin thousands of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from reconciler.sim.cluster.ids import Ids
from reconciler.sim.cluster.resources import Catalogue, Storage
from reconciler.sim.cluster.settings import Settings
from reconciler.sim.cluster.store import Event, Json, Store
from reconciler.sim.cluster.writes import Writes

from . import nodes
from .base import NAMESPACES, NODES, SERVICES, Item, World

SERVER = "kube-apiserver"
_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_ADDRESS = "10.0.0.1"


class _Made(NamedTuple):
    """What was stored, in order, and how many draws of names that took."""

    events: tuple[Event, ...]
    drawn: int


def populate(world: World, now: float) -> None:
    """Create it, in a cluster that holds nothing yet."""
    ids = world.ids
    made = _made(ids.seed, ids.cluster, ids.drawn, world.settings.nodes, now)
    ids.drawn = made.drawn
    for event in made.events:
        obj = event.entry.obj
        world.store.put(event.storage, {**obj, "metadata": dict(obj["metadata"])})


@lru_cache(maxsize=16)
def _made(seed: int, cluster: str, drawn: int, count: int, now: float) -> _Made:
    ids, store, events = Ids(seed, cluster, drawn), Store(), list[Event]()
    store.subscribe(events.append)
    _create(World(Writes(store, Catalogue(), ids), Settings(nodes=count)), now)
    return _Made(tuple(events), ids.drawn)


def _create(world: World, now: float) -> None:
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
