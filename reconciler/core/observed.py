"""What clusters hold, as far as we have been told: live objects, and list-and-watch as a state machine.

Law of the module: an object is absent only where its kind has been listed in full since (`Reflector.complete`); until then it is
unknown. Identity is the uid, freshness the resourceVersion; a name alone proves nothing. Bodies stay bytes until somebody asks:
ten thousand decoded objects would cost 200 MB, undecoded they cost 40.

List and watch follow the API's own contract (kubernetes.io "efficient detection of changes"): pages by `continue`, a watch from
the list's resourceVersion with bookmarks, 410 means list again, a clean end means watch on from the last version seen.

Versions that go back mean that etcd was restored from a backup, or that this is another cluster: what is held is of a future that
never was, and newer than all that will be told for a long time. Two lists in a row that say so are believed, and taken whole; one alone
may come from a front-end that lags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from .discovery import Resource
from .identity import ObjectId
from .messages import Answer, WatchClosed, WatchLines
from .paths import printable

if TYPE_CHECKING:
    from .clusters import Cluster

PAGE_LIMIT = 500
"""Objects a page: what kubectl and client-go ask for."""

WATCH_SECONDS = 290
"""How long a watch runs before the server ends it in good order."""

WATCH_IDLE_SECONDS = 120.0
"""Silence after which a watch is dead: the server sends a bookmark about once a minute."""

WENT_BACK_SECONDS = 5.0
"""How long after a list whose version is lower than one seen before the next one is asked for."""

WATCH_SHORT_SECONDS = 1.0
"""A watch that ends sooner, and told nothing, has failed however well it ended: some proxies answer and close, for ever."""


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""
    generation: int = 0
    deletionTimestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Head(msgspec.Struct):
    metadata: _Meta


class _ListMeta(msgspec.Struct):
    resourceVersion: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_list = msgspec.json.Decoder(_List).decode
_decode_event = msgspec.json.Decoder(_Event).decode


class Live:
    """One live object: its identity and metadata read, the rest as bytes."""

    __slots__ = ("annotations", "deleting", "generation", "id", "labels", "raw", "resource", "uid", "version")

    def __init__(self, resource: Resource, raw: bytes) -> None:
        """Read the metadata of `raw`.

        Raises:
            msgspec.DecodeError: it is no object of Kubernetes.
        """
        meta = _decode_head(raw).metadata
        self.resource = resource
        self.id = ObjectId(resource.group, resource.kind, meta.namespace, meta.name)
        self.uid = meta.uid
        self.version = meta.resourceVersion
        self.generation = meta.generation
        self.deleting = meta.deletionTimestamp is not None
        self.labels = meta.labels or {}
        self.annotations = meta.annotations or {}
        self.raw = raw

    @property
    def going(self) -> str:
        """That it was deleted, and what keeps it from going."""
        finalizers = self.body()["metadata"].get("finalizers")
        if not finalizers or not isinstance(finalizers, list):
            return "is being deleted"
        return printable(f"is being deleted, waits for {', '.join(map(str, finalizers[:5]))}", 300)

    def body(self) -> dict[str, Any]:
        """A fresh copy of the whole object. Items of a list carry neither version nor kind: they are added."""
        body: dict[str, Any] = msgspec.json.decode(self.raw)
        body.setdefault("apiVersion", self.resource.api_version)
        body.setdefault("kind", self.resource.kind)
        return body


def parse_list(resource: Resource, body: bytes) -> tuple[list[Live], str, str]:
    """A page: its objects, where the next begins ("" for the last), and the version of the list.

    Raises:
        msgspec.DecodeError: it is no list of Kubernetes.
    """
    page = _decode_list(body)
    # Each Raw is a view of the whole page: copied, or one survivor keeps 500 objects in memory.
    return [Live(resource, bytes(item)) for item in page.items or ()], page.metadata.continue_, page.metadata.resourceVersion


def newer(version: str, than: str) -> bool:
    """Whether one resourceVersion is later than another; versions that are no numbers (other API servers) count as later."""
    if version.isdigit() and than.isdigit():
        return (len(version), version) > (len(than), than)
    return version != than


def _after(version: str, than: str) -> bool:
    """Whether a resourceVersion is later for certain."""
    return version.isdigit() and than.isdigit() and newer(version, than)


def same_request(old: Live, new: Live) -> bool:
    """Whether nothing that can be wanted differs: for kinds that count generations, only status can have moved."""
    return (
        new.generation > 0
        and (old.uid, old.generation, old.deleting) == (new.uid, new.generation, new.deleting)
        and old.labels == new.labels
        and old.annotations == new.annotations
    )


Changed = Callable[[Live | None, Live | None], None]


class Reflector:
    """The live objects of one kind in one cluster that match one selector: listed, then watched.

    `on_change(old, new)` is called for every change, `on_complete()` whenever a full list has been taken in.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        query: tuple[tuple[str, str], ...],
        on_change: Changed,
        on_complete: Callable[[], None],
        namespace: str = "",
    ) -> None:
        self.cluster = cluster
        self.resource = resource
        self.objects: dict[ObjectId, Live] = {}
        self.complete = False
        self.problem = ""
        self._query = query
        self._path = resource.collection(namespace)
        self._on_change = on_change
        self._on_complete = on_complete
        self._version = ""
        self._highest = ""  # of all that lists and watches have told
        self._went_back = 0  # lists in a row whose version was lower
        self._whole = False  # the list under way is taken as it is, whatever is held
        self._watch: int | None = None
        self._opened_at = 0.0
        self._told = False  # whether the watch has brought anything
        self._expired = 0  # lists begun anew since a watch last brought anything
        self._failures = 0
        self._seen: dict[ObjectId, None] = {}
        self._round = 0  # answers of an abandoned round are dropped

    @property
    def _key(self) -> tuple[object, ...]:
        return ("reflector", id(self))

    def start(self) -> None:
        """List, or watch on from where the last watch ended."""
        self._stop_watch()
        self._round += 1
        if self._version:
            self._open()
        else:
            self._seen = {}
            self._list("")

    def stop(self) -> None:
        """Ask nothing more. What is known stays known, and is not fresh any more."""
        self._round += 1
        self._stop_watch()
        self.cluster.wire.cancel(self._key)

    def renew(self) -> None:
        """It is another cluster: nothing that is held is known to be there before all is listed anew."""
        self._version = self._highest = ""
        self._went_back = 0
        self._whole = True
        self.complete = False
        if self.cluster.state == "up":
            self.start()

    def relist(self) -> None:
        """The watch has missed something, for an answer says otherwise: list, and watch on from there."""
        self._version = ""
        if self.cluster.state == "up":
            self.start()

    def forget(self) -> None:
        """The kind is not served any more: all its objects are gone."""
        self.stop()
        for live in list(self.objects.values()):
            self._remove(live.id)
        self.complete = False

    def fold(self, live: Live) -> None:
        """Take in what an answer to one of our own writes says, at once (read your writes).

        What the watch has passed by already, and does not hold, was deleted meanwhile: no event would take it away again.
        """
        if live.id in self.objects or not self._version or newer(live.version, self._version):
            self._put(live)

    def drop(self, id: ObjectId, uid: str) -> None:
        """An answer says that the object with this uid is gone."""
        held = self.objects.get(id)
        if held is not None and held.uid == uid:
            self._remove(id)

    # -- listing ----------

    def _list(self, token: str) -> None:
        query = (*self._query, ("limit", str(PAGE_LIMIT)), *((("continue", token),) if token else ()))
        number = self._round
        self.cluster.ask(
            "GET", self._path, lambda a: self._listed(a) if number == self._round else None, query=query, timeout_seconds=60
        )

    def _listed(self, answer: Answer) -> None:
        if answer.status == 410:
            self._again_from_scratch()
            return
        if answer.status != 200:
            self._failed(answer.status, answer.error)
            return
        try:
            page, token, version = parse_list(self.resource, answer.body)
        except msgspec.DecodeError as error:
            self._failed(200, f"the list cannot be read: {error}")
            return
        if not self._seen and _after(self._highest, version) and not self._believe(version):
            return
        for live in page:
            self._seen[live.id] = None
            self._put(live, self._whole)
        if token:
            self._list(token)
            return
        # An answer to a write of ours may have told of an object that came after the list was taken.
        gone = [id for id, live in self.objects.items() if id not in self._seen and (self._whole or not _after(live.version, version))]
        for id in gone:
            self._remove(id)
        self._seen = {}
        self._whole, self._went_back = False, 0
        self._version = self._highest = version
        self._failures = 0
        self.problem = ""
        self.complete = True
        self._open()
        self._on_complete()

    def _believe(self, version: str) -> bool:
        """Whether a list that is older than what was seen is to be taken whole; else another one is asked for."""
        self._went_back += 1
        if self._whole:
            return True
        if self._went_back == 1:
            self.cluster.wire.after(self._key, WENT_BACK_SECONDS, self.start)
            return False
        facts = {"cluster": self.cluster.name, "kind": str(self.resource.group_kind), "was": self._highest, "now": version}
        self.cluster.wire.log("warning", "versions went back: a backup was restored, or it is another cluster", **facts)
        self.cluster.doubt()
        self._whole = True
        return True

    def _again_from_scratch(self) -> None:
        self._version = ""
        self._expired += 1
        self._failures = max(self._failures + 1, self._expired)  # a list that is well does not make the watch well
        self._retry()

    # -- watching ----------

    def _open(self) -> None:
        self._opened_at, self._told = self.cluster.wire.now.steady, False
        query = (
            *self._query,
            ("watch", "1"),
            ("allowWatchBookmarks", "1"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
            ("resourceVersion", self._version),
        )
        self._watch = self.cluster.wire.watch(
            self.cluster.name, self._path, query, self._lines, self._closed, idle_timeout_seconds=WATCH_IDLE_SECONDS
        )

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self.cluster.wire.close(self._watch)
            self._watch = None

    def _lines(self, message: WatchLines) -> None:
        for line in message.lines:
            try:
                event = _decode_event(line)
                if event.type == "ERROR":
                    # 410 in a stream comes with HTTP 200; any other error is answered the same way, by a fresh list.
                    self._stop_watch()
                    self._again_from_scratch()
                    return
                live = Live(self.resource, bytes(event.object))
            except msgspec.DecodeError:
                self._stop_watch()
                self._again_from_scratch()
                return
            if _after(self._version, live.version):  # versions of a watch only rise
                self._stop_watch()
                self._again_from_scratch()
                return
            self._failures, self._expired, self._told = 0, 0, True
            self._version = self._highest = live.version
            if event.type == "DELETED":
                self.drop(live.id, live.uid)
            elif event.type != "BOOKMARK":
                self._put(live)

    def _closed(self, message: WatchClosed) -> None:
        self._watch = None
        silent = not self._told and self.cluster.wire.now.steady >= self._opened_at + WATCH_IDLE_SECONDS - 1.0
        if message.status == 410 or (message.error and silent):  # silent: a restored server waits for a version of the future
            self._again_from_scratch()
        elif message.status != 200 or message.error:
            self._failed(message.status, message.error)
        elif self._told or self.cluster.wire.now.steady >= self._opened_at + WATCH_SHORT_SECONDS:
            self.start()
        else:
            self._failed(200, "watches end as soon as they are opened")

    def _failed(self, status: int, error: str) -> None:
        self._failures += 1
        self.problem = error or f"the API server answers {status}"
        if status == 0:
            self.cluster.suspect()  # where the cluster is gone it stops us, and starts us when it is back
        if status == 404:
            self.cluster.refresh_discovery()
        self._retry()

    def _retry(self) -> None:
        seconds = 0.0 if self._failures <= 1 else self.cluster.wire.jitter.back_off(self._failures - 1, 1.0, 60.0)
        self.cluster.wire.after(self._key, seconds, self.start)

    # -- the objects ----------

    def _put(self, live: Live, whole: bool = False) -> None:
        old = self.objects.get(live.id)
        if old is not None and (old.raw == live.raw if whole else not newer(live.version, old.version)):
            return  # whatever its uid: versions of one kind are of one sequence
        self.objects[live.id] = live
        self._on_change(old, live)

    def _remove(self, id: ObjectId) -> None:
        self._on_change(self.objects.pop(id), None)
