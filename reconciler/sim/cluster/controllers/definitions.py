"""CustomResourceDefinitions: accepted, established, served; and their end.

Law of the module: a definition is served from the moment it is established; one that ends first loses its objects. Conditions and
messages are those of kube-apiserver 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster import metadata
from reconciler.sim.cluster.definitions import FINALIZER, resources_of
from reconciler.sim.cluster.resources import Storage
from reconciler.sim.cluster.store import Event, Json

from .base import DEFINITIONS, Item, World, condition, ending, item_of

_MANAGER = "kube-apiserver"


class Definitions:
    """The controllers of definitions."""

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Definitions, and those that end while their objects go."""
        if event.storage == DEFINITIONS:
            return [Item(DEFINITIONS, *event.entry.key)]
        if event.type != "DELETED":
            return ()
        name = f"{event.storage.plural}.{event.storage.group}"
        return [Item(DEFINITIONS, "", name)] if self._world.store.get(DEFINITIONS, "", name) else ()

    def sync(self, item: Item, now: float) -> float | None:
        """Serve one definition, or end it."""
        definition = self._world.get(item)
        if definition is None:
            plural, _, group = item.name.partition(".")
            self._world.catalogue.define([], group, plural)
            return None
        spec = definition["spec"]
        storage = Storage(spec["group"], spec["names"]["plural"])
        if ending(definition):
            self._empty(item, storage, now)
            return None
        if condition(definition, "Established") is None:
            self._accept(item, definition, now)
        self._serve(definition, storage)
        return None

    def _serve(self, definition: Json, storage: Storage) -> None:
        """Serve a definition as it is now. One that has not changed is left alone, or its watches would end."""
        catalogue, spec = self._world.catalogue, definition["spec"]
        before = catalogue.defined(*storage)
        if before is not None and before.definition == spec:
            return
        made = resources_of(definition)
        catalogue.define(made, *storage)
        stored = next((each["name"] for each in spec["versions"] if each.get("storage")), "")
        now = next((resource for resource in made if resource.version == stored), None)
        if before is not None and now is not None:
            self._world.store.reread(storage, lambda obj: self._world.writes.forms.reread(now, obj))

    def _accept(self, item: Item, definition: Json, now: float) -> None:
        spec, at = definition["spec"], metadata.timestamp(now)
        other = self._taken(item, spec)
        if other:
            reason, text, word = f"{other[0]}Conflict", f'"{other[1]}" is already in use', "False"
        else:
            reason, text, word = "NoConflicts", "no conflicts found", "True"
        entries = [("NamesAccepted", word, reason, text)]
        if other:
            entries.append(("Established", "False", "NotAccepted", "not all names are accepted"))
        else:
            entries.append(("Established", "True", "InitialNamesAccepted", "the initial names have been accepted"))

        def edit(obj: Json) -> None:
            if not other:
                obj["status"]["acceptedNames"] = dict(obj["spec"]["names"])
            obj["status"]["conditions"] = [
                {"type": kind, "status": status, "lastTransitionTime": at, "reason": why, "message": words}
                for kind, status, why, words in entries
            ]

        self._world.change_status(item, now, edit, _MANAGER)

    def _taken(self, item: Item, spec: Json) -> tuple[str, str] | None:
        for other in self._world.all(DEFINITIONS):
            if item_of(DEFINITIONS, other) == item or other["spec"]["group"] != spec["group"]:
                continue
            names = (other.get("status") or {}).get("acceptedNames") or {}
            if names.get("kind") == spec["names"]["kind"]:
                return "Kind", spec["names"]["kind"]
        return None

    def _empty(self, item: Item, storage: Storage, now: float) -> None:
        definition = self._world.get(item)
        if definition is not None and (condition(definition, "Terminating") or {}).get("reason") == "InstanceDeletionPending":
            self._world.change_status(item, now, _begun, _MANAGER)
        entries = self._world.store.entries(storage)
        for entry in entries:
            if not ending(entry.obj):
                self._world.delete(Item(storage, *entry.key), now, entry.obj["metadata"]["uid"])
        left = len(self._world.store.entries(storage))
        definition = self._world.get(item)
        if definition is None or FINALIZER not in (definition["metadata"].get("finalizers") or ()):
            return
        if left == 0:
            self._world.change(item, now, _release, _MANAGER)


def _begun(obj: Json) -> None:
    for told in obj["status"]["conditions"]:
        if told["type"] == "Terminating":
            told |= {"reason": "InstanceDeletionInProgress", "message": "CustomResource deletion is in progress"}


def _release(obj: Json) -> None:
    obj["metadata"]["finalizers"] = [f for f in obj["metadata"]["finalizers"] if f != FINALIZER]
