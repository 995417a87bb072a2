"""What a schedule does to a blocked instance: at its time the stage is cleared, once for each (instance, value).

Law of the module: that it has fired is written down before anything follows from it. Then Git is asked to say the same, by an edit whose
key is the instance, the value and the commit at which it fired: whoever sets the stage again afterwards is not overruled. With
`commits: record` Git stays as it is, and the record counts for as long as Git has that stage and that schedule. One whose time is past
fires at once; one that is taken away before its time never does (symphony.md §4, §8).
An instance that is deleted and made again is another.

| Git | record | now | then |
|---|---|---|---|
| BLOCK and schedule T | T has not fired | before T | blocked, looks again at T |
| BLOCK and schedule T | T has not fired | T or later | record that T has fired |
| BLOCK and schedule T | T has fired | - | edit: stage "", or (commits: record) the default stage |
| BLOCK and schedule T | T has fired and is done, or its edit has landed | - | blocked: a person has blocked again |
| any other stage or schedule | T has fired | - | T is done |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from reconciler.core.identity import CommitId, Instant
from reconciler.core.kind import Edit, Spec
from reconciler.core.view import View

from .model import DEFAULT, Instance
from .stages import armed, name_of
from .standing import FIRED_KEPT, Fired


class Scheduled(NamedTuple):
    """The stage that counts, what has fired, and what follows. `says` is for people."""

    stage: str
    fired: Mapping[str, Fired]
    edits: tuple[Edit, ...] = ()
    due_at: float | None = None
    says: str = ""


def scheduled(instance: Instance, fired: Mapping[str, Fired], spec: Spec, view: View, now: Instant) -> Scheduled:
    """What the schedule of an instance makes of its stage now."""
    schedule, stage = armed(instance), name_of(instance.stage)
    text = schedule.text if schedule is not None else ""
    fired = {key: held if key == text and held.stage == stage else _done(held) for key, held in fired.items()}
    if schedule is None:
        return Scheduled(stage, fired)
    held = fired.get(text)
    if held is None and now.wall < schedule.at:
        return Scheduled(stage, fired, due_at=schedule.at, says=f"cleared at {text}")
    if held is None:
        latest = sorted(fired.items(), key=lambda pair: (pair[1].at, pair[0]))[1 - FIRED_KEPT :]
        return Scheduled(stage, {**dict(latest), text: Fired(int(now.wall), spec.commit, stage)}, says="its schedule is due")
    if held.done:
        return Scheduled(stage, fired, says=f"schedule {text} has fired before, and does so once")
    if view.commits == "record":
        return Scheduled(DEFAULT, fired, says=f"cleared by its schedule {text}")
    key = f"{spec.key.text}@{text}@{held.commit[:7]}"  # of this firing: an instance that is made again is another
    state = view.edit(key)
    if state == "landed":
        return Scheduled(stage, {**fired, text: _done(held)})
    subject = f"Clear stage {stage} of Instance {spec.key.name}, as scheduled"
    edit = Edit(key, instance.manifest, ("spec", "stage"), "", subject, CommitId(held.commit))
    return Scheduled(stage, fired, (edit,), says=f"its schedule {text} has come; {said(state, view.commits)}")


def _done(fired: Fired) -> Fired:
    return fired if fired.done else msgspec.structs.replace(fired, done=True)


def said(state: str, commits: str) -> str:
    """What becomes of an edit, for people."""
    if state == "offered":
        return "merge the branch that is offered"
    return state or ("the commit is being made" if commits == "direct" else "a branch is being made")
