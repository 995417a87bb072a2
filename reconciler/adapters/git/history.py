"""First-parent history: the steps from one commit to another, and the version of a folder before the present one.

Law of the module: a branch is the line of its first parents, so what a merge brought is one step, dated by the merge. Where that
line does not lead from one commit to the other within the limit, the two trees are compared as one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import pygit2

from reconciler.core.identity import CommitId
from reconciler.core.messages import Commit

from .ignoring import IgnoreFiles
from .reading import Damaged, sound
from .transport import GitTrouble, clean
from .trees import Difference, Node, Walk, subtree

LOOK_BACK_LIMIT = 10_000  # commits in search of a folder's earlier version
CHANGES_LIMIT = 50_000  # over all steps; more are told as one step
SUBJECT_LIMIT = 200  # characters
LAST_SECOND = 253_402_300_799  # of the year 9999: a commit may claim any time, calendars end there

Step = tuple[Commit, list[Difference]]
"""A commit, and the paths at which it differs from the step before."""


def commit_of(repository: pygit2.Repository, commit: CommitId) -> pygit2.Commit | None:
    """The commit, if it is here (and is one)."""
    found = repository.get(pygit2.Oid(hex=commit))
    return found if isinstance(found, pygit2.Commit) else None


def described(commit: pygit2.Commit) -> Commit:
    """A commit as people are told of it; names and subject are foreign text."""
    parents = [CommitId(str(parent)) for parent in commit.parent_ids]
    message = commit.raw_message.decode("utf-8", "replace").strip()
    return Commit(
        id=CommitId(str(commit.id)),
        parent=parents[0] if parents else None,
        author=_text(commit.author.raw_name),
        author_email=_text(commit.author.raw_email),
        at=float(min(max(commit.commit_time, 0), LAST_SECOND)),
        subject=clean(message.partition("\n")[0])[:SUBJECT_LIMIT],
        merged=tuple(parents[1:]),
    )


def _text(raw: bytes) -> str:
    return clean(raw.decode("utf-8", "replace"))[:SUBJECT_LIMIT]


def line(repository: pygit2.Repository, tip: pygit2.Commit) -> Iterator[pygit2.Commit]:
    """The tip and its first parents, newest first. Ends where history does."""
    commit = tip
    while True:
        yield commit
        if not commit.parent_ids:
            return
        commit = repository[commit.parent_ids[0]]


def trailing(repository: pygit2.Repository, tip: pygit2.Commit, since: pygit2.Commit | None, trailer: str, limit: int) -> CommitId | None:
    """A commit with a line in its message, of those that `tip` has and `since` has not, whatever branch brought them.

    Raises:
        GitTrouble: there are more of them than may be looked at.
    """
    needle = trailer.encode()
    with sound():
        walk = repository.walk(tip.id)
        if since is not None:
            walk.hide(since.id)
        for number, commit in enumerate(walk):
            if number == limit:
                where = f"since {str(since.id)[:7]}" if since is not None else "in all"
                raise GitTrouble(f"more than {limit} commits {where}: nobody looked whether one says {clean(trailer)!r}", permanent=True)
            if needle in commit.raw_message and needle in map(bytes.strip, commit.raw_message.splitlines()):
                return CommitId(str(commit.id))
    return None


def last_changed(repository: pygit2.Repository, tip: pygit2.Commit, paths: Iterable[str], limit: int) -> dict[str, Commit]:
    """For each path the step that changed it last; one that is older than `limit` steps is left out."""
    open_, found = dict.fromkeys(paths), dict[str, Commit]()
    with sound():
        for number, commit in enumerate(line(repository, tip)):
            if not open_ or number == limit:
                break
            if commit.parent_ids:
                deltas = commit.tree.diff_to_tree(repository[commit.parent_ids[0]].tree).deltas
                here = [path for delta in deltas if (path := delta.old_file.path) in open_]
            else:
                here = list(open_)
            for path in here:
                if open_.pop(path, "gone") is None:
                    found[path] = described(commit)
    return found


class History:
    """The history of one source: a repository, and the source's folder `path` in it."""

    def __init__(self, repository: pygit2.Repository, path: str, ignores: IgnoreFiles) -> None:
        self._repository = repository
        self._path = path
        self._ignores = ignores

    def went_back(self, since: pygit2.Commit, tip: pygit2.Commit) -> bool:
        """Whether `tip` is an ancestor of `since`."""
        with sound():
            return bool(self._repository.descendant_of(since.id, tip.id))

    def steps(self, since: pygit2.Commit, tip: pygit2.Commit, limit: int) -> tuple[list[Step], bool]:
        """The steps from `since` to `tip`, oldest first, and whether history was rewritten between them.

        Raises:
            GitTrouble: the tip has no such folder: that it is empty is not known (design, law 12).
        """
        with sound():
            self._folder(tip)
            if since.id == tip.id:
                return [], False
            commits: list[pygit2.Commit] = []
            for commit in line(self._repository, tip):
                if commit.id == since.id:
                    return self._each(since, commits) or [self._step(since, tip)], False
                if len(commits) == limit:
                    break
                commits.append(commit)
            return [self._step(since, tip)], not self._repository.descendant_of(tip.id, since.id)

    def whole(self, tip: pygit2.Commit, base: str) -> tuple[str, Commit, list[Difference], bool]:
        """The tree of a commit, and what differs between the tree `base` and it: all of it, and False, where there is no such tree.

        Raises:
            GitTrouble: the tip has no such folder.
        """
        with sound():
            folder = self._folder(tip)
        tree, commit = str(folder.id), described(tip)
        if base:
            # What was read in an earlier life may be here in part only, or be so different that both are too large to go through.
            with suppress(GitTrouble, Damaged), sound():
                old = self._repository[pygit2.Oid(hex=base)]
                if isinstance(old, pygit2.Tree):
                    return tree, commit, list(Walk(self._repository, self._ignores).differences(old, folder)), True
        with sound():
            return tree, commit, list(Walk(self._repository, self._ignores).differences(None, folder)), False

    def earlier(self, before: pygit2.Commit, folder: str) -> Step | None:
        """The nearest first parent of `before` in which `folder` had other manifests of its own, and these.

        A commit in which the folder has none does not count: there is nothing in it that could be read.
        """
        with sound():
            present = self._own_files(before, folder)
            tree = before.tree_id
            for number, commit in enumerate(line(self._repository, before)):
                if number > LOOK_BACK_LIMIT:
                    return None
                if commit.tree_id == tree:
                    continue
                tree = commit.tree_id
                files = self._own_files(commit, folder)
                if files and files != present:
                    return described(commit), [Difference(name, None, node) for name, node in files.items()]
        return None

    def _each(self, since: pygit2.Commit, newest_first: list[pygit2.Commit]) -> list[Step]:
        """One step a commit; none where that is too much to tell."""
        found: list[Step] = []
        before, total = since, 0
        for commit in reversed(newest_first):
            found.append(self._step(before, commit))
            total += len(found[-1][1])
            if total > CHANGES_LIMIT:
                return []
            before = commit
        return found

    def _step(self, before: pygit2.Commit, commit: pygit2.Commit) -> Step:
        walk = Walk(self._repository, self._ignores)
        old, new = (subtree(one.tree, self._path) for one in (before, commit))
        return described(commit), list(walk.differences(old, new))

    def _folder(self, tip: pygit2.Commit) -> pygit2.Tree:
        found = subtree(tip.tree, self._path)
        if found is None:
            raise GitTrouble(f"commit {str(tip.id)[:12]} has no folder {self._path}")
        return found

    def _own_files(self, commit: pygit2.Commit, folder: str) -> dict[str, Node]:
        root = subtree(commit.tree, self._path)
        if root is None:
            return {}
        return Walk(self._repository, self._ignores).own_files(root, "" if folder in ("", ".") else folder + "/")
