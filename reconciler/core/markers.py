"""The marks that tie clusters to an installation and its sources.

Law of the module: each cluster holds one ConfigMap that names the installation and what it reads. A cluster marked with other sources
under the same installation is left alone until a person decides; a mark without a record store means that the store was lost.

The mark's uid is the cluster's identity: where it is another one, or none, another cluster stands behind the same address (or somebody
deleted the mark), and all that was known of the old one is looked at anew. Asked whenever the cluster was out of reach, or in doubt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from .clusters import Cluster
from .messages import Answer, Method
from .settings import Settings
from .wire import Wire

LABEL = "reconciler.dev/marker"
AGAIN_SECONDS = 15.0
CONFLICT_SECONDS = 1.0


class Marker(NamedTuple):
    """One mark as it was read."""

    uid: str
    version: str
    installation: str
    sources: str


class Markers:
    """The marks in all clusters. `pins` says of each whether it is tied to us ("") or why not; `on_change()` hears of both."""

    def __init__(
        self, wire: Wire, settings: Settings, write_seconds: Callable[[], float], on_change: Callable[[], None]
    ) -> None:
        self.wire = wire
        self.settings = settings
        self._write_seconds = write_seconds
        self.pins: dict[str, str] = {}
        self._pinning: dict[str, None] = {}
        self._uids: dict[str, str] = {}  # of the mark by which each cluster was known last
        self._on_change = on_change
        self._path = f"/api/v1/namespaces/{settings.store_namespace}/configmaps"
        self._ours = "\n".join(f"{s.name} {s.url} {s.path or '.'}" for s in settings.sources)

    def find(self, clusters: list[Cluster], then: Callable[[dict[str, None], str], None]) -> None:
        """Which installations, among all clusters that answer, have read exactly our sources? `then(_, problem)` if one cannot tell."""
        self._find(clusters, {}, then)

    def _find(self, clusters: list[Cluster], found: dict[str, None], then: Callable[[dict[str, None], str], None]) -> None:
        if not clusters:
            then(found, "")
            return

        def answered(answer: Answer) -> None:
            if answer.status != 200:
                then({}, f"the marks in {clusters[0].name} cannot be read: {answer.error or answer.status}")
                return
            for marker in _read(answer):
                if marker.sources == self._ours:
                    found[marker.installation] = None
            self._find(clusters[1:], found, then)

        clusters[0].ask("GET", self._path, answered, query=(("labelSelector", LABEL),))

    def pin(self, cluster: Cluster, installation: str, again: bool = False) -> None:
        """Tie a cluster to this installation and its sources, once; or see `again` whether it still is the one that was tied."""
        if cluster.name in self._pinning or (self.pins.get(cluster.name) == "" and not again):
            return
        if self.pins.get(cluster.name) and self.wire.has_timer(("pin", cluster.name)):
            return  # refused: asked again when its time comes
        self._pinning[cluster.name] = None

        def answered(answer: Answer) -> None:
            if again and answer.status != 200 and self.pins.get(cluster.name) == "":
                self._pinning.pop(cluster.name, None)  # nobody knows: that ends nothing
            else:
                self._seen(cluster, installation, answer)

        cluster.ask("GET", self._path, answered, query=(("labelSelector", f"{LABEL}={installation}"),))

    def _seen(self, cluster: Cluster, installation: str, answer: Answer) -> None:
        if answer.status != 200:
            self._pinned(cluster, installation, answer.error or f"the marker cannot be read: {answer.status}")
            return
        markers = _read(answer)
        self._recognise(cluster, markers[0].uid if markers else "")
        if not markers:
            self._write_first(cluster, installation)
            return
        held, ours = _sources(markers[0].sources), _sources(self._ours)
        moved = [name for name in held if ours.get(name, held[name]) != held[name]]
        if moved:
            was, now = held[moved[0]], ours[moved[0]]
            problem = f"pinned to {was} as source {moved[0]}, this daemon reads {now}; nothing is done there until ConfigMap"
            self._pinned(cluster, installation, f"{problem} {name_of(installation)} in {self.settings.store_namespace} is deleted by hand")
        elif any(name not in held for name in ours):
            self._write(cluster, installation, markers[0].version)
        else:
            self._pinned(cluster, installation, "")

    def _recognise(self, cluster: Cluster, uid: str) -> None:
        known = self._uids.get(cluster.name, "")
        if known and uid != known:
            self.wire.log("warning", "another cluster, or its mark was deleted: all is looked at anew", cluster=cluster.name)
            self.pins.pop(cluster.name, None)
            cluster.renew()
        self._uids[cluster.name] = uid

    def _write_first(self, cluster: Cluster, installation: str) -> None:
        def made(problem: str) -> None:
            if problem:
                self._pinned(cluster, installation, problem)
            else:
                self._write(cluster, installation, "")

        make_namespace(cluster, self.settings.store_namespace, made)

    def _write(self, cluster: Cluster, installation: str, version: str) -> None:
        """Write the mark over the `version` that was read, "" where there was none; not at all where the Lease was lost meanwhile."""
        seconds = self._write_seconds()
        if not seconds:
            self._pinning.pop(cluster.name, None)
            return
        name = name_of(installation)
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {LABEL: installation}, **({"resourceVersion": version} if version else {})},
            "data": {"installation": installation, "sources": self._ours},
        }

        def answered(answer: Answer) -> None:
            if answer.status == 409:  # somebody was faster, perhaps a write of ours that nobody heard of: read it again
                self._pinning.pop(cluster.name, None)
                cluster.after(("pin", cluster.name), CONFLICT_SECONDS, lambda: self.pin(cluster, installation))
                return
            ok = answer.status in (200, 201)
            written = _marker(answer.body) if ok else None
            self._uids[cluster.name] = written.uid if written else ""
            self._pinned(cluster, installation, "" if ok else answer.error or f"the marker cannot be written: {answer.status}")

        method: Method = "PUT" if version else "POST"
        path = f"{self._path}/{name}" if version else self._path
        text = msgspec.json.encode(body)
        cluster.write(method, path, answered, seconds, body=text, content_type="application/json")

    def _pinned(self, cluster: Cluster, installation: str, problem: str) -> None:
        self._pinning.pop(cluster.name, None)
        if problem and self.pins.get(cluster.name) != problem:
            self.wire.log("error", "cluster not ours to act on", cluster=cluster.name, reason=problem)
        self.pins[cluster.name] = problem
        if problem:
            cluster.after(("pin", cluster.name), AGAIN_SECONDS, lambda: self.pin(cluster, installation))
        self._on_change()


def name_of(installation: str) -> str:
    """The ConfigMap that marks a cluster."""
    return f"reconciler-{installation}"


def make_namespace(cluster: Cluster, name: str, then: Callable[[str], None]) -> None:
    """See that a namespace exists, once; `then("")` where it does, `then(problem)` where nobody knows."""

    def made(answer: Answer) -> None:
        ok = answer.status in (200, 201, 409)
        then("" if ok else f"namespace {name} cannot be made on {cluster.name}: {answer.error or answer.status}")

    def looked(answer: Answer) -> None:
        if answer.status != 404:
            made(answer)
            return
        body = msgspec.json.encode({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        cluster.ask("POST", "/api/v1/namespaces", made, body=body, content_type="application/json")

    cluster.ask("GET", f"/api/v1/namespaces/{name}", looked)


def _sources(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


class _Meta(msgspec.Struct):
    uid: str = ""
    resourceVersion: str = ""


class _Data(msgspec.Struct):
    installation: str
    sources: str


class _ConfigMap(msgspec.Struct):
    metadata: _Meta
    data: _Data


class _List(msgspec.Struct):
    items: list[msgspec.Raw]


def _read(answer: Answer) -> list[Marker]:
    """The readable markers of a list; an answer that is no list has none."""
    try:
        items = msgspec.json.decode(answer.body, type=_List).items if answer.status == 200 else []
    except msgspec.DecodeError:
        return []
    return [marker for item in items if (marker := _marker(bytes(item))) is not None]


def _marker(text: bytes) -> Marker | None:
    try:
        found = msgspec.json.decode(text, type=_ConfigMap)
    except msgspec.DecodeError:
        return None
    return Marker(found.metadata.uid, found.metadata.resourceVersion, found.data.installation, found.data.sources)
