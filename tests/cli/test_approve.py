"""`approve` over a Git server: credentials come from where the configuration says, and go nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import main
from reconciler.core.approvals import text
from reconciler.core.identity import SourceName, folder
from reconciler.core.kind import Gate
from reconciler.sim.gitserver import GitServer
from tests.gitserver import commit, git_server

__all__ = ["git_server"]

PASSWORD = "sw0rdfish"


@pytest.fixture
def offered(git_server: GitServer) -> GitServer:
    """A source in folder deploy, with two approvals that wait."""
    git_server.users["bot"] = PASSWORD
    path = git_server.path("fleet")
    commit(path, {"deploy/apps/a.yaml": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"})
    for name in ("prune-eu-apps", "prune-us-apps"):
        file = text(folder(SourceName("fleet"), "apps"), Gate(name, f"sha256:{'0' * 64}", "delete 40 of 60 objects"), name[6:8])
        commit(path, {f"deploy/approvals/{name}.yaml": file}, f"refs/heads/reconciler/approve/{name}")
    return git_server


def approve(git: GitServer, top: Path, *words: str, password: str = PASSWORD) -> Result:
    (top / "password").write_text(f"{password}\n")
    (top / "kube.yaml").write_text("")
    (top / "r.yaml").write_text(
        f"sources: [{{name: fleet, url: {git.url('fleet')}, path: deploy, credentials: {{username: bot, passwordFile: password}}}}]\n"
        "clusters: [{name: eu, kubeconfig: kube.yaml}]\n"
    )
    arguments = ["approve", "--config", str(top / "r.yaml"), "--cache", str(top / "cache"), "--author", "Ada <ada@example.org>"]
    done = CliRunner().invoke(main, [*arguments, *words])
    assert PASSWORD not in done.output
    return done


def test_what_waits_is_listed(offered: GitServer, tmp_path: Path) -> None:
    done = approve(offered, tmp_path)
    assert (done.exit_code, done.output) == (0, "Waiting for an approval:\n  prune-eu-apps\n  prune-us-apps\n")


def test_several_are_one_commit(offered: GitServer, tmp_path: Path) -> None:
    done = approve(offered, tmp_path, "prune-*", "--yes")
    assert done.exit_code == 0, done.output
    assert "Approved prune-eu-apps, prune-us-apps: commit" in done.output
    assert offered.counts["push"] == 1
    assert approve(offered, tmp_path).output == "Nothing waits for an approval.\n"


def test_a_protected_branch_says_so_and_names_the_other_way(offered: GitServer, tmp_path: Path) -> None:
    offered.refuse_pushes("fleet", "main is protected")
    done = approve(offered, tmp_path, "prune-eu-apps", "--yes")
    assert done.exit_code == 1
    assert "Merging branch reconciler/approve/prune-eu-apps does the same." in done.output


def test_who_is_faster_wins(offered: GitServer, tmp_path: Path) -> None:
    path = offered.path("fleet")

    def race(_name: str) -> None:
        commit(path, {"deploy/apps/a.yaml": b"# somebody else\n"})

    offered.before_update = race
    done = approve(offered, tmp_path, "prune-eu-apps", "--yes")
    assert done.exit_code == 1
    assert "somebody else has pushed meanwhile" in done.output


def test_a_wrong_password_is_told_without_it(offered: GitServer, tmp_path: Path) -> None:
    done = approve(offered, tmp_path, password="hunter2")
    assert done.exit_code == 3
    assert "refused the credentials" in done.output
    assert "hunter2" not in done.output
