"""Scale: the replicas of an object, seen and written as an object of its own.

Law of the module: a Scale is made of its object for one request and written back into it. Field ownership goes both ways: who owns the
replicas of the object owns those of the Scale, and who comes to own them there owns them in the object, under the subresource. Source:
apimachinery managedfields/scalehandler.go, whose entries have no time where the owner is new.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import bodies, decode, errors, managers, merge, metadata, misfits, options, patches, reads, selectors, store, views
from .fields import FieldSet, Path
from .forms import Patched, wrong_patch
from .http import Request, Response, Target
from .managers import Entry, Identity, Managers
from .options import APPLY
from .resources import Resource, table
from .schema import Kind, Type
from .store import Json, copy, encode
from .writes import Call

if TYPE_CHECKING:
    from .cluster import Cluster

VERSION = "autoscaling/v1"
_REPLICAS: Path = ("f:spec", "f:replicas")


def answer(cluster: Cluster, request: Request, target: Target, resource: Resource, now: float, verb: str) -> Response:
    """Answer a request for a Scale; raises `ApiError`."""
    if verb == "get":
        entry = reads.get(cluster.store, resource, target.namespace, target.name)
        form = views.form_of(request.accept)
        shown = store.Entry(scale_of(resource, entry.obj), entry.version)
        return Response(200, views.one(form, _resource(), shown, now), form.content_type)
    kind: options.OptionsKind = "PatchOptions" if verb == "patch" else "UpdateOptions"
    call = cluster.call(request, target, resource, now, kind)
    live = cluster.writes.existing(call).obj
    before = _with_owners(scale_of(resource, live), _to_scale(live, resource))
    by = merge.Writer(call.options.manager, VERSION, "Scale", metadata.timestamp(now), "scale")
    scale = _applied(request, call, before, by) if _is_apply(request) else _written(request, call, before, by, verb)
    uid, held = scale["metadata"].get("uid"), live["metadata"]["uid"]
    if uid and uid != held:
        raise cluster.writes.other_uid(call, uid, held)
    obj = copy(live)
    obj["metadata"]["managedFields"] = _to_parent(live, scale, resource)
    obj["metadata"]["resourceVersion"] = scale["metadata"].get("resourceVersion", "") if verb == "update" or not _is_apply(request) else ""
    place, (*parents, last) = obj, _paths(resource)[0]
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = scale["spec"].get("replicas", 0)
    made = cluster.writes.update(call, obj, tracked=True, replace=False)
    return Response(200, encode(scale_of(resource, made)))


@functools.cache
def _resource() -> Resource:
    """Scales as a kind, for the forms in which they are shown."""
    of = table().struct("autoscaling.v1.Scale")
    return Resource(Kind("autoscaling", "v1", "Scale", of, namespaced=True, plural="scales"))


def _is_apply(request: Request) -> bool:
    return request.method == "PATCH" and request.content_type.split(";")[0].strip() == APPLY


def _type(api_version: str) -> Type | None:
    return table().struct("autoscaling.v1.Scale") if api_version == VERSION else None


def _applied(request: Request, call: Call, before: Json, by: merge.Writer) -> Json:
    document, _ = bodies.read_applied(request.body)
    document["metadata"] = {"name": call.name, **(document.get("metadata") or {})}
    made: Json = merge.apply(_type, before, document, by, force=call.options.force)
    return _checked(call, made)


def _written(request: Request, call: Call, before: Json, by: merge.Writer, verb: str) -> Json:
    """The Scale that a PUT or a patch makes, with its owners."""
    shown: Callable[[], str] | None = None
    if verb == "patch":
        content = request.content_type.split(";")[0].strip()
        document = patches.changed(before, bodies.read_patch(request.body), content, None)

        def shown() -> str:
            return encode(document).decode()
    else:
        document, _ = bodies.read(request.body, "Scale", request.content_type)
    of = table().struct("autoscaling.v1.Scale")
    try:
        scale: Json = decode.stored_object(of, document)
    except decode.DecodeError as error:
        words = misfits.unmarshal_words(of, "Scale", error)
        if shown is not None:
            raise wrong_patch(Patched(shown, strategic=False), words) from None
        raise errors.bad_request(f'Scale in version "v1" cannot be handled as a Scale: {words}') from None
    name = scale["metadata"].get("name", "")
    if name != call.name:
        raise errors.bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")
    scale = _checked(call, {**scale, "apiVersion": VERSION, "kind": "Scale"})
    return merge.update(_type, before, scale, by)


def _checked(call: Call, scale: Json) -> Json:
    """A Scale whose replicas can be. Those of a custom kind are judged with its object."""
    scale["spec"] = scale.get("spec") or {}
    if scale["spec"].get("replicas", 0) < 0 and not call.resource.custom:
        cause = errors.invalid_value("spec.replicas", scale["spec"]["replicas"], "must be greater than or equal to 0")
        raise errors.invalid("autoscaling", "Scale", call.name, [cause])
    return scale


# -- owners -------------------------------------------------------------------------------------------------------------------


def _path(resource: Resource) -> Path:
    """Where an object holds its replicas."""
    return tuple("f:" + name for name in _paths(resource)[0])


def _under(identity: Identity, api_version: str) -> Identity:
    """An identity in the terms of another version."""
    return identity._replace(api_version=api_version) if identity.operation == "Update" else identity


def _with_owners(scale: Json, owners: Managers) -> Json:
    if not owners:
        return scale
    return {**scale, "metadata": {**scale["metadata"], "managedFields": managers.encode(owners)}}


def _to_scale(live: Json, resource: Resource) -> Managers:
    """The owners of the replicas, as owners of the Scale's."""
    path = _path(resource)
    owned = FieldSet.of(_REPLICAS)
    found = managers.decode_or_none(live)
    return {_under(who, VERSION): Entry(owned, VERSION, entry.time) for who, entry in found.items() if path in entry.fields}


def _to_parent(live: Json, scale: Json, resource: Resource) -> list[Json]:
    """The owners of the object after the Scale was written."""
    path = _path(resource)
    left = managers.decode_or_none(scale)
    before = managers.decode_or_none(live)
    kept: Managers = {}
    for who, entry in before.items():
        if path not in entry.fields or left.pop(who, None) is not None:
            kept[who] = entry
        elif rest := entry.fields.difference(FieldSet.of(path)):
            kept[who] = entry._replace(fields=rest)
    owned, version = FieldSet.of(path), resource.api_version
    came: Managers = {}
    for who, entry in left.items():
        if _REPLICAS in entry.fields:
            came[_under(who, version)] = Entry(owned, version, before[who].time if who in before else None)
    entries = managers.encode(kept) + managers.encode(came)  # one who updated both ways stands there twice
    return sorted(entries, key=_order)


def _order(entry: Json) -> tuple[Any, ...]:
    return (entry["operation"], entry.get("time", ""), entry.get("manager", ""), entry["apiVersion"], entry.get("subresource", ""))


# -- what a Scale shows -------------------------------------------------------------------------------------------------------


def _paths(resource: Resource) -> tuple[list[str], list[str], list[str]]:
    if resource.definition is not None:
        version = next(v for v in resource.definition["versions"] if v["name"] == resource.version)
        scale = version["subresources"]["scale"]
        texts = (scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath", ""))
        spec, status, selector = (text.strip(".").split(".") if text else [] for text in texts)
        return spec, status, selector
    return ["spec", "replicas"], ["status", "replicas"], []


def _at(obj: Json, path: list[str]) -> object:
    value: object = obj
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def scale_of(resource: Resource, obj: Json) -> Json:
    """The Scale that an object is seen as."""
    spec_path, status_path, selector_path = _paths(resource)
    meta = obj["metadata"]
    shown = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in meta}
    replicas = _at(obj, spec_path)
    made: Json = {"kind": "Scale", "apiVersion": VERSION, "metadata": shown}
    made["spec"] = {"replicas": replicas} if replicas else {}
    made["status"] = {"replicas": _at(obj, status_path) or 0}
    if resource.custom:
        selector = _at(obj, selector_path) if selector_path else ""
    elif isinstance(obj["spec"].get("selector"), dict) and resource.group == "":
        selector = ",".join(f"{k}={v}" for k, v in sorted(obj["spec"]["selector"].items()))
    else:
        selector = selectors.selector_text(obj["spec"].get("selector"))
    if selector:
        made["status"]["selector"] = selector
    return made
