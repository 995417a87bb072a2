"""Paths that are no resources: discovery in both forms, health, version.

Law of the module: answers follow from the catalogue alone. Legacy documents go group by group; the aggregated form (v2) answers
/api and /apis at once and is what kubectl asks for first.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable

import msgspec

from . import openapi
from .http import Request, Response
from .resources import Catalogue, Resource, builtin
from .store import Json, encode
from .versions import api_version

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION: Json = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.3",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_HEALTH = ("/healthz", "/readyz", "/livez")
_CHECKS = (["ping"], ["log"], ["etcd"])
# Kinds whose storage hash is that of the kind; kinds without storage have none.
_UNSTORED = ("Binding", "ComponentStatus", "TokenReview", "SelfSubjectReview")


def answer(catalogue: Catalogue, request: Request) -> Response | None:
    """The answer to a GET of a path that is no resource, None where it may be one."""
    path = request.path.rstrip("/") or "/"
    parts = path.strip("/").split("/")
    if path == "/":
        return _document({"paths": sorted(_paths(catalogue))})
    if path == "/version":
        return _document(VERSION)
    if parts[0] in ("healthz", "readyz", "livez") and (len(parts) == 1 or parts[1:] in _CHECKS):
        return _health(request, parts[0])
    if parts[0] == "openapi":
        return openapi.answer(catalogue, request)
    if path in ("/api", "/apis") and _aggregated(request.accept):
        return Response(200, encode(_aggregate(catalogue, path == "/api")), AGGREGATED)
    if path == "/api":
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]
        return _document({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses})
    if path == "/apis":
        groups = [_group(name, versions) for name, versions in _groups(catalogue).items() if name]
        return _document({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in (groups_of := _groups(catalogue)):
        return _document({"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], groups_of[parts[1]])})
    found = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else tuple(parts[1:]) if len(parts) == 3 else ()
    if parts[0] in ("api", "apis") and len(found) == 2 and catalogue.serves(*found):
        return _document(_resource_list(catalogue, *found))
    return None


def _document(body: Json) -> Response:
    return Response(200, encode(body))


def _health(request: Request, name: str) -> Response:
    if any(key == "verbose" for key, _ in request.query):
        text = f"[+]ping ok\n[+]log ok\n[+]etcd ok\n{name} check passed\n"
        return Response(200, text.encode(), "text/plain; charset=utf-8")
    return Response(200, b"ok", "text/plain; charset=utf-8")


def _aggregated(accept: str) -> bool:
    first = accept.split(",", maxsplit=1)[0]
    return "as=APIGroupDiscoveryList" in first and "v=v2" in first.replace("v=v2beta1", "")


def _groups(catalogue: Catalogue) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for group, version in catalogue.versions():
        groups.setdefault(group, []).append(version)
    # Groups of definitions come after the built-in ones, by name.
    known = dict.fromkeys(name for name, _ in builtin())
    order = [group for group in groups if group in known] + sorted(group for group in groups if group not in known)
    return {group: _by_priority(groups[group]) for group in order}


def _by_priority(versions: list[str]) -> list[str]:
    """Versions as clients prefer them: stable before beta before alpha, each from new to old, others by name."""
    return sorted(versions, key=version_priority)


@functools.lru_cache(maxsize=256)
def version_priority(version: str) -> tuple[int, int, int, str]:
    """What versions of a group are sorted by (apimachinery version.CompareKubeAwareVersionStrings)."""
    major, stage, minor = _read_version(version)
    if major < 0:
        return (3, 0, 0, version)
    return ({"": 0, "beta": 1, "alpha": 2}[stage], -major, -minor, "")


def _read_version(version: str) -> tuple[int, str, int]:
    for stage in ("alpha", "beta"):
        major, found, minor = version.removeprefix("v").partition(stage)
        if found and major.isdigit() and minor.isdigit():
            return int(major), stage, int(minor)
    return (int(version[1:]), "", 0) if version[:1] == "v" and version[1:].isdigit() else (-1, "", 0)


def _group(name: str, versions: list[str]) -> Json:
    rows = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": rows, "preferredVersion": rows[0]}


def _resource_list(catalogue: Catalogue, group: str, version: str) -> Json:
    rows: list[Json] = []
    resources = catalogue.versions()[group, version].values()
    for resource in resources:
        about = resource.about
        row: Json = {"name": about.plural, "singularName": about.singular, "namespaced": about.namespaced}
        row |= {"kind": about.kind, "verbs": list(about.verbs)}
        if about.short:
            row["shortNames"] = list(about.short)
        if about.categories:
            row["categories"] = list(about.categories)
        if "get" in about.verbs and about.kind not in _UNSTORED:
            row["storageVersionHash"] = _storage_hash(resource)
        rows.append(row)
        rows += [_subresource_row(resource, name) for name in about.subresources]
    made: Json = {"kind": "APIResourceList"}
    if group:
        made["apiVersion"] = "v1"
    return made | {"groupVersion": f"{group}/{version}" if group else version, "resources": rows}


def _subresource_row(resource: Resource, name: str) -> Json:
    about = resource.about
    sub = about.subresources[name]
    *group_version, kind = sub["kind"].split("/")
    row: Json = {"name": f"{about.plural}/{name}", "singularName": "", "namespaced": about.namespaced}
    if "/".join(group_version) != about.api_version:
        *group, version = group_version
        row |= {"group": group[0] if group else "", "version": version}
    return row | {"kind": kind, "verbs": list(sub["verbs"])}


def _storage_hash(resource: Resource) -> str:
    # Definitions themselves are stored as v1beta1.
    group, _, version = api_version(resource).rpartition("/")
    version = "v1beta1" if resource.kind == "CustomResourceDefinition" else version
    if resource.definition is not None:
        version = next(each["name"] for each in resource.definition["versions"] if each["storage"])
    text = f"{group}/{version}/{resource.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _aggregate(catalogue: Catalogue, core: bool) -> Json:
    items = []
    for group, versions in _groups(catalogue).items():
        if (group == "") != core:
            continue
        rows = [{"version": v, "resources": _aggregate_version(catalogue, group, v), "freshness": "Current"} for v in versions]
        items.append({"metadata": {"name": group} if group else {}, "versions": rows})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregate_version(catalogue: Catalogue, group: str, version: str) -> msgspec.Raw:
    """The resources of one version, encoded; what no definition has added to is the same for all clusters."""
    resources = catalogue.versions()[group, version]
    if resources == builtin().get((group, version)):
        return _builtin_version(group, version)
    return msgspec.Raw(encode(_aggregate_rows(resources.values())))


@functools.cache
def _builtin_version(group: str, version: str) -> msgspec.Raw:
    return msgspec.Raw(encode(_aggregate_rows(builtin()[group, version].values())))


def _aggregate_rows(resources: Iterable[Resource]) -> list[Json]:
    rows = []
    for resource in resources:
        about = resource.about
        kind = {"group": about.group if resource.custom else "", "version": about.version if resource.custom else "", "kind": about.kind}
        row: Json = {"resource": about.plural, "responseKind": kind}
        row |= {"scope": "Namespaced" if about.namespaced else "Cluster", "singularResource": about.singular}
        row["verbs"] = list(about.verbs)
        if about.short:
            row["shortNames"] = list(about.short)
        if about.categories:
            row["categories"] = list(about.categories)
        if about.subresources:
            row["subresources"] = [_aggregate_subresource(resource, name) for name in about.subresources]
        rows.append(row)
    return rows


def _aggregate_subresource(resource: Resource, name: str) -> Json:
    sub = resource.about.subresources[name]
    *group_version, kind = sub["kind"].split("/")
    group, version = "", ""
    if resource.custom or "/".join(group_version) != resource.api_version:
        *groups, version = group_version
        group = groups[0] if groups else ""
    return {"subresource": name, "responseKind": {"group": group, "version": version, "kind": kind}, "verbs": list(sub["verbs"])}


def _paths(catalogue: Catalogue) -> Iterable[str]:
    yield from ("/api", "/apis", "/version", "/openapi/v2", "/openapi/v3", *_HEALTH)
    for group, version in catalogue.versions():
        yield f"/apis/{group}/{version}" if group else f"/api/{version}"
        if group:
            yield f"/apis/{group}"
