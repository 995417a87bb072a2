"""What Git says of staged instances, read without the family that plans them: what `stage_checks` compares with.

Law of the module: independent and simple on purpose. Nothing is shared with `reconciler.kinds.symphony`; it knows just so much of
Symphony as `stages` writes: names with a `*`, selectors of properties, whole weights, schedules in UTC, clusters named by bindings.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from reconciler.sim.truth import Known, Truth

Json = dict[str, Any]
Place = tuple[str, str]  # cluster, namespace
BLOCK, DEFAULT = "BLOCK", "default"


class Ring(NamedTuple):
    """One stage: versions with their weights, and whom it means."""

    stage: str
    shares: tuple[tuple[str, int], ...]
    choice: Json


class Due(NamedTuple):
    """A schedule that is armed: its value, and its instant."""

    text: str
    at: float


@dataclass(frozen=True)
class Stated:
    """One Instance as a tip has it."""

    name: str
    spec: Json
    notes: Json

    @property
    def stage(self) -> str:
        """As Git has it; the empty one is the default."""
        return self.spec.get("stage") or DEFAULT

    @cached_property
    def due(self) -> Due | None:
        """The schedule that ends the stage that it is in."""
        entry = self.spec if self.stage == BLOCK else next((s for s in self.spec.get("stages", ()) if s["name"] == self.stage), {})
        text = entry.get("schedule")
        if not text:
            return None
        at = dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        return Due(text, at)

    @property
    def is_known(self) -> bool:
        """Whether there is such a stage."""
        return self.stage in (BLOCK, DEFAULT) or any(entry["name"] == self.stage for entry in self.spec.get("stages", ()))

    @property
    def is_inactive(self) -> bool:
        """Whether nothing of it should stand."""
        return bool(self.spec.get("activeState") == "inactive")

    def rings(self, stage: str) -> list[Ring]:
        """What stands in a stage, the one that goes first where two mean one target."""
        spec = self.spec
        if stage == DEFAULT:
            return [Ring(DEFAULT, ((spec["solution"], 1),), spec["target"])]
        names = [entry["name"] for entry in spec.get("stages", ())]
        index = names.index(stage)
        found = []
        for entry in spec["stages"][index::-1]:
            versions = tuple((v["solution"], v["weight"]) for v in entry.get("versions", ()))
            alone = ((entry.get("solution", spec["solution"]), 1),)
            found.append(Ring(entry["name"], versions or alone, entry.get("target", spec["target"])))
        return found if self.notes.get("reconciler.dev/rings") == "cumulative" else found[:1]


@dataclass
class Fleet:
    """All that one tip says, objects by name. `unread` are files that stand as they last could be read."""

    clusters: tuple[str, ...]
    unread: tuple[str, ...] = ()
    instances: dict[str, Stated] = field(default_factory=dict)
    targets: dict[str, Json] = field(default_factory=dict)
    solutions: dict[str, Json] = field(default_factory=dict)

    @classmethod
    def of(cls, known: Known, clusters: tuple[str, ...]) -> Fleet:
        """What manifests say."""
        found = cls(clusters, known.unread)
        for manifest in known.manifests:
            spec, name = manifest.body()["spec"], manifest.name
            if manifest.kind == "Instance":
                found.instances[name] = Stated(name, spec, dict(manifest.annotations))
            elif manifest.kind == "Target":
                found.targets[name] = spec
            elif manifest.kind == "Solution":
                found.solutions[name] = spec
        return found

    def means(self, ring: Ring) -> list[str]:
        """The targets that a ring means."""
        name, selector = ring.choice.get("name", ""), ring.choice.get("selector")
        return [
            target
            for target, spec in sorted(self.targets.items())
            if (name and fnmatch.fnmatchcase(target, name))
            or (selector and all(spec["properties"].get(key) == value for key, value in selector.items()))
        ]

    def members(self, instance: Stated, stage: str) -> dict[str, Ring]:
        """Who stands in a stage, and by which ring."""
        found: dict[str, Ring] = {}
        for ring in instance.rings(stage):
            for target in self.means(ring):
                found.setdefault(target, ring)
        return found

    def is_open(self, target: str) -> bool:
        """Whether a slip in its file leaves open what a target is."""
        return "reconciliationPolicy" in self.targets.get(target, ())

    def place(self, target: str) -> Place | None:
        """Where a target's objects go; None where nobody knows."""
        if self.is_open(target):
            return None
        spec = self.targets[target]
        cluster = spec["topologies"][0]["bindings"][0]["config"]["cluster"]
        return (cluster, spec["solutionScope"]) if cluster in self.clusters else None

    def uncertain(self, members: Iterable[str]) -> dict[str, None]:
        """Members that no place is known for, or that share one."""
        places = {target: self.place(target) for target in members}
        shared = Counter(places.values())
        return {target: None for target, place in places.items() if place is None or shared[place] > 1}

    def objects(self, instance: str, solution: str, place: Place) -> dict[tuple[str, str, str, str], str]:
        """(cluster, namespace, kind, name) → what its content must say, for one solution on one target."""
        found = {}
        for part in self.solutions[solution]["components"]:
            if part["type"] == "container":
                found[*place, "Deployment", instance] = part["properties"]["container.image"]
            else:
                found[*place, "ConfigMap", part["name"]] = part["properties"]["v"]
        return found


@dataclass
class Fleets:
    """What each tip of a branch says."""

    truth: Truth
    clusters: tuple[str, ...]
    _known: dict[int, Fleet] = field(default_factory=dict)

    def at(self, tip: int) -> Fleet:
        """What one tip says."""
        if tip not in self._known:
            self._known[tip] = Fleet.of(self.truth.known[tip] if tip >= 0 else Known(), self.clusters)
        return self._known[tip]


def counts(shares: tuple[tuple[str, int], ...], targets: int) -> dict[str, int]:
    """How many targets each version comes to: largest remainder, ties to the one listed first."""
    total = sum(weight for _, weight in shares)
    found = {version: weight * targets // total for version, weight in shares}
    rest = sorted(shares, key=lambda share: -(share[1] * targets % total))
    for version, _ in rest[: targets - sum(found.values())]:
        found[version] += 1
    return found
