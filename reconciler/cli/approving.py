"""Putting offered approvals onto the branch that is followed.

Law of the module: only Git is asked. What is put on the branch is byte for byte what the daemon offered, and only if that is an approval of
the name that was asked for; it goes onto the tip that was read, in a person's name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import pygit2

from reconciler.adapters.clock import Clock
from reconciler.adapters.git import Repository
from reconciler.core.approvals import APPROVAL, BRANCH, FOLDER
from reconciler.core.identity import BlobId, CommitId
from reconciler.core.manifest import Checks, parse
from reconciler.core.messages import GitFailure, ListRefs, Push, ReadFiles
from reconciler.core.settings import SourceSettings
from reconciler.errors import ConfigError, UnansweredError

STALE = "somebody else has pushed meanwhile; run it again"

_PERSON = re.compile(r"\s*([^<>\n]*[^<>\s])\s*<([^<>\s]+)>\s*")
Person = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offer:
    """One offered approval: its file, as it would stand on the branch."""

    name: str
    path: str
    content: bytes

    @property
    def text(self) -> str:
        """The file for people."""
        return self.content.decode("utf-8", "replace")


class Gates:
    """The approvals that one source's daemon offers, and how to give them."""

    def __init__(self, settings: SourceSettings, repository: Repository, checks: Checks) -> None:
        """Ask about `settings`' source; `repository` commits in the name of the person who approves."""
        self.settings = settings
        self.tip: CommitId | None = None
        self._repository = repository
        self._checks = checks

    def waiting(self) -> list[Offer]:
        """What is offered and not yet on the branch, in order of name.

        Raises:
            UnansweredError: the repository did not answer.
        """
        listed = self._answer(self._repository.list_refs(ListRefs(0, self.settings.name)).refs)
        self.tip = listed.get(self.settings.ref)
        if self.tip is None:
            return []
        folder = f"{self.settings.path}/{FOLDER}" if self.settings.path else FOLDER
        given = self._answer(self._read(self.settings.ref, self.tip, folder))
        found = []
        for ref, commit in sorted(listed.items()):
            if not ref.startswith(BRANCH):
                continue
            name = ref.removeprefix(BRANCH)
            path = f"{folder}/{name}.yaml"
            content = self._answer(self._read(ref, commit, folder)).get(path)
            if content is not None and given.get(path) != content and self._approves(content, path, name):
                found.append(Offer(name, path, content))
        return found

    def give(self, offers: list[Offer]) -> CommitId | str:
        """Put approvals on the branch: the new commit, or why it could not be.

        Raises:
            UnansweredError: the repository did not answer; whether it took the commit is not known.
        """
        assert self.tip is not None
        names = ", ".join(offer.name for offer in offers)
        answer = self._repository.push(
            Push(
                0,
                self.settings.name,
                ref=self.settings.ref,
                expected=self.tip,
                base=self.tip,
                files={offer.path: offer.content for offer in offers},
                message=f"Approve {names}\n",
                at=Clock().now().wall,
            )
        )
        if answer.outcome == "unreachable":
            raise UnansweredError(f"source {self.settings.name}: {answer.message}; look whether {self.settings.ref} has the commit")
        if answer.outcome == "pushed" and answer.commit is not None:
            return answer.commit
        return STALE if answer.outcome == "stale" else answer.message

    def _approves(self, content: bytes, path: str, name: str) -> bool:
        """Whether a file is one approval, of this name: anybody with push rights may have written to the branch."""
        file = parse(content, path, BlobId(""), self._checks)
        if not file.readable or len(file.manifests) != 1:
            return False
        manifest = file.manifests[0]
        return (manifest.group, manifest.kind) == APPROVAL and manifest.name == name and manifest.body()["spec"]["gate"] == name

    def _read(self, ref: str, commit: CommitId, folder: str) -> dict[str, bytes] | GitFailure:
        return self._repository.read_files(ReadFiles(0, self.settings.name, ref, commit, folder)).files

    def _answer(self, answer: T | GitFailure) -> T:
        if isinstance(answer, GitFailure):
            raise UnansweredError(f"source {self.settings.name}: {answer.message}")
        return answer


def matching(offers: list[Offer], patterns: tuple[str, ...]) -> tuple[list[Offer], list[str]]:
    """The offers that names or globs mean, and the patterns that mean none."""
    found = [offer for offer in offers if any(fnmatchcase(offer.name, pattern) for pattern in patterns)]
    return found, [pattern for pattern in patterns if not any(fnmatchcase(offer.name, pattern) for offer in offers)]


def person(text: str, clone: str, what: str = "an approval") -> Person:
    """Whose name `what` is in: as told, or as Git knows the person (environment, the clone's configuration, their own).

    Raises:
        ConfigError: nobody is known.
    """
    if text:
        read = _PERSON.fullmatch(text)
        if read is None:
            raise ConfigError("--author must be a name and an address: 'Ada Lovelace <ada@example.org>'")
        return read[1], read[2]
    known = {key: os.environ.get(f"GIT_AUTHOR_{key.upper()}", "") for key in ("name", "email")}
    home = Path.home()
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    for file in (Path(clone) / ".git" / "config", Path(clone) / "config", home / ".gitconfig", config_home / "git" / "config"):
        known = {key: held or _configured(file, f"user.{key}") for key, held in known.items()}
    if not all(known.values()):
        raise ConfigError(f"{what} is in a person's name: say who with --author 'Ada Lovelace <ada@example.org>', or git config")
    return known["name"], known["email"]


def _configured(file: Path, key: str) -> str:
    if not file.is_file():
        return ""
    try:
        return str(pygit2.Config(str(file))[key])
    except (KeyError, ValueError, OSError, pygit2.GitError):
        return ""
