"""What Git says should exist, read without the engine: what checks compare with.

Law of the module: independent and slow on purpose. Nothing is shared with the engine but the parser of one file. The branch that is
followed is read tip by tip, commit by commit along first parents, in the order in which people moved it; a folder of which a file
cannot be read stands as it last could be read whole (design, law 7).

Only plain manifests are read; what the roots of other kinds want is for their own checks, to which `known` hands the manifests.
"""

from __future__ import annotations

import base64
import posixpath
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reconciler.core.identity import CommitId, ObjectId
from reconciler.core.manifest import Manifest
from reconciler.core.wanted import RECREATE

from .git import Repo
from .pristine import DEFINITION, Pristine

Json = dict[str, Any]
Key = tuple[str, ObjectId]  # cluster, object; a namespace that is not named is "default", also of what has none


class Want(NamedTuple):
    """One object that should exist. `clashes` where several manifests ask for it."""

    unit: str
    body: Json
    clashes: bool = False

    @property
    def may_recreate(self) -> bool:
        """Whether it may be deleted to be created anew."""
        return RECREATE in (self.body["metadata"].get("annotations") or {})


class Version(NamedTuple):
    """What is wanted of one object from tip number `since` on; None: that it is not there."""

    since: int
    want: Want | None


class Known(NamedTuple):
    """Roots and references at one tip, those of a file that cannot be read as they last could; and the files that cannot."""

    manifests: tuple[Manifest, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(slots=True)
class _Folder:
    files: dict[str, bytes]
    held: tuple[Manifest, ...] = ()


@dataclass
class Truth:
    """What one source says, at each tip that its branch ever had.

    `tips` are commits in order; `versions` say of each object when it was wanted, and how.
    """

    repo: Repo
    ref: str
    clusters: tuple[str, ...]
    default: str
    kinds: tuple[tuple[str, str], ...] = ()  # (group, kind) of roots and references: not plain
    pristine: Pristine | None = None  # asked what a server makes of manifests that are not our own
    tips: list[CommitId] = field(default_factory=list)
    versions: dict[Key, list[Version]] = field(default_factory=dict)
    approvals: list[list[Json]] = field(default_factory=list)  # by tip
    known: list[Known] = field(default_factory=list)  # by tip
    _folders: dict[str, _Folder] = field(default_factory=dict)
    _files: dict[str, tuple[Manifest, ...]] = field(default_factory=dict)
    _read: int = 0

    def update(self) -> None:
        """Read what people did since the last time."""
        for moved in self.repo.reflog[self._read :]:
            self._read += 1
            if moved.ref == self.ref and moved.commit is not None and (not self.tips or moved.commit != self.tips[-1]):
                self._tip(moved.commit)

    @property
    def last(self) -> int:
        """The number of the newest tip; -1 where there is none."""
        return len(self.tips) - 1

    def number(self, commit: CommitId) -> int:
        """The newest number of a tip; -1 for what never was one."""
        return max((n for n, tip in enumerate(self.tips) if tip == commit), default=-1)

    def want(self, key: Key, tip: int) -> Want | None:
        """What tip number `tip` wants of an object."""
        found = None
        for since, want in self.versions.get(key, ()):
            if since > tip:
                break
            found = want
        return found

    def wanted(self) -> dict[Key, Want]:
        """All that the newest tip wants."""
        return {key: versions[-1].want for key, versions in self.versions.items() if versions[-1].want is not None}

    # -- reading ----------

    def _tip(self, commit: CommitId) -> None:
        self.tips.append(commit)
        for step in self._steps(commit):
            self._fold(self.repo.commits[step][1], step)
        now: dict[Key, Want] = {}
        for folder in self._folders.values():
            self._define(folder.held)
        for path in sorted(self._folders):
            for manifest in self._folders[path].held:
                self._add(now, path, manifest)
        for key in dict.fromkeys([*self.versions, *now]):
            versions = self.versions.setdefault(key, [])
            before, after = versions[-1].want if versions else None, now.get(key)
            if before != after:
                versions.append(Version(self.last, after))
        manifests = [m for file in self.repo.manifests(commit).values() for m in file.manifests]
        self.approvals.append([m.body() for m in manifests if m.kind == "Approval"])
        self._know(commit)

    def _know(self, commit: CommitId) -> None:
        files = self.repo.manifests(commit)
        last = {path: file.manifests if file.readable else self._files.get(path, ()) for path, file in files.items()}
        self._files = last
        manifests = tuple(m for path in last for m in last[path] if (m.group, m.kind) in self.kinds)
        self.known.append(Known(manifests, tuple(path for path, file in files.items() if not file.readable)))

    def _steps(self, tip: CommitId) -> list[CommitId]:
        steps: list[CommitId] = []
        at: CommitId | None = tip
        before = self.tips[-2] if len(self.tips) > 1 else None
        while at is not None and at != before and at in self.repo.commits:
            steps.append(at)
            at = self.repo.commits[at][0].parent
        if at is None:
            self._folders = {}  # history was written anew: what could last be read is what it says now
        return steps[::-1]

    def _fold(self, tree: dict[str, bytes], commit: CommitId) -> None:
        folders: dict[str, dict[str, bytes]] = {}
        files = self.repo.manifests(commit)
        for path in files:
            folders.setdefault(posixpath.dirname(path) or ".", {})[path] = tree[path]
        for path in [path for path in self._folders if path not in folders]:
            del self._folders[path]
        for path, texts in folders.items():
            held = self._folders.get(path)
            if held is not None and held.files == texts:
                continue
            if all(files[name].readable for name in texts):
                self._folders[path] = _Folder(texts, tuple(m for name in sorted(texts) for m in files[name].manifests))
            else:
                self._folders[path] = _Folder(texts, held.held if held else ())

    def _add(self, now: dict[Key, Want], folder: str, manifest: Manifest) -> None:
        if (manifest.group, manifest.kind) in self.kinds or manifest.kind == "Approval":
            return
        parts = folder.split("/")
        if parts[0] == "hub":
            return
        cluster = parts[1] if parts[0] == "clusters" and len(parts) > 1 else self.default
        if cluster not in self.clusters:
            return
        body = _as_stored(manifest.body())
        if self.pristine is not None:
            body = self.pristine.stored(cluster, body)
        namespace = body["metadata"].get("namespace") or ""
        key = (cluster, plain_id(ObjectId(manifest.group, manifest.kind, namespace, manifest.name)))
        now[key] = Want(folder, body, clashes=key in now)

    def _define(self, manifests: tuple[Manifest, ...]) -> None:
        if self.pristine is not None:
            for manifest in manifests:
                if manifest.kind == DEFINITION:
                    self.pristine.define(manifest.body())


def _as_stored(body: Json) -> Json:
    """A Secret's plain texts, as the server keeps them."""
    if body["kind"] == "Secret" and "stringData" in body:
        texts = {key: base64.b64encode(text.encode()).decode() for key, text in body.pop("stringData").items()}
        body["data"] = {**(body.get("data") or {}), **texts}
    return body


def plain_id(id: ObjectId) -> ObjectId:
    """The identity under which truth knows an object."""
    return id._replace(namespace=id.namespace or "default")


def covers(live: Any, want: Any) -> bool:
    """Whether all that is wanted stands in what is there: maps may hold more; null and empty count as absent."""
    if isinstance(want, dict):
        if not isinstance(live, dict):
            return not want or all(_is_empty(value) for value in want.values())
        return all(covers(live.get(key), value) for key, value in want.items())
    if isinstance(want, list):
        return (isinstance(live, list) and len(live) == len(want) and all(covers(a, b) for a, b in zip(live, want, strict=True))) or (
            not want and not live
        )
    return bool(live == want) or (_is_empty(want) and _is_empty(live))


def _is_empty(value: Any) -> bool:
    return value is None or value in ({}, [], "")

