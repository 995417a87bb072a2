"""Trees by their ids: which files one has, and what differs between two, without reading what does not differ.

Law of the module: cost is the change. Two folders with the same id and the same ignore rules are equal, and nothing below them is
looked at. Nothing is ever written to a disk, so a name cannot lead anywhere; but a name that is not plain text is a problem for
its author, links and submodules are never followed, and a tree built to be endless meets a limit.

A path is shown as UTF-8. One that is not, or that holds control characters, backslashes, or a part that is ".", ".." or ".git",
is `odd`: it is shown escaped, so that two of them never share a name, and its content is never read.

Sources: gitformat-index(5) and git-fast-import(1) for modes, gitignore(5), CVE-2014-9706 and CVE-2022-24904 for names and links.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import pygit2
from pygit2.enums import FileMode

from reconciler.core.identity import BlobId

from .ignoring import RAW_NAME, IgnoreFiles, Rules
from .transport import GitTrouble

DEPTH_LIMIT = 64  # folders in folders
ENTRIES_LIMIT = 500_000  # looked at in one walk
SUFFIXES = (b".yaml", b".yml", b".json")

Sort = Literal["file", "link", "submodule", "deep", "ignore"]
Entries = dict[bytes, pygit2.Object]

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


def sort_of(entry: pygit2.Object) -> Sort | None:
    """What an entry is; None for a folder."""
    match entry.filemode:
        case FileMode.TREE:
            return None
        case FileMode.LINK:
            return "link"
        case FileMode.COMMIT:
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
        yield from self._between(old, new, Rules(), Rules(), "", odd=False, depth=0)

    def own_files(self, root: pygit2.Tree, folder: str) -> dict[str, Node]:
        """The manifest files in `folder` itself ("" or ending in "/"), by path below `root`; none where it is left out."""
        tree, rules, prefix = root, Rules(), ""
        for part in folder.split("/")[:-1]:
            rules = self._within(rules, prefix, self._entries(tree))
            prefix += part + "/"
            below = subtree(tree, part)
            if below is None or rules.ignored(prefix):
                return {}
            tree = below
        entries = self._entries(tree)
        rules = self._within(rules, prefix, entries)
        found: dict[str, Node] = {}
        for raw, entry in sorted(entries.items()):
            name, odd = shown(raw)
            node = self._node(entry, raw, prefix + name, odd, rules)
            if node is not None:
                found[prefix + name] = node
        return found

    def _between(
        self, old: pygit2.Object, new: pygit2.Object, was: Rules, now: Rules, prefix: str, *, odd: bool, depth: int
    ) -> Iterator[Difference]:
        if old is not None and new is not None and old.id == new.id and was.key == now.key:
            return
        before, after = self._entries(old), self._entries(new)
        was, now = self._within(was, prefix, before), self._within(now, prefix, after)
        for raw in sorted({**before, **after}):
            left, right = before.get(raw), after.get(raw)
            if left is not None and right is not None and was.key == now.key:
                if left.id == right.id and left.filemode == right.filemode:
                    continue
            name, name_odd = shown(raw)
            path, path_odd = prefix + name, odd or name_odd
            old_node = self._node(left, raw, path, path_odd, was) if left is not None else None
            new_node = self._node(right, raw, path, path_odd, now) if right is not None else None
            old_folder, new_folder = _folder(left, path, was, depth), _folder(right, path, now, depth)
            if depth + 1 >= DEPTH_LIMIT:
                old_node, new_node = _deep(left, path, was) or old_node, _deep(right, path, now) or new_node
            if old_node != new_node:
                yield Difference(path, old_node, new_node)
            if old_folder is not None or new_folder is not None:
                yield from self._between(old_folder, new_folder, was, now, path + "/", odd=path_odd, depth=depth + 1)

    def _entries(self, tree: pygit2.Object) -> Entries:
        """A folder's entries by raw name."""
        if tree is None:
            return {}
        entries = {entry.raw_name: entry for entry in tree}
        self._seen += len(entries)
        if self._seen > ENTRIES_LIMIT:
            raise GitTrouble(f"the commit holds more than {ENTRIES_LIMIT:,} files and folders")
        return entries

    def _within(self, rules: Rules, prefix: str, entries: Entries) -> Rules:
        """The rules that hold in a folder: those from above and its own."""
        entry = entries.get(RAW_NAME)
        if entry is None or sort_of(entry) != "file":
            return rules
        return rules.within(prefix, str(entry.id), self._ignores.rule(self._repository, entry))

    def _node(self, entry: pygit2.Object, raw: bytes, path: str, odd: bool, rules: Rules) -> Node | None:
        """What is to be read at `path`, or to be reported there; None for what does not concern us."""
        if not raw.endswith(SUFFIXES) and raw != RAW_NAME:
            return None
        sort = sort_of(entry)
        if sort is None:
            return None
        if raw == RAW_NAME:
            if sort == "file" and self._ignores.rule(self._repository, entry).whole:
                return None
            return Node(BlobId(str(entry.id)), "ignore" if sort == "file" else sort, odd)
        if rules.ignored(path):
            return None
        return Node(BlobId(str(entry.id)), sort, odd)


def _folder(entry: pygit2.Object, path: str, rules: Rules, depth: int) -> pygit2.Object:
    """The entry, where it is a folder to go down into."""
    if not isinstance(entry, pygit2.Tree) or depth + 1 >= DEPTH_LIMIT or rules.ignored(path + "/"):
        return None
    return entry


def _deep(entry: pygit2.Object, path: str, rules: Rules) -> Node | None:
    """A folder nested too deep to go into, as something to report."""
    if entry is None or entry.filemode != FileMode.TREE or rules.ignored(path + "/"):
        return None
    return Node(BlobId(str(entry.id)), "deep")
