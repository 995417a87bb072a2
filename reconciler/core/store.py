"""What must survive a restart: records, in Secrets of the home cluster, read and written by one daemon at a time.

Law of the module: one writer (the Lease), every write with the version that was read, and a refused or unheard write is never repeated
but read again. A store that cannot be read is unknown, never empty; a store that *is* empty while a cluster carries our marker was
lost, and says so (design §7).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .clusters import Cluster
from .identity import ObjectId
from .in_turn import InTurn
from .lease import Lease
from .markers import Markers, make_namespace
from .messages import Answer, Method
from .records import INSTALLATION, LABEL, Json, Record, Unreadable, head_of, read, secret_name, write
from .rejection import read_status
from .settings import Settings
from .wire import Wire

LOAD_AGAIN_SECONDS = 2.0
REFUSED_CAP_SECONDS = 60.0
WRITE_SECONDS = 30.0
NAMESPACE_SECONDS = 5.0
RECORDS_IN_FLIGHT = 8
"""Records written, or read again one by one, at once: a start plans a thousand units in one step, and what the API server takes from us
at a time (its priority and fairness; our connections) is for the Lease and for objects, too. At 5 ms each these are 1,600 a second."""


class Store:
    """The home store. `on_change()` is called when it becomes ready, ceases to be, or leadership or a pin moves.

    `refresh()` begins a term: sources are looked into before anything of them acts, since whoever led before may have read more.
    """

    def __init__(
        self,
        wire: Wire,
        settings: Settings,
        clusters: dict[str, Cluster],
        on_change: Callable[[], None],
        refresh: Callable[[], None],
    ) -> None:
        self.wire = wire
        self.settings = settings
        self.clusters = clusters
        self.home = clusters[settings.home]
        namespace, identity = settings.store_namespace, settings.identity
        self.lease = Lease(wire, self.home, namespace, identity, self._lease_changed, self._make_namespace, self._is_first)
        self.markers = Markers(wire, settings, lambda: self.write_seconds if self.lease.leading else 0.0, on_change)
        for cluster in clusters.values():
            cluster.on_doubt = self.verify
        self.ready = False
        self.lost = False
        self.installation = ""
        self.key = b""  # keys the digests that stand in clusters
        self.records: dict[str, Record] = {}
        self.supposed: dict[str, Json | None] = {}
        self.problem = "the home cluster has not answered yet"
        self._on_change = on_change
        self._refresh = refresh
        self._started = False
        self._round = 0  # what was read under an older term is not acted on
        self._refused: dict[str, int] = {}  # key -> writes in a row that were not carried out
        self._in_turn = InTurn(RECORDS_IN_FLIGHT)
        self._secrets = f"/api/v1/namespaces/{settings.store_namespace}/secrets"

    @property
    def leading(self) -> bool:
        """Whether records are known and this daemon may act."""
        return self.ready and self.lease.leading

    @property
    def write_seconds(self) -> float:
        """How long a write that is sent now may take, so that none is under way when another daemon may begin."""
        return min(WRITE_SECONDS, self.lease.write_seconds) if self.settings.act else WRITE_SECONDS

    @property
    def pins(self) -> dict[str, str]:
        """Of each cluster: "" where it is tied to us, else why not."""
        return self.markers.pins

    def reserves(self, id: ObjectId) -> bool:
        """Whether an object would stand where records, marks and the Lease are: whoever writes there decides what is deleted."""
        if id.namespace == self.settings.store_namespace:
            return id.kind in ("Secret", "ConfigMap", "Lease")
        return (id.kind, id.name) == ("Namespace", self.settings.store_namespace)

    def pin(self, cluster: Cluster) -> None:
        """Tie a cluster to this installation."""
        self.markers.pin(cluster, self.installation)

    def cluster_changed(self, cluster: Cluster) -> None:
        """A cluster answers, or does not any more: whose mark it carries is asked again when it is back."""
        if cluster.state == "down":
            self.pins.pop(cluster.name, None)
        self.start()

    def verify(self, cluster: Cluster) -> None:
        """See whether a cluster that is tied to us still carries the very mark that ties it."""
        if self.leading and self.pins.get(cluster.name) == "":
            self.markers.pin(cluster, self.installation, again=True)

    def start(self) -> None:
        """Once the home cluster answers: make the namespace, then compete for the Lease. Read-only: only read the records."""
        if self._started or self.home.state != "up":
            return
        self._started = True
        if self.settings.act:
            self._make_namespace()
        else:
            self._load()

    def _make_namespace(self) -> None:
        make_namespace(self.home, self.settings.store_namespace, self._has_namespace)

    def _has_namespace(self, problem: str) -> None:
        if problem:
            self.problem = problem
            self.home.after("namespace", NAMESPACE_SECONDS, self._make_namespace)
        else:
            self.lease.start()

    def _lease_changed(self) -> None:
        if self.lease.leading:
            self._refresh()
            self._load()
        else:
            # Somebody else may write from now on: what we knew of the records is over.
            self.ready = False
            self.pins.clear()
            self.problem = self.lease.why_not
            self.wire.log("warning", "standing by", reason=self.problem)
        self._on_change()

    # -- reading ----------

    def _is_first(self, then: Callable[[bool], None]) -> None:
        """Whether nothing is recorded; where nobody can tell, something may be."""

        def answered(answer: Answer) -> None:
            try:
                then(answer.status == 200 and not msgspec.json.decode(answer.body).get("items"))
            except (msgspec.DecodeError, AttributeError):
                then(False)

        self.home.ask("GET", self._secrets, answered, query=(("labelSelector", LABEL), ("limit", "1")))

    def _load(self) -> None:
        self._round += 1
        self.ready = False
        self._list("", [])

    def _list(self, token: str, found: list[Json]) -> None:
        number = self._round
        query = (("labelSelector", LABEL), ("limit", "100"), *((("continue", token),) if token else ()))

        def answered(answer: Answer) -> None:
            if number != self._round:
                return
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
                self._load_again(f"the records cannot be read: {error}")

        self.home.ask("GET", self._secrets, answered, query=query, timeout_seconds=60)

    def _load_again(self, problem: str) -> None:
        self.problem = problem
        self.home.after("store", LOAD_AGAIN_SECONDS, self._load)
        self._on_change()

    def _loaded(self, unused: tuple[str, ...]) -> None:
        number = self._round
        held = self.records.get(INSTALLATION)
        if held is not None:
            self.installation, self.key = str(held.value["id"]), bytes.fromhex(str(held.value["key"]))
            self._become_ready()
        elif new := [cluster.name for cluster in self.clusters.values() if self.settings.act and cluster.state == "new"]:
            self._load_again(f"no records, and {new[0]}, which may carry our mark, has not answered yet")
        elif self.settings.act:
            up = [cluster for cluster in self.clusters.values() if cluster.state == "up"]
            self.markers.find(up, lambda found, problem: self._begin(found, problem) if number == self._round else None)
        else:
            self._become_ready()
        if self.lease.leading:
            self._drop_parts(unused)

    def _become_ready(self) -> None:
        self.ready = True
        self.problem = ""
        self._on_change()

    def _begin(self, found: dict[str, None], problem: str) -> None:
        """A first start; or, where just one installation has marked clusters for our sources, one whose store was lost.

        A store that is deleted while we run is no first start either.
        """
        if problem:
            self._load_again(problem)
            return
        known = next(iter(found)) if len(found) == 1 else self.installation
        self.lost = bool(known)
        self.installation, self.key = known or self.wire.draw(5).hex(), self.key or self.wire.draw(32)
        if self.lost:
            self.wire.log("warning", "record store was lost", installation=self.installation)

        def saved(ok: bool) -> None:
            if ok:
                self._become_ready()
                return
            if not self.lost:
                self.installation = ""  # drawn, and never written down
            self._load()

        self.save(INSTALLATION, {"id": self.installation, "key": self.key.hex()}, saved)

    # -- writing ----------

    def _write(self, name: str, method: Method, path: str, then: Callable[[Answer], None], body: bytes) -> None:
        """One write of the record with the head `name`, in its turn, if this daemon may write then, and still in the same term.

        A record of several parts takes several, and one of a thousand has to wait: what was read before no longer counts by then.
        """
        number = self._round

        def send(answered: Callable[[Answer], None]) -> None:
            if self.lease.leading and number == self._round:
                self.home.write(method, path, answered, self.write_seconds, body=body, content_type="application/json")
            else:
                answered(Answer(0, 0, error="the Lease ended before it was written"))

        self._in_turn_of(name, send, then)

    def _in_turn_of(self, name: str, send: Callable[[Callable[[Answer], None]], None], then: Callable[[Answer], None]) -> None:
        def begin(over: Callable[[], None]) -> None:
            def answered(answer: Answer) -> None:
                over()
                then(answer)

            send(answered)

        self._in_turn.add(name, begin)

    def suppose(self, key: str, value: Json | None) -> None:
        """Take a record for stored, in the memory of a process that writes nothing; `supposed` holds what was stored in truth."""
        held = self.records.get(key)
        self.supposed.setdefault(key, held.value if held else None)
        if value is None:
            self.records.pop(key, None)
        else:
            self.records[key] = Record(value, "")

    def save(self, key: str, value: Json | None, then: Callable[[bool], None]) -> None:
        """Write one record, or remove it (None). `then(False)`: it was not, or nobody knew; `records` then holds what is there."""
        held = self.records.get(key)
        if value is None:
            self._remove(key, held, then)
            return
        written = write(key, value, held.version if held else "")

        def next_part(names: list[str]) -> None:
            if names:
                self._post(key, written.parts[names[0]], lambda bad: self._not_saved(key, bad, then) if bad else next_part(names[1:]))
            else:
                self._put_head(key, value, written.head, tuple(written.parts), then)

        next_part(list(written.parts))

    def _post(self, key: str, body: bytes, then: Callable[[Answer | None], None]) -> None:
        def answered(answer: Answer) -> None:
            then(None if answer.status in (200, 201, 409) else answer)  # 409: there already, and named by its content

        self._write(secret_name(key), "POST", self._secrets, answered, body)

    def _put_head(self, key: str, value: Json, body: bytes, parts: tuple[str, ...], then: Callable[[bool], None]) -> None:
        held = self.records.get(key)
        name = secret_name(key)

        def answered(answer: Answer) -> None:
            try:
                version = msgspec.json.decode(answer.body)["metadata"]["resourceVersion"] if answer.status in (200, 201) else ""
            except (msgspec.DecodeError, KeyError, TypeError):
                version = ""
            if not version:
                self._not_saved(key, answer, then)
                return
            self._refused.pop(key, None)
            self.records[key] = Record(value, version, parts)
            self._drop_parts(tuple(part for part in (held.parts if held else ()) if part not in parts))
            then(True)

        self._write(name, "PUT" if held else "POST", f"{self._secrets}/{name}" if held else self._secrets, answered, body)

    def _remove(self, key: str, held: Record | None, then: Callable[[bool], None]) -> None:
        if held is None:
            then(True)
            return

        def answered(answer: Answer) -> None:
            if answer.status in (200, 404):
                self.records.pop(key, None)
                self._refused.pop(key, None)
                self._drop_parts(held.parts)
                then(True)
            else:
                self._not_saved(key, answer, then)

        body = msgspec.json.encode({"preconditions": {"resourceVersion": held.version}})
        name = secret_name(key)
        self._write(name, "DELETE", f"{self._secrets}/{name}", answered, body)

    def _drop_parts(self, names: tuple[str, ...]) -> None:
        """Parts that no head names: whether they go now or at the next start does not matter."""
        for name in names:
            self._write(head_of(name), "DELETE", f"{self._secrets}/{name}", lambda _: None, b"{}")

    def _not_saved(self, key: str, answer: Answer, then: Callable[[bool], None]) -> None:
        """Read again what is there: at once after one lost race, later and later where each write is refused."""
        count = self._refused[key] = self._refused.get(key, 0) + 1
        if count == 2:
            self.wire.log("error", "record not stored", record=key, reason=read_status(answer).message)
        seconds = 0.0 if count == 1 else self.wire.jitter.back_off(count - 1, 1.0, REFUSED_CAP_SECONDS)
        self.home.after(("reload", key), seconds, lambda: self._reload(key, then))

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
                    self.home.after(("reload", key), 1.0, lambda: self._reload(key, then))
                    return
            except (Unreadable, msgspec.DecodeError, KeyError, TypeError):
                self._load()
            then(False)

        name = secret_name(key)
        self._in_turn_of(name, lambda then: self.home.ask("GET", f"{self._secrets}/{name}", then), answered)
