"""Patterns of schema catalogs: the named ones, and regular expressions (`regular`).

Law of the module: pure. The named patterns mean what their names say, so they are stricter than upstream's (an octet is at most 255, a
port at most 65535) and also wider (an IPv6 address may be shortened, a UUID in capitals, a CIDR of IPv6).

Sources: api/pkg/apis/v1alpha1/utils/schema.go of eclipse-symphony/symphony for the names; RFC 1123 §2.1, RFC 4291 §2.2, RFC 4632 §3.1,
RFC 9562 §4 for what they mean.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from .regular import Pattern
from .values import Budget

Matcher: TypeAlias = Callable[[str, Budget], bool]


def _is_address(version: int) -> Callable[[str], bool]:
    return lambda text: _address(text, version) is not None


def _address(text: str, version: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address if address.version == version else None


def _is_range(version: int) -> Callable[[str], bool]:
    def is_range(text: str) -> bool:
        first, separator, last = text.partition("-")
        low, high = _address(first, version), _address(last, version)
        return bool(separator) and low is not None and high is not None and int(low) <= int(high)

    return is_range


def _is_cidr(text: str) -> bool:
    address, _, bits = text.partition("/")
    found = _address(address, 4) or _address(address, 6)
    return found is not None and bool(re.fullmatch("0|[1-9][0-9]{0,2}", bits, re.ASCII)) and int(bits) <= found.max_prefixlen


def _is_port(text: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,5}", text, re.ASCII)) and 1 <= int(text) <= 65_535


def _matching(pattern: str) -> Callable[[str], bool]:
    """A pattern of our own, which takes no more than linear time."""
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAMED: Final[Mapping[str, Callable[[str], bool]]] = {
    "<cidr>": _is_cidr,
    "<dns-label>": _matching(_LABEL),
    "<dns-name>": _matching(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+[a-z]{{2,63}}"),
    "<email>": _matching(r"[\w.+-]{1,64}@[a-zA-Z0-9-]{1,63}\.[a-zA-Z0-9.-]{1,190}"),
    "<ip4>": _is_address(4),
    "<ip4-range>": _is_range(4),
    "<ip6>": _is_address(6),
    "<ip6-range>": _is_range(6),
    "<mac-address>": _matching("(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}"),
    "<port>": _is_port,
    "<url>": _matching(r"https?://[^\s]+"),
    "<uuid>": _matching("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
}
"""What each named pattern asks of a text."""


def matcher(pattern: str) -> Matcher:
    """What a pattern asks of a text; asking may raise `ExpressionError`.

    Raises:
        ExpressionError: the pattern cannot be read.
    """
    if pattern not in NAMED:
        return Pattern(pattern).found_in
    named = NAMED[pattern]
    return lambda text, _: named(text)
