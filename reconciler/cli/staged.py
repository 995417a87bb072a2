"""Finding an Instance in Git and changing its stage there.

Law of the module: only Git is asked, at the tip of the branch that is followed. What is changed is one scalar of one file, onto the
commit that was read, in a person's name; what only a person can change in that file is left alone and told with its place.
"""

from __future__ import annotations

from typing import TypeVar

import click

from reconciler.adapters.clock import Clock
from reconciler.adapters.git import Repository
from reconciler.core.edits import branch, content_trailer
from reconciler.core.events import Form
from reconciler.core.identity import CommitId
from reconciler.core.manifest import Checks, Manifest, parse
from reconciler.core.messages import Fetch, FindTrailer, GitFailure, ListRefs, Push
from reconciler.core.problem import Problem, did_you_mean, listed
from reconciler.core.scalar_edit import Refusal, replace
from reconciler.core.settings import SourceSettings
from reconciler.errors import UnansweredError
from reconciler.kinds.symphony.model import BLOCK, DEFAULT, INSTANCE
from reconciler.kinds.symphony.read import instance as read_instance
from reconciler.kinds.symphony.stages import name_of
from reconciler.kinds.symphony.staging import meant
from reconciler.lib.plain import plain

from .approving import STALE

STAGE = ("spec", "stage")
UNREADABLE_NAMED = 3

T = TypeVar("T")


class No(click.ClickException):
    """The answer is no."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(plain(line) for line in message.splitlines()))


class Change:
    """The edit of one Instance's stage; `to` or `unblock` first, then `shown` and `make`."""

    def __init__(self, settings: SourceSettings, repository: Repository, refs: dict[str, CommitId], manifest: Manifest) -> None:
        found, problems = read_instance(manifest)
        if found is None:
            raise No(f"{problems[0] if problems else manifest.place()}")
        self.branch = settings.ref.removeprefix("refs/heads/")
        self.is_direct = settings.commits == "direct"
        self._in_record = settings.commits == "record"
        self._settings = settings
        self._repository = repository
        self._refs = refs
        self._manifest = manifest
        self._stage = found.stage
        self._schedule = found.schedule
        self._stages = (*(stage.name for stage in found.stages), DEFAULT)
        self._to = ""
        self._made = b""

    def to(self, stage: str) -> str:
        """Let the stage be another; why there is nothing to do, or "".

        Raises:
            No: there is no such stage, or the file cannot be changed.
        """
        name = self._manifest.name
        if stage != BLOCK and stage not in self._stages:
            there = listed([*self._stages, BLOCK])
            raise No(f"{name} has no stage {stage}{meant(stage, (*self._stages, BLOCK))}; there are {there} ({self._place})")
        if stage == self._stage == BLOCK:
            self._refuse_what_has_ended()
        if name_of(stage) == name_of(self._stage):
            return f"{name} is already {'blocked' if stage == BLOCK else f'on stage {stage}'} ({self._place})."
        return self._set(stage, stage)

    def unblock(self, stage: str) -> str:
        """Take the block away; why there is nothing to do, or "".

        Raises:
            No: it is on another stage than is asked for, there is no such stage, or the file cannot be changed.
        """
        name = self._manifest.name
        if stage == BLOCK:
            raise No(f"{BLOCK} is what unblock takes away; name a stage of {name}, or none for its default one ({self._place})")
        if self._stage == BLOCK:
            return self.to(stage) if stage else self._set(DEFAULT, "")
        if not stage or name_of(stage) == name_of(self._stage):
            return f"{name} is already unblocked, on stage {name_of(self._stage)} ({self._place})."
        raise No(f"{name} is not blocked, it is on stage {name_of(self._stage)}; reconciler promote {name} {stage} takes it to another")

    def _refuse_what_has_ended(self) -> None:
        """Refuse to say that it is blocked where its schedule may have ended that, without any change to Git."""
        schedule = self._schedule
        if schedule is None or not self._in_record or Clock().now().wall < schedule.at:
            return
        place = f"{self._path}:{self._manifest.place(schedule.pointer).line}"
        raise No(
            f"{self._manifest.name} says {BLOCK}, but its schedule of {schedule.text} has ended that block ({place}), and the source's"
            f" `commits: record` leaves the file as it is; take spec.schedule out or set a later one, and {BLOCK} holds again"
        )

    def _set(self, told: str, value: str) -> str:
        manifest = self._manifest
        form: Form = "json" if manifest.path.endswith(".json") else "yaml"
        made = replace(manifest.text, form, manifest.document, (*manifest.root, *STAGE), value)
        if isinstance(made, Refusal):
            raise No(f"{self._path}:{made}")
        self._to, self._made = told, made
        return ""

    @property
    def _path(self) -> str:
        """From the repository's top."""
        top = self._settings.path
        return f"{top}/{self._manifest.path}" if top else self._manifest.path

    @property
    def _place(self) -> str:
        return f"{self._path}:{self._manifest.place(STAGE).line}"

    def shown(self) -> list[str]:
        """What changes, as lines for people: where, then what was and what will be."""
        old, new = self._manifest.text.decode().split("\n"), self._made.decode().split("\n")
        above = _same(old, new)
        below = _same(old[above:][::-1], new[above:][::-1])
        was, will = old[above : len(old) - below], new[above : len(new) - below]
        return [f"{self._path}:{above + 1}", *(f"- {line}" for line in was), *(f"+ {line}" for line in will)]

    def make(self) -> str:
        """Put the change where the source wants it; what has become of it, in a sentence.

        Raises:
            No: the repository does not take it.
            UnansweredError: whether the repository took it is not known.
        """
        manifest = self._manifest
        verb = {BLOCK: f"Block {manifest.name}", DEFAULT: f"Promote {manifest.name} to its default stage"}
        subject = verb.get(self._to, f"Promote {manifest.name} to {self._to}")
        if self._stage == BLOCK:
            subject = f"Unblock {manifest.name}" + ("" if self._to == DEFAULT else f" on stage {self._to}")
        tip = self._refs[self._settings.ref]
        if self.is_direct:
            commit = self._push(self._settings.ref, tip, tip, f"{subject}\n")
            return f"{subject}: commit {commit[:7]} on {self.branch}. The daemon acts on it when it next reads the branch."
        ref = branch(f"stage/{manifest.namespace or 'default'}/{manifest.name}/{self._to}")
        trailer, at = content_trailer(self._made), self._refs.get(ref)
        if at is None or not self._holds(ref, at, tip, trailer):
            self._push(ref, at, tip, f"{subject}\n\nMerging this changes {self._place} and nothing else.\n\n{trailer}\n")
        return f"{subject}: offered as branch {ref.removeprefix('refs/heads/')}. Merge it into {self.branch}, and the daemon acts on it."

    def _holds(self, ref: str, at: CommitId, tip: CommitId, trailer: str) -> bool:
        """Whether a branch offers exactly this already."""
        return isinstance(self._repository.find_trailer(FindTrailer(0, self._settings.name, ref, at, tip, trailer)).commit, str)

    def _push(self, ref: str, expected: CommitId | None, base: CommitId, message: str) -> CommitId:
        force = expected is not None and expected != base
        files: dict[str, bytes | None] = {self._path: self._made}
        effect = Push(0, self._settings.name, ref, expected, base, files, message, Clock().now().wall, force)
        answer = self._repository.push(effect)
        if answer.outcome == "unreachable":
            raise UnansweredError(f"source {self._settings.name}: {answer.message}; look whether {ref} has the commit")
        if answer.outcome != "pushed" or answer.commit is None:
            raise No(f"not changed: {STALE if answer.outcome == 'stale' else answer.message}")
        return answer.commit


def find(sources: list[tuple[SourceSettings, Repository]], checks: Checks, name: str, namespace: str) -> Change:
    """The one Instance of that name.

    Raises:
        No: there is none, or several.
        UnansweredError: a repository did not answer.
    """
    found: list[Change] = []
    places: list[str] = []
    names: dict[str, None] = {}
    unreadable: list[Problem] = []
    for settings, repository in sources:
        refs = _answered(settings, repository.list_refs(ListRefs(0, settings.name)).refs)
        tip = refs.get(settings.ref)
        if tip is None:
            raise UnansweredError(f"source {settings.name}: {settings.ref} is not in the repository")
        fetch = Fetch(0, settings.name, settings.ref, tip, None)
        fetched = repository.fetch(fetch, lambda text, path, blob: parse(text, path, blob, checks))
        for step in _answered(settings, fetched.steps):
            for file in (change.file for change in step.changes if change.file is not None):
                if not file.readable:
                    unreadable.append(next(problem for problem in file.problems if problem.severity == "error"))
                for manifest in file.manifests:
                    if (manifest.group, manifest.kind) != INSTANCE:
                        continue
                    names[manifest.name] = None
                    if manifest.name == name and namespace in ("", manifest.namespace or "default"):
                        places.append(f"{settings.name}: {manifest.place()} (namespace {manifest.namespace or 'default'})")
                        found.append(Change(settings, repository, refs, manifest))
    if not found:
        where = f" in namespace {namespace}" if namespace else ""
        raise No(f"no Instance is called {name}{where}{did_you_mean(name, [n for n in names if n != name])}{_not_read(unreadable)}")
    if len(found) > 1:
        raise No("\n".join([f"{len(found)} Instances are called {name}; say which with --namespace or --source:", *places]))
    return found[0]


def _not_read(problems: list[Problem]) -> str:
    """The files that it might be in, were they readable."""
    told = [str(problem) for problem in problems[:UNREADABLE_NAMED]]
    if more := len(problems) - len(told):
        told.append(f"{more} more such file{'s' if more > 1 else ''}")
    return f" (and {'; '.join(told)})" if told else ""


def _answered(settings: SourceSettings, answer: T | GitFailure) -> T:
    if isinstance(answer, GitFailure):
        raise UnansweredError(f"source {settings.name}: {answer.message}")
    return answer


def _same(old: list[str], new: list[str]) -> int:
    """How many lines are the same, from the first one on."""
    return next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
