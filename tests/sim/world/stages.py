"""Random work on staged instances, from one seed: the swarm's people, and those who drive stages.

Law of the module: as that of `swarm`. What people write is what `stage_truth` can read. They look at what Git says now and change one
thing of it, so that whatever went back or was written anew goes on from there.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

from reconciler.core.approvals import BRANCH
from reconciler.core.edits import BRANCH as EDITS
from reconciler.sim.cluster.settings import Settings as Behaviour
from reconciler.sim.faults import KINDS as FAULTS
from reconciler.sim.faults import Chance, Draw, Schedule, armed
from reconciler.sim.git import MAIN
from reconciler.sim.trial import Act, Outcome, Workload, at_rest, run
from reconciler.sim.world import START, World

from .fleet import at, instance, solution, target
from .stage_checks import PROMOTE, StageChecks
from .stage_hands import Hands
from .stage_truth import BLOCK, DEFAULT
from .swarm import RATE
from .workloads import config_map, obj

Json = dict[str, Any]

INSTANCES = ("shop", "news")
STAGES = (BLOCK, BLOCK, "", DEFAULT, "ring0", "ring1", "canary", "canary")
LABELS = ("ring0", "ring0", "ring1", "none")
SOON_SECONDS = (-300.0, 300.0)
NEVER_SECONDS = 30 * 86400.0
REBLOCKED_SHARE = 0.6
OTHERS = (
    *("break", "mend", "write", "go back", "rewrite", "delete branch", "others push", "refuse pushes"),
    *("lose cluster", "jump clock", "crash", "stop the process", "compact", "take lease"),
)
"""What these people do of what the swarm's do."""
DRIVEN = ("change stage", "change weights", "schedule", "block again", "slip", "annotate")
CALMLY = (
    *(*DRIVEN, "unschedule", "retarget", "drop or add instance", "deactivate", "change solution"),
    *("join", "leave", "relabel", "move", "misplace", "slip", "merge edits", "merge approval"),
)
"""Deeds that change Git and nothing else, and look at nothing else."""
CALM_FAULTS = 12


class Drivers(Hands):
    """Those who drive stages, beside everybody else."""

    def __init__(self, draw: Draw, clusters: tuple[str, ...], targets: int) -> None:
        self.targets = targets
        self.spread = draw.chance(0.7)
        self.soon = SOON_SECONDS
        super().__init__(draw, clusters)
        self.weights |= {name: draw.between(0.5, 2.5) for name in DRIVEN}

    @property
    def deeds(self) -> dict[str, Act]:
        """Everything that somebody may do."""
        theirs = super().deeds
        return {
            **{name: theirs[name] for name in OTHERS},
            "change stage": self.change_stage,
            "change weights": self.change_weights,
            "schedule": self.schedule,
            "unschedule": self.unschedule,
            "block again": self.block_again,
            "annotate": self.annotate,
            "retarget": self.retarget,
            "drop or add instance": self.toggle_instance,
            "deactivate": self.deactivate,
            "change solution": self.change_solution,
            "drop solution": self.drop_solution,
            "join": self.join,
            "leave": self.leave,
            "relabel": self.relabel,
            "move": self.move,
            "misplace": self.misplace,
            "slip": self.slip,
            "edit deployment": self.edit_deployment,
            "delete deployment": self.delete_deployment,
            "delete target's namespace": self.delete_scope,
            "merge approval": self.merge,
            "merge edits": self.merge_edits,
            "protect": self.protect,
        }

    # -- Git ----------

    def first(self) -> dict[str, Any]:
        """What there is in the beginning."""
        files: dict[str, Any] = {"keep/k.yaml": config_map("k"), "shop/ns.yaml": obj("v1", "Namespace", "shop")}
        for name in INSTANCES[: 1 + self.draw.below(2)]:
            files |= {f"solutions/{name}-v{n}.yaml": self._solution(f"{name}-v{n}") for n in range(4)}
            files[f"instances/{name}.yaml"] = instance(name, self.draw.one(STAGES), self._weights())
        return files | {f"targets/t{n}.yaml": self._target(f"t{n}") for n in range(1, self.targets + 1)}

    def _solution(self, name: str) -> str:
        self.count += 1
        return solution(name, self.count, 1 + self.draw.below(2), self.draw.below(2))

    def _target(self, name: str) -> str:
        return target(name, self.draw.one(self.clusters), self.draw.one(LABELS))

    def _weights(self) -> tuple[int, ...]:
        weights = [self.draw.one((0, 10, 25, 30, 33, 50, 70, 100)) for _ in range(2 + self.draw.below(2))]
        return (*weights, 20) if not any(weights) else tuple(weights)

    def _path(self, world: World, folder: str) -> str:
        """A file of a folder that can be read, or "": broken ones are for others to mend."""
        tree = world.repo.tree() if MAIN in world.repo.refs else {}
        found = [path for path in sorted(tree) if path.startswith(folder) and _is_whole(tree[path])]
        return self.draw.one(found) if found else ""

    def _change(self, world: World, folder: str, change: Callable[[Json], object]) -> None:
        """Change one object of a folder."""
        path = self._path(world, folder)
        if path:
            body = json.loads(world.repo.tree()[path])
            change(body)
            world.commit({path: json.dumps(body)}, hint=self.draw.chance(0.5))

    def change_stage(self, world: World) -> None:
        stage = self.draw.one(STAGES) if self.draw.chance(0.85) else "ghost"
        self._change(world, "instances/", lambda body: body["spec"].update(stage=stage))

    def change_weights(self, world: World) -> None:
        weights = self._weights()

        def change(body: Json) -> None:
            versions = [{"solution": f"{body['metadata']['name']}-v{n + 1}", "weight": weight} for n, weight in enumerate(weights)]
            body["spec"]["stages"][2]["versions"] = versions
            if self.draw.chance(0.5):
                body["spec"]["stage"] = "canary"

        self._change(world, "instances/", change)

    def schedule(self, world: World) -> None:
        seconds = self.draw.between(*self.soon) if self.draw.chance(0.85) else NEVER_SECONDS
        when = at((world.wall if self.soon == SOON_SECONDS else START) + seconds)

        def change(body: Json) -> None:
            spec = body["spec"]
            if self.draw.chance(0.8):
                spec.update(stage=BLOCK, schedule=when)
            else:
                spec["stages"][0]["schedule"] = when
                spec["stage"] = "ring0"

        self._change(world, "instances/", change)

    def unschedule(self, world: World) -> None:
        def change(body: Json) -> None:
            body["spec"].pop("schedule", None)
            body["spec"]["stages"][0].pop("schedule", None)

        self._change(world, "instances/", change)

    def block_again(self, world: World) -> None:
        """With the schedule that it has, or had before."""
        tips = [moved.commit for moved in world.repo.reflog if moved.ref == MAIN and moved.commit is not None]

        def change(body: Json) -> None:
            path = f"instances/{body['metadata']['name']}.yaml"
            texts = [world.repo.commits[tip][1].get(path, b"") for tip in tips]
            before = [found for text in texts if b'"schedule": "' in text and (found := json.loads(text)["spec"].get("schedule"))]
            body["spec"]["stage"] = BLOCK
            if before and self.draw.chance(REBLOCKED_SHARE):
                body["spec"]["schedule"] = self.draw.one(before)

        self._change(world, "instances/", change)

    def annotate(self, world: World) -> None:
        notes = {"reconciler.dev/rings": self.draw.one(("exclusive", "cumulative"))}
        if self.draw.chance(0.5):
            notes["reconciler.dev/ring-overlap"] = self.draw.one(("none", "healthy"))
        if self.draw.chance(0.8):
            notes[PROMOTE] = "20s healthy"
        self._change(world, "instances/", lambda body: body["metadata"].update(annotations=notes))

    def retarget(self, world: World) -> None:
        choice: Json = {"name": self.draw.one(("t1", "t2", "t*", "nobody"))} if self.draw.chance(0.6) else {"selector": {"label": "ring0"}}
        self._change(world, "instances/", lambda body: body["spec"].update(target=choice))

    def toggle_instance(self, world: World) -> None:
        name = self.draw.one(INSTANCES)
        path = f"instances/{name}.yaml"
        if MAIN in world.repo.refs and path in world.repo.tree():
            world.commit({path: None}, hint=self.draw.chance(0.5))
        elif MAIN in world.repo.refs:
            files = {f"solutions/{name}-v{n}.yaml": self._solution(f"{name}-v{n}") for n in range(4)}
            world.commit({**files, path: instance(name, self.draw.one(STAGES), self._weights())}, hint=self.draw.chance(0.5))

    def deactivate(self, world: World) -> None:
        state = self.draw.one(("active", "active", "inactive"))
        self._change(world, "instances/", lambda body: body["spec"].update(activeState=state))

    def change_solution(self, world: World) -> None:
        path = self._path(world, "solutions/")
        if path:
            world.commit({path: self._solution(path[10:-5])}, hint=self.draw.chance(0.5))

    def _drop(self, world: World, folder: str) -> None:
        path = self._path(world, folder)
        if path:
            world.commit({path: None}, hint=self.draw.chance(0.5))

    def drop_solution(self, world: World) -> None:
        self._drop(world, "solutions/")

    def join(self, world: World) -> None:
        self.targets += 1
        if MAIN in world.repo.refs:
            world.commit({f"targets/t{self.targets}.yaml": self._target(f"t{self.targets}")}, hint=self.draw.chance(0.5))

    def leave(self, world: World) -> None:
        self._drop(world, "targets/")

    def relabel(self, world: World) -> None:
        label = self.draw.one(LABELS)
        self._change(world, "targets/", lambda body: body["spec"]["properties"].update(label=label))

    def move(self, world: World) -> None:
        cluster = self.draw.one(self.clusters)
        self._change(world, "targets/", lambda body: body["spec"]["topologies"][0]["bindings"][0]["config"].update(cluster=cluster))

    def misplace(self, world: World) -> None:
        """A cluster that nobody knows, or the scope of another target."""
        if self.draw.chance(0.5):
            self._change(world, "targets/", lambda body: body["spec"]["topologies"][0]["bindings"][0]["config"].update(cluster="mars"))
        else:
            self._change(world, "targets/", lambda body: body["spec"].update(solutionScope="at-t1"))

    def slip(self, world: World) -> None:
        """A mistake that leaves open what a target is; and perhaps, at once, another stage."""
        self._change(world, "targets/", lambda body: body["spec"].update(reconciliationPolicy={"state": "slip"}))
        if self.draw.chance(0.5):
            self.change_stage(world)

    def smash(self, world: World) -> None:
        path = self._path(world, self.draw.one(("instances/", "targets/", "solutions/", "keep/")))
        if path:
            self.broken[path] = None
            texts = ["a: [", "kind: Instance\n", "- \x00", '{"apiVersion": "solution.symphony/v1", "kind": "Solution"}']
            world.commit({path: self.draw.one(texts)})

    def mend(self, world: World) -> None:
        files = {}
        tree = world.repo.tree() if MAIN in world.repo.refs else {}
        for path in dict.fromkeys([*self.broken, *(path for path in sorted(tree) if not _is_whole(tree[path]))]):
            folder, _, file = path.rpartition("/")
            name = file.removesuffix(".yaml")
            match folder:
                case "instances":
                    files[path] = instance(name, self.draw.one(STAGES), self._weights())
                case "targets":
                    files[path] = self._target(name)
                case "solutions":
                    files[path] = self._solution(name)
                case "keep":
                    files[path] = config_map(name, str(self.count))
        self.broken.clear()
        if files and MAIN in world.repo.refs:
            world.commit(files)

    def merge(self, world: World) -> None:
        self._merge(world, BRANCH)

    def merge_edits(self, world: World) -> None:
        self._merge(world, EDITS)

    def _merge(self, world: World, folder: str) -> None:
        offered = sorted(ref for ref in world.repo.refs if ref.startswith(folder))
        for ref in offered if MAIN in world.repo.refs else ():
            if world.repo.refs[ref] not in world.repo.history(world.repo.refs[MAIN]):
                world.repo.merge(ref)

    def tidy_up(self, world: World) -> None:
        """Mend what is broken; what was lost mostly comes back; no date is left that would come while all should rest."""
        super().tidy_up(world)
        if self.spread:
            self._spread(world)
        self.merge(world)
        world.hint()
        for _ in range(3):
            world.run(30.0)
            for path, text in world.repo.tree().items():
                if path.startswith("instances/") and b'"schedule": "' in text:
                    self._come(world, json.loads(text)["spec"])

    def _spread(self, world: World) -> None:
        """Every target to a place of its own, and every solution that is asked for."""
        files = {}
        for path, text in world.repo.tree().items():
            if path.startswith("targets/"):
                body = json.loads(text)
                name, spec = body["metadata"]["name"], body["spec"]
                config = spec["topologies"][0]["bindings"][0]["config"]
                spec["solutionScope"] = f"at-{name}"
                spec.pop("reconciliationPolicy", None)
                config["cluster"] = config["cluster"] if config["cluster"] in self.clusters else self.clusters[0]
                files[path] = json.dumps(body)
            elif path.startswith("instances/"):
                name = path[10:-5]
                lost = [f"{name}-v{n}" for n in range(4) if f"solutions/{name}-v{n}.yaml" not in world.repo.tree()]
                files |= {f"solutions/{one}.yaml": self._solution(one) for one in lost}
        world.commit(files)

    @staticmethod
    def _come(world: World, spec: Json) -> None:
        """Let the dates of the next days come, all but those that never do."""
        for text in (spec.get("schedule"), spec["stages"][0].get("schedule")):
            if text:
                seconds = dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - world.wall
                if -1.0 < seconds < NEVER_SECONDS / 2:
                    world.wall_offset += seconds + 1.0


def _is_whole(text: bytes) -> bool:
    """Whether a file is one of ours that nobody broke: what went back may bring a broken one."""
    return text.startswith(b'{"apiVersion"') and b'"metadata"' in text


def workload(seed: int) -> Workload:
    """The world and the work of a seed."""
    draw = Draw(f"stages {seed}")
    clusters = ("eu", "us") if draw.chance(0.5) else ("eu",)
    people = Drivers(draw, clusters, 3 + draw.below(6))
    acts: list[Act] = [lambda world: world.commit(people.first())]
    acts += [people.act] * (draw.below(30) + 8)
    acts.append(people.tidy_up)
    mood = draw.between(0.1, 60.0)
    return Workload(
        f"stages {seed}",
        tuple(acts),
        clusters=clusters,
        daemons=2 if draw.chance(0.3) else 1,
        status_branch=draw.chance(0.5),
        commits=draw.one(("record", "propose", "direct")),
        pause_seconds=lambda world: draw.between(0.0, mood),
        behaviour=Behaviour(pod_start_seconds=draw.between(0.1, 10.0)),
        extra_checks=(StageChecks,),
    )


def chance(seed: int) -> Chance:
    """The faults of a seed."""
    draw = Draw(f"stage faults {seed}")
    return Chance(draw, armed(draw, FAULTS, RATE * draw.between(0.0, 1.0)))


def stages(seed: int, schedule: Schedule | None = None) -> tuple[Outcome, Chance | None]:
    """One seed; with a schedule of its own instead of the one that is drawn."""
    drawn = chance(seed) if schedule is None else None
    chosen = schedule if schedule is not None else drawn
    assert chosen is not None
    return run(workload(seed), seed, chosen, jitter=True), drawn


def calm(seed: int, *, faults: bool) -> tuple[Outcome, bool]:
    """One seed of people who wait for rest before each step, and do nothing but commit; whether it came each time."""
    draw = Draw(f"calm {seed}")
    clusters = ("eu", "us") if draw.chance(0.5) else ("eu",)
    people = Drivers(draw, clusters, 3 + draw.below(4))
    people.weights = dict.fromkeys(CALMLY, 1.0) | dict.fromkeys(DRIVEN, 3.0)
    people.soon = (-3600.0, 0.0)
    rested: list[bool] = []

    def act(world: World) -> None:
        rested.append(at_rest(world))
        people.act(world)

    work = Workload(
        f"calm {seed}",
        (lambda world: world.commit(people.first()), *[act] * (draw.below(8) + 4)),
        clusters=clusters,
        commits=draw.one(("record", "propose", "direct")),
        extra_checks=(StageChecks,),
    )
    drawn = Chance(Draw(f"calm faults {seed}"), armed(Draw(f"calm kinds {seed}"), FAULTS, RATE / 2), CALM_FAULTS)
    return run(work, seed, drawn if faults else None, silence_seconds=900.0), all(rested)
