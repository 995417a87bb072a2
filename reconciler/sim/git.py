"""A Git repository in memory that answers the engine's Git effects as the adapter does.

Law of the module: object ids are Git's own (the SHA-1 of type, length, a zero byte and the content), so that two equal trees are one
tree here too; branches move by compare and swap; whatever was once on a branch can still be read, as in a server that has not
collected garbage. Every blob of a path is parsed once, by the real parser. What is listed, read and parsed is counted.

Source: gitformat-loose(5); git-cat-file(1) for the forms of trees and commits.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from reconciler.core.identity import BlobId, CommitId
from reconciler.core.ignore import NAME as IGNORE
from reconciler.core.ignore import Ignored, read_ignore
from reconciler.core.manifest import ManifestFile, parse
from reconciler.core.messages import (
    Commit,
    CommitChanges,
    Effect,
    Fetch,
    Fetched,
    FileChange,
    FilesRead,
    FindTrailer,
    GitFailure,
    Input,
    ListRefs,
    PastRead,
    Push,
    Pushed,
    ReadFiles,
    ReadPast,
    RefsListed,
    TrailerFound,
)

MAIN = "refs/heads/main"
ADA = ("Ada", "ada@example.org")
OURS = ("reconciler", "reconciler@localhost")

Parse = Callable[[bytes, str, BlobId], ManifestFile]
Tree = dict[str, bytes]


class Moved(NamedTuple):
    """One move of a ref. `commit` is None where it was deleted."""

    at: float
    ref: str
    commit: CommitId | None


class Repo:
    """One repository. Trees are dicts of paths; commits follow first parents.

    `clock` gives the wall time of commits. `reflog` holds all moves of all refs in order; `refused` says why pushes to a ref are
    refused; `counts` says what was asked.
    """

    def __init__(self, name: str, clock: Callable[[], float], parse: Parse = parse) -> None:
        self.name = name
        self.refs: dict[str, CommitId] = {}
        self.commits: dict[CommitId, tuple[Commit, Tree]] = {}
        self.messages: dict[CommitId, str] = {}
        self.reflog: list[Moved] = []
        self.refused: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.parsed: dict[tuple[str, BlobId], ManifestFile] = {}
        self._parse = parse
        self._clock = clock
        self._blobs: dict[bytes, BlobId] = {}
        self._ignores: dict[tuple[tuple[str, bytes], ...], tuple[tuple[str, Ignored], ...]] = {}

    # -- people ----------

    def commit(
        self,
        files: Mapping[str, str | bytes | None],
        ref: str = MAIN,
        parent: CommitId | None = None,
        subject: str = "change",
        author: tuple[str, str] = ADA,
        merged: tuple[CommitId, ...] = (),
    ) -> CommitId:
        """Put one commit on a ref; None removes a file. With `parent` history is written anew from there; `merged` are more parents."""
        base = parent or self.refs.get(ref)
        tree = dict(self.commits[base][1]) if base else {}
        for path, text in files.items():
            if text is None:
                del tree[path]
            else:
                tree[path] = text.encode() if isinstance(text, str) else text
        return self._add(ref, base, tree, subject, author, merged)

    def merge(self, ref: str, into: str = MAIN) -> CommitId:
        """Merge a branch as a person does who finds no conflict: what it changed since it left, laid over the other."""
        theirs, ours = self.refs[ref], self.refs[into]
        line = self._line(ours)
        base = next((self.commits[id][1] for id in self._line(theirs) if id in line), {})
        mine = self.commits[theirs][1]
        there = self.commits[ours][1]
        changed = {p: mine.get(p) for p in (*base, *mine) if base.get(p) != mine.get(p) and (p in mine or p in there)}
        return self.commit(changed, into, subject=f"Merge {ref.removeprefix('refs/heads/')}", merged=(theirs,))

    def move(self, ref: str, commit: CommitId | None) -> None:
        """Force-push a ref to a commit that is here, or delete it."""
        if commit is None:
            self.refs.pop(ref, None)
        else:
            self.refs[ref] = commit
        self.reflog.append(Moved(self._clock(), ref, commit))

    def load(self, commit: Commit, tree: Tree, ref: str = MAIN) -> None:
        """Put a commit of another repository on a ref, under the id that it has there."""
        self.commits[commit.id] = (commit, tree)
        self.move(ref, commit.id)

    def tree(self, ref: str = MAIN) -> Tree:
        """The files at the tip of a ref."""
        return self.commits[self.refs[ref]][1]

    def read(self, path: str, text: bytes) -> ManifestFile:
        """A blob as the parser reads it, once."""
        blob = self._blob(text)
        if (path, blob) not in self.parsed:
            self.counts["parse"] += 1
            self.parsed[path, blob] = self._parse(text, path, blob)
        return self.parsed[path, blob]

    def manifests(self, commit: CommitId) -> dict[str, ManifestFile]:
        """The manifest files of a commit, by path, without those that are left out."""
        files = self.commits[commit][1]
        left_out = self._left_out(files)
        return {path: self.read(path, files[path]) for path in sorted(files) if _is_manifest(path) and not left_out(path)}

    # -- effects ----------

    def answer(self, effect: Effect) -> Input:
        """Do what the adapter does."""
        self.counts[type(effect).__name__] += 1
        match effect:
            case ListRefs():
                return RefsListed(effect.id, dict(self.refs))
            case Fetch():
                return self._fetch(effect)
            case ReadPast():
                return PastRead(effect.id, self._past(effect))
            case ReadFiles():
                if effect.commit not in self.commits:
                    return FilesRead(effect.id, GitFailure(f"commit {effect.commit} is not here"))
                files = self.commits[effect.commit][1]
                return FilesRead(effect.id, {p: t for p, t in files.items() if p.startswith(effect.prefix)})
            case FindTrailer():
                return TrailerFound(effect.id, self._trailing(effect))
            case Push():
                return self._push(effect)
        raise AssertionError(effect)

    def stale_refs(self, id: int, at: float) -> RefsListed:
        """The refs as they were at an earlier time of `clock`: a mirror that lags."""
        refs: dict[str, CommitId] = {}
        for moved, ref, commit in self.reflog:
            if moved > at:
                break
            if commit is None:
                refs.pop(ref, None)
            else:
                refs[ref] = commit
        return RefsListed(id, refs)

    def _fetch(self, effect: Fetch) -> Fetched:
        if effect.tip not in self.commits:
            return Fetched(effect.id, GitFailure(f"{effect.ref} does not hold commit {effect.tip[:12]} any more; it has moved"))
        line = self._line(effect.tip)
        if effect.since is None:
            return Fetched(effect.id, (self._step(None, effect.tip),))
        if effect.since not in self.commits:
            return Fetched(effect.id, GitFailure(f"commit {effect.since[:12]}, which was read before, is in the repository no more"))
        if effect.since not in line[: effect.history_limit + 1]:
            rewound = effect.tip in self._line(effect.since)
            return Fetched(effect.id, (self._step(effect.since, effect.tip),), effect.since not in line, rewound)
        news = [*reversed(line[: line.index(effect.since)])]
        pairs = zip([effect.since, *news], news, strict=False)
        return Fetched(effect.id, tuple(self._step(before, after) for before, after in pairs))

    def _line(self, tip: CommitId) -> list[CommitId]:
        line = []
        at: CommitId | None = tip
        while at is not None and at in self.commits:
            line.append(at)
            at = self.commits[at][0].parent
        return line

    def _step(self, before: CommitId | None, after: CommitId) -> CommitChanges:
        old = self.commits[before][1] if before else {}
        commit, new = self.commits[after]
        was, now = self._left_out(old), self._left_out(new)
        changes = []
        for path in sorted({*old, *new}):
            if not _is_manifest(path):
                continue
            a = old.get(path) if not was(path) else None
            b = new.get(path) if not now(path) else None
            if a != b:
                changes.append(FileChange(path, None, None) if b is None else self._change(path, b))
        return CommitChanges(commit, tuple(changes))

    def _change(self, path: str, text: bytes) -> FileChange:
        return FileChange(path, self._blob(text), self.read(path, text))

    def _past(self, effect: ReadPast) -> CommitChanges | None:
        def own(id: CommitId) -> Tree:
            files = self.commits[id][1]
            left_out = self._left_out(files)
            return {
                p: t for p, t in files.items() if (p.rpartition("/")[0] or ".") == effect.path and _is_manifest(p) and not left_out(p)
            }

        for id in self._line(effect.before)[1:]:
            if own(id) != own(effect.before):
                return CommitChanges(self.commits[id][0], tuple(self._change(p, t) for p, t in sorted(own(id).items())))
        return None

    def history(self, tip: CommitId | None) -> dict[CommitId, None]:
        """A commit and all that it follows, merged ones too."""
        found: dict[CommitId, None] = {}
        todo = [tip] if tip is not None else []
        while todo:
            at = todo.pop()
            if at in self.commits and at not in found:
                found[at] = None
                commit = self.commits[at][0]
                todo += [parent for parent in (commit.parent, *commit.merged) if parent is not None]
        return found

    def _trailing(self, effect: FindTrailer) -> CommitId | GitFailure | None:
        if effect.tip not in self.commits:
            return GitFailure(f"{effect.ref} does not hold commit {effect.tip[:12]} any more; it has moved")
        old = self.history(effect.since)
        for number, id in enumerate(id for id in self.history(effect.tip) if id not in old):
            if number == effect.history_limit:
                return GitFailure(f"more than {effect.history_limit} commits since {effect.since[:7]}", permanent=True)
            if effect.trailer in map(str.strip, self.messages.get(id, "").splitlines()):
                return id
        return None

    def _push(self, effect: Push) -> Pushed:
        if reason := self.refused.get(effect.ref):
            return Pushed(effect.id, "refused", message=reason)
        if self.refs.get(effect.ref) != effect.expected:
            return Pushed(effect.id, "stale")
        tree = dict(self.commits[effect.base][1]) if effect.base else {}
        for path, text in effect.files.items():
            if text is None:
                tree.pop(path, None)
            else:
                tree[path] = text
        if effect.base and effect.base == effect.expected and tree == self.commits[effect.base][1]:
            return Pushed(effect.id, "pushed", effect.base)
        return Pushed(effect.id, "pushed", self._add(effect.ref, effect.base, tree, effect.message, OURS))

    # -- objects ----------

    def _add(
        self, ref: str, parent: CommitId | None, tree: Tree, message: str, author: tuple[str, str], merged: tuple[CommitId, ...] = ()
    ) -> CommitId:
        name, email = author
        at = int(self._clock())
        who = f"{name} <{email}> {at} +0000"
        head = f"tree {self._tree(tree)}\n" + "".join(f"parent {one}\n" for one in (parent, *merged) if one)
        id = CommitId(_object("commit", f"{head}author {who}\ncommitter {who}\n\n{message}\n".encode()))
        made = Commit(id, parent, name, email, float(at), message.splitlines()[0] if message else "", merged)
        self.commits[id] = (made, tree)
        self.messages[id] = message
        self.move(ref, id)
        return id

    def _blob(self, text: bytes) -> BlobId:
        known = self._blobs.get(text)
        if known is None:
            known = self._blobs[text] = BlobId(_object("blob", text))
        return known

    def _tree(self, files: Tree) -> str:
        folders: dict[str, Tree] = {}
        entries: list[tuple[bytes, bytes]] = []
        for path, text in files.items():
            first, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(first, {})[rest] = text
            else:
                entries.append((first.encode(), b"100644 %s\0" % first.encode() + bytes.fromhex(self._blob(text))))
        for name, inner in folders.items():
            entries.append((name.encode() + b"/", b"40000 %s\0" % name.encode() + bytes.fromhex(self._tree(inner))))
        return _object("tree", b"".join(entry for _, entry in sorted(entries)))

    def _left_out(self, files: Tree) -> Callable[[str], bool]:
        found = tuple((path, text) for path, text in files.items() if path.rpartition("/")[2] == IGNORE)
        rules = self._ignores.get(found)
        if rules is None:
            rules = self._ignores[found] = tuple((path.removesuffix(IGNORE), read_ignore(text)[0]) for path, text in found)
        return lambda path: any(path.startswith(top) and ignored(path.removeprefix(top)) for top, ignored in rules)


def _object(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def _is_manifest(path: str) -> bool:
    return path.endswith((".yaml", ".yml", ".json"))
