"""Where things stand in a file: found again from its text, when a message needs it.

Law of the module: `locate` is total, and agrees with `yaml.load` on which document and which key is which. What an alias or a
merge brings stands where its anchor stands. Lines and columns count from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from yaml.events import AliasEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

from .events import PARSER, Event, Form, MakeParser, NotText, Refused, events
from .json_events import JsonError
from .problem import Pointer
from .scalars import SURPRISING
from .yaml import DEPTH, UNFORESEEN, Anchor, DocumentReader

NOTHING: Mapping[str | int, Node] = MappingProxyType({})


@dataclass(slots=True)
class Node:
    """Where one value stands: the value, its key, and what is below it."""

    line: int
    column: int
    key_line: int = 0  # 0 where there is no key: the top, an item of a list
    key_column: int = 0
    word: str = ""  # the plain boolean word that stands here
    children: Mapping[str | int, Node] = field(default_factory=lambda: NOTHING)  # most values have none: no dict for each

    def down(self, pointer: Pointer) -> tuple[Node, bool]:
        """The node at `pointer`, and whether it is there; its nearest ancestor where it is not."""
        node = self
        for step in pointer:
            if step not in node.children:
                return node, False
            node = node.children[step]
        return node, True


def documents(text: bytes, form: Form = "yaml", parser: MakeParser = PARSER) -> Iterator[Node]:
    """The places of each document of a file that `load` has read, in order; ends early where the file cannot be read."""
    reader = DocumentReader()
    try:
        reader.take = events(text, form, parser)
        for start in reader.starts():
            yield _Locator(reader).node(start, 1)
    except (NotText, Refused, JsonError, *UNFORESEEN):
        return


def locate(text: bytes, document: int, form: Form = "yaml", parser: MakeParser = PARSER) -> Node:
    """The places of one document, counted from 0; of a file that cannot be read, its first character.

    Not to be changed: the places of the last file that was asked for are kept, since faults come in crowds, and a file with many of
    them must not be read for each.
    """
    found = _all(text, form, parser)
    return found[document] if document < len(found) else Node(1, 1)


@lru_cache(maxsize=1)
def _all(text: bytes, form: Form, parser: MakeParser) -> tuple[Node, ...]:
    return tuple(documents(text, form, parser))


class _Locator:
    """Turns the events of one document into places. What `load` would refuse is refused alike."""

    def __init__(self, reader: DocumentReader) -> None:
        self.reader = reader
        self.anchors: dict[str, Node] = {}

    def node(self, event: Event, depth: int) -> Node:
        if depth > DEPTH:
            raise Refused(event.start_mark, "")
        node = Node(event.start_mark.line + 1, event.start_mark.column + 1)
        take, kind = self.reader.take, type(event)
        if kind is AliasEvent:
            node.children = self.anchors[event.anchor].children
            return node
        if kind is MappingStartEvent:
            entries: dict[str | int, Node] = {}
            while type(key := take()) is not MappingEndEvent:
                self.entry(entries, key, self.node(take(), depth + 1))
            node.children = entries
        elif kind is SequenceStartEvent:
            items: list[Node] = []
            while type(item := take()) is not SequenceEndEvent:
                items.append(self.node(item, depth + 1))
            node.children = dict(enumerate(items))
        elif event.implicit[0] and event.value in SURPRISING:
            node.word = event.value
        if event.anchor is not None:
            self.anchors[event.anchor] = node
            value = event.value if kind is ScalarEvent else None
            self.reader.anchors[event.anchor] = Anchor(value, 0, 0, 0)  # an alias may be a key
        return node

    def entry(self, entries: dict[str | int, Node], key_event: Event, child: Node) -> None:
        key = self.reader.key(key_event)
        if key is not None:
            child.key_line, child.key_column = key_event.start_mark.line + 1, key_event.start_mark.column + 1
            entries[key] = child
        elif 0 in child.children:  # a list of mappings
            for item in reversed(list(child.children.values())):
                entries.update(item.children)
        else:
            entries.update(child.children)
