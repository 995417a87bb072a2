"""What a kind tells of its objects in the words of its own API, and what it is told for that.

Law of the module: values, and functions that a kind supplies. A status is computed from what stands when somebody asks, and remembered
nowhere: the same state gives the same status, byte for byte, so it holds no time but those at which something began. What is costly to
know (the parts of a lane, what is owned) is a question, asked only for what will be shown: a unit may have ten thousand lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .identity import ClusterName, GroupKind, Lane, ObjectId, UnitKey
from .kind import Json, State, Status
from .manifest import Manifest
from .messages import Commit
from .problem import Pointer, Problem


class PartTold(NamedTuple):
    """How the objects of one part (`Wanted.part`) are in one lane. `message` is of the first that is not well."""

    objects: int
    healthy: int
    failed: int
    message: str


class LaneTold(NamedTuple):
    """How one unit stands in one lane."""

    unit: UnitKey
    lane: Lane
    state: State
    message: str
    objects: int
    healthy: int
    parts: Callable[[], Mapping[str, PartTold]]  # the part "" is what belongs to none


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one object of a kind. A root has `lanes`, its own; whatever is called as lanes of units are has those, `guests`.

    `state`, `message` and `waits_for` are the core's summary of a root (a reference is Healthy), `plan` is what its plan says of itself.
    `since` is epoch seconds: of the last change of a root's state, of the commit that last changed a reference. `implied` is the lane of
    its place in the tree, `clusters` are those that are configured, each with its state and why.
    """

    manifest: Manifest
    state: State
    message: str
    waits_for: str
    plan: Status | None
    since: float
    commit: Commit | None
    record: Json | None
    problems: tuple[Problem, ...]
    lanes: tuple[LaneTold, ...]
    guests: tuple[LaneTold, ...]
    implied: Lane | str | None
    clusters: Mapping[ClusterName, tuple[str, str]]
    owned: Callable[[ClusterName], tuple[ObjectId, ...]]


StatusFunction = Callable[[Told], Json]

Form = Literal["text", "since", "commit"]
"""How a value is written in a table: as it is; an instant, short as what has passed since; a commit, short as seven digits."""


class Column(NamedTuple):
    """One column of a table: what stands at `pointer` in the object with its status, as in `additionalPrinterColumns` of a CRD.

    A mapping reads "a: 1, b: 2". `wide` only with `-o wide`, below the row, however long it is; or where there is room for it on a `page`.
    `sparse` only where any row has something there.
    """

    name: str
    pointer: Pointer
    form: Form = "text"
    wide: bool = False
    page: bool = False
    sparse: bool = False


    def text(self, body: Json) -> str:
        """What it says of an object; "" where there is nothing. Instants and commits in full."""
        value: object = body
        for step in self.pointer:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, dict) and self.form == "commit":
            said = f'{value.get("author", "")}: "{value["subject"]}"' if "subject" in value else ""
            return f"{value.get('id', '')} {said}".strip()
        if isinstance(value, dict):
            return ", ".join(f"{key}: {held}" for key, held in value.items())
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Table:
    """How one sort of object is listed: by these names, besides those of its kinds, with these columns after NAME."""

    kinds: tuple[GroupKind, ...]  # the first names it
    plural: str
    columns: tuple[Column, ...]
    shows: Callable[[Manifest], bool] = lambda _: True


class Turn(NamedTuple):
    """One line of what a changed record means on one cluster ("": for the unit as a whole): who, and what becomes of them.

    `leaves`: namespaces of that cluster that the unit leaves; what it has there is deleted, and counted beside the line. `hint` says what
    else a person might have meant.
    """

    cluster: str
    who: str
    what: str
    leaves: tuple[str, ...] = ()
    hint: str = ""


TurnFunction = Callable[[Json | None, Json | None], tuple[Turn, ...]]
