"""What must survive a restart: records, in Secrets of the home cluster, and the marks that tie clusters to this installation.

Law of the module: one writer at a time (the Lease), every write with the version that was read, and a refused or unheard write is
never repeated but read again. A store that cannot be read is unknown, never empty; a store that *is* empty while a cluster carries
our marker was lost, and says so (design §7).
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from .clusters import Cluster
from .lease import Lease
from .messages import Answer
from .settings import Settings
from .wire import Wire

LABEL = "reconciler.dev/record"
MARKER_LABEL = "reconciler.dev/marker"
RECORD_LIMIT = 700 * 1024
"""Bytes of one record, compressed and encoded: a Secret holds 1 MiB."""

INSTALLATION = "installation"
Json = dict[str, Any]


@dataclass(slots=True)
class Record:
    """One record as stored."""

    value: Json
    version: str


def secret_name(key: str) -> str:
    """The name of the Secret that holds a record: keys may be longer and odder than names may."""
    return "record-" + hashlib.sha256(key.encode()).hexdigest()[:32]


class Store:
    """The home store. `on_change()` is called when it becomes ready, ceases to be, or leadership moves."""

    def __init__(
        self, wire: Wire, settings: Settings, clusters: dict[str, Cluster], on_change: Callable[[], None]
    ) -> None:
        self.wire = wire
        self.settings = settings
        self.clusters = clusters
        self.home = clusters[settings.home]
        self.lease = Lease(wire, self.home, settings.store_namespace, settings.identity, self._lease_changed)
        self.ready = False
        self.lost = False
        self.installation = ""
        self.key = b""  # keys the digests that stand in clusters
        self.records: dict[str, Record] = {}
        self.problem = "the home cluster has not answered yet"
        self.pins: dict[str, str] = {}  # cluster -> "" where pinned, else why not
        self._on_change = on_change
        self._started = False
        self._loading = False
        self._pinning: dict[str, None] = {}
        self._namespace = f"/api/v1/namespaces/{settings.store_namespace}"

    @property
    def leading(self) -> bool:
        """Whether records are known and this daemon may act."""
        return self.ready and self.lease.leading

    def start(self) -> None:
        """Once the home cluster answers: make the namespace, then compete for the Lease. Read-only: only read the records."""
        if self._started or self.home.state != "up":
            return
        self._started = True
        if self.settings.act:
            self._make_namespace(self.home, self.lease.start)
        else:
            self._load()

    def _make_namespace(self, cluster: Cluster, then: Callable[[], None]) -> None:
        name = self.settings.store_namespace

        def made(answer: Answer) -> None:
            if answer.status in (200, 201, 409):
                then()
            else:
                self.problem = f"namespace {name} cannot be made on {cluster.name}: {answer.error or answer.status}"
                self.wire.after(("namespace", cluster.name), 5.0, lambda: self._make_namespace(cluster, then))

        def looked(answer: Answer) -> None:
            if answer.status != 404:
                made(answer)
                return
            body = msgspec.json.encode({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            cluster.ask("POST", "/api/v1/namespaces", made, body=body, content_type="application/json")

        cluster.ask("GET", self._namespace, looked)

    def _lease_changed(self) -> None:
        if self.lease.leading:
            self._load()
        else:
            # Somebody else may write from now on: what we knew of the records is over.
            self.ready = False
            self.pins.clear()
            self.problem = f"{self.lease.holder} holds the Lease" if self.lease.holder else "the Lease could not be renewed"
            self.wire.log("warning", "standing by", reason=self.problem)
        self._on_change()

    # -- reading ----------

    def _load(self) -> None:
        if self._loading:
            return
        self._loading = True
        self.ready = False
        self._list("", {})

    def _list(self, token: str, found: dict[str, Record]) -> None:
        query = (("labelSelector", LABEL), ("limit", "500"), *((("continue", token),) if token else ()))

        def answered(answer: Answer) -> None:
            if answer.status != 200:
                self._load_failed(answer.error or f"the API server answers {answer.status}")
                return
            try:
                page = msgspec.json.decode(answer.body)
                for secret in page.get("items") or ():
                    key, record = _read_secret(secret)
                    found[key] = record
                more = page["metadata"].get("continue", "")
            except (msgspec.DecodeError, zlib.error, KeyError, TypeError, AttributeError, ValueError) as error:
                self._load_failed(f"a record cannot be read: {error}")
                return
            if more:
                self._list(more, found)
            else:
                self.records = found
                self._loaded()

        self.home.ask("GET", f"{self._namespace}/secrets", answered, query=query, timeout_seconds=60)

    def _load_failed(self, problem: str) -> None:
        self._loading = False
        self.problem = f"the records cannot be read: {problem}"
        self.wire.after("store", 2.0, self._load)
        self._on_change()

    def _loaded(self) -> None:
        self._loading = False
        held = self.records.get(INSTALLATION)
        if held is not None:
            self.installation, self.key = str(held.value["id"]), bytes.fromhex(str(held.value["key"]))
            self._become_ready()
        elif self.settings.act:
            self._find_markers([name for name, cluster in self.clusters.items() if cluster.state == "up"], {})
        else:
            self._become_ready()

    def _become_ready(self) -> None:
        self.ready = True
        self.problem = ""
        self._on_change()

    # -- first start, or a lost store ----------

    def _find_markers(self, clusters: list[str], found: dict[str, None]) -> None:
        if not clusters:
            self._begin(next(iter(found)) if len(found) == 1 else "")
            return
        cluster = self.clusters[clusters[0]]

        def answered(answer: Answer) -> None:
            for marker in _markers(answer):
                if marker.get("sources") == self._sources_text():
                    found[marker["installation"]] = None
            self._find_markers(clusters[1:], found)

        cluster.ask("GET", f"{self._namespace}/configmaps", answered, query=(("labelSelector", MARKER_LABEL),))

    def _begin(self, found: str) -> None:
        self.lost = bool(found)
        self.installation, self.key = found or self.wire.draw(5).hex(), self.wire.draw(32)
        if found:
            self.wire.log("warning", "record store was lost", installation=found)
        value = {"id": self.installation, "key": self.key.hex()}
        self.save(INSTALLATION, value, lambda ok: self._become_ready() if ok else self._load())

    # -- writing ----------

    def save(self, key: str, value: Json | None, then: Callable[[bool], None]) -> None:
        """Write one record, or remove it (None). `then(False)`: it was not, or nobody knows; `reload` before the next try."""
        held = self.records.get(key)
        collection, path = f"{self._namespace}/secrets", f"{self._namespace}/secrets/{secret_name(key)}"
        if value is None:
            if held is None:
                then(True)
                return
            options = {"preconditions": {"resourceVersion": held.version}}
            self.home.ask(
                "DELETE",
                path,
                lambda answer: self._removed(key, answer, then),
                body=msgspec.json.encode(options),
                content_type="application/json",
            )
            return
        body = _secret(key, value, held.version if held else "")
        if len(body) > RECORD_LIMIT:
            self.wire.log("error", "record too large", unit=key, bytes=len(body))
            then(False)
            return
        self.home.ask(
            "PUT" if held else "POST",
            path if held else collection,
            lambda answer: self._saved(key, value, answer, then),
            body=body,
            content_type="application/json",
        )

    def _saved(self, key: str, value: Json, answer: Answer, then: Callable[[bool], None]) -> None:
        if answer.status in (200, 201):
            version = msgspec.json.decode(answer.body)["metadata"]["resourceVersion"]
            self.records[key] = Record(value, version)
            then(True)
        else:
            self._reload(key, then)

    def _removed(self, key: str, answer: Answer, then: Callable[[bool], None]) -> None:
        if answer.status in (200, 404):
            self.records.pop(key, None)
            then(True)
        else:
            self._reload(key, then)

    def _reload(self, key: str, then: Callable[[bool], None]) -> None:
        """After a write that was refused or not heard: what is there now?"""

        def answered(answer: Answer) -> None:
            if answer.status == 404:
                self.records.pop(key, None)
            elif answer.status == 200:
                try:
                    self.records[key] = _read_secret(msgspec.json.decode(answer.body))[1]
                except (msgspec.DecodeError, zlib.error, KeyError, TypeError, ValueError):
                    self.records.pop(key, None)
            else:
                self.wire.after(("reload", key), 1.0, lambda: self._reload(key, then))
                return
            then(False)

        self.home.ask("GET", f"{self._namespace}/secrets/{secret_name(key)}", answered)

    # -- markers ----------

    def pin(self, cluster: Cluster) -> None:
        """Tie a cluster to this installation and its sources, once; a cluster tied to other sources is left alone."""
        if cluster.name in self._pinning or self.pins.get(cluster.name) == "":
            return
        self._pinning[cluster.name] = None
        query = (("labelSelector", f"{MARKER_LABEL}={self.installation}"),)
        cluster.ask(
            "GET", f"{self._namespace}/configmaps", lambda answer: self._pin_read(cluster, answer), query=query
        )

    def _pin_read(self, cluster: Cluster, answer: Answer) -> None:
        if answer.status != 200:
            self._pinned(cluster, answer.error or f"the marker cannot be read: {answer.status}", again=True)
            return
        markers = _markers(answer)
        if not markers:
            self._make_namespace(cluster, lambda: self._write_marker(cluster))
            return
        held, ours = _sources(markers[0]["sources"]), _sources(self._sources_text())
        moved = [name for name in held if ours.get(name, held[name]) != held[name]]
        if moved:
            name = moved[0]
            self._pinned(
                cluster,
                f"pinned to {held[name]} as source {name}, this daemon reads {ours[name]}; nothing is done there until ConfigMap "
                f"{marker_name(self.installation)} in {self.settings.store_namespace} is deleted by hand",
                again=True,
            )
        elif any(name not in held for name in ours):
            self._write_marker(cluster, replace=True)
        else:
            self._pinned(cluster, "")

    def _write_marker(self, cluster: Cluster, replace: bool = False) -> None:
        name = marker_name(self.installation)
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {MARKER_LABEL: self.installation}},
            "data": {"installation": self.installation, "sources": self._sources_text()},
        }
        path = f"{self._namespace}/configmaps"

        def answered(answer: Answer) -> None:
            ok = answer.status in (200, 201)
            self._pinned(cluster, "" if ok else answer.error or f"the marker cannot be written: {answer.status}", again=True)

        cluster.ask(
            "PUT" if replace else "POST",
            f"{path}/{name}" if replace else path,
            answered,
            body=msgspec.json.encode(body),
            content_type="application/json",
        )

    def _pinned(self, cluster: Cluster, problem: str, again: bool = False) -> None:
        self._pinning.pop(cluster.name, None)
        if problem and self.pins.get(cluster.name) != problem:
            self.wire.log("error", "cluster not ours to act on", cluster=cluster.name, reason=problem)
        self.pins[cluster.name] = problem
        if problem and again:
            self.wire.after(("pin", cluster.name), 15.0, lambda: self.pin(cluster))
        self._on_change()

    def _sources_text(self) -> str:
        return "\n".join(f"{s.name} {s.url} {s.path or '.'}" for s in self.settings.sources)


def marker_name(installation: str) -> str:
    """The ConfigMap that marks a cluster as this installation's."""
    return f"reconciler-{installation}"


def _sources(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def _markers(answer: Answer) -> list[dict[str, str]]:
    """The readable markers of a list; an answer that is no list has none."""
    try:
        items = msgspec.json.decode(answer.body)["items"] if answer.status == 200 else []
        return [item["data"] for item in items if {"installation", "sources"} <= item["data"].keys()]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return []


def _secret(key: str, value: Json, version: str) -> bytes:
    packed = zlib.compress(msgspec.json.encode(value, order="deterministic"), 6)
    return msgspec.json.encode(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "reconciler.dev/record",
            "metadata": {
                "name": secret_name(key),
                "labels": {LABEL: "1"},
                **({"resourceVersion": version} if version else {}),
            },
            "data": {"key": base64.b64encode(key.encode()).decode(), "record": base64.b64encode(packed).decode()},
        }
    )


def _read_secret(secret: Json) -> tuple[str, Record]:
    data = secret["data"]
    inflate = zlib.decompressobj()
    raw = inflate.decompress(base64.b64decode(data["record"]), 64 * 1024 * 1024)
    return base64.b64decode(data["key"]).decode(), Record(msgspec.json.decode(raw), secret["metadata"]["resourceVersion"])
