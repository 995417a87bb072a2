"""What must be so of staged instances: after every step, and at rest.

Law of the module: as that of `reconciler.sim.checks`: from outside, by commits, objects and stored records, and by a reading of Git that
shares nothing with the family (`stage_truth`). What a daemon did is held against the commit that it had read, and the records that it
had been told of, when it sent it. The numbers are our own.

| | |
|---|---|
| S01 | a blocked instance is frozen: nothing of it is applied or deleted, from when the record says so |
| S02 | a stage that there is not is frozen too, at once |
| S03 | what is applied on a target is the version that the stored record gives it: a target has one |
| S04 | what stands is not deleted, and what nobody can place keeps what it has; who leaves a stage is named, all else goes by budgets |
| S05 | a schedule fires once, while it stands in Git, not before its time; that it has fired is never forgotten |
| S06 | a change of the record gives each version its share of the targets, with the fewest moves |
| S07 | an edit changes the stage and nothing else, of an instance whose schedule has come (or that is to be promoted), once |
| S08 | at rest every target has what its stage says, and nothing stands of any other |
| S09 | at rest no schedule that has come is forgotten |
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.core.edits import BRANCH, EDIT
from reconciler.core.identity import UnitKey
from reconciler.core.messages import Effect, Input, Push, Pushed, Request
from reconciler.core.prune import UNIT_FREE, UNIT_SHARE
from reconciler.core.records import read
from reconciler.core.report import UnitReport
from reconciler.sim.checks import Broken, Checks, id_of, owner_of
from reconciler.sim.cluster.store import Event
from reconciler.sim.daemon import PEOPLE, Actor, Daemon
from reconciler.sim.faults import Fault
from reconciler.sim.limits import STORE

from .stage_truth import BLOCK, DEFAULT, Fleet, Fleets, Ring, Stated, counts

if TYPE_CHECKING:
    from reconciler.sim.world import World

Json = dict[str, Any]
Key = tuple[str, str, str, str]  # cluster, namespace, kind, name
KIND = "Instance"
PROMOTE = "reconciler.dev/promote-after"
KEY = "fleet/solution.symphony/Instance//"


class Sent(NamedTuple):
    """What a daemon knew when it sent something: the tip that it had read, and the records of instances."""

    tip: int
    told: dict[str, Json]


class StageChecks:
    """Watches one world beside `Checks`."""

    def __init__(self, world: World, checks: Checks) -> None:
        self.world, self.checks, self.met = world, checks, checks.met
        self.truth = next(iter(checks.truths.values()))
        self.fleets = Fleets(self.truth, tuple(world.clusters))
        self.records: dict[str, Json] = {}
        self._sent: dict[tuple[Daemon, int], Sent] = {}
        self._latest_wall = world.wall
        self._deleted: dict[tuple[str, str, int], dict[str, bool]] = {}  # by (instance, cluster, tip): uid -> meant to go
        world.network.observers.append(self)

    # -- what a daemon does ----------

    def sends(self, daemon: Daemon, effect: Effect) -> None:
        """Before an effect is carried out."""
        self._latest_wall = max(self._latest_wall, self.world.wall)
        if isinstance(effect, Request) and effect.method != "GET" and "/leases" not in effect.path:
            self._sent[daemon, effect.id] = self._knows(daemon)

    def _knows(self, daemon: Daemon) -> Sent:
        self.truth.update()
        read = next(iter(daemon.engine.sources.values())).desired.commit
        known = daemon.engine.store.records
        told = {key.removeprefix(KEY): record.value for key, record in known.items() if key.startswith(KEY)}
        return Sent(self.truth.number(read.id) if read is not None else -1, told)

    def answered(self, daemon: Daemon, effect: Effect, answer: Input) -> None:
        """After an effect was carried out."""
        if isinstance(effect, Push) and isinstance(answer, Pushed) and answer.outcome == "pushed":
            for line in effect.message.splitlines():
                if line.startswith(EDIT):
                    self._edited(effect, line.removeprefix(EDIT), daemon)

    def _edited(self, effect: Push, key: str, daemon: Daemon) -> None:
        repo, commits = self.world.repos[effect.source], self._commits(daemon)
        unit, text, _ = key.split("@")
        came, _, goes = text.partition(">")
        assert effect.base is not None
        (path, made), *more = effect.files.items()
        before, after = json.loads(repo.commits[effect.base][1][path]), json.loads(made or b"")
        stated = Stated(before["metadata"]["name"], before["spec"], before["metadata"].get("annotations") or {})
        due, stage = stated.due, stated.stage
        self.met[f"S07 promotes {commits}" if goes else f"S07 {commits}"] += 1
        if commits == "record" or more or (effect.ref != self.truth.ref and not effect.ref.startswith(BRANCH)):
            raise Broken("S07", f"{commits}: a push to {effect.ref} of {list(effect.files)}")
        if (commits == "direct" and not goes) != (effect.ref == self.truth.ref):
            raise Broken("S07", f"{commits}: {key} is pushed to {effect.ref}")
        before["spec"]["stage"] = goes
        if unit != f"{KEY}{stated.name}" or before != after:
            raise Broken("S07", f"{key} changes {path} otherwise than by making its stage {goes!r}")
        if goes and (PROMOTE not in stated.notes or came != stage):
            raise Broken("S07", f"{key}: {stated.name} is in {stage}, and its notes are {stated.notes}")
        if not goes and (due is None or due.text != text or due.at > self._latest_wall):
            raise Broken("S07", f"{unit} is cleared, and its schedule is {due}, not {text}, or is not due yet")
        if any(f"{EDIT}{key}" in repo.messages.get(id, "").splitlines() for id in repo.history(effect.base)):
            raise Broken("S07", f"{key} is made again")

    def _commits(self, daemon: Daemon) -> str:
        return next(iter(daemon.engine.sources.values())).settings.commits

    def hears(self, daemon: Daemon, message: Input) -> None:
        """Before a daemon is told something."""

    def struck(self, daemon: Daemon, fault: Fault, message: Effect | Input) -> None:
        """Something goes wrong."""

    # -- what changes ----------

    def changed(self, cluster: str, event: Event, actor: Actor) -> None:
        """After an object has changed."""
        if event.entry.key[0] == STORE:
            if event.storage.plural == "secrets":
                self._stored(event, actor)
            return
        if actor.daemon is None or actor.request is None:
            owner = owner_of(event.previous.obj, cluster) if actor == PEOPLE and event.previous else None
            if owner is not None and owner.kind == KIND:
                self.met["S01 by hand"] += self.records.get(owner.name, {}).get("stage") == BLOCK
            return
        sent = self._sent.get((actor.daemon, actor.request.id))
        body = event.previous.obj if event.type == "DELETED" and event.previous else event.entry.obj
        owner = owner_of(body, cluster)
        if sent is None or owner is None or owner.kind != KIND:
            return
        fleet = self.fleets.at(sent.tip)
        instance = fleet.instances.get(owner.name) if f"instances/{owner.name}.yaml" not in fleet.unread else None
        record = sent.told.get(owner.name)
        if instance is not None:
            self._frozen(instance, record, actor, f"{actor.request.method} of {'/'.join(id_of(body))} on {cluster}")
        if actor.request.method == "PATCH":
            self._intended(owner, record, cluster, body)
        elif instance is not None:
            self._deleted_object(owner, sent, cluster, body)

    def _frozen(self, instance: Stated, record: Json | None, actor: Actor, what: str) -> None:
        assert actor.daemon is not None
        if not instance.is_known:
            raise Broken("S02", f"{what}, and {instance.name} has stage {instance.stage}, which there is not")
        if record is not None and record.get("stage") == BLOCK and self._stage(instance, record, actor.daemon) == BLOCK:
            raise Broken("S01", f"{what}, and {instance.name} is blocked")

    def _stage(self, instance: Stated, record: Json, daemon: Daemon) -> str:
        """The stage that counts: a schedule clears it by the record alone where nothing is committed."""
        fired = record.get("fired", {}).get(instance.due.text) if instance.due else None
        cleared = fired is not None and fired["stage"] == instance.stage and not fired.get("done")
        return DEFAULT if cleared and self._commits(daemon) == "record" else instance.stage

    def _intended(self, owner: UnitKey, record: Json | None, cluster: str, body: Json) -> None:
        if body["kind"] != "Deployment":
            return
        self.met["S03"] += 1
        images = [part["image"].partition(":")[0] for part in body["spec"]["template"]["spec"]["containers"]]
        place = (cluster, body["metadata"]["namespace"])
        stands = {**record.get("leaving", {}), **record.get("targets", {})} if record is not None else {}
        if not any((solution, *at) == (images[0], *place) for solution, _, *at in stands.values()) or len(images) != 1:
            raise Broken("S03", f"{owner.name} gets {images} at {place}, and its record says {stands}")

    def _deleted_object(self, owner: UnitKey, sent: Sent, cluster: str, body: Json) -> None:
        record = sent.told.get(owner.name) or {}
        place = (cluster, body["metadata"].get("namespace", ""))
        self.met["S04"] += 1
        stands = [tuple(at) for _, _, *at in record.get("targets", {}).values()]
        if body["kind"] == "Deployment" and place in stands:
            raise Broken("S04", f"{owner.name} at {place} is deleted, and its record says that it stands")
        gone = self._deleted.setdefault((owner.name, cluster, sent.tip), {})
        gone[body["metadata"]["uid"]] = "/".join(place) in record.get("left", {})
        meant = sum(gone.values())
        if any("prune" in approval["spec"]["gate"] for approval in self._approvals(sent.tip)):
            return
        left = [obj["kind"] for other, obj in self.checks.owned(cluster) if other == owner]
        size = len(gone) + len(left)  # as it was before this tip, but for namespaces, which others may just have handed over
        self.met["S04 budget"] += len(gone) > meant
        if size - left.count("Namespace") > UNIT_FREE and len(gone) - meant > max(1, int(UNIT_SHARE * (size + 1))):
            raise Broken("S04", f"{len(gone) - meant} of {size} objects of {owner.name} on {cluster} go without an approval")

    def _approvals(self, tip: int) -> list[Json]:
        return [approval for approvals in self.truth.approvals[: tip + 1] for approval in approvals]

    # -- records ----------

    def _stored(self, event: Event, actor: Actor) -> None:
        body = event.previous.obj if event.type == "DELETED" and event.previous else event.entry.obj
        found = read([body])[0] if "reconciler.dev/record" in (body["metadata"].get("labels") or {}) else {}
        for key, record in found.items():
            if not key.startswith(KEY):
                continue
            name = key.removeprefix(KEY)
            before = self.records.pop(name, {})
            if event.type == "DELETED":
                continue
            self.records[name] = record.value
            sent = self._sent.get((actor.daemon, actor.request.id)) if actor.daemon and actor.request else None
            instance = self.fleets.at(sent.tip).instances.get(name) if sent is not None else None
            if sent is not None and instance is not None and not self.fleets.at(sent.tip).unread:
                self._fired(instance, before.get("fired", {}), record.value.get("fired", {}))
                self._moved(self.fleets.at(sent.tip), instance, before, record.value)

    def _fired(self, instance: Stated, before: Json, after: Json) -> None:
        for text, was in before.items():
            now = after.get(text)
            if now is None or (was.get("done") and not now.get("done")) or now["stage"] != was["stage"]:
                raise Broken("S05", f"{instance.name}: that schedule {text} has fired is forgotten, or told otherwise")
        due = instance.due
        for text, now in after.items():
            armed = due is not None and due.text == text and now["stage"] == instance.stage
            if text not in before:
                self.met["S05"] += 1
                if not armed or due is None or due.at > self._latest_wall:
                    raise Broken("S05", f"{instance.name}: schedule {text} fires, and Git says {due}, at {self._latest_wall}")
            elif not armed and not now.get("done"):
                raise Broken("S05", f"{instance.name}: Git says no more that {text} clears {now['stage']}, and it is not done")

    def _moved(self, fleet: Fleet, instance: Stated, before: Json, after: Json) -> None:
        """What a change of the record does to those who stood, the shares that it comes to, and how many moved."""
        stage, stands, stood = after["stage"], after.get("targets", {}), before.get("targets", {})
        if stage == BLOCK or stands == stood or not instance.is_known or instance.is_inactive:
            return
        members = fleet.members(instance, stage)
        chosen = any("selector" in ring.choice or "*" in ring.choice.get("name", "") for ring in instance.rings(stage))
        for target in stood:
            unknown = fleet.is_open(target) and chosen
            self.met["S04 open"] += unknown
            if (unknown or (target in members and fleet.place(target) is None)) and stands.get(target) != stood[target]:
                raise Broken("S04", f"{instance.name}: nobody knows what or where {target} is, and it loses what it has")
        if fleet.uncertain(members) or fleet.uncertain([t for t in {**members, **stood} if t in fleet.targets]):
            return
        if list(stands) != sorted(members):
            raise Broken("S06", f"{instance.name} in {stage} stands on {list(stands)}, and means {sorted(members)}")
        had = {target: stand[0] for target, stand in stood.items()}
        places = [tuple(at) for _, _, *at in stands.values()]
        for target, (_, came_by, *at) in stood.items():
            goes = target not in stands and tuple(at) not in places and came_by not in [ring.stage for ring in instance.rings(stage)]
            self.met["S04 leaves"] += goes
            if goes and "/".join(at) not in after.get("left", {}) and target not in after.get("leaving", {}):
                raise Broken("S04", f"{instance.name}: {target} leaves stage {came_by} for {stage}, and nothing says that it is meant to")
        for ring in instance.rings(stage):
            mine = [target for target, of in members.items() if of == ring]
            self._shared(instance, ring, mine, had, {target: stands[target][0] for target in mine})

    def _shared(self, instance: Stated, ring: Ring, mine: list[str], had: dict[str, str], has: dict[str, str]) -> None:
        self.met["S06" if len(ring.shares) > 1 else "S06 alone"] += 1
        wanted = counts(ring.shares, len(mine))
        found = {version: sum(one == version for one in has.values()) for version in wanted}
        if found != wanted:
            raise Broken("S06", f"{instance.name} in {ring.stage}: {found}, must be {wanted}")
        stayed = [target for target in mine if had.get(target) in wanted]
        moved = sum(has[target] != had[target] for target in stayed)
        fewest = sum(max(0, sum(had[t] == version for t in stayed) - count) for version, count in wanted.items())
        self.met["S06 moves"] += bool(stayed)
        if moved != fewest:
            raise Broken("S06", f"{instance.name} in {ring.stage}: {moved} targets move, {fewest} would do; {had} -> {has}")

    # -- at rest ----------

    def at_rest(self, daemon: Daemon) -> None:
        """Nothing moves by itself any more."""
        self.truth.update()
        fleet = self.fleets.at(self.truth.last)
        units = {unit.key.name: unit for unit in daemon.report.units if unit.key.kind == KIND}
        for name, instance in fleet.instances.items():
            record, unit = self.records.get(name, {}), units.get(name)
            if unit is None:
                raise Broken("S08", f"{name} is not known")
            self._nothing_overdue(instance, record, unit, daemon)
            if not instance.is_known or self._stage(instance, record, daemon) == BLOCK:
                self.met["S01"] += instance.is_known
                self.met["S02"] += not instance.is_known
                if unit.state not in ("Held", "Paused"):
                    raise Broken("S08", f"{name} is in stage {instance.stage}, and told {unit.state}")
                continue
            if instance.is_inactive:
                if any(not self._may_stand(key, unit) for key in self._live(name)):
                    raise Broken("S08", f"{name} is inactive, and {list(self._live(name))} stand")
                continue
            self._stands(fleet, instance, self._stage(instance, record, daemon), unit)
        for name, unit in units.items():
            if name not in fleet.instances and unit.state == "Healthy" and self._live(name):
                raise Broken("S08", f"{name} is gone from Git, told Healthy, and {list(self._live(name))} stand")

    def _nothing_overdue(self, instance: Stated, record: Json, unit: UnitReport, daemon: Daemon) -> None:
        due = instance.due
        if due is None or due.at > self.world.wall:
            return
        self.met["S09"] += 1
        fired = record.get("fired", {}).get(due.text)
        key = f"{EDIT}{KEY}{instance.name}@{due.text}@{fired['commit'][:7] if fired else ''}"
        repo = self.world.repo
        said = any(key in repo.messages.get(id, "").splitlines() for id in repo.history(repo.refs[self.truth.ref]))
        offered = any(key in repo.messages.get(tip, "").splitlines() for ref, tip in repo.refs.items() if ref.startswith(BRANCH))
        commits = self._commits(daemon)
        done = fired is not None and (fired.get("done") or said or commits == "record" or (commits == "propose" and offered))
        if not done:
            raise Broken("S09", f"{instance.name} still waits for {due.text} ({commits}): {unit.state}, {unit.message}; {fired}")

    def _live(self, name: str) -> dict[Key, Json]:
        """What an instance has, but namespaces and what is going."""
        return {
            (cluster, body["metadata"].get("namespace", ""), body["kind"], body["metadata"]["name"]): body
            for cluster in self.world.clusters
            for owner, body in self.checks.owned(cluster)
            if (owner.kind, owner.name) == (KIND, name) and body["kind"] != "Namespace" and "deletionTimestamp" not in body["metadata"]
        }

    def _stands(self, fleet: Fleet, instance: Stated, stage: str, unit: UnitReport) -> None:
        members = fleet.members(instance, stage)
        if not members:
            if unit.state != "Failed":
                raise Broken("S08", f"{instance.name} in {stage} has no target, and is told {unit.state}")
            return
        record = self.records.get(instance.name, {})
        uncertain = fleet.uncertain(members) | {target: None for target in record.get("targets", {}) if fleet.is_open(target)}
        taken = [tuple(stand[2:]) for target, stand in record.get("targets", {}).items() if target in uncertain]
        uncertain |= {target: None for target in members if fleet.place(target) in taken}  # by who cannot be moved
        live = self._live(instance.name)
        wanted: dict[Key, str] = {}
        for target, ring in members.items():
            place = fleet.place(target)
            solution = record.get("targets", {}).get(target, [""])[0]
            if target in uncertain or place is None:
                continue
            if solution not in dict(ring.shares):
                raise Broken("S08", f"{instance.name} in {stage} has {solution!r} on {target}, which is none of {ring.shares}")
            if solution in fleet.solutions:
                wanted |= fleet.objects(instance.name, solution, place)
        self._as_wanted(instance, wanted, live, unit)
        unsure = {
            target: stand for target, stand in record.get("targets", {}).items() if target in uncertain or stand[0] not in fleet.solutions
        }
        stays = record.get("leaving", {}) if unit.state != "Healthy" else {}
        kept = [fleet.place(target) for target in uncertain if target in fleet.targets]
        kept += [tuple(stand[2:]) for stand in (*unsure.values(), *stays.values())]
        for key in live:
            if key not in wanted and key[:2] not in kept and not self._may_stand(key, unit):
                raise Broken("S08", f"{instance.name} in {stage}: {key} is left over ({unit.state}: {unit.message})")
        if uncertain:
            return
        for ring in instance.rings(stage):
            mine = [record["targets"][target][0] for target, of in members.items() if of == ring]
            self.met["S08 shares"] += len(ring.shares) > 1
            if {version: mine.count(version) for version, _ in ring.shares} != counts(ring.shares, len(mine)):
                raise Broken("S08", f"{instance.name} in {ring.stage}: {mine} is not as {ring.shares}")

    def _as_wanted(self, instance: Stated, wanted: dict[Key, str], live: dict[Key, Json], unit: UnitReport) -> None:
        for key, content in wanted.items():
            self.met["S08"] += 1
            body = live.get(key)
            says = "" if body is None else body["data"]["v"] if key[2] == "ConfigMap" else _image(body)
            if says != content and not self._is_told(key, unit):
                raise Broken("S08", f"{instance.name}: {key} is {says!r}, must be {content!r} ({unit.state}: {unit.message})")

    @staticmethod
    def _is_told(key: Key, unit: UnitReport) -> bool:
        named = f"{key[2]}/{key[3]}"
        return any(lane.cluster == key[0] and (lane.state == "Held" or any(o.object == named for o in lane.unwell)) for lane in unit.lanes)

    @staticmethod
    def _may_stand(key: Key, unit: UnitReport) -> bool:
        waits = any(lane.cluster == key[0] and (lane.prune or lane.state == "Held") for lane in unit.lanes)
        return waits or any(cluster == key[0] for _, cluster in unit.gates)


def _image(body: Json) -> str:
    return str(body["spec"]["template"]["spec"]["containers"][0]["image"])
