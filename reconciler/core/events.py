"""Where events come from: PyYAML's event parsers for YAML, our own for JSON; and text from bytes.

Law of the module: only events, no values. libyaml's event parser keeps a stack of its own and may be given anything; its composer
recurses in C and is never used. Both of PyYAML's parsers and the JSON one give the same kinds of events.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

from yaml.error import Mark as _YamlMark
from yaml.events import ScalarEvent
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner, ScannerError

from .json_events import json_events

Form = Literal["yaml", "json"]
Event = Any  # one of yaml.events; told apart by `type(event)`, which type checkers cannot follow through PyYAML's stubs
Mark = Any  # yaml.error.Mark, or libyaml's of the same fields: index, line, column, from 0
MakeParser = Callable[[str], Any]

FILE_BYTES = 8 << 20  # the largest bundles of CRDs are near 4 MiB

START: Mark = _YamlMark("", 0, 0, 0, "", 0)

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.1 §5.1
_MARK_INSIDE = re.compile("(?:\\A|[\n\r\x85\u2028\u2029])\ufeff")  # libyaml drops it, but lets it shift the column
_SURROGATE = re.compile("[\ud800-\udfff]")
_UTF16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


class NotText(Exception):
    """The bytes are no text that can be read; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class Refused(Exception):
    """The text cannot be read any further than `mark`."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.mark = mark


class PureParser(Reader, Scanner, Parser):
    """PyYAML's parser in Python: the same events, some eight times slower. It refuses tabs where libyaml takes them for spaces."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)

    def get_event(self) -> Event:
        """The next event; what libyaml refuses and this scanner lets pass is refused."""
        event: Event = super().get_event()  # type: ignore[no-untyped-call]
        if type(event) is ScalarEvent and _SURROGATE.search(event.value):
            raise ScannerError(None, None, "found invalid Unicode character escape code", event.start_mark)  # type: ignore[arg-type]
        return event


def _parser() -> MakeParser:
    try:
        from yaml._yaml import CParser  # noqa: PLC0415  a PyYAML built without libyaml has none
    except ImportError:  # pragma: no cover
        return PureParser
    return CParser


PARSER: MakeParser = _parser()


def events(text: bytes, form: Form, parser: MakeParser) -> Callable[[], Event]:
    """A function that gives the next event of a file, the last being a StreamEndEvent.

    Raises:
        NotText: where the bytes are no text. (The function it returns raises what the parsers raise.)
    """
    decoded = _decode(text)
    if form == "json":
        return json_events(decoded).__next__
    take: Callable[[], Event] = parser(decoded).get_event
    return take


def _decode(text: bytes) -> str:
    if len(text) > FILE_BYTES:
        raise NotText(f"the file has {len(text)} bytes, at most {FILE_BYTES} are read")
    if text.startswith(_UTF16_OR_32):
        raise NotText("the file is UTF-16 or UTF-32; write it as UTF-8")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # `start` counts in `object`, which lacks the byte order mark that the codec took off.
        before = error.object[: error.start].decode("utf-8", "replace")
        raise NotText("not UTF-8 text from here on", *_position(before, len(before))) from None
    if "\ufeff" in decoded and (found := _MARK_INSIDE.search(decoded)):
        raise NotText("a byte order mark inside the file; take it out", *_position(decoded, found.end() - 1))
    return decoded


def forbidden(text: bytes) -> NotText:
    """The first character that YAML does not allow, of a file in which a parser has met one."""
    decoded = text.decode("utf-8-sig")
    found = _FORBIDDEN.search(decoded)
    if found is None:
        return NotText("a character that is not allowed in YAML")
    return NotText(f"character U+{ord(found[0]):04X} is not allowed in YAML", *_position(decoded, found.start()))


def _position(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
