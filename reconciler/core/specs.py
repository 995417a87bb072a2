"""What each unit is planned from: its manifests, the lane that they imply, its record, and what keeps it as it is.

Law of the module: reads Git and the store, changes nothing. A root that is not there is gone only where every file could be read, now
or at some time before: absence is never guessed (design, laws 7 and 12).
"""

from __future__ import annotations

from collections.abc import Iterable

from .desired import Desired, Touched
from .identity import GroupKind, SourceName, UnitKey
from .kind import Held, Kind, Spec
from .manifest import Manifest
from .settings import Settings
from .sources import Source
from .store import Store
from .units import Unit, folder_manifests, lane_of_path


class Specs:
    """Reads specs for one engine. `ours` are the kinds that the engine itself reads."""

    def __init__(
        self,
        settings: Settings,
        kinds: tuple[Kind, ...],
        ours: tuple[GroupKind, ...],
        sources: dict[SourceName, Source],
        store: Store,
    ) -> None:
        read = [kind_of for kind in kinds for kind_of in (*kind.roots, *kind.references)]
        self.roots = {root: kind for kind in kinds for root in kind.roots}
        self.plain = kinds[0]
        self._not_plain = dict.fromkeys([*read, *ours])
        self._sources = sources
        self._store = store
        self._clusters: dict[str, object] = {str(cluster.name): cluster for cluster in settings.clusters}
        default = settings.default_cluster
        self.default = str(default.name) if default else None

    def kind_of(self, key: UnitKey) -> Kind | None:
        """Who plans a unit of which only its key is known."""
        return self.plain if key.is_folder else self.roots.get(GroupKind(key.group, key.kind))

    def changed_roots(self, source: Source, touched: Touched) -> Iterable[tuple[UnitKey, Kind]]:
        """The roots that one commit touched, as they were or as they are."""
        if not any(kind in self.roots for kind in touched.kinds):
            return
        for manifest in touched.manifests:
            kind = self.roots.get(GroupKind(manifest.group, manifest.kind))
            if kind is not None and kind.is_root(manifest):
                yield _root(source.name, manifest), kind

    def of(self, unit: Unit) -> Spec | None:
        """What a unit is planned from now; None where that cannot be known yet."""
        key = unit.key
        source = self._sources.get(key.source)
        if source is None or source.desired.commit is None or not source.loaded or not self._store.ready:
            return None
        record = self._store.records.get(key.text)
        value = record.value if record else None
        desired = source.desired
        if key.is_folder:
            manifests, held, complete = self._folder(desired, key.name)
            path = key.name
        else:
            manifests, held, complete = _root_of(desired, key)
            path = manifests[0].path if manifests else ""
        lane = lane_of_path(path, self._clusters, self.default) if path else None
        if isinstance(lane, str):
            if manifests and key.is_folder:  # a root may say itself where it goes
                held = Held(lane, manifests[0].place())
            lane = None
        return Spec(key, manifests, value, source.desired.commit.id, lane, held, complete)

    def _folder(self, desired: Desired, path: str) -> tuple[tuple[Manifest, ...], Held | None, bool]:
        manifests = folder_manifests(desired.manifests(path), self._not_plain)
        bad = [problem for file in desired.unreadable(path) for problem in file.problems if problem.severity == "error"]
        if not bad:
            return manifests, None, True
        as_of = desired.settled[path].commit if path in desired.settled else None
        since = f"held as of {as_of.id[:7]}" if as_of else "held: no earlier version can be read"
        return manifests, Held(f"{bad[0].message}; {since}", bad[0].place), as_of is not None


def _root_of(desired: Desired, key: UnitKey) -> tuple[tuple[Manifest, ...], Held | None, bool]:
    found = desired.named(GroupKind(key.group, key.kind), key.namespace, key.name)
    if len(found) > 1:
        return found[:1], Held(f"{key} is written twice, also at {found[1].place()}", found[0].place()), True
    if not found:
        if desired.has_unknown:
            return (), Held(f"{key} is not found, and a file that cannot be read may hold it"), False
        return (), None, True
    bad = [problem for problem in desired.faults(found[0].path) if problem.severity == "error"]
    held = Held(f"{bad[0].message}; {key} is held until that is mended", bad[0].place) if bad else None
    return found, held, True


def _root(source: SourceName, manifest: Manifest) -> UnitKey:
    return UnitKey(source, manifest.group, manifest.kind, manifest.namespace, manifest.name)
