"""Refusals of the API server: what they say, and which field they are about.

Law of the module: total; a message is hostile input, bounded before it is looked at. The forms are those that a Kubernetes 1.36 server
gives for strict server-side applies (tests/core/cases/rejections.yaml holds its own words).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from .messages import Answer
from .paths import printable

MESSAGE_LIMIT: Final = 4_000  # characters of a refusal that are looked at

_PATH: Final = r"[A-Za-z_$][\w$-]*(?:\[[^\]\n]{1,200}\]|\.[\w$/-]+)*"
_KUBECTL: Final = re.compile(rf'ValidationError\(\w+\.({_PATH})\): (?:unknown field "([^"\n]{{1,100}})")?')
_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf'unknown field "({_PATH})"',  # strict decoding
        rf"(?:^|[\s:])\.({_PATH}): (?:expected |field not declared|duplicate entries|missing|element )",  # typed patch
        rf"json: cannot unmarshal \w+ into Go struct field \w+\.({_PATH}) of type",
        rf"is invalid: \[?(?:<nil>|({_PATH})): ",
        rf"conflicts? with .*?(?::|\n-) ?\.({_PATH})",
        rf"(?:^|[\s:\[])\.?((?:spec|metadata|data|status|rules|webhooks)\.{_PATH}): ",
    )
)


def rejection_path(message: str) -> str | None:
    """The field that the API server refused, `spec.ports[0].port`, from its message or its whole Status as JSON.

    None where it names none. A cause that the Status lists goes before the message (Kubernetes API, Status.details.causes).
    """
    if message[:100].lstrip().startswith("{"):
        found = _cause(message)
        if found is not None:
            return found
    message = message[:MESSAGE_LIMIT]
    if kubectl := _KUBECTL.search(message):
        return printable(".".join(part for part in kubectl.groups() if part), 300)
    for pattern in _PATTERNS:
        match = pattern.search(message)
        if match is not None and match[1]:
            return printable(match[1], 300)
    return None


class _Cause(msgspec.Struct):
    field: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None


class _Status(msgspec.Struct):
    details: _Details | None = None
    message: str = ""


_decode_status = msgspec.json.Decoder(_Status).decode


def _cause(body: str) -> str | None:
    try:
        status = _decode_status(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    for cause in (status.details.causes if status.details else None) or ():
        if cause.field and not cause.field.startswith("<"):
            return printable(cause.field.removeprefix("."), 300)
    return rejection_path(status.message) if not status.message.startswith("{") else None


class Refusal(msgspec.Struct, frozen=True):
    """What an API server says of a request that it did not carry out."""

    message: str
    conflicts: bool = False  # with another field manager
    path: str | None = None  # the field that is at fault


def read_status(answer: Answer) -> Refusal:
    """Read the `Status` body of an answer; whatever else comes is told by its number."""
    if answer.status == 0:
        return Refusal(answer.error or "no answer")
    try:
        body = msgspec.json.decode(answer.body)
        causes = (body.get("details") or {}).get("causes") or ()
        conflicts = any(cause.get("reason") == "FieldManagerConflict" for cause in causes)
        return Refusal(str(body["message"])[:2000], conflicts, rejection_path(answer.body.decode("utf-8", "replace")))
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return Refusal(f"the API server answers {answer.status}")


def immutable(message: str) -> bool:
    """Whether a rejection is about a field that cannot change, in the words of the API server's own validation."""
    return "field is immutable" in message or "updates to statefulset spec for fields other than" in message


def declared(message: str) -> bool:
    """A 500 that is a rejection: server-side apply answers undeclared fields so."""
    return "field not declared in schema" in message or "failed to create typed patch object" in message
