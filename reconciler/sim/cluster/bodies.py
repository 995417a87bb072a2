"""Bodies of requests: bytes to documents, with what strict reading finds.

Law of the module: a body is JSON or YAML and bounded; a document is a dict of JSON values. Duplicate keys are found here, unknown
fields and wrong types where the kind's type is known. Sentences follow apimachinery's serializers.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import yaml

from .errors import ApiError, bad_request
from .store import Json, encode

LIMIT_BYTES = 3 * 1024 * 1024
_SHOWN_BYTES = 30
_MEDIA = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_DEPTH_LIMIT = 200


class Repeats:
    """Keys that stand twice in one object, found while decoding."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pairs(self, pairs: list[tuple[str, Any]]) -> Json:
        """The hook of `json.loads`: builds the object and keeps what it found twice, by the object's own id."""
        made: Json = {}
        for key, value in pairs:
            if key in made:
                made.setdefault("\0twice", []).append(key)
            made[key] = value
        return made

    def collect(self, value: Any, path: str) -> None:
        """Take the marks out again, turning them into paths."""
        if isinstance(value, dict):
            for key in value.pop("\0twice", ()):
                self.found.append(f'duplicate field "{path}{key}"')
            for key, inner in value.items():
                self.collect(inner, f"{path}{key}.")
        elif isinstance(value, list):
            for at, inner in enumerate(value):
                self.collect(inner, f"{path.rstrip('.')}[{at}].")


class _Loader(yaml.CSafeLoader):
    """YAML as the API server reads it: no timestamps, merge keys or binary, since JSON has none. `repeats` says which keys stand twice."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.repeats: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, noting keys that it has already."""
        seen: dict[str, None] = {}
        for key, _ in node.value:
            if key.value in seen:
                self.repeats.append(f'line {key.start_mark.line + 1}: key "{key.value}" already set in map')
            seen[key.value] = None
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def check_media(content_type: str) -> None:
    """Refuse a body of a type that objects are not read in; raises `ApiError` 415. Nothing said is JSON."""
    media = content_type.split(";", maxsplit=1)[0].strip()
    if media not in ("", *_MEDIA):
        text = f"the body of the request was in an unknown format - accepted media types include: {', '.join(_MEDIA)}"
        raise ApiError(415, "UnsupportedMediaType", text)


def is_yaml(content_type: str) -> bool:
    """Whether a content type announces YAML."""
    return content_type.split(";", maxsplit=1)[0].strip() in ("application/yaml", "application/apply-patch+yaml")


def read(body: bytes, kind: str, content_type: str = "", strict: bool = True) -> tuple[Json, list[str]]:
    """Read one object; returns it and the sentences about keys that stand twice. Raises `ApiError` 400."""
    if len(body) > LIMIT_BYTES:
        raise bad_request(f"Request entity too large: limit is {LIMIT_BYTES}")
    if (made := machine_written(body)) is not None:
        return made, []
    repeats = Repeats()
    try:
        if is_yaml(content_type) and not body.lstrip().startswith(b"{"):
            value, repeats.found = read_yaml(body)
        else:
            value = json.loads(body, object_pairs_hook=repeats.pairs) if strict else msgspec.json.decode(body)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        head = f"the object provided is unrecognized (must be of type {kind}): "
        if is_yaml(content_type):
            raise bad_request(f"{head}{yaml_words(error)} ({_shown(body)})") from None
        raise bad_request(f"{head}couldn't get version/kind; json parse error: {_go_words(body, error)}") from None
    repeats.collect(value, "")
    if not isinstance(value, dict):
        head = f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: "
        raise bad_request(f"{head}{_no_object(value)} ({_shown(body)})")
    return value, repeats.found


def read_applied(body: bytes) -> tuple[Json, list[str]]:
    """Read an apply configuration; returns it and the sentences about keys that stand twice. Raises `ApiError` 400."""
    try:
        value, repeats = _as_json(body) or read_yaml(body)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: {yaml_words(error)}") from None
    if value is None:
        return {}, []
    if not isinstance(value, dict):
        shape = "array" if isinstance(value, list) else _go_name(value)
        text = f"json: cannot unmarshal {shape} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {text}")
    return value, repeats


def machine_written(body: bytes) -> Json | None:
    """An object in JSON as machines write it: what is written again byte for byte held no key twice. None for all else."""
    try:
        value = msgspec.json.decode(body)
        return value if isinstance(value, dict) and encode(value) == body else None
    except (ValueError, RecursionError):
        return None


def _as_json(body: bytes) -> tuple[Any, list[str]] | None:
    """A body that is plain JSON too; None where only YAML can say what it is."""
    if (made := machine_written(body)) is not None:
        return made, []
    repeats = Repeats()
    try:
        value = json.loads(body, object_pairs_hook=repeats.pairs)
    except (ValueError, RecursionError):
        return None
    repeats.collect(value, "")
    return None if repeats.found else (value, [])


def read_yaml(body: bytes) -> tuple[Any, list[str]]:
    """Read YAML; returns it and the sentences about keys that stand twice. Raises `YAMLError`, ValueError, RecursionError."""
    loader = _Loader(body)
    try:
        return loader.get_single_data(), loader.repeats
    finally:
        loader.dispose()


def yaml_words(error: Exception) -> str:
    """What the server says of YAML that cannot be read."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"yaml: {error}"
    mark, line = error.problem_mark, 0
    if mark is not None and mark.line:
        line = mark.line + isinstance(error, yaml.scanner.ScannerError)
    elif error.context_mark is not None:
        line = error.context_mark.line
    return f"yaml: line {line}: {error.problem}" if line else f"yaml: {error.problem}"


def _shown(body: bytes) -> str:
    """The beginning of a body: text where it looks like JSON, else its bytes."""
    if not body:
        return "<empty>"
    begun, more = body[:_SHOWN_BYTES], " ..." if len(body) > _SHOWN_BYTES else ""
    return (begun.decode("utf-8", "replace") if body.lstrip().startswith(b"{") else begun.hex()) + more


def _no_object(value: Any) -> str:
    shape = "array" if isinstance(value, list) else _go_name(value)
    into = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
    return f"json: cannot unmarshal {shape} into Go value of type {into}"


def read_options(body: bytes) -> Json:
    """Read the options that a delete carries; raises `ApiError` 400."""
    head = "couldn't get version/kind; json parse error: "
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_request(head + parse_words(body, error)) from None
    if not isinstance(value, dict):
        raise bad_request(head + _no_object(value))
    kind, version = value.get("kind"), value.get("apiVersion")
    if kind not in (None, "", "DeleteOptions"):
        raise bad_request(f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:111"')
    return value


def read_patch(body: bytes, head: str = "error decoding patch: ") -> Any:
    """Read the JSON of a patch; raises `ApiError` 400, whose sentence begins with `head`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_request(head + parse_words(body, error)) from None


def _go_words(body: bytes, error: Exception) -> str:
    return f"{parse_words(body, error)} ({_shown(body)})"


def parse_words(body: bytes, error: Exception) -> str:
    """What Go says of JSON that cannot be read, as far as people meet it."""
    text = body.decode("utf-8", "replace")
    at = error.pos if isinstance(error, json.JSONDecodeError) else len(text)
    if at >= len(text.rstrip()):
        return "unexpected end of JSON input"
    what = "looking for beginning of value"
    if isinstance(error, json.JSONDecodeError):
        if "property name" in error.msg:
            what = "looking for beginning of object key string"
        elif "':'" in error.msg:
            what = "after object key"
        elif "','" in error.msg:
            what = "after object key:value pair" if "{" in text[:at] else "after array element"
        elif "Extra data" in error.msg:
            what = "after top-level value"
    for word in ("true", "false", "null"):
        if what == "looking for beginning of value" and text[at] == word[0]:
            same = next(n for n in range(1, len(word)) if text[at + n : at + n + 1] != word[n])
            if at + same >= len(text):
                return "unexpected end of JSON input"
            return f"invalid character '{text[at + same]}' in literal {word} (expecting '{word[same]}')"
    return f"invalid character {_quoted(text[at])} {what}"


def _quoted(character: str) -> str:
    """A character as Go quotes it in these sentences."""
    return f"'{character}'" if character.isprintable() else f"'\\u{ord(character):04x}'"


def _go_name(value: Any) -> str:
    return {str: "string", bool: "bool", type(None): "null"}.get(type(value), "number")
