"""`promote`, `block`, `unblock`: one line of one file, where the source wants it, in a person's name."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pygit2
import pytest
from click.testing import CliRunner, Result

from reconciler.cli import main
from reconciler.core.identity import BlobId
from reconciler.core.manifest import parse
from reconciler.sim.gitserver import GitServer
from tests.gitserver import commit, git_server

__all__ = ["git_server"]

MAIN = "refs/heads/main"
INSTANCE = """\
# The shop.
apiVersion: solution.symphony/v1
kind: Instance
metadata: {name: shop, namespace: prod}
spec:
  stage: ring0 # since Monday
  solution: shop:v1
  target: {name: "edge-*"}
  stages:
  - name: ring0
    target: {selector: {ring: "0"}}
  - name: ring1
    solution: shop:v2
"""
PLAIN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
OTHER = INSTANCE.replace("name: shop, namespace: prod", "name: cafe").replace("  stage: ring0 # since Monday\n", "")


@dataclass
class Repository:
    """A bare repository with two Instances, and the command on it."""

    path: Path
    top: Path
    commits: str = ""
    url: str = ""

    def __call__(self, *words: str, yes: bool = True) -> Result:
        (self.top / "kube.yaml").write_text("")
        commits = f", commits: {self.commits}" if self.commits else ""
        source = f"{{name: fleet, url: {self.url or self.path}, path: deploy{commits}}}"
        (self.top / "r.yaml").write_text(f"sources: [{source}]\nclusters: [{{name: eu, kubeconfig: kube.yaml}}]\n")
        where = ["--config", str(self.top / "r.yaml"), "--cache", str(self.top / "cache"), "--author", "Ada <ada@example.org>"]
        done = CliRunner().invoke(main, [words[0], *where, *words[1:], *(["--yes"] if yes else [])])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def commit(self, files: dict[str, str | None], ref: str = MAIN) -> str:
        return commit(self.path, {f"deploy/{path}": text.encode() if text is not None else None for path, text in files.items()}, ref)

    def at(self, ref: str = MAIN) -> pygit2.Commit:
        return pygit2.Repository(str(self.path)).references[ref].peel(pygit2.Commit)

    def read(self, path: str, ref: str = MAIN) -> str:
        blob = self.at(ref).tree[f"deploy/{path}"]
        assert isinstance(blob, pygit2.Blob)
        return bytes(blob.data).decode()

    def edits(self) -> list[str]:
        return [ref for ref in pygit2.Repository(str(self.path)).references if "/reconciler/" in ref]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    path = tmp_path / "fleet.git"
    pygit2.init_repository(str(path), bare=True, initial_head="main")
    made = Repository(path, tmp_path)
    made.commit({"apps/shop.yaml": INSTANCE, "apps/all.yaml": f"# two\n---\n{OTHER}", "apps/c.yaml": PLAIN})
    return made


def test_a_promotion_is_committed_to_the_branch(repository: Repository) -> None:
    repository.commits = "direct"
    before = repository.at().id
    done = repository("promote", "shop", "ring1")
    assert done.exit_code == 0, done.output
    head = repository.at()
    assert done.output.splitlines() == [
        "deploy/apps/shop.yaml:6",
        "-   stage: ring0 # since Monday",
        "+   stage: ring1 # since Monday",
        f"Promote shop to ring1: commit {str(head.id)[:7]} on main. The daemon acts on it when it next reads the branch.",
    ]
    assert repository.read("apps/shop.yaml") == INSTANCE.replace("stage: ring0 #", "stage: ring1 #")
    assert (head.author.name, head.author.email, head.message) == ("Ada", "ada@example.org", "Promote shop to ring1\n")
    assert list(head.parent_ids) == [before] and repository.edits() == []
    again = repository("promote", "shop", "ring1")
    assert (again.exit_code, again.output) == (0, "shop is already on stage ring1 (deploy/apps/shop.yaml:6).\n")
    assert repository.at().id == head.id


@pytest.mark.parametrize("commits", ["", "propose", "record"])
def test_or_offered_on_a_branch(repository: Repository, commits: str) -> None:
    repository.commits = commits
    before = repository.at().id
    done = repository("promote", "shop", "ring1")
    assert done.exit_code == 0, done.output
    (ref,) = repository.edits()
    assert ref.startswith("refs/heads/reconciler/edit/stage-prod-shop-ring1-")
    assert done.output.splitlines()[-1] == (
        f"Promote shop to ring1: offered as branch {ref.removeprefix('refs/heads/')}. Merge it into main, and the daemon acts on it."
    )
    assert repository.read("apps/shop.yaml", ref) == INSTANCE.replace("stage: ring0 #", "stage: ring1 #")
    offered = repository.at(ref)
    assert list(offered.parent_ids) == [before] and repository.at().id == before
    says = ["Promote shop to ring1", "", "Merging this changes deploy/apps/shop.yaml:6 and nothing else."]
    assert offered.message.splitlines()[:3] == says
    assert repository("promote", "shop", "ring1").exit_code == 0
    assert repository.at(ref).id == offered.id, "what is offered already is not pushed again"
    repository.commit({"apps/shop.yaml": INSTANCE.replace("# The shop.", "# Our shop.")})
    assert repository("promote", "shop", "ring1").exit_code == 0
    assert repository.read("apps/shop.yaml", ref).startswith("# Our shop.") and repository.at(ref).parent_ids == [repository.at().id]


def test_block_and_unblock(repository: Repository) -> None:
    repository.commits = "direct"
    assert repository("block", "shop").output.splitlines()[2] == "+   stage: BLOCK # since Monday"
    assert repository.at().message == "Block shop\n"
    assert repository("block", "shop").output == "shop is already blocked (deploy/apps/shop.yaml:6).\n"
    assert repository("unblock", "shop").output.splitlines()[2] == '+   stage: "" # since Monday'
    assert repository.at().message == "Unblock shop\n"
    assert repository("unblock", "shop").output == "shop is already unblocked, on stage default (deploy/apps/shop.yaml:6).\n"
    assert repository("promote", "shop", "default").output == "shop is already on stage default (deploy/apps/shop.yaml:6).\n"
    assert repository("block", "shop").exit_code == 0
    assert repository("unblock", "shop", "ring1").output.splitlines()[2] == '+   stage: "ring1" # since Monday'
    assert repository.at().message == "Unblock shop on stage ring1\n"
    done = repository("unblock", "shop", "ring0")
    assert done.exit_code == 1
    assert "shop is not blocked, it is on stage ring1; reconciler promote shop ring0 takes it to another" in done.output
    assert repository("promote", "shop", "default").output.splitlines()[2] == '+   stage: "default" # since Monday'
    assert repository.at().message == "Promote shop to its default stage\n"


def test_an_instance_that_names_no_stage_gets_a_line(repository: Repository) -> None:
    repository.commits = "direct"
    done = repository("promote", "cafe", "ring0")
    assert done.output.splitlines()[:2] == ["deploy/apps/all.yaml:9", "+   stage: ring0"]
    text = repository.read("apps/all.yaml")
    assert "spec:\n  solution: shop:v1\n  stage: ring0\n  target" in text and text.startswith("# two\n---\n# The shop.")
    assert repository("unblock", "shop").output.startswith("shop is already unblocked")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("promote", "shop", "ring2"), "shop has no stage ring2; did you mean ring"),
        (("promote", "shop", "block"), "shop has no stage block; did you mean BLOCK?"),
        (("promote", "shop", "Default"), "shop has no stage Default; did you mean default?"),
        (("unblock", "shop", "BLOCK"), "BLOCK is what unblock takes away; name a stage of shop, or none for its default one"),
        (("promote", "shop", "x"), "shop has no stage x; there are ring0, ring1, default or BLOCK (deploy/apps/shop.yaml:6)"),
        (("unblock", "cafe", "x"), "cafe is not blocked, it is on stage default"),
        (("block", "shopp"), "no Instance is called shopp; did you mean shop?"),
        (("block", "shop", "-n", "test"), "no Instance is called shop in namespace test"),
        (("block", "c"), "no Instance is called c"),
    ],
)
def test_what_is_not_there_is_refused(repository: Repository, words: tuple[str, ...], says: str) -> None:
    before = repository.at().id
    done = repository(*words)
    assert done.exit_code == 1 and says in done.output, done.output
    assert repository.at().id == before and repository.edits() == []


def test_of_several_nobody_guesses(repository: Repository) -> None:
    repository.commit({"apps/b.yaml": INSTANCE.replace("namespace: prod", "namespace: test")})
    done = repository("block", "shop")
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "Error: 2 Instances are called shop; say which with --namespace or --source:",
        "fleet: apps/b.yaml:2:1 (namespace test)",
        "fleet: apps/shop.yaml:2:1 (namespace prod)",
    ]
    assert repository("block", "shop", "-n", "test").output.startswith("deploy/apps/b.yaml:6\n")
    repository.commit({"apps/d.yaml": INSTANCE})
    assert "2 Instances are called shop" in repository("block", "shop", "-n", "prod").output
    assert "deploy/apps/all.yaml" in repository("block", "cafe", "-n", "default").output


def test_what_only_a_person_can_change_is_left_alone(repository: Repository) -> None:
    repository.commit({"apps/shop.yaml": INSTANCE.replace("stage: ring0", "stage: &now ring0")})
    done = repository("promote", "shop", "ring1")
    assert done.exit_code == 1
    assert "deploy/apps/shop.yaml:6:10: &now marks what may be repeated elsewhere; change it by hand" in done.output


def test_a_file_that_cannot_be_read_is_told_where_nothing_is_found(repository: Repository) -> None:
    repository.commit({"apps/shop.yaml": INSTANCE + "  x: ["})
    done = repository("promote", "shop", "ring1")
    assert done.exit_code == 1
    assert "no Instance is called shop (and apps/shop.yaml:" in done.output


def test_of_many_such_files_the_first_are_named(repository: Repository) -> None:
    repository.commit({f"apps/bad{n}.yaml": "x: [" for n in range(5)})
    done = repository("promote", "shopp", "ring1")
    assert done.exit_code == 1
    named = [f"apps/bad{n}.yaml:" in done.output for n in range(5)]
    assert named == [True, True, True, False, False] and done.output.endswith("; 2 more such files)\n")


SCHEDULED = INSTANCE.replace("stage: ring0 #", "stage: BLOCK #").replace("  solution: shop:v1", "  schedule: WHEN\n  solution: shop:v1")


@pytest.mark.parametrize(("commits", "refused"), [("record", True), ("propose", False), ("direct", False)])
def test_a_block_that_its_schedule_has_ended_in_the_record_is_none(repository: Repository, commits: str, *, refused: bool) -> None:
    repository.commits = commits
    repository.commit({"apps/shop.yaml": SCHEDULED.replace("WHEN", '"2020-01-01T00:00:00Z"')})
    for words in (("block", "shop"), ("promote", "shop", "BLOCK")):
        done = repository(*words)
        assert done.exit_code == (1 if refused else 0), done.output
        assert ("already blocked" in done.output) is not refused
        if refused:
            assert done.output == (
                "Error: shop says BLOCK, but its schedule of 2020-01-01T00:00:00Z has ended that block (deploy/apps/shop.yaml:7), and the"
                " source's `commits: record` leaves the file as it is; take spec.schedule out or set a later one, and BLOCK holds again\n"
            )
    assert repository("unblock", "shop").output.splitlines()[2] == '+   stage: "" # since Monday'


@pytest.mark.parametrize("schedule", ['"9000-01-01T00:00:00Z"', ""])
def test_and_one_that_it_has_not_ended_is(repository: Repository, schedule: str) -> None:
    repository.commits = "record"
    repository.commit({"apps/shop.yaml": SCHEDULED.replace("WHEN", schedule)})
    done = repository("block", "shop")
    assert (done.exit_code, done.output) == (0, "shop is already blocked (deploy/apps/shop.yaml:6).\n")


def test_a_stage_that_only_looks_the_same_is_told_by_its_characters(repository: Repository) -> None:
    repository.commit({"apps/shop.yaml": INSTANCE.replace("name: ring1", "name: caf\u00e9")})
    done = repository("promote", "shop", "cafe\u0301")
    assert done.exit_code == 1
    assert "has no stage cafe\u0301; did you mean caf\u00e9 (U+00E9, not U+0065 U+0301)?" in done.output


def test_nothing_is_done_unasked(repository: Repository) -> None:
    before = repository.at().id
    done = repository("promote", "shop", "ring1", yes=False)
    assert done.exit_code == 2
    assert "There is nobody to ask: say --yes." in done.output and "+   stage: ring1" in done.output
    assert repository.at().id == before and repository.edits() == []


def test_who_changes_it_must_be_known(repository: Repository, tmp_path: Path) -> None:
    nobody = {"GIT_AUTHOR_NAME": "", "GIT_AUTHOR_EMAIL": "", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    words = ["block", "shop", "--repo", str(repository.path), "--path", "deploy", "--cache", str(tmp_path / "c")]
    done = CliRunner().invoke(main, words, env=nobody)
    assert done.exit_code == 2
    assert "a change is in a person's name" in done.output


def test_a_branch_that_is_checked_out_is_left_to_its_person(repository: Repository, tmp_path: Path) -> None:
    work = tmp_path / "work"
    subprocess.run(["git", "clone", "-q", str(repository.path), str(work)], check=True)
    mine = Repository(work, tmp_path, "direct")
    done = mine("promote", "shop", "ring1")
    assert done.exit_code == 1
    assert "Error: not changed: refs/heads/main is checked out in" in done.output


@pytest.fixture
def served(git_server: GitServer, tmp_path: Path) -> Repository:
    made = Repository(git_server.path("fleet"), tmp_path, "direct", git_server.url("fleet"))
    made.commit({"apps/shop.yaml": INSTANCE})
    return made


def test_a_protected_branch_is_told(git_server: GitServer, served: Repository) -> None:
    git_server.refuse_pushes("fleet", "main is protected")
    done = served("promote", "shop", "ring1")
    assert done.exit_code == 1
    assert "Error: not changed:" in done.output and "main is protected" in done.output


def test_who_is_faster_wins(git_server: GitServer, served: Repository) -> None:
    race: Callable[[str], object] = lambda _name: served.commit({"apps/x.yaml": "# somebody else\n"})  # noqa: E731
    git_server.before_update = race  # type: ignore[assignment]
    done = served("promote", "shop", "ring1")
    assert done.exit_code == 1
    assert "somebody else has pushed meanwhile" in done.output


def test_a_server_that_does_not_answer_is_3(git_server: GitServer, served: Repository) -> None:
    git_server.status["fleet"] = 503
    assert served("block", "shop").exit_code == 3


def test_what_is_made_is_what_the_daemon_reads(repository: Repository) -> None:
    repository.commits = "direct"
    assert repository("promote", "shop", "ring1").exit_code == 0
    file = parse(repository.read("apps/shop.yaml").encode(), "apps/shop.yaml", BlobId(""))
    assert file.manifests[0].body()["spec"]["stage"] == "ring1"
