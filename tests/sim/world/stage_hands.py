"""What people do by hand where instances are deployed, beside what the swarm's do.

Law of the module: as that of `swarm`: drawn from the seed, and only what anybody could see decides what is done.
"""

from __future__ import annotations

from typing import Any

from reconciler.sim.git import MAIN
from reconciler.sim.world import World

from .swarm import People

PATCH = "application/strategic-merge-patch+json"


class Hands(People):
    """Those who lay hands on what instances have, and on the branch."""

    def protect(self, world: World) -> None:
        world.repo.refused[MAIN] = "protected branch"
        world.after(self.draw.between(10.0, 120.0), lambda: world.repo.refused.pop(MAIN, None))

    def _deployed(self, world: World) -> tuple[str, str, str] | None:
        cluster = self.draw.one(self.clusters)
        _, body = world.call("GET", "/apis/apps/v1/deployments", cluster=cluster)
        places = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in body.get("items", ())]
        found = [place for place in places if place[0].startswith("at-")]
        if not found:
            return None
        namespace, name = self.draw.one(found)
        return cluster, f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}", namespace

    def edit_deployment(self, world: World) -> None:
        if found := self._deployed(world):
            image: Any = {"template": {"spec": {"containers": [{"name": "web", "image": "by-hand:1"}]}}}
            spec = image if self.draw.chance(0.5) else {"replicas": 3}
            world.call("PATCH", found[1], {"spec": spec}, found[0], PATCH)

    def delete_deployment(self, world: World) -> None:
        if found := self._deployed(world):
            world.call("DELETE", found[1], cluster=found[0])

    def delete_scope(self, world: World) -> None:
        if found := self._deployed(world):
            world.call("DELETE", f"/api/v1/namespaces/{found[2]}", cluster=found[0])
