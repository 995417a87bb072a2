"""Records as Secrets: what is written is read back, whole or not at all."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.records import PART_BYTES, Json, Record, Unreadable, read, write

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(), x, max_size=4),
    max_leaves=12,
)


def stored(body: bytes, version: str = "7") -> Json:
    """A body as the API server gives it back."""
    secret: Json = msgspec.json.decode(body)
    secret["metadata"]["resourceVersion"] = version
    return secret


@given(st.text(min_size=1), st.dictionaries(st.text(), VALUES))
def test_what_is_written_is_read_back(key: str, value: Json) -> None:
    written = write(key, value, "")
    assert read([stored(written.head)]) == ({key: Record(value, "7")}, ())
    assert write(key, value, "").head == written.head, "the same record is the same bytes"


def large(seed: int) -> Json:
    """A record that does not compress below one part."""
    return {"noise": random.Random(seed).randbytes(int(PART_BYTES * 1.7)).hex()}


def test_a_large_record_is_cut_and_joined() -> None:
    value = large(1)
    written = write("unit", value, "3")
    assert len(written.parts) == 2 and all(len(body) < 1_000_000 for body in [*written.parts.values(), written.head])
    secrets = [stored(body) for body in [*written.parts.values(), written.head]]
    assert read(secrets) == ({"unit": Record(value, "7", tuple(written.parts))}, ())


def test_parts_of_an_unfinished_write_are_told_and_harmless() -> None:
    old, new = write("unit", large(1), ""), write("unit", large(2), "7")
    secrets = [stored(body) for body in [*old.parts.values(), *new.parts.values(), old.head]]
    records, unused = read(secrets)
    assert records["unit"].value == large(1) and unused == tuple(new.parts)


@pytest.mark.parametrize("broken", ["part missing", "no data", "not base64", "not compressed", "bomb"])
def test_what_cannot_be_read_is_never_a_record(broken: str) -> None:
    written = write("unit", large(1) if broken == "part missing" else {"step": 1}, "")
    secret = stored(written.head)
    match broken:
        case "no data":
            del secret["data"]
        case "not base64":
            secret["data"]["record"] = "€"
        case "not compressed":
            secret["data"]["record"] = "AAAA"
        case "bomb":
            secret = stored(write("unit", {"zeros": "0" * (65 * 1024 * 1024)}, "").head)
    with pytest.raises(Unreadable):
        read([secret])
