"""What all controllers share: reading and writing objects, owners, conditions.

Law of the module: reads give the store's own objects (never to be changed), writes go through `Writes` under a named field manager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from reconciler.sim.cluster import metadata, selectors
from reconciler.sim.cluster.options import DeleteOptions, WriteOptions
from reconciler.sim.cluster.resources import Resource, Storage
from reconciler.sim.cluster.settings import Settings
from reconciler.sim.cluster.store import Entry, Event, Json, copy
from reconciler.sim.cluster.writes import Call, Writes

MANAGER = "kube-controller-manager"


class Item(NamedTuple):
    """What a controller is asked to look at."""

    storage: Storage
    namespace: str
    name: str


class Controller(Protocol):
    """One controller. Where it has `reads`, a tuple of storages, only changes of these may concern it."""

    def concerned(self, event: Event) -> Iterable[Item]:
        """What must be looked at because of a change."""
        ...

    def sync(self, item: Item, now: float) -> float | None:
        """Look at it and act; returns when to look again without a change."""
        ...


PODS = Storage("", "pods")
NODES = Storage("", "nodes")
SERVICES = Storage("", "services")
CLAIMS = Storage("", "persistentvolumeclaims")
VOLUMES = Storage("", "persistentvolumes")
ACCOUNTS = Storage("", "serviceaccounts")
CONFIGMAPS = Storage("", "configmaps")
NAMESPACES = Storage("", "namespaces")
DEPLOYMENTS = Storage("apps", "deployments")
REPLICASETS = Storage("apps", "replicasets")
STATEFULSETS = Storage("apps", "statefulsets")
DAEMONSETS = Storage("apps", "daemonsets")
REVISIONS = Storage("apps", "controllerrevisions")
JOBS = Storage("batch", "jobs")
CRONJOBS = Storage("batch", "cronjobs")
SLICES = Storage("discovery.k8s.io", "endpointslices")
BUDGETS = Storage("policy", "poddisruptionbudgets")
DEFINITIONS = Storage("apiextensions.k8s.io", "customresourcedefinitions")


class World:
    """The cluster as controllers see it."""

    def __init__(self, writes: Writes, settings: Settings) -> None:
        self.writes = writes
        self.store = writes.store
        self.catalogue = writes.catalogue
        self.ids = writes.ids
        self.settings = settings
        self.owned: dict[str, dict[Item, None]] = {}  # by the owner's uid
        self.alive: dict[str, Item] = {}  # by uid
        self.loose: dict[Storage, dict[Item, None]] = {PODS: {}, REPLICASETS: {}}  # without a controller
        self.load: dict[str, int] = {}  # pods by node
        writes.store.subscribe(self._index)

    def _index(self, event: Event) -> None:
        item = Item(event.storage, *event.entry.key)
        before = event.previous.obj["metadata"] if event.previous else {}
        after = event.entry.obj["metadata"] if event.type != "DELETED" else {}
        for owner in before.get("ownerReferences") or ():
            self.owned.get(owner["uid"], {}).pop(item, None)
        for owner in after.get("ownerReferences") or ():
            self.owned.setdefault(owner["uid"], {})[item] = None
        if event.type == "DELETED":
            self.alive.pop(event.entry.obj["metadata"]["uid"], None)
        else:
            self.alive[after["uid"]] = item
        if event.storage == PODS:
            self._count(event)
        if event.storage in self.loose:
            self.loose[event.storage].pop(item, None)
            if event.type != "DELETED" and controller_of(event.entry.obj) is None:
                self.loose[event.storage][item] = None

    def _count(self, event: Event) -> None:
        before = event.previous.obj["spec"].get("nodeName") if event.previous else None
        after = event.entry.obj["spec"].get("nodeName") if event.type != "DELETED" else None
        if before != after:
            for node, more in ((before, -1), (after, 1)):
                if node:
                    self.load[node] = self.load.get(node, 0) + more

    def resource(self, of: Storage) -> Resource:
        """The resource of a storage, in the first version that serves it."""
        for (group, _), resources in self.catalogue.versions().items():
            if group == of.group and of.plural in resources:
                return resources[of.plural]
        raise KeyError(of)

    def get(self, item: Item) -> Json | None:
        """One object; not to be changed."""
        entry = self.store.get(*item)
        return entry.obj if entry else None

    def all(self, of: Storage, namespace: str = "") -> list[Json]:
        """Objects; not to be changed."""
        return [entry.obj for entry in self.store.entries(of, namespace)]

    def owned_by(self, owner: Json, of: Storage) -> list[Json]:
        """Objects of a storage whose controller is `owner`, by name."""
        uid = owner["metadata"]["uid"]
        found = []
        for item in self.owned.get(uid, {}):
            obj = self.get(item) if item.storage == of else None
            if obj is not None and (controller_of(obj) or {}).get("uid") == uid:
                found.append(obj)
        return sorted(found, key=lambda o: str(o["metadata"]["name"]))

    def adopt(self, owner: Json, of: Storage, now: float) -> list[Json]:
        """The objects that `owner` controls, after taking those that its selector takes and nobody controls."""
        if not ending(owner):
            for item in list(self.loose[of]):
                obj = self.get(item)
                if obj is None or item.namespace != owner["metadata"]["namespace"] or ending(obj):
                    continue
                if selects(owner["spec"].get("selector"), obj):
                    self.change(item, now, lambda o: o["metadata"].setdefault("ownerReferences", []).append(reference(owner)))
        return self.owned_by(owner, of)

    def call(self, item: Item, now: float, manager: str = MANAGER, part: str = "") -> Call:
        """A write of one object."""
        return Call(self.resource(item.storage), item.namespace, item.name, now, WriteOptions(manager, validation="Ignore"), part)

    def create(self, of: Storage, obj: Json, now: float, manager: str = MANAGER) -> Json:
        """Create an object; what it leaves out is completed."""
        meta = obj["metadata"]
        call = self.call(Item(of, meta.get("namespace", ""), meta.get("name", "")), now, manager)
        made, _ = self.writes.forms.decode(call.resource, obj, [], call.options)
        return self.writes.create(call, made)

    def change(self, item: Item, now: float, edit: Callable[[Json], None], manager: str = MANAGER) -> Json:
        """Edit an object."""
        return self._edit(self.call(item, now, manager), edit)

    def change_status(self, item: Item, now: float, edit: Callable[[Json], None], manager: str = MANAGER) -> Json:
        """Edit an object through its status."""
        return self._edit(self.call(item, now, manager, "status"), edit)

    def _edit(self, call: Call, edit: Callable[[Json], None]) -> Json:
        entry: Entry = self.writes.existing(call)
        # Through the status nothing else changes, so nothing else is copied and read again.
        parts = ("metadata", "status") if call.part == "status" else tuple(entry.obj)
        obj = {name: copy(value) if name in parts else value for name, value in entry.obj.items()}
        edit(obj)
        if obj == entry.obj:
            return entry.obj
        if call.part == "status":
            obj["status"] = self.writes.forms.decode_part(call.resource, obj, "status")
        else:
            obj, _ = self.writes.forms.decode(call.resource, obj, [], call.options)
        return self.writes.update(call, obj, replace=False)

    def delete(self, item: Item, now: float, uid: str = "", policy: str = "", grace_seconds: int | None = None) -> None:
        """Delete an object if it is (still) there."""
        if self.get(item) is not None:
            self.writes.delete(self.call(item, now), DeleteOptions(False, grace_seconds, uid or None, None, policy))


def item_of(of: Storage, obj: Json) -> Item:
    """The item that an object is."""
    return Item(of, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def controller_of(obj: Json) -> Json | None:
    """The owner reference that controls an object."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            found: Json = owner
            return found
    return None


def reference(owner: Json) -> Json:
    """The reference to a controlling owner."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owners_of(event: Event, kind: str, of: Storage) -> Iterable[Item]:
    """The controllers of a kind that an object has, or had before the change."""
    seen: dict[Item, None] = {}
    for entry in (event.entry, event.previous):
        owner = controller_of(entry.obj) if entry else None
        if owner and owner["kind"] == kind:
            seen[Item(of, event.entry.key[0], owner["name"])] = None
    return seen


def whose(event: Event, kind: str, of: Storage, parts: Storage = PODS) -> Iterable[Item]:
    """Objects of a kind that change, and those whose `parts` do."""
    if event.storage == of:
        return [Item(of, *event.entry.key)]
    return owners_of(event, kind, of) if event.storage == parts else ()


def labels_of(obj: Json) -> Json:
    """An object's labels."""
    found: Json = obj["metadata"].get("labels") or {}
    return found


def selects(spec: Json | None, obj: Json) -> bool:
    """Whether a LabelSelector takes an object; an absent one takes nothing."""
    return spec is not None and selectors.matches(selectors.object_selector(spec), labels_of(obj))


def condition(obj: Json, kind: str) -> Json | None:
    """A condition of a status."""
    for found in obj.get("status", {}).get("conditions") or ():
        if found["type"] == kind:
            made: Json = found
            return made
    return None


def is_ready(pod: Json) -> bool:
    """Whether a pod is ready."""
    found = condition(pod, "Ready")
    return found is not None and found["status"] == "True"


def is_active(pod: Json) -> bool:
    """Whether a pod counts as a replica: neither ended nor ending."""
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed") and not ending(pod)


def ending(obj: Json) -> bool:
    """Whether an object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def available_at(pod: Json, min_ready_seconds: int) -> float | None:
    """When a ready pod counts as available; None where it is not ready."""
    found = condition(pod, "Ready")
    if found is None or found["status"] != "True":
        return None
    return metadata.instant(found["lastTransitionTime"]) + min_ready_seconds


def share(value: int | str, of: int, *, up: bool) -> int:
    """A number, or a percentage of `of`, rounded up or down."""
    if isinstance(value, int):
        return value
    percent = int(str(value).rstrip("%"))
    return -(-of * percent // 100) if up else of * percent // 100


def pod_from(template: Json, owner: Json, name: str = "", prefix: str = "") -> Json:
    """A pod made of a template."""
    meta = copy(template.get("metadata") or {})
    made: Json = {"labels": meta.get("labels"), "annotations": meta.get("annotations"), "finalizers": meta.get("finalizers")}
    made["namespace"] = owner["metadata"]["namespace"]
    made["ownerReferences"] = [reference(owner)]
    if name:
        made["name"] = name
    else:
        made["generateName"] = prefix
    return {"metadata": {k: v for k, v in made.items() if v}, "spec": copy(template.get("spec") or {})}
