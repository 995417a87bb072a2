"""YAML and JSON as kubectl reads them, from files that anybody may have written.

Law of the module: `load` is total. Whatever the bytes are, it answers with documents and faults, within limits that count work
and never time; it does not raise, recurse without bound, or hand hostile nesting to C code that recurses. That is why the events
of PyYAML's parser are read here (libyaml's *composer* overflows the C stack on 60 kB of brackets; its event parser keeps its
own stack), and why nothing of PyYAML's resolver or constructors is used.

Values are those of kubectl (sigs.k8s.io/yaml over its Go YAML 1.1 reader, then JSON), measured case by case in
tests/core/cases/yaml/kubectl.json: the words y, n, yes, no, on, off are booleans; numbers follow Go's syntax; there are no
dates and no base 60; keys are text; floats without fraction are integers; custom tags are dropped; `<<` merges at its place,
so that a later one overrides. On purpose stricter than kubectl: duplicate keys, NaN and infinity (also as keys), binary that is
not text, numbers of absurd length. On purpose louder: words and keys that YAML 1.1 rewrites are told as warnings.

Lines and columns count from 1. Aliased parts of a document are one shared object: callers do not change what they get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from .events import PARSER, START, Event, Form, MakeParser, Mark, NotText, Refused, events, forbidden
from .json_events import JsonError
from .problem import Severity, shown
from .scalars import NUMERIC, SURPRISING, WORDS, key_text, number, tagged, without_fraction

DEPTH = 200
NODES = 300_000  # after aliases are expanded
CHARACTERS = 16 << 20  # of source, after aliases are expanded
ALIASES = 10_000
DOCUMENTS = 10_000
FAULTS = 100
WORDS_KEPT = 1000

# What PyYAML lets slip beside its own errors, and what our own recursion may meet.
UNFORESEEN = (YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError, MemoryError)

TOO_MANY = f"more than {NODES} values in one file, counting what aliases repeat"

_MERGE = "<<"


class Fault(NamedTuple):
    """What is wrong with the text, and where. A warning leaves the values standing."""

    line: int
    column: int
    message: str
    severity: Severity = "error"


class Document(NamedTuple):
    """One document: its value (None for an empty one) and where it begins."""

    value: Any
    line: int
    column: int


class Loaded(NamedTuple):
    """A file. Where an error stands among the faults, the documents are those before it, and none of them is to be trusted.

    `words` are the places where a plain word such as `on` became a boolean: whether that is a fault, the field's type says.
    """

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]
    words: tuple[Fault, ...] = ()


def load(text: bytes, form: Form = "yaml", parser: MakeParser = PARSER) -> Loaded:
    """Read all documents of a file. Never raises.

    Args:
        text: the bytes of the file.
        form: "json" reads strict JSON (RFC 8259), duplicates refused, instead.
        parser: where events come from: libyaml where PyYAML has it.
    """
    reader = DocumentReader()
    documents: list[Document] = []
    try:
        reader.take = events(text, form, parser)
        for document in reader.documents():
            if len(documents) == DOCUMENTS:
                raise Refused(reader.mark, f"more than {DOCUMENTS} documents in one file")
            documents.append(document)
    except Refused as refused:
        reader.faults.append(_fault(refused.mark, str(refused)))
    except (NotText, JsonError) as error:
        reader.faults.append(Fault(error.line, error.column, str(error)))
    except MarkedYAMLError as error:
        reader.faults.append(_fault(error.problem_mark or error.context_mark or reader.mark, _words(error)))
    except ReaderError:
        error_ = forbidden(text)
        reader.faults.append(Fault(error_.line, error_.column, str(error_)))
    except UNFORESEEN as error:
        # The text of such an error may quote the file, so it is not repeated.
        reader.faults.append(_fault(reader.mark, f"cannot be read as {form.upper()} ({type(error).__name__})"))
    return Loaded(tuple(documents), tuple(reader.faults), tuple(reader.words))


def _fault(mark: Mark, message: str, severity: Severity = "error") -> Fault:
    return Fault(mark.line + 1, mark.column + 1, message, severity)


def _words(error: MarkedYAMLError) -> str:
    """One line of what libyaml says in several."""
    text = (error.problem or "cannot be read as YAML").split("\n")[0]
    where = error.context_mark
    if error.context and where is not None and where.line != getattr(error.problem_mark, "line", where.line):
        text += f", {error.context} that begins at line {where.line + 1}"
    return text


class Anchor(NamedTuple):
    """What an alias repeats, and what that costs."""

    value: Any
    nodes: int
    characters: int
    height: int


class DocumentReader:
    """Turns events into values. Collections recurse here, in Python, at most DEPTH deep."""

    __slots__ = ("aliases", "anchors", "characters", "deepest", "faults", "mark", "nodes", "take", "words")

    def __init__(self) -> None:
        self.take: Callable[[], Event]
        self.mark: Mark = START  # near here, should something go wrong
        self.nodes = self.characters = self.aliases = self.deepest = 0
        self.anchors: dict[str, Anchor | None] = {}  # None: not complete yet
        self.faults: list[Fault] = []
        self.words: list[Fault] = []

    def fault(self, mark: Mark, message: str, severity: Severity = "error") -> None:
        """Note what is wrong, and go on; but not for ever."""
        if len(self.faults) == FAULTS:
            raise Refused(mark, f"more than {FAULTS} problems, not read any further")
        self.faults.append(_fault(mark, message, severity))

    def starts(self) -> Iterator[Event]:
        """The first event of each document; the caller takes the document's other events."""
        while type(event := self.take()) is not StreamEndEvent:
            if type(event) is DocumentStartEvent:
                if event.version and tuple(event.version) != (1, 1):
                    raise Refused(event.start_mark, "a %YAML directive other than 1.1; take the line out")
                self.anchors.clear()
                yield self.take()

    def documents(self) -> Iterator[Document]:
        """All documents, one after the other."""
        for event in self.starts():
            self.mark = mark = event.start_mark
            yield Document(self._node(event, 1), mark.line + 1, mark.column + 1)

    def _node(self, event: Event, depth: int) -> Any:
        kind = type(event)
        if kind is AliasEvent:
            return self._alias(event, depth)
        if event.anchor is not None:
            return self._anchored(event, depth)
        if kind is ScalarEvent:
            return self._scalar(event)
        return self._mapping(event, depth) if kind is MappingStartEvent else self._sequence(event, depth)

    def _enter(self, event: Event, depth: int) -> None:
        if depth > DEPTH:
            raise Refused(event.start_mark, f"nested more than {DEPTH} deep")
        self.deepest = max(self.deepest, depth)

    def _sequence(self, start: Event, depth: int) -> list[Any]:
        self._enter(start, depth)
        out: list[Any] = []
        take = self.take
        while type(event := take()) is not SequenceEndEvent:
            self.nodes += 1
            if self.nodes > NODES:
                raise Refused(event.start_mark, TOO_MANY)
            if type(event) is ScalarEvent and event.anchor is None:
                out.append(self._scalar(event))
            else:
                out.append(self._node(event, depth + 1))
        self.mark = event.end_mark
        return out

    def _mapping(self, start: Event, depth: int) -> dict[str, Any]:
        self._enter(start, depth)
        out: dict[str, Any] = {}
        lines: dict[str, int] = {}
        take = self.take
        while type(event := take()) is not MappingEndEvent:
            self.nodes += 1
            if self.nodes > NODES:
                raise Refused(event.start_mark, TOO_MANY)
            key = self.key(event)
            value = take()
            if key is None:
                self._merge(event, self._node(value, depth + 1), out, lines)
                continue
            if key in lines:
                self.fault(event.start_mark, f"key {_bare(key)} stands twice (first at line {lines[key] + 1})")
            else:
                lines[key] = event.start_mark.line
            if type(value) is ScalarEvent and value.anchor is None:
                # Most scalars are text: no call for these, it would cost a third of all time.
                text, (plain, quoted) = value.value, value.implicit
                is_text = quoted or (plain and text not in WORDS and text[0] not in NUMERIC)
                out[key] = text if is_text else self._scalar(value)
            else:
                out[key] = self._node(value, depth + 1)
        self.mark = event.end_mark
        return out

    def _merge(self, key: Event, value: Any, out: dict[str, Any], lines: dict[str, int]) -> None:
        """Lay a mapping, or of a list of them the first over the later ones, over what stands before `<<`."""
        sources = value if type(value) is list else [value]
        for source in reversed(sources):
            if type(source) is not dict:
                raise Refused(key.start_mark, f"{_MERGE} needs a mapping or a list of mappings")
            for over, value_ in source.items():
                if over in lines and out[over] != value_:
                    message = f"{_MERGE} overrides {_bare(over)} (line {lines[over] + 1}), which stands before it"
                    self.fault(key.start_mark, f"{message}; write {_MERGE} first", "warning")
            self.nodes += len(source)
            out.update(source)

    def key(self, event: Event) -> str | None:
        """The text of a key; None for a merge."""
        kind = type(event)
        if kind is ScalarEvent:
            text: str = event.value
            if event.anchor is None:
                if event.implicit[1]:
                    return text
                if event.implicit[0] and not event.style:
                    if text == _MERGE:
                        return None
                    if text not in WORDS and text[0] not in NUMERIC:
                        return text
            value = self._anchored(event, 0) if event.anchor is not None else self._scalar(event, as_key=True)
        elif kind is AliasEvent:
            value = self._alias(event, 0)
        else:
            raise Refused(event.start_mark, "a key must be text, not a mapping or a list")
        key = key_text(value)
        if key is None:
            self.fault(event.start_mark, f"{'null' if value is None else 'this number'} cannot be a key; put it in quotes")
            return ""
        if kind is ScalarEvent and key != event.value:
            self.fault(event.start_mark, f"key {_bare(event.value)} is read as {shown(key)}; put it in quotes", "warning")
        return key

    def _scalar(self, event: Event, *, as_key: bool = False) -> Any:
        text: str = event.value
        if event.implicit[0]:
            if event.style:  # `! "12"`, of which libyaml forgets the tag
                return text
            if text in WORDS:
                if text in SURPRISING and not as_key and len(self.words) < WORDS_KEPT:
                    self.words.append(_fault(event.start_mark, text, "warning"))
                return WORDS[text]
            if text[0] not in NUMERIC:
                return text
            value = number(text)
        elif event.implicit[1]:
            return text
        else:
            value = tagged(event.tag or "", text)
        if isinstance(value, ValueError):
            self.fault(event.start_mark, str(value))
            return None
        return value if as_key or type(value) is not float else without_fraction(value)

    def _anchored(self, event: Event, depth: int) -> Any:
        name = event.anchor
        self.anchors[name] = None
        nodes, characters, deepest = self.nodes, self.characters, self.deepest
        self.deepest = depth
        if type(event) is ScalarEvent:
            self.mark = event.end_mark
            value = self._scalar(event)
        elif type(event) is MappingStartEvent:
            value = self._mapping(event, depth)
        else:
            value = self._sequence(event, depth)
        span = self.mark.index - event.start_mark.index
        self.anchors[name] = Anchor(value, self.nodes - nodes + 1, self.characters - characters + span, self.deepest - depth)
        self.deepest = max(self.deepest, deepest)
        return value

    def _alias(self, event: Event, depth: int) -> Any:
        mark, name = event.start_mark, event.anchor
        if name not in self.anchors:
            raise Refused(mark, f"no anchor &{name[:60]} stands before this alias")
        anchor = self.anchors[name]
        if anchor is None:
            raise Refused(mark, f"anchor &{name[:60]} holds itself")
        self.aliases += 1
        self.nodes += anchor.nodes
        self.characters += anchor.characters
        self.deepest = max(self.deepest, depth + anchor.height)
        if depth + anchor.height > DEPTH:
            raise Refused(mark, f"nested more than {DEPTH} deep")
        if self.aliases > ALIASES or self.nodes > NODES or self.characters > CHARACTERS:
            raise Refused(mark, "aliases repeat too much")
        return anchor.value


def _bare(key: str) -> str:
    """A key in a message: as written where it is a plain word."""
    return key if key.isascii() and key.isalnum() and len(key) <= 60 else shown(key)
