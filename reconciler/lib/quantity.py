"""Kubernetes quantities: what "100m", "0.1" and "1.5Gi" mean, and how the API server writes them back.

Law of the module: a quantity is a whole number of nanos (10⁻⁹; what lies between is rounded away from zero), so that
comparing is exact, beside the text in which the API server would store it. Two texts of one amount are equal.

The rules are those of k8s.io/apimachinery `pkg/api/resource` 0.36, two odd habits included, because stored objects
show them: a text that looks canonical stays as written ("1.500", "+5"); decimal amounts above 999E lose their suffix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeGuard

Format = Literal["decimal", "binary", "exponent"]

TEXT_LIMIT: Final = 256  # characters; the longest sensible quantity has some 25
EXPONENT_LIMIT: Final = 400  # powers of ten; larger ones only cost memory

_SPLIT: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*(?:[+-]?[0-9]*))", re.ASCII)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX: Final = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_SUFFIX: Final = {power: suffix for suffix, power in _BINARY.items()}
_NANOS: Final = 10**9
_BINARY_LIMIT: Final = (2**63 - 1) * _NANOS
_DIGITS_KEPT: Final = 18  # decimal digits that surely fit 64 bits: only such texts may be kept as written


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An amount. Ordered and compared by `nanos` alone; `str()` is what the API server prints."""

    nanos: int
    text: str = field(compare=False)

    def __str__(self) -> str:
        return self.text


def parse(value: str | int | float) -> Quantity:
    """Read a quantity as JSON holds it.

    Raises:
        ValueError: it is none; the message is the API server's.
    """
    text = value if isinstance(value, str) else str(value)
    text = text.strip()
    split = _SPLIT.fullmatch(text)
    if not text or len(text) > TEXT_LIMIT or split is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    sign, whole, fraction, suffix = (part or "" for part in split.groups())
    power, form = _interpret(suffix)
    whole = whole.lstrip("0") or "0"
    digits = int(whole + fraction)
    if form == "binary":
        numerator, scale = digits * 2**power, -len(fraction)
    else:
        numerator, scale = digits, power - len(fraction)
    nanos = _to_nanos(numerator, scale)
    if form == "binary" and nanos > _BINARY_LIMIT:
        nanos = _BINARY_LIMIT
    if sign == "-":
        nanos = -nanos
    if _kept_as_written(whole, fraction, power, form):
        return Quantity(nanos, text)
    return Quantity(nanos, _canonical(nanos, form))


def canonical(value: str | int | float) -> str:
    """The text that the API server stores for `value`; ValueError as `parse`."""
    return parse(value).text


def equal(left: object, right: object) -> bool:
    """Whether two JSON values are the same amount; values that are no quantities are equal only to themselves."""
    if left == right:
        return True
    if not _is_text_or_number(left) or not _is_text_or_number(right):
        return False
    try:
        return parse(left).nanos == parse(right).nanos
    except ValueError:
        return False


def total(values: Iterable[str]) -> str:
    """The text of a sum of stored texts, in the form of the first that is not nothing."""
    nanos, form = 0, None
    for value in values:
        amount = parse(value).nanos
        nanos += amount
        if form is None and amount:
            split = _SPLIT.fullmatch(value)
            assert split is not None, "parse() has read it"
            form = _interpret(split[4] or "")[1]
    return _canonical(nanos, form or "decimal")


def round_up(value: str | int | float, power: int) -> str:
    """The text of `value` rounded away from zero to a multiple of 10^`power` (resource lists: to milli, -3)."""
    amount = parse(value)
    unit: int = 10 ** (power + 9)
    if amount.nanos % unit == 0:
        return amount.text
    size = -(-abs(amount.nanos) // unit) * unit
    return _canonical(size if amount.nanos > 0 else -size, "decimal")


def _is_text_or_number(value: object) -> TypeGuard[str | int | float]:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _interpret(suffix: str) -> tuple[int, Format]:
    """The power (of ten, or of two for binary suffixes) that a suffix stands for."""
    if suffix in _DECIMAL:
        return _DECIMAL[suffix], "decimal"
    if suffix in _BINARY:
        return _BINARY[suffix], "binary"
    if suffix[0] in "eE" and re.fullmatch(r"[+-]?[0-9]+", suffix[1:]):
        power = int(suffix[1:])
        if abs(power) <= EXPONENT_LIMIT:
            return power, "exponent"
    raise ValueError("unable to parse quantity's suffix")


def _to_nanos(numerator: int, scale: int) -> int:
    """`numerator`·10^`scale` in nanos, rounded up."""
    shift = scale + 9
    unit: int = 10 ** abs(shift)
    return numerator * unit if shift >= 0 else -(-numerator // unit)


def _kept_as_written(whole: str, fraction: str, power: int, form: Format) -> bool:
    """Whether the API server keeps the text: its quick test for "already canonical" lets some others through too."""
    if form == "binary":
        room = 15 - len(whole) - power * 3 // 10 - 1
        return room >= 0 and not fraction and int(whole) % 8 != 0
    digits, scale = whole + fraction, power - len(fraction)
    return (
        len(digits) <= _DIGITS_KEPT
        and scale >= -9
        and scale % 3 == 0
        and not digits.endswith("000")
        and digits[0] != "0"
    )


def _canonical(nanos: int, form: Format) -> str:
    """The shortest text without a fraction, in the given form where that is exact."""
    if nanos == 0:
        return "0"
    if form == "binary" and abs(nanos) >= 1024 * _NANOS and nanos % _NANOS == 0:
        amount, power = nanos // _NANOS, 0
        while amount % 1024 == 0:
            amount, power = amount // 1024, power + 10
        return f"{amount}{_BINARY_SUFFIX.get(power, '')}"
    amount, power = nanos, -9
    while amount % 1000 == 0:
        amount, power = amount // 1000, power + 3
    if form == "exponent":
        return f"{amount}e{power}" if power else str(amount)
    return f"{amount}{_DECIMAL_SUFFIX.get(power, '')}"
