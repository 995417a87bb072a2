"""The tour over stages: Symphony instances, from a blocked one to rings, a canary by share of targets, and a schedule.

Law of the module: as in `acts`: a fact is a look at the world. How many targets have moved shows in the Deployments themselves: one that
was changed since it was made is of a later generation. Names are those of `example-repo/stages`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter

from .acts import Json, committed, replaced
from .telling import Act, Do, Fact, Seen
from .world import World

GATED, STAGED, CANARY, SCHEDULED = "Instance/gated", "Instance/staged", "Instance/canary", "Instance/scheduled"
CLUSTERS = ("eu", "us")
SOLUTIONS = {"1.0": "my-app", "1.1": "my-app-v1", "2.0": "my-app-v2"}  # by the tag of their image
AHEAD_SECONDS = 5
"""So long after its commit the scheduled instance is due."""

_SCHEDULE = re.compile(rb'schedule: "(.*)"')


# -- what a person does ----------


def staged(instance: str, old: str, new: str) -> Do:
    """Another stage for an instance."""
    return committed(replaced(_file(instance), f"stage: {old}", f"stage: {new}"), paths=(_file(instance),))


def _file(instance: str) -> str:
    return f"stages/{instance.partition('/')[2]}/instance.yaml"


async def scheduled(world: World, title: str) -> str:
    """A schedule some seconds from now."""
    at = dt.datetime.fromtimestamp(int(world.wall) + AHEAD_SECONDS, dt.UTC)
    replaced(_file(SCHEDULED), "2040-01-01T08:00:00Z", f"{at:%Y-%m-%dT%H:%M:%SZ}")(world)
    return await world.push(title, "stages/scheduled")


# -- what has to follow ----------


def deployments(world: World, instance: str) -> list[Json]:
    """The Deployments of an instance, on all targets."""
    return [obj for cluster in CLUSTERS for obj in world.owned(cluster, instance) if obj["kind"] == "Deployment"]


def _is_ready(deployment: Json) -> bool:
    status = deployment.get("status", {})
    is_seen: bool = status.get("observedGeneration") == deployment["metadata"]["generation"]
    counts = (status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas"))
    return is_seen and all(count == 1 for count in counts)


def _told(found: Counter[str], targets: list[str]) -> str:
    if len(found) == 1 and len(targets) <= 2:
        return f"{next(iter(found))} on {' and '.join(sorted(targets))}"
    return ", ".join(f"{solution} on {count}" for solution, count in sorted(found.items())) + " targets" if found else "on no target"


def blocked(instance: str) -> Fact:
    """Nothing is there, and the status says that it is blocked."""

    def look(world: World) -> Seen:
        there = deployments(world, instance)
        status = world.status(instance)
        is_told = status.get("state") == "Paused" and "blocked" in str(status.get("message"))
        return Seen(is_told and not there, f"blocked, on {len(there) or 'no'} target" if is_told else "not blocked")

    return Fact("both", instance, "blocked, on no target", look)


def runs(cluster: str, instance: str, namespaces: str, **solutions: int) -> Fact:
    """So many targets run each solution (`my_app_v1=3`), ready, in namespaces that begin so; and no other target has anything."""
    wanted = Counter({name.replace("_", "-"): count for name, count in solutions.items()})

    def look(world: World) -> Seen:
        there = deployments(world, instance)
        images = [obj["spec"]["template"]["spec"]["containers"][0]["image"] for obj in there]
        found = Counter(SOLUTIONS[image.partition(":")[2]] for image in images)
        targets = [obj["metadata"]["namespace"] for obj in there]
        is_right = found == wanted and all(target.startswith(namespaces) for target in targets)
        is_told = world.status(instance).get("state") == "Healthy"
        return Seen(is_right and is_told and all(map(_is_ready, there)), _told(found, targets))

    return Fact(cluster, instance, f"{_told(wanted, [f'{namespaces}*'] * wanted.total())}, all of them {namespaces}*", look)


def moved(instance: str, count: int, of: int) -> Fact:
    """So many Deployments were changed since they were made, and the others never."""

    def look(world: World) -> Seen:
        generations = Counter(obj["metadata"]["generation"] for obj in deployments(world, instance))
        words = f"{generations.total() - generations[1]} moved, {generations[1]} untouched"
        return Seen(generations == Counter({1: of - count, 2: count}), words)

    return Fact("both", instance, f"{count} moved, {of - count} untouched", look)


def left(instance: str, namespaces: str) -> Fact:
    """Nothing of an instance is left in these namespaces."""

    def look(world: World) -> Seen:
        there = [obj for obj in deployments(world, instance) if obj["metadata"]["namespace"].startswith(namespaces)]
        return Seen(not there, f"{len(there) or 'nothing'} left on {namespaces}*")

    return Fact("both", instance, f"nothing left on {namespaces}*", look)


def cleared(instance: str) -> Fact:
    """The daemon has committed the cleared stage, not before its time; and what followed was made after that."""

    def look(world: World) -> Seen:
        text = world.read("main", _file(instance)) or b""
        schedule = _SCHEDULE.search(text)
        message, at = world.commit("main")
        due = dt.datetime.fromisoformat(schedule[1].decode()).timestamp() if schedule else 0.0
        is_ours = "Reconciler-Edit: " in message and b"BLOCK" not in text and due > 0
        told = f"{world.tip('main')[:7]} {message.splitlines()[0]}"
        return Seen(is_ours and at >= due, "the daemon has cleared the stage in Git", (told,))

    return Fact("main", instance, "a commit of the daemon that clears the stage, not before its time", look)


BASE = ("stages/targets", "stages/solutions", "stages/gated", "stages/staged")

STAGES = (
    Act("13 targets, 3 solutions, 2 instances with stage: BLOCK", committed(paths=BASE), (blocked(GATED), blocked(STAGED))),
    Act("gated: stage BLOCK -> default", staged(GATED, "BLOCK", "default"), (runs("eu", GATED, "my-target", my_app=1),)),
    Act("staged: stage BLOCK -> ring0", staged(STAGED, "BLOCK", "ring0"), (runs("both", STAGED, "store-", my_app_v1=10),)),
    Act(
        "staged: stage ring0 -> ring1",
        staged(STAGED, "ring0", "ring1"),
        (left(STAGED, "store-"), runs("both", STAGED, "office-", my_app_v1=2)),
    ),
    Act(
        "canary: my-app-v1 on 30 %, my-app-v2 on 70 %",
        committed(paths=("stages/canary",)),
        (runs("both", CANARY, "store-", my_app_v1=3, my_app_v2=7),),
    ),
    Act(
        "canary: 50 % each",
        committed(*(replaced(_file(CANARY), f"weight: {old}", "weight: 50") for old in (30, 70)), paths=(_file(CANARY),)),
        (moved(CANARY, 2, of=10), runs("both", CANARY, "store-", my_app_v1=5, my_app_v2=5)),
    ),
    Act(
        "canary: stage canary -> default",
        staged(CANARY, "canary", "default"),
        (left(CANARY, "store-"), runs("eu", CANARY, "my-target", my_app=1)),
    ),
    Act(
        f"scheduled: stage BLOCK until {AHEAD_SECONDS} s from now",
        scheduled,
        (cleared(SCHEDULED), runs("eu", SCHEDULED, "my-target", my_app=1)),
    ),
)
