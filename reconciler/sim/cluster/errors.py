"""What an API server answers when it refuses: one exception, and the refusals by name.

Law of the module: an `ApiError` carries the whole Status document, so whoever raises it decides code, reason, words and details
at once, and nobody translates later. Words and details follow what kube-apiserver 1.36 answers to the same request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

Json = dict[str, Any]


_CONTROL = re.compile(r"\\u00([01][0-9a-f])")


class Cause(NamedTuple):
    """One thing wrong with one field. `reason` is a `FieldValue…` word; `text` is the whole sentence after the path."""

    reason: str
    text: str
    field: str


class ApiError(Exception):
    """A request that is refused. `code` is the HTTP status; the rest becomes the Status document."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None, metadata: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.metadata = metadata
        self.warnings: list[str] = []  # what is to be said besides, in headers

    def status(self) -> Json:
        """The Status document."""
        body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata or {}, "status": "Failure"}
        body["message"] = self.message
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def quoted(value: object) -> str:
    """A value as the API server shows it in a message: Go's %q for text, JSON for the rest."""
    if value is None:
        return "null"
    text = msgspec.json.encode(value).decode()
    return _CONTROL.sub(r"\\x\1", text) if "\\u00" in text else text


def invalid_value(field: str, value: object, text: str) -> Cause:
    """A value that breaks a rule."""
    return Cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: {text}", field)


def required(field: str, text: str = "") -> Cause:
    """A value that is missing."""
    return Cause("FieldValueRequired", "Required value" + (f": {text}" if text else ""), field)


def forbidden_field(field: str, text: str) -> Cause:
    """A field that may not be set, or not be changed."""
    return Cause("FieldValueForbidden", f"Forbidden: {text}", field)


def unsupported(field: str, value: object, supported: Iterable[str]) -> Cause:
    """A value outside a closed list."""
    words = ", ".join(quoted(word) for word in supported)
    return Cause("FieldValueNotSupported", f"Unsupported value: {quoted(value)}: supported values: {words}", field)


def duplicate(field: str, value: object) -> Cause:
    """A value that stands twice where it may stand once."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {quoted(value)}", field)


def not_found_value(field: str, value: object) -> Cause:
    """A reference to something that is not there."""
    return Cause("FieldValueNotFound", f"Not found: {quoted(value)}", field)


def _qualified(word: str, group: str) -> str:
    return f"{word}.{group}" if group else word


def _details(name: str, group: str, kind: str) -> Json:
    details: Json = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = kind
    return details


def not_found(group: str, plural: str, name: str) -> ApiError:
    """No such object."""
    message = f'{_qualified(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(name, group, plural))


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """An object of that name stands already."""
    message = f'{_qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(name, group, plural))


def conflict(group: str, word: str, name: str, text: str) -> ApiError:
    """A version or precondition that does not hold. `word` is the plural, and for preconditions of a delete the kind."""
    message = f'Operation cannot be fulfilled on {_qualified(word, group)} "{name}": {text}'
    return ApiError(409, "Conflict", message, _details(name, group, word))


def modified(group: str, plural: str, name: str) -> ApiError:
    """The resourceVersion sent is not the current one."""
    text = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(group, plural, name, text)


def forbidden(group: str, plural: str, name: str, text: str, causes: Sequence[Cause] = ()) -> ApiError:
    """Refused by a rule that is no matter of the object's form."""
    details = _details(name, group, plural)
    if causes:
        details["causes"] = [{"reason": c.reason, "message": c.text, "field": c.field} for c in causes]
    return ApiError(403, "Forbidden", f'{_qualified(plural, group)} "{name}" is forbidden: {text}', details)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """An object that breaks rules; each cause names a field. Equal sentences are said once, listed twice."""
    assert causes
    words = list(dict.fromkeys(f"{c.field}: {c.text}" for c in causes))
    text = words[0] if len(words) == 1 else "[" + ", ".join(words) + "]"
    details: Json = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details["causes"] = [{"reason": c.reason, "message": c.text, "field": c.field} for c in causes]
    return ApiError(422, "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {text}', details)


def bad_request(message: str) -> ApiError:
    """A request that cannot be read."""
    return ApiError(400, "BadRequest", message)


def internal(message: str) -> ApiError:
    """What the real server answers with 500 and no reason."""
    return ApiError(500, "", message)


def no_resource() -> ApiError:
    """A path under an API group that names nothing."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def no_method() -> ApiError:
    """A path that exists, with a method that it does not serve."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def unsupported_media() -> ApiError:
    """A content type that a PATCH does not know."""
    return ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def expired(message: str, metadata: Json | None = None) -> ApiError:
    """A version that history no longer holds."""
    return ApiError(410, "Expired", message, None, metadata)


def too_new(version: int, current: int) -> ApiError:
    """A version that has not been reached."""
    details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1}
    return ApiError(504, "Timeout", f"Timeout: Too large resource version: {version}, current: {current}", details)


def no_page() -> ApiError:
    """A path outside all API groups; goes out as text."""
    return ApiError(404, "", "404 page not found\n")
