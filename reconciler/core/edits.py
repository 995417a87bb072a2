"""Keyed edits: one scalar of one file changed in Git, once for its key, by a commit of our own.

Law of the module: before anything is written, history is asked whether a commit with the key is part of the branch; what is found
has landed, and is never done again, whoever has changed the value since. What is not found is pushed only onto the very commit that
was searched, so that no crash, lost answer or second daemon makes it twice. Nothing here falls back on another way than the one that
was configured: what a branch refuses is told, and tried again later and later (design §7, "Proposals to edit a file").

An edit that leaves the plan is forgotten. Branches of edits that have landed are left to people, like those of approvals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from .events import Form
from .identity import CommitId, SourceName, UnitKey
from .kind import Edit
from .messages import FindTrailer, GitFailure, ListRefs, Push, Pushed, RefsListed, TrailerFound
from .names import slug
from .paths import printable
from .problem import field
from .scalar_edit import Refusal, replace
from .sources import Source
from .wire import Wire

BRANCH = "refs/heads/reconciler/edit/"
EDIT = "Reconciler-Edit: "
"""The trailer of a commit that makes an edit; its key follows."""
OFFERED_LIMIT = 20
"""So many branches of a source are offered at once; the others wait until one of these is answered."""
LANDED, OFFERED, REFUSED = "landed", "offered", "refused: "

UNKNOWN_BASE_SECONDS, UNKNOWN_CAP_SECONDS = 1.0, 60.0
"""Before another look where nobody knows, or somebody else was faster: a push onto the commit that was searched is never wrong."""
REFUSED_BASE_SECONDS, REFUSED_CAP_SECONDS = 30.0, 600.0
"""Before another try of what a branch refuses: nothing tells when its protection ends."""
SEEN_SECONDS = 60.0
"""For so long after a push of ours to the branch that is followed nothing more is pushed onto the commit that it replaced."""


@dataclass(slots=True, eq=False)
class Asked:
    """One edit that a plan asks for, and how far it has come (`View.edit`)."""

    unit: UnitKey
    edit: Edit
    state: str = ""
    searched: CommitId | None = None  # no commit that this one has carries the key
    done: Edit | None = None  # what was offered, or cannot be made: nothing more to do for it but to look whether it landed
    has_turn: bool = False  # among the branches that are offered at once
    busy: bool = False  # a request is under way, or the next try is not due
    failures: int = 0


class Edits:
    """The edits of all plans. `is_current` says whether a unit's plan may be acted on; `on_moved` hears of each new state."""

    def __init__(
        self,
        wire: Wire,
        sources: dict[SourceName, Source],
        is_current: Callable[[UnitKey], bool],
        on_moved: Callable[[UnitKey, str], None],
    ) -> None:
        self.wire = wire
        self.asked: dict[UnitKey, dict[str, Asked]] = {}
        self._sources = sources
        self._is_current = is_current
        self._on_moved = on_moved
        self._onto: dict[SourceName, CommitId] = {}  # the commit that a push of ours replaces, until we have read the new one

    # -- what plans ask for ----------

    def set(self, unit: UnitKey, edits: tuple[Edit, ...]) -> None:
        """What a unit's plan asks for, from now on."""
        before = self.asked.pop(unit, None)
        if not edits or self._sources[unit.source].settings.commits == "record":
            return
        after = self.asked[unit] = {}
        for edit in edits:
            held = before.get(edit.key) if before else None
            after[edit.key] = held or Asked(unit, edit)
            after[edit.key].edit = edit

    def state(self, unit: UnitKey, key: str) -> str:
        """How far an edit has come; "" where nobody asks for it."""
        held = self.asked.get(unit, {}).get(key)
        return held.state if held else ""

    @property
    def moving(self) -> bool:
        """Whether anything will come of an edit without a person."""
        return any(self._is_at(source, tip) for source, tip in self._onto.items()) or any(
            not held.state and (held.busy or held.has_turn or self._is_direct(held))
            for edits in self.asked.values()
            for held in edits.values()
        )

    def _is_at(self, source: SourceName, tip: CommitId) -> bool:
        commit = self._sources[source].desired.commit
        return commit is not None and commit.id == tip

    def waits(self, unit: UnitKey) -> tuple[str, ...]:
        """What of a unit's edits people must do or know."""
        found = []
        for held in self.asked.get(unit, {}).values():
            subject = printable(held.edit.subject, 200)
            if held.state == OFFERED:
                found.append(f"{subject}: merge branch {branch(held.edit.key).removeprefix('refs/heads/')}")
            elif held.state.startswith(REFUSED):
                found.append(f"{subject}: {held.state}")
            elif not held.state and not held.busy and not self._is_direct(held):
                found.append(f"{subject}: not offered yet, {OFFERED_LIMIT} others are")
        return tuple(found)

    # -- what is done ----------

    def run(self) -> None:
        """Do what is due: look, then push or offer."""
        taken: dict[SourceName, int] = {}
        for unit, edits in self.asked.items():
            source = self._sources[unit.source]
            commit = source.desired.commit
            if commit is None or not source.loaded or not self._is_current(unit):
                continue
            if self._onto.get(source.name, commit.id) != commit.id:
                del self._onto[source.name]
            for held in edits.values():
                if held.busy or held.state == LANDED:
                    continue
                if held.searched != commit.id:
                    self._search(source, held, commit.id)
                elif held.done == held.edit:
                    continue
                elif self._is_direct(held):
                    self._push(source, held, commit.id)
                elif source.refs is not None and (held.has_turn or self._gets_turn(source, held, taken)):
                    held.has_turn = True
                    self._offer(source, held, commit.id)

    def _gets_turn(self, source: Source, held: Asked, taken: dict[SourceName, int]) -> bool:
        """Whether one more branch may be offered; those come first that an earlier life has offered. `taken` counts, by source."""
        if self._is_there(source, held):
            return True
        if source.name not in taken:
            taken[source.name] = self._taken(source)
        taken[source.name] += 1
        return taken[source.name] <= OFFERED_LIMIT

    def _taken(self, source: Source) -> int:
        """How many branches are offered, in this life or an earlier one."""
        mine = (held for unit, edits in self.asked.items() if unit.source == source.name for held in edits.values())
        offered = (held for held in mine if held.state != LANDED and not self._is_direct(held))
        return sum(held.has_turn or self._is_there(source, held) for held in offered)

    def _is_direct(self, held: Asked) -> bool:
        return self._sources[held.unit.source].settings.commits == "direct" and not held.edit.offer

    def _is_there(self, source: Source, held: Asked) -> bool:
        return branch(held.edit.key) in (source.refs or {})

    def _search(self, source: Source, held: Asked, tip: CommitId) -> None:
        """Look whether the branch has the key: in all that it has got since it was looked at last."""
        held.busy = True

        def found(answer: TrailerFound) -> None:
            held.busy = False
            if isinstance(answer.commit, GitFailure):
                held.searched = None
                self._again(source, held, answer.commit.message, refused=answer.commit.permanent)
            elif answer.commit is None:
                held.searched = tip
            else:
                self.wire.log("info", "edit is on the branch", source=source.name, key=held.edit.key, commit=answer.commit)
                self._tell(held, LANDED)

        self.wire.git(
            FindTrailer,
            found,
            source.name,
            ref=source.settings.ref,
            tip=tip,
            since=held.searched or held.edit.since,
            trailer=trailer(held.edit),
        )

    def _made(self, source: Source, held: Asked) -> bytes | None:
        """The file as the edit wants it; None where it is not to be had, which is told, or not now."""
        edit, manifest = held.edit, held.edit.manifest
        file = source.desired.folders.get(manifest.path.rpartition("/")[0] or ".", {}).get(manifest.path)
        if file is None or file.blob != manifest.blob:
            return None  # the file cannot be read, or is another: what the kind says of that is not known yet
        form: Form = "json" if manifest.path.endswith(".json") else "yaml"
        made = replace(manifest.text, form, manifest.document, (*manifest.root, *edit.pointer), edit.value)
        if isinstance(made, Refusal):
            held.done = edit
            self._refuse(source, held, f"{manifest.path}:{made}")
            return None
        if made == manifest.text:
            self._tell(held, LANDED)
            return None
        return made

    def _push(self, source: Source, held: Asked, tip: CommitId) -> None:
        """Put the edit on the branch that is followed, onto the commit that was searched."""
        if source.settings.commit is not None or not source.settings.ref.startswith("refs/heads/"):
            held.done = held.edit
            self._refuse(source, held, f"source {source.name} follows no branch that could be committed to")
            return
        made = self._made(source, held) if source.name not in self._onto else None
        if made is None:
            return
        held.busy = True
        self._onto[source.name] = tip

        def pushed(answer: Pushed) -> None:
            held.busy = False
            if answer.outcome == "pushed":
                self.wire.log("info", "edit committed", source=source.name, key=held.edit.key, commit=answer.commit)
                self._has_moved(source, tip)
                self._tell(held, LANDED)
            elif answer.outcome == "refused":
                self._seen(source.name, tip)
                self._again(source, held, answer.message, refused=True)
            else:
                self._has_moved(source, tip)  # perhaps; if nobody looks, since the edit is asked for no more, that ends by itself
                self._again(source, held, answer.message, lambda: self._look(source, held, source.settings.ref, tip))

        self._send(source, held.edit, held.unit, made, source.settings.ref, tip, tip, pushed)

    def _has_moved(self, source: Source, tip: CommitId) -> None:
        """The branch that is followed is elsewhere now: it is read soon, and until then nothing is pushed onto where it was."""
        source.hint()
        if self._onto.get(source.name) == tip:
            self.wire.after(("edits", source.name), SEEN_SECONDS, lambda: self._seen(source.name, tip))

    def _seen(self, source: SourceName, tip: CommitId) -> None:
        if self._onto.get(source) == tip:
            del self._onto[source]

    def _offer(self, source: Source, held: Asked, tip: CommitId) -> None:
        """See that a branch of its own holds exactly this edit of this file."""
        made = self._made(source, held)
        if made is None:
            return
        edit, ref = held.edit, branch(held.edit.key)
        at = (source.refs or {}).get(ref)
        held.busy = True

        def offered() -> None:
            held.busy, held.done, held.failures = False, edit, 0
            self._tell(held, OFFERED)

        def pushed(answer: Pushed) -> None:
            if answer.outcome == "pushed":
                self.wire.log("info", "edit offered", source=source.name, branch=ref.removeprefix("refs/heads/"), key=edit.key)
                self._note(source, ref, answer.commit)
                offered()
            else:
                refused = answer.outcome == "refused"
                self._again(source, held, answer.message, lambda: self._look(source, held, ref, tip), refused=refused)

        def found(answer: TrailerFound) -> None:
            if isinstance(answer.commit, GitFailure):
                held.busy = False
                self._again(source, held, answer.commit.message, refused=answer.commit.permanent)
            elif answer.commit is not None:
                offered()
            else:
                self._send(source, edit, held.unit, made, ref, at, tip, pushed)

        if at is None:
            self._send(source, edit, held.unit, made, ref, None, tip, pushed)
        else:
            content = content_trailer(made)
            self.wire.git(FindTrailer, found, source.name, ref=ref, tip=at, since=tip, trailer=content)

    def _note(self, source: Source, ref: str, at: CommitId | None) -> None:
        """Where a branch of ours stands, as the next listing will say."""
        if source.refs is not None:
            source.refs.pop(ref, None)
            source.refs.update({ref: at} if at is not None else {})

    def _send(
        self,
        source: Source,
        edit: Edit,
        unit: UnitKey,
        made: bytes,
        ref: str,
        expected: CommitId | None,
        base: CommitId,
        then: Callable[[Pushed], None],
    ) -> None:
        path = edit.manifest.path
        self.wire.git(
            Push,
            then,
            source.name,
            ref=ref,
            expected=expected,
            base=base,
            files={f"{source.settings.path}/{path}" if source.settings.path else path: made},
            message=message(edit, unit, base, made),
            at=self.wire.now.wall,
            force=expected is not None and expected != base,
        )

    # -- what came of it ----------

    def _look(self, source: Source, held: Asked, ref: str, tip: CommitId) -> None:
        """See where a branch stands to which we may have pushed, before anything else is done."""

        def listed(answer: RefsListed) -> None:
            if isinstance(answer.refs, GitFailure):
                self._again(source, held, answer.refs.message, lambda: self._look(source, held, ref, tip))
                return
            held.busy = False
            at = answer.refs.get(ref)
            if ref != source.settings.ref:
                self._note(source, ref, at)
            elif at == tip:
                self._seen(source.name, tip)
            else:
                self._has_moved(source, tip)

        self.wire.git(ListRefs, listed, source.name)

    def _again(self, source: Source, held: Asked, why: str, then: Callable[[], None] | None = None, *, refused: bool = False) -> None:
        """Wait, longer and longer, then do `then`, or begin anew."""
        held.failures += 1
        held.busy = True
        base, cap = (REFUSED_BASE_SECONDS, REFUSED_CAP_SECONDS) if refused else (UNKNOWN_BASE_SECONDS, UNKNOWN_CAP_SECONDS)
        seconds = self.wire.jitter.back_off(held.failures, base, cap)
        self.wire.after(("edit", held.unit, held.edit.key), seconds, then or (lambda: self._due(held)))
        if refused:
            held.done = None  # what was offered is looked at again: then it is told so
            self._refuse(source, held, why)

    def _due(self, held: Asked) -> None:
        held.busy = False

    def _refuse(self, source: Source, held: Asked, why: str) -> None:
        state = REFUSED + printable(why, 500)
        if held.state != state:
            self.wire.log("warning", "edit refused", source=source.name, key=held.edit.key, reason=why)
        self._tell(held, state)

    def _tell(self, held: Asked, state: str) -> None:
        if held.state != state:
            held.state = state
            self._on_moved(held.unit, held.edit.key)


def branch(key: str) -> str:
    """The branch on which an edit is offered: no two keys share one."""
    plain, digest = slug(key), hashlib.sha256(key.encode()).hexdigest()[:6]
    return BRANCH + (plain if plain == key or plain.endswith(digest) else f"{plain}-{digest}")


def trailer(edit: Edit) -> str:
    """The line by which a commit says which edit it makes."""
    return EDIT + edit.key


def content_trailer(made: bytes) -> str:
    """The line by which a commit says what its file holds."""
    return f"Reconciler-Content: {hashlib.sha256(made).hexdigest()[:16]}"


def message(edit: Edit, unit: UnitKey, base: CommitId, made: bytes) -> str:
    """What the commit says: what, where and who asked for it; then the lines by which we know it again."""
    what = f"{field(edit.pointer)} at {edit.manifest.place(edit.pointer)}"
    who = f"{unit.kind} {unit.namespace}/{unit.name}" if unit.namespace else f"{unit.kind} {unit.name}"
    return (
        f"{printable(edit.subject, 200)}\n\nChanges {what}\nand nothing else, as the plan of {who} asks for at commit {base[:7]}.\n"
        f"\n{trailer(edit)}\n{content_trailer(made)}\n"
    )
