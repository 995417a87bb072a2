"""Label and field selectors of lists and watches: parsed once, then asked of objects.

Law of the module: the grammar and the refusals of k8s.io/apimachinery (labels, fields). An empty selector takes everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import metadata
from .errors import Cause, bad_request, forbidden_field, invalid_value, required

Json = dict[str, Any]
_TOKEN = re.compile(r"\s*(==|!=|=|!|,|\(|\)|>|<|[^\s=!,()<>]+)")
_MARKS = {"=", "==", "!=", "!", ",", "(", ")", ">", "<"}
_OPERATORS = {"=", "==", "!=", "in", "notin", ">", "<"}


class Requirement(NamedTuple):
    """One demand on one key. `operator` is one of exists, !exists, in, notin, >, <."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it."""
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!exists":
                return value is None
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
        try:
            number, limit = int(value or ""), int(self.values[0])
        except ValueError:
            return False
        return number > limit if self.operator == ">" else number < limit


Labels = tuple[Requirement, ...]


def matches(selector: Labels, labels: Mapping[str, str]) -> bool:
    """Whether labels meet all requirements."""
    return all(requirement.holds(labels) for requirement in selector)


class _Wrong(Exception):
    """A requirement that cannot be read; the text is the server's."""


def parse_labels(text: str) -> Labels:
    """Read a label selector; raises `ApiError` 400 in the server's words."""
    tokens = _Tokens(_TOKEN.findall(text))
    found: list[Requirement] = []
    while word := tokens.next():
        if word in _MARKS and word != "!":
            raise bad_request(f"found '{word}', expected: !, identifier, or 'end of string'")
        try:
            found.append(_requirement(tokens))
        except _Wrong as error:
            raise bad_request(f"unable to parse requirement: {error}") from None
        if not (word := tokens.take()):
            break
        if word != ",":
            raise bad_request(f"found '{word}', expected: ',' or 'end of string'")
        word = tokens.next()
        if not word or (word in _MARKS and word != "!"):
            raise bad_request(f"found '{word}', expected: identifier after ','")
    return tuple(found)


class _Tokens:
    """The words of a selector, one after the other; "" is its end."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0

    def next(self) -> str:
        """The next word, which stays."""
        return self._words[self._at] if self._at < len(self._words) else ""

    def take(self) -> str:
        """The next word, which goes."""
        word = self.next()
        self._at += 1
        return word


def _requirement(tokens: _Tokens) -> Requirement:
    key = tokens.take()
    absent = key == "!"
    if absent:
        key = tokens.take()
    if not key or key in _MARKS:
        raise _Wrong(f"found '{key}', expected: identifier")
    for words in metadata.qualified_words(key):
        raise _Wrong(f"<nil>: {invalid_value('', key, words).text}")
    if absent:
        return Requirement(key, "!exists")
    if tokens.next() in ("", ","):
        return Requirement(key, "exists")
    operator = tokens.take()
    if operator in ("in", "notin"):
        return _checked(Requirement(key, operator, _set(tokens)))
    if operator not in _OPERATORS:
        raise _Wrong(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
    value = "" if tokens.next() in ("", ",") else tokens.take()
    if value in _MARKS:
        raise _Wrong(f"found '{value}', expected: identifier")
    named = operator if operator in (">", "<") else "notin" if operator == "!=" else "in"
    return _checked(Requirement(key, named, (value,)))


def _checked(requirement: Requirement) -> Requirement:
    """A requirement whose values can be those of labels."""
    for at, value in enumerate(requirement.values):
        if requirement.operator in (">", "<") and not re.fullmatch("[+-]?[0-9]+", value):
            words = invalid_value("", value, "for 'Gt', 'Lt' operators, the value must be an integer").text
            raise _Wrong(f"values[{at}]: {words}")
        for text in metadata.value_words(value):
            raise _Wrong(f"values[{at}][{requirement.key}]: {invalid_value('', value, text).text}")
    return requirement


def _set(tokens: _Tokens) -> tuple[str, ...]:
    word = tokens.take()
    if word != "(":
        raise _Wrong(f"found '{word}' expected: '('")
    values: list[str] = []
    if tokens.next() in ("", "(", "=", "==", "!=", "!", ">", "<"):
        raise _Wrong(f"found '{tokens.next()}', expected: ',', ')' or identifier")
    while True:
        values.append("" if tokens.next() in (",", ")") else tokens.take())
        word = tokens.take()
        if word == ")":
            return tuple(sorted(dict.fromkeys(values)))
        if word != ",":
            raise _Wrong(f"found '{word}', expected: ',' or ')'")
        if tokens.next() not in (",", ")") and (not tokens.next() or tokens.next() in _MARKS):
            raise _Wrong(f"found '{tokens.next()}', expected: ',', or identifier")


class FieldTest(NamedTuple):
    """One demand on one field: equal, or not."""

    field: str
    equal: bool
    value: str


Fields = tuple[FieldTest, ...]


def _path(*names: str) -> Callable[[Json], str]:
    def read(obj: Json) -> str:
        value: Any = obj
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    return read


_NAMES = {"metadata.name": _path("metadata", "name"), "metadata.namespace": _path("metadata", "namespace")}


def _paths(*fields: str) -> dict[str, Callable[[Json], str]]:
    return {name: _path(*name.split(".")) for name in fields}


_INVOLVED = [f"involvedObject.{f}" for f in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")]
_REGARDING = {name.replace("involvedObject", "regarding"): _path(*name.split(".")) for name in _INVOLVED}
FIELDS: dict[tuple[str, str], dict[str, Callable[[Json], str]]] = {
    ("", "Pod"): _paths(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    ("", "Secret"): _paths("type"),
    ("", "Namespace"): _paths("status.phase"),
    ("", "Node"): _paths("spec.unschedulable"),
    ("", "Service"): _paths("spec.clusterIP", "spec.type"),
    ("", "ReplicationController"): _paths("status.replicas"),
    ("", "Event"): {**_paths(*_INVOLVED, "reason", "reportingComponent", "type"), "source": _path("source", "component")},
    ("events.k8s.io", "Event"): {**_REGARDING, **_paths("reason", "type"), "reportingController": _path("reportingComponent")},
    ("batch", "Job"): _paths("status.successful"),
    ("certificates.k8s.io", "CertificateSigningRequest"): _paths("spec.signerName"),
}
_PLAIN_WORDS = {("batch", "Job"): 'field label "{}" not supported for Job'}


def parse_fields(text: str, group: str, kind: str, selectable: Mapping[str, str] | None = None) -> Fields:
    """Read a field selector for a kind; raises `ApiError` 400. `selectable` adds fields that a definition names."""
    known = fields_of(group, kind, selectable)
    tests = []
    for part in text.split(","):
        if not part:
            continue
        name, operator, value = _split(part)
        if name not in known:
            raise bad_request(_unknown(name, group, kind, known, selectable is not None))
        tests.append(FieldTest(name, operator != "!=", value))
    return tuple(tests)


def _split(part: str) -> tuple[str, str, str]:
    found = re.search(r"!=|==|=", part)
    if not found:
        raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
    return part[: found.start()], found.group(), part[found.end() :]


def _unknown(name: str, group: str, kind: str, known: Mapping[str, Callable[[Json], str]], custom: bool) -> str:
    if (group, kind) in _PLAIN_WORDS:
        return _PLAIN_WORDS[group, kind].format(name)
    if custom or (group in ("", "events.k8s.io") and (group, kind) in FIELDS):
        return f"field label not supported: {name}"
    words = ", ".join(f'"{field}"' for field in known)
    return f'"{name}" is not a known field selector: only {words}'


def fields_of(group: str, kind: str, selectable: Mapping[str, str] | None = None) -> dict[str, Callable[[Json], str]]:
    """The fields that a selector may name, and how each is read."""
    extra = {path.removeprefix("."): _path(*path.removeprefix(".").split(".")) for path in selectable or {}}
    return {**_NAMES, **FIELDS.get((group, kind), {}), **extra}


class Selector(NamedTuple):
    """What a list or watch takes."""

    labels: Labels
    fields: tuple[tuple[Callable[[Json], str], bool, str], ...]

    def takes(self, obj: Json) -> bool:
        """Whether an object is in."""
        if self.labels and not matches(self.labels, obj["metadata"].get("labels") or {}):
            return False
        return all((read(obj) == value) == equal for read, equal, value in self.fields)

    @property
    def everything(self) -> bool:
        """Whether nothing is asked."""
        return not self.labels and not self.fields


def selector(labels: str, fields: str, group: str, kind: str, selectable: Mapping[str, str] | None = None) -> Selector:
    """Read both selectors of a request."""
    known = fields_of(group, kind, selectable)
    tests = parse_fields(fields, group, kind, selectable)
    return Selector(parse_labels(labels), tuple((known[t.field], t.equal, t.value) for t in tests))


def object_selector(spec: Json | None) -> Labels:
    """A LabelSelector of a spec (`matchLabels`, `matchExpressions`) as requirements."""
    found = [Requirement(k, "in", (v,)) for k, v in ((spec or {}).get("matchLabels") or {}).items()]
    words = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!exists"}
    for expression in (spec or {}).get("matchExpressions") or []:
        operator = words.get(expression.get("operator", ""), "in")
        found.append(Requirement(expression.get("key", ""), operator, tuple(expression.get("values") or ())))
    return tuple(found)


def selector_text(spec: Json | None) -> str:
    """A LabelSelector as the text that a Scale shows: sorted by key."""
    parts = []
    for requirement in sorted(object_selector(spec)):
        key, operator, values = requirement
        if operator in ("exists", "!exists"):
            parts.append(("!" if operator == "!exists" else "") + key)
        elif operator == "in" and key in ((spec or {}).get("matchLabels") or {}):
            parts.append(f"{key}={values[0]}")
        else:
            parts.append(f"{key} {operator} ({','.join(sorted(values))})")
    return ",".join(parts)


def selector_causes(spec: Json, path: str) -> list[Cause]:
    """What is wrong with a LabelSelector."""
    found: list[Cause] = []
    for key, value in sorted((spec.get("matchLabels") or {}).items()):
        found += [invalid_value(f"{path}.matchLabels", key, text) for text in metadata.qualified_words(key)]
        found += [invalid_value(f"{path}.matchLabels", value, text) for text in metadata.value_words(value)]
    for at, expression in enumerate(spec.get("matchExpressions") or ()):
        below = f"{path}.matchExpressions[{at}]"
        operator, values = expression.get("operator", ""), expression.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                found.append(required(f"{below}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                found.append(forbidden_field(f"{below}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
        else:
            found.append(invalid_value(f"{below}.operator", operator, "not a valid selector operator"))
        key = expression.get("key", "")
        found += [invalid_value(f"{below}.key", key, text) for text in metadata.qualified_words(key)]
        for number, value in enumerate(values):
            found += [invalid_value(f"{below}.values[{number}]", value, text) for text in metadata.value_words(value)]
    return found
