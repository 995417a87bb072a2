"""What a CustomResourceDefinition makes of a cluster: the resources that it serves.

Law of the module: pure. Every served version of an accepted definition is a resource; all versions share their objects, which are
stored as they were written (conversion None changes nothing but `apiVersion`).
"""

from __future__ import annotations

from .resources import Resource, table
from .schema import Kind, custom_type
from .store import Json

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_PART_VERBS = ["get", "patch", "update"]


def resources_of(definition: Json) -> list[Resource]:
    """The resources of a definition, one a served version."""
    spec = definition["spec"]
    names = spec["names"]
    metadata = table().struct("meta.v1.ObjectMeta")
    found = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        parts: dict[str, Json] = {}
        if "status" in (version.get("subresources") or {}):
            parts["status"] = {"kind": f"{spec['group']}/{version['name']}/{names['kind']}", "verbs": _PART_VERBS}
        if "scale" in (version.get("subresources") or {}):
            parts["scale"] = {"kind": "autoscaling/v1/Scale", "verbs": _PART_VERBS}
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        kind = Kind(
            group=spec["group"],
            version=version["name"],
            kind=names["kind"],
            type=custom_type(schema, metadata),
            namespaced=spec["scope"] == "Namespaced",
            plural=names["plural"],
            singular=names.get("singular", ""),
            short=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            verbs=_VERBS,
            subresources=parts,
        )
        found.append(Resource(kind, names.get("listKind", ""), spec))
    return found
