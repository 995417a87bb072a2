"""Quantities: what a real API server stored, and the algebra."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.lib import quantity

STORED = json.loads((Path(__file__).parent / "quantities.json").read_text())


@pytest.mark.parametrize("written", STORED)
def test_texts_as_a_real_api_server_stored_them(written: str) -> None:
    """`null` where the server refused the value."""
    stored = STORED[written]
    if stored is None:
        with pytest.raises(ValueError):
            quantity.parse(written)
    else:
        assert quantity.canonical(written) == stored


texts = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "+", "-"]),
    st.integers(0, 10**16),
    st.one_of(st.just(""), st.integers(0, 10**7).map(".{}".format)),
    st.sampled_from([*" numkMGTPE", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "e-3", "E6"]).map(str.strip),
)


@given(texts)
def test_what_is_printed_prints_itself_again(text: str) -> None:
    once = quantity.canonical(text)
    assert quantity.canonical(once) == once


@given(texts)
def test_printing_keeps_the_amount_below_1000_exa(text: str) -> None:
    amount = quantity.parse(text)
    if abs(amount.nanos) < 10**30:
        assert quantity.parse(str(amount)) == amount
        assert quantity.equal(text, str(amount))


@given(texts, texts)
def test_order_is_that_of_the_amounts(left: str, right: str) -> None:
    a, b = quantity.parse(left), quantity.parse(right)
    assert (a < b) == (a.nanos < b.nanos)
    assert (a == b) == quantity.equal(left, right)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        quantity.parse(text)


EQUAL = [("1", 1), ("0.5", 0.5), ("500m", 0.5), ("a", "a"), ("1Gi", "1024Mi"), ({}, {})]
DIFFERENT = [("a", "b"), (None, "1"), ("1", "1m"), ("1", True), ("1", [])]


@pytest.mark.parametrize(
    ("left", "right", "same"), [(*pair, True) for pair in EQUAL] + [(*pair, False) for pair in DIFFERENT]
)
def test_equality_of_json_values(left: object, right: object, same: bool) -> None:
    assert quantity.equal(left, right) is same


def test_limits() -> None:
    with pytest.raises(ValueError):
        quantity.parse("1e401")
    with pytest.raises(ValueError):
        quantity.parse("1" * 257)


@pytest.mark.parametrize(
    ("values", "sum_"),
    [([], "0"), (["100m", "1"], "1100m"), (["0", "100Mi", "100Mi"], "200Mi"), (["1Gi", "1G"], "2073741824"), (["1", "2"], "3")],
)
def test_sums_keep_the_form_of_their_first_amount(values: list[str], sum_: str) -> None:
    assert quantity.total(values) == sum_
