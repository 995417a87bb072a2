"""Instances, solutions and targets of all generations become one value, or say what is wrong with them and where."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler import schemas
from reconciler.core.identity import BlobId
from reconciler.core.manifest import NO_CHECKS, Checks, Manifest, Problem, parse
from reconciler.kinds.symphony import read

CASES = Path(__file__).parent / "cases"
GOOD: list[dict[str, Any]] = list(yaml.safe_load_all((CASES / "good.yaml").read_text()))
BAD: list[dict[str, Any]] = list(yaml.safe_load_all((CASES / "bad.yaml").read_text()))
BLOB = BlobId("0" * 40)
CHECKS = Checks.of(schemas.of_manifests())
USUAL: dict[str, Any] = {"active": True, "rings": "exclusive", "ring_overlap": "none"}

Read = Callable[[Manifest], tuple[Any, tuple[Problem, ...]]]


def read_of(manifest: Manifest) -> tuple[Any, tuple[Problem, ...]]:
    functions: dict[str, Read] = {"Instance": read.instance, "Target": read.target}
    return functions.get(manifest.kind, read.solution)(manifest)


def one(text: str, checks: Checks = CHECKS) -> Manifest:
    file = parse(text.encode(), "a.yaml", BLOB, checks)
    assert [str(problem) for problem in file.problems] == []
    (manifest,) = file.manifests
    return manifest


def plain(value: Any) -> Any:
    """A value as a case writes it: without what is as it usually is, and without where it stands."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    names = [field.name for field in dataclasses.fields(value) if field.name not in ("manifest", "pointer")]
    parts = {name: plain(getattr(value, name)) for name in names}
    return {name: part for name, part in parts.items() if part != USUAL.get(name) and (part or name == "active") and part != []}


def sentence(problem: Problem) -> str:
    warning = "warning " if problem.severity == "warning" else ""
    return f"{warning}{problem.place.line}:{problem.place.column} {problem.message}"


def text_of(case: dict[str, Any]) -> str:
    if "file" in case:
        return str(case["file"])
    group = "fabric.symphony" if case["kind"] == "Target" else "solution.symphony"
    head = f"apiVersion: {group}/v1\nkind: {case['kind']}\nmetadata: {{name: app}}\n"
    return head + ("spec:\n" + "".join(f"  {line}\n" for line in case["spec"].splitlines()) if "spec" in case else "")


@pytest.mark.parametrize("case", GOOD, ids=[case["name"] for case in GOOD])
def test_good(case: dict[str, Any]) -> None:
    for text in case["objects"]:
        manifest = one(text)
        value, problems = read_of(manifest)
        assert [sentence(problem) for problem in problems] == [f"warning {line}" for line in case.get("warnings", [])]
        assert plain(value) == case["value"]
        assert value is None or value.manifest is manifest


@pytest.mark.parametrize("case", BAD, ids=[case["name"] for case in BAD])
def test_bad(case: dict[str, Any]) -> None:
    file = parse(text_of(case).encode(), "a.yaml", BLOB, CHECKS)
    problems = list(file.problems)
    for manifest in file.manifests if file.readable else ():
        value, found = read_of(manifest)
        problems += found
        assert (value is None) == any(problem.severity == "error" for problem in found)
    assert [sentence(problem) for problem in sorted(problems, key=lambda problem: problem.place)] == case["problems"]
    assert {problem.place.path for problem in problems} == {"a.yaml"}
    errors = [problem for problem in problems if problem.severity == "error" and not problem.message.startswith("unknown field ")]
    if errors and file.manifests and file.manifests[0].version == "v1":
        (manifest,) = parse(text_of(case).encode(), "a.yaml", BLOB).manifests
        assert read_of(manifest)[0] is None, "refused by its schema alone"


# -- names ----------


@pytest.mark.parametrize(
    ("text", "root", "version"),
    [
        ("app", "app", ""),
        ("app:v1", "app", "v1"),
        ("app-v-v1", "app", "v1"),
        ("app-v-1.0.0", "app", "1.0.0"),
        ("my-v-app-v-1", "my-v-app", "1"),
        ("my-v-app:1", "my-v-app", "1"),
        ("a-v-v-1", "a-v", "1"),
        ("app:", "app", ""),
        ("a:b:c", "a", "b:c"),
        ("app-v-", "app-v-", ""),
        ("-v-1", "-v-1", ""),
        ("", "", ""),
    ],
)
def test_references_name_a_root_and_a_version(text: str, root: str, version: str) -> None:
    assert read.parse_ref(text) == (root, version)


@pytest.mark.parametrize(
    ("kind", "name", "spec", "root", "version"),
    [
        ("Solution", "app", "{}", "app", ""),
        ("Solution", "app-v-1", "{}", "app-v-1", ""),
        ("Solution", "app-v-1", "{rootResource: app}", "app", "1"),
        ("SolutionVersion", "app-v-1", "{}", "app", "1"),
        ("SolutionVersion", "app-v-1", "{rootResource: other}", "app-v-1", ""),
        ("SolutionVersion", "app-v-v-1", "{rootResource: app-v}", "app-v", "1"),
        ("SolutionVersion", "app", "{}", "app", ""),
        ("SolutionVersion", "app-v-1", "[]", "app", "1"),
        ("SolutionVersion", "app-v-1", "{rootResource: 1}", "app", "1"),
    ],
)
def test_objects_are_called_by_root_and_version(kind: str, name: str, spec: str, root: str, version: str) -> None:
    text = f"{{apiVersion: solution.symphony/v1, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}"
    assert read.solution_name(one(text, NO_CHECKS)) == (root, version)


# -- what messages point at, and what is kept ----------


def pointers(value: Any) -> list[Any]:
    if isinstance(value, tuple):
        return [found for item in value for found in pointers(item)]
    if not dataclasses.is_dataclass(value):
        return []
    own = [(value.pointer, plain(value))] if hasattr(value, "pointer") else []
    return own + [found for field in dataclasses.fields(value) for found in pointers(getattr(value, field.name))]


def test_every_pointer_leads_to_what_it_is_of() -> None:
    count = 0
    for case in GOOD:
        for text in case["objects"]:
            manifest = one(text)
            for pointer, parts in pointers(read_of(manifest)[0]):
                there: Any = manifest.body() if parts else None
                for step in pointer if parts else ():
                    there = there[step]
                same = [key for key in ("name", "provider", "weight") if isinstance(there, dict) and key in there and key in parts]
                assert [there[key] for key in same] == [parts[key] for key in same]
                count += len(same)
    assert count == 49


def test_an_answer_is_kept_with_its_manifest() -> None:
    text = GOOD[2]["objects"][0]
    manifest, again = one(text), one(text)
    assert read.instance(manifest) is read.instance(manifest)
    assert read.instance(again)[0] is not read.instance(manifest)[0]


def test_schemas_that_share_a_part_agree_on_it() -> None:
    """Each file stands alone, for editors; what stands in two of them is the same."""
    parts: dict[str, Any] = {}
    for schema in schemas.of_manifests().values():
        for name, part in schema.get("$defs", {}).items():
            assert parts.setdefault(name, part) == part
    assert len(parts) == 8


# -- hostile input ----------


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_very_many_stages(count: int) -> None:
    """As many as the schema allows are read, and of their faults a few are told; more are refused in its words, at its place."""
    text = "apiVersion: solution.symphony/v1\nkind: Instance\nmetadata: {name: a}\nspec:\n  stages:\n"
    text += "".join(f"  - {{name: s{n % (count // 2)}, versions: [{{solution: a, weight: -1}}]}}\n" for n in range(count))
    (manifest,) = parse(text.encode(), "a.yaml", BLOB).manifests
    value, problems = read.instance(manifest)
    assert value is None
    if count > read.ENTRIES:
        assert problems[0] in parse(text.encode(), "a.yaml", BLOB, CHECKS).problems
        assert [str(one) for one in problems] == ["a.yaml:5:3: spec.stages has 10000 entries, must have at most 1000"]
    else:
        assert len(problems) == read.PROBLEMS
        assert problems[-1].message.endswith("and 1482 more in this object")


def test_no_crowd_of_warnings_hides_an_error() -> None:
    text = "apiVersion: solution.symphony/v1\nkind: Instance\nmetadata: {name: a}\nspec:\n  stages:\n"
    text += "".join(f"  - {{name: s{n}, arguments: {{a: b}}}}\n" for n in range(30)) + "  solution: a\n  target: {name: b}\n  stage: s\n"
    value, problems = read.instance(one(text))
    assert value is None
    assert [problem.place.line for problem in problems if problem.severity == "error"] == [38]
    assert len(problems) == read.PROBLEMS


@pytest.mark.parametrize("kind", ["Instance", "Target", "Solution", "SolutionVersion"])
@pytest.mark.parametrize("spec", ["[" * 150 + "]" * 150, "{a: " * 150 + "}" * 150, '"' + "x" * 100_000 + '"', "1", "1e400", "[]", "~"])
def test_a_spec_that_is_anything(kind: str, spec: str) -> None:
    group = "fabric.symphony" if kind == "Target" else "solution.symphony"
    text = f"{{apiVersion: {group}/v1, kind: {kind}, metadata: {{name: a}}, spec: {spec}}}"
    file = parse(text.encode(), "a.yaml", BLOB)
    for manifest in file.manifests:
        _, problems = read_of(manifest)
        assert all(len(problem.message) < 400 and problem.message.isprintable() for problem in problems)


@pytest.mark.parametrize("key", ["stage", "solution", "scope", "activeState", "schedule", "displayName"])
def test_a_huge_text_is_told_in_short(key: str) -> None:
    fields = {"solution": "a", "stage": "BLOCK", "target": {"name": "b"}, key: "BLOCK\u0000\u202e" * 50_000}
    body = {"apiVersion": "solution.symphony/v1", "kind": "Instance", "metadata": {"name": "a"}, "spec": fields}
    (manifest,) = parse(msgspec.json.encode(body), "a.json", BLOB).manifests
    value, problems = read.instance(manifest)
    assert (value is None) == bool(problems) == (key != "displayName")
    assert all(len(problem.message) < 400 and problem.message.isprintable() for problem in problems)


WORDS = [
    "BLOCK", "default", "", "ring0", "app:v1", "app-v-v1", "active", "2030-01-31T08:00:00Z", "1:00:00PM", "2030-03-10", "PST", "10m", "a",
]  # fmt: skip
KEYS = [
    "stage", "solution", "solutionversion", "target", "stages", "versions", "weight", "percentage", "schedule", "date", "time", "zone",
    "name", "selector", "topologies", "bindings", "role", "provider", "config", "components", "dependencies", "properties", "metadata",
    "scope", "solutionScope", "solutionversionScope", "reconciliationPolicy", "state", "interval", "optOutReconciliation", "activeState",
    "isDryRun", "rootResource", "sidecars", "parameters", "constraints", "device", "displayName", "forceRedeploy",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5),
    st.sampled_from(WORDS),
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)), max_leaves=12
)


def texts(*names: str) -> dict[str, Any]:
    return {name: st.one_of(st.sampled_from(WORDS), st.sampled_from(WORDS), ANYTHING) for name in names}


def maybe(fields: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.fixed_dictionaries({}, optional=fields), ANYTHING)


WEIGHT = st.one_of(st.integers(-1, 100), ANYTHING)
SCHEDULE = st.one_of(maybe(texts("date", "time", "zone")), st.sampled_from(WORDS))
CHOICE = maybe({**texts("name"), "selector": maybe(texts("a"))})
SHARES = st.lists(maybe({**texts("solution", "solutionversion"), "weight": WEIGHT, "percentage": WEIGHT}), max_size=3)
BINDINGS = st.lists(maybe({**texts("role", "provider"), "config": maybe(texts("a"))}), max_size=2)
TOPOLOGIES = st.lists(maybe({**texts("device"), "selector": maybe(texts("a")), "bindings": BINDINGS}), max_size=2)
STAGE = maybe(
    {**texts("name", "solution", "solutionversion"), "target": CHOICE, "versions": SHARES, "schedule": SCHEDULE, "topologies": TOPOLOGIES}
)
COMPONENT = maybe({**texts("name", "type", "constraints"), "dependencies": st.lists(st.sampled_from(WORDS)), "properties": ANYTHING})
SPEC = maybe(
    {
        **texts("stage", "solution", "solutionversion", "scope", "solutionScope", "solutionversionScope", "activeState", "rootResource"),
        "target": CHOICE,
        "versions": SHARES,
        "stages": st.lists(STAGE, max_size=3),
        "schedule": SCHEDULE,
        "topologies": TOPOLOGIES,
        "components": st.lists(COMPONENT, max_size=4),
        "reconciliationPolicy": maybe(texts("state", "interval")),
    }
)


@given(kind=st.sampled_from(["Instance", "Target", "Solution", "SolutionVersion"]), spec=SPEC, name=st.sampled_from(["a", "app-v-v1"]))
def test_anything_is_a_value_or_has_an_error(kind: str, spec: Any, name: str) -> None:
    """And what its schema refuses, but for fields that nobody knows, is refused where no schema was at hand."""
    group = "fabric.symphony" if kind == "Target" else "solution.symphony"
    body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    text = msgspec.json.encode(body)
    for manifest in parse(text, "a.json", BLOB).manifests:
        value, problems = read_of(manifest)
        wrong = any(problem.severity == "error" for problem in problems)
        assert not (value is not None and wrong)
        assert value is not None or wrong or (kind == "Solution" and "components" not in (spec or {})) or spec["components"] is None
        assert all(problem.message.isprintable() and problem.place.line == 1 for problem in problems)
        refused = CHECKS.find(group, "v1", kind, manifest.body())
        assert value is None or all(finding.message.startswith("unknown field ") for finding in refused)
