"""One scalar is changed, and not a byte beside it; what only a person can change is left to people, with the place."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.events import Form
from reconciler.core.problem import Pointer
from reconciler.core.scalar_edit import Refusal, replace
from reconciler.core.yaml import load

CASES = pyyaml.safe_load((Path(__file__).parent / "cases" / "scalar_edit.yaml").read_text(encoding="utf-8"))

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORDS = st.sampled_from(["", "y", "~", "null", "on", "1", "0x1", "1e3", ".5", "-", "<<", "=", "a:", "- a", "? a", "a #", "a b", "'", '"'])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | TEXT | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd") | TEXT, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES, min_size=1, max_size=4), min_size=1, max_size=3)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_scalar_is_changed_or_left_to_a_person(case: dict[str, Any]) -> None:
    pointer = tuple(case.get("at", ("spec", "stage")))
    found = replace(case["text"].encode(), case.get("form", "yaml"), case.get("document", 0), pointer, case.get("value", "ring0"))
    if "refused" in case:
        assert isinstance(found, Refusal) and str(found).startswith(case["refused"]), found
    else:
        assert isinstance(found, bytes) and found.decode() == case["want"], found


def pointers(value: Any, at: Pointer = ()) -> list[Pointer]:
    """Where a scalar stands, or could be put in."""
    found: list[Pointer] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += pointers(inner, (*at, key)) if isinstance(inner, dict | list) else [(*at, key)]
    return [*found, (*at, "new")] if isinstance(value, dict) else found


def with_value(document: Any, pointer: Pointer, value: str) -> Any:
    changed = copy.deepcopy(document)
    node = changed
    for step in pointer[:-1]:
        node = node[step]
    node[pointer[-1]] = value
    return changed


def common(old: list[str], new: list[str]) -> int:
    """How many lines are the same, from the first one on."""
    return next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


@given(st.data(), DOCUMENTS, TEXT | WORDS, st.sampled_from(["block", "flow", "json", "quoted", "crlf"]))
def test_the_file_reads_the_same_but_for_that_value(data: st.DataObject, documents: list[Any], value: str, style: str) -> None:
    form: Form = "json" if style == "json" else "yaml"
    if style == "json":
        documents = documents[:1]
        text = json.dumps(documents[0], indent=data.draw(st.sampled_from([None, 2])), ensure_ascii=False)
    else:
        text = pyyaml.safe_dump_all(
            documents,
            default_flow_style=style == "flow",
            default_style="'" if style == "quoted" else None,
            explicit_start=True,
            allow_unicode=True,
            line_break="\r\n" if style == "crlf" else None,
        )
    before = load(text.encode(), form)
    if any(fault.severity == "error" for fault in before.faults):
        return  # what PyYAML writes is not all that kubectl reads
    number = data.draw(st.integers(0, len(documents) - 1))
    there = pointers(before.documents[number].value)
    if not there:
        return
    pointer = data.draw(st.sampled_from(there))
    changed = replace(text.encode(), form, number, pointer, value)
    if isinstance(changed, Refusal):
        known = ["has a tag", "lines of its own", "marks", "a key beside", *(["written in a way"] if "? " in text else [])]
        assert any(why in changed.reason for why in known), (text, changed)
        return
    after = load(changed, form)
    assert [fault for fault in after.faults if fault.severity == "error"] == []
    expected = [document.value for document in before.documents]
    expected[number] = with_value(expected[number], pointer, value)
    assert [document.value for document in after.documents] == expected
    assert replace(changed, form, number, pointer, value) == changed, "what stands there already is left as it is"
    old, new = text.split("\n"), changed.decode().split("\n")
    above = common(old, new)
    below = common(old[above:][::-1], new[above:][::-1])
    assert len(new) - above - below <= 2, "one line of the file changes, or goes before the first of a list's item"


@given(st.binary(max_size=60) | st.text("ab:{}[],&*!|>'\"#-?\n\r \t<~").map(str.encode), st.sampled_from(["yaml", "json"]), TEXT)
def test_whatever_the_bytes_are_it_answers(text: bytes, form: Form, value: str) -> None:
    for pointer in (("a",), ("a", "b"), ("a", 0), ("",)):
        found = replace(text, form, 0, pointer, value)
        assert isinstance(found, bytes | Refusal)
