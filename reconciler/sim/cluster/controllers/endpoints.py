"""Endpoints: the older form of EndpointSlices, one object a Service.

Law of the module: the object has the name and labels of its Service and goes with it; ready pods stand in `addresses`, others in
`notReadyAddresses`. Source: pkg/controller/endpoint of Kubernetes 1.36.
"""

from __future__ import annotations

from reconciler.sim.cluster import metadata
from reconciler.sim.cluster.resources import Storage
from reconciler.sim.cluster.store import Json

from .base import Item, World, labels_of

ENDPOINTS = Storage("", "endpoints")
_MANAGED = {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}
_HEADLESS = {"service.kubernetes.io/headless": ""}
_CHANGED = "endpoints.kubernetes.io/last-change-trigger-time"


def write(world: World, service: Json, endpoints: list[Json], ports: list[Json], now: float) -> None:
    """Bring the Endpoints of a Service to what its slices say."""
    meta = service["metadata"]
    item = Item(ENDPOINTS, meta["namespace"], meta["name"])
    labels = {**labels_of(service), **_MANAGED, **(_HEADLESS if service["spec"].get("clusterIP") == "None" else {})}
    subsets = _subsets(endpoints, ports)
    old = world.get(item)
    if old is not None and (old.get("subsets") or [], labels_of(old)) == (subsets, labels):
        return
    notes = {_CHANGED: metadata.timestamp(now)}
    if old is None:
        head = {"name": item.name, "namespace": item.namespace, "labels": labels, "annotations": notes}
        world.create(ENDPOINTS, {"metadata": head, "subsets": subsets}, now)
        return

    def edit(obj: Json) -> None:
        obj["metadata"]["labels"] = labels
        obj["metadata"]["annotations"] = {**(obj["metadata"].get("annotations") or {}), **notes}
        obj["subsets"] = subsets

    world.change(item, now, edit)


def _subsets(endpoints: list[Json], ports: list[Json]) -> list[Json]:
    if not endpoints or not ports:
        return []
    made: Json = {}
    for endpoint in sorted(endpoints, key=lambda e: str(e["addresses"][0])):
        address = {"ip": endpoint["addresses"][0], "nodeName": endpoint["nodeName"], "targetRef": endpoint["targetRef"]}
        made.setdefault("addresses" if endpoint["conditions"]["ready"] else "notReadyAddresses", []).append(address)
    made["ports"] = [{name: value for name, value in port.items() if value != ""} for port in ports]
    return [made]
