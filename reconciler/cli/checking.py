"""What can be said of a tree of manifests without asking any cluster.

Law of the module: pure. File by file the daemon's own parser has spoken; here is what only the whole tree shows: an object written twice,
a place that no cluster is for, a policy that cannot be read. The words are those of the daemon, so that nobody hears two stories.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from reconciler.core.approvals import APPROVAL
from reconciler.core.identity import GroupKind, Lane, Place
from reconciler.core.kind import Kind
from reconciler.core.manifest import Manifest, ManifestFile
from reconciler.core.problem import Problem, did_you_mean
from reconciler.core.settings import Settings
from reconciler.core.tree import Tree
from reconciler.core.types import Types
from reconciler.core.units import lane_of_path
from reconciler.core.wanted import read

Key = tuple[str, str, str, str, str]  # where, group, kind, namespace, name


@dataclass(frozen=True, slots=True)
class Checked:
    """A tree, checked. `others` are the places of documents that are no manifests."""

    files: int
    manifests: int
    problems: tuple[Problem, ...]
    others: tuple[Place, ...]

    def count(self, severity: str) -> int:
        """How many problems of a severity."""
        return sum(problem.severity == severity for problem in self.problems)


Before = Callable[[Manifest], Manifest | None]
"""An object as it was until the commit that last changed it; None where nobody knows."""


def check(
    files: Iterable[ManifestFile], types: Types, settings: Settings | None, kinds: tuple[Kind, ...] = (), before: Before = lambda _: None
) -> Checked:
    """Check a whole tree; with `settings`, also whether its places fit the clusters that are configured; with what `kinds` check."""
    files = list(files)
    problems: dict[Problem, None] = {}
    for file in files:
        problems.update(dict.fromkeys(file.problems))
        for manifest in file.manifests:
            problems.update(dict.fromkeys(read(manifest)[1]))
    manifests = [manifest for file in files for manifest in file.manifests]
    if settings is not None:
        problems.update(dict.fromkeys(_misplaced(manifests, settings)))
        problems.update(dict.fromkeys(_approvals(manifests, settings)))
    problems.update(dict.fromkeys(_twice(manifests, types, settings)))
    tree = _tree(manifests, settings, before)
    problems.update((problem, None) for kind in kinds if kind.check is not None for problem in kind.check(tree))
    others = tuple(place for file in files for place in file.others)
    return Checked(len(files), len(manifests), tuple(sorted(problems, key=lambda problem: (problem.place, problem.message))), others)


def _tree(manifests: list[Manifest], settings: Settings | None, before: Before) -> Tree:
    """The tree as kinds check it. Where no clusters are known, none but those that a path names is."""
    by_kind: dict[GroupKind, list[Manifest]] = {}
    for manifest in sorted(manifests, key=lambda one: (one.path, one.index)):
        by_kind.setdefault(GroupKind(manifest.group, manifest.kind), []).append(manifest)
    names = tuple(cluster.name for cluster in settings.clusters) if settings else None
    default = settings.default_cluster if settings else None

    def lane_of(manifest: Manifest) -> Lane | str | None:
        known = names if names is not None else _path_in_source(manifest.path).split("/")[1:2]
        path = manifest.path if names is not None else _path_in_source(manifest.path)
        return lane_of_path(path, {str(name): None for name in known}, default.name if default else None)

    return Tree({kind: tuple(of_it) for kind, of_it in by_kind.items()}, names, lane_of, before)


def _misplaced(manifests: list[Manifest], settings: Settings) -> Iterable[Problem]:
    """Manifests whose place in the tree leads to no cluster: told once for each folder."""
    names: dict[str, object] = {cluster.name: None for cluster in settings.clusters}
    default = settings.default_cluster
    told: dict[str, None] = {}
    for manifest in manifests:
        folder = manifest.path.rpartition("/")[0]
        lane = lane_of_path(manifest.path, names, default.name if default else None)
        if isinstance(lane, str) and folder not in told:
            told[folder] = None
            yield Problem(manifest.place(), f"{lane} (there are: {', '.join(names)})")


def _approvals(manifests: list[Manifest], settings: Settings) -> Iterable[Problem]:
    """Approvals for clusters that nobody configured; what waits in the others only those clusters know."""
    names = [str(cluster.name) for cluster in settings.clusters]
    for manifest in manifests:
        if (manifest.group, manifest.kind) == APPROVAL:
            spec = manifest.body().get("spec")
            of = spec.get("of") if isinstance(spec, dict) else None
            name = of.get("cluster") if isinstance(of, dict) else None
            if isinstance(name, str) and name and name not in names:
                message = f"approves nothing: no cluster {name} is configured{did_you_mean(name, names)}"
                yield Problem(manifest.place(("spec", "of", "cluster")), message, "warning")


def _twice(manifests: list[Manifest], types: Types, settings: Settings | None) -> Iterable[Problem]:
    """Objects that are written more than once for one cluster: a problem at each place."""
    found: dict[Key, list[Manifest]] = {}
    for manifest in manifests:
        found.setdefault(_key(manifest, types, settings), []).append(manifest)
    for key, same in found.items():
        if len(same) == 1 or (key[2] == "Namespace" and len({manifest.json: None for manifest in same}) == 1):
            continue
        for manifest in same:
            other = same[1] if manifest is same[0] else same[0]
            yield Problem(manifest.place(), f"{manifest.kind}/{manifest.name} is also written at {other.place()}; one of them must go")


def _key(manifest: Manifest, types: Types, settings: Settings | None) -> Key:
    namespace = manifest.namespace
    known = types.kind(manifest.group, manifest.version, manifest.kind)
    where = _where(manifest.path, settings)
    if known is not None and not known.namespaced:
        namespace = ""
    elif known is not None and not namespace:
        cluster = settings.cluster(where) if settings is not None else None
        namespace = cluster.namespace if cluster else "default"
    return (where, manifest.group, manifest.kind, namespace, manifest.name)


def _where(path: str, settings: Settings | None) -> str:
    """The cluster that a path leads to, or a stand-in for it."""
    path = path if settings is not None else _path_in_source(path)
    names = [str(cluster.name) for cluster in settings.clusters] if settings else path.split("/")[1:2]
    default = settings.default_cluster if settings else None
    lane = lane_of_path(path, dict.fromkeys(names), default.name if default else "(default)")
    return lane.cluster if isinstance(lane, Lane) else "(hub)" if lane is None else "(nowhere)"


def _path_in_source(path: str) -> str:
    """Nobody has said where in the tree a source begins, so a folder `clusters` or `hub` counts wherever it stands."""
    parts = path.split("/")
    return "/".join(parts[next((at for at, part in enumerate(parts) if part in ("clusters", "hub")), 0) :])
