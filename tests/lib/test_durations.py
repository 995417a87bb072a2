"""Spans of time: Go's syntax in, one number and one unit out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.lib.durations import brief, parse


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("100ms", 0.1),
        ("0", 0.0),
        ("2h45m30s", 9930.0),
        ("", None),
        ("30", None),
        ("s", None),
        ("-5s", None),
        ("5 s", None),
        ("1h 30m", None),
        ("1d", None),
        ("٣s", None),
        ("9" * 400 + "s", None),
    ],
)
def test_spans_are_read_as_go_reads_them(text: str, seconds: float | None) -> None:
    assert parse(text) == (None if seconds is None else pytest.approx(seconds))


@given(st.text(max_size=20))
def test_any_text_has_an_answer(text: str) -> None:
    seconds = parse(text)
    assert seconds is None or 0 <= seconds < 1e18


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (0.9, "0s"), (40, "40s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_399, "23h"), (3 * 86_400, "3d")],
)
def test_spans_are_cut_to_one_unit(seconds: float, text: str) -> None:
    assert brief(seconds) == text
