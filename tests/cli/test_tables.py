"""Tables fit the terminal, and say nothing that it would obey."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.tables import COLUMN_MIN, aligned, findings, moment, show, table
from reconciler.lib.plain import width

HEADER = ("UNIT", "STATE", "WAITS FOR")
ROWS = [("apps/shop", "Healthy", ""), ("Instance/checkout", "Waiting", "approval of stage canary (merge reconciler/approve/tls-canary)")]


def test_columns_stand_below_each_other() -> None:
    assert table(HEADER, ROWS, None) == [
        "UNIT               STATE    WAITS FOR",
        "apps/shop          Healthy",
        "Instance/checkout  Waiting  approval of stage canary (merge reconciler/approve/tls-canary)",
    ]


def test_the_widest_column_gives_way() -> None:
    assert table(HEADER, ROWS, 60) == [
        "UNIT               STATE    WAITS FOR",
        "apps/shop          Healthy",
        "Instance/checkout  Waiting  approval of stage canary (merge…",
    ]


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=30), st.text(max_size=200)), max_size=5), st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal_nor_obeyed(rows: list[tuple[str, str, str]], limit: int) -> None:
    lines = table(HEADER, rows, limit)
    assert len(lines) == len(rows) + 1
    for line in [*lines, *aligned(rows, "    ", limit)]:
        assert width(line) <= limit
        assert len(line.splitlines()) <= 1
        assert "\x1b" not in line


def test_a_column_is_never_squeezed_away() -> None:
    assert width(table(HEADER, ROWS, 10)[2]) == 3 * COLUMN_MIN + 4 - 1  # STATE is shorter than that


@pytest.mark.parametrize("limit", [None, 100, 60, 40])
def test_a_problem_is_told_in_full_however_narrow(limit: int | None) -> None:
    message = "unknown field spec.template.spec.container; did you mean spec.template.spec.containers?"
    lines = findings([("apps/shop/deployment.yaml:14:3", "error", message), ("a.yaml:1:1", "warning", "short")], limit)
    assert " ".join(" ".join(lines).split()) == f"apps/shop/deployment.yaml:14:3 error {message} a.yaml:1:1 warning short"
    assert limit is None or max(map(len, lines)) <= limit


def test_machines_get_what_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["\x1b[31m", "é", "on"]
    value = {"b": shared, "a": shared, "n": None}
    show(value, "json")
    text = capsys.readouterr().out
    assert json.loads(text) == value
    assert "\x1b" not in text
    show(value, "yaml")
    text = capsys.readouterr().out
    assert yaml.safe_load(text) == value
    assert "\x1b" not in text
    assert "&id" not in text
    assert text.index("b:") < text.index("a:")


def test_moments_are_those_of_the_log() -> None:
    assert moment(1_700_000_000.9) == "2023-11-14T22:13:20Z"
