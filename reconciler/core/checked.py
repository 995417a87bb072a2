"""What is wrong with whole trees, as kinds see it, beside what plans tell of themselves: kept until Git says something else.

Law of the module: a source is checked when somebody wants to know and something of a kind with checks has changed, never else. A problem
concerns the root in whose manifest it stands, or those that asked by name for the reference that it stands in. It is told, and changes
nothing: what stands follows Git. What an object was before is known of commits that this life has read.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Iterator

from .desired import Touched
from .identity import ClusterName, GroupKind, SourceName, UnitKey
from .kind import Kind
from .manifest import Manifest
from .problem import Problem
from .sources import Source
from .tree import Tree
from .units import Units, lane_of_path

Called = tuple[str, str, str, str]  # group, kind, namespace, name
Problems = dict[UnitKey, tuple[Problem, ...]]


class Checked:
    """The checks of one engine. `default` is the cluster of what no path sends elsewhere."""

    def __init__(
        self,
        kinds: tuple[Kind, ...],
        sources: dict[SourceName, Source],
        clusters: tuple[ClusterName, ...],
        default: str | None,
        units: Units,
    ) -> None:
        self._kinds = {kind: (*kind.roots, *kind.references) for kind in kinds if kind.check is not None}
        self._reads = dict.fromkeys(of for kinds_of in self._kinds.values() for of in kinds_of)
        self._sources = sources
        self._clusters = clusters
        self._default = default
        self._units = units
        self._before: dict[SourceName, dict[Called, Manifest]] = {}
        self._dirty: dict[SourceName, None] = {}
        self._found: dict[SourceName, Problems] = {}
        self._broken: dict[str, None] = {}

    def commit(self, source: SourceName, touched: Touched) -> None:
        """A source has another commit."""
        if not any(kind in self._reads for kind in touched.kinds):
            return
        self._dirty[source] = None
        before = self._before.setdefault(source, {})
        first: dict[Called, Manifest] = {}
        for manifest in touched.manifests:  # of each file as it was, then as it is
            if GroupKind(manifest.group, manifest.kind) in self._reads:
                old = first.setdefault(_called(manifest), manifest)
                if old.json != manifest.json:
                    before[_called(manifest)] = old

    def look(self) -> list[UnitKey]:
        """Check what has changed; the units of which another thing is to be told than before."""
        moved: dict[UnitKey, None] = {}
        for name in [name for name in self._dirty if self._sources[name].loaded]:
            del self._dirty[name]
            old, new = self._found.get(name, {}), self._by_unit(self._sources[name])
            self._found[name] = new
            moved.update((key, None) for key in {**old, **new} if old.get(key) != new.get(key))
        return list(moved)

    def of(self, unit: UnitKey) -> tuple[Problem, ...]:
        """What is wrong that concerns a unit."""
        return self._found.get(unit.source, {}).get(unit, ())

    def _by_unit(self, source: Source) -> Problems:
        found: dict[UnitKey, dict[Problem, None]] = {}
        for problem in self._errors(source):
            for key in self._concerned(source, problem):
                found.setdefault(key, {})[problem] = None
        return {key: tuple(problems) for key, problems in found.items()}

    def _errors(self, source: Source) -> Iterator[Problem]:
        names: dict[str, object] = {str(name): None for name in self._clusters}
        before = self._before.get(source.name, {})
        for kind, reads in self._kinds.items():
            manifests = {of: tuple(found[at] for at in sorted(found)) for of in reads if (found := source.desired.kinds.get(of))}
            tree = Tree(
                manifests,
                self._clusters,
                lambda manifest: lane_of_path(manifest.path, names, self._default),
                lambda manifest: before.get(_called(manifest)),
                planned=True,
            )
            assert kind.check is not None
            try:
                yield from (problem for problem in kind.check(tree) if problem.severity == "error")
            except Exception as error:  # the fence (design, law 10): nothing is told of it, and nothing else is touched
                trace = "".join(traceback.format_exception(error))
                mark = hashlib.sha256(trace.encode()).hexdigest()[:8]
                if mark not in self._broken:
                    self._broken[mark] = None
                    self._units.wire.log("error", "internal error", source=source.name, trace=mark, stack=trace[-4000:])

    def _concerned(self, source: Source, problem: Problem) -> Iterator[UnitKey]:
        """The units that a problem is told of."""
        at = problem.place
        here = [manifest for manifest in source.desired.of_file(at.path) if manifest.line <= at.line]
        if not here:
            return
        manifest = max(here, key=lambda one: one.line)
        of = GroupKind(manifest.group, manifest.kind)
        own = UnitKey(source.name, *_called(manifest))
        if own in self._units.units:
            yield own
            return
        for unit in self._units.asked_by_name(of, manifest.namespace, manifest.name):
            if unit.source == source.name:
                yield unit


def _called(manifest: Manifest) -> Called:
    return (manifest.group, manifest.kind, manifest.namespace, manifest.name)
