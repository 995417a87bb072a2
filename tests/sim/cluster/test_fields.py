"""Field sets: the algebra, and the written form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.cluster import fields
from reconciler.sim.cluster.fields import FieldsError, FieldSet

names = st.sampled_from(["a", "b", "spec", ".", "x/y", "é"])
scalars = st.one_of(st.text(max_size=3), st.integers(-3, 3), st.booleans(), st.sampled_from([1.5, 2.0]))
steps = st.one_of(
    names.map(fields.field),
    st.dictionaries(names, scalars, min_size=1, max_size=2).map(fields.item),
    scalars.map(fields.value),
    st.integers(0, 3).map("i:{}".format),
)
sets = st.lists(st.lists(steps, min_size=1, max_size=4).map(tuple), max_size=8).map(lambda paths: FieldSet.of(*paths))


@given(sets)
def test_what_is_written_reads_back(owned: FieldSet) -> None:
    document = owned.to_json()
    assert FieldSet.from_json(document) == owned
    assert FieldSet.from_json(document).to_json() == document


@given(sets)
def test_paths_make_their_set_again(owned: FieldSet) -> None:
    assert FieldSet.of(*owned) == owned
    assert all(path in owned for path in owned)
    assert bool(owned) == bool(list(owned))


@given(sets, sets)
def test_union_intersection_and_difference_are_those_of_the_paths(one: FieldSet, two: FieldSet) -> None:
    first, second = dict.fromkeys(one), dict.fromkeys(two)
    assert dict.fromkeys(one.union(two)) == dict.fromkeys(one.union(two)) | first | second
    assert len(list(one.union(two))) == len(first | second)
    assert [path for path in one if path in second] == list(one.intersection(two))
    assert [path for path in one if path not in second] == list(one.difference(two))


@given(sets, sets)
def test_a_difference_with_what_is_below_takes_whole_branches(one: FieldSet, two: FieldSet) -> None:
    def below(path: fields.Path) -> bool:
        return any(path[: len(other)] == other for other in two)

    assert list(one.difference_with_below(two)) == [path for path in one if not below(path)]


def test_the_written_order_is_fields_keys_values_positions() -> None:
    owned = FieldSet.of(("i:1",), ('v:"b"',), ("v:2",), ("v:10",), ("f:b",), ('k:{"name":"b"}',), ('k:{"name":"a"}',), ("f:B",))
    expected = ["f:B", "f:b", 'k:{"name":"a"}', 'k:{"name":"b"}', "v:2", "v:10", 'v:"b"', "i:1"]
    assert list(owned.to_json()) == expected


def test_equal_steps_have_one_spelling() -> None:
    assert fields.canonical('k:{"protocol": "TCP", "port": 80.0}') == fields.item({"port": 80, "protocol": "TCP"})
    assert fields.canonical("v:80.0") == "v:80"
    assert fields.canonical("q:new sort") == ""


def test_paths_are_shown_as_messages_show_them() -> None:
    path = ("f:spec", 'k:{"port":80,"protocol":"TCP"}', 'v:"a"', "i:3")
    assert fields.to_text(path) == '.spec[port=80,protocol="TCP"][="a"][3]'


@pytest.mark.parametrize("document", [[], "x", {"a": {}}, {"f": {}}, {"k:[]": {}}, {"k:{": {}}, {"f:a": 1}, {"v:": {}}])
def test_malformed_documents_are_refused(document: object) -> None:
    with pytest.raises(FieldsError):
        FieldSet.from_json(document)


def test_depth_is_bounded() -> None:
    document: dict[str, object] = {}
    for _ in range(fields.DEPTH_LIMIT + 2):
        document = {"f:a": document}
    with pytest.raises(FieldsError):
        FieldSet.from_json(document)
