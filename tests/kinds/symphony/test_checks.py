"""Checks of whole trees: each with its message and its place, and nothing else said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.identity import ClusterName, GroupKind
from reconciler.core.manifest import Manifest
from reconciler.core.tree import Tree
from reconciler.core.units import lane_of_path
from reconciler.kinds.symphony import checks
from reconciler.kinds.symphony.model import TARGET
from reconciler.kinds.symphony.read import ENTRIES
from tests.kinds.symphony.cases import read

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases" / "checks.yaml").read_text(encoding="utf-8"))
GROUPS = {"Target": "fabric.symphony", "Catalog": "federation.symphony", "CatalogVersion": "federation.symphony"}
GROUPS["CatalogContainer"] = "federation.symphony"
COMPONENTS = {"components": [{"name": "web", "type": "container", "properties": {"container.image": "a"}}]}
BOUND = [{"bindings": [{"role": "instance", "provider": "providers.target.k8s"}]}]
BASE: dict[str, Any] = {
    "base/one.yaml": {"kind": "Target", "name": "one", "spec": {"solutionScope": "place", "topologies": BOUND}},
    "base/app.yaml": {"kind": "Solution", "name": "app", "spec": COMPONENTS},
    "base/app2.yaml": {"kind": "Solution", "name": "app2", "spec": COMPONENTS},
}


def text_of(file: dict[str, Any] | str) -> str:
    if isinstance(file, str):
        return file
    metadata = {"name": file["name"], **({"namespace": file["namespace"]} if "namespace" in file else {})}
    head = {"apiVersion": f"{GROUPS.get(file['kind'], 'solution.symphony')}/v1", "kind": file["kind"], "metadata": metadata}
    dumper = yaml.CSafeDumper
    dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
    return yaml.dump({**head, **({"spec": file["spec"]} if "spec" in file else {})}, Dumper=dumper, sort_keys=False, width=200)


def manifests(files: dict[str, Any]) -> list[Manifest]:
    return [manifest for path in sorted(files) for manifest in read(path, text_of(files[path])).manifests]


def tree(files: dict[str, Any], **case: Any) -> Tree:
    kinds: dict[GroupKind, tuple[Manifest, ...]] = {}
    for manifest in manifests(files):
        kind = GroupKind(manifest.group, manifest.kind)
        kinds[kind] = (*kinds.get(kind, ()), manifest)
    before = {(one.kind, one.name): one for one in manifests(case.get("before", {}))}
    named = case.get("clusters")
    clusters = tuple(map(ClusterName, named)) if named is not None else None
    default = named[0] if named and case.get("default", True) else None
    return Tree(
        kinds,
        clusters,
        lambda manifest: lane_of_path(manifest.path, dict.fromkeys(named or ()), default),
        lambda manifest: before.get((manifest.kind, manifest.name)),
        planned=case.get("planned", False),
    )


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    found = checks.check(tree({**BASE, **case["files"]}, **{key: case[key] for key in case if key != "files"}))
    assert [f"{'warning ' if one.severity == 'warning' else ''}{one}" for one in found] == case["problems"]


def test_there_are_enough_of_them() -> None:
    assert sum(bool(case["problems"]) for case in CASES) >= 30


def test_what_would_take_too_long_is_not_begun_and_told() -> None:
    instance = {"kind": "Instance", "name": "shop", "spec": {"solution": "app", "target": {"name": "one"}}}
    many = {f"i{n}.yaml": {**instance, "name": f"i{n}"} for n in range(30)}
    targets = {f"t{n}.yaml": {"kind": "Target", "name": f"t{n}"} for n in range(checks.MATCHES_LIMIT // 20 // 100)}
    limited = tree({**BASE, **many, **targets})
    kinds = {**limited.kinds, TARGET: limited.kinds[TARGET] * 100}
    found = checks.check(Tree(kinds, None, limited.lane_of))
    assert [one.message for one in found if one.severity == "warning"] == [
        "not checked: whom its stages mean (more than 500,000 targets to look at)"
    ]


def _staged(count: int, notes: dict[str, str] | None = None) -> dict[str, str]:
    stages = [{"name": f"s{n}", "target": {"name": "one"}} for n in range(count)]
    metadata = {"name": "shop", "annotations": notes or {}}
    spec = {"stage": "s0", "solution": "app", "stages": stages}
    body = {"apiVersion": "solution.symphony/v1", "kind": "Instance", "metadata": metadata, "spec": spec}
    return {"i.yaml": yaml.dump(body, Dumper=yaml.CSafeDumper, width=200)}


def _calls(given: Tree) -> int:
    """How many functions are called for the checks of a tree."""
    count = [0]

    def counted(_: Any, event: str, __: Any) -> None:
        count[0] += event == "call"

    was = sys.getprofile()
    sys.setprofile(counted)
    try:
        assert checks.check(given) == ()
    finally:
        sys.setprofile(was)
    return count[0]


@pytest.mark.parametrize("notes", [{}, {"reconciler.dev/rings": "cumulative"}])
def test_checks_are_linear_in_the_number_of_stages(notes: dict[str, str]) -> None:
    few, many = (_calls(tree({**BASE, **_staged(count, notes)})) for count in (100, 400))
    assert 0 < few < many < 5 * few


def test_more_stages_than_the_schema_allows_are_refused_and_looked_at_no_further() -> None:
    file = read("i.yaml", _staged(ENTRIES + 1)["i.yaml"])
    text = "i.yaml:9:3: spec.stages has 1001 entries, must have at most 1000"
    assert [str(one) for one in file.problems] == [text]
    assert [str(one) for one in checks.check(tree({**BASE, **_staged(ENTRIES + 1)}))] == [text]
    assert checks.check(tree({**BASE, **_staged(ENTRIES)})) == ()


def test_of_many_expressions_that_can_never_be_evaluated_some_are_told() -> None:
    properties = {f"p{n}": "${{$nosuch()}}" for n in range(30)}
    component = {"name": "web", "type": "config", "properties": properties}
    spec = {"components": [component, {**component, "name": "b"}]}
    found = checks.check(tree({"s.yaml": {"kind": "Solution", "name": "s", "spec": spec}}))
    assert len(found) == 20
    assert sum(one.message.endswith("; and 20 more in this object") for one in found) == 1


KINDS = ("Instance", "Target", "Solution", "SolutionVersion", "SolutionContainer", "Catalog", "CatalogVersion", "CatalogContainer")
NAMES = ("app", "app2", "one", "web-v-v1", "web", "conf")
FIELDS = ("solution", "solutionversion", "target", "stage", "stages", "versions", "components", "rootResource", "parentName", "displayName")
words = st.sampled_from([*NAMES, "BLOCK", "default", "", "*", "web:v1"])
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 200), words),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*FIELDS, "name", "selector", "label", "weight", "scope", "isDryRun"]), inner, max_size=4),
    ),
    max_leaves=12,
)
files = st.builds(
    lambda kind, name, spec: {"kind": kind, "name": name, "spec": spec},
    st.sampled_from(KINDS), st.sampled_from(NAMES), st.one_of(values, st.dictionaries(st.sampled_from(FIELDS), values, max_size=6)),
)  # fmt: skip
trees = st.dictionaries(st.sampled_from(["a.yaml", "b.yaml", "clusters/eu/c.yaml", "hub/d.yaml"]), files, max_size=4)


@given(trees, trees, st.sampled_from([None, [], ["eu"]]))
def test_whatever_a_tree_holds_there_is_an_answer_and_each_place_is_in_it(now: Any, before: Any, clusters: list[str] | None) -> None:
    whole = {**BASE, **now}
    found = checks.check(tree(whole, before=before, clusters=clusters))
    lines = {path: text_of(file).count("\n") for path, file in whole.items()}
    for problem in found:
        assert 0 < problem.place.line <= lines[problem.place.path] and problem.message
    assert found == checks.check(tree(whole, before=before, clusters=clusters))
