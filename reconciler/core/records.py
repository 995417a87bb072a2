"""One record as Secrets of the API: how it is written, and how it is read back.

Law of the module: pure values. A record is compressed JSON under one Secret, the head, named by a digest of its key. What is larger
than a Secret may be is cut into parts named by a digest of their content: parts are written before the head that names them, so a
head that can be read always has all of its parts, and writing a part twice changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

LABEL = "reconciler.dev/record"  # "head" or "part"
PART_BYTES = 512 * 1024
"""Compressed bytes in one Secret: 700 KiB once encoded, of the 1 MiB that a Secret holds."""

RECORD_LIMIT = 64 * 1024 * 1024
"""Bytes of one record as JSON. A Secret that unpacks to more is refused, whoever wrote it."""

INSTALLATION = "installation"
"""Key of the one record that says who we are. Others are of a cluster, of deletions let through (`prune:`), of a unit."""

Json = dict[str, Any]


class _Installation(msgspec.Struct):
    id: str
    key: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})+$")]


class _Kinds(msgspec.Struct):
    kinds: list[Annotated[str, msgspec.Meta(pattern="^[^/]*/[^/]+$")]]


class _Pruned(msgspec.Struct):
    uids: list[str]
    since: str = ""
    size: int = 0
    why: str = ""


class Unreadable(Exception):
    """A Secret that should hold a record does not."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as stored: its value, the version of its head, the names of its parts."""

    value: Json
    version: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """The Secrets of one record, as bodies of requests: parts by name, then the head."""

    parts: dict[str, bytes]
    head: bytes


def secret_name(key: str) -> str:
    """The name of the head: keys may be longer and odder than names may."""
    return "record-" + hashlib.sha256(key.encode()).hexdigest()[:32]


def head_of(part: str) -> str:
    """The name of the head that the name of a part was made from."""
    return part.rsplit("-", 2)[0]


def write(key: str, value: Json, version: str) -> Written:
    """A record as Secrets; `version` is that of the head it replaces, "" for a new one."""
    packed = zlib.compress(msgspec.json.encode(value, order="deterministic"), 6)
    name, data = secret_name(key), {"key": _encoded(key.encode())}
    parts: dict[str, bytes] = {}
    if len(packed) <= PART_BYTES:
        data["record"] = _encoded(packed)
    else:
        mark = hashlib.sha256(packed).hexdigest()[:12]
        for number, at in enumerate(range(0, len(packed), PART_BYTES)):
            part = f"{name}-{mark}-{number}"
            parts[part] = _secret(part, "part", {"part": _encoded(packed[at : at + PART_BYTES])}, "")
        data["parts"] = _encoded(" ".join(parts).encode())
    return Written(parts, _secret(name, "head", data, version))


def read(secrets: list[Json]) -> tuple[dict[str, Record], tuple[str, ...]]:
    """The records among Secrets, by key, and the names of parts that no head names.

    A Secret whose name is not that of its key is a copy, as backup tools make them: nobody's, and left out.

    Raises:
        Unreadable: one of them is no record, or lacks a part.
    """
    name, parts, heads = "", {}, {}
    try:
        for secret in secrets:
            name = secret["metadata"]["name"]
            if secret["metadata"]["labels"][LABEL] == "part":
                parts[name] = secret["data"]["part"]
        for secret in secrets:
            name = secret["metadata"]["name"]
            if name not in parts:
                key = base64.b64decode(secret["data"]["key"]).decode()
                if name == secret_name(key):
                    heads[key] = _head(secret, parts)
                    check(key, heads[key].value)
    except (KeyError, TypeError, AttributeError, ValueError, zlib.error, msgspec.DecodeError) as error:
        raise Unreadable(f"Secret {name} holds no record: {type(error).__name__}: {error}") from error
    named = {part: None for record in heads.values() for part in record.parts}
    return heads, tuple(part for part in parts if part not in named)


def check(key: str, value: Any) -> None:
    """Whether a record is one that we wrote.

    Raises:
        ValueError: it is not.
    """
    shape: Any = Json
    if key == INSTALLATION:
        shape = _Installation
    elif key.startswith("cluster:") and "/" not in key:
        shape = _Kinds
    elif key.startswith("prune:"):
        shape = _Pruned
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _head(secret: Json, parts: dict[str, str]) -> Record:
    data = secret["data"]
    names = tuple(base64.b64decode(data["parts"]).decode().split()) if "parts" in data else ()
    packed = b"".join(base64.b64decode(parts[name]) for name in names) if names else base64.b64decode(data["record"])
    inflate = zlib.decompressobj()
    text = inflate.decompress(packed, RECORD_LIMIT)
    if inflate.unconsumed_tail:
        raise ValueError("it unpacks to more than may be")
    return Record(msgspec.json.decode(text), secret["metadata"]["resourceVersion"], names)


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _secret(name: str, role: str, data: dict[str, str], version: str) -> bytes:
    metadata: Json = {"name": name, "labels": {LABEL: role}, **({"resourceVersion": version} if version else {})}
    return msgspec.json.encode(
        {"apiVersion": "v1", "kind": "Secret", "type": "reconciler.dev/record", "metadata": metadata, "data": data}
    )
