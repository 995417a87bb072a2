"""What may be a name: of an object, a namespace, a kind, a version.

Law of the module: full matches of ASCII only, no `$` (it lets a newline through). Lengths and alphabets are those of
apimachinery's validation (RFC 1123 labels and subdomains); `is_safe` is its "path segment" rule, narrowed to what prints.
"""

from __future__ import annotations

import hashlib
import re

DNS_WORDS = "must be lower-case letters, digits, - and ., at most 253"

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_KIND = re.compile(r"[A-Za-z](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_SAFE = re.compile(r"[!#-$&-.0-;=@-Z^-z{}~]{1,253}")  # printable ASCII but space " % / < > ? [ \ ] |
# Kinds whose names are no subdomains: RBAC has `system:nodes`, an IPAddress is called by its address.
_FREE_GROUPS = ("rbac.authorization.k8s.io",)
_FREE_KINDS = (("networking.k8s.io", "IPAddress"),)


def is_label(text: str) -> bool:
    """A DNS label, as a namespace's name is."""
    return _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """A DNS subdomain, as most objects' names are."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def is_kind(text: str) -> bool:
    """A kind: a DNS label but for its capitals."""
    return _KIND.fullmatch(text) is not None


def is_api_version(text: str) -> bool:
    """`version` or `group/version`."""
    group, slash, version = text.rpartition("/")
    return is_label(version) and (is_subdomain(group) if slash else True)


def is_safe(text: str) -> bool:
    """What may stand in a URL path and a file name of its own."""
    return _SAFE.fullmatch(text) is not None and ".." not in text and text != "."


def is_name_of(group: str, kind: str, text: str) -> bool:
    """What may name an object of a built-in kind."""
    return group in _FREE_GROUPS or (group, kind) in _FREE_KINDS or is_subdomain(text)


def slug(text: str) -> str:
    """A piece of a branch name and of an object name: lower case, digits, dashes; a digest keeps long or odd ones apart."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower()).strip("-") or "top"
    if plain == text.lower().replace("/", "-") and len(plain) <= 60:
        return plain
    return f"{plain[:50].strip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
