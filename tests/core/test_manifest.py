"""A file gives manifests and problems, each at its place; cases/manifest/problems.yaml holds the sentences."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.identity import BlobId, GroupKind
from reconciler.core.manifest import PROBLEMS, PROBLEMS_SOUGHT, Checks, Manifest, Problem, parse
from reconciler.core.types import Types
from tests.core.test_manifest_yaml import TOKENS

BLOB = BlobId("0" * 40)
CASES: list[dict[str, Any]] = list(yaml.safe_load_all((Path(__file__).parent / "cases/manifest/problems.yaml").read_text()))
KUBERNETES = Path(__file__).parents[2] / "schemas" / "kubernetes" / "types.json"
APPROVAL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["verb", "of"],
            "additionalProperties": False,
            "properties": {
                "verb": {"enum": ["approve", "pause", "abort"]},
                "of": {"type": "object", "required": ["name"]},
                "gate": {"type": "string"},
                "revision": {"type": "string"},
            },
        }
    },
}
SCHEMAS = {("reconciler.dev", "v1alpha1", "Approval"): APPROVAL}


@pytest.fixture(scope="module")
def types() -> Types:
    return Types.read(json.loads(KUBERNETES.read_bytes()))


def sentence(problem: Problem) -> str:
    warning = "warning " if problem.severity == "warning" else ""
    return f"{warning}{problem.place.line}:{problem.place.column} {problem.message}"


def told(manifest: Manifest) -> str:
    where = f" in {manifest.namespace}" if manifest.namespace else ""
    return f"{GroupKind(manifest.group, manifest.kind)}/{manifest.name}{where} at {manifest.line}:{manifest.column}"


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any], types: Types) -> None:
    checks = Checks.of(SCHEMAS if case.get("schemas") else {}, types if case.get("types") else None)
    path = case.get("path", "a.yaml")
    file = parse(case["file"].encode(), path, BLOB, checks)
    assert [sentence(problem) for problem in file.problems] == case.get("problems", [])
    assert {problem.place.path for problem in file.problems} <= {path}
    assert [told(manifest) for manifest in file.manifests] == case.get("manifests", [])
    assert [f"{place.line}:{place.column}" for place in file.others] == case.get("others", [])
    assert file.other_documents == len(file.others)
    assert file.readable == all(line.startswith("warning") for line in case.get("problems", []))
    if "bodies" in case:
        assert [manifest.body() for manifest in file.manifests] == case["bodies"]


def test_manifests_know_where_they_are_from() -> None:
    text = b"{apiVersion: apps/v1, kind: A, metadata: {name: a, labels: {x: z}, annotations: {o: m}}}\n---\n---\n"
    text += b"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: B, metadata: {name: b}}]}\n"
    first, second = parse(text, "dir/a.yaml", BLOB).manifests
    assert (first.group, first.version, first.kind, first.namespace, first.name) == ("apps", "v1", "A", "", "a")
    assert (first.labels, first.annotations, first.index, first.blob) == ({"x": "z"}, {"o": "m"}, 0, BLOB)
    assert (second.index, second.document, second.root) == (1, 2, ("items", 0))
    assert first.text == second.text == text
    assert str(second.place(("metadata", "name"))) == "dir/a.yaml:4:81"
    assert second.json == b'{"apiVersion":"v1","kind":"B","metadata":{"name":"b"}}'


def test_a_body_is_a_fresh_copy() -> None:
    (manifest,) = parse(b"{apiVersion: v1, kind: A, metadata: {name: a}, p: &x [1], q: *x}", "a.yaml", BLOB).manifests
    body = manifest.body()
    body["p"].append(2)
    body["metadata"]["name"] = "other"
    assert manifest.body() == {"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "p": [1], "q": [1]}


def test_problems_are_at_most_so_many() -> None:
    many = "".join(f"  k{n}: 1\n" for n in range(100))
    text = f"apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  uid: x\n  labels:\n{many.replace('  k', '    k')}"
    file = parse(text.encode(), "a.yaml", BLOB)
    assert len(file.problems) == PROBLEMS
    duplicates = parse(b"apiVersion: 1\n" * 60, "a.yaml", BLOB).problems
    assert len(duplicates) == PROBLEMS
    assert duplicates[-1].message == "key apiVersion stands twice (first at line 1); and 39 more in this file"


def test_errors_come_before_warnings_where_not_all_are_told() -> None:
    warnings = "".join(f"  k{n}: on\n" for n in range(50))
    text = f"{{apiVersion: v1, kind: A, metadata: {{name: a}}}}\n---\napiVersion: e.com/v1\nkind: B\nspec:\n{warnings}"
    file = parse(text.encode(), "a.yaml", BLOB)
    assert len(file.problems) == PROBLEMS
    assert [p.message for p in file.problems if p.severity == "error"] == ["metadata is missing"]
    assert not file.readable


def test_yaml_errors_leave_no_manifests() -> None:
    file = parse(b"{apiVersion: v1, kind: A, metadata: {name: a}}\n---\n[", "a.yaml", BLOB)
    assert (file.manifests, file.readable, len(file.problems)) == ((), False, 1)


def test_messages_hold_no_control_characters() -> None:
    text = b'apiVersion: v1\nkind: A\nmetadata: {name: "a\\e[31m\\u202E\\n", labels: {"\\e[2J\\n": 1}}\n'
    messages = [problem.message for problem in parse(text, "a.yaml", BLOB).problems]
    assert len(messages) == 2
    assert all(message.isprintable() for message in messages)


@given(st.binary(max_size=300) | st.lists(TOKENS, max_size=40).map(lambda parts: "".join(parts).encode()))
def test_parse_is_total(text: bytes) -> None:
    for path in ("a.yaml", "a.json"):
        file = parse(text, path, BLOB)
        assert len(file.problems) <= PROBLEMS
        for manifest in file.manifests:
            assert msgspec.json.encode(manifest.body()) == manifest.json


OBJECTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["metadata", "name", "labels", "items", "spec", "data"]), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["metadata", "items", "spec", "data", "status", "kind", "apiVersion"]), OBJECTS))
def test_any_object_is_answered(types: Types, entries: dict[str, Any]) -> None:
    """Checks never raise, and every problem stands in the file."""
    for kind in ("Deployment", "Secret", "ConfigMapList", "List"):
        body = {"apiVersion": "apps/v1" if kind == "Deployment" else "v1", "kind": kind, **entries}
        text = json.dumps(body, indent=1)
        file = parse(text.encode(), "a.json", BLOB, Checks.of(SCHEMAS, types))
        lines = text.split("\n")
        for problem in file.problems:
            assert 1 <= problem.place.line <= len(lines)
            assert 1 <= problem.place.column <= len(lines[problem.place.line - 1]) + 1
            assert problem.message.isprintable()


def test_many_faulty_documents_are_read_once(types: Types) -> None:
    """Looking for places is one more pass over the file, and the search for problems ends."""
    documents = b"---\n{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containerz: on}}\n" * 5000
    file = parse(documents, "a.yaml", BLOB, Checks(types=types))
    assert len(file.manifests) == PROBLEMS_SOUGHT // 2 + 1
    assert len(file.problems) == PROBLEMS
    assert {problem.severity for problem in file.problems} == {"error"}


def test_checks_can_be_sent_to_workers(types: Types) -> None:
    checks = pickle.loads(pickle.dumps(Checks.of(SCHEMAS, types)))
    text = b"{apiVersion: reconciler.dev/v1alpha1, kind: Approval, metadata: {name: a}, spec: {}}"
    file = pickle.loads(pickle.dumps(parse(text, "a.yaml", BLOB, checks)))
    assert [problem.message for problem in file.problems] == ["spec.verb is missing", "spec.of is missing"][:1]
    assert file.manifests[0].name == "a"


def test_messages_are_short() -> None:
    deep = "".join(f"{{{'k' * 50}: " for _ in range(50)) + "1" + "}" * 50
    text = f"apiVersion: v1\nkind: A\nmetadata: {{name: {'a.' * 5000}, labels: {{? {'a' * 5000} : 1, b: {deep}}}}}\n"
    problems = parse(text.encode(), "a.yaml", BLOB).problems
    assert len(problems) == 3
    assert max(len(problem.message) for problem in problems) < 200
