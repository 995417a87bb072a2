"""Values as their authors wrote them: each knows its name, its place, and whom to tell what is wrong with it.

Law of the module: total. Properties of components hold texts, structures, or JSON text of structures, whichever the author's generation
of the API asked for: all are read alike. A place within JSON text is that of the text. Nothing shows what came from a Secret: of text that
did neither values nor keys, so that a name ends where the secret begins.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from reconciler.core.problem import SHOWN_CHARACTERS, Pointer, Severity, did_you_mean, noun
from reconciler.core.problem import field as named
from reconciler.core.problem import shown as quoted
from reconciler.kinds.symphony.components.site import Evaluate, Fault, Hidden, Whose
from reconciler.kinds.symphony.model import Component, Json

DEPTH = 200  # of mappings and lists within each other: what a manifest may have

NO_TEXT = "its value comes from a secret and is no text, which it must be"
NOT_SHOWN = "a secret value (not shown)"
WITHIN = ": a value in it"  # where the name of a field ends, within a secret

_FORMS = {list: "a list", dict: "a mapping"}


class Faults:
    """What was found wrong with one thing, the first of each field; `failed` once any of it is an error."""

    __slots__ = ("_told", "about", "failed", "found")

    def __init__(self, about: str = "") -> None:
        self.about = f"{about}: " if about else ""
        self.found: list[Fault] = []
        self.failed = False
        self._told: dict[tuple[Whose, Pointer, str], None] = {}

    def add(self, pointer: Pointer, message: str, whose: Whose = "solution", severity: Severity = "error") -> None:
        """Keep what is wrong; a message begins with the name of its field."""
        key = (whose, pointer, message.partition(" ")[0])
        if key in self._told:
            return
        self._told[key] = None
        self.found.append(Fault(pointer, self.about + message, whose, severity))
        self.failed = self.failed or severity == "error"


@dataclass(frozen=True, slots=True)
class Field:
    """One value."""

    value: Any
    name: str
    pointer: Pointer
    faults: Faults
    whose: Whose = "solution"
    in_text: bool = False  # `value` was read from the text that stands at `pointer`
    secret: bool = False  # and that text holds a Secret's value

    def below(self, step: str | int) -> Field:
        """A part of the value, which has it."""
        if self.secret:
            name = self.name.removesuffix(WITHIN) + WITHIN
            return Field(self.value[step], name, self.pointer, self.faults, self.whose, in_text=True, secret=True)
        name = f"{self.name}[{step}]" if isinstance(step, int) else f"{self.name}.{named((step,))}"
        pointer = self.pointer if self.in_text else (*self.pointer, step)
        return Field(self.value[step], name, pointer, self.faults, self.whose, self.in_text)

    def wrong(self, words: str, severity: Severity = "error") -> None:
        """Tell what is wrong: `words` follow the name."""
        self.faults.add(self.pointer, f"{self.name} {words}", self.whose, severity)

    def must(self, words: str) -> None:
        """Tell what the value must be."""
        self.wrong(f"is {NOT_SHOWN if self.secret else shown(self.value)}, must be {words}")

    @property
    def absent(self) -> bool:
        """Whether it says nothing: upstream takes an empty text for a key that is not there."""
        return self.value is None or self.value == ""

    def text(self) -> str:
        """The text; "" where there is none, or it is no text, which is told."""
        if self.absent:
            return ""
        if not isinstance(self.value, str):
            self.must("a string")
            return ""
        return self.value

    def structure(self, form: type[list[Any]] | type[dict[Any, Any]]) -> Field | None:
        """The list or mapping, which may be written as JSON text; None where there is none, or it is something else, which is told."""
        if self.absent:
            return None
        field = self
        if isinstance(self.value, str):
            try:
                value = msgspec.json.decode(str(self.value))
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                why = "" if isinstance(self.value, Hidden) else ": " + str(error).removeprefix("JSON is malformed: ").lower()
                self.wrong(f"is no JSON text{why}")
                return None
            if too_deep(value):
                self.wrong(f"is nested more than {DEPTH} deep")
                return None
            secret = isinstance(self.value, Hidden)
            value = hidden(value) if secret else value
            field = Field(value, self.name, self.pointer, self.faults, self.whose, in_text=True, secret=secret)
        if not isinstance(field.value, form):
            field.must(_FORMS[form])
            return None
        return field


class Part:
    """One component on its way to objects: what it says, evaluated, and what is wrong with it."""

    __slots__ = ("component", "faults", "metadata", "properties", "sidecars")

    def __init__(self, component: Component) -> None:
        self.component = component
        self.faults = Faults(f"component {called(component.name)}")
        self.metadata: Json = {}
        self.properties: Json = {}
        self.sidecars: list[Json] = []

    def evaluate(self, evaluate: Evaluate) -> None:
        """Work out all expressions of the component."""
        component = self.component
        written = {
            "metadata": dict(component.metadata),
            "properties": dict(component.properties),
            "sidecars": [{"properties": sidecar.properties} for sidecar in component.sidecars],
        }
        found = evaluate(written, component)
        for error in found.errors:
            self.wrong(error.path, error.message)
        for pointer in conceal(found.json, found.secrets):
            self.wrong(pointer, NO_TEXT)
        self.metadata, self.properties = found.json["metadata"], found.json["properties"]
        self.sidecars = [sidecar["properties"] for sidecar in found.json["sidecars"]]

    def wrong(self, pointer: Pointer, words: str) -> None:
        """Tell what is wrong with the value at the end of a pointer from the component, by its name."""
        about, whole = "", (*self.component.pointer, *pointer)
        if pointer[0] == "sidecars" and isinstance(pointer[1], int):
            about, pointer = f"sidecar {called(self.component.sidecars[pointer[1]].name)}: ", pointer[2:]
        name = about + ".".join(called(str(step)) for step in pointer if step not in ("metadata", "properties"))
        self.faults.add(whole, f"{name}: {words}")

    @property
    def name(self) -> Field:
        """What it is called."""
        return self._field(self.component.name, "name", "name")

    def property(self, key: str) -> Field:
        """One property; a value of None where there is none."""
        return self._field(self.properties.get(key), called(key), "properties", key)

    def all_metadata(self) -> dict[str, Field]:
        """All of its metadata."""
        return {key: self._field(value, called(key), "metadata", key) for key, value in self.metadata.items()}

    def _field(self, value: Any, name: str, *steps: str | int) -> Field:
        return Field(value, name, (*self.component.pointer, *steps), self.faults)

    def warn_of_slips(self, known: tuple[str, ...]) -> None:
        """Tell of properties that do nothing but look like ones that do; others may be there for another provider."""
        self.slips(self.properties, known, "properties")

    def slips(self, keys: Mapping[str, Any], known: tuple[str, ...], *steps: str | int) -> None:
        """Tell of keys below `steps` that do nothing but look like known ones."""
        for key in keys:
            if hint := slip(key, keys, known):
                name = ".".join([*(str(step) for step in steps[1:]), called(key)])
                self.faults.add((*self.component.pointer, *steps, key), f"{name} does nothing{hint}", severity="warning")


def slip(key: str, keys: Container[str], known: Iterable[str]) -> str:
    """`; did you mean …?` for a key that is not known, but near one that is and that is not there: its last part alone counts."""
    if key in known:
        return ""
    head, dot, tail = key.rpartition(".")
    near = [name[len(head + dot) :] for name in known if name.startswith(head + dot) and name not in keys]
    hint = did_you_mean(tail, near) if near else ""
    return hint.replace("mean ", f"mean {head}{dot}", 1)


def called(text: str) -> str:
    """A name that anybody may have chosen, in a message."""
    return text if text.isprintable() and 0 < len(text) <= SHOWN_CHARACTERS else quoted(text)


def shown(value: Any) -> str:
    """A value in a message."""
    if isinstance(value, Hidden):
        return NOT_SHOWN
    try:
        return quoted(value)
    except ValueError:  # an integer of thousands of digits
        return noun(value)


def as_text(value: Any) -> str:
    """A value where only text may stand: JSON, but for text itself; null is empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return Hidden(text) if reveal(value)[1] else text


def conceal(json: Any, secrets: Iterable[Pointer]) -> Iterator[Pointer]:
    """Hide the texts of a tree that are secret, in place. What else is secret could not be told from other values: the answer."""
    for pointer in secrets:
        above = json
        for step in pointer[:-1]:
            above = above[step]
        if isinstance(above[pointer[-1]], str):
            above[pointer[-1]] = Hidden(above[pointer[-1]])
        else:
            yield pointer


def hidden(value: Any) -> Any:
    """A value all of whose texts are hidden: it was read from hidden text."""
    if isinstance(value, dict):
        return {key: hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hidden(item) for item in value]
    return Hidden(value) if isinstance(value, str) else value


def reveal(value: Any) -> tuple[Any, tuple[Pointer, ...]]:
    """A copy in plain text, and where that was hidden."""
    found: list[Pointer] = []
    plain = _plain(value, found)
    return plain, tuple(pointer[::-1] for pointer in found)


def _plain(value: Any, found: list[Pointer]) -> Any:
    """The copy. Pointers are made on the way back, from their ends: most objects have none."""
    kind = type(value)
    if kind is dict or kind is list:
        made: Any = {} if kind is dict else [None] * len(value)
        for step, item in value.items() if kind is dict else enumerate(value):
            before = len(found)
            made[step] = _plain(item, found)
            for index in range(before, len(found)):
                found[index] = (*found[index], step)
        return made
    if kind is Hidden:
        found.append(())
        return str(value)
    return value


def too_deep(value: Any) -> bool:
    """Whether mappings and lists stand too deep within each other to be gone through."""
    level, depth = [value], 0
    while level and depth <= DEPTH:
        depth += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
        level = [item for item in below if isinstance(item, dict | list)]
    return bool(level)
