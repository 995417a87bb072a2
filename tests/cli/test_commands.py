"""The commands against a real API server and a real repository: what they say, what they write, with which exit code."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pygit2
import pytest
import yaml
from click.testing import CliRunner, Result

from reconciler.cli import main
from reconciler.sim.gitserver import GitServer
from tests.controlplane.fixtures import RUN_FOLDER
from tests.controlplane.plane import Access, ControlPlane
from tests.gitserver import commit, git_server
from tests.waiting import until

__all__ = ["git_server"]

pytestmark = pytest.mark.real

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: SPACE}\ndata: {a: one}\n"
SHOP = """apiVersion: v1
kind: Namespace
metadata: {name: SPACE}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: SPACE}
spec: {selector: {app: shop}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: shop-key, namespace: SPACE}
stringData: {token: sw0rdfish}
"""
FILES = {"apps/shop/all.yaml": SHOP, **{f"apps/many/cm-{n}.yaml": CONFIG_MAP % f"many-{n}" for n in range(8)}}

_spaces = itertools.count(1)


@pytest.fixture(scope="module")
def plane(server_binaries: Path, pytestconfig: pytest.Config) -> Iterator[Access]:
    """An API server of this module's own: the commands keep their records under one fixed name."""
    folder = Path(tempfile.mkdtemp(prefix="cli-", dir=pytestconfig.stash[RUN_FOLDER]))
    with ControlPlane(server_binaries, folder, controllers=False) as access:
        yield access


@dataclass(frozen=True, slots=True)
class World:
    """One repository, one cluster, and the command between them."""

    plane: Access
    repository: Path
    folder: Path
    space: str
    url: str = ""

    @property
    def arguments(self) -> list[str]:
        repository = self.url or str(self.repository)
        return ["--repo", repository, "--kubeconfig", self.plane.kubeconfig_path, "--cache", str(self.folder / "cache")]

    def __call__(self, command: str, *words: str, columns: str = "") -> Result:
        environment = {"COLUMNS": columns, "GIT_AUTHOR_NAME": "Grace", "GIT_AUTHOR_EMAIL": "grace@example.org"}
        done = CliRunner().invoke(main, [command, *self.arguments, *words], env=environment)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "sw0rdfish" not in done.output
        assert "hunter2" not in done.output
        return done

    def commit(self, files: Mapping[str, str | None], message: str = "change", ref: str = "refs/heads/main") -> str:
        content = {path: None if text is None else self.placed(text).encode() for path, text in files.items()}
        return commit(self.repository, content, ref, message)

    def placed(self, text: str) -> str:
        """A text with this test's namespace in it."""
        return text.replace("SPACE", self.space)

    def names(self) -> list[str]:
        _, found = self.plane.request("GET", f"/api/v1/namespaces/{self.space}/configmaps")
        return sorted(item["metadata"]["name"] for item in found["items"])


@pytest.fixture
def world(plane: Access, tmp_path: Path) -> Iterator[World]:
    """The shop, live in a namespace of its own; afterwards nothing of what the daemon remembers."""
    repository = tmp_path / "fleet.git"
    pygit2.init_repository(str(repository), bare=True, initial_head="main")
    yield from living(World(plane, repository, tmp_path, f"shop-{next(_spaces)}"))


@pytest.fixture
def remote_world(plane: Access, tmp_path: Path, git_server: GitServer) -> Iterator[World]:
    """The same, with the repository on a server."""
    yield from living(World(plane, git_server.path("fleet"), tmp_path, f"shop-{next(_spaces)}", git_server.url("fleet")))


def living(made: World) -> Iterator[World]:
    made.commit(FILES, "Shop \x1b[2J1.0")
    done = made("run", "--once")
    assert done.exit_code == 0, done.output
    yield made
    for path in ("secrets", "configmaps"):
        made.plane.request("DELETE", f"/api/v1/namespaces/reconciler-system/{path}")
    made.plane.request("DELETE", "/apis/coordination.k8s.io/v1/namespaces/reconciler-system/leases/reconciler")


def test_run_once_applies_everything_and_tells_how_it_stands(world: World) -> None:
    assert world.names() == [f"many-{n}" for n in range(8)]
    done = world("run", "--once")
    assert done.exit_code == 0
    shown = done.stdout.splitlines()
    assert re.fullmatch(r'fleet: [0-9a-f]{7} "Shop  \[2J1\.0", \d+\w ago', shown[0])
    assert shown[1:4] == ["1 cluster reachable", "", "UNIT       CLUSTERS  STATE    SINCE  REVISION  WAITS FOR"]
    assert [line.split()[:3] for line in shown[4:]] == [["apps/many", "test", "Healthy"], ["apps/shop", "test", "Healthy"]]
    for line in done.stderr.splitlines():
        assert set(json.loads(line)) >= {"at", "level", "msg"}
    assert "applied" not in done.stderr  # nothing was left to do


def test_an_object_that_is_refused_is_not_healthy(world: World) -> None:
    bad = "apiVersion: v1\nkind: Service\nmetadata: {name: bad, namespace: SPACE}\nspec: {type: Wrong, ports: [{port: 80}]}\n"
    world.commit({"apps/bad/service.yaml": bad})
    done = world("run", "--once", "--log", "text")
    assert done.exit_code == 1
    assert "apps/bad/service.yaml:4:14" in done.stdout
    assert re.search(r"^\d\d:\d\d:\d\d  error: rejected ", done.stderr, re.MULTILINE)
    status = world("status", columns="80")
    assert status.exit_code == 1
    assert max(map(len, status.output.splitlines())) <= 80
    assert json.loads(world("status", "-o", "json").output)["healthy"] is False


def test_status_knows_what_only_the_daemon_can(remote_world: World) -> None:
    """Since when, and by which commit: a command that looks for the first time would say "now" and "the newest"."""
    published = {}
    repository = pygit2.Repository(str(remote_world.repository))
    units = repository[repository.references["refs/heads/reconciler-status"].target].tree["status/units/apps"]
    for file in units:
        told = yaml.safe_load(file.data.replace(b"since: ", b"since: !!str "))
        published[told["name"]] = (told["since"], told["commit"])
    assert sorted(published) == ["apps/many", "apps/shop"]

    newest = max(since for since, _ in published.values())

    def later() -> dict[str, Any] | None:
        found: dict[str, Any] = json.loads(remote_world("status", "-o", "json").output)
        return found if found["at"] > newest else None

    found = until(later, "a second later", 10)
    assert {unit["unit"]: (unit["since"], unit["commit"]["id"]) for unit in found["units"]} == published


def test_plan_shows_every_change_and_writes_nothing(world: World) -> None:
    changed = SHOP.replace("port: 80", "port: 81").replace("sw0rdfish", "hunter2")
    files = {
        "apps/shop/all.yaml": changed,
        "apps/many/cm-0.yaml": None,
        "apps/new/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late, annotations: {reconciler.dev/wave: '2'}}\n",
        "apps/new/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: elsewhere, namespace: not-there-yet}\n",
    }
    repository = pygit2.Repository(str(world.repository))
    repository.references.create("refs/heads/v2", repository.references["refs/heads/main"].target)
    tip = world.commit(files, "Shop 1.1", "refs/heads/v2")
    _, before = world.plane.request("GET", f"/api/v1/namespaces/{world.space}/services/shop")
    done = world("plan", "--at", "v2")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        f'Plan of {tip[:7]} "Shop 1.1" against 1 live cluster',
        "",
        "test  apps/many",
        f"        - ConfigMap/many-0 in {world.space}  no longer in Git",
        "      apps/new",
        "        apps/new/b.yaml",
        "          + wave 0  ConfigMap/elsewhere in not-there-yet",
        "        apps/new/a.yaml",
        "          + wave 2  ConfigMap/late in default",
        "      apps/shop",
        "        apps/shop/all.yaml",
        *done.output.splitlines()[11:-2],
        "",
        f"2 changed, 2 created, 1 deleted; no approval needed. {done.output.split()[-2]} {done.output.split()[-1]}",
    ]
    assert f"~ Service/shop in {world.space}" in done.output
    assert re.search(r"~ Secret/shop-key in \S+ +data\.token +\(changed, not shown\)", done.output)
    assert world.plane.request("GET", f"/api/v1/namespaces/{world.space}/services/shop")[1] == before
    assert world.names() == [f"many-{n}" for n in range(8)]
    assert world("plan", "--at", tip[:9], "--exit-code").exit_code == 1
    found = json.loads(world("plan", "--at", tip, "-o", "json").output)
    assert found["summary"] == {"created": 2, "changed": 2, "deleted": 1}
    assert found == yaml.safe_load(world("plan", "--at", "refs/heads/v2", "-o", "yaml").output)
    assert found["digest"].startswith(f"sha256:{done.output.split()[-1][:4]}")
    assert world("plan", "--exit-code").exit_code == 0


def test_plan_reads_files_that_are_not_committed(world: World, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    pygit2.clone_repository(str(world.repository), str(clone), checkout_branch="main")
    (clone / "apps/many/cm-1.yaml").write_text(world.placed(CONFIG_MAP.replace("one", "two") % "many-1"))
    (clone / "apps/many/cm-2.yaml").unlink()
    (clone / "apps/shop/all.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {ports: {port: 80}}\n")
    arguments = ["--kubeconfig", world.plane.kubeconfig_path, "--cache", str(tmp_path / "other")]
    done = CliRunner().invoke(main, ["plan", "--working-tree", str(clone), *arguments], env={"COLUMNS": ""})
    assert done.exit_code == 1
    assert "Plan of what is not committed" in done.output
    assert re.search(r"~ ConfigMap/many-1 in \S+ +data\.a +one -> two", done.output)
    assert f"- ConfigMap/many-2 in {world.space}" in done.output
    assert re.search(r"apps/shop/all.yaml:4:15 +error +spec.ports is a mapping, must be a list; held as of", done.output)
    assert "1 changed, 1 deleted" in done.output
    committed = CliRunner().invoke(main, ["plan", str(clone), *arguments])
    assert "nothing would change" in committed.output


def test_a_revision_that_is_not_there_is_told(world: World) -> None:
    for revision in ("nope", "0123456789", "abc"):
        done = world("plan", "--at", revision)
        assert done.exit_code == 2
        assert "no branch, tag or commit" in done.output


def test_get_lists_objects_and_how_they_are(world: World) -> None:
    for kind in ("configmap", "ConfigMaps", "configmaps"):
        done = world("get", kind, "many-3")
        assert done.exit_code == 0
        assert done.output.splitlines()[0].split() == ["NAME", "CLUSTER", "NAMESPACE", "UNIT", "STATE", "AGE", "COMMIT", "MESSAGE"]
        assert done.output.splitlines()[1].split()[:5] == ["many-3", "test", world.space, "apps/many", "Healthy"]
    found = json.loads(world("get", "secret", "-o", "json").output)
    assert [(one["name"], one["place"]) for one in found] == [("shop-key", "apps/shop/all.yaml:10:1")]
    assert world("get", "instance").output == "Git has no instance\n"
    done = world("get", "cronjob")
    assert done.exit_code == 1
    assert "Git wants no cronjob; kinds that it wants: ConfigMap, Namespace, Secret, Service" in done.output


def test_a_deletion_past_the_budget_is_approved_by_name(world: World) -> None:
    world.commit({f"apps/many/cm-{n}.yaml": None for n in range(4)}, "Delete half")
    plan = world("plan")
    assert "waits for an approval: past the budget (25%) (reconciler approve prune-test-apps-many)" in plan.output
    assert "approval needed: prune-test-apps-many" in plan.output
    assert world("run", "--once").exit_code == 1
    assert len(world.names()) == 8

    assert world("approve").output == "Waiting for an approval:\n  prune-test-apps-many\n"
    missing = world("approve", "other", "prune-*")
    assert missing.exit_code == 1
    assert "Nothing that waits is called other.\nWaiting for an approval:\n  prune-test-apps-many" in missing.output
    assert world("approve", "prune-*").exit_code == 2  # nobody to ask

    done = world("approve", "prune-*", "--yes", "--author", "Ada Lovelace <ada@example.org>")
    assert done.exit_code == 0, done.output
    assert "# Merging this lets the daemon delete 4 of 8 objects of apps/many on test" in done.output
    head = pygit2.Repository(str(world.repository)).references["refs/heads/main"].peel(pygit2.Commit)
    assert (head.author.name, head.message) == ("Ada Lovelace", "Approve prune-test-apps-many\n")
    assert f"commit {str(head.id)[:7]} on main" in done.output
    assert world("run", "--once").exit_code == 0
    assert world.names() == [f"many-{n}" for n in range(4, 8)]


def test_who_approves_must_be_known(world: World, tmp_path: Path) -> None:
    for author in ("Ada", "Ada <>", "<a@b>"):
        done = world("approve", "x", "--author", author)
        assert done.exit_code == 2
        assert "--author must be a name and an address" in done.output
    nobody = {"GIT_AUTHOR_NAME": "", "GIT_AUTHOR_EMAIL": "", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = CliRunner().invoke(main, ["approve", "x", "--repo", str(world.repository), "--cache", str(tmp_path / "c")], env=nobody)
    assert done.exit_code == 2
    assert "an approval is in a person's name" in done.output
    (tmp_path / ".gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    done = CliRunner().invoke(main, ["approve", "x", "--repo", str(world.repository), "--cache", str(tmp_path / "c")], env=nobody)
    assert done.exit_code == 1


def test_what_is_on_an_approval_branch_but_is_none_is_not_offered(world: World) -> None:
    for name, content in (("other", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n"), ("broken", "{")):
        world.commit({f"approvals/{name}.yaml": content}, ref=f"refs/heads/reconciler/approve/{name}")
    assert world("approve").output == "Nothing waits for an approval.\n"


def test_a_world_that_does_not_answer_is_3(world: World, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.write_text(Path(world.plane.kubeconfig_path).read_text().replace(world.plane.url, "https://127.0.0.1:1"))
    done = CliRunner().invoke(main, ["approve", "--repo", str(tmp_path / "none.git"), "--cache", str(tmp_path / "c")])
    assert done.exit_code == 3
    assert "no readable repository" in done.output
    done = world("plan", "--kubeconfig", str(gone))
    assert done.exit_code == 3
    assert "cluster test" in done.output


# -- the daemon ----------


def start(world: World, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "reconciler", "run", *world.arguments, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def holder(world: World) -> str:
    status, lease = world.plane.request("GET", "/apis/coordination.k8s.io/v1/namespaces/reconciler-system/leases/reconciler")
    found: dict[str, Any] = lease.get("spec", {}) if status == 200 else {}
    return str(found.get("holderIdentity") or "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_ends_in_good_order_and_gives_its_lease_back(world: World, number: signal.Signals) -> None:
    daemon = start(world)
    try:
        until(lambda: holder(world), "the daemon holds the Lease")
        world.commit({"apps/many/later.yaml": CONFIG_MAP % "later"})
        until(lambda: "later" in world.names(), "the daemon applies what was committed")
    finally:
        daemon.send_signal(number)
        out, log = daemon.communicate(timeout=30)
    assert (daemon.returncode, out) == (0, "")
    assert holder(world) == ""
    assert "Traceback" not in log


def test_a_daemon_that_was_killed_takes_its_own_lease_over_at_once(world: World) -> None:
    first = start(world)
    held = until(lambda: holder(world), "the first holds the Lease")
    first.kill()
    first.communicate(timeout=30)
    assert holder(world) == held
    done = world("run", "--once", "--timeout", "10s")  # a stranger would have to wait for 15 s
    assert done.exit_code == 0, done.output
