"""Pushing: one commit, built without a work tree, put on a branch only if it is still where the engine saw it.

Law of the module: compare and swap, twice. Before anything is sent the advertised tip is compared with the expected one; between
advertisement and update the server's own comparison holds. What the server says about the ref is the outcome: libgit2's `push`
returns normally when a hook or a lost race refuses it.

In a local repository the objects are written and the ref is moved under its lock, unless it is checked out there.

Sources: gitprotocol-pack(5) "Reference Update Request" (old and new id) and "Report Status"; git-receive-pack(1).
"""

from __future__ import annotations

import re
import threading

import pygit2
from pygit2.enums import FileMode, ReferenceType

from reconciler.core.identity import CommitId
from reconciler.core.messages import Push, Pushed

from .transport import Callbacks, Credentials, GitTrouble, Remote, clean, failure

RACE_WORDS = re.compile(r"failed to update ref|cannot lock ref|incorrect old value|stale info|fetch first|non-fast-?forward", re.I)
"""How servers say that somebody else was faster: git, and forges that pass its words on."""
_PATH_LIMIT = 4096

Trees = dict[str, "bytes | Trees | None"]


class Moved(Exception):
    """The branch is not where the engine saw it."""

    def __init__(self, seen: str | None) -> None:
        super().__init__(f"the branch is at {seen[:12]}" if seen else "the branch does not exist")


def built(repository: pygit2.Repository, effect: Push, author: tuple[str, str]) -> CommitId:
    """Write the commit that `effect` describes; its base itself where nothing changes and nothing is to move.

    Raises:
        GitTrouble: a path that cannot be written.
        KeyError: the base is not here.
    """
    base = repository[effect.base] if effect.base is not None else None
    if base is not None and not isinstance(base, pygit2.Commit):
        raise GitTrouble(f"{effect.base} is no commit", permanent=True)
    tree = _tree(repository, base.tree if base is not None else None, _nested(effect.files)) or repository.TreeBuilder().write()
    if effect.base is not None and base is not None and tree == base.tree_id and effect.base == effect.expected:
        return effect.base
    signature = pygit2.Signature(*author, int(effect.at), 0, "utf-8")
    message = effect.message.replace("\0", "")
    parents = [base.id] if base is not None else []
    return CommitId(str(repository.create_commit(None, signature, signature, message, tree, parents)))


def _nested(files: dict[str, bytes | None]) -> Trees:
    """Paths as folders in folders.

    Raises:
        GitTrouble: a path that leads out, is empty, or is both a file and a folder.
    """
    top: Trees = {}
    for path, content in files.items():
        parts = path.split("/")
        bad = [part for part in parts if part.lower() in ("", ".", "..", ".git") or "\0" in part or "\\" in part]
        if bad or len(path) > _PATH_LIMIT:
            raise GitTrouble(f"{clean(path)!r} is no path that can be written", permanent=True)
        folder = top
        for part in parts[:-1]:
            below = folder.setdefault(part, {})
            if not isinstance(below, dict):
                raise GitTrouble(f"{clean(path)!r} lies in what is to be a file", permanent=True)
            folder = below
        if isinstance(folder.get(parts[-1]), dict):
            raise GitTrouble(f"{clean(path)!r} is to be a file and a folder", permanent=True)
        folder[parts[-1]] = content
    return top


def _tree(repository: pygit2.Repository, base: pygit2.Tree | None, changes: Trees) -> pygit2.Oid | None:
    """Lay `changes` over `base`; only folders that they touch are written. None for a folder that becomes empty."""
    builder = repository.TreeBuilder(base) if base is not None else repository.TreeBuilder()
    for name, change in changes.items():
        present = builder.get(name)
        if isinstance(change, dict):
            was = present if present is not None and present.filemode == FileMode.TREE else None
            below = _tree(repository, was, change)
            if below is not None:
                builder.insert(name, below, FileMode.TREE)
            elif was is not None:
                builder.remove(name)
        elif change is not None:
            mode = present.filemode if present is not None and present.filemode == FileMode.BLOB_EXECUTABLE else FileMode.BLOB
            builder.insert(name, repository.create_blob(change), mode)
        elif present is not None:
            builder.remove(name)
    return builder.write() if len(builder) else None


class Negotiation(Callbacks):
    """Looks at the advertised tip before anything is sent."""

    def __init__(self, remote: Remote, credentials: Credentials | None, cancelled: threading.Event, expected: CommitId | None) -> None:
        super().__init__(remote, credentials, cancelled)
        self._expected = expected

    def push_negotiation(self, updates: list[pygit2.remotes.PushUpdate]) -> None:
        """Go on only from where the engine saw the branch."""
        for update in updates:
            seen = None if not int(str(update.src), 16) else CommitId(str(update.src))
            if seen != self._expected:
                raise Moved(seen)


def to_remote(repository: pygit2.Repository, effect: Push, commit: CommitId, calls: Negotiation) -> Pushed:
    """Send `commit` to a server, and say what came of it."""
    # "+" leaves the comparison to us: libgit2's own needs the objects of whatever the branch has moved to.
    try:
        repository.remotes.create_anonymous(calls.remote.url).push([f"+{commit}:{effect.ref}"], callbacks=calls)
    except Moved as moved:
        return Pushed(effect.id, "stale", message=str(moved))
    except (pygit2.GitError, GitTrouble, ValueError, OSError) as error:
        found = failure(error, calls.remote, calls.held)
        return Pushed(effect.id, "refused" if found.permanent else "unreachable", message=found.message)
    reason = calls.update_refusals.get(effect.ref)
    if reason is None:
        return Pushed(effect.id, "pushed", commit)
    said = clean(f"{reason}: {calls.said}" if calls.said else reason, calls.held)
    if RACE_WORDS.search(reason):
        return Pushed(effect.id, "stale", message=said)
    return Pushed(effect.id, "refused", message=said)


def to_local(repository: pygit2.Repository, effect: Push, commit: CommitId) -> Pushed:
    """Move a branch of a local repository, under its lock."""
    if not repository.is_bare and effect.ref == _checked_out(repository):
        return Pushed(effect.id, "refused", message=f"{effect.ref} is checked out in {repository.workdir}; commit there by hand")
    try:
        with repository.transaction() as transaction:
            transaction.lock_ref(effect.ref)
            found = repository.references.get(effect.ref)
            seen = CommitId(str(found.target)) if found is not None else None
            if seen != effect.expected:
                raise Moved(seen)
            transaction.set_target(effect.ref, pygit2.Oid(hex=commit), message="push")
    except Moved as moved:
        return Pushed(effect.id, "stale", message=str(moved))
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        locked = isinstance(error, pygit2.GitError) and "lock" in str(error)  # somebody is moving it just now
        return Pushed(effect.id, "stale" if locked else "refused", message=clean(str(error)))
    return Pushed(effect.id, "pushed", commit)


def _checked_out(repository: pygit2.Repository) -> str:
    """The branch that a work tree shows, also before its first commit."""
    head = repository.references.get("HEAD")
    return str(head.target) if head is not None and head.type == ReferenceType.SYMBOLIC else ""
