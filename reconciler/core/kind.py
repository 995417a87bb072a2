"""What a kind supplies, and what a plan is.

Law of the module: a kind never does anything, it says what should be. `plan` is a pure function of its arguments and of the
answers to the questions it asks the view; everything that acts is the engine's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .identity import CommitId, GroupKind, Instant, Lane, ObjectId, ObjectRef, Place, UnitKey
from .manifest import Manifest
from .problem import Pointer, Problem

if TYPE_CHECKING:
    from .told import StatusFunction, Table, TurnFunction
    from .tree import CheckFunction
    from .view import View

Json = dict[str, Any]
State = Literal["Healthy", "Reconciling", "Waiting", "Paused", "Held", "Failed", "Unknown"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How one object may be treated; all from `reconciler.dev/…` annotations of the manifest (`wanted`)."""

    ignore: tuple[str, ...] = ()  # JSON pointers whose live value stands
    prune: Literal["default", "allowed", "disabled"] = "default"
    recreate: bool = False
    adopt: bool = False
    yields: bool = False  # made only where nobody else has made or wants it; no annotation says so, only kinds do


class Wanted(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One object that should exist now. Compared by identity: an object asked for again by the same manifest is the same value.

    `json` is the object as it is to be applied, without our own marks, which the engine adds.
    """

    id: ObjectId  # namespace as written; the engine completes it when it knows the kind's scope
    version: str
    json: bytes
    place: Place
    manifest: Manifest | None = None  # for positions of fields
    wave: int = 0
    policy: Policy = Policy()
    part: str = ""  # which part of its unit it belongs to, for statuses: a component
    secret: bool = False  # values in it come from a Secret: none of it is ever shown

    @property
    def digest(self) -> str:
        """Of `json`: whether two ask for the same. Made when asked for: a start plans a hundred thousand that it asks nothing of."""
        return hashlib.sha256(self.json).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Held:
    """A lane in which nothing may move, and why. What stands there stays. `paused`: because a person has said so."""

    reason: str
    place: Place | None = None
    paused: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason


@dataclass(frozen=True, slots=True)
class Leaving:
    """An owned object that is meant to go: deleted without a budget, and without waiting for what is wanted instead.

    What holds data waits for a person all the same.
    """

    ref: ObjectRef
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    """What is told of a unit: a word, a sentence, and what it waits for. No times: the core adds them.

    `commit` brought it about: the core adds its author and subject to what it waits for, where they are known.
    """

    state: State
    message: str = ""
    waits_for: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """Something a person may let through with an `Approval`: `revision` is the digest of exactly what is approved."""

    name: str
    revision: str
    message: str  # what will happen when it is approved


@dataclass(frozen=True, slots=True)
class Edit:
    """One scalar of one file that should say something else in Git; made once for its key, ever, whatever people do with it then.

    It stays in the plan for as long as the kind wants to know what came of it (`View.edit`): with "landed" it goes into the record, and
    only then leaves the plan.
    """

    key: str  # of this very change, the same in every life and never another's: it stands in the commit's message
    manifest: Manifest  # where the scalar stands, as it was read: the edit is of no other content
    pointer: Pointer  # in the object; all but its last step must be there
    value: str  # "" clears it
    subject: str  # first line of the commit: what and why
    since: CommitId  # the commit that was read when it was first asked for: history is searched for the key down to it
    offer: bool = False  # only ever offered, also where edits are committed

    def __post_init__(self) -> None:
        assert 0 < len(self.key) <= 1_000 and self.key.isprintable() and self.key == self.key.strip(), "an edit's key is one short line"


@dataclass(frozen=True, slots=True)
class Plan:
    """What should be, for one unit, now.

    `status` None: the engine tells how the wanted objects are. `prune` False: owned objects that are not wanted stay, since
    what is wanted is not known for certain. `left`: (cluster, namespace) → why the unit has left it: what it owns there and does
    not want goes as what is `leaving`.
    """

    wanted: Mapping[Lane, tuple[Wanted, ...] | Held] = field(default_factory=dict)
    leaving: tuple[Leaving, ...] = ()
    left: Mapping[tuple[str, str], str] = field(default_factory=dict)
    keep: Mapping[ObjectRef, str] = field(default_factory=dict)
    prune: bool = True
    record: Json | None = None
    retreat: bool = False
    status: Status | None = None
    problems: tuple[Problem, ...] = ()
    gates: tuple[Gate, ...] = ()
    edits: tuple[Edit, ...] = ()  # of manifests of the unit's own source; where that says `commits: record`, none is made
    wake_at: float | None = None  # `Instant.steady`
    due_at: float | None = None  # `Instant.wall`: a date in the calendar, whatever the clock does until then


@dataclass(frozen=True, slots=True)
class Spec:
    """What a unit is planned from."""

    key: UnitKey
    manifests: tuple[Manifest, ...]  # the root alone, or a folder's plain objects; () once they are gone from Git
    record: Json | None
    commit: CommitId
    lane: Lane | None  # the lane that its place in the tree implies; None under hub/
    held: Held | None = None  # files of it cannot be read: `manifests` are as they last could be
    complete: bool = True  # False: held, and no readable version is known


PlanFunction = Callable[["Spec", "View", Instant], Plan]


@dataclass(frozen=True, slots=True)
class Kind:
    """One API family: which manifests are roots, which are reference, and how a root is planned.

    Manifests of roots and references are never applied as plain objects. Their JSON Schemas are files under `schemas/`. What follows
    `is_root` is pure too, and only tells: a root's status in the shape of its own API, how `get` lists what `tables` name, what a changed
    record means in a plan, and what is wrong with a whole tree.
    """

    name: str
    plan: PlanFunction
    roots: tuple[GroupKind, ...] = ()
    references: tuple[GroupKind, ...] = ()
    is_root: Callable[[Manifest], bool] = lambda _: True  # which manifests of the kinds of `roots` are planned
    status: StatusFunction | None = None
    tables: tuple[Table, ...] = ()
    turns: TurnFunction | None = None
    check: CheckFunction | None = None
