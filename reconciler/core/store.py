"""What must survive a restart: records, in Secrets of the home cluster, read and written by one daemon at a time.

Law of the module: one writer (the Lease), every write with the version that was read, and a refused or unheard write is never repeated
but read again. A store that cannot be read is unknown, never empty; a store that *is* empty while a cluster carries our marker was
lost, and says so (design §7).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .clusters import Cluster
from .lease import Lease
from .markers import Markers, make_namespace
from .messages import Answer
from .records import LABEL, Json, Record, Unreadable, read, secret_name, write
from .settings import Settings
from .wire import Wire

INSTALLATION = "installation"


class Store:
    """The home store. `on_change()` is called when it becomes ready, ceases to be, or leadership or a pin moves."""

    def __init__(self, wire: Wire, settings: Settings, clusters: dict[str, Cluster], on_change: Callable[[], None]) -> None:
        self.wire = wire
        self.settings = settings
        self.clusters = clusters
        self.home = clusters[settings.home]
        self.lease = Lease(wire, self.home, settings.store_namespace, settings.identity, self._lease_changed)
        self.markers = Markers(wire, settings, on_change)
        self.ready = False
        self.lost = False
        self.installation = ""
        self.key = b""  # keys the digests that stand in clusters
        self.records: dict[str, Record] = {}
        self.problem = "the home cluster has not answered yet"
        self._on_change = on_change
        self._started = False
        self._loading = False
        self._secrets = f"/api/v1/namespaces/{settings.store_namespace}/secrets"

    @property
    def leading(self) -> bool:
        """Whether records are known and this daemon may act."""
        return self.ready and self.lease.leading

    @property
    def pins(self) -> dict[str, str]:
        """Of each cluster: "" where it is tied to us, else why not."""
        return self.markers.pins

    def pin(self, cluster: Cluster) -> None:
        """Tie a cluster to this installation."""
        self.markers.pin(cluster, self.installation)

    def start(self) -> None:
        """Once the home cluster answers: make the namespace, then compete for the Lease. Read-only: only read the records."""
        if self._started or self.home.state != "up":
            return
        self._started = True
        if self.settings.act:
            make_namespace(self.wire, self.home, self.settings.store_namespace, self._has_namespace)
        else:
            self._load()

    def _has_namespace(self, problem: str) -> None:
        if problem:
            self.problem = problem
        else:
            self.lease.start()

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
        self._list("", [])

    def _list(self, token: str, found: list[Json]) -> None:
        query = (("labelSelector", LABEL), ("limit", "100"), *((("continue", token),) if token else ()))

        def answered(answer: Answer) -> None:
            try:
                if answer.status != 200:
                    raise Unreadable(answer.error or f"the API server answers {answer.status}")
                page = msgspec.json.decode(answer.body)
                found.extend(page.get("items") or ())
                more = page["metadata"].get("continue", "")
                if more:
                    self._list(more, found)
                else:
                    self.records, unused = read(found)
                    self._loaded(unused)
            except (Unreadable, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
                self._loading = False
                self.problem = f"the records cannot be read: {error}"
                self.wire.after("store", 2.0, self._load)
                self._on_change()

        self.home.ask("GET", self._secrets, answered, query=query, timeout_seconds=60)

    def _loaded(self, unused: tuple[str, ...]) -> None:
        self._loading = False
        held = self.records.get(INSTALLATION)
        if held is not None:
            self.installation, self.key = str(held.value["id"]), bytes.fromhex(str(held.value["key"]))
            self._become_ready()
        elif self.settings.act:
            up = [cluster for cluster in self.clusters.values() if cluster.state == "up"]
            self.markers.find(up, self._begin)
        else:
            self._become_ready()
        if self.lease.leading:
            self._drop_parts(unused)

    def _become_ready(self) -> None:
        self.ready = True
        self.problem = ""
        self._on_change()

    def _begin(self, found: dict[str, None]) -> None:
        """A first start; or, where just one installation has marked clusters for our sources, one whose store was lost."""
        self.lost = len(found) == 1
        self.installation = next(iter(found)) if self.lost else self.wire.draw(5).hex()
        self.key = self.wire.draw(32)
        if self.lost:
            self.wire.log("warning", "record store was lost", installation=self.installation)
        value = {"id": self.installation, "key": self.key.hex()}
        self.save(INSTALLATION, value, lambda ok: self._become_ready() if ok else self._load())

    # -- writing ----------

    def save(self, key: str, value: Json | None, then: Callable[[bool], None]) -> None:
        """Write one record, or remove it (None). `then(False)`: it was not, or nobody knew; `records` then holds what is there."""
        held = self.records.get(key)
        if value is None:
            self._remove(key, held, then)
            return
        written = write(key, value, held.version if held else "")

        def next_part(names: list[str]) -> None:
            if names:
                self._post(written.parts[names[0]], lambda ok: next_part(names[1:]) if ok else self._reload(key, then))
            else:
                self._put_head(key, value, written.head, tuple(written.parts), then)

        next_part(list(written.parts))

    def _post(self, body: bytes, then: Callable[[bool], None]) -> None:
        def answered(answer: Answer) -> None:
            then(answer.status in (200, 201, 409))  # 409: there already, and named by its content

        self.home.ask("POST", self._secrets, answered, body=body, content_type="application/json")

    def _put_head(self, key: str, value: Json, body: bytes, parts: tuple[str, ...], then: Callable[[bool], None]) -> None:
        held = self.records.get(key)
        path = f"{self._secrets}/{secret_name(key)}"

        def answered(answer: Answer) -> None:
            if answer.status not in (200, 201):
                self._reload(key, then)
                return
            version = msgspec.json.decode(answer.body)["metadata"]["resourceVersion"]
            self.records[key] = Record(value, version, parts)
            self._drop_parts(tuple(part for part in (held.parts if held else ()) if part not in parts))
            then(True)

        self.home.ask(
            "PUT" if held else "POST", path if held else self._secrets, answered, body=body, content_type="application/json"
        )

    def _remove(self, key: str, held: Record | None, then: Callable[[bool], None]) -> None:
        if held is None:
            then(True)
            return

        def answered(answer: Answer) -> None:
            if answer.status in (200, 404):
                self.records.pop(key, None)
                self._drop_parts(held.parts)
                then(True)
            else:
                self._reload(key, then)

        body = msgspec.json.encode({"preconditions": {"resourceVersion": held.version}})
        path = f"{self._secrets}/{secret_name(key)}"
        self.home.ask("DELETE", path, answered, body=body, content_type="application/json")

    def _drop_parts(self, names: tuple[str, ...]) -> None:
        """Parts that no head names: whether they go now or at the next start does not matter."""
        for name in names:
            self.home.ask("DELETE", f"{self._secrets}/{name}", lambda _: None)

    def _reload(self, key: str, then: Callable[[bool], None]) -> None:
        """After a write that was refused or not heard: what is there now?"""

        def answered(answer: Answer) -> None:
            try:
                if answer.status == 404:
                    self.records.pop(key, None)
                elif answer.status == 200:
                    secret = msgspec.json.decode(answer.body)
                    if "parts" in secret["data"]:
                        self._load()  # its parts are read with everything else
                    else:
                        self.records.update(read([secret])[0])
                else:
                    self.wire.after(("reload", key), 1.0, lambda: self._reload(key, then))
                    return
            except (Unreadable, msgspec.DecodeError, KeyError, TypeError):
                self._load()
            then(False)

        self.home.ask("GET", f"{self._secrets}/{secret_name(key)}", answered)
