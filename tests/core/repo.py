"""A Git repository in memory, that answers the engine's Git effects as the adapter does.

Law of the module: trees are dicts of paths, commits follow first parents, and every blob of a path is parsed once by the real parser.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from reconciler.core.identity import BlobId, CommitId
from reconciler.core.manifest import ManifestFile, parse
from reconciler.core.messages import (
    Commit,
    CommitChanges,
    Effect,
    Fetch,
    Fetched,
    FileChange,
    FilesRead,
    GitFailure,
    Input,
    ListRefs,
    PastRead,
    Push,
    Pushed,
    ReadFiles,
    ReadPast,
    RefsListed,
)

MAIN = "refs/heads/main"


class Repo:
    """One repository in memory. Trees are dicts of paths; commits follow first parents."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.refs: dict[str, CommitId] = {}
        self.commits: dict[CommitId, tuple[Commit, dict[str, bytes]]] = {}
        self.parsed: dict[tuple[str, BlobId], ManifestFile] = {}
        self._clock = clock

    def commit(
        self, files: Mapping[str, str | bytes | None], ref: str = MAIN, parent: CommitId | None = None, subject: str = "change"
    ) -> CommitId:
        """Put one commit on a ref; None removes a file. With `parent` history is written anew from there."""
        base = parent or self.refs.get(ref)
        tree = dict(self.commits[base][1]) if base else {}
        for path, text in files.items():
            if text is None:
                del tree[path]
            else:
                tree[path] = text.encode() if isinstance(text, str) else text
        return self._add(ref, base, tree, subject)

    def _add(self, ref: str, base: CommitId | None, tree: dict[str, bytes], subject: str) -> CommitId:
        id = CommitId(hashlib.sha1(f"{self.name} {len(self.commits)} {subject}".encode()).hexdigest())
        self.commits[id] = (Commit(id, base, "Ada", "ada@example.org", self._clock(), subject), tree)
        self.refs[ref] = id
        return id

    def answer(self, effect: Effect) -> Input:
        """Do what the adapter does."""
        match effect:
            case ListRefs():
                return RefsListed(effect.id, dict(self.refs))
            case Fetch():
                return self._fetch(effect)
            case ReadPast():
                return PastRead(effect.id, self._past(effect))
            case ReadFiles():
                files = self.commits[effect.commit][1]
                return FilesRead(effect.id, {p: t for p, t in files.items() if p.startswith(effect.prefix)})
            case Push():
                return self._push(effect)
        raise AssertionError(effect)

    def _fetch(self, effect: Fetch) -> Fetched:
        line = self._line(effect.tip)
        if effect.since is None:
            return Fetched(effect.id, (self._step(None, effect.tip),))
        if effect.since not in self.commits:
            return Fetched(effect.id, GitFailure(f"{effect.since} is not here"))
        if effect.since not in line:
            return Fetched(effect.id, (self._step(effect.since, effect.tip),), rewritten=True)
        news = [*reversed(line[: line.index(effect.since)])]
        pairs = zip([effect.since, *news], news, strict=False)
        return Fetched(effect.id, tuple(self._step(before, after) for before, after in pairs))

    def _line(self, tip: CommitId) -> list[CommitId]:
        line = []
        at: CommitId | None = tip
        while at is not None:
            line.append(at)
            at = self.commits[at][0].parent
        return line

    def _step(self, before: CommitId | None, after: CommitId) -> CommitChanges:
        old = self.commits[before][1] if before else {}
        commit, new = self.commits[after]
        changed = [path for path in sorted({*old, *new}) if old.get(path) != new.get(path) and _read(path)]
        return CommitChanges(commit, tuple(self._change(path, new.get(path)) for path in changed))

    def _change(self, path: str, text: bytes | None) -> FileChange:
        if text is None:
            return FileChange(path, None, None)
        blob = BlobId(hashlib.sha1(text).hexdigest())
        if (path, blob) not in self.parsed:
            self.parsed[path, blob] = parse(text, path, blob)
        return FileChange(path, blob, self.parsed[path, blob])

    def _past(self, effect: ReadPast) -> CommitChanges | None:
        def own(id: CommitId) -> dict[str, bytes]:
            return {p: t for p, t in self.commits[id][1].items() if (p.rpartition("/")[0] or ".") == effect.path and _read(p)}

        for id in self._line(effect.before)[1:]:
            if own(id) != own(effect.before):
                return CommitChanges(self.commits[id][0], tuple(self._change(p, t) for p, t in sorted(own(id).items())))
        return None

    def _push(self, effect: Push) -> Pushed:
        if self.refs.get(effect.ref) != effect.expected:
            return Pushed(effect.id, "stale")
        tree = dict(self.commits[effect.base][1]) if effect.base else {}
        for path, text in effect.files.items():
            if text is None:
                tree.pop(path, None)
            else:
                tree[path] = text
        return Pushed(effect.id, "pushed", self._add(effect.ref, effect.base, tree, effect.message.splitlines()[0]))


def _read(path: str) -> bool:
    return path.endswith((".yaml", ".yml", ".json"))
