"""Symphony expressions as text: what of a text is an expression, and the tokens of one.

Law of the module: pure, total, and linear in the text. `${{` begins an expression and the first `}}` outside quotes ends it (', " and
`; a backslash keeps a quote from closing). Where the quotes of a text do not add up (`${{'half}} and so on`) they are characters like
any other, there and in what follows. What has no end is text. An expression within an expression is an error.

A word is a run of letters, digits and `_`; it is an integer where it could not be written otherwise (12, but not 012, 0x1f or 100m, so
that versions, dates and quantities keep their characters). Single quotes around a text go, all others stay (upstream's rule).
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from .values import ExpressionError

EXPRESSION_CHARACTERS: Final = 16_384  # of one `${{ }}`; enough for a page of JSON
TEXT_CHARACTERS: Final = 1 << 20  # of a text with expressions in it

OPENING: Final = "${{"
_CLOSING = "}}"
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`"""
_LANDMARK = re.compile(rf"\\.|{_QUOTED}|\$\{{\{{|\}}\}}", re.DOTALL)
_TOKEN = re.compile(rf"(?P<space>[ \t\r\n]+)|(?P<word>\w+)|(?P<quoted>{_QUOTED})|(?P<open>['\"`].*)|(?P<sign>.)", re.DOTALL)
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SIGNS = frozenset("$()[]{}+-*/\\,.:?=&~")


class Source(NamedTuple):
    """The text between `${{` and `}}`."""

    text: str


class Token(NamedTuple):
    """One token; the last of all is the end. `sign`: one of the characters that mean something, `text` says which."""

    kind: Literal["number", "text", "sign", "end"]
    text: str
    at: int  # where it begins, in characters of the expression


def pieces(text: str) -> tuple[str | Source, ...]:
    """A text cut into literal text and expressions, in order.

    Raises:
        ExpressionError: an expression within an expression, or more characters than are allowed.
    """
    if OPENING not in text:
        return (text,)
    if len(text) > TEXT_CHARACTERS:
        raise ExpressionError(f"a text with expressions has more than {TEXT_CHARACTERS} characters")
    found: list[str | Source] = []
    at, quotes = 0, True
    while (start := text.find(OPENING, at)) >= 0:
        inside = start + len(OPENING)
        end = _end(text, inside) if quotes else -1
        if end < 0:
            quotes, end = False, text.find(_CLOSING, inside)
        if end < 0:
            break
        source = Source(text[inside:end])
        if not quotes and OPENING in source.text:
            raise ExpressionError("an expression ${{ … }} holds another ${{")
        if len(source.text) > EXPRESSION_CHARACTERS:
            raise ExpressionError(f"an expression has more than {EXPRESSION_CHARACTERS} characters")
        found += [text[at:start], source] if start > at else [source]
        at = end + len(_CLOSING)
    return (*found, text[at:]) if at < len(text) or not found else tuple(found)


def _end(text: str, start: int) -> int:
    """Where the expression that begins at `start` ends, as its quotes say; -1 where they do not add up."""
    for landmark in _LANDMARK.finditer(text, start):
        if landmark[0] == _CLOSING:
            return landmark.start()
        if landmark[0] == OPENING:
            return -1
    return -1


def tokens(source: str) -> list[Token]:
    """The tokens of an expression."""
    found: list[Token] = []
    for match in _TOKEN.finditer(source):
        text = match[0]
        if match.lastgroup == "space":
            continue
        if match.lastgroup == "word":
            number = _INTEGER.fullmatch(text) and int(text) < 2**63
            found.append(Token("number" if number else "text", text, match.start()))
        elif match.lastgroup == "sign" and text in _SIGNS:
            found.append(Token("sign", text, match.start()))
        else:
            bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text
            found.append(Token("text", bare, match.start()))
    return [*found, Token("end", "", len(source))]
