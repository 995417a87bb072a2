"""What the operator has set, as values the core can be given.

Law of the module: frozen, complete and checked before the engine sees it (`reconciler.config` parses and checks). No credentials
stand here: they stay with the adapters, by name of source and cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .identity import ClusterName, CommitId, SourceName

Commits = Literal["direct", "propose", "record"]
"""How a change of a file reaches Git: pushed to the branch that is followed, offered on a branch of its own, or not at all (what it
would say stands in the daemon's records alone)."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One repository, one revision to follow, one path in it."""

    name: SourceName
    url: str  # for people and for the pin in each cluster; without userinfo
    ref: str = "refs/heads/main"  # full name of the branch or tag
    commit: CommitId | None = None  # follow nothing: this commit and no other
    path: str = ""
    poll_seconds: float = 30.0
    status_branch: str = "reconciler-status"  # "" writes nothing back
    commits: Commits = "propose"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """One cluster."""

    name: ClusterName
    default: bool = False
    namespace: str = "default"  # of namespaced objects that name none


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the engine is told at start.

    With `act` False nothing is written anywhere: applies become server dry runs, whose answers are what `plan` shows.
    """

    sources: tuple[SourceSettings, ...]
    clusters: tuple[ClusterSettings, ...]
    identity: str  # of this daemon, for the Lease; the same again only after a restart of the same one
    home: ClusterName
    act: bool = True
    status_seconds: float = 30.0  # cosmetic changes of the status branch at most so often
    requests_in_flight: int = 16  # per cluster
    store_namespace: str = "reconciler-system"
    helm: bool = False  # whether charts can be rendered
    urls: tuple[str, ...] = ()  # how addresses begin that manifests may name (`lib.urls`)

    def cluster(self, name: str) -> ClusterSettings | None:
        """The cluster of that name."""
        return next((c for c in self.clusters if c.name == name), None)

    @property
    def default_cluster(self) -> ClusterSettings | None:
        """Where manifests go whose place says nothing: the only cluster, or the one marked so."""
        if len(self.clusters) == 1:
            return self.clusters[0]
        return next((c for c in self.clusters if c.default), None)
