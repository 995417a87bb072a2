"""Where an instance stands, as it is stored: its stage, who has which version, what has been left, which schedules have fired.

Law of the module: values only, and no `now` but the instants at which something began. What cannot be read back is an error of the
store, never an empty record: `msgspec.ValidationError` holds the unit (design, law 10).
"""

from __future__ import annotations

from typing import Any

import msgspec

FIRED_KEPT = 200
"""Schedules that an instance remembers: an older value, set again, would fire again."""


class Stand(msgspec.Struct, frozen=True, array_like=True):
    """What one target has, and where."""

    solution: str
    stage: str
    cluster: str
    namespace: str

    @property
    def scope(self) -> str:
        """Where its objects are, as `Standing.left` names it."""
        return f"{self.cluster}/{self.namespace}"

    @property
    def at(self) -> tuple[str, str]:
        """Where its objects are: no two targets of an instance are at one place."""
        return self.cluster, self.namespace


class Fired(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule that has fired: `at` (epoch seconds) against stage `stage` of commit `commit`; `done` once Git has another stage."""

    at: int
    commit: str
    stage: str
    done: bool = False


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record of one instance. `since` and `well_since` are epoch seconds."""

    stage: str = ""
    since: int = 0
    commit: str = ""  # that brought the stage
    targets: dict[str, Stand] = {}
    leaving: dict[str, Stand] = {}  # of the stage before, kept until this one is healthy
    left: dict[str, str] = {}  # "cluster/namespace" -> why it was left
    fired: dict[str, Fired] = {}  # by schedule
    well_since: float | None = None
    charts: dict[str, str] = {}  # "repo name range" -> the version that was taken
    settled: str = ""  # what was last deployed in full, for an instance that acts on changes only


def read(record: dict[str, Any] | None) -> Standing:
    """What is stored; nothing yet is a standing without a stage."""
    return msgspec.convert(record, Standing) if record is not None else Standing()


def write(standing: Standing) -> dict[str, Any]:
    """What `read` reads."""
    written: dict[str, Any] = msgspec.to_builtins(standing)
    return written
