"""Requests about single objects, and what their answers mean.

Law of the module: an outcome is a value (applied, conflict, rejected, unreachable), never an exception; every write carries the uid
that its decision rests on, a deletion the version too: what was taken from us meanwhile, by as little as a label, stays. What a server
rejects is told at the line of the file that is at fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from . import adoption, diff
from .adoption import JSON_PATCH
from .apply import Send, adopted, with_uid
from .change import Change, describe
from .clusters import Cluster
from .identity import ClusterName, ObjectRef, UnitKey
from .lanes import Item
from .messages import Answer
from .observed import Live
from .ownership import FIELD_MANAGER
from .rejection import Refusal, declared, immutable, read_status
from .waiting import PROTECTED

if TYPE_CHECKING:
    from .work import Work

APPLY_PATCH = "application/apply-patch+yaml"
_MOVES = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")

MOVED_LIMIT = 4
"""So often in a row an object may be another than was looked at, half a minute in all, before that is told as a refusal."""

NOT_TAKEN = "cannot be taken over without force"
NOT_SHOWN = "; the server's own words are not shown, since they may repeat a value that comes from a Secret"

TOLD_SINGLY = 20
BURST_SECONDS = 10.0
"""Of the objects of a unit that are applied within so long, so many are told of one by one, and the others in one line."""


@dataclass(slots=True)
class Burst:
    """What was applied of a unit in one cluster, since the last line that told of it."""

    count: int = 0
    created: int = 0  # of those not told of one by one
    commit: str = ""


class Requests:
    """Sends for `Work`, and folds the answers."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._bursts: dict[tuple[ClusterName, str], Burst] = {}

    # -- looking ----------

    def look(self, cluster: Cluster, item: Item) -> None:
        """Before a first apply: does the object exist, and whose is it?"""
        assert item.id is not None and item.resource is not None
        item.work.move(item, "look")

        def looked(found: Live | str | None) -> None:
            if item.gone:
                return
            if isinstance(found, str):
                item.work.move(item, "blocked")
                self.work.stand(item, "pending", f"nobody knows whether it exists: {found}")
                self.work.retry(item)
                return
            if found is not None and item.ref is not None and self.work.is_ours(item.ref, found):
                # Ours, but our marks were taken off, or no watch has shown it yet: apply it again, which puts them back, and tells.
                self._reclaim(cluster, item, found)
                return
            item.looked, item.looked_at = True, self.work.wire.now.steady
            item.foreign = found
            self.work.check(item)

        cluster.looks.ask(item.resource, item.id, looked)

    def _reclaim(self, cluster: Cluster, item: Item, found: Live) -> None:
        send = self.work.first_contact(item)
        assert isinstance(send, Send)
        item.send = Send(send.body, force=True, uid=found.uid)
        self.work.queue(item)
        self.work.stand(item, "pending", f"our marks were taken off on {cluster.name}")

    # -- applying ----------

    def apply(self, cluster: Cluster, item: Item) -> None:
        """Send what was decided; of an adoption first what folds the fields of people into ours."""
        send, ref = item.send, item.ref
        assert send is not None and ref is not None and item.resource is not None
        item.work.move(item, "flight")
        dry = send.asks or not self.work.settings.act
        self.work.flights[ref] = item
        cluster.act(
            item.work.unit,
            "PATCH",
            item.resource.path(ref.id),
            lambda answer: self._applied(cluster, item, ref, send, dry, answer),
            self.work.store.write_seconds,
            query=(
                ("fieldManager", FIELD_MANAGER),
                *((("fieldValidation", "Strict"),) if not send.adopts else ()),
                *((("force", "true"),) if send.force else ()),
                *((("dryRun", "All"),) if dry else ()),
            ),
            body=msgspec.json.encode(send.adopts or with_uid(send)),
            content_type=JSON_PATCH if send.adopts else APPLY_PATCH,
        )

    def _applied(self, cluster: Cluster, item: Item, ref: ObjectRef, send: Send, dry: bool, answer: Answer) -> None:
        self.work.flights.pop(ref, None)
        waiting = [other for other in self.work.claims.of(ref) if other.phase == "wait"]
        if answer.status in (200, 201):
            self._answered(cluster, item, send, dry, answer)
        elif not item.gone and send.adopts and answer.status in (404, 409, 422):
            self._moved(item, read_status(answer))
        elif not item.gone:
            self._not_applied(cluster, item, send, answer)
        for other in waiting:
            self.work.check(other)

    def _answered(self, cluster: Cluster, item: Item, send: Send, dry: bool, answer: Answer) -> None:
        assert item.resource is not None
        try:
            live = Live(item.resource, answer.body)
        except msgspec.DecodeError as error:
            if not item.gone:
                self._rejected(item, Refusal(f"the answer cannot be read: {error}"))
            return
        if send.adopts:
            self._adopt(item, send, live)
        elif dry:
            self._dry(cluster, item, send, live)
        else:
            self._took(cluster, item, send, live)

    def _adopt(self, item: Item, send: Send, live: Live) -> None:
        """People's fields are ours now (in a plan: would be). What is applied next takes nothing from anybody else."""
        if item.gone:
            return
        act = self.work.settings.act
        item.send = adopted(item.wanted, send, live, force=not act)
        if not act:  # nothing was folded: an apply without force would be refused for fields that will be ours
            item.changes = _differences(self.work, item, item.send, live)
            theirs = adoption.refused(item.changes)
            if theirs is not None:
                self._rejected(item, Refusal(f"{NOT_TAKEN}: {theirs.pretty} belongs to {theirs.owner}", path=theirs.pretty))
                return
        self.work.queue(item)

    def _took(self, cluster: Cluster, item: Item, send: Send, live: Live) -> None:
        reflector = cluster.reflectors.get(live.id.group_kind)
        if reflector is not None:
            reflector.fold(live)
        if item.gone:
            return
        if send.drift:
            item.healed(self.work.wire.now.steady)
            self._tell("drift healed", item, changes="; ".join(describe(c) for c in send.drift[:5]))
        else:
            self._tell_applied(item, send)
        item.accepted = {c.pretty: c.live for c in _differences(self.work, item, send, live)}
        item.asked = (item.wanted.digest, live.version)
        held = cluster.owned(live.id)
        if held is None:
            self._vanished(cluster, item)
        elif held.version != live.version and not _still(held, live):
            self.work.check(item)  # the watch was faster, and shows something else
        else:
            self.work.settle(item, held)

    def _vanished(self, cluster: Cluster, item: Item) -> None:
        """It was applied, and by the watch it went since. Said again, it is rather the watch that has missed it: all is listed anew."""
        reflector = cluster.reflectors.get(item.wanted.id.group_kind)
        if item.failures and reflector is not None:
            reflector.relist()
        item.work.move(item, "blocked")
        self.work.stand(item, "pending", "was applied, and is gone again")
        self.work.retry(item)

    def _dry(self, cluster: Cluster, item: Item, send: Send, live: Live) -> None:
        if item.gone:
            return
        held = cluster.owned(live.id)
        same = held is not None and _same_object(held, live)
        if not self.work.settings.act:
            item.planned = "unchanged" if same else "change" if send.uid else "create"
            if held is not None and not same:
                item.changes = _differences(self.work, item, send, held)
            item.work.move(item, "done")
            words = "" if same else "differs from Git" if send.uid else "does not exist yet"
            self.work.stand(item, "healthy" if same else "pending", words)
        elif same:
            assert held is not None
            item.asked = (item.wanted.digest, held.version)
            self.work.settle(item, held)
        else:
            item.send = Send(send.body, send.force, send.uid, send.drift, send.left_alone)
            self.work.queue(item)

    # -- answers that are no success ----------

    def _not_applied(self, cluster: Cluster, item: Item, send: Send, answer: Answer) -> None:
        status = read_status(answer)
        if diff.is_secret(send.body):
            status = msgspec.structs.replace(status, message=diff.without_values(status.message, send.body))
        if answer.status == 0 or (answer.status in (401, 408, 429, 500, 502, 503, 504) and not declared(status.message)):
            item.work.move(item, "blocked")
            self.work.stand(item, "pending", _told(item, status, "no answer"))
            self.work.retry(item)
        elif answer.status == 404 and not self.work.settings.act:
            item.planned = "create"
            item.work.move(item, "done")
            self.work.stand(item, "pending", "its namespace or kind does not exist yet")
        elif answer.status == 404:
            if item.resource is not None and f'namespaces "{item.id.namespace if item.id else ""}"' not in status.message:
                cluster.refresh_discovery()
            self._rejected(item, status)
        elif (answer.status == 409 and not status.conflicts) or (send.uid and status.path == "metadata.uid"):
            self._moved(item, status)
        elif answer.status == 422 and send.uid and item.wanted.policy.recreate and immutable(status.message):
            self._recreate(cluster, item, send, status)
        elif answer.status == 409 and send.uid:
            self._rejected(item, msgspec.structs.replace(status, message=f"{NOT_TAKEN}: {status.message}"))
        else:
            self._rejected(item, status)

    def _moved(self, item: Item, refusal: Refusal) -> None:
        """It is not what we looked at any more: look again. Said of every look, it is a refusal like others."""
        if item.failures >= MOVED_LIMIT:
            self._rejected(item, refusal)
            return
        item.work.move(item, "blocked")
        self.work.stand(item, "pending", f"was changed by somebody meanwhile: {_told(item, refusal, 'look again')}")
        self.work.retry(item)

    def _rejected(self, item: Item, refusal: Refusal) -> None:
        manifest, message = item.wanted.manifest, _told(item, refusal, f"{refusal.path or 'it'} is refused")
        item.place = manifest.place_of_path(refusal.path) if manifest and refusal.path else item.wanted.place
        if immutable(refusal.message) and not item.wanted.policy.recreate:
            message += "; to delete it and create it anew, annotate it with reconciler.dev/recreate: allowed"
        item.work.move(item, "blocked")
        if item.message != message:
            self._tell("rejected", item, at=str(item.place), reason=message)
        self.work.stand(item, "blocked", message)
        self.work.retry(item)

    def _recreate(self, cluster: Cluster, item: Item, send: Send, status: Refusal) -> None:
        assert item.ref is not None
        held = cluster.owned(item.ref.id)
        if item.ref.id.kind in PROTECTED:  # whatever an annotation says
            why = f"{item.ref.id.kind} holds data and is never deleted to be created anew; a field is immutable"
            self._rejected(item, Refusal(why))
            return
        if held is None or held.uid != send.uid:  # it went, or does not say any more that it is ours
            self._moved(item, status)
            return
        item.work.move(item, "wait")
        reason = "recreated: a field is immutable"
        self.delete(cluster, item.work.unit, held, reason, lambda problem: self._not_recreated(item, problem))

    def _not_recreated(self, item: Item, problem: str) -> None:
        if not item.gone and item.phase == "wait":
            self._rejected(item, Refusal(f"a field is immutable, and it cannot be deleted to be created anew: {problem}"))

    # -- deleting ----------

    def delete(
        self,
        cluster: Cluster,
        unit: UnitKey,
        live: Live,
        reason: str,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Delete one object of ours, if it still is as it was when that was decided; `refused(problem)` where that was not done."""
        ref, uid = ObjectRef(cluster.name, live.id), live.uid
        resource = cluster.discovery.preferred.get(ref.id.group_kind) if cluster.discovery else None
        assert uid and live.version

        def ended(problem: str) -> None:
            self.work.deleted(ref, uid, problem)
            if problem:
                refused(problem)

        if not self.work.may_work(cluster):  # the answer that asks for it came late
            ended("this daemon may not act there any more")
            return
        if resource is None:  # the server of its group does not answer: decided anew when it does
            ended(f"the server of {ref.id.group} does not answer")
            return
        body = {"preconditions": {"uid": uid, "resourceVersion": live.version}, "propagationPolicy": "Background"}

        def answered(answer: Answer) -> None:
            reflector = cluster.reflectors.get(ref.id.group_kind)
            if answer.status == 404 and reflector is not None:
                reflector.drop(ref.id, uid)
            ended("" if answer.status in (200, 202, 404) else read_status(answer).message)

        self.work.wire.log("info", "deleting", cluster=cluster.name, object=str(ref.id), reason=reason)
        cluster.act(
            unit,
            "DELETE",
            resource.path(ref.id),
            answered,
            self.work.store.write_seconds,
            body=msgspec.json.encode(body),
            content_type="application/json",
        )

    def _tell_applied(self, item: Item, send: Send) -> None:
        """One by one as long as they are few; of a first install, how many there were."""
        cluster, unit = item.work.lane.cluster, str(item.work.unit)
        burst = self._bursts.get((cluster, unit))
        if burst is None:
            burst = self._bursts[cluster, unit] = Burst()
            self.work.wire.after(("applied", cluster, unit), BURST_SECONDS, lambda: self._tell_rest(cluster, unit))
        burst.count += 1
        if burst.count <= TOLD_SINGLY:
            self._tell("applied", item)
        else:
            burst.created += not send.uid
            burst.commit = self.work.commit_of(item)

    def _tell_rest(self, cluster: ClusterName, unit: str) -> None:
        burst = self._bursts.pop((cluster, unit))
        more = burst.count - TOLD_SINGLY
        if more > 0:
            tell, made = self.work.wire.log, burst.created
            tell("info", "applied more", cluster=cluster, unit=unit, created=made, changed=more - made, commit=burst.commit)

    def _tell(self, message: str, item: Item, **facts: str) -> None:
        level: Literal["info", "error"] = "error" if message == "rejected" else "info"
        cluster, unit = item.work.lane.cluster, str(item.work.unit)
        self.work.wire.log(level, message, cluster=cluster, unit=unit, object=str(item.id), **facts)


def _told(item: Item, refusal: Refusal, otherwise: str) -> str:
    """What people hear of a refusal."""
    return f"{otherwise}{NOT_SHOWN}" if item.wanted.secret else refusal.message


def _differences(work: Work, item: Item, send: Send, live: Live) -> tuple[Change, ...]:
    """What an apply would change of a live object."""
    ignore, hidden = item.wanted.policy.ignore, item.wanted.secret
    found = diff.compare(send.body, live.body(), FIELD_MANAGER, work.types, ignore, hidden=hidden)
    return found.changes if isinstance(found, diff.Differs) else ()


def _same_object(live: Live, dry: Live) -> bool:
    """Whether a dry run's answer is the live object: what every write moves by itself is left out."""
    return _content(live) == _content(dry)


def _content(live: Live) -> dict[str, Any]:
    body = live.body()
    metadata = {key: value for key, value in body["metadata"].items() if key not in _MOVES}
    notes = metadata.get("annotations") or {}
    metadata["annotations"] = {key: value for key, value in notes.items() if key not in diff.INFORMATIONAL}
    return {**{key: value for key, value in body.items() if key != "status"}, "metadata": metadata}


def _still(held: Live, applied: Live) -> bool:
    return held.uid == applied.uid and held.generation == applied.generation and held.generation > 0
