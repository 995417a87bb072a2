"""EndpointSlices and Endpoints: which pods stand behind a Service.

Law of the module: at most 100 endpoints a slice; slices are named after their Service with a generated end. Source: the endpointslice
controller of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster.store import Event, Json

from . import endpoints
from .base import MANAGER, PODS, SERVICES, SLICES, Item, World, ending, is_ready, item_of, labels_of, owners_of, reference

_SERVICE = "kubernetes.io/service-name"
_MANAGED = "endpointslice.kubernetes.io/managed-by"
_CONTROLLER = "endpointslice-controller.k8s.io"
_HEADLESS = "service.kubernetes.io/headless"
_ENDPOINTS_LIMIT = 100


class EndpointSlices:
    """The controller of EndpointSlices."""

    reads = (SERVICES, SLICES, PODS)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Services, and those that select a pod that changes."""
        if event.storage == SERVICES:
            return [Item(SERVICES, *event.entry.key)]
        if event.storage == SLICES:
            return owners_of(event, "Service", SERVICES)
        if event.storage != PODS:
            return ()
        pods = [entry.obj for entry in (event.entry, event.previous) if entry]
        services = self._world.all(SERVICES, event.entry.key[0])
        return [item_of(SERVICES, s) for s in services if any(_selects(s, pod) for pod in pods)]

    def sync(self, item: Item, now: float) -> float | None:
        """Write the slices of one Service."""
        service = self._world.get(item)
        if service is None:
            self._world.delete(item._replace(storage=endpoints.ENDPOINTS), now)
        if service is None or not service["spec"].get("selector") or ending(service):
            return None
        pods = [pod for pod in self._world.all(PODS, item.namespace) if _selects(service, pod) and _counts(pod)]
        wanted = [_endpoint(pod, service) for pod in pods]
        parts = [wanted[at : at + _ENDPOINTS_LIMIT] for at in range(0, len(wanted), _ENDPOINTS_LIMIT)] or [[]]
        have = self._world.owned_by(service, SLICES)
        ports = _ports(service, pods)
        for part, old in zip(parts, have, strict=False):
            if (old.get("endpoints") or [], old.get("ports") or []) != (part, ports):
                self._world.change(item_of(SLICES, old), now, lambda o, p=part: o.update(endpoints=p, ports=ports))  # type: ignore[misc]
        for part in parts[len(have) :]:
            self._world.create(SLICES, _slice(service, part, ports), now, MANAGER)
        for old in have[len(parts) :]:
            self._world.delete(item_of(SLICES, old), now, old["metadata"]["uid"])
        endpoints.write(self._world, service, [each for each in wanted if not each["conditions"]["terminating"]], ports, now)
        return None


def _selects(service: Json, pod: Json) -> bool:
    selector = service["spec"].get("selector")
    return bool(selector) and selector.items() <= labels_of(pod).items()


def _counts(pod: Json) -> bool:
    status = pod.get("status", {})
    return bool(status.get("podIP")) and status.get("phase") not in ("Succeeded", "Failed")


def _endpoint(pod: Json, service: Json) -> Json:
    serving = is_ready(pod)
    ready = (serving and not ending(pod)) or bool(service["spec"].get("publishNotReadyAddresses"))
    meta = pod["metadata"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": ending(pod)},
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
    }


def _ports(service: Json, pods: list[Json]) -> list[Json]:
    made = []
    for port in service["spec"].get("ports") or ():
        number = port.get("targetPort", port["port"])
        if isinstance(number, str):
            number = _named(pods, number)
        if number is None:
            continue
        row = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
        made.append(row | ({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}))
    return made


def _named(pods: list[Json], name: str) -> int | None:
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for port in container.get("ports") or ():
                if port.get("name") == name:
                    found: int = port["containerPort"]
                    return found
    return None


def _slice(service: Json, rows: list[Json], ports: list[Json]) -> Json:
    meta = service["metadata"]
    labels = {**labels_of(service), _SERVICE: meta["name"], _MANAGED: _CONTROLLER}
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    head = {
        "generateName": f"{meta['name']}-",
        "namespace": meta["namespace"],
        "labels": labels,
        "ownerReferences": [reference(service)],
    }
    return {"metadata": head, "addressType": "IPv4", "endpoints": rows, "ports": ports}
