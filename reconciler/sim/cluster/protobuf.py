"""Protobuf bodies, which kubectl sends where it knows the kind: read into the JSON that they stand for.

Law of the module: only reading; every answer is JSON, which such clients take as well. Numbers of fields are data
(`schemas/kubernetes/protobuf.json`, facts of the published .proto files), what a field holds its type says. A body that does not fit raises
`ApiError` 400.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from .errors import bad_request
from .http import Request
from .resources import schema_folder, table
from .schema import Type
from .store import Json, encode

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_DEPTH_LIMIT = 100
_SIGN = 1 << 63
# Kinds of the options and requests that are no resources of their own.
_OTHERS = {
    "DeleteOptions": "meta.v1.DeleteOptions",
    "Eviction": "policy.v1.Eviction",
    "Scale": "autoscaling.v1.Scale",
    "TokenRequest": "authentication.v1.TokenRequest",
}


class _Broken(ValueError):
    """A message that ends early, or is nested too deep."""


def as_json(request: Request) -> Request:
    """The same request with a JSON body."""
    if request.content_type.split(";")[0].strip() != CONTENT_TYPE or not request.body:
        return request
    try:
        body = encode(_document(request.body))
    except (ValueError, KeyError, struct.error) as error:
        raise bad_request(f"unable to decode a protobuf body: {error}") from None
    return replace(request, body=body, content_type="application/json")


def _document(body: bytes) -> Json:
    if not body.startswith(_MAGIC):
        raise _Broken("no envelope")
    envelope = {number: value for number, _, value in _fields(body[len(_MAGIC) :])}
    names = {number: value.decode() for number, _, value in _fields(envelope.get(1, b""))}
    version, kind = names.get(1, ""), names.get(2, "")
    known = table().kinds.get(f"{version}/{kind}")
    name = known.type.name if known else _OTHERS[kind]
    document = _message(table().struct(name), name, envelope.get(2, b""), 0)
    return {"apiVersion": version, "kind": kind} | document


@functools.cache
def _numbers(name: str) -> dict[int, str]:
    """Fields of a message by number; ">other" for one whose fields stand in the outer object."""
    rows = (row.partition(":") for row in _document_of_numbers()[name].split())
    return {int(number): field for number, _, field in rows}


@functools.cache
def _document_of_numbers() -> dict[str, str]:
    path = schema_folder() / "kubernetes" / "protobuf.json"
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str])


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """The fields of a message: number, wire type, value (an int, or bytes)."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value: Any
            value, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = data[at : at + size], at + size
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise _Broken(f"wire type {wire}")
        if at > len(data):
            raise _Broken("it ends early")
        yield tag >> 3, wire, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _Broken("it ends early")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _message(of: Type, name: str, data: bytes, depth: int) -> Json:
    if depth > _DEPTH_LIMIT:
        raise _Broken("it is nested too deep")
    made: Json = {}
    numbers = _numbers(name)
    for number, wire, value in _fields(data):
        field = numbers.get(number, "")
        if field.startswith(">"):
            made |= _message(of, field[1:], value, depth + 1)
            continue
        inner = (of.fields or {}).get(field)
        if inner is None:
            continue
        if inner.items is not None and not inner.scalar:
            made.setdefault(field, []).append(_value(inner.items, wire, value, depth))
        elif inner.is_map and inner.values is not None and not inner.fields and not inner.scalar:
            pair = {n: (w, v) for n, w, v in _fields(value)}
            key = pair[1][1].decode() if 1 in pair else ""
            made.setdefault(field, {})[key] = _value(inner.values, *pair.get(2, (2, b"")), depth)
        else:
            made[field] = _value(inner, wire, value, depth)
    return {field: value for field, value in made.items() if value is not None}


def _value(of: Type, wire: int, value: Any, depth: int) -> Any:
    if of.is_map and of.scalar:
        return _raw(value)
    if of.is_map:
        return _message(of, of.name, value, depth + 1) if of.name else _raw(value)
    if of.items is not None:  # a map's value that is a list: a message that holds only items
        return [_value(of.items, w, v, depth) for _, w, v in _fields(value)]
    return _scalar(of, wire, value)


def _scalar(of: Type, wire: int, value: Any) -> Any:
    match of.scalar:
        case "time":
            return _time(value, of.micro)
        case "quantity":
            return next((v.decode() for _, _, v in _fields(value)), "0")
        case "int-or-string":
            parts = {number: v for number, _, v in _fields(value)}
            return parts.get(3, b"").decode() if parts.get(1) else _signed(parts.get(2, 0))
        case "bytes":
            return base64.b64encode(value).decode()
        case "boolean":
            return bool(value)
    if wire == 0:
        return _signed(value)
    if wire == 1:
        return struct.unpack("<d", value)[0]
    return value.decode()


def _signed(value: int) -> int:
    return value - 2 * _SIGN if value >= _SIGN else value


def _time(value: bytes, micro: bool) -> str | None:
    parts = {number: v for number, _, v in _fields(value)}
    if not parts:
        return None
    at = dt.datetime.fromtimestamp(_signed(parts.get(1, 0)), dt.UTC).replace(microsecond=parts.get(2, 0) // 1000)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _raw(value: bytes) -> Any:
    """JSON within a message (RawExtension, FieldsV1, JSON)."""
    inside = next((v for number, _, v in _fields(value) if number == 1), b"")
    return msgspec.json.decode(inside) if inside else None
