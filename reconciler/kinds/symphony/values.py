"""The values of Symphony expressions: JSON, what counts as a number or a boolean, and how a value reads as text.

Law of the module: pure and total but for `ExpressionError`. A number is an integer of 64 bits or a finite decimal; anything larger is
text, digit for digit. Text of a decimal is never in exponents; text of null is empty; text of a mapping or a list is JSON.

What an expression gets from a Secret is secret, and so is whatever was made with it (`Value.secret`); no message shows a part of it.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any, Final, NamedTuple

from reconciler.core.problem import Pointer, noun
from reconciler.core.problem import field as named
from reconciler.core.problem import shown as quoted

Json = Any

STEPS: Final = 200_000  # of one evaluation; a step is a node, or COST_CHARACTERS of text that are made or looked at
STEPS_PER_CHARACTER: Final = 2  # that the text of an expression adds to them: a node takes at least one character
COST_CHARACTERS: Final = 64
MESSAGE_CHARACTERS: Final = 600  # of an error; the middle of a longer one is left out
RESULT_CHARACTERS: Final = 1 << 20  # of one value, as JSON: what a cluster's store takes at most is some 1.5 MiB
VALUE_DEPTH: Final = 200  # of mappings and lists: what a manifest may have

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_INTEGERS = range(-(2**63), 2**63)
# Go's strconv.ParseBool, which upstream asks.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class ExpressionError(Exception):
    """An expression that has no value: why, and where in the value that holds it. For the author of the file."""

    def __init__(self, message: str, path: Pointer = ()) -> None:
        if len(message) > MESSAGE_CHARACTERS:
            half = MESSAGE_CHARACTERS // 2
            message = f"{message[:half]} … {message[-half:]}"
        super().__init__(message)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return f"{named(self.path)}: {self.message}" if self.path else self.message


class Value(NamedTuple):
    """What an expression comes to. `secret`: a Secret's value went into it, so it may be neither shown, logged nor put into Git."""

    json: Json
    secret: bool = False


class Budget:
    """What an evaluation may still spend."""

    def __init__(self, characters: int = 0, steps: int = STEPS) -> None:
        self._left = steps + STEPS_PER_CHARACTER * characters

    def grow(self, characters: int) -> None:
        """Another text is to be evaluated."""
        self._left += STEPS_PER_CHARACTER * characters

    def spend(self, steps: int = 1) -> None:
        """Take steps.

        Raises:
            ExpressionError: none are left.
        """
        self._left -= steps
        if self._left < 0:
            raise ExpressionError("this asks for too much work")

    def spend_on(self, value: Json) -> None:
        """Take what it costs to look at a whole value; a text costs one step for COST_CHARACTERS.

        Raises:
            ExpressionError: no steps are left, or the value is too deep or too large.
        """
        if isinstance(value, str):
            _refuse_large(len(value))
            self.spend(1 + len(value) // COST_CHARACTERS)
        elif isinstance(value, dict | list):
            self._spend_on_parts(value)
        else:
            self.spend()

    def _spend_on_parts(self, value: Json) -> None:
        level, size, depth = [value], 0, 0
        while level:
            depth += 1
            if depth > VALUE_DEPTH:
                raise ExpressionError(f"a value is nested more than {VALUE_DEPTH} deep")
            below: list[Json] = []
            for part in level:
                self.spend()
                if isinstance(part, str):
                    size += len(part)
                elif isinstance(part, dict):
                    size += sum(len(key) for key in part if isinstance(key, str))
                    below += part.values()
                elif isinstance(part, list):
                    below += part
            level = below
            _refuse_large(size)
        self.spend(size // COST_CHARACTERS)


def _refuse_large(characters: int) -> None:
    if characters > RESULT_CHARACTERS:
        raise ExpressionError(f"a value has more than {RESULT_CHARACTERS} characters")


def shown(value: Value) -> str:
    """A value in a message: short, on one line, and never a secret."""
    if value.secret:
        return "a secret value (not shown)"
    try:
        return quoted(value.json)
    except (AssertionError, ValueError):
        return noun(0)  # an integer of thousands of digits


def number_of(json: Json) -> int | float | None:
    """The number that a value is; text is none, even where it reads like one."""
    if isinstance(json, bool):
        return None
    if isinstance(json, int):
        return json if json in _INTEGERS else None
    return json if isinstance(json, float) and math.isfinite(json) else None


def as_number(json: Json) -> float | None:
    """The number that a value is or reads as ("1.0", "-3e2")."""
    if isinstance(json, str):
        number = float(json) if _NUMBER.fullmatch(json) else None
        return number if number is not None and math.isfinite(number) else None
    return number_of(json)


def as_boolean(json: Json) -> bool | None:
    """The boolean that a value is or reads as."""
    if isinstance(json, bool):
        return json
    return _BOOLEANS.get(json) if isinstance(json, str) else None


def text_of(value: Json) -> str:
    """A value as text.

    Raises:
        ExpressionError: it is no JSON value, or a number of thousands of digits.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return json_of(value)


def json_of(value: Json, *, in_order: bool = True) -> str:
    """A value as compact JSON; with its keys in order, so that the same value is the same text.

    Raises:
        ExpressionError: it is no JSON value.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=in_order)
    except (TypeError, ValueError, RecursionError):
        raise ExpressionError("a value cannot be written as JSON") from None


def parsed(text: str) -> Json:
    """The value of a JSON text.

    Raises:
        ExpressionError: it is no JSON text.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ExpressionError("the text is no JSON") from None


def _no_number(word: str) -> Json:
    raise ValueError(word)


def same(left: Json, right: Json) -> bool:
    """Whether two values are equal: numbers by amount (decimals are never quite exact), everything else by its text."""
    one, other = number_of(left), number_of(right)
    if one is not None and other is not None:
        if isinstance(one, int) and isinstance(other, int):
            return one == other
        return abs(one - other) < 1e-9
    return text_of(left) == text_of(right)


def joined(operator: str, left: Json, right: Json) -> Json:
    """Two values with an operator between them: arithmetic where both are numbers, else text with the operator's sign in it.

    Raises:
        ExpressionError: the result is no finite number.
    """
    one, other = number_of(left), number_of(right)
    if one is None or other is None or operator not in "+-*/" or (operator == "/" and other == 0):
        return f"{text_of(left)}{'' if operator == '+' else operator}{text_of(right)}"
    try:
        return _tidy(_calculated(operator, one, other))
    except OverflowError:
        raise ExpressionError("the result is too large for a number") from None


def _calculated(operator: str, left: int | float, right: int | float) -> int | float:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    return left / right


def _tidy(number: int | float) -> int | float:
    """An integer where the amount is one and fits 64 bits, else a decimal."""
    if isinstance(number, int):
        return number if number in _INTEGERS else float(number)
    if not math.isfinite(number):
        raise OverflowError
    return int(number) if number.is_integer() and int(number) in _INTEGERS else number
