"""A log line stays one line, is JSON, and shows no credential, whatever it is given."""

from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.clock import Clock
from reconciler.core.identity import Instant
from reconciler.core.messages import Log
from reconciler.log import VALUE_LIMIT, line, write

NOON = Instant(wall=1893499800.25, steady=0.0)


def test_a_line_has_time_level_message_and_then_the_facts() -> None:
    stream = io.StringIO()
    write(Log("info", "weight moved", (("cluster", "edge-eu"), ("to_percent", 50), ("held", False), ("gate", None))), NOON, stream)
    assert stream.getvalue() == (
        '{"at":"2030-01-01T12:10:00.250Z","level":"info","msg":"weight moved",'
        '"cluster":"edge-eu","to_percent":50,"held":false,"gate":null}\n'
    )


def test_facts_cannot_take_the_place_of_what_every_line_has() -> None:
    assert json.loads(line(Log("error", "real", (("msg", "forged"), ("level", "info"))), NOON))["msg"] == "real"


def test_a_credential_is_masked_and_a_long_value_cut() -> None:
    entry = Log("warning", "no answer", (("error", "https://u:secret@host"), ("text", "x" * 5000)))
    facts = json.loads(line(entry, NOON))
    assert facts["error"] == "https://***@host"
    assert facts["text"] == "x" * VALUE_LIMIT + "… (5000 characters)"


@given(st.text(st.characters(), max_size=VALUE_LIMIT))
def test_whatever_stands_in_a_fact_reads_back_and_steers_no_terminal(text: str) -> None:
    written = line(Log("info", "said", (("text", text),)), NOON)
    written.encode("utf-8")
    assert written.isprintable() or all(c.isprintable() or ord(c) > 0xA0 for c in written)
    assert len(written.splitlines()) == 1
    read = json.loads(written)["text"]
    assert read == text or "***" in read


def test_the_clock_moves_on_both_hands_alike() -> None:
    clock = Clock()
    first, second = clock.now(), clock.now()
    assert first.steady <= second.steady
    assert abs(first.wall - first.steady) < 1.0
