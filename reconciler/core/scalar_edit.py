"""Changing one scalar of a file that a person wrote, and nothing else of it.

Law of the module: the answer is the same bytes but for that scalar (or the one line that brings it), or it says why not and where; it
never raises. Whatever is written is read again with our own parser: unless the documents are the same as before but for that one value,
the edit is refused. So a form of YAML that nobody thought of here costs an edit, and never a file.

What other values repeat (anchors, aliases, merge keys), what is written on lines of its own (block scalars) and what has a tag is left
to people. Lines and columns count from 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from yaml.events import AliasEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

from .events import PARSER, Event, Form, Mark, events
from .problem import Pointer, field, noun
from .scalars import NUMERIC, WORDS
from .yaml import DocumentReader, Loaded, load

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+@-]*(?: [A-Za-z0-9_./+@-]+)*")
"""What every reader of YAML takes for text without quotes, in a block as in braces."""
_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_UNQUOTABLE = re.compile("[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BOM = "\ufeff".encode()


class Refusal(NamedTuple):
    """Why a scalar is not changed, and where that stands."""

    line: int
    column: int
    reason: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.reason}"


class _Refused(Exception):
    def __init__(self, mark: Mark, reason: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(mark.line + 1, mark.column + 1, reason)


class _Entry(NamedTuple):
    """One key of a mapping and the first event of its value."""

    key: Event
    value: Event
    end: Mark  # of the value, exact where it is `inline`
    inline: bool  # a scalar, an alias or a flow collection: it ends where it says


class _Span(NamedTuple):
    """The characters to take out, and what to put there instead."""

    start: int
    end: int
    text: str


def replace(text: bytes, form: Form, document: int, pointer: Pointer, value: str) -> bytes | Refusal:
    """Let the value at `pointer` of a document be the text `value`; a key that its mapping lacks is put in.

    Args:
        text: the bytes of the file.
        form: how it is written.
        document: which one, from 0, empty ones counted.
        pointer: from the document's top; all but its last step must be there.
        value: the text; where it stands there already, the same bytes come back.
    """
    before = load(text, form)
    fault = next((fault for fault in before.faults if fault.severity == "error"), None)
    if fault is not None:
        return Refusal(fault.line, fault.column, f"cannot be read: {fault.message}")
    if document >= len(before.documents) or not pointer:
        return Refusal(1, 1, "there is no such value in the file")
    if _SURROGATE.search(value):
        return Refusal(1, 1, "the new value is no text")
    top = before.documents[document].value
    if _at(top, pointer) == value:
        return text
    mark = text[: len(_BOM)] if text.startswith(_BOM) else b""
    decoded = text[len(mark) :].decode()
    try:
        span = _Search(text, decoded, form, document, top).span(pointer, value)
    except _Refused as refused:
        return refused.refusal
    made = mark + (decoded[: span.start] + span.text + decoded[span.end :]).encode()
    if not _only_that(before, load(made, form), document, pointer, value):
        line, column = decoded.count("\n", 0, span.start) + 1, span.start - decoded.rfind("\n", 0, span.start)
        return Refusal(line, column, f"{field(pointer)} is written in a way that only a person can change")
    return made


def _at(value: Any, pointer: Pointer) -> Any:
    for step in pointer:
        in_list = isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)
        if not in_list and not (isinstance(value, dict) and step in value):
            return None
        value = value[step]
    return value


def _only_that(before: Loaded, after: Loaded, document: int, pointer: Pointer, value: str) -> bool:
    """Whether two readings differ in that value alone, which is the new one."""
    if len(before.documents) != len(after.documents) or any(fault.severity == "error" for fault in after.faults):
        return False
    pairs = zip(before.documents, after.documents, strict=True)
    return all(_same(old.value, new.value, pointer if number == document else None, value) for number, (old, new) in enumerate(pairs))


def _same(old: Any, new: Any, pointer: Pointer | None, value: str) -> bool:
    """Whether two values are equal, in kind too (true is not 1); at `pointer` the new one must be `value`."""
    if pointer == ():
        return type(new) is str and new == value
    if type(old) is not type(new):
        return False
    step = pointer[0] if pointer else None
    if isinstance(old, dict):
        added = [step] if step is not None and pointer is not None and len(pointer) == 1 and step not in old else []
        if [key for key in new if key not in added] != list(old) or any(key not in new for key in added):
            return False
        return all(_same(old.get(key), new[key], pointer[1:] if pointer and key == step else None, value) for key in new)
    if isinstance(old, list):
        if len(old) != len(new):
            return False
        pairs = enumerate(zip(old, new, strict=True))
        return all(_same(a, b, pointer[1:] if pointer and index == step else None, value) for index, (a, b) in pairs)
    return bool(old == new)


class _Search:
    """Finds the characters of one value. The text has been read before, so that its events are sound and within limits."""

    def __init__(self, text: bytes, decoded: str, form: Form, number: int, document: Any) -> None:
        self.text = decoded
        self.form = form
        self.document = document
        self.reader = DocumentReader()
        self.reader.take = events(text, form, PARSER)
        self.take: Callable[[], Event] = self.reader.take
        starts = self.reader.starts()
        for _ in range(number):
            self.skip(next(starts))
        self.top: Event = next(starts)

    def skip(self, event: Event) -> Event:
        """Take the rest of a value; its last event."""
        depth = 0
        while True:
            kind = type(event)
            depth += (kind in (MappingStartEvent, SequenceStartEvent)) - (kind in (MappingEndEvent, SequenceEndEvent))
            if depth == 0:
                return event
            event = self.take()

    def span(self, pointer: Pointer, value: str) -> _Span:
        """What to write where."""
        node = self.top
        for number, step in enumerate(pointer):
            self.may_be_changed(node)
            if type(node) is MappingStartEvent and isinstance(step, str):
                entries, found = self.entries(step)
                if found is None:
                    if number + 1 < len(pointer):
                        raise _Refused(node.start_mark, f"{field(pointer[: number + 1])} is not there")
                    return self.insert(node, entries, step, value)
                if number + 1 == len(pointer):
                    return self.exchange(found, value, flow=self.is_flow(node))
                node = found.value
            elif type(node) is SequenceStartEvent and isinstance(step, int):
                node = self.item(node, step, pointer[: number + 1])
                if number + 1 == len(pointer):
                    return self.scalar(node, value, flow=True)
            else:
                what = noun(_at(self.document, pointer[:number]))
                raise _Refused(node.start_mark, f"{field(pointer[:number])} is {what}, and has no {field(pointer[: number + 1])}")
        raise AssertionError(pointer)

    def is_flow(self, collection: Event) -> bool:
        """Whether it is written in braces."""
        return self.form == "json" or bool(collection.flow_style)

    def may_be_changed(self, node: Event) -> None:
        """Nothing that stands in several places at once is changed."""
        kind = type(node)
        if kind is AliasEvent:
            raise _Refused(node.start_mark, f"*{node.anchor[:60]} repeats what stands elsewhere; change it by hand")
        if node.anchor is not None:
            raise _Refused(node.start_mark, f"&{node.anchor[:60]} marks what may be repeated elsewhere; change it by hand")

    def entries(self, wanted: str) -> tuple[list[_Entry], _Entry | None]:
        """The entries of a mapping up to the wanted one, and that one, of which only the first event has been taken."""
        found: list[_Entry] = []
        while type(key := self.take()) is not MappingEndEvent:
            if type(key) is not ScalarEvent or key.anchor is not None:
                raise _Refused(key.start_mark, "a key beside it is marked or repeated; change it by hand")
            name = self.reader.key(key)
            if name is None:
                raise _Refused(key.start_mark, "<< merges into the mapping that holds it; change it by hand")
            value = self.take()
            if name == wanted:
                return found, _Entry(key, value, value.end_mark, inline=False)
            last = self.skip(value)
            found.append(_Entry(key, value, last.end_mark, inline=self.is_inline(value)))
        return found, None

    def is_inline(self, value: Event) -> bool:
        """Whether a value ends where its end mark says: those of blocks lie at whatever comes next."""
        kind = type(value)
        if kind is ScalarEvent:
            return value.style not in ("|", ">")
        return kind is AliasEvent or self.is_flow(value)

    def item(self, sequence: Event, wanted: int, pointer: Pointer) -> Event:
        """The first event of one item of a list."""
        number = 0
        while type(item := self.take()) is not SequenceEndEvent:
            if number == wanted:
                return item
            self.skip(item)
            number += 1
        raise _Refused(sequence.start_mark, f"{field(pointer)} is not there")

    # -- what is written ----------

    def exchange(self, entry: _Entry, value: str, *, flow: bool) -> _Span:
        """Another value for a key that is there; perhaps without one."""
        kind, begin = type(entry.value), entry.value.start_mark.index
        if kind is ScalarEvent and begin == entry.end.index:
            self.may_be_changed(entry.value)
            at = max(begin, entry.key.end_mark.index)
            colon = "" if ":" in self.text[entry.key.end_mark.index : at] else ":"
            space = "" if self.text[at - 1].isspace() else " "
            return _Span(at, at, f"{colon}{space}{self.written(value, '', flow=flow)}")
        return self.scalar(entry.value, value, flow=flow)

    def scalar(self, event: Event, value: str, *, flow: bool) -> _Span:
        """Another value for a scalar that is there."""
        self.may_be_changed(event)
        kind = type(event)
        if kind is not ScalarEvent:
            raise _Refused(event.start_mark, f"is {noun({} if kind is MappingStartEvent else [])}, not a single value")
        if event.style in ("|", ">"):
            raise _Refused(event.start_mark, "is text on lines of its own; change it by hand")
        if event.tag is not None or self.text[event.start_mark.index] == "!":
            raise _Refused(event.start_mark, "has a tag; change it by hand")
        return _Span(event.start_mark.index, event.end_mark.index, self.written(value, event.style or "", flow=flow))

    def written(self, value: str, style: str, *, flow: bool) -> str:
        """A value in the quotes that stand there, where it can be."""
        if self.form == "json" or not value or style == '"':
            return _double(value)
        if _UNQUOTABLE.search(value):
            return _double(value)
        if style == "'":
            return "'" + value.replace("'", "''") + "'"
        plain = value if flow else value.replace(":", "_") if not value.endswith(":") and ": " not in value else ""
        is_text = value not in WORDS and value[0] not in NUMERIC
        return value if is_text and _PLAIN.fullmatch(plain) else _double(value)

    def insert(self, mapping: Event, entries: list[_Entry], key: str, value: str) -> _Span:
        """A line more, below the first entry that stands on one; in braces, before the others."""
        name = key if self.form == "yaml" and _PLAIN.fullmatch(key) and key not in WORDS else _double(key)
        entry = f"{name}: {self.written(value, '', flow=self.is_flow(mapping))}"
        if self.is_flow(mapping):
            return self.insert_in_braces(mapping, entries, entry)
        first = entries[0].key.start_mark
        for held in entries:
            if held.inline and held.key.start_mark.line == held.end.line:
                end = _LINE_END.search(self.text, held.end.index)
                at = end.start() if end else len(self.text)
                return _Span(at, at, self.line_end(end) + " " * first.column + entry)
        return _Span(first.index, first.index, entry + self.line_end(_LINE_END.search(self.text, first.index)) + " " * first.column)

    def insert_in_braces(self, mapping: Event, entries: list[_Entry], entry: str) -> _Span:
        at = self.text.index("{", mapping.start_mark.index) + 1
        if not entries:
            return _Span(at, at, entry)
        first = entries[0].key.start_mark
        between = self.text[at : first.index]
        if "\n" in between:
            return _Span(first.index, first.index, entry + "," + self.line_end(_LINE_END.search(between)) + " " * first.column)
        compact = self.form == "json" and self.text[entries[0].key.end_mark.index : entries[0].value.start_mark.index] == ":"
        return _Span(first.index, first.index, entry.replace('": ', '":', 1) + "," if compact else entry + ", ")

    def line_end(self, found: re.Match[str] | None) -> str:
        """The line end that stands there; at a last line without one, that of the file."""
        found = found or _LINE_END.search(self.text)
        return found[0] if found else "\n"


def _double(value: str) -> str:
    """In double quotes, as JSON and YAML both read it."""
    return _UNQUOTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
