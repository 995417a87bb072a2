"""What a server answered, in a form in which two servers can be compared: pure.

Law of the module: nothing that matters is left out, and what servers draw or count for themselves keeps all that can be compared of it.

* A uid, a generated name, an allocated address or port is numbered by its first appearance in the script: who is who still compares.
* A resourceVersion of an object is its rank among all that the script saw: equal and later still compare. That of a list or bookmark,
  which others' writes may raise at any time, says after which of those versions it is; later pages say whether it is that of the first.
* Times are compared as they are: the embedded server's clock is set by the real one's answers. Only ages in tables are not.
* Where a refusal shows a diff of the server's own Go structs, that is cut off.
* The description of a table's column is documentation, which the embedded server does not carry.
* A continue token is opened; Go's maps have no order, so of refusals that list several faults the order is not compared.
"""

from __future__ import annotations

import base64
import bisect
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Json = dict[str, Any]

HEADERS = ("content-type", "warning", "retry-after", "allow")
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOKEN_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}")
_PORT = re.compile(r"(?<=Invalid value: )3[0-2]\d{3}(?=: provided port)")
_AGE = re.compile(r"(?<![\w.])\d{1,2}s(?![\w.])")
# Versions that stand in sentences; (?P<mine>) is one of an object, (?P<server>) one that only the server knows.
_TOLD = re.compile(
    r"too old resource version: (?P<asked>\d+) \((?P<oldest>\d+)\)|current: (?P<current>\d+)"
    r"|\"resourceVersion\\\\*\":\\\\*\"(?P<shown>\d+)|ResourceVersion in the precondition \((?P<wanted>\d+)\)"
    r"|ResourceVersion in record \((?P<mine>\d+)\)"
)
_OBJECT = re.compile(r'(?<=Invalid value: )"\{(?:[^"\\]|\\.)*\}"')
_DIFF = re.compile(r"\n@@ -.*", re.DOTALL)
_ADDRESS_KEYS = ("clusterIP", "clusterIPs")
_PORT_KEYS = ("nodePort", "healthCheckNodePort")


class Answer(NamedTuple):
    """One answer. `document` is the decoded JSON, or the text; of a watch the list of its lines."""

    status: int
    headers: tuple[tuple[str, str], ...]
    document: Any

    def times(self) -> Iterator[str]:
        """Every time at which the server says that it did something."""
        yield from _times(self.document)


def _times(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _times(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in ("creationTimestamp", "deletionTimestamp", "lastTransitionTime") and isinstance(each, str):
                yield each
            elif name == "managedFields" and isinstance(each, list):
                yield from (entry["time"] for entry in each if "time" in entry)
            else:
                yield from _times(each)


def comparable(answers: Sequence[Answer]) -> list[Any]:
    """All answers to one script, in a form that is equal where the servers did the same."""
    look = _Look([each.document for each in answers])
    return [[each.status, _by_name(each.headers), look.at(each.document)] for each in answers]


def _by_name(headers: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {name: [value for each, value in headers if each == name] for name in sorted(dict(headers))}


class _Look:
    """How one script's answers are looked at."""

    def __init__(self, documents: list[Any]) -> None:
        self._numbers: dict[str, dict[Any, int]] = {}
        self._versions = sorted({int(each) for each in _versions(documents)})
        self._names = {name: f"{prefix}<generated {n}>" for n, (name, prefix) in enumerate(_generated(documents), 1)}
        self._page = 0  # the version that the next page must be of

    def at(self, value: Any, key: str = "") -> Any:
        """A value, comparable; `key` is what it is the value of."""
        if isinstance(value, dict):
            return self._map(value)
        if isinstance(value, list):
            return [self.at(each, key) for each in value]
        if key in _ADDRESS_KEYS and value not in ("None", ""):
            return self._numbered("address", value)
        if key in _PORT_KEYS:
            return self._numbered("port", value)
        if key == "cells" and isinstance(value, str):
            return _AGE.sub("<age>", self._text(value))
        return self._text(value) if isinstance(value, str) else value

    def _map(self, value: Json) -> Json:
        made: Json = {}
        for key in sorted(value, key=lambda key: (key == "continue", key)):  # a token is about the next page, not about its own
            each = value[key]
            if key == "resourceVersion" and isinstance(each, str) and each.isdigit():
                made[key] = self._version(int(each), of_list="uid" not in value and "name" not in value)
            elif key == "continue" and each:
                made[key] = self._token(each)
            elif key == "columnDefinitions" and isinstance(each, list):
                made[key] = [{**column, "description": "<documentation>"} for column in each]
            elif key == "message" and isinstance(each, str):
                made[key] = _unordered(self._text(_OBJECT.sub(_sorted_object, each)))
            elif key == "causes" and isinstance(each, list):
                made[key] = sorted(self.at(each), key=lambda cause: json.dumps(cause, sort_keys=True))
            else:
                made[self._text(key)] = self.at(each, key)
        return made

    def _version(self, version: int, *, of_list: bool) -> str:
        rank = bisect.bisect_right(self._versions, version)
        if not of_list:
            return f"<version {rank}>"
        page, self._page = self._page, 0
        return f"<after version {rank}>" + (" <as the page before>" if page == version else "")

    def _token(self, token: str) -> Json:
        opened = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version = self._page = opened.pop("rv")
        return {**self.at(opened), "rv": version if version < 0 else f"<after version {bisect.bisect_right(self._versions, version)}>"}

    def _text(self, text: str) -> str:
        for name, shown in self._names.items():
            text = text.replace(name, shown)
        text = _UID.sub(lambda found: self._numbered("uid", found[0]), text)
        text = _PORT.sub(lambda found: self._numbered("port", int(found[0])), text)
        text = _TOKEN_VOLUME.sub(lambda found: self._numbered("volume", found[0]), text)
        return _TOLD.sub(self._told, text)

    def _told(self, found: re.Match[str]) -> str:
        text = found[0]
        for name, digits in found.groupdict().items():
            if digits and name in ("wanted", "mine", "shown"):
                text = text.replace(digits, self._version(int(digits), of_list=False))
            elif digits and name in ("current", "oldest"):
                text = text.replace(digits, f"<{name}>")
        return text

    def _numbered(self, what: str, value: Any) -> str:
        seen = self._numbers.setdefault(what, {})
        return f"<{what} {seen.setdefault(value, len(seen) + 1)}>"


def _versions(value: Any) -> Iterator[str]:
    """Every version of an object."""
    if isinstance(value, list):
        for each in value:
            yield from _versions(each)
    elif isinstance(value, dict):
        version = value.get("resourceVersion")
        if isinstance(version, str) and version.isdigit() and ("uid" in value or "name" in value):
            yield version
        for each in value.values():
            yield from _versions(each)


def _generated(value: Any) -> Iterator[tuple[str, str]]:
    """Every generated name, once, with what it begins with."""
    found: dict[str, str] = {}

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("generateName"), str) and isinstance(value.get("name"), str):
                found.setdefault(value["name"], value["generateName"])
            for key in sorted(value):
                look(value[key])
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(value)
    yield from found.items()


def _sorted_object(found: re.Match[str]) -> str:
    """An object that a sentence shows, with its names in one order."""
    return json.dumps(json.dumps(json.loads(json.loads(found[0])), sort_keys=True, separators=(",", ":")))


def _unordered(message: str) -> str:
    """A sentence whose listed faults are in one order."""
    message = _DIFF.sub("", message)
    head, several, rest = message.partition("errors:\n")
    return head + several + "\n".join(sorted(rest.split("\n"))) if several else message
