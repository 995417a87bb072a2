"""OpenAPI v2, the old document of everything at once, as JSON and as the protobuf message that kubectl asks for.

Law of the module: made of the v3 documents; what v2 cannot say is left out. kubectl reads it where v3 does not know a kind. Numbers of
fields are those of the published OpenAPIv2.proto (gnostic).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from .http import Request, Response
from .store import Json, decode, encode

_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PROTOBUF_AT = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_OLD_REFERENCE, _REFERENCE = "#/definitions/", "#/components/schemas/"
_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}
_KEPT = 2


def answer(documents: tuple[bytes, ...], request: Request) -> Response:
    """The document that the v3 documents make, in the form that the request accepts."""
    if any(name in request.accept for name in (_PROTOBUF, _PROTOBUF_AT)):
        return Response(200, _message(documents), _PROTOBUF)
    return Response(200, _text(documents))


@functools.lru_cache(_KEPT)
def _text(documents: tuple[bytes, ...]) -> bytes:
    return encode(_merged(documents))


@functools.lru_cache(_KEPT)
def _message(documents: tuple[bytes, ...]) -> bytes:
    document = _merged(documents)
    paths = b"".join(_pair(2, path, _path(item)) for path, item in document["paths"].items())
    definitions = b"".join(_pair(1, name, _schema(schema)) for name, schema in document["definitions"].items())
    info = b"".join(_bytes(number, document["info"][name]) for number, name in ((1, "title"), (2, "version")))
    return _bytes(1, document["swagger"]) + _bytes(2, info) + _bytes(8, paths) + _bytes(9, definitions)


def _merged(documents: Iterable[bytes]) -> Json:
    made: Json = {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.3"}, "paths": {}, "definitions": {}}
    for document in documents:
        read = decode(document)
        made["paths"] |= {path: {m: _operation(o) for m, o in item.items()} for path, item in read["paths"].items()}
        made["definitions"] |= {name: _old(schema) for name, schema in read["components"]["schemas"].items()}
    return made


def _operation(operation: Json) -> Json:
    parameters = [{**{k: v for k, v in p.items() if k != "schema"}, **p["schema"]} for p in operation["parameters"]]
    content = operation["responses"]["200"]["content"]["application/json"]
    responses = {"200": {"description": "OK", "schema": _old(content["schema"])}}
    return {**operation, "parameters": parameters, "responses": responses}


def _old(schema: Any) -> Any:
    """A v3 schema as v2 says it."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": _OLD_REFERENCE + schema["$ref"].removeprefix(_REFERENCE)}
    if len(schema.get("allOf", ())) == 1:
        rest = {name: value for name, value in schema.items() if name not in ("allOf", "default")}
        return {**rest, **_old(schema["allOf"][0])}
    made = {name: value for name, value in schema.items() if name not in ("oneOf", "anyOf", "not", "nullable")}
    if "oneOf" in schema:
        made["type"] = "string"
    if "properties" in made:
        made["properties"] = {key: _old(inner) for key, inner in made["properties"].items()}
    for name in ("items", "additionalProperties"):
        if name in made:
            made[name] = _old(made[name])
    return made


# -- protobuf -----------------------------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _bytes(number: int, value: bytes | str) -> bytes:
    """A field with a text or a message."""
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _pair(number: int, name: str, value: bytes) -> bytes:
    """A field with a name and a message: how maps are written."""
    return _bytes(number, _bytes(1, name) + _bytes(2, value))


def _extensions(number: int, value: Json) -> bytes:
    """The fields whose names begin with x-; what they hold goes as YAML, of which JSON is a part."""
    return b"".join(_pair(number, name, _bytes(2, encode(held))) for name, held in value.items() if name.startswith("x-"))


def _path(item: Json) -> bytes:
    return b"".join(_bytes(_METHODS[method], _operation_message(operation)) for method, operation in item.items())


def _operation_message(operation: Json) -> bytes:
    parameters = b"".join(_bytes(8, _parameter(one)) for one in operation["parameters"])
    schema = operation["responses"]["200"]["schema"]
    response = _bytes(1, _bytes(1, "OK") + _bytes(2, _bytes(1, _schema(schema))))
    return parameters + _bytes(9, _pair(1, "200", response)) + _extensions(13, operation)


def _parameter(parameter: Json) -> bytes:
    query = _bytes(2, parameter["in"]) + _bytes(4, parameter["name"]) + _bytes(6, parameter["type"])
    return _bytes(1, _bytes(2, _bytes(3, query)))


def _schema(schema: Json) -> bytes:
    made = b"".join(_bytes(number, schema[name]) for number, name in ((1, "$ref"), (2, "format"), (4, "description")) if name in schema)
    made += b"".join(_bytes(19, name) for name in schema.get("required", ()))
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        made += _bytes(21, _bytes(1, _schema(additional)))
    if "type" in schema:
        made += _bytes(22, _bytes(1, schema["type"]))
    if isinstance(schema.get("items"), dict):
        made += _bytes(23, _bytes(1, _schema(schema["items"])))
    if "properties" in schema:
        made += _bytes(25, b"".join(_pair(1, name, _schema(inner)) for name, inner in schema["properties"].items()))
    return made + _extensions(31, schema)
