"""Writes `schemas/kubernetes/types.json` from a running API server: its kinds, and the types of their fields.

    python -m tests.controlplane.types https://127.0.0.1:6443 TOKEN > schemas/kubernetes/types.json

Facts only, no descriptions. Discovery says which kinds there are; the OpenAPI v3 documents say fields, list and map
types, defaults and patch strategies; the struct tags of the Go modules in `go.mod` beside this file say which zero
values are stored. Use a fresh server (whatever custom kinds it serves would be written too).

A field's type is the name of a scalar, or an object with one of the keys `ref`, `list`, `map`, `scalar`. Beside it:

`keys`      a list keyed by these fields; `set`: a list without repeats; with neither, a list is owned as one
`atomic`    a map or a type that is owned as one
`default`   stands in where the field is absent. A mere zero value is written only where it completes a
            list's key, or where an explicit zero is stored
`enum`      the values that there are
`micro`     a time stored with microseconds
`kept`      an explicit zero value is stored ("", 0, false; in Go a pointer); without it, zero counts as absent
`always`    stored even where absent, as its zero value (a type as {}, a list, map or time as null)
`patchKey`  strategic merge patch merges items by it; `patch`: its strategy where that is another one ("merge" of plain
            values, "retainKeys", "merge,retainKeys", "replace")
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

Json = dict[str, Any]

SCALARS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "any",
}
OBJECTS = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": {"scalar": "time", "micro": True},
    "io.k8s.apimachinery.pkg.runtime.RawExtension": {"map": "any", "atomic": True},
}
GO_PACKAGES = {
    "k8s.io/api": ".",
    "k8s.io/apimachinery": "pkg/apis",
    "k8s.io/apiextensions-apiserver": "pkg/apis",
    "k8s.io/kube-aggregator": "pkg/apis",
}
ZERO: tuple[Any, ...] = ("", 0, False, {})


class Server:
    """One API server, asked for JSON."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.tls = ssl._create_unverified_context()  # a test server on loopback signs for itself

    def get(self, path: str, accept: str = "application/json") -> Json:
        """The answer to a GET."""
        request = urllib.request.Request(
            self.url + path, headers={"Authorization": f"Bearer {self.token}", "Accept": accept}
        )
        with urllib.request.urlopen(request, context=self.tls) as answer:
            read: Json = json.load(answer)
            return read


def main() -> None:
    """Print the table, one kind or type a line."""
    server = Server(sys.argv[1].rstrip("/"), sys.argv[2])
    schemas: dict[str, Json] = {}
    for place in server.get("/openapi/v3")["paths"].values():
        schemas.update(server.get(place["serverRelativeURL"]).get("components", {}).get("schemas", {}))
    names = {(g["group"], g["version"], g["kind"]): name
             for name, schema in sorted(schemas.items()) for g in schema.get("x-kubernetes-group-version-kind", ())
             if not name.endswith(("DeleteOptions", "WatchEvent"))}  # fmt: skip
    found = kinds(server, names)
    wanted = [kind["type"] for kind in found.values()]
    wanted += [sub["type"] for kind in found.values() for sub in kind["subresources"].values() if "type" in sub]
    table = types(schemas, wanted)
    say_what_is_stored(table, go_structs(), {short(name): schema for name, schema in schemas.items()})
    version = server.get("/version")
    print(json.dumps({"version": f"{version['major']}.{version['minor']}"})[:-1] + ", \"kinds\": {")
    print(",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found)))
    print("}, \"types\": {")
    print(",\n".join(f"{json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table)))
    print("}}")


def kinds(server: Server, names: dict[tuple[str, str, str], str]) -> dict[str, Json]:
    """Every kind that discovery lists, by apiVersion/Kind."""
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    found: dict[str, Json] = {}
    for item in server.get("/api", accept)["items"] + server.get("/apis", accept)["items"]:
        group = item["metadata"].get("name", "")
        for version in item["versions"]:
            for resource in version["resources"]:
                def key(kind: Json, version: str = version["version"], group: str = group) -> tuple[str, str, str]:
                    return kind.get("group") or group, kind.get("version") or version, kind["kind"]

                kind = key(resource["responseKind"])
                found["/".join(part for part in kind if part)] = {
                    "type": short(names[kind]),
                    "namespaced": resource["scope"] == "Namespaced",
                    "plural": resource["resource"],
                    "singular": resource["singularResource"],
                    "short": resource.get("shortNames", []),
                    "categories": resource.get("categories", []),
                    "verbs": resource["verbs"],
                    "subresources": {sub["subresource"]: subresource(sub, key(sub["responseKind"]), names)
                                     for sub in resource.get("subresources", ())},
                }  # fmt: skip
    return found


def subresource(sub: Json, kind: tuple[str, str, str], names: dict[tuple[str, str, str], str]) -> Json:
    """What is known of a subresource: its verbs, and the kind that it takes and gives."""
    known: Json = {"verbs": sub["verbs"], "kind": "/".join(part for part in kind if part)}
    if kind in names:
        known["type"] = short(names[kind])
    return known


def short(name: str) -> str:
    """A type's name without the Go package before its API group."""
    return re.sub(r"^io\.k8s\.(?:api|[a-z-]+\.pkg\.apis)\.", "", name)


def types(schemas: dict[str, Json], wanted: list[str]) -> dict[str, Json]:
    """The wanted types and all that they refer to."""
    by_short = {short(name): schema for name, schema in schemas.items()}
    table: dict[str, Json] = {}
    while wanted:
        name = wanted.pop()
        if name in table:
            continue
        schema = by_short[name]
        fields = {field: field_type(about, by_short) for field, about in sorted(schema["properties"].items())}
        table[name] = {"fields": fields} | ({"required": sorted(schema["required"])} if schema.get("required") else {})
        wanted += references(list(fields.values()))
    for entry in table.values():
        for of_list in (field for field in entry["fields"].values() if isinstance(field, dict) and field.get("keys")):
            complete_keys(table, by_short, of_list)
    return table


def complete_keys(table: dict[str, Json], by_short: dict[str, Json], keyed: Json) -> None:
    """Write even a zero default of fields that are keys of a list: it stands in where an item leaves the key out."""
    item = keyed["list"]["ref"]
    for key in keyed["keys"]:
        about = by_short[item]["properties"][key]
        if "default" in about:
            field = table[item]["fields"][key]
            form = {"scalar": field} if isinstance(field, str) else field
            table[item]["fields"][key] = form | {"default": about["default"]}


def go_structs() -> dict[str, dict[str, tuple[str, str]]]:
    """Of every Go struct of the API packages, by its short type name: JSON field -> (Go type, options of the tag)."""
    structs: dict[str, dict[str, tuple[str, str]]] = {}
    embedded: dict[str, list[str]] = {}
    for module, folder in GO_PACKAGES.items():
        command = ["go", "list", "-m", "-f", "{{.Dir}}", module]
        root = Path(subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout.strip())
        for file in sorted((root / folder).glob("*/v*/*types*.go")):
            read_structs(file.read_text(), ".".join(file.parts[-3:-1]), structs, embedded)
    for name, parts in embedded.items():
        for part in parts:
            structs[name] |= inherited(part, structs, embedded)
    return structs


def inherited(name: str, structs: Any, embedded: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    """The fields of a struct with those of the structs embedded in it."""
    fields = dict(structs.get(name, {}))
    for part in embedded.get(name, ()):
        fields |= inherited(part, structs, embedded)
    return fields


def read_structs(source: str, package: str, structs: Any, embedded: dict[str, list[str]]) -> None:
    """Read the structs of one Go file."""
    for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", source, re.M | re.S):
        fields = structs.setdefault(f"{package}.{name}", {})
        for kind, tag in re.findall(r"^\t(?:\w+\s+)?([*\[\]\w.]+)\s+`[^`]*json:\"([^\"]*)\"", body, re.M):
            field, _, options = tag.partition(",")
            if field:
                fields[field] = (kind, options)
            elif "." not in kind:
                embedded.setdefault(f"{package}.{name}", []).append(f"{package}.{kind}")


def say_what_is_stored(
    table: dict[str, Json], structs: dict[str, dict[str, tuple[str, str]]], by_short: dict[str, Json]
) -> None:
    """Mark the fields that are `kept` or stored `always`, from how Go holds them."""
    for name, entry in table.items():
        for field, form in entry["fields"].items():
            if field in ("apiVersion", "kind") and field not in structs[name]:
                continue  # from the embedded TypeMeta
            kind, options = structs[name][field]
            inner = form if isinstance(form, str) else form.get("scalar", "")
            by_value = inner in ("time", "quantity", "int-or-string") or (isinstance(form, dict) and "ref" in form)
            if kind.startswith("*"):
                mark = "kept" if inner and inner != "any" else ""
            else:
                mark = "always" if "omitempty" not in options or (by_value and "omitzero" not in options) else ""
            if mark:
                marked = ({"scalar": form} if isinstance(form, str) else form) | {mark: True}
                about = by_short[name]["properties"][field]
                if mark == "kept" and "default" in about:
                    marked["default"] = about["default"]
                entry["fields"][field] = marked


def references(fields: list[Any]) -> list[str]:
    """The names of the types that fields refer to."""
    found: list[str] = []
    for field in fields:
        if isinstance(field, dict):
            found += [field["ref"]] if "ref" in field else references([field.get("list"), field.get("map")])
    return found


def field_type(about: Json, by_short: dict[str, Json]) -> Any:
    """The type of one field (or item) in the form described above."""
    form, extras = base_type(about, by_short), {}
    strategy = about.get("x-kubernetes-patch-strategy", "")
    if "x-kubernetes-patch-merge-key" in about and "merge" in strategy:
        extras["patchKey"] = about["x-kubernetes-patch-merge-key"]
    if strategy and (strategy != "merge" or "patchKey" not in extras):
        extras["patch"] = strategy
    if "default" in about and about["default"] not in ZERO:
        extras["default"] = about["default"]
    if "enum" in about:
        extras["enum"] = about["enum"]
    if not extras:
        return form
    return ({"scalar": form} if isinstance(form, str) else form) | extras


def base_type(about: Json, by_short: dict[str, Json]) -> Any:
    """The type alone."""
    reference = about.get("$ref") or next((part["$ref"] for part in about.get("allOf", ()) if "$ref" in part), "")
    if reference:
        name = reference.rpartition("/")[2]
        if name in SCALARS or name in OBJECTS:
            return SCALARS.get(name) or OBJECTS[name]
        target = by_short[short(name)]
        if "properties" not in target:
            return {"map": "any"}
        atomic = "atomic" in (about.get("x-kubernetes-map-type"), target.get("x-kubernetes-map-type"))
        return {"ref": short(name)} | ({"atomic": True} if atomic else {})
    kind = about.get("type", "any")
    if kind == "array":
        return list_type(about, by_short)
    if kind == "object":
        inner = about.get("additionalProperties")
        of_map = {"map": field_type(inner, by_short) if isinstance(inner, dict) else "any"}
        return of_map | ({"atomic": True} if about.get("x-kubernetes-map-type") == "atomic" else {})
    return {"byte": "bytes", "date-time": "time", "int-or-string": "int-or-string"}.get(about.get("format", ""), kind)


def list_type(about: Json, by_short: dict[str, Json]) -> Json:
    """A list: keyed, a set, or atomic; where nothing is said, the patch strategy tells (as the API server reads it)."""
    form: Json = {"list": field_type(about["items"], by_short)}
    said = about.get("x-kubernetes-list-type")
    merged = "merge" in about.get("x-kubernetes-patch-strategy", "")
    if said == "map":
        form["keys"] = about["x-kubernetes-list-map-keys"]
    elif said == "set":
        form["set"] = True
    elif said is None and merged and "x-kubernetes-patch-merge-key" in about:
        form["keys"] = [about["x-kubernetes-patch-merge-key"]]
    elif said is None and merged:
        form["set"] = True
    return form


if __name__ == "__main__":
    main()
