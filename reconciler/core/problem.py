"""What is wrong with a file, and the words for it.

Law of the module: a message is for the author of the file. Lower case; the field first, then what it is, then what it must be;
never more than a short piece of what the file says, never a control character, and never a value of a Secret (callers show
values only of kinds that hold none). What happens next ("held as of …") is added by whoever decides it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from .identity import Place

Severity = Literal["error", "warning"]
Pointer = tuple[str | int, ...]

SHOWN_CHARACTERS = 60  # of one value or key in a message
FIELD_CHARACTERS = 300  # of the path of a field


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file, for its author: `path:line:col: what is wrong`."""

    place: Place
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Finding(NamedTuple):
    """A problem with one object, before anybody looked up where in the file its field stands."""

    pointer: Pointer
    message: str
    severity: Severity = "error"
    at_key: bool = False  # the key is wrong, not its value
    wants_text: bool = False  # text was wanted: quotes around the value would mend it


def field(pointer: Pointer) -> str:
    """A pointer as people write it: `spec.containers[0].image`, `metadata.labels["example.com/tier"]`."""
    text = ""
    for step in pointer:
        if isinstance(step, int):
            text += f"[{step}]"
        elif len(step) <= SHOWN_CHARACTERS and step.isascii() and step.replace("-", "").replace("_", "").isalnum():
            text += f".{step}" if text else step
        else:
            text += f"[{shown(step)}]"
    if len(text) > FIELD_CHARACTERS:
        text = "…" + text[-FIELD_CHARACTERS:]
    return text or "the object"


def shown(value: Any) -> str:
    """A value as JSON on one line, cut short; not for values of Secrets."""
    if isinstance(value, str):
        value = value[: SHOWN_CHARACTERS + 1]
    elif isinstance(value, dict | list):
        return noun(value)
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def noun(value: Any) -> str:
    """What a JSON value is, in a word with its article."""
    if value is None:
        return "null"
    for kind, word in _NOUNS:
        if isinstance(value, kind):
            return word
    raise AssertionError(type(value))


_NOUNS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),  # before int: True is an int in Python
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (dict, "a mapping"),
    (list, "a list"),
)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean replicas?`, or nothing where no known word is near."""
    near = difflib.get_close_matches(word[:SHOWN_CHARACTERS], list(known), n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


def listed(words: Iterable[Any]) -> str:
    """`a, b or c`, at most ten of them."""
    texts = [word if isinstance(word, str) else shown(word) for word in words]
    if len(texts) > 10:
        texts = [*texts[:9], f"{len(texts) - 9} more"]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
