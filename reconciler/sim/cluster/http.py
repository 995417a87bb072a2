"""A request and a response without sockets, and what stands in a path.

Law of the module: values only. A `Request` is what the front read from a socket or a simulated world made up; `split` says which
API group, version and resource a path names, and knows nothing of which exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` is escaped, without the query; `user_agent` names the field manager where none is given."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str = ""
    accept: str = "application/json"
    user_agent: str = "unknown"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Target(NamedTuple):
    """What a resource path names; `name` and below are "" where the path ends earlier."""

    group: str
    version: str
    namespace: str
    plural: str
    name: str
    subresource: str


@lru_cache(maxsize=4096)
def split(path: str) -> Target | None:
    """Read a path under /api/<version>/ or /apis/<group>/<version>/; None where it names no resource."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    # /namespaces/<name> and its subresources are the Namespace itself; anything deeper lies in it.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3 or not all(rest):
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    return Target(group, version, namespace, plural, name, subresource)


def parse_query(text: str) -> tuple[tuple[str, str], ...]:
    """A query string as pairs."""
    return tuple(parse_qsl(text, keep_blank_values=True))
