"""What people do, for the sweep of single faults: each a few steps, the next when the one before has come to rest.

Law of the module: no two steps overlap and nothing is at random, so that a run with one fault has an equal without it.
"""

from __future__ import annotations

import json
from typing import Any

from reconciler.core.approvals import BRANCH
from reconciler.core.edits import BRANCH as EDITS
from reconciler.kinds import KINDS
from reconciler.sim.checks import CANARY
from reconciler.sim.git import MAIN
from reconciler.sim.trial import Act, Workload
from reconciler.sim.world import START, World
from tests.kinds import steps, switches

from .fleet import at, instance, solution, target
from .stage_checks import StageChecks

Json = dict[str, Any]
MERGE = "application/merge-patch+json"


def obj(api: str, kind: str, name: str, namespace: str = "", notes: Json | None = None, **body: Any) -> str:
    """Any object as a file; `notes` are annotations."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **({"annotations": notes} if notes else {})}
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": metadata, **body})


def config_map(name: str, value: str = "1", namespace: str = "default", **notes: str) -> str:
    """A ConfigMap; `notes` are annotations below reconciler.dev/."""
    return obj("v1", "ConfigMap", name, namespace, {f"reconciler.dev/{k}": v for k, v in notes.items()}, data={"v": value})


def deployment(name: str, image: str, replicas: int = 1, namespace: str = "default", **notes: str) -> str:
    """A Deployment of one container."""
    labels = {"app": name}
    return obj(
        "apps/v1",
        "Deployment",
        name,
        namespace,
        {f"reconciler.dev/{k}": v for k, v in notes.items()},
        spec={
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}},
        },
    )


def secret(name: str, namespace: str = "default") -> str:
    """A Secret whose value nobody may see."""
    return obj("v1", "Secret", name, namespace, stringData={"password": CANARY})


def fixed(value: str) -> str:
    """A ConfigMap that can only be deleted and made anew."""
    return obj("v1", "ConfigMap", "fixed", "default", {"reconciler.dev/recreate": "allowed"}, immutable=True, data={"v": value})


CRD = obj(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "widgets.example.org",
    spec={
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
)


def commits(files: dict[str, str | None], hint: bool = True) -> Act:
    """Somebody commits."""
    return lambda world: world.commit(files, hint=hint)


def patches(path: str, body: Json, cluster: str = "") -> Act:
    """Somebody edits by hand."""
    return lambda world: world.call("PATCH", path, body, cluster, MERGE)


def deletes(path: str, cluster: str = "") -> Act:
    """Somebody deletes by hand."""
    return lambda world: world.call("DELETE", path, cluster=cluster)


def waits(seconds: float) -> Act:
    """Nobody does anything for so long."""
    return lambda world: world.run(seconds)


def merges_what_is_offered(world: World, folder: str = BRANCH) -> None:
    """Somebody merges every approval (or edit) that is offered, once there is one."""
    world.wait(lambda: any(ref.startswith(folder) for ref in world.repo.refs), 900.0)
    for ref in sorted(ref for ref in world.repo.refs if ref.startswith(folder)):
        world.repo.merge(ref)
    world.hint()


def merges_the_edit(world: World) -> None:
    """Somebody merges the one edit that is offered."""
    merges_what_is_offered(world, EDITS)


def switch(name: str, stage: str = "a") -> str:
    """A switch that is to become b (tests/kinds/switches.py)."""
    return obj("test.reconciler.dev/v1", "Switch", name, "default", spec={"stage": stage, "then": "b"})


def fleet(stage: str, **more: Any) -> dict[str, str | None]:
    """An instance, its solutions and four targets, with as little to do as can be."""
    files: dict[str, str | None] = {f"f/v{n}.yaml": solution(f"shop-v{n}", 1, 1) for n in range(3)}
    files |= {f"f/t{n}.yaml": target(f"t{n}", "eu", f"ring{n % 2}") for n in range(1, 5)}
    return files | {"f/shop.yaml": instance("shop", stage, **more)}


def stage(stage: str, **more: Any) -> Act:
    """Somebody changes the instance of a `fleet`."""
    return commits({"f/shop.yaml": instance("shop", stage, **more)})


def writes_the_status_branch(world: World) -> None:
    """Somebody else commits on our branch."""
    world.repo.commit({"notes.txt": f"mine {world.steady}"}, "refs/heads/reconciler-status")


def forces_back(steps_back: int) -> Act:
    """Somebody moves the branch to an earlier commit."""

    def act(world: World) -> None:
        at = world.repo.refs[MAIN]
        for _ in range(steps_back):
            parent = world.repo.commits[at][0].parent
            assert parent is not None
            at = parent
        world.repo.move(MAIN, at)
        world.hint()

    return act


def loses(cluster: str, seconds: float) -> Act:
    """A cluster cannot be reached for so long."""
    return lambda world: world.network.cut_off(cluster, seconds)


MAPS = "/api/v1/namespaces/default/configmaps"
TWELVE: dict[str, str | None] = {f"app/{n:02}.yaml": config_map(f"c{n:02}") for n in range(12)}
SHOP: dict[str, str | None] = {
    "shop/ns.yaml": obj("v1", "Namespace", "shop"),
    "shop/sa.yaml": obj("v1", "ServiceAccount", "web", "shop"),
    "shop/cm.yaml": config_map("settings", namespace="shop"),
    "shop/secret.yaml": secret("login", "shop"),
    "shop/web.yaml": deployment("web", "web:1", 2, "shop"),
    "shop/svc.yaml": obj("v1", "Service", "web", "shop", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]}),
}

WORKLOADS = (
    Workload("first install", (commits(SHOP),)),
    Workload("update", (commits(SHOP), commits({"shop/web.yaml": deployment("web", "web:2", 2, "shop")}))),
    Workload("prune", (commits(TWELVE), commits({"app/03.yaml": None, "app/04.yaml": None}))),
    Workload("definition, then object", (commits({"w/w.yaml": obj("example.org/v1", "Widget", "w", "default"), "w/crd.yaml": CRD}),)),
    Workload(
        "waves",
        (
            commits(
                {
                    "x/a.yaml": deployment("first", "a:1", wave="-1"),
                    "x/b.yaml": config_map("second"),
                    "x/c.yaml": deployment("third", "c:1", wave="2"),
                }
            ),
        ),
    ),
    Workload(
        "drift",
        (
            commits({"d/a.yaml": config_map("a"), "d/b.yaml": deployment("b", "b:1")}),
            patches(f"{MAPS}/a", {"data": {"v": "by hand", "more": "mine"}}),
            deletes(f"{MAPS}/a"),
            patches("/apis/apps/v1/namespaces/default/deployments/b", {"spec": {"replicas": 3}}),
        ),
    ),
    Workload(
        "force-push",
        (
            commits({"f/a.yaml": config_map("a", "1"), "f/b.yaml": config_map("b")}),
            commits({"f/a.yaml": config_map("a", "2"), "f/c.yaml": config_map("c")}),
            forces_back(1),
            waits(120),
        ),
    ),
    Workload(
        "held, then approved mass deletion",
        (commits(TWELVE), commits({f"app/{n:02}.yaml": None for n in range(6)}), merges_what_is_offered),
        status_branch=True,
    ),
    Workload(
        "status conflict",
        (commits({"s/a.yaml": config_map("a")}), writes_the_status_branch, commits({"s/a.yaml": config_map("a", "2")})),
        status_branch=True,
    ),
    Workload(
        "record, then act",
        (
            commits(
                {
                    "r/steps.yaml": obj(
                        "test.reconciler.dev/v1",
                        "Steps",
                        "demo",
                        "default",
                        spec={"values": ["a", "b", "c"], "restSeconds": 5, "approve": ["c"]},
                    )
                }
            ),
            merges_what_is_offered,
        ),
        kinds=(*KINDS, steps.KIND),
        status_branch=True,
    ),
    Workload(
        "edits, and a person who goes back",
        (commits({"s/back.yaml": switch("back"), "s/on.yaml": switch("on")}), waits(5), commits({"s/back.yaml": switch("back")})),
        kinds=(*KINDS, switches.KIND),
        commits="direct",
    ),
    Workload(
        "an edit, offered and merged",
        (commits({"s/on.yaml": switch("on")}), merges_the_edit, waits(5), commits({"s/on.yaml": switch("on"), "x.yaml": config_map("x")})),
        kinds=(*KINDS, switches.KIND),
        status_branch=True,
    ),
    Workload(
        "rings, cleared by a schedule in the record",
        (commits(fleet("ring0")), stage("BLOCK", schedule=at(START - 60)), stage("ring1"), stage("BLOCK", schedule=at(START - 60))),
        commits="record",
        extra_checks=(StageChecks,),
    ),
    Workload(
        "canary weights",
        (commits(fleet("canary", weights=(50, 50))), stage("canary", weights=(25, 75)), stage("default")),
        extra_checks=(StageChecks,),
    ),
    Workload(
        "a schedule that commits, and a person who blocks again",
        (commits(fleet("BLOCK", schedule=at(START + 100))), waits(200), stage("BLOCK", schedule=at(START + 100))),
        commits="direct",
        extra_checks=(StageChecks,),
    ),
    Workload(
        "cluster lost and back",
        (
            commits({"a.yaml": config_map("a"), "clusters/us/b.yaml": config_map("b")}),
            loses("us", 90),
            commits({"a.yaml": config_map("a", "2"), "clusters/us/b.yaml": config_map("b", "2")}),
            waits(100),
        ),
        clusters=("eu", "us"),
    ),
    Workload(
        "home lost and back",
        (
            commits({"a.yaml": config_map("a"), "clusters/us/b.yaml": config_map("b")}),
            loses("eu", 90),
            commits({"a.yaml": config_map("a", "2"), "clusters/us/b.yaml": config_map("b", "2")}),
            waits(100),
        ),
        clusters=("eu", "us"),
    ),
    Workload("two daemons", (commits(TWELVE), commits({"app/01.yaml": config_map("c01", "2"), "app/02.yaml": None})), daemons=2),
    Workload(
        "broken, then mended",
        (
            commits({"b/a.yaml": config_map("a"), "b/b.yaml": config_map("b"), "ok/c.yaml": config_map("c")}),
            commits({"b/a.yaml": "a: [", "b/b.yaml": None, "ok/c.yaml": config_map("c", "2")}),
            commits({"b/a.yaml": config_map("a", "3")}),
        ),
    ),
    Workload(
        "moved to another folder and another cluster",
        (
            commits({"m/a.yaml": config_map("a"), "m/b.yaml": config_map("b"), "n/c.yaml": config_map("c")}),
            commits({"m/a.yaml": None, "n/a.yaml": config_map("a"), "m/b.yaml": None, "clusters/us/n/b.yaml": config_map("b")}),
        ),
        clusters=("eu", "us"),
    ),
    Workload(
        "recreated and adopted",
        (
            lambda world: world.call("POST", MAPS, json.loads(config_map("old", "foreign"))),
            commits({"i/fixed.yaml": fixed("1")}),
            commits({"i/old.yaml": config_map("old", "2", adopt="allowed")}),
            commits({"i/fixed.yaml": fixed("2")}),
        ),
    ),
)
