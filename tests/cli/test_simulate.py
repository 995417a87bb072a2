"""`simulate`: a repository's future, told; the same bytes for the same seed; anybody's files, however broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pygit2
import pytest
from click.testing import CliRunner, Result

from reconciler import schemas
from reconciler.cli import main

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {a: %s}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: sw0rdfish}\n"
ADA = pygit2.Signature("Ada", "ada@example.org", 1_700_000_000, 0)


def tree(top: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return top


def committed(top: Path, *commits: dict[str, str | None]) -> list[str]:
    """A repository with these commits, checked out; the ids."""
    repository = pygit2.init_repository(str(top), initial_head="main")
    ids: list[str] = []
    for number, files in enumerate(commits):
        for name, text in files.items():
            if text is None:
                (top / name).unlink()
                repository.index.remove(name)
            else:
                tree(top, {name: text})
                repository.index.add(name)
        written = repository.index.write_tree()
        parents = [pygit2.Oid(hex=ids[-1])] if ids else []
        ids.append(str(repository.create_commit("refs/heads/main", ADA, ADA, f"Change {number}", written, parents)))
    repository.index.write()
    return ids


def simulate(top: Path, *arguments: str, **environment: str) -> Result:
    with chdir(top):
        return CliRunner().invoke(main, ["simulate", *arguments], env={"COLUMNS": "", **environment})


def lines(done: Result) -> list[str]:
    """What was told, with single blanks."""
    return [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]


def test_the_example_becomes_healthy() -> None:
    done = simulate(schemas.example())
    assert lines(done) == [
        "Simulation of .: 26 files, 98 manifests; on default, lab, us; no faults, seed 0",
        "+0s a person pushes what is not committed: 26 files",
        "+0s daemon starts",
        "+0s daemon reads what is not committed",
        "+0s 5 units Reconciling: apps/news, apps/shop, clusters/lab/many and 2 more",
        "+0s clusters/lab Healthy: 1 made on lab",
        "+0s Instance/gated Paused: a commit that clears spec.stage",
        "+0s Instance/scheduled Paused: cleared at 2040-01-01T08:00:00Z",
        "+0s Instance/staged Paused: a commit that clears spec.stage",
        "+0s clusters/lab/many Healthy: 60 made on lab",
        "+1s apps/news Healthy: 5 made on default",
        "+1s apps/shop Healthy: 6 made on default",
        "+1s clusters/us/shop Healthy: 6 made on us",
        "+1s Instance/canary Healthy: stage canary: my-app-v1 on 3 targets, my-app-v2 on 7 targets; 10 made on default, 10 made on us",
        "+1s everything rests: 6 Healthy, 3 Paused",
        "UNIT CLUSTERS STATE OBJECTS MADE CHANGED DELETED WAITS FOR",
        "Instance/gated Paused 0 0 0 0 a commit that clears spec.stage",
        "Instance/scheduled Paused 0 0 0 0 cleared at 2040-01-01T08:00:00Z",
        "Instance/staged Paused 0 0 0 0 a commit that clears spec.stage",
        "apps/news default Healthy 5 5 0 0",
        "apps/shop default Healthy 6 6 0 0",
        "clusters/lab lab Healthy 1 1 0 0",
        "clusters/lab/many lab Healthy 60 60 0 0",
        "clusters/us/shop us Healthy 6 6 0 0",
        "Instance/canary default us Healthy 20 20 0 0 stage canary: my-app-v1 on 3 targets, my-app-v2 on 7 targets",
        "6 of 9 units healthy, 3 paused; objects: 98 made, 0 changed, 0 deleted.",
        "176 requests (114 writes), 3 commits.",
        "1s of virtual time, seed 0: all checks held (351 looks).",
    ]
    assert done.exit_code == 0
    assert "s of real time" in done.stderr


def test_commits_follow_one_another_and_people_approve(tmp_path: Path) -> None:
    twelve: dict[str, str | None] = {f"app/{n:02}.yaml": CONFIG_MAP % (f"c{n:02}", "a") for n in range(12)}
    first, second, third = committed(tmp_path, twelve, {"app/00.yaml": CONFIG_MAP % ("c00", "b")}, dict.fromkeys(list(twelve)[:6]))
    done = simulate(tmp_path, "--since", first)
    assert done.exit_code == 0
    told = lines(done)
    for line in (
        f'+0s Ada pushes {first[:7]} "Change 0": 12 files',
        f'+0s Ada pushes {second[:7]} "Change 1": 1 file',
        "app Healthy: 1 changed",
        f'Ada pushes {third[:7]} "Change 2": 6 files',
        "app Waiting: default: pruning 6 of 12 objects",
        "a person merges reconciler/approve/prune-default-app: approved by a simulated person",
        "app Healthy: 6 deleted",
        "app default Healthy 6 12 1 6",
    ):
        index = next((n for n, found in enumerate(told) if line in found), -1)
        assert index >= 0, line
        told = told[index + 1 :]
    never = simulate(tmp_path, "--since", first, "--approve-after", "never")
    assert never.exit_code == 1
    assert "approved by" not in never.stdout
    assert "app default Waiting 6 12 1 0" in "\n".join(lines(never))


def test_what_is_not_committed_comes_last(tmp_path: Path) -> None:
    first, second = committed(tmp_path, {"a.yaml": CONFIG_MAP % ("a", "a")}, {"a.yaml": CONFIG_MAP % ("a", "b")})
    tree(tmp_path, {"b.yaml": CONFIG_MAP % ("b", "b")})
    said = [line for line in lines(simulate(tmp_path, "--since", "main")) if "pushes" in line]
    assert [line.partition(" pushes ")[2] for line in said] == [f'{second[:7]} "Change 1": 1 file', "what is not committed: 1 file"]
    said = [line for line in lines(simulate(tmp_path)) if "pushes" in line]
    assert said == ["+0s a person pushes what is not committed: 2 files"]
    assert first[:7] not in "".join(said)


def test_a_bad_day_ends_well(tmp_path: Path) -> None:
    """With everything that goes wrong: people edit and delete, clusters are lost, and at the end it is as Git says, and silent."""
    tree(tmp_path, {"a/a.yaml": CONFIG_MAP % ("a", "a"), "a/s.yaml": SECRET, "clusters/us/b.yaml": CONFIG_MAP % ("b", "b")})
    done = simulate(tmp_path, "--faults", "all", "--seed", "3", "-o", "json")
    assert done.exit_code == 0
    data: dict[str, Any] = json.loads(done.stdout)
    assert data["healthy"]
    assert data["broken"] is None
    assert data["counts"]["faults"] > 20
    assert data["counts"]["lives"] > 5
    sorts = {event["what"] for event in data["events"]}
    assert sorts == {"commit", "daemon", "unit", "person", "fault", "cluster", "rest", "silence"}
    assert data["events"][-1]["text"].startswith("was silent for an hour")
    assert "sw0rdfish" not in done.output


def test_the_same_seed_tells_the_same_whatever_the_hashes(tmp_path: Path) -> None:
    tree(tmp_path, {"a/a.yaml": CONFIG_MAP % ("a", "a"), "a/s.yaml": SECRET, "clusters/us/b.yaml": CONFIG_MAP % ("b", "b")})
    said = []
    for hashes in ("1", "2"):
        command = [sys.executable, "-m", "reconciler", "simulate", ".", "--faults", "some", "--seed", "5"]
        root = str(Path(schemas.__file__).parents[1])
        environment = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": root}
        said.append(subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True).stdout)
    assert said[0] == said[1]
    assert simulate(tmp_path, "--faults", "some", "--seed", "6").stdout.encode() != said[0]


def test_a_schedule_can_be_repeated(tmp_path: Path) -> None:
    """The first fault of a bad day alone, at the same point of the same future."""
    tree(tmp_path, {"a.yaml": CONFIG_MAP % ("a", "a")})

    def faults(*arguments: str) -> list[dict[str, Any]]:
        events = json.loads(simulate(tmp_path, "--faults", "all", "--seed", "3", "-o", "json", *arguments).stdout)["events"]
        return [event for event in events if event["what"] == "fault" or event["text"].startswith("deed")]

    first = faults()[0]
    kind, _, rest = first["text"].partition(": ")
    seconds = re.search(r"(?:down for |\()([0-9.]+) s", rest)
    only = f"{first['who'].removeprefix('point ')}:{kind.replace(' ', '-')}" + (f":{seconds[1]}" if seconds else "")
    again = faults("--only", f"{only},deed:2")
    assert again[0] == first
    assert [event["text"].partition(":")[0] for event in again[1:]] == ["deed 2"]


def test_anybodys_files_are_told_and_never_obeyed(tmp_path: Path) -> None:
    files = {
        "quantities/d.yaml": "apiVersion: v1\nkind: LimitRange\nmetadata: {name: l}\n"
        "spec: {limits: [{type: Container, default: {cpu: 0.5, memory: 1024Mi}}]}\n",
        "scoped/r.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
        "metadata: {name: r, namespace: nowhere}\nrules: []\n",
        "custom/x.yaml": "apiVersion: example.org/v1\nkind: News\nmetadata: {name: news}\n",
        "twice/a.yaml": CONFIG_MAP % ("x", "a"),
        "again/a.yaml": CONFIG_MAP % ("x", "b"),
        "broken/a.yaml": "a: [",
        "steering/a.yaml": 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {"\\e[2J\\u202e": 1}}\n',
        "clusters/NO name/a.yaml": CONFIG_MAP % ("x", "a"),
        "login/s.yaml": SECRET,
    }
    tree(tmp_path, files)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "passwd.yaml").symlink_to("/etc/passwd")
    done = simulate(tmp_path)
    assert done.exit_code == 1
    states = {event["who"]: event["state"] for event in json.loads(simulate(tmp_path, "-o", "json").stdout)["events"] if event["state"]}
    assert states == {
        "quantities": "Healthy",
        "scoped": "Healthy",
        "login": "Healthy",
        "custom": "Failed",
        "twice": "Failed",
        "again": "Failed",
        "broken": "Held",
        "steering": "Held",
        "links": "Held",
        "clusters/NO name": "Held",
    }
    assert "symbolic link" in done.stdout
    assert "no kind News.example.org on default" in done.stdout
    for word in ("\x1b", "\u202e", "sw0rdfish", "c3cwcmRmaXNo", "root:"):
        assert word not in done.output


def test_the_clusters_of_a_configuration_are_taken(tmp_path: Path) -> None:
    tree(tmp_path, {"deploy/a.yaml": CONFIG_MAP % ("a", "a"), "deploy/clusters/us/b.yaml": CONFIG_MAP % ("b", "b"), "c.yaml": "a: ["})
    text = "sources: [{name: a, url: /a, path: deploy}]\n"
    text += "clusters: [{name: us, kubeconfig: x}, {name: eu, kubeconfig: x, default: true, namespace: shop}]\nhome: us\n"
    (tmp_path / "reconciler.yaml").write_text(text)
    data = json.loads(simulate(tmp_path, "-o", "json").stdout)
    assert data["clusters"] == ["us", "eu"]
    written = {unit["unit"]: [cluster["cluster"] for cluster in unit["clusters"]] for unit in data["units"]}
    assert written == {".": ["eu"], "clusters/us": ["us"]}
    assert data["broken"] is None


def test_nothing_wraps_on_a_narrow_terminal(tmp_path: Path) -> None:
    tree(tmp_path, {f"{'deep/' * 8}a.yaml": "a: [", f"{'deep/' * 7}a.yaml": "apiVersion: example.org/v1\nkind: N\nmetadata: {name: n}\n"})
    done = simulate(tmp_path, COLUMNS="80")
    assert done.exit_code == 1
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "did not find" in " ".join(done.stdout.split())


def test_time_that_does_not_suffice_is_told(tmp_path: Path) -> None:
    commits: list[dict[str, str | None]] = [{"a.yaml": CONFIG_MAP % ("a", f"v{n}")} for n in range(4)]
    first, *_ = committed(tmp_path, *commits)
    done = simulate(tmp_path, "--since", first, "--until", "50s")
    assert done.exit_code == 1
    assert "1 commit not reached within 50s: give more time with --until." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "does not exist"),
        (["--since", "main"], "is in no Git repository"),
        (["--only", "1:late:3"], "--only goes with --faults"),
        (["--faults", "some", "--only", "1:sabotage"], "neither a fault"),
        (["--faults", "some", "--only", "x"], "neither a fault"),
        (["--faults", "some", "--only", "1:crash-after:999999"], "lasts too long: 40 s at most"),
        (["--source", "x"], "--source goes with a configuration"),
        (["--until", "10"], "must be a span of time"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["pods"], "20,000 pods"),
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    tree(tmp_path, {"pods/a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 20000}\n"})
    done = simulate(tmp_path, *arguments)
    assert (done.exit_code, words in done.stderr) == (2, True), done.output
