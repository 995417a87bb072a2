"""The marks that tie clusters to an installation and its sources.

Law of the module: each cluster holds one ConfigMap that names the installation and what it reads. A cluster marked with other sources
under the same installation is left alone until a person decides; a mark without a record store means that the store was lost.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .clusters import Cluster
from .messages import Answer
from .settings import Settings
from .wire import Wire

LABEL = "reconciler.dev/marker"
AGAIN_SECONDS = 15.0


class Markers:
    """The marks in all clusters. `pins` says of each whether it is tied to us ("") or why not; `on_change()` hears of both."""

    def __init__(self, wire: Wire, settings: Settings, on_change: Callable[[], None]) -> None:
        self.wire = wire
        self.settings = settings
        self.pins: dict[str, str] = {}
        self._pinning: dict[str, None] = {}
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
                if marker["sources"] == self._ours:
                    found[marker["installation"]] = None
            self._find(clusters[1:], found, then)

        clusters[0].ask("GET", self._path, answered, query=(("labelSelector", LABEL),))

    def pin(self, cluster: Cluster, installation: str) -> None:
        """Tie a cluster to this installation and its sources, once."""
        if cluster.name in self._pinning or self.pins.get(cluster.name) == "":
            return
        if self.pins.get(cluster.name) and self.wire.has_timer(("pin", cluster.name)):
            return  # refused: asked again when its time comes
        self._pinning[cluster.name] = None

        def answered(answer: Answer) -> None:
            self._seen(cluster, installation, answer)

        cluster.ask("GET", self._path, answered, query=(("labelSelector", f"{LABEL}={installation}"),))

    def _seen(self, cluster: Cluster, installation: str, answer: Answer) -> None:
        if answer.status != 200:
            self._pinned(cluster, installation, answer.error or f"the marker cannot be read: {answer.status}")
            return
        markers = _read(answer)
        if not markers:
            make_namespace(self.wire, cluster, self.settings.store_namespace, lambda _: self._write(cluster, installation, "POST"))
            return
        held, ours = _sources(markers[0]["sources"]), _sources(self._ours)
        moved = [name for name in held if ours.get(name, held[name]) != held[name]]
        if moved:
            was, now = held[moved[0]], ours[moved[0]]
            problem = f"pinned to {was} as source {moved[0]}, this daemon reads {now}; nothing is done there until ConfigMap"
            self._pinned(cluster, installation, f"{problem} {name_of(installation)} in {self.settings.store_namespace} is deleted by hand")
        elif any(name not in held for name in ours):
            self._write(cluster, installation, "PUT")
        else:
            self._pinned(cluster, installation, "")

    def _write(self, cluster: Cluster, installation: str, method: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name_of(installation), "labels": {LABEL: installation}},
            "data": {"installation": installation, "sources": self._ours},
        }

        def answered(answer: Answer) -> None:
            ok = answer.status in (200, 201)
            problem = "" if ok else answer.error or f"the marker cannot be written: {answer.status}"
            self._pinned(cluster, installation, problem)

        path = self._path if method == "POST" else f"{self._path}/{name_of(installation)}"
        cluster.ask(
            "POST" if method == "POST" else "PUT", path, answered, body=msgspec.json.encode(body), content_type="application/json"
        )

    def _pinned(self, cluster: Cluster, installation: str, problem: str) -> None:
        self._pinning.pop(cluster.name, None)
        if problem and self.pins.get(cluster.name) != problem:
            self.wire.log("error", "cluster not ours to act on", cluster=cluster.name, reason=problem)
        self.pins[cluster.name] = problem
        if problem:
            self.wire.after(("pin", cluster.name), AGAIN_SECONDS, lambda: self.pin(cluster, installation))
        self._on_change()


def name_of(installation: str) -> str:
    """The ConfigMap that marks a cluster."""
    return f"reconciler-{installation}"


def make_namespace(wire: Wire, cluster: Cluster, name: str, then: Callable[[str], None]) -> None:
    """See that a namespace exists, however long that takes; `then("")` when it does, `then(problem)` each time it does not."""

    def made(answer: Answer) -> None:
        if answer.status in (200, 201, 409):
            then("")
            return
        then(f"namespace {name} cannot be made on {cluster.name}: {answer.error or answer.status}")
        wire.after(("namespace", cluster.name), 5.0, lambda: make_namespace(wire, cluster, name, then))

    def looked(answer: Answer) -> None:
        if answer.status != 404:
            made(answer)
            return
        body = msgspec.json.encode({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        cluster.ask("POST", "/api/v1/namespaces", made, body=body, content_type="application/json")

    cluster.ask("GET", f"/api/v1/namespaces/{name}", looked)


def _sources(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def _read(answer: Answer) -> list[dict[str, str]]:
    """The readable markers of a list; an answer that is no list has none."""
    try:
        items = msgspec.json.decode(answer.body)["items"] if answer.status == 200 else []
        return [item["data"] for item in items if {"installation", "sources"} <= item["data"].keys()]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return []
