r"""Regular expressions in Go's syntax that take no more time than they should.

Law of the module: pure. A pattern comes from a repository, so it is not given to Python's `re`, which may take for ever: it is compiled
to a machine whose states are all followed at once (Thompson's construction, as RE2 has it): time is at most states times characters, and
both are bounded. A pattern is looked for anywhere in the value, unless `^` and `$` say otherwise.

Understood: characters, `.`, `[a-z]`, `[^a-z]`, `\d \w \s \D \W \S` (ASCII), `\t \n \r \f \v`, escaped signs, `^ $ \A \z`, groups
with and without names, `|`, `* + ? {n} {n,} {n,m}` and their lazy forms, `(?i)` in front. Anything else of RE2 is an error that names it.

Source: github.com/google/re2/wiki/Syntax, which is what Go's regexp reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .values import Budget, ExpressionError

PATTERN_CHARACTERS: Final = 1_024
STATES: Final = 2_000
NESTING: Final = 32
RANGES_A_STEP: Final = 8  # of a set in [ ]
REPEATS: Final = 1_000  # RE2's own limit


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of some ranges, or of none of them."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False
    folded: bool = False

    def has(self, character: str) -> bool:
        """Whether the character is one."""
        found = any(low <= character <= high for low, high in self.ranges)
        if self.folded and not found:
            other = character.swapcase()
            found = any(low <= other <= high for low, high in self.ranges)
        return found != self.negated


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after another."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any of some."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """So many times at least, and at most (None: as often as you like)."""

    part: Tree
    least: int
    most: int | None


Tree: TypeAlias = Characters | Literal["^", "$"] | Sequence | Choice | Repeat
# What a state does: take a character and go on to the next, go on where the text begins or ends, go to two others, or be done.
State: TypeAlias = Characters | Literal["^", "$", "found"] | tuple[int, int]

_DIGIT: Final = (("0", "9"),)
_WORD: Final = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACE: Final = (("\t", "\n"), ("\f", "\r"), (" ", " "))
_CLASSES: Final[Mapping[str, Characters]] = {
    "d": Characters(_DIGIT),
    "D": Characters(_DIGIT, negated=True),
    "w": Characters(_WORD),
    "W": Characters(_WORD, negated=True),
    "s": Characters(_SPACE),
    "S": Characters(_SPACE, negated=True),
}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_COUNTS = re.compile(r"\{([0-9]{1,4})(?:(,)([0-9]{1,4})?)?\}", re.ASCII)
_GROUP = re.compile(r"\((?:\?(?::|P?<[A-Za-z_][A-Za-z0-9_]*>))?")


class Pattern:
    """A compiled pattern."""

    def __init__(self, text: str) -> None:
        """Compile a regular expression.

        Raises:
            ExpressionError: it cannot be read, or is too large.
        """
        self._states: list[State] = []
        self._add(_Reader(text).tree())
        self._states.append("found")

    def found_in(self, text: str, budget: Budget) -> bool:
        """Whether it is found somewhere in a text.

        Raises:
            ExpressionError: text and pattern are too large for each other, or for what is left of the budget.
        """
        current: dict[int, None] = {}
        for at in range(len(text) + 1):
            self._follow(0, current, at == 0, at == len(text), budget)
            if len(self._states) - 1 in current:
                return True
            if at == len(text):
                break
            following: dict[int, None] = {}
            for number in current:
                state = self._states[number]
                if not isinstance(state, Characters):
                    continue
                budget.spend(len(state.ranges) // RANGES_A_STEP)
                if state.has(text[at]):
                    self._follow(number + 1, following, False, at + 1 == len(text), budget)
            current = following
        return False

    def _follow(self, number: int, into: dict[int, None], begins: bool, ends: bool, budget: Budget) -> None:
        """Note a state and all that it leads to without a character."""
        left = [number]
        while left:
            number = left.pop()
            budget.spend()
            if number in into:
                continue
            into[number] = None
            state = self._states[number]
            if isinstance(state, tuple):
                left += state
            elif (state == "^" and begins) or (state == "$" and ends):
                left.append(number + 1)

    def _add(self, tree: Tree) -> None:
        """Append the states of a part; it is done where it runs into the state after its last."""
        if len(self._states) > STATES:
            raise ExpressionError(f"the pattern has more than {STATES} states")
        match tree:
            case Sequence(parts):
                for part in parts:
                    self._add(part)
            case Choice(parts):
                self._add_choice(parts)
            case Repeat(part, least, most):
                for _ in range(least):
                    before = len(self._states)
                    self._add(part)
                    if len(self._states) == before:  # nothing, however often
                        break
                if most is None:
                    self._add_loop(part)
                else:
                    self._add_optional(part, most - least)
            case _:
                self._states.append(tree)

    def _add_choice(self, parts: tuple[Tree, ...]) -> None:
        jumps = []
        for part in parts[:-1]:
            fork = len(self._states)
            self._states.append((0, 0))
            self._add(part)
            jumps.append(len(self._states))
            self._states.append((0, 0))
            self._states[fork] = (fork + 1, len(self._states))
        self._add(parts[-1])
        for jump in jumps:
            self._states[jump] = (len(self._states), len(self._states))

    def _add_loop(self, part: Tree) -> None:
        fork = len(self._states)
        self._states.append((0, 0))
        self._add(part)
        self._states.append((fork, fork))
        self._states[fork] = (fork + 1, len(self._states))

    def _add_optional(self, part: Tree, times: int) -> None:
        forks = []
        for _ in range(times):
            forks.append(len(self._states))
            self._states.append((0, 0))
            self._add(part)
        for fork in forks:
            self._states[fork] = (fork + 1, len(self._states))


class _Reader:
    """Reads a regular expression by recursive descent."""

    def __init__(self, text: str) -> None:
        if len(text) > PATTERN_CHARACTERS:
            raise ExpressionError(f"the pattern has more than {PATTERN_CHARACTERS} characters")
        self._folded = text.startswith("(?i)")
        self._text = text.removeprefix("(?i)")
        self._at = 0
        self._depth = 0

    def tree(self) -> Tree:
        tree = self._choice()
        if self._at < len(self._text):
            raise ExpressionError("the pattern closes a ) that was never opened")
        return tree

    def _choice(self) -> Tree:
        self._depth += 1
        if self._depth > NESTING:
            raise ExpressionError(f"the pattern is nested more than {NESTING} deep")
        parts = [self._sequence()]
        while self._accept("|"):
            parts.append(self._sequence())
        self._depth -= 1
        return Choice(tuple(parts)) if len(parts) > 1 else parts[0]

    def _sequence(self) -> Tree:
        parts: list[Tree] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._repeated(self._one()))
        return Sequence(tuple(parts))

    def _repeated(self, part: Tree) -> Tree:
        if self._accept("*"):
            part = Repeat(part, 0, None)
        elif self._accept("+"):
            part = Repeat(part, 1, None)
        elif self._accept("?"):
            part = Repeat(part, 0, 1)
        elif counts := _COUNTS.match(self._text, self._at):
            self._at = counts.end()
            least = int(counts[1])
            most = (int(counts[3]) if counts[3] else None) if counts[2] else least
            if max(least, most or 0) > REPEATS or (most is not None and most < least):
                raise ExpressionError(f"the pattern repeats {counts[0]}: at most {REPEATS} times, the smaller number first")
            part = Repeat(part, least, most)
        else:
            return part
        self._accept("?")  # lazy: what is found may be shorter, whether something is found does not change
        if self._text[self._at : self._at + 1] in ("*", "+", "?"):
            raise ExpressionError(f"the pattern repeats a repetition, at character {self._at + 1}")
        return part

    def _one(self) -> Tree:
        character = self._text[self._at]
        if group := _GROUP.match(self._text, self._at):
            self._at = group.end()
            if self._text[self._at : self._at + 1] == "?":
                raise ExpressionError(f"the pattern has a group of a kind that is not understood, at character {self._at}")
            tree = self._choice()
            if not self._accept(")"):
                raise ExpressionError("the pattern never closes a (")
            return tree
        if character in "*+?":
            raise ExpressionError(f"the pattern repeats nothing, at character {self._at + 1}")
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escaped()
        self._at += 1
        if character in ("^", "$"):
            return "^" if character == "^" else "$"
        return Characters((("\n", "\n"),), negated=True) if character == "." else self._plain(character)

    def _escaped(self) -> Tree:
        sign = self._text[self._at + 1 : self._at + 2]
        if sign in ("A", "z"):
            self._at += 2
            return "^" if sign == "A" else "$"
        if sign in _CLASSES and sign:
            self._at += 2
            return _CLASSES[sign]
        return self._plain(self._escaped_character())

    def _escaped_character(self) -> str:
        sign = self._text[self._at + 1 : self._at + 2]
        if not sign or (sign.isalnum() and sign not in _CONTROLS):
            raise ExpressionError(f"the pattern has \\{sign}, which is not understood, at character {self._at + 1}")
        self._at += 2
        return _CONTROLS.get(sign, sign)

    def _class(self) -> Characters:
        """A set in [ ]; a ] that comes first is a character."""
        self._at += 1
        negated = self._accept("^")
        ranges: list[tuple[str, str]] = []
        first = True
        while first or not self._accept("]"):
            if self._at >= len(self._text):
                raise ExpressionError("the pattern never closes a [")
            if self._text.startswith("[:", self._at):
                raise ExpressionError(f"the pattern has a named class, which is not understood, at character {self._at + 1}")
            first = False
            known = _CLASSES.get(self._text[self._at + 1 : self._at + 2]) if self._text[self._at] == "\\" else None
            if known is not None:
                if known.negated:
                    raise ExpressionError(f"the pattern has a negated class in [ ], at character {self._at + 1}")
                self._at += 2
                ranges += known.ranges
                continue
            low = high = self._class_character()
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                high = self._class_character()
            if high < low:
                raise ExpressionError(f"the pattern has the range {low}-{high}, which is the wrong way round")
            ranges.append((low, high))
        return Characters(tuple(ranges), negated, self._folded)

    def _class_character(self) -> str:
        character = self._text[self._at : self._at + 1]
        if character == "\\":
            return self._escaped_character()
        self._at += 1
        return character

    def _plain(self, character: str) -> Characters:
        return Characters(((character, character),), folded=self._folded)

    def _accept(self, character: str) -> bool:
        found = self._text.startswith(character, self._at)
        self._at += len(character) if found else 0
        return found
