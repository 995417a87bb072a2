"""All manifests of one commit, for checks that only the whole tree can pass.

Law of the module: reads only, and answers like a `view.View`, so that a check and a plan look things up by the same code and say the
same words. What nobody has configured is not known, never guessed: a file may be checked where there are no clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .identity import ClusterName, GroupKind, Lane
from .manifest import Manifest
from .problem import Problem


class Lookup(Protocol):
    """Where manifests are found: a view, or a tree."""

    def manifests(self, kind: GroupKind) -> tuple[Manifest, ...]:
        """All manifests of a kind, in order of path."""

    def named(self, kind: GroupKind, namespace: str, name: str) -> tuple[Manifest, ...]:
        """The manifests of a kind that have a name, in order of path."""


class Places(Lookup, Protocol):
    """Where manifests are found, and where they go."""

    @property
    def clusters(self) -> tuple[ClusterName, ...]:
        """The clusters that are configured."""

    def lane_of(self, manifest: Manifest) -> Lane | str | None:
        """The lane that a manifest's place in the tree implies, None under hub/, or why there is none."""


@dataclass(frozen=True, slots=True)
class Tree:
    """`clusters` None: nobody has said which there are. `before`: an object as it was until the commit that last changed it, if known.

    `planned`: units are planned beside this, and tell themselves of what they meet in the stage that they are in.
    """

    kinds: Mapping[GroupKind, tuple[Manifest, ...]]  # each in order of path
    clusters: tuple[ClusterName, ...] | None
    lane_of: Callable[[Manifest], Lane | str | None]
    before: Callable[[Manifest], Manifest | None] = lambda _: None
    planned: bool = False
    _by_name: dict[GroupKind, dict[tuple[str, str], tuple[Manifest, ...]]] = field(default_factory=dict)

    def manifests(self, kind: GroupKind) -> tuple[Manifest, ...]:
        """All manifests of a kind, in order of path."""
        return self.kinds.get(kind, ())

    def named(self, kind: GroupKind, namespace: str, name: str) -> tuple[Manifest, ...]:
        """The manifests of a kind that have a name, in order of path."""
        index = self._by_name.get(kind)
        if index is None:
            index = self._by_name[kind] = {}
            for manifest in self.manifests(kind):
                at = (manifest.namespace, manifest.name)
                index[at] = (*index.get(at, ()), manifest)
        return index.get((namespace, name), ())


CheckFunction = Callable[[Tree], tuple[Problem, ...]]
