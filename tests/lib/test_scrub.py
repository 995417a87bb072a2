"""What looks like a credential is taken out of texts, and the rest is left as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.lib.scrub import scrub


def test_credentials_are_masked_wherever_they_stand() -> None:
    cases = {
        "fatal: https://bob:s3cret@git.example/shop.git not found": "fatal: https://***@git.example/shop.git not found",
        "https://tok:p@ss@git.example/x": "https://***@git.example/x",
        "ssh://git@git.example/x": "ssh://***@git.example/x",
        "HTTPS://u:p@h": "HTTPS://***@h",
        "header Authorization: Basic Ym9iOnBhc3M= refused": "header Authorization: Basic *** refused",
        "sent Bearer abc.def-ghi_jkl": "sent Bearer ***",
        "got eyJhbGciOi.eyJzdWIiOi.c2lnbmF0 back": "got *** back",
        "key -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- end": "key *** end",
        "cut off -----BEGIN PRIVATE KEY-----\nMIIE": "cut off ***",
    }
    assert {text: scrub(text) for text in cases} == cases


def test_other_texts_stay_as_they_are() -> None:
    for text in ("https://git.example/a@b", "mail bob@example.com", "unexpected token in line 3", "the bearer of this", "a\n\tb"):
        assert scrub(text) == text


@given(st.text(alphabet="abc:@/", max_size=30), st.text(alphabet="abc:@", min_size=1, max_size=10))
def test_the_user_part_of_a_url_never_survives(before: str, secret: str) -> None:
    assert "S3CRET" not in scrub(f"{before} https://{secret}S3CRET@host/path")
