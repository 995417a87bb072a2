"""Rules of definitions of custom kinds, and of the scale that a definition gives to its objects.

Law of the module: pure; paths, order and sentences are those of kube-apiserver 1.36 (apiextensions-apiserver validation). What is
looked at of a schema is what people get wrong: types that are missing or unknown, keyed lists without keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .errors import Cause, invalid_value, required, unsupported
from .golang import go_type, plain
from .resources import Resource
from .store import Json

_IMMUTABLE = "field is immutable"
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_VERSION_FIELDS = ("DeprecationWarning", "Schema", "Subresources", "AdditionalPrinterColumns", "SelectableFields")


def definition(obj: Json) -> Iterator[Cause]:
    """What is wrong with a CustomResourceDefinition."""
    spec = obj.get("spec") or {}
    names = spec.get("names") or {}
    wanted = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if obj["metadata"].get("name") != wanted:
        text = 'must be spec.names.plural+"."+spec.group'
        yield invalid_value("metadata.name", obj["metadata"].get("name"), text)
    if not spec.get("group"):
        yield required("spec.group")
    scope = spec.get("scope")
    if not scope:
        yield required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield unsupported("spec.scope", scope, ("Cluster", "Namespaced"))
    yield from _versions(spec.get("versions") or [])
    for field in ("plural", "singular", "kind", "listKind"):
        if not names.get(field):
            yield required(f"spec.names.{field}")


def _versions(versions: list[Json]) -> Iterator[Cause]:
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid_value("spec.versions", [_shown(each) for each in versions], "must have exactly one version marked as storage version")
    if not any(version.get("storage") for version in versions):
        yield invalid_value("status.storedVersions", None, "must have at least one stored version")
    schemas = [(version.get("schema") or {}).get("openAPIV3Schema") for version in versions]
    if schemas and schemas[0] is not None and all(schema == schemas[0] for schema in schemas):
        yield from _root(schemas[0], "spec.validation.openAPIV3Schema")  # what all versions share is kept once
        return
    for at, schema in enumerate(schemas):
        path = f"spec.versions[{at}].schema.openAPIV3Schema"
        if schema is None:
            yield required(path)
        else:
            yield from _root(schema, path)


def _shown(version: Json) -> Json:
    """A version as the server's own type prints it, without what all versions share."""
    marks = {name: version.get(name.lower(), False) for name in ("Served", "Storage", "Deprecated")}
    return {"Name": version.get("name", ""), **marks, **dict.fromkeys(_VERSION_FIELDS)}


def _root(schema: Json, path: str) -> Iterator[Cause]:
    kind = schema.get("type")
    if not kind:
        yield required(f"{path}.type", "must not be empty at the root")
    elif kind != "object":
        yield invalid_value(f"{path}.type", kind, "must be object at the root")
    yield from _below(schema, path)


def _below(schema: Json, path: str) -> Iterator[Cause]:
    for name, inner in sorted((schema.get("properties") or {}).items()):
        yield from _node(inner, f"{path}.properties[{name}]", "specified object fields")
    if isinstance(schema.get("items"), dict):
        yield from _node(schema["items"], f"{path}.items", "specified array items")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _node(schema["additionalProperties"], f"{path}.additionalProperties", "specified object fields")


def _node(schema: Json, path: str, what: str) -> Iterator[Cause]:
    kind = schema.get("type", "")
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not kind and not free:
        yield required(f"{path}.type", f"must not be empty for {what}")
    elif kind and kind not in _TYPES:
        yield unsupported(f"{path}.type", kind, _TYPES)
    if schema.get("x-kubernetes-list-type") == "map" and not schema.get("x-kubernetes-list-map-keys"):
        yield required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
    yield from _below(schema, path)


def definition_update(obj: Json, old: Json) -> Iterator[Cause]:
    """Whether a definition would change where it may not."""
    for path in ("group", "scope"):
        if obj["spec"].get(path) != old["spec"].get(path):
            yield invalid_value(f"spec.{path}", obj["spec"].get(path), _IMMUTABLE)
    for name in ("kind", "plural"):
        if obj["spec"]["names"].get(name) != old["spec"]["names"].get(name):
            yield invalid_value(f"spec.names.{name}", obj["spec"]["names"].get(name), _IMMUTABLE)
    served = [version.get("name") for version in obj["spec"].get("versions") or ()]
    for at, stored in enumerate((old.get("status") or {}).get("storedVersions") or ()):
        if stored not in served:
            text = (
                f"missing from spec.versions; {stored} was previously a storage version, and must remain in spec.versions until a "
                f"storage migration ensures no data remains persisted in {stored} and removes {stored} from status.storedVersions"
            )
            yield invalid_value(f"status.storedVersions[{at}]", stored, text)


def scale_causes(resource: Resource, obj: Json) -> list[Cause]:
    """What is wrong with the replicas of a custom object that has a scale."""
    if "scale" not in resource.about.subresources or resource.definition is None:
        return []
    version = next(each for each in resource.definition["versions"] if each["name"] == resource.version)
    path: str = version["subresources"]["scale"]["specReplicasPath"]
    value: Any = obj
    for name in path.strip(".").split("."):
        if value is not None and not isinstance(value, dict):
            text = f"{path} accessor error: {plain(value)} is of the type {go_type(value)}, expected map[string]interface{{}}"
            return [invalid_value(path, 0, text)]
        value = (value or {}).get(name)
    if isinstance(value, int) and value < 0:
        return [invalid_value(path, value, "should be a non-negative integer")]
    return []
