"""Addresses: the operator's beginnings, and everything that only looks as if it began so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.lib.urls import CHARACTERS, allowed, is_plain

BEGINNINGS = ("https://charts.example.org", "oci://registry.example.org/team", "http://127.0.0.1:8080/", "https://[2001:db8::1]/a/")

PLAIN = [
    "https://charts.example.org",
    "https://charts.example.org/",
    "https://charts.example.org/a/web-1.0.0+b_1~2.tgz",
    "oci://registry.example.org/team",
    "oci://registry.example.org/team/web",
    "http://127.0.0.1:8080",
    "https://[2001:db8::1]/a",
]
OTHERS = [
    "https://charts.example.org.evil.example/",
    "https://charts.example.orgevil/",
    "https://charts.example.org:8443/",
    "http://charts.example.org/",
    "oci://registry.example.org/team-b/web",
    "oci://registry.example.org/",
    "http://127.0.0.1:80801/",
    "http://127.0.0.1/",
    "http://169.254.169.254/latest/meta-data",
]
ODD = [
    "https://user@charts.example.org/",
    "https://charts.example.org@evil.example/",
    "https://charts.example.org\\@evil.example/",
    "https://charts.example.org/../admin",
    "https://charts.example.org/./a",
    "https://charts.example.org/%2e%2e/admin",
    "https://charts.example.org/a?x=y",
    "https://charts.example.org/#a",
    "https://charts.example.org/ a",
    "https://charts.example.org/\n",
    "https://charts.example.org/\r\nHost: evil",
    "HTTPS://charts.example.org/",
    "https://CHARTS.example.org/",
    "https:/charts.example.org/",
    "https:charts.example.org",
    "file:///etc/passwd",
    "--repo=https://charts.example.org",
    "https://",
    "",
    "https://charts.example.org/" + "a" * CHARACTERS,
    "https://charts.еxample.org/",
]


@pytest.mark.parametrize("url", PLAIN)
def test_what_begins_so_is_allowed(url: str) -> None:
    assert is_plain(url) and allowed(url, BEGINNINGS)


@pytest.mark.parametrize("url", OTHERS)
def test_what_is_elsewhere_is_not(url: str) -> None:
    assert is_plain(url) and not allowed(url, BEGINNINGS)


@pytest.mark.parametrize("url", ODD)
def test_what_might_be_read_otherwise_is_never_allowed(url: str) -> None:
    assert not is_plain(url) and not allowed(url, (*BEGINNINGS, url))


@given(st.text(max_size=40))
def test_whatever_follows_a_beginning_stays_with_its_host(rest: str) -> None:
    if allowed("https://charts.example.org" + rest, BEGINNINGS):
        assert rest == "" or rest.startswith("/")


def test_without_beginnings_nothing_is_allowed() -> None:
    assert not allowed("https://charts.example.org", ())
