"""Bodies of requests: bytes to documents, with what strict reading finds.

Law of the module: a body is JSON or YAML and bounded; a document is a dict of JSON values. Duplicate keys are found here, unknown
fields and wrong types where the kind's type is known. Sentences follow apimachinery's serializers.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import yaml

from .errors import bad_request
from .store import Json

LIMIT_BYTES = 3 * 1024 * 1024
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
    """YAML as the API server reads it: no timestamps, merge keys or binary, since JSON has none."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def is_yaml(content_type: str) -> bool:
    """Whether a content type announces YAML."""
    return content_type.split(";", maxsplit=1)[0].strip() in ("application/yaml", "application/apply-patch+yaml")


def read(body: bytes, kind: str, content_type: str = "", strict: bool = True) -> tuple[Json, list[str]]:
    """Read one object; returns it and the sentences about duplicate fields. Raises `ApiError` 400."""
    if len(body) > LIMIT_BYTES:
        raise bad_request(f"Request entity too large: limit is {LIMIT_BYTES}")
    head = f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: "
    repeats = Repeats()
    if is_yaml(content_type) and not body.lstrip().startswith(b"{"):
        value = read_yaml(body)
    else:
        try:
            value = json.loads(body, object_pairs_hook=repeats.pairs) if strict else msgspec.json.decode(body)
        except (ValueError, RecursionError) as error:
            raise bad_request(head + _go_words(body, error)) from None
    repeats.collect(value, "")
    if not isinstance(value, dict):
        shape = "array" if isinstance(value, list) else _go_name(value)
        into = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        raise bad_request(f"{head}json: cannot unmarshal {shape} into Go value of type {into} ({body[:20].hex()})")
    return value, repeats.found


def read_yaml(body: bytes) -> Any:
    """Read YAML; raises `ApiError` 400."""
    try:
        return yaml.load(body, Loader=_Loader)  # noqa: S506 - a safe loader, narrowed
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise bad_request(f"error decoding YAML: {error}") from None


def read_patch(body: bytes, head: str = "error decoding patch: ") -> Any:
    """Read the JSON of a patch; raises `ApiError` 400, whose sentence begins with `head`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_request(head + parse_words(body, error)) from None


def _go_words(body: bytes, error: Exception) -> str:
    shown = body[:200].decode("utf-8", "replace") if body else "<empty>"
    return f"{parse_words(body, error)} ({shown})"


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
    return f"invalid character '{text[at]}' {what}"


def _go_name(value: Any) -> str:
    return {str: "string", bool: "bool", type(None): "null"}.get(type(value), "number")
