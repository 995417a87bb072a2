"""Strict JSON (RFC 8259) as the events that the YAML reader understands, each with its place.

Law of the module: a generator of bounded memory; it recurses nowhere, and raises only `JsonError`. One reader for both forms
means one set of limits, one rule for duplicate keys and one way to find places.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from yaml.error import Mark
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

_TOKEN = re.compile(
    r"(?P<mark>[{}\[\],:])"
    r'|(?P<string>"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?)"
    r"|(?P<word>true|false|null)"
)
_SPACE = re.compile(r"[ \t\n\r]*+")
_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonError(Exception):
    """The text is no JSON, from this place on."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class _Tokens:
    """The tokens of a text, one at a time, with the place of the last one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = self.line = self.line_start = 0
        self.mark = Mark("", 0, 0, 0, "", 0)
        self.end = self.mark

    def _mark(self) -> Mark:
        return Mark("", self.offset, self.line, self.offset - self.line_start, "", 0)

    def error(self, message: str) -> JsonError:
        return JsonError(message, self.mark.line + 1, self.mark.column + 1)

    def take(self) -> tuple[str, str]:
        """The kind and the text of the next token; ("end", "") at the end."""
        space = _SPACE.match(self.text, self.offset)
        assert space is not None
        if breaks := self.text.count("\n", self.offset, space.end()):
            self.line += breaks
            self.line_start = self.text.rindex("\n", self.offset, space.end()) + 1
        self.offset = space.end()
        self.mark = self._mark()
        if self.offset == len(self.text):
            return "end", ""
        token = _TOKEN.match(self.text, self.offset)
        if token is None:
            raise self.error(f"no JSON value begins with {json.dumps(self.text[self.offset])}")
        self.offset = token.end()
        self.end = self._mark()
        kind = str(token.lastgroup)
        return (token[0], "") if kind == "mark" else (kind, token[0])

    def scalar(self, kind: str, text: str) -> ScalarEvent:
        if kind == "string":
            try:
                value = json.loads(text)
            except json.JSONDecodeError as error:
                raise self.error("a string with an escape that JSON has not") from error
            if _SURROGATE.search(value):
                raise self.error("a string with half of a surrogate pair")
            return ScalarEvent(None, None, (False, True), value, self.mark, self.end)
        if kind == "number" and "inf" in str(float(text)):
            raise self.error("a number too large for a double")
        if kind in ("number", "word"):
            return ScalarEvent(None, None, (True, False), text, self.mark, self.end)
        raise self.error("a value must stand here, the text ends" if kind == "end" else f"a value must stand here, not {kind}")


def json_events(text: str) -> Iterator[Event]:
    """The events of one JSON text.

    Raises:
        JsonError: where the text stops being JSON.
    """
    tokens = _Tokens(text)
    yield DocumentStartEvent(tokens.mark, tokens.mark)
    open_: list[str] = []  # the closing marks that are awaited
    kind, word = tokens.take()
    while True:
        # One value; or, of a collection that is empty, its end.
        if kind in ("{", "["):
            closing = "}" if kind == "{" else "]"
            yield (MappingStartEvent if kind == "{" else SequenceStartEvent)(None, None, True, tokens.mark, tokens.end)
            open_.append(closing)
            kind, word = tokens.take()
            if kind != closing:
                if closing == "}":
                    yield _key(tokens, kind, word)
                    kind, word = tokens.take()
                continue
        else:
            yield tokens.scalar(kind, word)
            kind, word = tokens.take()
        # What follows a value: the ends of collections, then a comma or the end of the text.
        while open_ and kind == open_[-1]:
            yield (MappingEndEvent if open_.pop() == "}" else SequenceEndEvent)(tokens.mark, tokens.end)
            kind, word = tokens.take()
        if not open_:
            break
        if kind != ",":
            raise tokens.error(f"a comma or {open_[-1]} must stand here")
        kind, word = tokens.take()
        if open_[-1] == "}":
            yield _key(tokens, kind, word)
            kind, word = tokens.take()
    if kind != "end":
        raise tokens.error("a second value in one JSON text")
    yield DocumentEndEvent(tokens.mark, tokens.mark)
    yield StreamEndEvent(tokens.mark, tokens.mark)


def _key(tokens: _Tokens, kind: str, word: str) -> Event:
    """The key and its colon."""
    if kind != "string":
        raise tokens.error("a key in double quotes must stand here")
    key = tokens.scalar(kind, word)
    if tokens.take()[0] != ":":
        raise tokens.error("a colon must stand here")
    return key
