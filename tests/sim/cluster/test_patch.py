"""JSON patch and merge patch: the examples of their RFCs, and properties. Recorded cases are in test_merge.py."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.cluster.errors import ApiError
from reconciler.sim.cluster.patch import json_patch, merge_patch
from reconciler.sim.cluster.resources import table
from reconciler.sim.cluster.strategic import strategic_patch
from reconciler.sim.cluster.typed import equal

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=2)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=12,
)

# RFC 7386, appendix A: document, patch, outcome.
MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("document", "patch", "outcome"), MERGES)
def test_merge_patch_as_in_the_rfc(document: Any, patch: Any, outcome: Any) -> None:
    before = copy.deepcopy((document, patch))
    assert merge_patch(document, patch) == outcome
    assert (document, patch) == before


# RFC 6902, appendix A: document, operations, outcome (None: refused).
OPERATIONS: list[tuple[Any, list[dict[str, Any]], Any]] = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    ({"foo": ["all", "grass", "cows"]}, [{"op": "move", "from": "/foo/1", "path": "/foo/2"}], {"foo": ["all", "cows", "grass"]}),
    ({"baz": "qux", "foo": ["a", 2]}, [{"op": "test", "path": "/foo/1", "value": 2}], {"baz": "qux", "foo": ["a", 2]}),
    ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], None),
    ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"x": {}}}], {"foo": "bar", "child": {"x": {}}}),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}], None),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": "10"}], None),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
    ({"foo": [1, 2]}, [{"op": "remove", "path": "/foo/-1"}], {"foo": [1]}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
    ({"a": 1}, [{"op": "add", "path": "x", "value": 1}], None),
    ({"a": 1}, [{"op": "add", "value": 1}], None),
    ({"a": 1}, [{"op": "test", "path": "/a", "value": True}], None),
]


@pytest.mark.parametrize(("document", "operations", "outcome"), OPERATIONS)
def test_json_patch_as_in_the_rfc(document: Any, operations: list[dict[str, Any]], outcome: Any) -> None:
    before = copy.deepcopy((document, operations))
    if outcome is None:
        with pytest.raises(ApiError) as refused:
            json_patch(document, operations)
        assert refused.value.code == 422
    else:
        assert json_patch(document, operations) == outcome
    assert (document, operations) == before


def test_a_json_patch_has_a_limit() -> None:
    with pytest.raises(ApiError) as refused:
        json_patch({}, [{"op": "test", "path": "", "value": {}}] * 10_001)
    assert refused.value.code == 413


scalar_lists = st.lists(st.integers(-3, 3), max_size=3)
merges = st.recursive(
    st.one_of(st.none(), st.integers(-3, 3), scalar_lists),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(json_values, merges)
def test_a_merge_patch_laid_on_twice_is_laid_on_once(document: Any, patch: Any) -> None:
    once = merge_patch(document, patch)
    assert equal(merge_patch(once, patch), once)


@given(st.dictionaries(st.sampled_from("abc"), json_values, max_size=3), json_values, st.text("/abc01-", max_size=6))
def test_any_operation_applies_or_is_refused(document: Any, value: Any, path: str) -> None:
    for name in ("add", "remove", "replace", "test"):
        try:
            json_patch(document, [{"op": name, "path": path, "value": value}])
        except ApiError as refused:
            assert refused.code == 422


words = st.sampled_from(["a", "b", "c", "d"])
containers = st.dictionaries(words, st.fixed_dictionaries({"image": words}), max_size=4).map(
    lambda found: [{"name": name, **about} for name, about in found.items()]
)


@given(containers, containers)
def test_strategic_lists_merge_by_key(before: list[Any], said: list[Any]) -> None:
    of = table().kinds["v1/Pod"].type
    merged = strategic_patch(of, {"spec": {"containers": before}}, {"spec": {"containers": said}})["spec"]["containers"]
    assert {each["name"]: each for each in merged} == {each["name"]: each for each in [*before, *said]}
    assert [each for each in merged if each in said] == said
    again = strategic_patch(of, {"spec": {"containers": merged}}, {"spec": {"containers": said}})
    assert again == {"spec": {"containers": merged}}


@given(json_values)
def test_any_strategic_patch_fits_or_is_refused(patch: Any) -> None:
    of = table().kinds["v1/ConfigMap"].type
    try:
        strategic_patch(of, {"data": {"a": "b"}, "metadata": {"finalizers": ["x"]}}, {"metadata": patch, "data": patch})
    except ApiError as refused:
        assert refused.code in (400, 500)
