"""Which resources a cluster serves: the built-in ones, and those that definitions add.

Law of the module: a `Resource` is one plural in one version of one group. Versions of one group and plural share their objects
(`storage`). The built-in table is data (`schemas/kubernetes/types.json`): the facts of
discovery of Kubernetes 1.36.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .schema import Kind, Table

Json = dict[str, Any]


class Storage(NamedTuple):
    """What objects are kept by: a group and a plural."""

    group: str
    plural: str


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One plural in one version of one group: a kind, and for custom ones what the definition adds."""

    about: Kind
    list_kind: str = ""
    definition: Json | None = None  # spec of the CustomResourceDefinition, None for a built-in one
    api_version: str = field(init=False)  # the `apiVersion` of its objects
    storage: Storage = field(init=False)  # where its objects are

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_version", self.about.api_version)
        object.__setattr__(self, "storage", Storage(_STORED_UNDER.get(self.about.group, self.about.group), self.about.plural))

    @property
    def group(self) -> str:
        """The API group, "" for core."""
        return self.about.group

    @property
    def version(self) -> str:
        """The version in its group."""
        return self.about.version

    @property
    def plural(self) -> str:
        """The segment of its paths."""
        return self.about.plural

    @property
    def kind(self) -> str:
        """The kind of its objects."""
        return self.about.kind

    @property
    def namespaced(self) -> bool:
        """Whether objects live in namespaces."""
        return self.about.namespaced

    @property
    def custom(self) -> bool:
        """Whether a definition made it."""
        return self.definition is not None

    @property
    def list_name(self) -> str:
        """The kind of its lists."""
        return self.list_kind or f"{self.kind}List"


class Catalogue:
    """The resources of one cluster by group and version, in the order that discovery shows them."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], dict[str, Resource]] = {k: dict(v) for k, v in builtin().items()}
        self._kinds: dict[tuple[str, str], Resource] = {}
        for resource in self.all():
            self._kinds.setdefault((resource.group, resource.kind), resource)

    def all(self) -> Iterator[Resource]:
        """Every resource."""
        for resources in self._versions.values():
            yield from resources.values()

    def versions(self) -> Mapping[tuple[str, str], Mapping[str, Resource]]:
        """Resources by plural, by group and version."""
        return self._versions

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource of a path."""
        return self._versions.get((group, version), {}).get(plural)

    def serves(self, group: str, version: str) -> bool:
        """Whether anything is served there."""
        return (group, version) in self._versions

    def defined(self, group: str, plural: str) -> Resource | None:
        """A resource of a definition, in any version."""
        return next((found[plural] for (of, _), found in self._versions.items() if of == group and plural in found), None)

    def define(self, resources: list[Resource], group: str, plural: str) -> None:
        """Put the resources of one definition in place of what it had before (none: take it away)."""
        builtin_versions = builtin()
        for key in [k for k, v in self._versions.items() if k[0] == group and plural in v]:
            del self._versions[key][plural]
            if not self._versions[key] and key not in builtin_versions:
                del self._versions[key]
        for kind_key in [k for k, r in self._kinds.items() if r.group == group and r.plural == plural]:
            del self._kinds[kind_key]
        for resource in resources:
            self._versions.setdefault((resource.group, resource.version), {})[plural] = resource
            self._kinds.setdefault((resource.group, resource.kind), resource)


# In this order discovery shows the groups; the resources of a version come by plural.
_GROUPS = (
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
)
# Groups whose objects are stored under another group.
_STORED_UNDER = {"events.k8s.io": ""}


def schema_folder() -> Path:
    """Where the project's schemas are: in the wheel below the package, in a checkout beside it."""
    package = Path(str(importlib.resources.files("reconciler")))
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


@functools.cache
def table() -> Table:
    """The built-in kinds and types, read once."""
    return Table(msgspec.json.decode((schema_folder() / "kubernetes" / "types.json").read_bytes()))


@functools.cache
def builtin() -> Mapping[tuple[str, str], Mapping[str, Resource]]:
    """The built-in resources by plural, by group and version, in the order of discovery."""
    rows = [Resource(kind) for kind in table().kinds.values()]
    # autoscaling/v2 stands before v1: the preferred version comes first.
    rows.sort(key=lambda r: (_GROUPS.index(r.group), -int(r.version[1:]), r.plural))
    found: dict[tuple[str, str], dict[str, Resource]] = {}
    for resource in rows:
        found.setdefault((resource.group, resource.version), {})[resource.plural] = resource
    return found
