"""The instances of the example repository on real clusters: its files, in namespaces of this test, and what stands where."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from reconciler import schemas
from reconciler.core.identity import CommitId
from reconciler.core.messages import Request
from tests.daemon import Daemon
from tests.real.fleet import Fleet

STAGES = schemas.example() / "stages"
BASE = ("targets", "solutions")


class Stood(NamedTuple):
    """A Deployment, as it may be compared with itself later."""

    uid: str
    generation: int
    image: str


class Stages:
    """13 targets over two clusters, each with a namespace of its own; instances by the folder that they stand in."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.files: dict[str, str] = {}
        scopes = re.findall(r"solutionScope: (\S+)", "".join(path.read_text() for path in sorted(STAGES.glob("targets/*.yaml"))))
        fleet.extra_namespaces += [f"{fleet.ns}-{scope}" for scope in scopes]

    def commit(self, *folders: str, **stages: str) -> CommitId:
        """Add folders of the example, and put instances on other stages (`canary="default"`)."""
        paths = [path for name in folders for path in sorted((STAGES / name).glob("*.yaml"))]
        changed = {f"stages/{path.relative_to(STAGES)}": self._scoped(path.read_text()) for path in paths}
        for instance, stage in stages.items():
            path = f"stages/{instance}/instance.yaml"
            changed[path] = re.sub("(?m)^  stage: .*$", f"  stage: {stage}", changed.get(path) or self.files[path])
        return self.replace(changed)

    def _scoped(self, text: str) -> str:
        return text.replace("solutionScope: ", f"solutionScope: {self.fleet.ns}-")

    def edit(self, instance: str, *pairs: tuple[str, str]) -> CommitId:
        """Edit the file of an instance."""
        path = f"stages/{instance}/instance.yaml"
        text = self.files[path]
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return self.replace({path: text})

    def replace(self, changed: dict[str, str]) -> CommitId:
        """Commit files as they are given."""
        self.files.update(changed)
        return self.fleet.commit(changed)

    def stands(self, instance: str) -> dict[str, Stood]:
        """Target → the Deployment of an instance that is there."""
        found = {}
        for cluster in (self.fleet.eu, self.fleet.us):
            _, body = cluster.request("GET", "/apis/apps/v1/deployments")
            for item in body["items"]:
                about = item["metadata"]
                if about["name"] == instance and about["namespace"].startswith(f"{self.fleet.ns}-") and "deletionTimestamp" not in about:
                    image = item["spec"]["template"]["spec"]["containers"][0]["image"]
                    target = about["namespace"].removeprefix(f"{self.fleet.ns}-")
                    found[target] = Stood(about["uid"], about["generation"], image.rpartition(":")[2])
        return found

    def counts(self, instance: str) -> dict[str, int]:
        """Tag of the image → on how many targets it is."""
        return dict(Counter(stood.image for stood in self.stands(instance).values()))

    def written(self, daemon: Daemon, begin: int = 0) -> list[str]:
        """What was written since; neither records nor the Lease."""
        sent: list[Request] = daemon.requests()[begin:]
        return sorted(
            f"{r.method} {'/'.join(r.path.split('/')[-3:])}" for r in sent if r.method != "GET" and f"/{self.fleet.ns}-" in r.path
        )
