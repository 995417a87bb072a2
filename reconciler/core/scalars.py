"""What plain words and numbers of YAML 1.1 mean to kubectl.

Law of the module: text in, value out, nothing remembered. The rules are those of Go's YAML 1.1 reader and `strconv`, as measured
from kubectl (tests/core/cases/yaml/kubectl.json); a `ValueError` is *returned* where the text has no JSON value, its message
without the text itself, which may be a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from decimal import Decimal
from typing import Any

DIGITS = 400  # the longest number that is read: any double has fewer

_BOOLEANS = {True: "y Y yes Yes YES on On ON true True TRUE", False: "n N no No NO off Off OFF false False FALSE"}
WORDS: dict[str, bool | None] = {word: value for value, words in _BOOLEANS.items() for word in words.split()}
SURPRISING = frozenset(word for word in WORDS if word.lower() not in ("true", "false"))
"""Words that look like text and are booleans."""
WORDS |= dict.fromkeys(("", "~", "null", "Null", "NULL"))

NUMERIC = frozenset("+-.0123456789")
"""The first characters of what may be a number."""

_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BASES = {"0x": 16, "0b": 2, "0o": 8}
_INT64 = 1 << 63
_CORE_TAG = "tag:yaml.org,2002:"


def number(text: str) -> int | float | str | ValueError:
    """What a plain scalar that begins like a number is: a number where Go would read one, else text.

    Floats keep their fraction, even an empty one (`1e3` is 1000.0): see `without_fraction`.
    """
    if _NO_JSON.fullmatch(text):
        return ValueError("infinity and NaN have no JSON form; put it in quotes for text")
    digits = text if text[0] == "." else text.replace("_", "")  # Go takes underscores only after a digit or a sign
    integer = text[0] != "." and _INTEGER.fullmatch(digits)
    if not integer and not _FLOAT.fullmatch(digits):
        return text
    if len(digits) > DIGITS:
        return ValueError(f"a number of {len(digits)} digits; put it in quotes for text")
    if integer:
        bare = digits.lstrip("+-")
        value = int(bare, _BASES.get(bare[:2].lower()) or (8 if bare[0] == "0" else 10))
        value = -value if digits[0] == "-" else value
        if -_INT64 <= value < _INT64:
            return value
        if 0 <= value < 2 * _INT64:
            return float(value)
        if not _FLOAT.fullmatch(digits):
            return text
    value_ = float(digits)
    return text if value_ in (float("inf"), float("-inf")) else value_


def without_fraction(value: float) -> int | float:
    """A float as JSON carries it: an integer where it has no fraction and fits 64 bits.

    Go writes the shortest digits that give the same double, and reads those: so do we (it shows above 2**53).
    """
    if value != int(value):
        return value
    whole = int(Decimal(repr(value)))
    return whole if -_INT64 <= whole < _INT64 else value


def tagged(tag: str, text: str) -> Any:
    """A scalar with an explicit tag: core tags are obeyed or refused, all others dropped, which leaves text."""
    name = tag.removeprefix(_CORE_TAG) if tag.startswith(_CORE_TAG) else ""
    if name == "binary":
        try:
            return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ValueError("!!binary is no base64 of UTF-8 text")
    if name not in ("int", "float", "bool", "null"):
        return text
    value = WORDS[text] if text in WORDS else number(text) if text[0] in NUMERIC else text
    if isinstance(value, ValueError):
        return value
    kinds: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}
    if not isinstance(value, kinds[name]) or (isinstance(value, bool) and name != "bool"):
        return ValueError(f"!!{name} does not fit this value")
    return value


def key_text(value: Any) -> str | None:
    """A key as text; None for what cannot be one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _float_text(value) if isinstance(value, float) else None


def _float_text(value: float) -> str | None:
    """Go's FormatFloat(value, 'g', -1, 32): the shortest digits of a *32-bit* float, an exponent from 1e6 on."""
    if abs(value) >= _INT64:  # kubectl refuses whole numbers of 64 bits, and rounds longer ones
        return None
    single = struct.pack("<f", value)
    (rounded,) = struct.unpack("<f", single)
    # Up to six digits come back as they were, so the shortest are among six without their zeros; nine always suffice.
    texts = (f"{rounded:.{digits}e}" for digits in (5, 6, 7, 8))
    text = next(text for text in texts if struct.pack("<f", float(text)) == single)
    mantissa, _, exponent = text.partition("e")
    mantissa, power = mantissa.rstrip("0").rstrip("."), int(exponent)
    if not -4 <= power < 6:
        return f"{mantissa}e{exponent}"
    return f"{float(text):.{max(0, len(mantissa.lstrip('-').replace('.', '')) - 1 - power)}f}"
