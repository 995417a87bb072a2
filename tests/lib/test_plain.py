"""Text of unknown origin: harmless, and as wide as it is said to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.lib.plain import cut, pad, plain, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shop", "shop"),
        ("Café 日本", "Café 日本"),
        ("a\x1b[2Jb", "a [2Jb"),
        ("a\x9b2Jb", "a 2Jb"),
        ("two\r\nlines\n", "two lines"),
        ("evil\u202egnp.exe", "evil gnp.exe"),
        ("zero\u200bwidth", "zero width"),
        ("half\ud800", "half"),
        ("tag\U000e0041", "tag"),
    ],
)
def test_nothing_is_left_that_a_terminal_obeys(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    shown = plain(text)
    assert plain(shown) == shown
    assert "\x1b" not in shown
    assert len(shown.splitlines()) <= 1
    shown.encode()


@given(st.text(), st.integers(0, 40))
def test_a_cut_text_fits(text: str, columns: int) -> None:
    assert width(cut(text, columns)) <= columns
    assert width(pad(cut(text, columns), columns)) == columns


def test_wide_characters_take_two_columns() -> None:
    assert width("日本") == 4
    assert cut("日本語", 5) == "日本…"
    assert cut("reconciler", 6) == "recon…"
    assert cut("fits", 4) == "fits"
