"""Creating, changing and deleting objects: the order of things between a decoded object and the store.

Law of the module: every write of a cluster, a person's or a controller's, goes through here, so versions, generations, finalizers,
field ownership and refusals are the same for all. A dry run does all but store. Order and effects follow the generic registry of
kube-apiserver (registry/rest, registry/generic/registry/store.go).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from . import admission, errors, limits, metadata, quotas, rules, strategy, versions
from .forms import Forms
from .ids import Ids
from .notices import notices
from .options import DeleteOptions, WriteOptions
from .resources import Catalogue, Resource
from .store import Entry, Json, Store, copy

_GENERATED_TRIES = 8
_GENERATED_LIMIT = 253 - 5
_CREATES_ON_UPDATE = ("Lease", "Event", "LimitRange", "Endpoints", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


@dataclass(slots=True)
class Call:
    """One write: of which object, when, how. `part` is the subresource that is written through."""

    resource: Resource
    namespace: str
    name: str
    now: float
    options: WriteOptions
    part: str = ""
    warnings: list[str] = field(default_factory=list)


class Writes:
    """The writing half of a cluster."""

    def __init__(self, store: Store, catalogue: Catalogue, ids: Ids) -> None:
        self.store = store
        self.catalogue = catalogue
        self.ids = ids
        self.forms = Forms(catalogue)

    # -- create -----------------------------------------------------------------------------------------------------------

    def create(self, call: Call, obj: Json, *, tracked: bool = False) -> Json:
        """Create `obj` (which becomes the store's); `tracked` where field ownership is in it already. Returns it as stored."""
        resource, meta = call.resource, obj.setdefault("metadata", {})
        self._same_namespace(call, meta)
        for stale in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            meta.pop(stale, None)
        if not tracked:
            obj = self.forms.track(resource, None, obj, call.options, call.now, call.part)
            meta = obj["metadata"]
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = self._generated(call, meta["generateName"])
        name = meta.get("name", "")
        admission.check_namespace(self.store, resource, call.namespace, name)
        admission.check_definition(self.store, resource, name)
        self._begin(call, obj, meta)
        strategy.first_status(resource, obj)
        if name:
            admission.on_create(self.store, self.ids, resource, obj, call.now, dry_run=call.options.dry_run)
        found = metadata.causes(meta, resource.kind, resource.namespaced, resource.custom)
        found += rules.create_causes(resource, obj)
        if found:
            raise errors.invalid(resource.group, resource.kind, name, found)
        call.warnings += notices(resource, obj)
        if refused := limits.refusal(self.store, resource, obj) or quotas.refusal(self.store, resource, obj):
            raise refused
        if (entry := self.store.get(resource.storage, call.namespace, name)) is not None:
            exists = errors.already_exists(resource.group, resource.plural, name)
            if entry.obj["metadata"].get("deletionTimestamp"):
                exists.message = f"object is being deleted: {exists.message}"
            raise exists
        if resource.storage == admission.SERVICES and not call.options.dry_run and (refused := admission.taken(self.store, obj)):
            raise refused
        if call.options.dry_run:
            return metadata_ordered(obj)
        meta["resourceVersion"] = "?"  # keeps its place until the store sets it
        return self._put(call, metadata_ordered(obj))

    def _same_namespace(self, call: Call, meta: Json) -> None:
        sent = meta.get("namespace") or ""
        if call.resource.namespaced and sent not in ("", call.namespace):
            text = "the namespace of the provided object does not match the namespace sent on the request"
            raise errors.bad_request(text)
        if call.resource.namespaced:
            meta["namespace"] = call.namespace
        else:
            meta.pop("namespace", None)

    def _begin(self, call: Call, obj: Json, meta: Json) -> None:
        if meta.pop("resourceVersion", None):
            raise errors.internal("resourceVersion should not be set on objects to be created")
        meta["uid"] = self.ids.uid()
        meta["creationTimestamp"] = metadata.timestamp(call.now)
        if strategy.counted(call.resource):
            meta["generation"] = 1
        if call.resource.storage == admission.NAMESPACES and meta.get("name"):
            meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}
        obj["metadata"] = meta

    def _generated(self, call: Call, prefix: str) -> str:
        for _ in range(_GENERATED_TRIES):
            name = prefix[:_GENERATED_LIMIT] + self.ids.suffix()
            if not self.store.get(call.resource.storage, call.namespace, name):
                break
        return name

    # -- update -----------------------------------------------------------------------------------------------------------

    def existing(self, call: Call) -> Entry:
        """The object that a call is about; raises `ApiError` 404."""
        entry = self.store.get(call.resource.storage, call.namespace, call.name)
        if entry is None:
            raise errors.not_found(call.resource.group, call.resource.plural, call.name)
        return versions.shown(call.resource, entry)

    def _put(self, call: Call, obj: Json) -> Json:
        entry = self.store.put(call.resource.storage, versions.stored(call.resource, obj))
        return versions.shown(call.resource, entry).obj

    def replace(self, call: Call, obj: Json) -> tuple[Json, bool]:
        """PUT; returns the object and whether it was created, which a few kinds allow."""
        resource = call.resource
        missing = self.store.get(resource.storage, call.namespace, call.name) is None
        if missing and not resource.custom and resource.kind in _CREATES_ON_UPDATE:
            obj["metadata"].pop("resourceVersion", None)
            return self.create(call, obj), True
        return self.update(call, obj), False

    def update(self, call: Call, obj: Json, *, tracked: bool = False, replace: bool = True) -> Json:
        """Put `obj` in place of the live one; `replace` for a PUT, whose uid is a precondition. Returns it as stored."""
        resource, meta = call.resource, obj.setdefault("metadata", {})
        entry = self.existing(call)
        old = entry.obj
        self._same_namespace(call, meta)
        if not tracked:
            obj = self.forms.track(resource, old, obj, call.options, call.now, call.part)
            meta = obj["metadata"]
        self._preconditions(call, entry, meta, replace)
        for system in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"):
            if not meta.get(system) and system in old["metadata"]:
                meta[system] = old["metadata"][system]
        meta["creationTimestamp"] = old["metadata"]["creationTimestamp"]
        part: Literal["", "status"] = "status" if call.part == "status" else ""
        strategy.keep_other_parts(resource, obj, old, part)
        meta = obj["metadata"]
        meta["generation"] = old["metadata"].get("generation")
        if resource.storage == admission.SERVICES:
            admission.allocate(self.store, self.ids, obj, old, dry_run=call.options.dry_run)
        strategy.count_templates(resource, obj, old)
        meta["generation"] = strategy.next_generation(resource, obj, old, call.part)
        obj["metadata"] = meta = metadata.ordered(meta)
        found = metadata.update_causes(meta, old["metadata"], resource.kind, resource.namespaced, resource.custom)
        found += rules.update_causes(resource, obj, old, part)
        if found:
            raise errors.invalid(resource.group, resource.kind, call.name, found)
        if resource.storage == admission.SERVICES and obj["spec"] != old["spec"] and (refused := admission.taken(self.store, obj)):
            raise refused
        if meta.get("generation") != old["metadata"].get("generation"):
            call.warnings += notices(resource, obj)
        return self._finish(call, entry, obj)

    def _preconditions(self, call: Call, entry: Entry, meta: Json, replace: bool) -> None:
        resource = call.resource
        uid, version = meta.get("uid"), meta.get("resourceVersion")
        live_uid = entry.obj["metadata"]["uid"]
        if replace and uid and uid != live_uid:
            raise self.other_uid(call, uid, live_uid)
        if version in (None, "", "0"):
            if replace and rules.needs_version(resource):
                cause = errors.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
                # The real server names the resource here, not the kind.
                raise errors.invalid(resource.group, resource.plural, call.name, [cause])
            return
        if not str(version).isdigit():
            raise errors.internal(f'strconv.ParseUint: parsing "{version}": invalid syntax')
        if int(version) != entry.version:
            raise errors.modified(resource.group, resource.plural, call.name)

    def other_uid(self, call: Call, uid: str, live_uid: str) -> errors.ApiError:
        """The refusal of a write that names another uid than the live object has."""
        resource = call.resource
        folder = f"{resource.group}/{resource.plural}" if resource.custom else resource.plural
        key = "/".join(part for part in ("/registry", folder, call.namespace, call.name) if part)
        text = (
            f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live_uid}"
        )
        return errors.conflict(resource.group, resource.plural, call.name, text)

    def _finish(self, call: Call, entry: Entry, obj: Json) -> Json:
        meta = obj["metadata"]
        meta["resourceVersion"] = str(entry.version)
        if _ends(call.resource, obj):
            if not call.options.dry_run:
                self.store.remove(call.resource.storage, *entry.key)
            return obj
        if obj == entry.obj or _only_times_differ(obj, entry.obj):
            return entry.obj
        if call.options.dry_run:
            return obj
        return self._put(call, metadata_ordered(obj))

    def bind(self, call: Call, node: str) -> None:
        """Place a pod on a node, as its `binding` does: nobody comes to own the fields."""
        obj = self.existing(call).copy()
        obj["spec"]["nodeName"] = node
        at = metadata.timestamp(call.now)
        placed = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": at}
        conditions = obj["status"].setdefault("conditions", [])
        conditions[:] = [placed, *(c for c in conditions if c["type"] != "PodScheduled")]
        if not call.options.dry_run:
            self.store.put(call.resource.storage, obj)

    def change(self, call: Call, edit: Callable[[Json], None]) -> Json:
        """Read, edit, write: for the server's own parts and for controllers."""
        obj = self.existing(call).copy()
        edit(obj)
        return self.update(call, obj, replace=False)

    def apply(self, call: Call, applied: Json) -> tuple[Json, bool]:
        """Server-side apply; returns the object and whether it was created."""
        resource = call.resource
        entry = self.store.get(resource.storage, call.namespace, call.name)
        if entry is None and call.part:
            raise errors.not_found(resource.group, resource.plural, call.name)
        self._same_namespace(call, dict(applied["metadata"]))
        live = versions.shown(resource, entry).obj if entry else None
        merged = self.forms.apply(resource, live, applied, call.options, call.now, call.part)
        sent = applied["metadata"].get("resourceVersion")
        if entry is None:
            if uid := applied["metadata"].get("uid"):
                text = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise errors.conflict(resource.group, resource.plural, call.name, text)
            merged["metadata"] = {**merged["metadata"], "name": call.name, "resourceVersion": None}
            return self.create(call, self.forms.complete(resource, merged, applied=True), tracked=True), True
        merged = self.forms.complete(resource, merged, applied=True)
        merged["metadata"] = {**merged["metadata"], "resourceVersion": sent}
        return self.update(call, merged, tracked=True, replace=False), False

    # -- delete -----------------------------------------------------------------------------------------------------------

    def delete(self, call: Call, options: DeleteOptions) -> tuple[Json, bool]:
        """Delete, or mark as ending; returns the object and whether it is gone."""
        resource = call.resource
        admission.check_delete(resource, call.name)
        entry = self.existing(call)
        self._delete_preconditions(call, entry, options)
        obj = copy(entry.obj)
        meta = obj["metadata"]
        seconds = _grace(resource, obj, options)
        finalizers = _deletion_finalizers(call, options, meta)
        if resource.storage == admission.NAMESPACES:
            return self._end_namespace(call, entry, obj)
        if resource.storage == admission.DEFINITIONS:
            if not meta.get("deletionTimestamp"):
                admission.end_definition(obj, call.now)
            return self._put_marked(call, entry, obj), False
        if seconds:
            return self._begin_grace(call, entry, obj, seconds)
        if not finalizers:
            if resource.kind == "Pod" and not resource.custom:
                self._mark(obj, call.now)  # what has a grace, if none, is marked and then removed
                obj = copy(self._put_marked(call, entry, obj))
            if not options.dry_run:
                self.store.remove(resource.storage, *entry.key)
                obj["metadata"]["resourceVersion"] = str(self.store.version)
            return obj, True
        meta["finalizers"] = finalizers
        self._mark(obj, call.now)
        return self._put_marked(call, entry, obj), False

    def _put_marked(self, call: Call, entry: Entry, obj: Json) -> Json:
        obj = metadata_ordered(obj)
        if obj == entry.obj:
            return entry.obj
        return obj if call.options.dry_run else self._put(call, obj)

    def _mark(self, obj: Json, now: float) -> None:
        meta = obj["metadata"]
        if meta.get("deletionGracePeriodSeconds") is None and meta.get("generation"):
            meta["generation"] += 1
        due = meta.get("deletionTimestamp")
        if due is None:
            meta["deletionTimestamp"] = metadata.timestamp(now)
        else:
            meta["deletionTimestamp"] = metadata.timestamp(metadata.instant(due) - meta.get("deletionGracePeriodSeconds", 0))
        meta["deletionGracePeriodSeconds"] = 0

    def _begin_grace(self, call: Call, entry: Entry, obj: Json, seconds: int) -> tuple[Json, bool]:
        meta = obj["metadata"]
        if meta.get("deletionTimestamp"):
            # Only a shorter grace than the one running changes anything.
            before = meta.get("deletionGracePeriodSeconds", 0)
            if before <= seconds:
                return entry.obj, False
            begun = metadata.instant(meta["deletionTimestamp"]) - before
        else:
            begun = call.now
            if meta.get("generation"):
                meta["generation"] += 1
        meta["deletionTimestamp"] = metadata.timestamp(begun + seconds)
        meta["deletionGracePeriodSeconds"] = seconds
        return self._put_marked(call, entry, obj), False

    def _end_namespace(self, call: Call, entry: Entry, obj: Json) -> tuple[Json, bool]:
        meta = obj["metadata"]
        if not meta.get("deletionTimestamp"):
            meta["deletionTimestamp"] = metadata.timestamp(call.now)
            obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        if not obj["spec"].get("finalizers") and not meta.get("finalizers"):
            if not call.options.dry_run:
                self.store.remove(call.resource.storage, *entry.key)
            return obj, True
        return self._put_marked(call, entry, obj), False

    def _delete_preconditions(self, call: Call, entry: Entry, options: DeleteOptions) -> None:
        resource, uid = call.resource, entry.obj["metadata"]["uid"]
        if options.uid is not None and options.uid != uid:
            text = (
                f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid}). "
                "The object might have been deleted and then recreated"
            )
            raise errors.conflict(resource.group, resource.kind, call.name, text)
        if options.resource_version is not None and options.resource_version != str(entry.version):
            text = (
                f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion in "
                f"record ({entry.version}). The object might have been modified"
            )
            raise errors.conflict(resource.group, resource.kind, call.name, text)


def metadata_ordered(obj: Json) -> Json:
    """The object with its metadata in order."""
    obj["metadata"] = metadata.ordered(obj["metadata"])
    return obj


def _ends(resource: Resource, obj: Json) -> bool:
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return resource.storage != admission.NAMESPACES or not obj["spec"].get("finalizers")


def _only_times_differ(obj: Json, old: Json) -> bool:
    if obj.keys() != old.keys() or any(part != old[name] for name, part in obj.items() if name != "metadata"):
        return False
    if metadata.without_managed(obj) != metadata.without_managed(old):
        return False
    new_entries, old_entries = obj["metadata"].get("managedFields", []), old["metadata"].get("managedFields", [])
    if len(new_entries) != len(old_entries):
        return False
    return all({**a, "time": None} == {**b, "time": None} for a, b in zip(new_entries, old_entries, strict=True))


def _grace(resource: Resource, obj: Json, options: DeleteOptions) -> int:
    if resource.custom or (resource.group, resource.kind) != ("", "Pod"):
        return 0
    if not obj["spec"].get("nodeName") or obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace_seconds is not None:
        return max(options.grace_seconds, 0)
    return int(obj["spec"].get("terminationGracePeriodSeconds") or 30)


def _deletion_finalizers(call: Call, options: DeleteOptions, meta: Json) -> list[str]:
    present = meta.get("finalizers") or []
    orphan = options.orphan if options.orphan is not None else None
    policy = options.propagation or ({True: "Orphan", False: "Background"}.get(orphan) if orphan is not None else "")
    if not policy and strategy.orphans_by_default(call.resource):
        policy = "Orphan"
        if call.resource.kind == "Job":
            call.warnings.append(strategy.JOB_WARNING)
    if not policy:
        # Silence keeps what an earlier delete asked for.
        return present
    kept = [f for f in present if f not in (strategy.ORPHAN_FINALIZER, strategy.FOREGROUND_FINALIZER)]
    added = {"Orphan": [strategy.ORPHAN_FINALIZER], "Foreground": [strategy.FOREGROUND_FINALIZER]}.get(policy, [])
    return kept + added
