r"""Paths into JSON values, in the two languages that Symphony's expressions have.

JSONPath as Kubernetes writes it (`$val`, `$context`, `$jsonpath`; k8s.io/client-go/util/jsonpath): `{}` around the whole path may be
left out, `$` and `@` too; `.name`, `.a\.b`, `['name']`, `["name"]`, `..name`, `.*`, `[*]`, `[0]`, `[-1]`, `[1:3:2]`, `[0,2]`, `['a','b']`
and filters `[?(@.kind == "x")]` with == != < <= > >=, or a path alone (it exists). Text around the braces, `range` and functions are no
part of it. A jq path is written in backticks (a key of `$config`, a rule of a schema): `.a.b`, `."a b"`, `.["a"]`, `.[0]`, `.[-1]`, `.[]`
and any of them after another; pipes, functions, operators, slices, `?` and `..` are no part of it.

Law of the module: pure. What is not there is left out, whatever the kind of what stands there instead, so a path that leads nowhere
finds nothing and is no error; one that cannot be read is. Steps are taken from a budget.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from .values import Budget, ExpressionError, Json, number_of

PATH_CHARACTERS: Final = 1_024


@dataclass(frozen=True, slots=True)
class Names:
    """Values of a mapping, by key."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """Items of a list, by position; a negative one counts from the end."""

    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Items of a list from one position up to another."""

    bounds: slice


@dataclass(frozen=True, slots=True)
class Everything:
    """All values of a mapping or items of a list."""


@dataclass(frozen=True, slots=True)
class Everywhere:
    """The value itself and all that is in it, at any depth."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The items of a list for which a comparison holds, or, with no operator, in which the left path leads somewhere."""

    left: Operand
    operator: str
    right: Operand


Step: TypeAlias = Names | Items | Part | Everything | Everywhere | Filter
Steps: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of a comparison: a path from the item, or a value."""

    steps: Steps | None
    value: Json = None


_COMPARISONS: Mapping[str, Callable[[Json, Json], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}

_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_NAME = re.compile(r"(?:[^\s.\[\]{}()\\'\"`|,:;?!=<>&@$+*/#%~^]|\\.)+")
_BRACKET_NAMES = re.compile(rf"\[\s*((?:{_QUOTED})(?:\s*,\s*(?:{_QUOTED}))*)\s*\]")
_BRACKET_ITEMS = re.compile(r"\[\s*(-?[0-9]{1,9}(?:\s*,\s*-?[0-9]{1,9})*)\s*\]", re.ASCII)
_BRACKET_PART = re.compile(r"\[\s*(-?[0-9]{1,9})?\s*:\s*(-?[0-9]{1,9})?\s*(?::\s*([1-9][0-9]{0,8})?\s*)?\]", re.ASCII)
_BRACKET_ALL = re.compile(r"\[\s*\*\s*\]")
_JQ_BRACKET = re.compile(r'\[\s*(?:("(?:[^"\\]|\\.)*")|(-?[0-9]{1,9}))\s*\]', re.ASCII)
_FILTER_START = re.compile(r"\[\?\(\s*")
_FILTER_END = re.compile(r"\s*\)\s*\]")
_OPERATOR = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*")
_LITERAL = re.compile(rf"({_QUOTED})|(-?[0-9]{{1,15}}(?:\.[0-9]{{1,15}})?)(?![\w.])|(true|false|null)\b", re.ASCII)
_STRING = re.compile(_QUOTED)
_WORDS = {"true": True, "false": False, "null": None}


def find_json_path(value: Json, path: str, budget: Budget) -> list[Json]:
    """What a Kubernetes JSONPath leads to.

    Raises:
        ExpressionError: the path cannot be read, or the budget is spent.
    """
    return _walk([value], _Reader(path).json_path(), budget)


def find_jq(value: Json, path: str, budget: Budget) -> list[Json]:
    """What a jq path leads to; null counts as absent.

    Raises:
        ExpressionError: the path is none or is more than a path, or the budget is spent.
    """
    return [found for found in _walk([value], _Reader(path).jq(), budget) if found is not None]


class _Reader:
    """Reads one path from the left."""

    def __init__(self, path: str) -> None:
        if len(path) > PATH_CHARACTERS:
            raise ExpressionError(f"a path has more than {PATH_CHARACTERS} characters")
        self._path = path
        self._at = 0
        self._in_filter = False

    def json_path(self) -> Steps:
        text = self._path.strip()
        if text.startswith("{") and text.endswith("}"):
            text = text[1:-1].strip()
        self._path = text
        if not self._accept("$"):
            self._accept("@")
        steps = self._steps()
        if self._at < len(self._path):
            raise self._error("JSONPath")
        return steps

    def jq(self) -> Steps:
        self._path = self._path.strip()
        if self._path == ".":
            return ()
        steps: list[Step] = []
        while self._at < len(self._path):
            dot = self._accept(".")
            if dot and (text := self._match(_STRING)):
                steps.append(Names((_unquoted(text[0]),)))
            elif dot and (name := self._match(_NAME)):
                steps.append(Names((name[0],)))
            elif (dot or steps) and self._accept("[]"):
                steps.append(Everything())
            elif (dot or steps) and (found := self._match(_JQ_BRACKET)):
                steps.append(Names((_unquoted(found[1]),)) if found[1] else Items((int(found[2]),)))
            else:
                raise self._error("jq path: only names, positions and [] are understood")
        if not steps:
            raise self._error("jq path")
        return tuple(steps)

    def _steps(self) -> Steps:
        steps: list[Step] = []
        while True:
            if self._accept(".."):
                steps.append(Everywhere())
                steps += self._named()
            elif self._accept("."):
                steps += self._named()
            elif (step := self._bracket()) is not None:
                steps.append(step)
            elif not steps and (name := self._match(_NAME)):
                steps.append(Names((_unescaped(name[0]),)))
            else:
                return tuple(steps)

    def _named(self) -> list[Step]:
        """What follows a dot."""
        if self._accept("*"):
            return [Everything()]
        if name := self._match(_NAME):
            return [Names((_unescaped(name[0]),))]
        if self._path[self._at : self._at + 1] == "[":
            return []
        raise self._error("JSONPath")

    def _bracket(self) -> Step | None:
        if found := self._match(_BRACKET_NAMES):
            return Names(tuple(_unquoted(text) for text in _STRING.findall(found[1])))
        if found := self._match(_BRACKET_ITEMS):
            return Items(tuple(int(text) for text in found[1].split(",")))
        if found := self._match(_BRACKET_PART):
            return Part(slice(*(int(text) if text else None for text in found.groups())))
        if self._match(_BRACKET_ALL):
            return Everything()
        if not self._in_filter and self._match(_FILTER_START):
            return self._filter()
        return None

    def _filter(self) -> Filter:
        self._in_filter = True
        left = self._operand()
        sign = self._match(_OPERATOR)
        right = self._operand() if sign else Operand(None)
        if self._match(_FILTER_END) is None:
            raise self._error("filter: only @.path, or @.path and a value with ==, !=, <, <=, > or >= between, is understood")
        self._in_filter = False
        return Filter(left, sign[1] if sign else "", right)

    def _operand(self) -> Operand:
        if found := self._match(_LITERAL):
            quoted, number, word = found.groups()
            if quoted is not None:
                return Operand(None, _unquoted(quoted))
            return Operand(None, _WORDS[word] if word else float(number) if "." in number else int(number))
        if not self._accept("@") and self._path[self._at : self._at + 1] not in (".", "["):
            raise self._error("filter")
        return Operand(self._steps())

    def _accept(self, text: str) -> bool:
        found = self._path.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._path, self._at)
        self._at = found.end() if found else self._at
        return found

    def _error(self, what: str) -> ExpressionError:
        what, _, hint = what.partition(": ")
        return ExpressionError(f"not a {what}, from character {self._at + 1} on{': ' + hint if hint else ''}")


def _unquoted(text: str) -> str:
    return _unescaped(text[1:-1])


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _walk(values: list[Json], steps: Steps, budget: Budget) -> list[Json]:
    """All that the steps lead to, in order."""
    for step in steps:
        found: list[Json] = []
        for value in values:
            for below in _below(value, step, budget):
                budget.spend()
                found.append(below)
        values = found
    return values


def _below(value: Json, step: Step, budget: Budget) -> Iterator[Json]:
    match step:
        case Names(names) if isinstance(value, dict):
            yield from (value[name] for name in names if name in value)
        case Items(positions) if isinstance(value, list):
            yield from (value[at] for at in positions if -len(value) <= at < len(value))
        case Part(bounds) if isinstance(value, list):
            yield from value[bounds]
        case Everything() if isinstance(value, dict | list):
            yield from _parts(value)
        case Everywhere():
            yield from _all(value, budget)
        case Filter() if isinstance(value, list):
            yield from (item for item in value if _holds(item, step, budget))


def _parts(value: Json) -> list[Json]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _all(value: Json, budget: Budget) -> Iterator[Json]:
    """A value and all that is in it, from the top, in order."""
    left = [value]
    while left:
        budget.spend()
        value = left.pop()
        yield value
        left += reversed(_parts(value))


def _holds(item: Json, test: Filter, budget: Budget) -> bool:
    budget.spend()
    left = _side(item, test.left, budget)
    if not test.operator:
        return bool(left)
    right = _side(item, test.right, budget)
    return any(_compares(one, test.operator, other, budget) for one in left for other in right)


def _side(item: Json, operand: Operand, budget: Budget) -> list[Json]:
    return [operand.value] if operand.steps is None else _walk([item], operand.steps, budget)


def _compares(one: Json, sign: str, other: Json, budget: Budget) -> bool:
    """Numbers are compared with numbers and text with text; nothing else has an order, and unlike things are unlike."""
    budget.spend_on(one)
    budget.spend_on(other)
    numbers = number_of(one) is not None and number_of(other) is not None
    if not numbers and type(one) is not type(other):
        return sign == "!="
    if sign in ("==", "!="):
        return bool(one == other) == (sign == "==")
    return (numbers or isinstance(one, str)) and _COMPARISONS[sign](one, other)
