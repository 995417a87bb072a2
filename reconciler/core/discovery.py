"""Which kinds a cluster serves, and under which paths.

Law of the module: read from aggregated discovery (`/api` and `/apis`, `apidiscovery.k8s.io/v2`), two requests a cluster. A group
whose server did not answer is *stale*: its kinds are unknown, never absent (design, law 12).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

from .identity import GroupKind, ObjectId

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
"""What to ask for. A server older than 1.30 answers the plain documents, which `parse` refuses."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as one version of its group serves it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()

    @property
    def group_kind(self) -> GroupKind:
        """The kind without its version."""
        return GroupKind(self.group, self.kind)

    @property
    def api_version(self) -> str:
        """As manifests write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def keeps(self) -> bool:
        """Whether objects of the kind can be kept as they are written: some are only answered (reviews, tokens)."""
        return "list" in self.verbs and "watch" in self.verbs and "patch" in self.verbs

    def collection(self, namespace: str = "") -> str:
        """The path of all objects of the kind, of one namespace or of the cluster."""
        top = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{top}/namespaces/{quote(namespace, safe='')}/{self.plural}" if namespace else f"{top}/{self.plural}"

    def path(self, id: ObjectId) -> str:
        """The path of one object."""
        return f"{self.collection(id.namespace)}/{quote(id.name, safe='')}"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a cluster serves. The first version a group lists for a kind is the one it prefers."""

    resources: dict[tuple[str, str, str], Resource] = field(default_factory=dict)  # (group, version, kind)
    preferred: dict[tuple[str, str], Resource] = field(default_factory=dict)
    stale_groups: dict[str, None] = field(default_factory=dict)

    def find(self, group: str, version: str, kind: str) -> Resource | None:
        """The kind in exactly that version, as a manifest asks for it."""
        return self.resources.get((group, version, kind))

    def absent(self, kind: GroupKind) -> bool:
        """Whether the kind is *proven* not to be served."""
        return kind not in self.preferred and kind.group not in self.stale_groups


@lru_cache(maxsize=4)
def parse(*documents: bytes) -> Discovery | None:
    """Read aggregated discovery documents; None where one of them is something else (an old server, a proxy's error page).

    Clusters that serve the same share what was read: it is not to be changed.
    """
    found = Discovery()
    for document in documents:
        try:
            body = msgspec.json.decode(document)
            if body["kind"] != "APIGroupDiscoveryList":
                return None
            for group in body["items"]:
                _read_group(group, found)
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            return None
    return found


def _read_group(group: dict[str, Any], found: Discovery) -> None:
    name = group["metadata"].get("name", "")
    for version in group["versions"]:
        if version.get("freshness") == "Stale":
            found.stale_groups[name] = None
        for item in version.get("resources", ()):
            kind = (item.get("responseKind") or {}).get("kind")
            if not kind:
                continue
            resource = Resource(
                group=name,
                version=version["version"],
                kind=kind,
                plural=item["resource"],
                namespaced=item.get("scope") == "Namespaced",
                verbs=tuple(item.get("verbs") or ()),
                subresources=tuple(sub["subresource"] for sub in item.get("subresources") or ()),
            )
            found.resources.setdefault((name, resource.version, kind), resource)
            found.preferred.setdefault(resource.group_kind, resource)
