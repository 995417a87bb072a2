"""What an API server says of a Secret never shows the Secret."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.payload import without_values

VALUE = st.text("abcdefXYZ019+/=-_ \u00e9", min_size=4, max_size=30)


@given(VALUE, st.booleans(), st.text(max_size=20))
def test_no_form_of_a_value_is_repeated(value: str, encoded: bool, around: str) -> None:
    in_base64 = base64.b64encode(value.encode()).decode()
    secret = {"data": {"k": in_base64}} if encoded else {"stringData": {"k": value}}
    message = f'{around} Invalid value: "{value}": {in_base64 if encoded else ""} {around}'
    cleaned = without_values(message, secret)
    assert value not in cleaned.replace("(not shown)", "")
    assert not encoded or in_base64 not in cleaned


def test_what_is_no_secret_value_stays() -> None:
    assert without_values('unknown field "spec.foo"', {"data": None, "stringData": {"a": "", "b": 3}}) == 'unknown field "spec.foo"'
