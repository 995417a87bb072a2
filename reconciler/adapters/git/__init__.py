"""Git: one effect of the engine, one request to a repository, one answer.

Law of the package: nothing here decides. No retry, no interval, no back-off: a failure is an answer, in one sentence for
people. A repository on a server has a bare clone of its own in the cache directory (`cache.py`); one on this machine is read
where it lies and written to only by `push`. Content comes straight from objects; there is never a checkout, and no hook, filter
or helper is run.

    transport.py   addresses, credentials, TLS and time limits; what a failure means
    cache.py       the clone on disk: private, locked, thrown away when broken
    trees.py       two trees by their ids: which paths differ; ignoring.py: which are left out
    refs.py        listings; what people mean by a name
    history.py     first-parent steps; the earlier version of a folder
    reading.py     blobs, each once, within limits
    parsed.py      what was made of them, kept for the next start
    push.py        a commit without a work tree, compare and swap
    worktree.py    a folder of files as if it were a commit; names of revisions
    watch.py       when a local repository's refs change

A `Repository` belongs to one thread (libgit2 promises nothing else): the shell calls it from one worker thread a source. Fetch and
push release the GIL; tree walks hold it for milliseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag

from reconciler.core.identity import CommitId, SourceName
from reconciler.core.messages import (
    Commit,
    CommitChanges,
    Fetch,
    Fetched,
    FilesRead,
    FindTrailer,
    GitFailure,
    ListRefs,
    PastRead,
    Push,
    Pushed,
    ReadFiles,
    ReadPast,
    RefsListed,
    TrailerFound,
)

from . import history, push, refs
from .cache import Cache
from .counts import Counts
from .ignoring import IgnoreFiles
from .parsed import Kept, Parsed, laid_over
from .reading import NOTHING, Damaged, Parse, Reader, no_one, raw_files, sound
from .transport import (
    Basic,
    Bearer,
    Callbacks,
    Credentials,
    GitTrouble,
    Local,
    Remote,
    address,
    clean,
    failure,
    prepare,
    prepare_once,
)
from .trees import subtree
from .watch import changes
from .worktree import working_tree

__all__ = ["Basic", "Bearer", "Counts", "Credentials", "Parse", "Repository", "address", "changes", "prepare", "working_tree"]

NO_COMMIT = CommitId("")
LOOK_BACK_STEPS = 1_000  # in search of what changed a file last
AUTHOR = ("reconciler", "reconciler@localhost")


class Repository:
    """One source's repository. Every method blocks, and answers; none raises (but what `parse` raises).

    `path` is the source's folder in the repository. `credentials` may be set anew between calls (a rotated token). `author` is the
    name and e-mail address of our own commits. `parser` names the parser that `fetch` is given, in all that its answers depend on:
    what it made of each file is then kept for the next life; "" keeps nothing.
    """

    def __init__(
        self,
        name: SourceName,
        url: str,
        cache_dir: Path,
        path: str = "",
        credentials: Credentials | None = None,
        *,
        author: tuple[str, str] = AUTHOR,
        parser: str = "",
    ) -> None:
        prepare_once()
        self.name = name
        self.credentials = credentials
        self.counts = Counts()
        self._url = url
        self._path = path.strip("/")
        self._author = author
        self._parser = parser
        self._parsed: Parsed | None = None
        self._cancelled = threading.Event()
        self._cache = Cache(name, cache_dir)
        self._local: pygit2.Repository | None = None
        self._ignores = IgnoreFiles(self.counts)
        self._followed: dict[str, None] = {}
        self._suspect: CommitId | None = None
        self._unreadable: CommitId | None = None

    # -- effects ---------------------------------------------------------------------------------------------------------------

    def list_refs(self, effect: ListRefs) -> RefsListed:
        """The refs of the repository, tags peeled: one request, or none for a local one."""
        try:
            self.counts.listings += 1
            match self._address():
                case Local():
                    return RefsListed(effect.id, refs.of_local(self._open()))
                case remote:
                    return RefsListed(effect.id, refs.of_remote(self._open(), remote, self._callbacks(remote), self.credentials))
        except (GitTrouble, Damaged) as error:
            return RefsListed(effect.id, self._failed(error))

    def fetch(self, effect: Fetch, parse: Parse) -> Fetched:
        """Bring a commit here and say what it changed. A commit that is here already costs no request."""
        self._followed[effect.ref] = None
        try:
            repository = self._bring(effect.tip, effect.ref)
            with sound():
                tip = history.commit_of(repository, effect.tip)
                since = history.commit_of(repository, effect.since) if effect.since is not None else None
            if tip is None:
                raise GitTrouble(f"{effect.ref} does not hold commit {effect.tip[:12]} any more; it has moved")
            if effect.since is not None and since is None:
                raise GitTrouble(f"commit {effect.since[:12]}, which was read before, is in the repository no more")
            history_ = self._history(repository)
            rewritten = rewound = False
            answer: tuple[CommitChanges, ...]
            if since is None:
                answer = self._read_whole(repository, history_, tip, parse)
            else:
                steps, rewritten = history_.steps(since, tip, effect.history_limit)
                rewound = rewritten and history_.went_back(since, tip)
                answer = self._read(repository, steps, parse)
            self._suspect = None
            self._tidy()
            return Fetched(effect.id, answer, rewritten, rewound)
        except (GitTrouble, Damaged) as error:
            return Fetched(effect.id, self._failed(error, effect.tip))

    def read_past(self, effect: ReadPast, parse: Parse) -> PastRead:
        """The nearest earlier version of a folder, from what is here: no request."""
        try:
            repository = self._open()
            with sound():
                before = history.commit_of(repository, effect.before)
            if before is None:
                raise GitTrouble(f"commit {effect.before[:12]} is not here")
            found = self._history(repository).earlier(before, effect.path)
            if found is None:
                return PastRead(effect.id, None)
            reader = Reader(repository, parse, self.counts)
            return PastRead(effect.id, CommitChanges(found[0], tuple(map(reader.change, found[1]))))
        except (GitTrouble, Damaged) as error:
            return PastRead(effect.id, self._failed(error, effect.before))

    def read_files(self, effect: ReadFiles) -> FilesRead:
        """The bytes of all files below a folder, by path from the repository's top."""
        try:
            repository = self._bring(effect.commit, effect.ref)
            prefix = effect.prefix.strip("/")
            with sound():
                commit = history.commit_of(repository, effect.commit)
                if commit is None:
                    raise GitTrouble(f"{effect.ref} does not hold commit {effect.commit[:12]} any more; it has moved")
                tree = subtree(commit.tree, prefix)
                found = raw_files(repository, tree, f"{prefix}/" if prefix else "", self.counts) if tree is not None else {}
            self._tidy()
            return FilesRead(effect.id, found)
        except (GitTrouble, Damaged) as error:
            return FilesRead(effect.id, self._failed(error, effect.commit))

    def find_trailer(self, effect: FindTrailer) -> TrailerFound:
        """The commit that says a line, among what came to a branch since another commit; no request where the tip is here."""
        try:
            repository = self._bring(effect.tip, effect.ref)
            with sound():
                tip, since = history.commit_of(repository, effect.tip), history.commit_of(repository, effect.since)
            if tip is None:
                raise GitTrouble(f"{effect.ref} does not hold commit {effect.tip[:12]} any more; it has moved")
            return TrailerFound(effect.id, history.trailing(repository, tip, since, effect.trailer, effect.history_limit))
        except (GitTrouble, Damaged) as error:
            return TrailerFound(effect.id, self._failed(error, effect.tip))

    def push(self, effect: Push) -> Pushed:
        """Put one commit on a branch, only if the branch is where the engine saw it.

        One request; one more before it where the base is not here (the cache was lost).
        """
        why = self._forbidden(effect)
        if why:
            return Pushed(effect.id, "refused", message=why)
        try:
            target = self._address()
            repository = self._open() if effect.base is None else self._bring(effect.base, effect.ref, *self._followed)
            if effect.base is not None and history.commit_of(repository, effect.base) is None:
                return Pushed(effect.id, "stale", message=f"commit {effect.base[:12]} is not on the branch")
            with sound():
                commit = push.built(repository, effect, self._author)
            if commit == effect.base:
                return Pushed(effect.id, "pushed", commit)
            self.counts.pushes += 1
            if isinstance(target, Local):
                return push.to_local(repository, effect, commit)
            calls = push.Negotiation(target, self.credentials, self._cancelled, effect.expected)
            return push.to_remote(repository, effect, commit, calls)
        except (GitTrouble, Damaged) as error:
            found = self._failed(error, effect.base or NO_COMMIT)
            return Pushed(effect.id, "refused" if found.permanent else "unreachable", message=found.message)

    # -- for the shell and the commands ----------------------------------------------------------------------------------------

    def resolve(self, revision: str) -> CommitId | None:
        """The commit that a person means by `revision`: a ref, a branch, a tag, or an id (shortened to no less than 7 digits)."""
        try:
            return refs.resolve(self._open(), revision)
        except (GitTrouble, Damaged):
            return None

    def last_changed(self, tip: CommitId, paths: Iterable[str]) -> dict[str, Commit]:
        """By which step each file of the source's folder was changed last, from what is here; nothing of what cannot be found out."""
        prefix = f"{self._path}/" if self._path else ""
        try:
            repository = self._open()
            with sound():
                commit = history.commit_of(repository, tip)
            whole = [prefix + path for path in paths] if commit is not None else []
            found = history.last_changed(repository, commit, whole, LOOK_BACK_STEPS) if commit is not None else {}
            return {path.removeprefix(prefix): step for path, step in found.items()}
        except (GitTrouble, Damaged):
            return {}

    def cancel(self) -> None:
        """Stop a fetch that is under way in another thread; nothing further is fetched. The only method for other threads."""
        self._cancelled.set()

    def close(self) -> None:
        """Give up the cache's slot."""
        self._local = None
        self._parsed = None
        self._cache.close()

    # -- parts -----------------------------------------------------------------------------------------------------------------

    def _address(self) -> Remote | Local:
        found = address(self._url, self.credentials)
        if isinstance(found, GitFailure):
            raise GitTrouble(f"source {self.name}: {found.message}", permanent=True)
        return found

    def _read(self, repository: pygit2.Repository, steps: list[history.Step], parse: Parse) -> tuple[CommitChanges, ...]:
        """Steps with their files, which are kept for the next life."""
        store = self._store()
        reader = Reader(repository, parse, self.counts, NOTHING, store.keep if store else no_one)
        answer = tuple(CommitChanges(commit, tuple(map(reader.change, found))) for commit, found in steps)
        if store is not None:
            store.flush()
        return answer

    def _read_whole(
        self, repository: pygit2.Repository, history_: history.History, tip: pygit2.Commit, parse: Parse
    ) -> tuple[CommitChanges]:
        """All files of a commit. What was parsed in an earlier life is not parsed again, and what has not changed not looked at."""
        store = self._store()
        kept = store.read() if store else Kept()
        tree, commit, found, marked = history_.whole(tip, kept.tree)
        known = kept.others if marked else kept.all_parsed()
        reader = Reader(repository, parse, self.counts, known, store.keep if store else no_one)
        changes = [reader.change(difference) for difference in found]
        unparsed = reader.unparsed
        if marked:
            unparsed |= kept.unparsed
            changes = laid_over(kept.files, changes)
        if store is not None:
            store.tidy(tree, changes, unparsed, marked=marked)
        return (CommitChanges(commit, tuple(changes)),)

    def _store(self) -> Parsed | None:
        """What is kept of parsed files; None where nothing is to be kept, or there is no place for it."""
        if self._parsed is None and self._parser:
            try:
                self._parsed = Parsed(self._cache.slot().with_suffix(".parsed"), self._parser)
            except (GitTrouble, OSError):
                self._parser = ""
        return self._parsed

    def _history(self, repository: pygit2.Repository) -> history.History:
        return history.History(repository, self._path, self._ignores)

    def _callbacks(self, remote: Remote) -> Callbacks:
        return Callbacks(remote, self.credentials, self._cancelled)

    def _open(self) -> pygit2.Repository:
        target = self._address()
        if isinstance(target, Remote):
            return self._cache.open()
        if self._local is None:
            try:
                self._local = pygit2.Repository(str(target.path), RepositoryOpenFlag.NO_SEARCH)
                self._local.set_ident(*self._author)  # for reflogs
            except (pygit2.GitError, KeyError, ValueError, OSError) as error:
                why = f"there is no readable repository at {target.path}: {clean(str(error))}"
                raise GitTrouble(why, permanent=True) from error
        return self._local

    def _bring(self, commit: CommitId, *names: str) -> pygit2.Repository:
        """See that `commit` is here, with one fetch of the refs `names` if it is not. Whether it then is, the caller looks."""
        if not refs.COMMIT_ID.fullmatch(commit):
            raise GitTrouble(f"{clean(commit)!r} is no full commit id", permanent=True)
        if commit == self._unreadable:
            raise GitTrouble(f"commit {commit[:12]} cannot be read: it is malformed")
        repository = self._open()
        target = self._address()
        with sound():
            if isinstance(target, Local) or history.commit_of(repository, commit) is not None:
                return repository
        specs = [refs.refspec(name) for name in dict.fromkeys(names)]
        self.counts.fetches += 1
        try:
            repository.remotes.create_anonymous(target.url).fetch(specs, callbacks=self._callbacks(target))
        except (pygit2.GitError, GitTrouble, KeyError, ValueError, OSError) as error:
            self._cache.forget()  # the fault may be here as well as there
            found = failure(error, target, self.credentials)
            raise GitTrouble(found.message, permanent=found.permanent) from error
        return repository

    def _tidy(self) -> None:
        if isinstance(self._address(), Remote):
            try:
                with sound():
                    self._cache.tidy()
            except Damaged:  # a full disk, perhaps; what was asked for has been read
                self._cache.forget()

    def _forbidden(self, effect: Push) -> str:
        """Why a push may not even be tried; "" where it may."""
        if not effect.ref.startswith("refs/heads/") or not refs.well_formed(effect.ref):
            return f"{clean(effect.ref)!r} is no branch"
        if effect.force and effect.ref in self._followed:
            return f"{effect.ref} is followed as a source and is never forced"
        if not effect.force and effect.expected is not None and effect.base != effect.expected:
            return f"a commit that does not follow {effect.expected[:12]} needs force"
        return ""

    def _failed(self, error: GitTrouble | Damaged, commit: CommitId = NO_COMMIT) -> GitFailure:
        """A failure as an answer. A damaged cache is removed: the next fetch makes it anew, but not time and again for one commit."""
        if isinstance(error, GitTrouble):
            return error.failure
        if isinstance(address(self._url), Local):
            return GitFailure(f"the repository of source {self.name} is damaged: {clean(str(error))}")
        self._cache.remove()
        if commit == self._suspect:  # in a clone that was made anew: the fault is in the repository
            self._unreadable = commit
            return GitFailure(f"commit {commit[:12]} cannot be read: {clean(str(error))}")
        self._suspect = commit
        return GitFailure(f"the cache of source {self.name} was damaged and is made anew: {clean(str(error))}")
