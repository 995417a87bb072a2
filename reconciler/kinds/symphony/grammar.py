r"""Symphony expressions as trees: upstream's grammar, oddities included.

    program  = sum { one token that is passed over, sum }
    sum      = product { ( "+" | "-" | "," ) product }          "," only outside arguments
    product  = primary { ( "*" "/" "\" "." ":" "?" "=" "~" "&" ) primary }
    primary  = number | text | { "+" | "-" } primary | "(" sum ")" | "[" sum "]" | "{" sum "}" | "$" name "(" { sum [","] } ")" | nothing

Law of the module: pure; trees are no deeper than NESTING, operators of one level stand in one flat `Chain`. What upstream's goldens show
and nobody would guess stays: where a sum is complete and more follows, one token is passed over and the next sum is appended
(`abc def` is abc, `$config(a,b)$$config(c,d)` are two); parentheses after a complete operand stand in its place (`a(b)` is b); an operand
may be missing. `Expression.dropped` lists what is passed over, for a warning: to keep it, put it into single quotes.

Functions are called with as many arguments as they have (`SIGNATURES`), and that is checked here, before anything is evaluated.

Source: eclipse-symphony/symphony, api/pkg/apis/v1alpha1/utils/parser.go and its tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from reconciler.core.problem import did_you_mean

from .tokens import Source, Token, pieces, tokens
from .values import ExpressionError

NESTING: Final = 32  # of parentheses and calls

MANY: Final = 1_000
SIGNATURES: Final[Mapping[str, tuple[int, int]]] = {
    "and": (2, 2),
    "base64decode": (1, 1),
    "base64encode": (1, 1),
    "between": (3, 3),
    "config": (2, MANY),
    "context": (0, 1),
    "equal": (2, 2),
    "ge": (2, 2),
    "gt": (2, 2),
    "if": (3, 3),
    "in": (2, MANY),
    "input": (1, 1),
    "instance": (0, 0),
    "json": (1, 1),
    "jsonpath": (2, 2),
    "le": (2, 2),
    "lt": (2, 2),
    "not": (1, 1),
    "or": (2, 2),
    "output": (2, 2),
    "param": (1, 1),
    "property": (1, 1),
    "secret": (2, 2),
    "str": (1, 1),
    "trigger": (2, 2),
    "val": (0, 1),
}
"""How few and how many arguments each function takes (property-expressions.md upstream)."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a text."""

    value: int | str


@dataclass(frozen=True, slots=True)
class Signed:
    """Signs before an operand, as written; the operand may be missing."""

    signs: str
    operand: Node | None


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands of one level, joined from the left; any of them may be missing."""

    first: Node | None
    rest: tuple[tuple[str, Node | None], ...]


@dataclass(frozen=True, slots=True)
class Bracketed:
    """Text in [ ] or { }; `inner` None is nothing."""

    brackets: str
    inner: Node | None


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: tuple[Node, ...]


Node: TypeAlias = Literal | Signed | Chain | Bracketed | Call
Program: TypeAlias = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """A text, read once: literal text and programs, in order."""

    parts: tuple[str | Program, ...]
    characters: int = 0
    dropped: tuple[str, ...] = ()  # tokens that are passed over, but for the first `$` of `$$`

    @property
    def literal(self) -> str | None:
        """The text itself where there is nothing to evaluate."""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], str) else None


_BARE = re.compile(r"\$([a-z0-9]+)\(")


def compile(text: str, *, bare: bool = False) -> Expression:
    """Read a text. `bare`: a text that begins with a call needs no `${{ }}` (upstream until November 2023; only for objects of that time).

    Raises:
        ExpressionError: it cannot be read, or calls what there is not.
    """
    if bare and (call := _BARE.match(text)) and call[1] in SIGNATURES:
        parts: tuple[str | Source, ...] = (Source(text),)
    else:
        parts = pieces(text)
    dropped: list[str] = []
    read = tuple(part if isinstance(part, str) else _Parser(part.text, dropped).program() for part in parts)
    return Expression(read, len(text), tuple(dropped))


class _Parser:
    """Reads one expression by recursive descent; `_deeper` bounds it."""

    def __init__(self, source: str, dropped: list[str]) -> None:
        self._tokens = tokens(source)
        self._next = 0
        self._depth = 0
        self._dropped = dropped

    def program(self) -> Program:
        """All sums up to the first that is nothing."""
        sums: list[Node] = []
        while (node := self._sum(in_call=False)) is not None:
            sums.append(node)
            passed = self._take()
            if passed.kind != "end" and not (passed.text == "$" and self._peek("$")):
                self._dropped.append(passed.text)
        self._dropped += [token.text for token in self._tokens[self._next : -1]]
        return tuple(sums)

    def _sum(self, *, in_call: bool) -> Node | None:
        first = self._product()
        if first is None:
            return None
        rest: list[tuple[str, Node | None]] = []
        while True:
            if self._peek("+") or self._peek("-") or (self._peek(",") and not in_call):
                rest.append((self._take().text, self._product()))
            elif self._peek("("):
                return self._grouped("(", ")")
            else:
                return Chain(first, tuple(rest)) if rest else first

    def _product(self) -> Node | None:
        first = self._primary()
        rest: list[tuple[str, Node | None]] = []
        while (token := self._token()).kind == "sign" and token.text in "*/\\.:?=~&":
            rest.append((self._take().text, self._primary()))
        return Chain(first, tuple(rest)) if rest else first

    def _primary(self) -> Node | None:
        token = self._token()
        if token.kind == "end":
            return None
        if token.kind == "number":
            return Literal(int(self._take().text))
        if token.kind == "text":
            return Literal(self._take().text)
        if token.text in "+-":
            signs = ""
            while self._peek("+") or self._peek("-"):
                signs += self._take().text
            return Signed(signs, self._primary())
        if token.text == "$":
            return self._call()
        if token.text == "(":
            return self._grouped("(", ")") or Literal("")
        for brackets in ("[]", "{}"):
            if token.text == brackets[0]:
                return Bracketed(brackets, self._grouped(*brackets))
        return None

    def _grouped(self, opening: str, closing: str) -> Node | None:
        """A sum in brackets of any kind."""
        self._expect(opening)
        self._deeper()
        inner = self._sum(in_call=False)
        self._depth -= 1
        self._expect(closing)
        return inner

    def _call(self) -> Call:
        self._expect("$")
        name = self._token()
        if name.kind != "text":
            raise ExpressionError(f"after $ comes the name of a function, found {_named(name)}")
        self._take()
        self._expect("(", after=f" after ${_cut(name.text)}")
        self._deeper()
        arguments: list[Node] = []
        while not self._peek(")"):
            argument = self._sum(in_call=True)
            if argument is None:
                raise ExpressionError(f"${_cut(name.text)}: expected an argument or ), found {_named(self._token())}")
            arguments.append(argument)
            if self._peek(","):
                self._take()
        self._take()
        self._depth -= 1
        _check(name.text, len(arguments))
        return Call(name.text, tuple(arguments))

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > NESTING:
            raise ExpressionError(f"an expression is nested more than {NESTING} deep")

    def _token(self) -> Token:
        return self._tokens[self._next]

    def _peek(self, sign: str) -> bool:
        token = self._tokens[self._next]
        return token.kind == "sign" and token.text == sign

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _expect(self, sign: str, after: str = "") -> None:
        if not self._peek(sign):
            raise ExpressionError(f"expected {sign}{after}, found {_named(self._token())}")
        self._take()


def _check(name: str, count: int) -> None:
    """Whether a function may be called with so many arguments."""
    if name not in SIGNATURES:
        raise ExpressionError(f"there is no function ${_cut(name)}{did_you_mean(name, SIGNATURES)}")
    fewest, most = SIGNATURES[name]
    if fewest <= count <= most:
        return
    wanted = str(fewest) if fewest == most else f"at least {fewest}" if most == MANY else f"{fewest} or {most}"
    plural = "" if wanted == "1" else "s"
    raise ExpressionError(f"${name} takes {wanted} argument{plural}, found {count}")


def _named(token: Token) -> str:
    return "the end" if token.kind == "end" else _cut(token.text)


def _cut(text: str) -> str:
    text = text if len(text) <= 40 else text[:40] + "…"
    return text if text.isprintable() else ascii(text)
