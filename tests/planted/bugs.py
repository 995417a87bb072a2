"""The list of planted bugs, and what is wrong with it.

Law of the module: a bug is one replacement of a text that occurs exactly once in its file. What cannot be applied any more is an
error of the list, told by name: whoever changes the program mends the list, or takes the bug out with what it was about.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

ROOT = Path(__file__).parents[2]
BUGS = Path(__file__).parent / "bugs"

CATEGORIES = (
    "410 treated as empty",
    "Lease margin ignored",
    "NotYet treated as absent",
    "act before record",
    "approval matched by name not digest",
    "budget off by one",
    "budget per wrong unit",
    "drift not seen",
    "dropped error",
    "force on first contact",
    "force-push not seen",
    "held file treated as removed",
    "identity by name",
    "leak",
    "lost event",
    "lost timer",
    "missing precondition",
    "needless write",
    "order",
    "owner's identity not compared",
    "partial list taken as full",
    "protected kind",
    "prune without full list",
    "retry of a non-idempotent write",
    "stale event believed",
    "status success too early",
    "unfenced late write",
    "unknown taken for absent",
    "watch resumed at a wrong version",
    "wrong back-off",
    "wrong tie",
)
"""How programs of this sort go wrong (the reliability notes' list of real bugs, and what was added to it here)."""

BREAKS = re.compile(r"I(0[1-9]|[1-4][0-9]|5[0-4])|law ([1-9]|1[0-2])|design §[0-9]+(, .*)?")
"""An invariant by its number, one of the design's laws, or a section of it."""


class BugError(Exception):
    """A bug of the list cannot be planted as it is written."""


class Bug(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One bug: in `file`, `text` becomes `becomes`. `hint` names the tests to try first, never the only ones."""

    name: str
    file: str
    text: str
    becomes: str
    wrong: str
    breaks: str
    category: str
    hint: str = ""

    def planted(self, source: str) -> str:
        """The file's text with the bug in it.

        Raises:
            BugError: the text does not stand there exactly once, or the program would be no other one.
        """
        found = source.count(self.text)
        if found != 1:
            raise BugError(f"{self.name}: its text occurs {found} times in {self.file}")
        changed = source.replace(self.text, self.becomes)
        try:
            if ast.dump(ast.parse(changed)) == ast.dump(ast.parse(source)):
                raise BugError(f"{self.name}: nothing is changed by it")
            compile(changed, self.file, "exec")
        except SyntaxError as error:
            raise BugError(f"{self.name}: {self.file} does not compile any more: {error}") from error
        return changed


@dataclass(frozen=True)
class Bugs:
    """All bugs of the list."""

    bugs: tuple[Bug, ...]

    def named(self, names: tuple[str, ...]) -> tuple[Bug, ...]:
        """Those whose name holds any of the words, or all.

        Raises:
            BugError: a word that no name holds.
        """
        for name in names:
            if not any(name in bug.name for bug in self.bugs):
                raise BugError(f"no bug is called {name!r}")
        return tuple(bug for bug in self.bugs if not names or any(name in bug.name for name in names))


def read_bugs(folder: Path = BUGS) -> Bugs:
    """The list, in order of file and place."""
    found: list[Bug] = []
    for path in sorted(folder.glob("*.yaml")):
        found += msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), list[Bug])
    return Bugs(tuple(found))
