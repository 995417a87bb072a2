"""OpenAPI v3, one document a group and version: what kubectl reads before it applies, edits or explains.

Law of the module: built from the catalogue and the types, on demand. It says which parameters a path takes and what form objects have;
descriptions are left out. There is no v2 document: kubectl falls back to it only where v3 is missing.
"""

from __future__ import annotations

import hashlib

from .http import Request, Response
from .resources import Catalogue, Resource
from .schema import FREE, INT_OR_STRING, UNTYPED, Type
from .store import Json, encode

_ROOT = "/openapi/v3"
_META = "io.k8s.apimachinery.pkg.apis."
_SCALARS: dict[str, Json] = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "format": "int32"},
    "number": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "quantity": {"type": "string"},
    INT_OR_STRING: {"type": "string", "format": "int-or-string"},
}
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
_VERBS = {"create": "post", "update": "put", "patch": "patch", "delete": "delete", "get": "get"}


def answer(catalogue: Catalogue, request: Request) -> Response | None:
    """The index or a document; None where the path is neither."""
    path = request.path.rstrip("/")
    if path == _ROOT:
        paths = {}
        for group, version in catalogue.versions():
            name = _name(group, version)
            digest = hashlib.blake2b(encode(_document(catalogue, group, version)), digest_size=16).hexdigest().upper()
            paths[name] = {"serverRelativeURL": f"{_ROOT}/{name}?hash={digest}"}
        return Response(200, encode({"paths": paths}))
    parts = path.removeprefix(_ROOT + "/").split("/")
    found = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else tuple(parts[1:]) if len(parts) == 3 else ()
    if not path.startswith(_ROOT + "/") or len(found) != 2 or not catalogue.serves(*found):
        return None
    return Response(200, encode(_document(catalogue, *found)))


def _name(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _document(catalogue: Catalogue, group: str, version: str) -> Json:
    schemas: dict[str, Json] = {}
    paths: Json = {}
    for resource in catalogue.versions()[group, version].values():
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
        schemas[name] = _map(of, schemas)
    schemas[name] = {**schemas[name], "x-kubernetes-group-version-kind": [_kind(resource)]}
    return name


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
    if not of.is_map:
        return dict(_SCALARS.get(of.scalar, {"type": "string"}))
    if not of.name:
        return _map(of, schemas) | _patch(of)
    made = {"allOf": [{"$ref": f"#/components/schemas/{_named(of, schemas)}"}]}
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
    if of.values is not None and of.values is not FREE:
        made["additionalProperties"] = _schema(of.values, schemas)
    elif of.values is not None:
        made["x-kubernetes-preserve-unknown-fields"] = True
    if of.required:
        made["required"] = list(of.required)
    return made
