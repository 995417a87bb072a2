"""`validate`: what is wrong with a tree, with no cluster; each problem at its place, as the daemon would say it."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pygit2
import pytest
from click.testing import CliRunner, Result

from reconciler.cli import main

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n"
CLUSTERS = "sources: [{name: a, url: /a}]\nclusters: [{name: eu, kubeconfig: x}, {name: us, kubeconfig: x}]\n"


def tree(top: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return top


def validate(top: Path, *arguments: str, **environment: str) -> Result:
    with chdir(top):
        return CliRunner().invoke(main, ["validate", *arguments], env={"COLUMNS": "", **environment})


def data(top: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(validate(top, *arguments, "-o", "json").output)
    return found


def test_a_sound_tree_has_nothing_said_of_it(tmp_path: Path) -> None:
    done = validate(tree(tmp_path, {"a/cm.yaml": CONFIG_MAP % "a", "b.yaml": CONFIG_MAP % "b"}))
    assert (done.output, done.exit_code) == ("0 errors, 0 warnings in 2 files (2 manifests)\n", 0)


def test_problems_stand_at_their_places_in_columns(tmp_path: Path) -> None:
    files = {
        "apps/shop/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec:\n  ports: {port: 80}\n",
        "apps/shop/deploy.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec:\n  replicas: 1\n  replicas: 2\n",
        "apps/news/cm.yaml": "apiVersion: example.org/v1\nkind: News\nmetadata: {name: news}\nspec: {front: on}\n",
        "values.yaml": "replicas: 3\n",
    }
    done = validate(tree(tmp_path, files))
    assert done.output.splitlines() == [
        'apps/news/cm.yaml:4:15       warning  on is a boolean here; write "on" for text',
        "apps/shop/deploy.yaml:6:3    error    key replicas stands twice (first at line 5)",
        "apps/shop/service.yaml:5:10  error    spec.ports is a mapping, must be a list",
        "2 errors, 1 warning in 4 files (2 manifests); not manifests: 1 document",
    ]
    assert done.exit_code == 1


def test_warnings_alone_are_fine_unless_one_is_strict(tmp_path: Path) -> None:
    tree(tmp_path, {"a.yaml": "apiVersion: example.org/v1\nkind: News\nmetadata: {name: news}\nspec: {front: on}\n"})
    assert validate(tmp_path).exit_code == 0
    assert validate(tmp_path, "--strict").exit_code == 1


def test_an_object_that_is_written_twice_is_told_at_both_places(tmp_path: Path) -> None:
    tree(tmp_path, {"a.yaml": CONFIG_MAP % "x", "b.yaml": CONFIG_MAP % "x, namespace: default"})
    assert [(one["path"], one["message"]) for one in data(tmp_path)["problems"]] == [
        ("a.yaml", "ConfigMap/x is also written at b.yaml:1:1; one of them must go"),
        ("b.yaml", "ConfigMap/x is also written at a.yaml:1:1; one of them must go"),
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"clusters/eu/a.yaml": CONFIG_MAP % "x", "clusters/us/a.yaml": CONFIG_MAP % "x"},
        {"deploy/clusters/eu/a.yaml": CONFIG_MAP % "x", "deploy/clusters/us/a.yaml": CONFIG_MAP % "x", "deploy/a.yaml": CONFIG_MAP % "x"},
        {"hub/a.yaml": CONFIG_MAP % "x", "a.yaml": CONFIG_MAP % "x"},
        {"a.yaml": CONFIG_MAP % "x", "b.yaml": CONFIG_MAP % "x, namespace: other"},
        {"a/ns.yaml": NAMESPACE, "b/ns.yaml": NAMESPACE},
        {"a.yaml": CONFIG_MAP % "x", ".reconcilerignore": "b.yaml\n", "b.yaml": CONFIG_MAP % "x"},
        {"a.yaml": CONFIG_MAP % "x", ".git/b.yaml": CONFIG_MAP % "x"},
    ],
)
def test_what_goes_to_different_places_is_not_the_same(tmp_path: Path, files: dict[str, str]) -> None:
    assert data(tree(tmp_path, files))["problems"] == []


def test_places_are_checked_against_the_clusters_of_a_configuration(tmp_path: Path) -> None:
    files = {"clusters/asia/a.yaml": CONFIG_MAP % "x", "clusters/asia/b.yaml": CONFIG_MAP % "other", "top.yaml": CONFIG_MAP % "top"}
    tree(tmp_path, files)
    assert data(tmp_path)["errors"] == 0
    (tmp_path / "reconciler.yaml").write_text(CLUSTERS)
    assert [(one["path"], one["message"]) for one in data(tmp_path)["problems"]] == [
        ("clusters/asia/a.yaml", "no cluster asia is configured (there are: eu, us)"),
        ("top.yaml", "no default cluster is configured, and the place names none (clusters/<name>/…) (there are: eu, us)"),
    ]
    assert data(tmp_path, "--config", "reconciler.yaml") == data(tmp_path)


def test_a_policy_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  annotations:\n    reconciler.dev/prune: sometimes\n"
    (problem,) = data(tree(tmp_path, {"a.yaml": text}))["problems"]
    assert (problem["line"], problem["severity"]) == (6, "error")
    assert 'must be "allowed" or "disabled"' in problem["message"]


@pytest.mark.parametrize("name", ["kustomization.yaml", "Chart.yaml"])
def test_what_would_have_to_be_rendered_is_told(tmp_path: Path, name: str) -> None:
    (problem,) = data(tree(tmp_path, {f"apps/{name}": "resources: [a.yaml]\n"}))["problems"]
    assert "leave it out with .reconcilerignore" in problem["message"]


def test_an_approval_is_checked_against_its_schema(tmp_path: Path) -> None:
    spec = "{verb: allow, of: {kind: Folder, name: apps}, gate: prune-eu-apps}"
    text = f"apiVersion: reconciler.dev/v1alpha1\nkind: Approval\nmetadata: {{name: prune-eu-apps}}\nspec: {spec}\n"
    found = data(tree(tmp_path, {"approvals/x.yaml": text}))["problems"]
    assert sorted(one["message"].partition(",")[0] for one in found) == ["spec.revision is missing", 'spec.verb is "allow"']


def test_files_and_folders_can_be_named_from_anywhere_in_the_tree(tmp_path: Path) -> None:
    tree(tmp_path, {".git/HEAD": "", "clusters/eu/a.yaml": CONFIG_MAP % "x", "clusters/us/a.yaml": CONFIG_MAP % "x", "b.yaml": "a: ["})
    for arguments in (("clusters",), ("clusters/eu", "clusters/us/a.yaml"), ("clusters/eu/a.yaml", "clusters/eu", "clusters")):
        assert validate(tmp_path, *arguments).exit_code == 0
    found = data(tmp_path / "clusters" / "eu", "a.yaml", "../../b.yaml")
    assert [one["path"] for one in found["problems"]] == ["../../b.yaml"]
    assert found["files"] == 2


def test_a_link_is_not_followed_and_told_at_its_path(tmp_path: Path) -> None:
    tree(tmp_path, {".git/HEAD": "", "sub/a.yaml": CONFIG_MAP % "x"})
    (tmp_path / "sub" / "link.yaml").symlink_to("/etc/passwd")
    (problem,) = data(tmp_path, "sub")["problems"]
    assert problem["path"] == "sub/link.yaml"
    assert "symbolic link" in problem["message"]


def test_documents_that_are_no_manifests_are_listed_where_asked(tmp_path: Path) -> None:
    tree(tmp_path, {"values.yaml": "a: 1\n---\nb: 2\n"})
    assert validate(tmp_path).output == "0 errors, 0 warnings in 1 file (0 manifests); not manifests: 2 documents\n"
    assert [(one["path"], one["line"]) for one in data(tmp_path)["notManifests"]] == [("values.yaml", 1), ("values.yaml", 3)]
    assert "values.yaml:3:1  note  no manifest" in validate(tmp_path, "-o", "wide").output


def test_a_secret_is_checked_but_never_shown(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {a: sw0rdfish!}\nstringData: {b: [sw0rdfish]}\ntype: 5\n"
    tree(tmp_path, {"a.yaml": text})
    for form in ("table", "wide", "json", "yaml"):
        done = validate(tmp_path, "-o", form)
        assert done.exit_code == 1
        assert "sw0rdfish" not in done.output


def test_what_a_file_says_cannot_steer_the_terminal(tmp_path: Path) -> None:
    tree(tmp_path, {"a.yaml": 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {"\\e[2J\\u202e": 1}}\n'})
    done = validate(tmp_path)
    assert done.exit_code == 1
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output


def test_nothing_wraps_on_a_narrow_terminal(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {ports: {port: 80}, unknown: 1}\n"
    tree(tmp_path, {f"{'deep/' * 8}a.yaml": text})
    done = validate(tmp_path, COLUMNS="80")
    assert max(len(line) for line in done.output.splitlines()) <= 80


def test_an_approval_for_no_cluster_is_warned_of(tmp_path: Path) -> None:
    spec = {"verb": "approve", "of": {"kind": "Folder", "name": "a", "cluster": "uss"}, "gate": "g", "revision": "sha256:" + "0" * 64}
    text = json.dumps({"apiVersion": "reconciler.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "a"}, "spec": spec})
    tree(tmp_path, {"clusters/eu/approvals/a.json": text, "reconciler.yaml": CLUSTERS})
    [problem] = [one for one in data(tmp_path)["problems"] if "approves" in one["message"]]
    assert problem["message"] == "approves nothing: no cluster uss is configured; did you mean us?"
    assert problem["severity"] == "warning"


# -- what objects say of each other ----------

INSTANCE = """apiVersion: solution.symphony/v1
kind: Instance
metadata: {name: shop}
spec:
  scope: %s
  solution: %s
  target: {name: one}
"""
FLEET = """apiVersion: fabric.symphony/v1
kind: Target
metadata: {name: one}
---
apiVersion: solution.symphony/v1
kind: Solution
metadata: {name: site-app}
spec: {components: [{name: web, type: container, properties: {container.image: a}}]}
"""


def test_a_reference_that_leads_nowhere_is_told_with_what_was_meant(tmp_path: Path) -> None:
    done = validate(tree(tmp_path, {"sites/fleet.yaml": FLEET, "sites/shop.yaml": INSTANCE % ("a", "site-ap")}))
    assert done.output.splitlines() == [
        "sites/shop.yaml:6:13  error  there is no Solution site-ap; did you mean site-app (sites/fleet.yaml:5)?",
        "1 error, 0 warnings in 2 files (3 manifests)",
    ]
    assert done.exit_code == 1


def test_what_may_not_change_is_compared_with_the_last_commit(tmp_path: Path) -> None:
    repository = pygit2.init_repository(str(tmp_path), initial_head="main")
    tree(tmp_path, {"fleet.yaml": FLEET, "shop.yaml": INSTANCE % ("old", "site-app")})
    assert validate(tmp_path).exit_code == 0  # no commit yet
    save(repository)
    assert validate(tmp_path).exit_code == 0  # no other before it
    tree(tmp_path, {"shop.yaml": INSTANCE % ("new", "site-app")})
    for _ in ("not committed", "committed"):
        found = data(tmp_path)["problems"]
        assert [(one["path"], one["line"], one["message"].partition(",")[0]) for one in found] == [
            ("shop.yaml", 5, 'spec.scope is "new" and was "old"')
        ]
        save(repository)
    tree(tmp_path, {"note.yaml": CONFIG_MAP % "a"})
    save(repository)
    assert validate(tmp_path).exit_code == 0


def test_clusters_of_a_configuration_decide_where_targets_are(tmp_path: Path) -> None:
    files = {"fleet.yaml": FLEET, "two.yaml": FLEET.partition("---")[0].replace("one", "two")}
    files["shop.yaml"] = (INSTANCE % ("place", "site-app")).replace("name: one", 'name: "*"')
    (problem,) = data(tree(tmp_path, files))["problems"]
    assert problem["severity"] == "warning" and "(or configure clusters of their names)" in problem["message"]
    tree(tmp_path, {"reconciler.yaml": CLUSTERS.replace("eu, kube", "one, kube").replace("us, kube", "two, kube")})
    found = [one["message"].partition(",")[0] for one in data(tmp_path)["problems"]]
    assert found == ["no default cluster is configured"]  # said of the folder; each target is in the cluster of its name


def save(repository: pygit2.Repository) -> None:
    repository.index.add_all()
    parents = [] if repository.head_is_unborn else [repository.head.target]
    someone = pygit2.Signature("Ada", "ada@example.org", 1, 0)
    repository.create_commit("HEAD", someone, someone, "change", repository.index.write_tree(), parents)
