"""What Git says: the files of one source as of one commit, and the last version of each that could be read.

Law of the module: a file that cannot be read counts as its last readable version, and a folder as it was when all of it could last
be read; nothing is ever dropped because it could not be read (design, law 7). Commits are folded one by one, so what counts as
"last readable" depends on history and not on when we polled. Cost is what a commit changed: a folder it does not touch is not looked at,
and of one that it touches, what did not change is only passed on, by the built-in functions of Python: there may be ten thousand of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, filterfalse
from operator import attrgetter

from .identity import GroupKind, SourceName
from .kind import Wanted
from .manifest import Manifest, ManifestFile, Problem
from .messages import Commit, CommitChanges, FileChange
from .wanted import read

_MANIFESTS, _PROBLEMS, _PATH = attrgetter("manifests"), attrgetter("problems"), attrgetter("path")
_KIND_OF = attrgetter("group", "kind")
ManifestKey = tuple[str, int]  # path, index in the file
Files = dict[str, ManifestFile]


@dataclass(frozen=True, slots=True)
class Settled:
    """A folder as it last could be read whole; `commit` None where no such version was found in history."""

    files: Files
    commit: Commit | None


@dataclass(slots=True)
class Touched:
    """What one fold may have changed: folders, and kinds of manifests."""

    folders: dict[str, None] = field(default_factory=dict)
    kinds: dict[GroupKind, None] = field(default_factory=dict)
    manifests: list[Manifest] = field(default_factory=list)  # as they were, and as they are
    known: bool = False  # what might have been there, for all that could be read, is known now

    def add(self, manifests: tuple[Manifest, ...]) -> None:
        """Something about manifests has changed."""
        self.manifests += manifests
        self.kinds.update(dict.fromkeys(_kinds(manifests)))


class Desired:
    """One source's files. Paths are relative to the source's sub-path."""

    def __init__(self, source: SourceName) -> None:
        self.source = source
        self.commit: Commit | None = None
        self.folders: dict[str, Files] = {}
        self.settled: dict[str, Settled] = {}
        self.lost: dict[str, None] = {}  # not readable, and no readable version known yet
        self.kinds: dict[GroupKind, dict[ManifestKey, Manifest]] = {}
        self._commits: dict[str, Commit] = {}  # path -> the commit that changed it last, as far as seen
        self._unreadable: dict[str, dict[str, None]] = {}
        self._last: Files = {}
        self._wanted: dict[Manifest, Wanted] = {}
        self._by_name: dict[GroupKind, dict[tuple[str, str], tuple[Manifest, ...]]] = {}  # made when first asked
        self._wrong: dict[Manifest, tuple[Problem, ...]] = {}  # where there is anything wrong

    # -- reading ----------

    def manifests(self, folder: str) -> tuple[Manifest, ...]:
        """All manifests of one folder, as it last could be read whole, in order of path and place."""
        files = self.settled[folder].files if folder in self.settled else self.folders.get(folder, {})
        return tuple(chain.from_iterable(map(_MANIFESTS, map(files.__getitem__, sorted(files)))))

    def unreadable(self, folder: str) -> tuple[ManifestFile, ...]:
        """The files of a folder that cannot be read now."""
        return tuple(self.folders[folder][path] for path in self._unreadable.get(folder, ()))

    def text(self, path: str) -> bytes | None:
        """The text of a file that holds manifests, as it last could be read."""
        found = self.of_file(path)
        return found[0].text if found else None

    def of_file(self, path: str) -> tuple[Manifest, ...]:
        """The manifests of one file, as it last could be read."""
        file = self._last.get(path) or self.folders.get(path.rpartition("/")[0] or ".", {}).get(path)
        return file.manifests if file is not None else ()

    def faults(self, path: str) -> tuple[Problem, ...]:
        """What is wrong with a file that cannot be read now."""
        folder = path.rpartition("/")[0] or "."
        return self.folders[folder][path].problems if path in self._unreadable.get(folder, ()) else ()

    def named_in_held(self, kind: GroupKind) -> Iterator[Manifest]:
        """The manifests of a kind that files of folders which cannot be read whole hold now."""
        for folder in self.settled:
            for file in self.folders[folder].values():
                for manifest in file.manifests:
                    if (manifest.group, manifest.kind) == kind:
                        yield manifest

    def named(self, kind: GroupKind, namespace: str, name: str) -> tuple[Manifest, ...]:
        """The manifests of a kind that have a name, in order of path."""
        index = self._by_name.get(kind)
        if index is None:
            index = self._by_name[kind] = {}
            for _, manifest in sorted(self.kinds.get(kind, {}).items()):
                at = (manifest.namespace, manifest.name)
                index[at] = (*index.get(at, ()), manifest)
        return index.get((namespace, name), ())

    @property
    def has_unknown(self) -> bool:
        """Whether any file cannot be read of which no readable version is known: what is not there may be in it."""
        return bool(self.lost) or any(path not in self._last for paths in self._unreadable.values() for path in paths)

    @property
    def _unknown(self) -> tuple[bool, bool]:
        return bool(self.lost), self.has_unknown

    def changed_by(self, path: str) -> Commit | None:
        """The commit that last changed a path: at a first read nobody knows better than the commit that was read."""
        return self._commits.get(path)

    def learn(self, commits: Mapping[str, Commit]) -> None:
        """By which commits paths were changed last, for one that reads history: a first read knows only its own."""
        self._commits.update((path, commit) for path, commit in commits.items() if path in self._commits)

    def changed_last(self, manifests: Iterable[Manifest]) -> Commit | None:
        """The commit that last changed any of these; the first of several of one moment."""
        commits = list(filter(None, map(self._commits.get, map(_PATH, manifests))))
        each = dict(zip(map(id, commits), commits, strict=True))  # few, of however many files
        return max(each.values(), key=lambda commit: commit.at, default=None)

    def wanted(self, manifests: tuple[Manifest, ...]) -> tuple[tuple[Wanted, ...], tuple[Problem, ...]]:
        """`wanted.read` of each, remembered as long as the file is: ten thousand neighbours of a change are not read again."""
        for manifest in filterfalse(self._wanted.__contains__, manifests):
            self._wanted[manifest], wrong = read(manifest)
            if wrong:
                self._wrong[manifest] = wrong
        wrongs = filter(None, map(self._wrong.get, manifests)) if self._wrong else ()
        return tuple(map(self._wanted.__getitem__, manifests)), tuple(chain.from_iterable(wrongs))

    # -- folding ----------

    def whole(self, step: CommitChanges) -> CommitChanges:
        """A step that lists everything, completed by what is not in it any more."""
        there = dict.fromkeys(change.path for change in step.changes)
        gone = tuple(FileChange(path, None, None) for files in self.folders.values() for path in files if path not in there)
        return CommitChanges(step.commit, step.changes + gone)

    def fold(self, step: CommitChanges) -> Touched:
        """Take in one commit."""
        first = self.commit is None
        touched = Touched()
        changes: defaultdict[str, dict[str, ManifestFile | None]] = defaultdict(dict)
        for path, _, file in step.changes:
            changes[path.rpartition("/")[0] or "."][path] = file
        unknown = self._unknown
        for folder, files in changes.items():
            there = {path: file for path, file in files.items() if file is not None}
            self._commits.update(dict.fromkeys(there, step.commit))
            for path in filterfalse(there.__contains__, files):
                self._commits.pop(path, None)
            if folder not in self.folders and len(there) == len(files) and not any(map(_PROBLEMS, there.values())):
                self._new_folder(folder, there, touched)
            else:
                self._fold_folder(folder, files, first, touched)
        touched.known = self._unknown < unknown
        self.commit = step.commit
        return touched

    def _new_folder(self, folder: str, files: Files, touched: Touched) -> None:
        """A folder that was not there, with nothing wrong in it: at a start there may be a hundred thousand files in such folders."""
        touched.folders[folder] = None
        self.folders[folder] = files
        manifests = tuple(chain.from_iterable(map(_MANIFESTS, files.values())))
        touched.add(manifests)
        self._add(manifests)

    def _fold_folder(
        self, folder: str, changes: dict[str, ManifestFile | None], first: bool, touched: Touched
    ) -> None:
        touched.folders[folder] = None
        before = self.folders.get(folder, {})
        after = dict(before)
        unreadable = self._unreadable.setdefault(folder, {})
        was_readable = not unreadable
        for path, file in changes.items():
            effective = self._last.get(path) or before.get(path)
            unreadable.pop(path, None)
            if file is None:
                after.pop(path, None)
                self._last.pop(path, None)
                self._index(path, effective, None, touched)
                continue
            after[path] = file
            if file.readable:
                self._last.pop(path, None)
                self._index(path, effective, file, touched)
            else:
                unreadable[path] = None
                if effective is not None and effective.readable:
                    self._last[path] = effective
                    touched.add(effective.manifests)
        if after:
            self.folders[folder] = after
        else:
            self.folders.pop(folder, None)
        if not unreadable:
            del self._unreadable[folder]
            self._unsettle(folder)
            self.lost.pop(folder, None)
        elif was_readable and first:
            self.lost[folder] = None
            self.settled[folder] = Settled({}, None)
        elif was_readable:
            self.settled[folder] = Settled(before, self.commit)

    def _unsettle(self, folder: str) -> None:
        """A folder can be read whole again: what it was held as is forgotten."""
        held = self.settled.pop(folder, None)
        for path, file in held.files.items() if held else ():
            if self.folders.get(folder, {}).get(path) is not file:
                for manifest in file.manifests:
                    self._forget(manifest)

    def _forget(self, manifest: Manifest) -> None:
        self._wanted.pop(manifest, None)
        self._wrong.pop(manifest, None)

    def _index(self, path: str, old: ManifestFile | None, new: ManifestFile | None, touched: Touched) -> None:
        for file in filter(None, (old, new)):
            touched.add(file.manifests)
        for manifest in old.manifests if old else ():
            kind = GroupKind(manifest.group, manifest.kind)
            self._by_name.pop(kind, None)
            self._forget(manifest)
            held = self.kinds.get(kind, {})
            held.pop((path, manifest.index), None)
            if not held:
                self.kinds.pop(kind, None)
        self._add(new.manifests if new else ())

    def _add(self, manifests: tuple[Manifest, ...]) -> None:
        """Keep manifests by their kinds, which are few."""
        held: dict[tuple[str, str], dict[ManifestKey, Manifest]] = {}
        for kind in _kinds(manifests):
            self._by_name.pop(kind, None)
            held[kind] = self.kinds.setdefault(kind, {})
        for manifest in manifests:
            held[manifest.group, manifest.kind][manifest.path, manifest.index] = manifest

    def doubt(self) -> None:
        """History is another than before: what folders that cannot be read count as is looked up in it anew, and stands until then."""
        self.lost.update(dict.fromkeys(self._unreadable))

    def restore(self, folder: str, past: CommitChanges | None) -> Touched:
        """What history says of a folder that could not be read when we began with it (None: nothing; it is held as that)."""
        touched = Touched({folder: None})
        unknown = self._unknown
        if self.lost.pop(folder, "no longer lost") is not None:
            return touched
        self._unsettle(folder)
        if past is None:
            self.settled[folder] = Settled({}, None)
            touched.known = self._unknown < unknown
            return touched
        files = {change.path: change.file for change in past.changes if change.file is not None}
        self.settled[folder] = Settled(files, past.commit)
        for path in self._unreadable.get(folder, ()):
            file = files.get(path)
            held = self._last.get(path)
            if file is not None and held is not file:
                self._last[path] = file
                self._index(path, held, file, touched)
        touched.known = self._unknown < unknown
        return touched


def _kinds(manifests: Iterable[Manifest]) -> list[GroupKind]:
    """The kinds of manifests, each once."""
    return [GroupKind(*kind) for kind in dict.fromkeys(map(_KIND_OF, manifests))]
