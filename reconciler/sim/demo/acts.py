"""The story: what a person does, one commit after another, and what has to follow.

Law of the module: an act changes files of the clone (or a cluster, by hand) as a person would; a fact is a look at the world and never
a memory of what was done. Numbers and names are those of the example repository.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .telling import Act, Do, Fact, Seen
from .world import Trouble, World

SHOP, NEWS, US, MANY = "apps/shop", "apps/news", "clusters/us/shop", "clusters/lab/many"
APPROVAL = "prune-lab-clusters-lab-many"
BRANCH = f"reconciler/approve/{APPROVAL}"
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/shop"

Json = dict[str, Any]
Edit = Callable[[World], None]


# -- what a person does ----------


def committed(*edits: Edit, paths: tuple[str, ...] = ()) -> Do:
    """Edits, committed under the act's title, and pushed; of these paths alone, where some are given."""

    async def do(world: World, title: str) -> str:
        for edit in edits:
            edit(world)
        return await world.push(title, *paths)

    return do


def replaced(path: str, old: str, new: str) -> Edit:
    """An edit of one file."""

    def edit(world: World) -> None:
        file = world.clone / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    return edit


def removed(*paths: str) -> Edit:
    """Files taken away."""

    def edit(world: World) -> None:
        for path in paths:
            (world.clone / path).unlink()

    return edit


async def scaled(world: World, _title: str) -> str:
    """What `kubectl scale --replicas=9` sends."""
    answer = await world.by_hand("eu", f"{DEPLOYMENT}/scale", {"spec": {"replicas": 9}})
    if answer["spec"]["replicas"] != 9:
        raise Trouble(f"{DEPLOYMENT}/scale on eu: 9 replicas were asked for, it answers {answer['spec']}")
    return "by hand:"


async def merged(world: World, title: str) -> str:
    """Merge the branch that offers the approval, as a pull request would."""
    await world.git("fetch", "--quiet", "origin")
    await world.git("merge", "--quiet", "--no-ff", "-m", title, f"origin/{BRANCH}")
    await world.git("push", "--quiet", "origin", "HEAD")
    return world.tip("main")[:7]


# -- what has to follow ----------


def pods(world: World, cluster: str, image: str) -> tuple[bool, str]:
    """Whether three pods of the shop run an image, and no other pod does."""
    found = world.get(cluster, "/api/v1/namespaces/shop/pods").get("items", [])
    ready = [pod for pod in found if _is_ready(pod) and pod["spec"]["containers"][0]["image"].endswith(image)]
    return len(ready) == len(found) == 3, f"{len(ready)}/3 pods run {image}"


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def changed(world: World, cluster: str, unit: str) -> int:
    """How many objects of a folder carry the newest commit: what it changed."""
    tip = world.tip("main")
    return sum(obj["metadata"]["annotations"].get("reconciler.dev/commit") == tip for obj in world.owned(cluster, unit))


def is_healthy(world: World, unit: str) -> bool:
    """Whether the status branch calls a folder healthy as of the newest commit."""
    status = world.status(unit)
    return status.get("state") == "Healthy" and status.get("commit") == world.tip("main")


def applied(cluster: str, unit: str, count: int, image: str = "") -> Fact:
    """All objects of a folder are there; with an image, its pods run it."""

    def look(world: World) -> Seen:
        there = len(world.owned(cluster, unit))
        runs, words = pods(world, cluster, image) if image else (True, "")
        return Seen(there == count and runs, f"{there} applied" + (f", {words}" if words else ""))

    return Fact(cluster, unit, f"{count} objects" + (f", 3 pods that run {image}" if image else ""), look)


def rolled_out(cluster: str, unit: str, image: str) -> Fact:
    """One object changed, and the pods followed."""

    def look(world: World) -> Seen:
        runs, words = pods(world, cluster, image)
        count = changed(world, cluster, unit)
        return Seen(runs and count == 1, f"{count} changed, {words}")

    return Fact(cluster, unit, f"1 changed, 3 pods that run {image}", look)


def went_on(cluster: str, unit: str, count: int) -> Fact:
    """So many objects changed, and the folder is healthy again."""

    def look(world: World) -> Seen:
        found = changed(world, cluster, unit)
        healthy = is_healthy(world, unit)
        return Seen(found == count and healthy, f"{found} changed, {'healthy' if healthy else 'not healthy'}")

    return Fact(cluster, unit, f"{count} changed, healthy", look)


def held(cluster: str, unit: str, place: str) -> Fact:
    """The folder is held, the place is named, and the live object is as it was."""

    def look(world: World) -> Seen:
        status = world.status(unit)
        said = str(status.get("message", ""))
        ports = world.get(cluster, "/api/v1/namespaces/shop/services/shop").get("spec", {}).get("ports")
        same = isinstance(ports, list) and ports[0]["port"] == 80
        is_held = status.get("state") == "Held" and place in said
        return Seen(is_held and same, "held; the Service stays as it was" if same else "the Service has changed", (said,))

    return Fact(cluster, unit, f"held, because of {place}", look)


def healed(cluster: str, unit: str) -> Fact:
    """The Deployment has its three replicas again."""

    def look(world: World) -> Seen:
        replicas = world.get(cluster, DEPLOYMENT)["spec"]["replicas"]
        return Seen(replicas == 3, "healed: replicas 9 -> 3" if replicas == 3 else f"{replicas} replicas")

    return Fact(cluster, unit, "3 replicas", look)


def pruned(cluster: str, unit: str, count: int, left: int, names: str) -> Fact:
    """So many objects are gone; the folder is healthy, and the names of all ConfigMaps that are left begin with `names`."""

    def look(world: World) -> Seen:
        there = world.owned(cluster, unit)
        right = all(obj["metadata"]["name"].startswith(names) for obj in there if obj["kind"] == "ConfigMap")
        status = world.status(unit)
        told = status.get("state") == "Healthy" and status["clusters"][0]["objects"] == left
        words = f"{count + left - len(there)} pruned, {len(there)} left{', healthy' if told else ''}"
        return Seen(len(there) == left and right and told, words)

    return Fact(cluster, unit, f"{count} objects pruned, {left} left, healthy", look)


def stopped(cluster: str, unit: str, count: int) -> Fact:
    """Nothing is deleted, and the way to approve it is told and there."""

    def look(world: World) -> Seen:
        status = world.status(unit)
        there = len(world.owned(cluster, unit))
        offered = world.read(BRANCH, f"approvals/{APPROVAL}.yaml") is not None
        waits = status.get("state") == "Waiting" and BRANCH in str(status.get("waitsFor"))
        notes = (str(status.get("message", "")), str(status.get("waitsFor", "")))
        return Seen(waits and offered and there == count, f"stopped: {there} of {count} still there", notes)

    return Fact(cluster, unit, f"{count} objects, a folder that waits, and branch {BRANCH}", look)


PORTS = "    - name: http\n      port: 80\n      targetPort: http\n"
TYPO = "    name: http\n    port: 80\n    targetPort: http\n    appProtocol: http\n"  # the dash got lost
MENDED = PORTS + "      appProtocol: http\n"
SERVICE, FRONT_PAGE = f"{SHOP}/service.yaml", f"{NEWS}/front-page.yaml"

ACTS = (
    Act(
        "Shop 1.0 in every cluster",
        committed(),
        (
            applied("eu", SHOP, 6, "shop:1.0"),
            applied("eu", NEWS, 5),
            applied("us", US, 6, "shop:1.0"),
            applied("lab", MANY, 60),
        ),
    ),
    Act("Shop 1.1", committed(replaced(f"{SHOP}/deployment.yaml", "shop:1.0", "shop:1.1")), (rolled_out("eu", SHOP, "shop:1.1"),)),
    Act(
        "A typo in the shop, a headline in the news",
        committed(replaced(SERVICE, PORTS, TYPO), replaced(FRONT_PAGE, "has opened", "is busy")),
        (held("eu", SHOP, f"{SERVICE}:9:3"), went_on("eu", NEWS, 1)),
    ),
    Act("The typo mended", committed(replaced(SERVICE, TYPO, MENDED)), (went_on("eu", SHOP, 1),)),
    Act("kubectl scale deployment/shop --replicas=9", scaled, (healed("eu", SHOP),)),
    Act("Delete the archive", committed(removed(f"{NEWS}/archive.yaml")), (pruned("eu", NEWS, 1, 4, "front-page"),)),
    Act(
        "Delete 40 of 60 objects",
        committed(removed(f"{MANY}/shelf-a.yaml", f"{MANY}/shelf-b.yaml")),
        (stopped("lab", MANY, 60),),
    ),
    Act(f"Merge branch {BRANCH}", merged, (pruned("lab", MANY, 40, 20, "book-c"),)),
)
