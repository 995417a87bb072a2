"""Server-side apply, and the ownership that every other write leaves behind.

Law of the module: `apply` and `update` are functions of the live object, the new one and the writer; they never change what
they are given, and read no clock. An applier owns what it says; a field that it no longer says goes, unless another owns
it; a field that another owns and this one would change is a conflict, unless forced. Whoever updates owns what changed.

`types` gives the type of an API version: an entry in another version is compared in its own terms, one in a version that
is served no more is dropped. The rules are those of structured-merge-diff v6 `merge` and apimachinery `managedfields`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from . import errors, kubectl, managers, versions
from .compare import Comparison, compare
from .decode import DecodeError, empty, stored_object
from .fields import FieldsError, FieldSet, Path, to_text
from .managers import Entry, Identity, Managers
from .misfits import restore_words
from .schema import Type
from .typed import TypedError, check, equal, merge, remove, to_set, with_named

Json = dict[str, Any]
Types = Callable[[str], Type | None]

BEFORE_FIRST_APPLY = "before-first-apply"
SELF = Identity("current-operation", "Update", "", "")
NEVER_OWNED = FieldSet.of(
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(("f:metadata", "f:" + name) for name in ("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName")),
    *(("f:metadata", "f:" + name) for name in ("generation", "managedFields", "resourceVersion")),
)


class _Conflicts(Exception):
    """What an apply would take, by whom it would take it from."""

    def __init__(self, by_identity: dict[Identity, FieldSet]) -> None:
        super().__init__()
        self.by_identity = by_identity


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, in which terms, and when. `ignored`: fields that this path never writes (see `resets`)."""

    manager: str
    api_version: str
    kind: str
    now: str  # RFC 3339 in whole seconds, UTC
    subresource: str = ""
    ignored: FieldSet = managers.NO_FIELDS

    def identity(self, operation: str) -> Identity:
        """The entry that it writes."""
        version = "" if operation == "Apply" else self.api_version
        return Identity(self.manager or "unknown", operation, version, self.subresource)


def apply(types: Types, live: Json, config: Json, by: Writer, *, force: bool = False) -> Json:
    """The live object with `config` laid over it, and its new `managedFields`.

    `live` is, where the object does not exist yet, the empty object of its kind (`decode.empty`). What comes back is in the
    stored form; defaults are the caller's to add, as after any decoding.

    Raises:
        ApiError: a conflict (409), or a config that is none of this kind's (400, 500), in the server's words.
    """
    of = types(by.api_version)
    assert of is not None, "the writer's version is served"
    _check_config(of, config, by)
    try:
        made = _apply(types, live, config, by, force=force)
    except _Conflicts as conflicts:
        allowed = kubectl.may_take(of, live, by.api_version) if by.manager == kubectl.MANAGER else managers.NO_FIELDS
        left = {who: lost.difference(allowed) for who, lost in conflicts.by_identity.items()}
        if any(left.values()):
            raise conflict_error(left) from None
        made = _apply(types, live, config, by, force=True)
    return kubectl.synced(made, config) if by.manager == kubectl.MANAGER else made


def _apply(types: Types, live: Json, config: Json, by: Writer, *, force: bool) -> Json:
    of = types(by.api_version)
    assert of is not None
    live, owners = _without_managers(live), _managers_of(live)
    if not owners:
        # An object that was never tracked: all that it holds belongs to a manager that stands for those before.
        before = replace(by, manager=BEFORE_FIRST_APPLY)
        owners = _owners_after_update(types, empty(of, by.api_version, by.kind), live, {}, before)
    me = by.identity("Apply")
    last = owners.get(me)
    merged = merge(of, live, config)
    owned = to_set(of, config).difference_with_below(by.ignored)
    owners = {**owners, me: Entry(owned, by.api_version, last.time if last else None)}
    if last is not None and last.fields:
        merged = _prune(types, merged, owners, last, by)
    owners = _take_over(owners, me, cache(lambda version: _compare(types, version, live, merged, by)), force=force)
    if not equal(live, merged) and me in owners:
        owners[me] = owners[me]._replace(time=by.now)
    try:
        made = stored_object(of, merged)
    except DecodeError as error:
        which = f"{_named(config)}; {gvk(by.api_version, by.kind)}"
        text = f"unable to convert unstructured object to {gvk(by.api_version, by.kind)}: {restore_words(error)}"
        raise errors.internal(f"failed to convert new object ({which}) to proper version: {text}") from None
    return _with_managers(made, _stripped(owners, me))


def update(types: Types, live: Json | None, new: Json, by: Writer) -> Json:
    """`new` with the `managedFields` that writing it over `live` (None: creating it) leaves."""
    of = types(by.api_version)
    assert of is not None, "the writer's version is served"
    owners = managers.of_request(live or {}, new, by.subresource)
    bare = _without_managers(new)
    if not owners and live is not None and live.get("metadata", {}).get("uid"):
        return bare  # never tracked, so not now either
    before = empty(of, by.api_version, by.kind) if live is None else _without_managers(live)
    owners = _owners_after_update(types, before, bare, owners, by)
    return _with_managers(bare, managers.capped(owners))


def _check_config(of: Type, config: Json, by: Writer) -> None:
    """Refuse what is no apply configuration of this kind."""
    if config.get("apiVersion") != by.api_version or config.get("kind") != by.kind:
        raise errors.bad_request(f"invalid object type: {gvk(config.get('apiVersion', ''), config.get('kind', ''))}")
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")
    try:
        check(of, config)
    except TypedError as error:
        which = f"{_named(config)}; {gvk(by.api_version, by.kind)}"
        raise errors.internal(f"failed to create typed patch object ({which}): {error}") from None


def _named(config: Json) -> str:
    """Namespace and name as the config says them."""
    metadata = config.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    return f"{names.get('namespace', '')}/{names.get('name', '')}"


def gvk(api_version: str, kind: str) -> str:
    """Version and kind as the server prints them: "apps/v1, Kind=Deployment", "/v1, Kind=Pod"."""
    return f"{api_version if '/' in api_version else '/' + api_version}, Kind={kind}"


def _owners_after_update(types: Types, live: Json, new: Json, owners: Managers, by: Writer) -> Managers:
    """The entries after an update: what changed belongs to the writer alone, what went belongs to nobody."""
    changes = cache(lambda version: _compare(types, version, live, new, by))
    found = changes(by.api_version)
    assert found is not None, "the writer's version is served"
    owners = _take_over(owners, SELF, changes, force=True)
    taken = found.modified.union(found.added).difference(NEVER_OWNED)
    if taken:
        me = by.identity("Update")
        before = owners[me].fields if me in owners else managers.NO_FIELDS
        owners[me] = Entry(before if taken.within(before) else taken.union(before), by.api_version, by.now)
    return owners


def _compare(types: Types, api_version: str, live: Json, new: Json, by: Writer) -> Comparison | None:
    """What differs, in the terms of one version; None where it is served no more."""
    of = types(api_version)
    if of is None:
        return None
    live, new = (versions.converted(each, by.kind, by.api_version, api_version) for each in (live, new))
    found = compare(of, live, new)
    if not by.ignored or api_version != by.api_version:
        return found
    return found.each(lambda each: each.difference_with_below(by.ignored))


def _take_over(owners: Managers, me: Identity, changes: Callable[[str], Comparison | None], *, force: bool) -> Managers:
    """The entries without what others lose by the change; `_Conflicts` where they would and it is not forced."""
    left: Managers = {}
    conflicts: dict[Identity, FieldSet] = {}
    for identity, entry in owners.items():
        found = changes(entry.api_version)
        if found is None:
            continue
        owned = entry.fields
        if identity != me and found:
            lost = owned.intersection(found.modified.union(found.added))
            if lost:
                conflicts[identity] = lost
            owned = owned.difference(lost).difference(found.removed)
        if owned:
            left[identity] = entry if owned is entry.fields else entry._replace(fields=owned)
    if conflicts and not force:
        raise _Conflicts(conflicts)
    return left


def _prune(types: Types, merged: Json, owners: Managers, last: Entry, by: Writer) -> Json:
    """`merged` without what the applier said last time, says no more, and nobody else owns."""
    of = types(last.api_version)
    if of is None or not versions.alike(by.kind, last.api_version, by.api_version):
        return merged
    pruned = remove(of, merged, with_named(of, last.fields))
    owned: dict[str, FieldSet] = {last.api_version: managers.NO_FIELDS}
    for entry in owners.values():
        owned[entry.api_version] = owned.get(entry.api_version, managers.NO_FIELDS).union(entry.fields)
    for version, fields in owned.items():
        in_terms = types(version)
        if in_terms is not None and versions.alike(by.kind, version, by.api_version):
            had, has = (with_named(in_terms, to_set(in_terms, each)) for each in (merged, pruned))
            pruned = remove(in_terms, merged, had.difference(has.union(with_named(in_terms, fields))))
    # What hangs below something that went, and was not said last time, stays (and with it what holds it).
    had, has = (with_named(of, to_set(of, each)) for each in (merged, pruned))
    cut: Json = remove(of, merged, had.difference(has).intersection(with_named(of, last.fields)))
    return cut


def conflict_error(conflicts: dict[Identity, FieldSet]) -> errors.ApiError:
    """The answer to an apply that would take fields of others."""
    by_manager: dict[str, list[Path]] = {}
    causes: list[Json] = []
    for identity in sorted(conflicts, key=Identity.order):
        for path in conflicts[identity]:
            by_manager.setdefault(str(identity), []).append(path)
            causes.append(
                {"reason": "FieldManagerConflict", "message": f"conflict with {identity}", "field": to_text(path)}
            )
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = []
        for name, paths in by_manager.items():
            lines += [f"conflicts with {name}:", *(f"- {to_text(path)}" for path in paths)]
        text = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return errors.ApiError(409, "Conflict", text, {"causes": causes})


def _stripped(owners: Managers, me: Identity) -> Managers:
    """The entries without, in one's own, the fields that nobody owns."""
    made = dict(owners)
    if me in made:
        left = made[me].fields.difference(NEVER_OWNED)
        if left:
            made[me] = made[me]._replace(fields=left)
        else:
            del made[me]
    return made


def _managers_of(live: Json) -> Managers:
    try:
        return managers.decode(live.get("metadata", {}).get("managedFields"))
    except FieldsError as error:
        raise errors.internal(f"failed to decode managed fields: {error}") from None


def _without_managers(object_: Json) -> Json:
    metadata = object_.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return object_
    return {**object_, "metadata": {name: each for name, each in metadata.items() if name != "managedFields"}}


def _with_managers(object_: Json, owners: Managers) -> Json:
    if not owners:
        return object_
    return {**object_, "metadata": {**object_.get("metadata", {}), "managedFields": managers.encode(owners)}}
