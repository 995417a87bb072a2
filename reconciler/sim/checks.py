"""What must be so: after every step, and at rest.

Law of the module: a check looks at what everybody could see (requests, objects, branches), not at what the engine believes; it is told
by the number of its invariant (specs: reliability-security, 1.5; where they speak of an inventory, ours is the owner annotation).
`met` counts how often the premise of each was reached: a check that never had anything to look at proves nothing.

| invariant | as it is checked here |
|---|---|
| I01, I06 | at rest every object that Git wants is there as wanted, or its unit names it, or is held |
| I03 | at rest nothing is written (the rest of silence: `trial`) |
| I04, I05, I08 | what is written is applied, as some tip of the branch says, and for one object never older than what was applied before |
| I07, I26, I28, I29 | a deletion carries the uid, and is of an object that carries our proof and that the commit last read does not want |
| I27 | an object that is not ours is never forced |
| I30 | kinds that hold data, and more than the budget, go only with an approval in the tree |
| I32 | writes to one object in an hour are few |
| I35, I36 | pushes go to branches of ours, or are edits with a key, and put a commit onto the tip that was read |
| I38 | only the holder of the Lease writes, and only within its term |
| I40 | no more writes are in flight to a cluster than was set, of records than the store says; all else is few (`limits`) |
| I43 | after SIGTERM nothing is written but the release of the Lease |
| I46 | no secret value leaves the engine but to its cluster |
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from reconciler.core.identity import ClusterName, ObjectId, SourceName, UnitKey
from reconciler.core.lease import TERM_SECONDS
from reconciler.core.messages import Answer, Effect, Input, Log, Push, Pushed, Request
from reconciler.core.ownership import COMMIT, DIGEST, FIELD_MANAGER, MANAGED_BY, OWNER
from reconciler.core.prune import UNIT_COUNT, UNIT_FREE, UNIT_SHARE
from reconciler.core.report import SHOWN_OBJECTS, UnitReport
from reconciler.core.waiting import PROTECTED
from reconciler.core.wanted import ADOPT, PRUNE

from .cluster.store import Event
from .daemon import Actor, Daemon
from .faults import Fault
from .limits import STORE, InFlight
from .truth import Key, Truth, covers, plain_id

if TYPE_CHECKING:
    from .world import World

Json = dict[str, Any]

CANARY = "canary-7f3a91"
"""The secret values of simulated repositories; nobody but a cluster may ever see it."""
_SECRETS = (CANARY, base64.b64encode(CANARY.encode()).decode())

WRITES_AN_HOUR = 200


class Broken(AssertionError):
    """An invariant does not hold. `invariant` is its number."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


@dataclass
class Lives:
    """What is known of one daemon: which request went where, and until when it may lead."""

    in_flight: InFlight = field(default_factory=InFlight)
    leads_until: float = 0.0


class Checks:
    """Watches one world. Raises `Broken` out of whatever it is told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.met: Counter[str] = Counter()
        self.creates: Counter[Key] = Counter()
        self.deletes: Counter[Key] = Counter()
        clusters = tuple(world.clusters)
        kinds = tuple((gk.group, gk.kind) for kind in world.kinds for gk in (*kind.roots, *kind.references))
        self.truths = {
            name: Truth(repo, "refs/heads/main", clusters, clusters[0], kinds) for name, repo in world.repos.items()
        }
        self._lives: dict[Daemon, Lives] = {}
        self._applied: dict[tuple[Key, str], int] = {}  # by uid: the number of the tip whose content was applied last
        self._ours: dict[str, None] = {}  # uids that have carried our proof
        self._writes: dict[Key, list[float]] = {}
        self._deleted: dict[tuple[str, str, int], dict[Key, None]] = {}  # by (unit, cluster, tip)
        self._zombies: dict[tuple[Daemon, int], None] = {}
        self._misled: dict[Daemon, None] = {}  # lives that began behind a mirror that lags
        self.is_at_rest = False
        world.network.observers.append(self)

    def _life(self, daemon: Daemon) -> Lives:
        life = self._lives.get(daemon)
        if life is None:
            life = self._lives[daemon] = Lives()
        return life

    # -- what a daemon does ----------

    def sends(self, daemon: Daemon, effect: Effect) -> None:
        """Before an effect is carried out."""
        match effect:
            case Log():
                self._no_secret(str(effect.facts), f"the log line {effect.message!r}")
            case Push():
                self._push(effect)
            case Request():
                self._request(daemon, effect)

    def _no_secret(self, text: str, where: str) -> None:
        if any(secret in text for secret in _SECRETS):
            raise Broken("I46", f"{where} holds a secret value")

    def _push(self, effect: Push) -> None:
        self.met["I35"] += 1
        branch = effect.ref.removeprefix("refs/heads/")
        ours = branch == "reconciler-status" or branch.startswith(("reconciler/approve/", "reconciler/edit/"))
        if not ours and (effect.force or "\nReconciler-Edit: " not in effect.message):
            raise Broken("I36", f"a push to {effect.ref}")
        if effect.base != effect.expected and effect.expected is not None and not effect.force:
            history = branch == "reconciler-status" and effect.base is None
            if not history:
                raise Broken("I36", f"a push to {effect.ref} that leaves out the tip that was read")
        for path, text in effect.files.items():
            self._no_secret(str(text), path)

    def _request(self, daemon: Daemon, effect: Request) -> None:
        life = self._life(daemon)
        cluster = daemon.engine.clusters[effect.cluster]
        kinds = len(cluster.reflectors) + len(cluster.followed.reflectors)
        too_many = life.in_flight.sends(effect, daemon.engine.settings.requests_in_flight, kinds)
        if too_many:
            raise Broken("I40", too_many)
        self.met["I43"] += daemon.engine.stopping
        if effect.method == "GET" or "/leases" in effect.path:
            return
        if daemon.engine.stopping:
            raise Broken("I43", f"{effect.method} {effect.path} after the end was asked for")
        if not effect.path.endswith(f"/namespaces/{STORE}") and not effect.path.endswith("/api/v1/namespaces"):
            self.met["I38"] += 1
            if self.world.steady >= life.leads_until:
                raise Broken("I38", f"{effect.method} {effect.path} by {daemon.identity}, which does not hold the Lease")
            for other in self.world.daemons:
                if other is not daemon and other.stopped_until < self.world.steady and other.engine.store.leading:
                    raise Broken("I38", f"{daemon.identity} and {other.identity} act at the same time")
        if effect.method == "DELETE":
            self._deletion_is_fenced(effect)

    def _deletion_is_fenced(self, effect: Request) -> None:
        self.met["I26"] += 1
        conditions = json.loads(effect.body or b"{}").get("preconditions") or {}
        if not conditions.get("uid") and f"/namespaces/{STORE}/" not in effect.path:
            raise Broken("I26", f"DELETE {effect.path} without a uid")

    def struck(self, daemon: Daemon, fault: Fault, message: Effect | Input) -> None:
        """Something goes wrong: what then cannot be held against the daemon."""
        if fault.kind == "zombie" and isinstance(message, Request):
            self._zombies[daemon, message.id] = None
        if fault.kind == "stale refs" and all(source.desired.commit is None for source in daemon.engine.sources.values()):
            self._misled[daemon] = None

    def answered(self, daemon: Daemon, effect: Effect, answer: Input) -> None:
        """After an effect was carried out."""
        if isinstance(effect, Request) and "/leases" in effect.path and effect.method != "GET":
            assert isinstance(answer, Answer)
            if answer.status in (200, 201):
                holder = msgspec.json.decode(answer.body)["spec"].get("holderIdentity")
                self._life(daemon).leads_until = self.world.steady + TERM_SECONDS if holder else 0.0
        if isinstance(effect, Push) and isinstance(answer, Pushed) and answer.outcome == "pushed":
            self.met["I36"] += 1

    def hears(self, daemon: Daemon, message: Input) -> None:
        """Before a daemon is told something."""
        if isinstance(message, Answer):
            self._life(daemon).in_flight.hears(message.id)

    # -- what changes ----------

    def changed(self, cluster: str, event: Event, actor: Actor) -> None:
        """After an object has changed."""
        if self.is_at_rest and actor.daemon is not None and event.storage.plural != "leases":
            raise Broken("I03", f"{event.type} {event.storage.plural} {'/'.join(event.entry.key)} on {cluster} at rest")
        if actor.daemon is None or actor.request is None or event.entry.key[0] == STORE or event.storage.plural == "leases":
            return
        if actor.request.path.endswith("/namespaces"):
            return
        body = event.previous.obj if event.type == "DELETED" and event.previous else event.entry.obj
        id = id_of(body)
        key = (cluster, plain_id(id))
        if actor.request.method == "DELETE":
            if event.previous is not None and not event.previous.obj["metadata"].get("deletionTimestamp"):
                self._deleted_object(cluster, key, event.previous.obj, actor)
        elif actor.request.method == "PATCH":
            self._applied_object(cluster, key, event, actor)
        else:
            raise Broken("I04", f"{actor.request.method} of {id} on {cluster}: what Git says is applied, by PATCH")

    def _applied_object(self, cluster: str, key: Key, event: Event, actor: Actor) -> None:
        assert actor.daemon is not None and actor.request is not None
        now, body = self.world.steady, event.entry.obj
        owner = owner_of(body, cluster)
        if owner is None:
            return
        uid = body["metadata"]["uid"]
        if event.previous is None:
            self.creates[key] += 1
        elif owner_of(event.previous.obj, cluster) is None and uid not in self._ours:
            self.met["I27"] += 1
            if dict(actor.request.query).get("force") == "true" and ADOPT not in body["metadata"]["annotations"]:
                raise Broken("I27", f"{key[1]} on {cluster} is not ours, and was forced")
        self._ours[uid] = None
        recent = [at for at in self._writes.get(key, ()) if at > now - 3600.0] + [now]
        self._writes[key] = recent
        if len(recent) > WRITES_AN_HOUR:
            raise Broken("I32", f"{len(recent)} writes to {key[1]} within an hour")
        if (actor.daemon, actor.request.id) not in self._zombies:
            self._is_what_git_says(key, uid, body, owner, actor.daemon)

    def _is_what_git_says(self, key: Key, uid: str, body: Json, owner: UnitKey, daemon: Daemon) -> None:
        truth = self.truths.get(owner.source)
        if truth is None or not owner.is_folder:
            return
        truth.update()
        versions = truth.versions.get(key, [])
        self.met["I04"] += 1
        fits = [n for n, (_, want) in enumerate(versions) if want is not None and covers(body, want.body)]
        if not fits:
            if any(want is not None and want.clashes for _, want in versions):
                return
            raise Broken("I04", f"{key[1]} on {key[0]} was applied as no commit says it")
        ends = [versions[n + 1].since if n + 1 < len(versions) else truth.last + 1 for n in fits]
        floor = self._applied.get((key, uid), 0)
        self.met["I08"] += 1
        newer = [max(versions[n].since, floor) for n, end in zip(fits, ends, strict=True) if end > floor]
        if not newer:
            if daemon in self._misled:  # one that begins anew behind such a mirror cannot know better
                return
            raise Broken("I08", f"{key[1]} on {key[0]} went back to an older commit")
        self._applied[key, uid] = min(newer)

    def _deleted_object(self, cluster: str, key: Key, body: Json, actor: Actor) -> None:
        assert actor.daemon is not None and actor.request is not None
        self.deletes[key] += 1
        owner = owner_of(body, cluster)
        if owner is None:
            raise Broken("I26", f"{key[1]} on {cluster} does not carry our proof, and was deleted")
        if (actor.daemon, actor.request.id) in self._zombies:
            return
        truth = self.truths.get(owner.source)
        if truth is None:
            return
        truth.update()
        read = actor.daemon.engine.sources[owner.source].desired.commit
        if read is None:
            raise Broken("I07", f"{key[1]} on {cluster} was deleted before anything was read")
        tip = truth.number(read.id)
        want = truth.want(key, tip)
        self.met["I28"] += 1
        if want is not None and not want.may_recreate:
            raise Broken("I28", f"{key[1]} on {cluster} was deleted although {truth.tips[tip][:7]} wants it")
        if want is None:
            self._within_bounds(cluster, key, body, owner, truth, tip)

    def _within_bounds(self, cluster: str, key: Key, body: Json, owner: UnitKey, truth: Truth, tip: int) -> None:
        policy = (body["metadata"].get("annotations") or {}).get(PRUNE, "")
        if policy == "disabled":
            raise Broken("I30", f"{key[1]} on {cluster} was deleted although it says prune: disabled")
        if any(_lets_go(approval, owner, cluster) for approvals in truth.approvals[: tip + 1] for approval in approvals):
            return  # which of several approvals of one unit covers what is the engine's own tests' matter
        if body["kind"] in PROTECTED and policy != "allowed":
            raise Broken("I30", f"{key[1]} on {cluster} holds data, and was deleted without an approval")
        if not owner.is_folder:
            return  # what a root means to leave goes without a budget: which that is, is for its own checks
        gone = self._deleted.setdefault((owner.text, cluster, tip), {})
        gone[key] = None
        self.met["I30"] += 1
        left = [(cluster, plain_id(id_of(obj))) for other, obj in self.owned(cluster) if other == owner]
        total = len(dict.fromkeys([*left, *gone]))  # what a finalizer holds is on its way, and still there
        if total > UNIT_FREE and len(gone) > min(UNIT_COUNT, max(1, int(UNIT_SHARE * (total + 1)))):
            raise Broken("I30", f"{len(gone)} of {total} objects of {owner} were deleted without an approval")

    # -- at rest ----------

    def owned(self, cluster: str) -> list[tuple[UnitKey, Json]]:
        """The live objects of a cluster that carry our proof, and their units."""
        found = []
        store = self.world.clusters[cluster].store
        for storage in store.storages():
            for entry in store.entries(storage):
                owner = owner_of(entry.obj, cluster)
                if owner is not None:
                    found.append((owner, entry.obj))
        return found

    def end_state(self) -> dict[str, Json]:
        """All that we own, by cluster and identity, without what each run has of its own.

        Which commit changed an object is among that: a daemon that begins anew knows no better than the one that it reads first.
        """
        return {
            f"{cluster} {'/'.join(id_of(body))}": _lasting(body)
            for cluster in self.world.clusters
            for _, body in self.owned(cluster)
        }

    def at_rest(self, daemon: Daemon) -> None:
        """Nothing moves by itself any more: everything must be as Git says, or told why it is not."""
        units = {unit.key.text: unit for unit in daemon.report.units}
        self._no_secret(str(daemon.report), "the report")
        for source, truth in self.truths.items():
            truth.update()
            held = {cluster: {(cluster, plain_id(id_of(b))): (o, b) for o, b in self.owned(cluster)} for cluster in self.world.clusters}
            for key, want in truth.wanted().items():
                unit = units.get(UnitKey(SourceName(source), "", "Folder", "", want.unit).text)
                excused = want.clashes or (unit is not None and _is_told(unit, key))
                self.met["I01 excused" if excused else "I01"] += 1
                found = held[key[0]].get(key)
                if not excused and (found is None or not covers(found[1], want.body)):
                    state = unit.state if unit else "not known"
                    raise Broken("I01", f"{key[1]} on {key[0]} is not as Git says, and {want.unit} is {state}")
                if found is not None and not excused:
                    self._nothing_more(key, found[1], want.body)
            wanted = truth.wanted()
            for objects in held.values():
                for key, (owner, body) in objects.items():
                    if key not in wanted and owner.source == source and owner.is_folder:
                        self._may_stand(key, body, units.get(owner.text))

    def _nothing_more(self, key: Key, live: Json, want: Json) -> None:
        """Fields that left Git are gone: asked where it can be told, of maps that nobody else writes to."""
        managers = {entry["manager"] for entry in live["metadata"].get("managedFields", ()) if entry.get("subresource") != "status"}
        if managers == {FIELD_MANAGER} and "data" in live and live["kind"] in ("ConfigMap", "Secret"):
            if sorted(live["data"]) != sorted(want.get("data") or {}):
                raise Broken("I01", f"{key[1]} on {key[0]} still holds what Git says no more")

    def _may_stand(self, key: Key, body: Json, unit: UnitReport | None) -> None:
        self.met["I29"] += 1
        metadata = body["metadata"]
        if (metadata.get("annotations") or {}).get(PRUNE) == "disabled" or metadata.get("deletionTimestamp"):
            return
        lanes = [lane for lane in unit.lanes if lane.cluster == key[0]] if unit is not None else []
        if not any(lane.prune or lane.state == "Held" for lane in lanes):
            raise Broken("I29", f"{key[1]} on {key[0]} is left over, and nothing says why")


def _is_told(unit: UnitReport, key: Key) -> bool:
    """Whether the report says of an object that it is not as Git says: by name, or among more than are named, or with all its unit."""
    name = f"{key[1].kind}/{key[1].name}"
    return any(
        lane.state == "Held" or len(lane.unwell) == SHOWN_OBJECTS or any(one.object == name for one in lane.unwell)
        for lane in unit.lanes
        if lane.cluster == key[0]
    )


def owner_of(body: Json, cluster: str) -> UnitKey | None:
    """The unit that an object proves to belong to; whoever takes the label off releases it, for it is what watches select on."""
    if MANAGED_BY not in (body["metadata"].get("labels") or {}):
        return None
    parts = (body["metadata"].get("annotations") or {}).get(OWNER, "").split(" ", 3)
    if len(parts) != 4 or parts[1] != ClusterName(cluster) or parts[2] != "/".join(id_of(body)):
        return None
    return UnitKey.parse(parts[3])


def _lets_go(approval: Json, unit: UnitKey, cluster: str) -> bool:
    """Whether it is for deletions of this unit in this cluster."""
    of = {"group": "", "kind": "", "namespace": "", "name": "", "cluster": "", **approval["spec"]["of"]}
    wanted = {"group": unit.group, "kind": unit.kind, "namespace": unit.namespace, "name": unit.name, "cluster": cluster}
    return bool(approval["spec"]["gate"].startswith("prune")) and of == wanted


def id_of(body: Json) -> ObjectId:
    """The identity of a live object."""
    group = body.get("apiVersion", "v1").rpartition("/")[0]
    return ObjectId(group, body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"])


def _lasting(body: Json) -> Json:
    """What two runs of the same work have in common."""
    metadata = body["metadata"]
    notes = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in (OWNER, DIGEST, COMMIT)}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if not k.startswith("reconciler.dev/")}
    kept = {k: v for k, v in body.items() if k not in ("metadata", "status")}
    if isinstance(kept.get("spec"), dict):  # addresses and ports that the server draws
        kept["spec"] = {k: v for k, v in kept["spec"].items() if k not in ("clusterIP", "clusterIPs")}
    return {**kept, "metadata": {"name": metadata["name"], "annotations": notes, "labels": labels}}
