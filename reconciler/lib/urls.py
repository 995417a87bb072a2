"""Which addresses may be asked: those that begin as the operator says.

Law of the module: an address is compared only where every program reads it alike: scheme, host, port and a path, all in plain letters. So
none has a user, a query, an escape, a backslash or a step upwards (CVE-2022-24348, CVE-2020-5260), and a beginning ends where a step of
the path does: https://charts.example.org neither allows charts.example.org.evil.example nor, as …/team, the folder …/team-b.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CHARACTERS = 2_000

_PLAIN = re.compile(r"(?:https?|oci)://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?P<path>(?:/[A-Za-z0-9._~+-]*)*)", re.ASCII)


def is_plain(url: str) -> bool:
    """Whether an address can be compared: https, http or oci, a host in small letters, and a path without anything odd."""
    found = _PLAIN.fullmatch(url) if len(url) <= CHARACTERS else None
    return found is not None and not any(step in (".", "..") for step in found["path"].split("/"))


def allowed(url: str, beginnings: Iterable[str]) -> bool:
    """Whether an address begins as one of those says."""
    return is_plain(url) and any(_whole(url).startswith(_whole(beginning)) for beginning in beginnings)


def _whole(url: str) -> str:
    return url.rstrip("/") + "/"
