"""Trees by their ids: which files one has, and what differs between two, without reading what does not differ.

Law of the module: cost is the change. Two folders with the same id and the same ignore rules are equal, and nothing below them is
looked at. Nothing is ever written to a disk, so a name cannot lead anywhere; but a name that is not plain text is a problem for
its author, links and submodules are never followed, and a tree built to be endless meets a limit.

A path is shown as UTF-8. One that is not, or that holds control characters, backslashes, or a part that is ".", ".." or ".git",
is `odd`: it is shown escaped, so that two of them never share a name, and its content is never read.

Folders are read as the bytes that they are: of ten thousand entries that did not change, none becomes an object of its own.

Sources: git-mktree(1) and gitformat-index(5) for entries and modes, gitignore(5), CVE-2014-9706 and CVE-2022-24904 for names and links.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

import pygit2
from pygit2.enums import FileMode, ObjectType

from reconciler.core.identity import BlobId

from .ignoring import RAW_NAME, IgnoreFiles, Rules
from .transport import GitTrouble

DEPTH_LIMIT = 64  # folders in folders
ENTRIES_LIMIT = 500_000  # looked at in one walk
SUFFIXES = (b".yaml", b".yml", b".json")

Sort = Literal["file", "link", "submodule", "deep", "ignore"]
Entry = tuple[bytes, bytes, bytes]
"""One line of a folder: its mode in octal digits, its raw name, its raw id."""
Entries = dict[bytes, Entry]

_ENTRY = re.compile(rb"([0-7]{1,7}) ([^\0]+)\0(.{20})", re.DOTALL)
_ENTRIES = re.compile(rb"(?:[0-7]{1,7} [^\0]+\0.{20})*+", re.DOTALL)
_TYPE = 0o170000  # of a mode: what kind of thing it is
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\\\udc80-\udcff]")


class Node(NamedTuple):
    """What stands at a path: a blob ("file"), or something that is not read. Equal nodes have equal content."""

    id: BlobId
    sort: Sort
    odd: bool = False


class Difference(NamedTuple):
    """One path at which two trees differ; None where a side has nothing there."""

    path: str
    old: Node | None
    new: Node | None


def subtree(tree: pygit2.Tree, path: str) -> pygit2.Tree | None:
    """The folder `path` ("" or "." for the tree itself) below `tree`; None where there is none."""
    for part in [part for part in path.split("/") if part not in ("", ".")]:
        try:
            found = tree[part]
        except KeyError:
            return None
        if found.filemode != FileMode.TREE:
            return None
        tree = found
    return tree


@lru_cache(100)  # of a few modes, however many entries
def _sort(mode: bytes) -> Sort | None:
    """What an entry with this mode is; None for a folder."""
    match int(mode, 8) & _TYPE:
        case 0o040000:
            return None
        case 0o120000:
            return "link"
        case 0o160000:
            return "submodule"
    return "file"  # an executable one too: it is only read


def shown(raw: bytes) -> tuple[str, bool]:
    """A name as text, and whether it is odd."""
    text = raw.decode("utf-8", "surrogateescape")
    if _ODD.search(text):
        return "".join(_escaped(character) for character in text), True
    return text, text.lower() in ("", ".", "..", ".git")


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character if not _ODD.match(character) else f"\\u{code:04x}"


class Walk:
    """A walk over one tree or two, with its limits."""

    def __init__(self, repository: pygit2.Repository, ignores: IgnoreFiles) -> None:
        self._repository = repository
        self._ignores = ignores
        self._seen = 0

    def differences(self, old: pygit2.Tree | None, new: pygit2.Tree | None) -> Iterator[Difference]:
        """Every path of a manifest file at which the two differ, by the order of names."""
        left, right = (tree.id.raw if tree is not None else None for tree in (old, new))
        yield from self._between(left, right, Rules(), Rules(), "", odd=False, depth=0)

    def own_files(self, root: pygit2.Tree, folder: str) -> dict[str, Node]:
        """The manifest files in `folder` itself ("" or ending in "/"), by path below `root`; none where it is left out."""
        tree, rules, prefix = root, Rules(), ""
        for part in folder.split("/")[:-1]:
            rules = self._within(rules, prefix, self._entries(tree.id.raw))
            prefix += part + "/"
            below = subtree(tree, part)
            if below is None or rules.ignored(prefix):
                return {}
            tree = below
        entries = self._entries(tree.id.raw)
        rules = self._within(rules, prefix, entries)
        found: dict[str, Node] = {}
        for raw, entry in sorted(entries.items()):
            name, odd = shown(raw)
            node, _ = self._stands(entry, prefix + name, rules, odd=odd, depth=0)
            if node is not None:
                found[prefix + name] = node
        return found

    def _between(
        self, old: bytes | None, new: bytes | None, was: Rules, now: Rules, prefix: str, *, odd: bool, depth: int
    ) -> Iterator[Difference]:
        if old is not None and old == new and was.key == now.key:
            return
        before, after = self._entries(old), self._entries(new)
        was, now = self._within(was, prefix, before), self._within(now, prefix, after)
        for raw in sorted(_differing(before, after) if was.key == now.key else {**before, **after}):
            left, right = before.get(raw), after.get(raw)
            name, name_odd = shown(raw)
            path, path_odd = prefix + name, odd or name_odd
            old_node, old_folder = self._stands(left, path, was, odd=path_odd, depth=depth)
            new_node, new_folder = self._stands(right, path, now, odd=path_odd, depth=depth)
            if old_node != new_node:
                yield Difference(path, old_node, new_node)
            if old_folder is not None or new_folder is not None:
                yield from self._between(old_folder, new_folder, was, now, path + "/", odd=path_odd, depth=depth + 1)

    def _entries(self, tree: bytes | None) -> Entries:
        """A folder's entries by raw name; `ValueError` where it is none."""
        if tree is None:
            return {}
        sort, content = self._repository.odb.read(pygit2.Oid(raw=tree))
        if sort != ObjectType.TREE or not _ENTRIES.fullmatch(content):
            raise ValueError(f"object {tree.hex()} is no folder")
        entries = {entry[1]: entry for entry in _ENTRY.findall(content)}
        self._seen += len(entries)
        if self._seen > ENTRIES_LIMIT:
            raise GitTrouble(f"the commit holds more than {ENTRIES_LIMIT:,} files and folders")
        return entries

    def _within(self, rules: Rules, prefix: str, entries: Entries) -> Rules:
        """The rules that hold in a folder: those from above and its own."""
        entry = entries.get(RAW_NAME)
        if entry is None or _sort(entry[0]) != "file":
            return rules
        return rules.within(prefix, entry[2].hex(), self._ignores.rule(self._repository, entry[2]))

    def _stands(self, entry: Entry | None, path: str, rules: Rules, *, odd: bool, depth: int) -> tuple[Node | None, bytes | None]:
        """What is to be read at `path` or to be reported there, and the folder to go down into; None for what does not concern us."""
        if entry is None:
            return None, None
        mode, raw, id = entry
        sort = _sort(mode)
        if sort is None:
            if rules.ignored(path + "/"):
                return None, None
            return (None, id) if depth + 1 < DEPTH_LIMIT else (Node(BlobId(id.hex()), "deep"), None)
        if raw == RAW_NAME:
            if sort == "file" and self._ignores.rule(self._repository, id).whole:
                return None, None
            return Node(BlobId(id.hex()), "ignore" if sort == "file" else sort, odd), None
        if not raw.endswith(SUFFIXES) or rules.ignored(path):
            return None, None
        return Node(BlobId(id.hex()), sort, odd), None


def _differing(before: Entries, after: Entries) -> list[bytes]:
    """The names at which two folders differ."""
    names = [raw for raw, entry in after.items() if before.get(raw) != entry]
    return names + [raw for raw in before if raw not in after]
