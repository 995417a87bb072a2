"""What end-to-end tests stand on: a real Git server, real control planes, and a daemon between them.

Law of the module: control planes are shared by all tests of a run, so every test has namespaces and a record store of its own, and
takes them away again.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pygit2
import pytest

from reconciler.core.identity import CommitId
from reconciler.sim.gitserver import GitServer
from tests.controlplane.plane import Access
from tests.daemon import Daemon
from tests.gitserver import commit

_numbers = itertools.count(1)
Json = dict[str, Any]


class Fleet:
    """One repository, two clusters (`eu` is the default and the home), and names that no other test has."""

    def __init__(self, server: GitServer, eu: Access, us: Access, folder: Path, mark: str) -> None:
        self.server = server
        self.url = server.url("fleet")
        self.path = server.path("fleet")
        self.eu = eu
        self.us = us
        self.folder = folder
        self.ns = f"shop-{mark}"
        self.store = f"store-{mark}"
        self.extra_namespaces: list[str] = []

    def commit(self, files: Mapping[str, str | bytes | None], message: str = "change", ref: str = "refs/heads/main") -> CommitId:
        """Commit files as a person would."""
        return commit(self.path, {k: v.encode() if isinstance(v, str) else v for k, v in files.items()}, ref, message)

    def read(self, ref: str, path: str) -> bytes | None:
        """A file at the tip of a ref; None where either is not there."""
        repository = pygit2.Repository(str(self.path))
        found = repository.references.get(ref)
        try:
            return repository[repository[found.target].tree[path].id].data if found is not None else None
        except KeyError:
            return None

    def daemon(self, **options: Any) -> Daemon:
        """A daemon over both clusters; `eu` alone with `clusters=…`."""
        clusters = options.pop("clusters", {"eu": self.eu.kubeconfig, "us": self.us.kubeconfig})
        return Daemon(self.url, clusters, self.folder, store=self.store, **options)

    def config_map(self, name: str, value: str = "1", **metadata: str) -> str:
        """A ConfigMap of this test's namespace; `metadata` are annotations."""
        notes = "".join(f"    {key.replace('__', '/').replace('_', '-')}: {value!r}\n" for key, value in metadata.items())
        annotations = f"  annotations:\n{notes}" if notes else ""
        return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {self.ns}\n{annotations}data:\n  v: {value!r}\n"

    def namespace(self) -> str:
        """The test's namespace as a manifest."""
        return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {self.ns}}}\n"

    def deployment(self, name: str, image: str = "shop:1.0", replicas: int = 2, labels: str = "") -> str:
        """A Deployment; `labels` are laid on its pods (`fault: crash`)."""
        return f"""apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {self.ns}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}, {labels}}}}}
    spec: {{containers: [{{name: web, image: '{image}'}}]}}
"""

    def get(self, plural: str, name: str = "", cluster: Access | None = None, group: str = "v1") -> Json | None:
        """A live object of this test's namespace (or the list of all); None where it is not there."""
        top = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        status, body = (cluster or self.eu).request("GET", f"{top}/namespaces/{self.ns}/{plural}" + (f"/{name}" if name else ""))
        return body if status == 200 else None

    def names(self, plural: str, cluster: Access | None = None) -> list[str]:
        """The names of the live objects of a kind that are ours."""
        found = self.get(plural, cluster=cluster) or {"items": []}
        return sorted(
            item["metadata"]["name"] for item in found["items"] if "reconciler.dev/managed-by" in item["metadata"].get("labels", {})
        )

    def patch(self, plural: str, name: str, body: Json, cluster: Access | None = None, group: str = "v1") -> Json:
        """An edit by hand: a merge patch."""
        top = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        path = f"{top}/namespaces/{self.ns}/{plural}/{name}"
        status, answer = (cluster or self.eu).request("PATCH", path, body, "application/merge-patch+json")
        assert status == 200, answer
        return answer

    def clean(self) -> None:
        """Take everything away again."""
        for cluster in (self.eu, self.us):
            for name in (self.ns, self.store, *self.extra_namespaces):
                cluster.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def fleet(tmp_path: Path, git_server: GitServer, control_planes: Callable[[int], list[Access]]) -> Iterator[Fleet]:
    """A repository "fleet" and two clusters."""
    eu, us = control_planes(2)
    with ExitStack() as stack:
        made = Fleet(git_server, eu, us, tmp_path, f"{os.getpid()}-{next(_numbers)}")
        stack.callback(made.clean)
        yield made
