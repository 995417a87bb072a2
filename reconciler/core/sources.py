"""One Git repository as the engine follows it: when to ask, what to fetch, how long to wait after a failure.

Law of the module: an idle poll is one listing of refs; what did not move is not fetched. A source that cannot be read stays what it
last was (never empty), and a commit that arrives while another is fetched waits for it: bursts fold into one fetch.
"""

from __future__ import annotations

from collections.abc import Callable

from .desired import Desired, Touched
from .identity import CommitId
from .messages import Fetch, Fetched, GitFailure, ListRefs, PastRead, ReadPast, RefsListed
from .settings import SourceSettings
from .wire import Wire

BACK_OFF_BASE_SECONDS = 2.0
BACK_OFF_CAP_SECONDS = 600.0
HINT_SECONDS = 0.05
"""A hint polls after so long: a push touches several refs, and webhooks come in bursts."""
HINT_SPACING_SECONDS = 1.0
"""Hints poll at most so often: they come from outside, and can at most hasten what is due anyway."""
REWIND_POLLS = 2
"""A branch that went back, to an ancestor of what was read or to a tip that was read before, is followed if it still stands there after
so many polls: a mirror that lags, or a replica behind a load balancer, shows the same for a moment (I08)."""
LEFT_LIMIT = 100
"""Tips that were read, and left, and are remembered."""
PAST_LIMIT = 20
"""How many earlier versions of a folder are tried to find one that can be read."""


class Source:
    """The state of one source.

    `on_commit(touched)` hears of folded history, `on_refs(news)` of every listing, and whether its state is another than before.
    """

    def __init__(
        self,
        settings: SourceSettings,
        wire: Wire,
        on_commit: Callable[[Source, Touched], None],
        on_refs: Callable[[Source, bool], None],
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.wire = wire
        self.desired = Desired(settings.name)
        self.refs: dict[str, CommitId] | None = None
        self.problem = ""
        self.rewritten_from: CommitId | None = None
        self._on_commit = on_commit
        self._on_refs = on_refs
        self._failures = 0
        self._anew = False  # fetch everything, not what changed
        self._busy = False
        self._hinted = False
        self._listed_at = float("-inf")
        self._left: dict[CommitId, None] = {}
        self._behind: Callable[[], None] | None = None  # who waits to hear that what is known counts again
        self._look_again = False  # the look that is under way began too early
        self._rewound: tuple[CommitId, float] | None = None  # where the branch went back to, and when that will be believed

    @property
    def loaded(self) -> bool:
        """Whether a commit has been read in full, and nobody who led since may have read more (`refresh`)."""
        return self.desired.commit is not None and self._behind is None

    @property
    def current(self) -> bool:
        """Whether what was read is what the last listing named, and nothing is under way, nor a look back for a broken folder."""
        return self.loaded and not self._busy and not self.problem and not self.desired.lost

    def start(self) -> None:
        """Begin to follow."""
        self._poll()

    def hint(self) -> None:
        """Something may have changed: poll soon. One commit for good never does."""
        if self.settings.commit is not None and self.loaded:
            return
        if self._busy:
            self._hinted = True
            return
        due = max(self.wire.now.steady + HINT_SECONDS, self._listed_at + HINT_SPACING_SECONDS)
        self.wire.at(("poll", self.name), due, self._poll)

    def refresh(self, then: Callable[[], None]) -> None:
        """What is known counts for nothing until a look that begins now has told of more, or of nothing new: then `then` is called.

        A look that fails tells nothing; what another has applied meanwhile would be undone by what we knew before.
        """
        if self.settings.commit is not None:
            return
        self._behind = then
        if self._busy:
            self._look_again = True
        elif self.wire.has_timer(("poll", self.name)):
            self._look_now()

    def _look_now(self) -> None:
        self._look_again = False
        self.wire.cancel(("poll", self.name))
        self._poll()

    def _looked(self) -> None:
        """A look has told how it stands."""
        if self._look_again:
            self._look_now()
        elif self._behind is not None:
            then, self._behind = self._behind, None
            then()

    def _poll(self) -> None:
        if self.settings.commit is not None:
            self._busy = True
            self._fetch(self.settings.commit)
            return
        self._busy = True
        self._listed_at = self.wire.now.steady
        self.wire.git(ListRefs, self._listed, self.name)

    def _listed(self, message: RefsListed) -> None:
        if isinstance(message.refs, GitFailure):
            self._failed(message.refs)
            return
        self.refs = message.refs
        tip = message.refs.get(self.settings.ref)
        self._on_refs(self, False)
        if self._rewound is not None and tip != self._rewound[0]:
            self._rewound, self.problem = None, ""
            self._on_refs(self, True)
        if tip is None:
            self._failed(GitFailure(f"{self.settings.ref} is not in the repository"))
        elif self.desired.commit is not None and tip == self.desired.commit.id:
            self._settle()
        elif self._rewound is not None and self.wire.now.steady < self._rewound[1]:
            self._wait_for_rewind()
        else:
            self._fetch(tip)

    def _fetch(self, tip: CommitId) -> None:
        since = self.desired.commit.id if self.desired.commit and not self._anew else None
        self.wire.git(Fetch, self._fetched, self.name, ref=self.settings.ref, tip=tip, since=since)

    def _fetched(self, message: Fetched) -> None:
        if isinstance(message.steps, GitFailure):
            # Perhaps what we hold is in the repository no more (history rewritten, clone lost): next time all is read.
            self._anew = self.desired.commit is not None and not self._anew
            self._failed(message.steps)
            return
        before, steps, rewritten = self.desired.commit, message.steps, message.rewritten
        tip = steps[-1].commit.id
        if before is not None and self._rewound is None and (message.rewound or (rewritten and tip in self._left)):
            self._doubt(before.id, tip)
            return
        self._rewound = None
        if before is not None:
            self._left[before.id] = None
            if len(self._left) > LEFT_LIMIT:
                del self._left[next(iter(self._left))]
        if self._anew:
            self._anew = False
            steps, rewritten = (self.desired.whole(steps[-1]),), True
        if rewritten and before is not None:
            self.rewritten_from = before.id
            self.wire.log("warning", "history was rewritten", source=self.name, was=before.id, now=steps[-1].commit.id)
        touched = Touched()
        for step in steps:
            part = self.desired.fold(step)
            touched.folders.update(part.folders)
            touched.kinds.update(part.kinds)
            touched.manifests += part.manifests
            touched.known |= part.known
        if rewritten:
            self.desired.doubt()
        if self.desired.commit is not None:
            commit = self.desired.commit
            self.wire.log("info", "commit read", source=self.name, commit=commit.id, subject=commit.subject)
        self._settle()
        for folder in self.desired.lost:
            self._look_back(folder, PAST_LIMIT)
        self._on_commit(self, touched)

    def _doubt(self, was: CommitId, now: CommitId) -> None:
        seconds = REWIND_POLLS * self.settings.poll_seconds
        self._rewound = (now, self.wire.now.steady + seconds)
        self.problem = f"{self.settings.ref} went back from {was[:7]} to {now[:7]}; followed in {seconds:g} s if it stays there"
        self.wire.log("warning", "the branch went back", source=self.name, was=was, now=now, followed_after_seconds=seconds)
        self._wait_for_rewind()
        self._on_refs(self, True)

    def _wait_for_rewind(self) -> None:
        """Poll as usual, and once when the time is up. Until then a look has not told how it stands: what is known is not the tip."""
        assert self._rewound is not None
        self._busy = self._hinted = False
        due = min(self.wire.now.steady + self.wire.jitter.spread(self.settings.poll_seconds), self._rewound[1])
        self.wire.at(("poll", self.name), due, self._poll)
        if self._look_again:
            self._look_now()

    def _settle(self) -> None:
        """All that was asked has been answered: rest until the next poll."""
        self._busy = False
        if self._failures:
            self.wire.log("info", "source reachable", source=self.name)
            self._on_refs(self, True)
        self._failures = 0
        self.problem = ""
        if self._hinted:
            self._hinted = False
            self.hint()
        elif self.settings.commit is None:
            self.wire.after(("poll", self.name), self.wire.jitter.spread(self.settings.poll_seconds), self._poll)
        self._looked()

    def _failed(self, failure: GitFailure) -> None:
        self._busy = False
        self._hinted = False
        self._failures += 1
        news = failure.message != self.problem
        if news:
            self.wire.log("error", "source cannot be read", source=self.name, reason=failure.message)
        self.problem = failure.message
        base = max(BACK_OFF_BASE_SECONDS, min(self.settings.poll_seconds, 30.0) if failure.permanent else 0.0)
        seconds = self.wire.jitter.back_off(self._failures, base, BACK_OFF_CAP_SECONDS)
        self.wire.after(("poll", self.name), seconds, self._poll)
        self._on_refs(self, news)
        if self._look_again:
            self._look_now()

    # -- folders that could not be read when we started ----------

    def _look_back(self, folder: str, tries: int, before: CommitId | None = None) -> None:
        assert self.desired.commit is not None
        self.wire.git(
            ReadPast,
            lambda message: self._looked_back(folder, tries, message),
            self.name,
            path=folder,
            before=before or self.desired.commit.id,
        )

    def _looked_back(self, folder: str, tries: int, message: PastRead) -> None:
        found = message.found
        if folder not in self.desired.lost:
            return  # mended meanwhile
        if isinstance(found, GitFailure):
            self.wire.after(("past", self.name, folder), BACK_OFF_BASE_SECONDS, lambda: self._look_back(folder, tries))
        elif found is not None and any(change.file and not change.file.readable for change in found.changes) and tries > 1:
            self._look_back(folder, tries - 1, found.commit.id)
        else:
            readable = found is not None and all(change.file and change.file.readable for change in found.changes)
            self._on_commit(self, self.desired.restore(folder, found if readable else None))
