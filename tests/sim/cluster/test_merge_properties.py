"""Server-side apply: what holds for every object and every configuration."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.cluster import managers
from reconciler.sim.cluster.compare import compare
from reconciler.sim.cluster.typed import equal, merge, remove, to_set

from .machine import Machine, definition_kind

Json = dict[str, Any]

OF = definition_kind("test.example/v1/Widget").type
words = st.sampled_from(["a", "b", "c"])
parts = st.dictionaries(
    st.tuples(words, st.sampled_from(["left", "right"])), st.fixed_dictionaries({}, optional={"weight": st.integers(0, 2)}), max_size=3
).map(lambda found: [{"name": name, "side": side, **about} for (name, side), about in found.items()])
specs = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 3),
        "tags": st.lists(words, unique=True, max_size=3),
        "words": st.lists(words, max_size=2),
        "labels": st.dictionaries(words, words, max_size=2),
        "selector": st.dictionaries(words, words, max_size=2),
        "settings": st.dictionaries(words, st.one_of(words, st.dictionaries(words, words, max_size=2)), max_size=2),
        "parts": parts,
    },
)
configs = specs.map(lambda spec: {"spec": spec})
histories = st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), configs, st.booleans()), max_size=5)


def after(history: list[tuple[str, Json, bool]]) -> Machine:
    """A widget that was applied and updated so."""
    machine = Machine("test.example/v1/Widget")
    machine.do({"create": {"spec": {}}, "by": "creator"}, 0)
    for number, (manager, config, updates) in enumerate(history):
        machine.do({"merge" if updates else "apply": config, "by": manager, "force": True}, number)
    return machine


@given(histories, configs)
def test_applying_twice_changes_nothing(history: list[tuple[str, Json, bool]], config: Json) -> None:
    machine = after(history)
    machine.do({"apply": config, "by": "me", "force": True}, 50)
    once = machine.live
    answer = machine.do({"apply": config, "by": "me"}, 51)
    assert answer["code"] == 200
    assert machine.live == once


@given(histories, configs)
def test_an_applier_owns_what_it_says_and_it_is_so(history: list[tuple[str, Json, bool]], config: Json) -> None:
    machine = after(history)
    machine.do({"apply": config, "by": "me", "force": True}, 50)
    assert machine.live is not None
    owners = managers.decode(machine.live["metadata"]["managedFields"])
    said = to_set(OF, config)
    mine = owners.get(managers.Identity("me", "Apply", "", ""))
    assert (mine.fields if mine else managers.NO_FIELDS) == said
    assert equal(merge(OF, machine.live, config), machine.live)


@given(configs, configs)
def test_walks_over_one_value_agree(left: Json, right: Json) -> None:
    found = compare(OF, left, right)
    assert (not found.removed and not found.modified and not found.added) == equal(left, right)
    merged = merge(OF, left, right)
    assert not compare(OF, merged, merged).modified
    assert equal(merge(OF, merged, right), merged)
    everything = to_set(OF, left)
    cut = remove(OF, left, everything)
    assert not to_set(OF, cut).intersection(everything)


@given(histories, configs)
def test_letting_go_gives_back_only_what_was_ones_own(history: list[tuple[str, Json, bool]], config: Json) -> None:
    machine = after(history)
    before = machine.live
    machine.do({"apply": config, "by": "me"}, 50)
    if machine.live is before:
        return  # a conflict: nothing happened
    machine.do({"apply": {"spec": {}}, "by": "me"}, 51)
    assert before is not None
    assert machine.live is not None
    others = managers.decode(before["metadata"]["managedFields"])
    still = managers.decode(machine.live["metadata"]["managedFields"])
    assert {who: entry.fields for who, entry in still.items() if who.manager != "me"} == {
        who: entry.fields for who, entry in others.items()
    }
