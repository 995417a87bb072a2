"""Which files are left out: the `.reconcilerignore` files of a source's folders, on the way down.

Law of the module: rules are a value. Two folders with the same `key` have the same rules, whatever commit they come from. An ignore
file is read once for its content, however many walks meet it. One that cannot be used in full is reported like a manifest with a
problem, so that its folder is held: what it meant to leave out must not be applied.

What lies in an ignored folder cannot be taken back, for the walk never enters it (gitignore(5)).
"""

from __future__ import annotations

from typing import NamedTuple

import pygit2

from reconciler.core.ignore import BYTES, NAME, Ignored, read_ignore

from .counts import Counts

KEPT_LIMIT = 1000  # ignore files kept read

RAW_NAME = NAME.encode()


class Rule(NamedTuple):
    """One ignore file, read. `whole` is False where something in it could not be used."""

    ignored: Ignored
    whole: bool


class Rules(NamedTuple):
    """The rules that hold in one folder: its own and those from above. `key` says where each stands, and its content's id."""

    key: tuple[tuple[str, str], ...] = ()
    rules: tuple[Rule, ...] = ()

    def within(self, folder: str, blob: str, rule: Rule) -> Rules:
        """These rules and those of the ignore file in `folder` ("" or ending in "/")."""
        return Rules((*self.key, (folder, blob)), (*self.rules, rule))

    def ignored(self, path: str) -> bool:
        """Whether `path` is left out; folders end in "/"."""
        if not self.rules:
            return False
        return any(rule.ignored(path.removeprefix(folder)) for (folder, _), rule in zip(self.key, self.rules, strict=True))


class IgnoreFiles:
    """The ignore files that one repository has shown, by their content's id."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._read: dict[pygit2.Oid, Rule] = {}

    def rule(self, repository: pygit2.Repository, id: bytes) -> Rule:
        """What the ignore file with this raw id says; one that is too large is not read, and says nothing."""
        blob = pygit2.Oid(raw=id)
        known = self._read.get(blob)
        if known is not None:
            return known
        if len(self._read) >= KEPT_LIMIT:
            self._read.clear()
        if repository.odb.read_header(blob)[1] > BYTES:
            rule = Rule(_nothing, whole=False)
        else:
            self._counts.blobs_read += 1
            ignored, problems = read_ignore(bytes(repository[blob].data))
            rule = Rule(ignored, whole=not problems)
        self._read[blob] = rule
        return rule


def _nothing(_path: str) -> bool:
    return False
