"""Cases in YAML: what people commit, step by step, and what an instance comes to after each.

A case is a list of `steps` (or is one itself), begun from one of the `fleets.yaml`. `given` says what changes, all else stays as it was:

* `instance`: its spec, key by key (null takes a key out); null for the whole: its file is deleted. `notes`: its annotations, below
  reconciler.dev/. `files`: other files as text. `solutions`: name → image, spec, or null for none. `targets`: name → `ring` (its property
  `label`), `cluster` (eu), `shop` (its solutionScope, shop-<name>), `namespace`, `notes`, and anything of a spec; null for none.
* `clusters` that are configured ([eu, us]; the first is the default), `commits` (direct), `now` (0), `well` (true): whether what is wanted
  is applied and healthy; `edits`: key → what has become of it; `secrets`: cluster/namespace/name → data, null while nobody knows;
  `owned`: what else is owned, group/kind/namespace/name by cluster.
* `record`: what is stored; `held`: why the instance's file cannot be read now; `restart`: nothing is wanted by anybody any more.

`plan` says what comes of it once nothing moves by itself: `lanes` (cluster/target → images, or why it is held), `objects` (the same, in
full), `left`, `record`, `status`, `problems`, `edits`, `due_at`, `wake_at`, `prune`. What is not named must be empty, but for `objects`,
`record`, `status`; `prune` is true.
"""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from reconciler import schemas
from reconciler.core.discovery import Resource
from reconciler.core.health import Health
from reconciler.core.identity import BlobId, ClusterName, CommitId, GroupKind, Instant, Lane, ObjectId, ObjectRef, SourceName, UnitKey
from reconciler.core.kind import Edit, Gate, Held, Plan, Spec, Status, Wanted
from reconciler.core.manifest import Checks, Manifest, ManifestFile, parse
from reconciler.core.messages import Chart, ChartFailure, ChartObjects, Commit
from reconciler.core.observed import Live
from reconciler.core.problem import Problem
from reconciler.core.settings import Commits
from reconciler.core.types import Types
from reconciler.core.units import lane_of_path
from reconciler.core.view import Approved, Lanes, NotYet, Question, View, ask_again
from reconciler.kinds.symphony import SYMPHONY

Json = dict[str, Any]

FOLDER = Path(__file__).parent / "cases" / "plan"
FLEETS: Json = yaml.safe_load((FOLDER.parent / "fleets.yaml").read_text(encoding="utf-8"))
PLANS = 8
"""After so many plans in a row an instance never rests."""

KEYS = {
    "Instance": UnitKey(SourceName("fleet"), "solution.symphony", "Instance", "", "my-instance"),
    "Target": UnitKey(SourceName("fleet"), "fabric.symphony", "Target", "", "edge"),
}


def cases(folder: Path = FOLDER) -> list[Json]:
    """All cases of a folder, each with the name of its file."""
    files = sorted(folder.glob("*.yaml"))
    loaded = [(file, case) for file in files for case in yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader) if case]
    return [{**case, "of": file.stem} for file, case in loaded]


@cache
def checks() -> Checks:
    return Checks.of(schemas.of_manifests(), types())


@cache
def types() -> Types:
    return Types.read(schemas.of_kubernetes())


@cache
def read(path: str, text: str) -> ManifestFile:
    """A file, the same value for the same text: what a commit does not touch stays what it was."""
    return parse(text.encode(), path, BlobId(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()), checks())


class Told:
    """`view.World`, as a case tells it. What is well is well only where exactly that is wanted, as the view's law has it."""

    def __init__(self) -> None:
        self.state: Json = {"clusters": ["eu", "us"], "commits": "direct", "well": True, "edits": {}, "secrets": {}, "owned": {}}
        self.state["charts"] = {}  # address -> versions that are there; None: not known yet
        self.files: dict[str, str] = {}
        self.wanted: dict[Lane, tuple[Wanted, ...]] = {}
        self.commit = 0
        self.changed_at: dict[str, int] = {}

    def manifests(self) -> Iterator[Manifest]:
        for path in sorted(self.files):
            yield from read(path, self.files[path]).manifests

    def put(self, path: str, text: str | None) -> None:
        if text == self.files.get(path):
            return
        self.changed_at[path] = self.commit
        if text is None:
            del self.files[path]
        else:
            self.files[path] = text

    # -- view.World ----------

    def manifests_of(self, unit: UnitKey, kind: GroupKind) -> tuple[Manifest, ...]:
        return tuple(m for m in self.manifests() if (m.group, m.kind) == kind)

    def named_of(self, unit: UnitKey, kind: GroupKind, namespace: str, name: str) -> tuple[Manifest, ...]:
        return tuple(m for m in self.manifests_of(unit, kind) if (m.namespace, m.name) == (namespace, name))

    def changed_of(self, unit: UnitKey, manifest: Manifest) -> Commit | None:
        return Commit(commit_id(self.changed_at[manifest.path]), None, "A", "a@example.org", 0.0, "change")

    def lane_of(self, manifest: Manifest) -> Lane | str | None:
        clusters = self.state["clusters"]
        return lane_of_path(manifest.path, dict.fromkeys(clusters), clusters[0] if self.state.get("default", True) else None)

    @property
    def cluster_names(self) -> tuple[ClusterName, ...]:
        return tuple(self.state["clusters"])

    @property
    def types(self) -> Types:
        return types()

    def content_of(self, unit: UnitKey, path: str) -> bytes | None:
        return self.files[path].encode() if path in self.files else None

    def well_of(self, unit: UnitKey, lanes: Lanes) -> bool:
        return self.state["well"] and all(self.wanted.get(lane) == wanted for lane, wanted in lanes)

    def edit_of(self, unit: UnitKey, key: str) -> str:
        return str(self.state["edits"].get(key, ""))

    def commits_of(self, unit: UnitKey) -> Commits:
        commits: Commits = self.state["commits"]
        return commits

    def live_of(self, ref: ObjectRef) -> Live | None:
        secrets = self.state["secrets"]
        if secrets is None:
            raise NotYet
        data = secrets.get(f"{ref.cluster}/{ref.id.namespace}/{ref.id.name}")
        if data is None:
            return None
        coded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        version = hashlib.sha256(repr(data).encode()).hexdigest()[:8]
        metadata = {"name": ref.id.name, "namespace": ref.id.namespace, "uid": "1", "resourceVersion": version}
        return Live(Resource("", "v1", "Secret", "secrets", True), msgspec.json.encode({"metadata": metadata, "data": coded}))

    has_helm = True
    urls: tuple[str, ...] = ("https://charts.example.org",)

    def chart_of(self, chart: Chart) -> ChartObjects | ChartFailure:
        charts: Json | None = self.state["charts"]
        if charts is None:
            raise NotYet
        versions = charts.get(chart.name)
        if versions is None:
            return ChartFailure(f"there is no chart {chart.name}")
        version = chart.version if chart.version in versions else versions[-1]
        labels = {"app": chart.release}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": f"{chart.release}:{version}"}]}}
        spec = {"selector": {"matchLabels": labels}, "template": pod}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": chart.release}, "spec": spec}
        return ChartObjects(version, msgspec.json.encode([body]))

    def forget(self, question: Question) -> None:
        raise AssertionError("no kind asks this")

    def health_of(self, unit: UnitKey, lane: Lane, wanted: Wanted) -> Health:
        raise AssertionError("Symphony does not ask this")

    def owned_by(self, unit: UnitKey, cluster: ClusterName) -> tuple[ObjectRef, ...]:
        ours = [ObjectRef(cluster, want.id) for lane, wants in self.wanted.items() if lane.cluster == cluster for want in wants]
        more = [ObjectRef(cluster, ObjectId(*text.split("/"))) for text in self.state["owned"].get(cluster, ())]
        return (*ours, *more)

    def status_of(self, unit: UnitKey) -> Status | None:
        raise AssertionError("Symphony does not ask this")

    def approval_of(self, unit: UnitKey, gate: Gate) -> Approved | None:
        raise AssertionError("Symphony does not ask this")

    def wanted_of(self, unit: UnitKey, manifests: tuple[Manifest, ...]) -> tuple[tuple[Wanted, ...], tuple[Problem, ...]]:
        raise AssertionError("Symphony does not ask this")


def commit_id(number: int) -> CommitId:
    """The commit of a step: its number, seven times and more."""
    return CommitId(str(number) * 40)


class Fleet:
    """A repository, the clusters, and one unit that is planned; what a crash leaves is `record`."""

    def __init__(self, kind: str = "Instance") -> None:
        self.key = KEYS[kind]
        self.told = Told()
        self.instance: Json | None = None
        self.notes: Json = {}
        self.record: Json | None = None
        self.held: Held | None = None
        self.now = 0.0
        self.plans = 0
        self.stored = 0

    # -- what is given ----------

    def given(self, given: Json) -> None:
        """One commit, and whatever else has happened since."""
        given = dict(given)
        self.told.commit += 1
        self.now = float(given.pop("now", self.now))
        self.record = given.pop("record", self.record)
        held = given.pop("held", None)
        self.held = Held(held) if held else None
        if given.pop("restart", False):
            self.told.wanted = {}
        self.notes |= given.pop("notes", {})
        if "instance" in given:
            self._instance(given.pop("instance"))
        elif self.instance is not None:
            self._instance({})
        for name, solution in given.pop("solutions", {}).items():
            self.told.put(f"solutions/{name}.yaml", solution_text(name, solution) if solution is not None else None)
        for name, target in given.pop("targets", {}).items():
            self.told.put(f"targets/{name}.yaml", target_text(name, target) if target is not None else None)
        for path, text in given.pop("files", {}).items():
            self.told.put(path, text)
        unknown = [key for key in given if key not in ("clusters", "default", "commits", "well", "edits", "secrets", "owned", "charts")]
        assert not unknown, unknown
        self.told.state |= given

    def _instance(self, change: Json | None) -> None:
        if change is None:
            self.instance = None
            self.told.put("i.yaml", None)
            return
        spec = {**(self.instance or {}), **change}
        self.instance = {key: value for key, value in spec.items() if value is not None}
        self.told.put("i.yaml", instance_text(self.instance, self.notes))

    # -- what comes of it ----------

    def spec(self) -> Spec:
        found = [m for m in self.told.manifests() if (m.group, m.kind, m.namespace, m.name) == self.key[1:]]
        held = self.held
        if len(found) > 1:
            held = Held(f"{self.key} is written twice, also at {found[1].place()}", found[0].place())
        record = copy.deepcopy(self.record)
        return Spec(self.key, tuple(found[:1]), record, commit_id(self.told.commit), Lane(ClusterName("eu")), held)

    def once(self) -> tuple[Plan, View]:
        """One plan, made twice: the same comes of it."""
        instant = Instant(1_900_000_000 + self.now, 1_900_000_000 + self.now)
        view = View(self.told, self.key)
        plan = SYMPHONY.plan(self.spec(), view, instant)
        again = SYMPHONY.plan(self.spec(), View(self.told, self.key), instant)
        assert told(again) == told(plan) and again.record == plan.record
        clusters = self.told.cluster_names
        assert all(lane.cluster in clusters for lane in plan.wanted), "the engine holds a unit that wants something nowhere"
        self.plans += 1
        return plan, view

    def settle(self) -> Plan:
        """Plan until nothing moves by itself: what changes the record is stored first, and only what leaves it as it is is acted on."""
        for _ in range(PLANS):
            plan, view = self.once()
            if plan.record != self.record:
                self.record = msgspec.json.decode(msgspec.json.encode(plan.record))
                self.stored += 1
                continue
            for lane in [lane for lane in self.told.wanted if lane not in plan.wanted]:
                del self.told.wanted[lane]
            self.told.wanted.update((lane, wanted) for lane, wanted in plan.wanted.items() if not isinstance(wanted, Held))
            if all(ask_again(self.told, self.key, question) == answer for question, answer in view.asked.items()):
                return plan
        raise AssertionError(f"planned {PLANS} times, and never at rest")


# -- what people write ----------


def instance_text(spec: Json, notes: Json) -> str:
    metadata: Json = {"name": "my-instance"}
    if notes:
        metadata["annotations"] = {f"reconciler.dev/{key}": value for key, value in notes.items() if value is not None}
    return _dump({"apiVersion": "solution.symphony/v1", "kind": "Instance", "metadata": metadata, "spec": spec})


def solution_text(name: str, solution: str | Json) -> str:
    if isinstance(solution, str):
        solution = {"components": [{"name": "web", "type": "container", "properties": {"container.image": solution}}]}
    return _dump({"apiVersion": "solution.symphony/v1", "kind": "Solution", "metadata": {"name": name}, "spec": solution})


def target_text(name: str, target: Json) -> str:
    spec = {**target}
    ring, cluster, shop = spec.pop("ring", ""), spec.pop("cluster", "eu"), spec.pop("shop", f"shop-{name}")
    metadata: Json = {"name": name, **({"namespace": spec.pop("namespace")} if "namespace" in spec else {})}
    if "notes" in spec:
        metadata["annotations"] = {f"reconciler.dev/{key}": value for key, value in spec.pop("notes").items()}
    binding = {"role": "instance", "provider": "providers.target.k8s", **({"config": {"cluster": cluster}} if cluster else {})}
    usual = {"solutionScope": shop, "properties": {"label": ring} if ring else None, "topologies": [{"bindings": [binding]}]}
    spec = {key: value for key, value in {**usual, **spec}.items() if value}
    return _dump({"apiVersion": "fabric.symphony/v1", "kind": "Target", "metadata": metadata, "spec": spec})


def _dump(body: Json) -> str:
    return str(yaml.dump(body, Dumper=yaml.CSafeDumper, sort_keys=False, width=200))


# -- what is told ----------


def told(plan: Plan) -> Json:
    """A plan as cases write it."""
    found: Json = {
        "lanes": {str(lane): _lane(wanted) for lane, wanted in plan.wanted.items()},
        "objects": {str(lane): _objects(wanted) for lane, wanted in plan.wanted.items() if not isinstance(wanted, Held)},
        "left": {f"{cluster}/{namespace}": why for (cluster, namespace), why in plan.left.items()},
        "status": f"{plan.status.state}: {plan.status.message}" if plan.status else None,
        "waits_for": plan.status.waits_for if plan.status else "",
        "problems": [f"{'warning ' if p.severity == 'warning' else ''}{p}" for p in plan.problems],
        "edits": [_edit(edit) for edit in plan.edits],
        "due_at": plan.due_at - 1_900_000_000 if plan.due_at is not None else None,
        "wake_at": plan.wake_at - 1_900_000_000 if plan.wake_at is not None else None,
        "prune": plan.prune,
        "record": plan.record,
    }
    assert not plan.leaving and not plan.keep and not plan.gates and not plan.retreat
    return found


USUAL: Json = {"lanes": {}, "left": {}, "problems": [], "edits": [], "due_at": None, "wake_at": None, "prune": True}


def expected(plan: Json, found: Json) -> Json:
    """What a case says a plan is, with what it leaves out."""
    return {**{key: value for key, value in found.items() if key not in USUAL}, **USUAL, **plan}


def _lane(wanted: tuple[Wanted, ...] | Held) -> str:
    if isinstance(wanted, Held):
        return f"{'paused' if wanted.paused else 'held'}: {wanted}"
    return ", ".join(dict.fromkeys(_short(want) for want in wanted if want.id.kind != "Namespace"))


def _short(want: Wanted) -> str:
    body = msgspec.json.decode(want.json)
    hidden = " (secret)" if want.secret else ""
    wave = f" @{want.wave}" if want.wave else ""
    if want.id.kind != "Deployment":
        return f"{want.id.kind}/{want.id.name}{wave}{hidden}"
    return "+".join(container["image"] for container in body["spec"]["template"]["spec"]["containers"]) + wave + hidden


def _objects(wanted: tuple[Wanted, ...] | Held) -> list[str]:
    assert not isinstance(wanted, Held)
    return [f"{want.id}{f' @{want.wave}' if want.wave else ''}" for want in wanted]


def _edit(edit: Edit) -> Json:
    at = ".".join(map(str, edit.pointer))
    return {"key": edit.key, at: edit.value, "subject": edit.subject, "since": edit.since[:1]} | ({"offer": True} if edit.offer else {})


def lanes_of(plan: Plan) -> dict[str, str]:
    """The lanes of a plan alone."""
    lanes: dict[str, str] = told(replace(plan))["lanes"]
    return lanes
