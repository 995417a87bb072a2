"""Random work in a random world, from one seed.

Law of the module: everything is drawn from the seed: how many clusters and daemons, what people commit and break and edit by hand and
when, which kinds of fault are armed and how often they strike. People do not wait for rest. In the end they mend what they broke,
and what must be so then is for the checks to say.
"""

from __future__ import annotations

import json
from typing import Any

from reconciler.core.approvals import BRANCH
from reconciler.kinds import KINDS
from reconciler.sim.cluster.settings import Settings as Behaviour
from reconciler.sim.daemon import Daemon
from reconciler.sim.faults import KINDS as FAULTS
from reconciler.sim.faults import Chance, Draw, Schedule, armed
from reconciler.sim.git import MAIN
from reconciler.sim.trial import Act, Outcome, Workload, run
from reconciler.sim.world import World
from tests.kinds import steps

from .workloads import CRD, MERGE, config_map, deployment, obj, secret

FOLDERS = ("apps/a", "apps/b", "shop", "clusters/us/c")
NAMESPACES = ("default", "shop")
RATE = 0.04


class People:
    """What people do, drawn one by one. `broken` are the files that somebody has to mend."""

    def __init__(self, draw: Draw, clusters: tuple[str, ...]) -> None:
        self.draw = draw
        self.clusters = clusters
        self.broken: dict[str, None] = {}
        self.count = 0
        self.weights: dict[str, float] = {name: draw.between(0.1, 1.0) for name in sorted(self.deeds) if draw.chance(0.75)}

    @property
    def deeds(self) -> dict[str, Act]:
        """Everything that somebody may do."""
        return {
            "write": self.write,
            "write many": self.write_many,
            "remove": self.remove,
            "break": self.smash,
            "mend": self.mend,
            "edit by hand": self.edit,
            "delete by hand": self.delete,
            "strip marks": self.strip,
            "go back": self.go_back,
            "rewrite": self.rewrite,
            "delete branch": self.delete_branch,
            "merge approval": self.merge,
            "lose cluster": self.lose,
            "jump clock": self.jump,
            "crash": self.crash,
            "compact": self.compact,
            "take lease": self.take_lease,
            "refuse pushes": self.refuse,
            "others push": self.others_push,
            "climb": self.climb,
            "foreign object": self.foreign,
            "stop the process": self.stop,
            "delete namespace": self.delete_namespace,
            "hold deletion": self.hold_deletion,
            "drop definition": self.drop_definition,
            "scale by hand": self.scale,
        }

    def act(self, world: World) -> None:
        """One of them."""
        total = sum(self.weights.values()) + 1.0
        at = self.draw.fraction() * total
        for name, weight in self.weights.items():
            at -= weight
            if at < 0:
                self.deeds[name](world)
                return
        self.write(world)

    # -- Git ----------

    def _files(self, world: World) -> list[str]:
        return [path for path in sorted(world.repo.tree() if MAIN in world.repo.refs else {}) if path.endswith(".yaml")]

    def _object(self, folder: str, number: int) -> tuple[str, str]:
        self.count += 1
        name = f"{folder.replace('/', '-')}-{number}"
        namespace = "shop" if folder == "shop" else "default"
        match self.draw.below(8):
            case 0:
                return f"{folder}/{number}.yaml", deployment(name, f"app:{self.count}", self.draw.below(3), namespace)
            case 1:
                return f"{folder}/{number}.yaml", secret(name, namespace)
            case 2:
                return f"{folder}/{number}.yaml", config_map(name, str(self.count), namespace, wave=str(self.draw.below(3)))
            case _:
                return f"{folder}/{number}.yaml", config_map(name, str(self.count), namespace)

    def _folder(self) -> str:
        return self.draw.one([f for f in FOLDERS if not f.startswith("clusters/") or f.split("/")[1] in self.clusters])

    def write(self, world: World) -> None:
        path, text = self._object(self._folder(), self.draw.below(6))
        world.commit({path: text}, hint=self.draw.chance(0.5))

    def write_many(self, world: World) -> None:
        folder = self._folder()
        files: dict[str, Any] = dict(self._object(folder, n) for n in range(self.draw.below(12) + 1))
        if folder == "shop":
            files["shop/ns.yaml"] = obj("v1", "Namespace", "shop")
        if self.draw.chance(0.2):
            files["apps/w/crd.yaml"], files["apps/w/w.yaml"] = CRD, obj("example.org/v1", "Widget", "w", "default", spec={"n": self.count})
        world.commit(files, hint=self.draw.chance(0.5))

    def remove(self, world: World) -> None:
        files = self._files(world)
        gone = {path: None for path in files if self.draw.chance(0.25)}
        if gone:
            world.commit(gone, hint=self.draw.chance(0.5))

    def smash(self, world: World) -> None:
        files = self._files(world)
        path = self.draw.one(files) if files and self.draw.chance(0.7) else f"{self._folder()}/new.yaml"
        self.broken[path] = None
        world.commit({path: self.draw.one(["a: [", "kind: ConfigMap\n", "- \x00", '{"apiVersion": "v1", "kind": "ConfigMap"}'])})

    def mend(self, world: World) -> None:
        mended = {}
        for path in self.broken:
            folder, _, name = path.rpartition("/")
            number = int(name.removesuffix(".yaml")) if name.removesuffix(".yaml").isdigit() else 7
            mended[path] = self._object(folder, number)[1] if name not in ("ns.yaml", "crd.yaml", "w.yaml", "steps.yaml") else ""
        fixed = {
            "ns.yaml": obj("v1", "Namespace", "shop"),
            "crd.yaml": CRD,
            "w.yaml": obj("example.org/v1", "Widget", "w", "default"),
            "steps.yaml": _steps(2),
        }
        mended = {path: text or fixed[path.rpartition("/")[2]] for path, text in mended.items()}
        self.broken.clear()
        if mended:
            world.commit(mended)

    def go_back(self, world: World) -> None:
        tip = world.repo.refs.get(MAIN)
        parent = world.repo.commits[tip][0].parent if tip else None
        if parent is not None:
            world.repo.move(MAIN, parent)

    def rewrite(self, world: World) -> None:
        tip = world.repo.refs.get(MAIN)
        parent = world.repo.commits[tip][0].parent if tip else None
        if parent is not None:
            path, text = self._object(self._folder(), self.draw.below(6))
            world.commit({path: text}, parent=parent, subject="written anew")

    def delete_branch(self, world: World) -> None:
        tip = world.repo.refs.get(MAIN)
        if tip is not None:
            world.repo.move(MAIN, None)
            world.after(self.draw.between(1.0, 90.0), lambda: None if MAIN in world.repo.refs else world.repo.move(MAIN, tip))

    def merge(self, world: World) -> None:
        if MAIN not in world.repo.refs:
            return
        for ref in sorted(ref for ref in world.repo.refs if ref.startswith(BRANCH)):
            world.repo.merge(ref)

    def climb(self, world: World) -> None:
        world.commit({"apps/r/steps.yaml": _steps(self.draw.below(3) + 1)})

    # -- clusters ----------

    def _ours(self, world: World) -> tuple[str, str, Any] | None:
        cluster = self.draw.one(self.clusters)
        namespace = self.draw.one(NAMESPACES)
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        _, body = world.call("GET", path, cluster=cluster)
        mine = [item for item in body.get("items", ()) if "reconciler.dev/managed-by" in item["metadata"].get("labels", {})]
        return (cluster, path, self.draw.one(mine)["metadata"]["name"]) if mine else None

    def edit(self, world: World) -> None:
        if found := self._ours(world):
            cluster, path, name = found
            world.call("PATCH", f"{path}/{name}", {"data": {"v": "by hand"}}, cluster, MERGE)

    def delete(self, world: World) -> None:
        if found := self._ours(world):
            cluster, path, name = found
            world.call("DELETE", f"{path}/{name}", cluster=cluster)

    def strip(self, world: World) -> None:
        if found := self._ours(world):
            cluster, path, name = found
            taken: Any = {"metadata": {"labels": {"reconciler.dev/managed-by": None}}}
            if self.draw.chance(0.5):
                taken["metadata"]["annotations"] = {"reconciler.dev/owner": None}
            world.call("PATCH", f"{path}/{name}", taken, cluster, MERGE)

    def foreign(self, world: World) -> None:
        body = json.loads(config_map(f"apps-a-{self.draw.below(6)}", "foreign"))
        world.call("POST", "/api/v1/namespaces/default/configmaps", body)

    def delete_namespace(self, world: World) -> None:
        world.call("DELETE", "/api/v1/namespaces/shop")

    def hold_deletion(self, world: World) -> None:
        """A finalizer that somebody takes off only later, and then by hand."""
        if found := self._ours(world):
            cluster, path, name = found
            at = f"{path}/{name}"
            world.call("PATCH", at, {"metadata": {"finalizers": ["example.org/slow"]}}, cluster, MERGE)
            off = self.draw.between(5.0, 300.0)
            world.network.later(off, lambda: world.call("PATCH", at, {"metadata": {"finalizers": None}}, cluster, MERGE))

    def drop_definition(self, world: World) -> None:
        world.call("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.org")

    def scale(self, world: World) -> None:
        path = "/apis/apps/v1/namespaces/default/deployments"
        _, body = world.call("GET", path)
        for item in body.get("items", ())[:1]:
            world.call("PATCH", f"{path}/{item['metadata']['name']}/scale", {"spec": {"replicas": 4}}, content=MERGE)

    def lose(self, world: World) -> None:
        world.network.cut_off(self.draw.one(self.clusters), self.draw.between(1.0, 200.0))

    def compact(self, world: World) -> None:
        store = world.clusters[self.draw.one(self.clusters)].store
        store.compact(store.version)

    # -- the daemons' own ----------

    def _daemon(self, world: World) -> Daemon | None:
        return self.draw.one(world.daemons) if world.daemons else None

    def crash(self, world: World) -> None:
        if daemon := self._daemon(world):
            world.crash(daemon, self.draw.between(0.0, 90.0))

    def stop(self, world: World) -> None:
        if daemon := self._daemon(world):
            world.stop(daemon, self.draw.between(5.0, 120.0))

    def jump(self, world: World) -> None:
        world.wall_offset += self.draw.between(-7200.0, 7200.0)

    def take_lease(self, world: World) -> None:
        path = "/apis/coordination.k8s.io/v1/namespaces/reconciler-system/leases/reconciler"
        world.call("DELETE", path) if self.draw.chance(0.5) else world.call(
            "PATCH", path, {"spec": {"holderIdentity": "a person"}}, content=MERGE
        )

    def refuse(self, world: World) -> None:
        ref = "refs/heads/reconciler-status"
        world.repo.refused[ref] = "protected"
        world.after(self.draw.between(10.0, 300.0), lambda: world.repo.refused.pop(ref, None))

    def others_push(self, world: World) -> None:
        if "refs/heads/reconciler-status" in world.repo.refs:
            world.repo.commit({"notes.txt": f"mine {self.count} {world.steady}"}, "refs/heads/reconciler-status")

    def tidy_up(self, world: World) -> None:
        """At the end somebody looks after what was left."""
        if MAIN not in world.repo.refs:
            last = [moved.commit for moved in world.repo.reflog if moved.ref == MAIN and moved.commit is not None]
            if last:
                world.repo.move(MAIN, last[-1])
        self.mend(world)
        for name in range(6):
            path = f"/api/v1/namespaces/default/configmaps/apps-a-{name}"
            status, body = world.call("GET", path)
            if status == 200 and "reconciler.dev/owner" not in (body["metadata"].get("annotations") or {}):
                world.call("DELETE", path)  # what is not ours, under a name of ours


def _steps(count: int) -> str:
    spec = {"values": ["a", "b", "c"][:count], "restSeconds": 5, "approve": ["c"]}
    return obj("test.reconciler.dev/v1", "Steps", "demo", "default", spec=spec)


def workload(seed: int) -> Workload:
    """The world and the work of a seed."""
    draw = Draw(f"swarm {seed}")
    clusters = ("eu", "us") if draw.chance(0.5) else ("eu",)
    people = People(draw, clusters)
    first: dict[str, Any] = {"shop/ns.yaml": obj("v1", "Namespace", "shop"), "keep/k.yaml": config_map("k")}
    acts: list[Act] = [lambda world: world.commit(first)]
    acts += [people.act] * (draw.below(25) + 5)
    acts.append(people.tidy_up)
    mood = draw.between(0.1, 60.0)
    return Workload(
        f"swarm {seed}",
        tuple(acts),
        clusters=clusters,
        kinds=(*KINDS, steps.KIND),
        daemons=2 if draw.chance(0.3) else 1,
        status_branch=draw.chance(0.6),
        pause_seconds=lambda world: draw.between(0.0, mood),
        behaviour=Behaviour(pod_start_seconds=draw.between(0.1, 20.0)),
    )


def chance(seed: int) -> Chance:
    """The faults of a seed."""
    draw = Draw(f"faults {seed}")
    return Chance(draw, armed(draw, FAULTS, RATE * draw.between(0.0, 1.0)))


def swarm(seed: int, schedule: Schedule | None = None) -> tuple[Outcome, Chance | None]:
    """One seed; with a schedule of its own instead of the one that is drawn."""
    drawn = chance(seed) if schedule is None else None
    chosen = schedule if schedule is not None else drawn
    assert chosen is not None
    return run(workload(seed), seed, chosen, jitter=True), drawn
