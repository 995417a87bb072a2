"""Refs: listing them, and what people mean by a name.

Law of the module: refs are full names, compared whole. A name is checked before libgit2 sees it, and its revision language is never
spoken: it has not always ended.

Sources: git-check-ref-format(1), gitprotocol-pack(5) (peeled tags end in "^{}"), CVE-2024-24575 (a revision that never ends).
"""

from __future__ import annotations

import hashlib
import re

import pygit2

from reconciler.core.identity import CommitId

from .reading import sound
from .transport import Callbacks, Credentials, GitTrouble, Remote, clean, failure

COMMIT_ID = re.compile(r"[0-9a-f]{40}")
SHORT_ID = re.compile(r"[0-9a-f]{7,39}")
REF_LIMIT = 1024  # characters
REFS_LIMIT = 1_000_000
_PEELED = "^{}"
_NOTHING = "0" * 40  # what a server lists for a ref that it cannot read


def well_formed(ref: str) -> bool:
    """Whether `ref` is a full ref name that Git allows."""
    # Printable comes first: a name that is no UTF-8 cannot even be handed to libgit2.
    return len(ref) <= REF_LIMIT and ref.startswith("refs/") and ref.isprintable() and bool(pygit2.reference_is_valid_name(ref))


def refspec(ref: str) -> str:
    """What to fetch so that `ref` comes here, and nothing else.

    It is kept under a digest of its name: two refs that never stood together on the server ("a", then "a/b") then do not get in
    each other's way here, nor do names that differ in case alone on disks that see no difference.
    """
    if not well_formed(ref):
        raise GitTrouble(f"{clean(ref)!r} is no full name of a ref", permanent=True)
    return f"+{ref}:{_kept(ref)}"


def _kept(ref: str) -> str:
    return f"refs/sources/{hashlib.sha256(ref.encode()).hexdigest()[:32]}"


def of_remote(repository: pygit2.Repository, remote: Remote, calls: Callbacks, credentials: Credentials | None) -> dict[str, CommitId]:
    """What a server lists, each tag as the commit that it names."""
    try:
        heads = repository.remotes.create_anonymous(remote.url).list_heads(callbacks=calls)
    except (pygit2.GitError, GitTrouble, KeyError, ValueError, OSError) as error:
        found = failure(error, remote, credentials)
        raise GitTrouble(found.message, permanent=found.permanent) from error
    if len(heads) > REFS_LIMIT:
        raise GitTrouble(f"{remote.url} lists more than {REFS_LIMIT:,} refs")
    listed = {head.name.removesuffix(_PEELED): CommitId(str(head.oid)) for head in heads if head.name is not None}
    return {name: commit for name, commit in listed.items() if (name == "HEAD" or well_formed(name)) and commit != _NOTHING}


def of_local(repository: pygit2.Repository) -> dict[str, CommitId]:
    """The refs of a repository on this machine that name commits."""
    listed: dict[str, CommitId] = {}
    with sound():
        for name in ["HEAD", *filter(well_formed, repository.references)]:
            reference = repository.references.get(name)
            commit = _commit(reference) if reference is not None else None
            if commit is not None:
                listed[name] = commit
    return listed


def _commit(reference: pygit2.Reference) -> CommitId | None:
    """The commit that a ref names, tags peeled; None for one that names none (or nothing)."""
    try:
        return CommitId(str(reference.peel(pygit2.Commit).id))
    except (pygit2.GitError, KeyError, ValueError):
        return None


def resolve(repository: pygit2.Repository, revision: str) -> CommitId | None:
    """The commit that a person means: a full id, a ref as it stands, a branch, a tag, a remote's branch, a shortened id.

    Of a branch and a tag with one name, the branch.
    """
    with sound():
        if COMMIT_ID.fullmatch(revision):
            found = repository.get(pygit2.Oid(hex=revision))
            return _peeled(found)
        for name in ("HEAD",) if revision == "HEAD" else _candidates(revision):
            reference = repository.references.get(name)
            if reference is None and well_formed(name):
                reference = repository.references.get(_kept(name))
            commit = _commit(reference) if reference is not None else None
            if commit is not None:
                return commit
        if not SHORT_ID.fullmatch(revision):
            return None
        try:
            return _peeled(repository.get(repository.expand_id(revision)))
        except (pygit2.GitError, KeyError, ValueError):
            return None  # none such, or several


def _candidates(revision: str) -> tuple[str, ...]:
    names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}", f"refs/remotes/{revision}")
    return tuple(name for name in names if well_formed(name))


def _peeled(found: pygit2.Object | None) -> CommitId | None:
    """An object's commit: itself, or what an annotated tag names."""
    try:
        return CommitId(str(found.peel(pygit2.Commit).id)) if found is not None else None
    except (pygit2.GitError, KeyError, ValueError):
        return None
