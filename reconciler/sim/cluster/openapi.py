"""OpenAPI v3, one document a group and version: what kubectl reads before it applies, edits or explains.

Law of the module: built from the catalogue and the types, once for each set of resources. It says which parameters a path takes and
what form objects have; built-in kinds come without descriptions, custom ones as their definitions describe them. `openapi2` makes
the one old document of it.
"""

from __future__ import annotations

import functools
import hashlib

from . import openapi2
from .http import Request, Response
from .resources import Catalogue, Resource
from .schema import FREE, INT_OR_STRING, UNTYPED, Type
from .store import Json, encode

_ROOT = "/openapi/v3"
_OLD_ROOT = "/openapi/v2"
_META = "io.k8s.apimachinery.pkg.apis."
_SCALARS: dict[str, Json] = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "format": "int32"},
    "number": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
}
# Types that are more than one scalar have a name, and this form.
_NAMED: dict[str, tuple[str, Json]] = {
    "quantity": ("io.k8s.apimachinery.pkg.api.resource.Quantity", {"oneOf": [{"type": "string"}, {"type": "number"}]}),
    INT_OR_STRING: (
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        {"format": INT_OR_STRING, "oneOf": [{"type": "integer"}, {"type": "string"}]},
    ),
}
_FIELDS = ("fieldsV1", "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", {"type": "object"})
_KEPT = 64
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
_VERBS = {"create": "post", "update": "put", "patch": "patch", "delete": "delete", "get": "get"}


def answer(catalogue: Catalogue, request: Request) -> Response | None:
    """The index or a document; None where the path is neither."""
    path = request.path.rstrip("/")
    if path == _ROOT:
        digests = {_name(*key): _encoded(tuple(found.values()))[1] for key, found in catalogue.versions().items()}
        return Response(200, encode({"paths": {n: {"serverRelativeURL": f"{_ROOT}/{n}?hash={d}"} for n, d in digests.items()}}))
    if path == _OLD_ROOT:
        documents = tuple(_encoded(tuple(found.values()))[0] for found in catalogue.versions().values())
        return openapi2.answer(documents, request)
    parts = path.removeprefix(_ROOT + "/").split("/")
    found = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else tuple(parts[1:]) if len(parts) == 3 else ()
    if not path.startswith(_ROOT + "/") or len(found) != 2 or not catalogue.serves(*found):
        return None
    return Response(200, _encoded(tuple(catalogue.versions()[found[0], found[1]].values()))[0])


def _name(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


@functools.lru_cache(_KEPT)
def _encoded(resources: tuple[Resource, ...]) -> tuple[bytes, str]:
    """The document of a version, and its digest. Resources are compared by identity: a changed definition makes new ones."""
    document = encode(_document(resources))
    return document, hashlib.blake2b(document, digest_size=16).hexdigest().upper()


def _document(resources: tuple[Resource, ...]) -> Json:
    schemas: dict[str, Json] = {}
    paths: Json = {}
    for resource in resources:
        if "list" not in resource.about.verbs:
            continue
        name = _schema_of(resource, schemas)
        paths |= _paths(resource, name)
    info = {"title": "Kubernetes", "version": "v1.36.3"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _kind(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _paths(resource: Resource, name: str) -> Json:
    base = f"/{_name(resource.group, resource.version)}"
    space = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"{base}{space}/{resource.plural}"
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    def operation(verb: str) -> Json:
        parameters = [{"name": p, "in": "query", "schema": {"type": "string"}} for p in _WRITE_PARAMETERS if verb != "get"]
        if verb == "patch":
            parameters.append({"name": "force", "in": "query", "schema": {"type": "boolean"}})
        made: Json = {"parameters": parameters, "responses": {"200": {"description": "OK", "content": content}}}
        return made | {"x-kubernetes-action": verb, "x-kubernetes-group-version-kind": _kind(resource)}

    one = {_VERBS[verb]: operation(verb) for verb in ("get", "update", "patch", "delete") if verb in resource.about.verbs}
    made: Json = {f"{collection}/{{name}}": one}
    if "create" in resource.about.verbs:
        made[collection] = {"get": operation("get"), "post": operation("create")}
    return made


def _schema_of(resource: Resource, schemas: dict[str, Json]) -> str:
    of = resource.about.type
    if not resource.custom:
        name = _named(of, schemas)
    else:
        name = ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])
        head = {"apiVersion": _SCALARS["string"], "kind": _SCALARS["string"]}
        head["metadata"] = {"allOf": [_reference(_named((of.fields or {})["metadata"], schemas))]}
        schemas[name] = {**of.rules, "properties": {**of.rules.get("properties", {}), **head}}
    schemas[name] = {**schemas[name], "x-kubernetes-group-version-kind": [_kind(resource)]}
    return name


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _named(of: Type, schemas: dict[str, Json]) -> str:
    name = (_META if of.name.startswith("meta.") else "io.k8s.api.") + of.name
    if name not in schemas:
        schemas[name] = {}  # first, because some types hold themselves
        schemas[name] = _map(of, schemas)
    return name


def _schema(of: Type, schemas: dict[str, Json]) -> Json:
    if of is FREE or of is UNTYPED or (of.is_map and of.scalar):
        return {"x-kubernetes-preserve-unknown-fields": True}
    if of.items is not None:
        made: Json = {"type": "array", "items": _schema(of.items, schemas)}
        if of.keys:
            made |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(of.keys)}
        else:
            made["x-kubernetes-list-type"] = "set" if of.unique else "atomic"
        return made | _patch(of)
    if of.scalar in _NAMED:
        name, form = _NAMED[of.scalar]
        schemas[name] = form
        return _reference(name)
    if not of.is_map:
        return dict(_SCALARS.get(of.scalar, {"type": "string"}))
    if not of.name:
        return _map(of, schemas) | _patch(of)
    made = {"allOf": [_reference(_named(of, schemas))]}
    if of.atomic:
        made["x-kubernetes-map-type"] = "atomic"
    return made | _patch(of)


def _patch(of: Type) -> Json:
    made: Json = {}
    if of.patch_key:
        made |= {"x-kubernetes-patch-merge-key": of.patch_key, "x-kubernetes-patch-strategy": of.patch or "merge"}
    elif of.patch:
        made["x-kubernetes-patch-strategy"] = of.patch
    return made


def _map(of: Type, schemas: dict[str, Json]) -> Json:
    made: Json = {"type": "object"}
    if of.fields:
        made["properties"] = {name: _schema(inner, schemas) for name, inner in of.fields.items()}
    if _FIELDS[0] in made.get("properties", ()):
        schemas[_FIELDS[1]] = _FIELDS[2]
        made["properties"][_FIELDS[0]] = _reference(_FIELDS[1])
    if of.values is not None and of.values is not FREE:
        made["additionalProperties"] = _schema(of.values, schemas)
    elif of.values is not None:
        made["x-kubernetes-preserve-unknown-fields"] = True
    if of.required:
        made["required"] = list(of.required)
    return made
