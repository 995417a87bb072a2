"""What goes in and out of the engine: two closed unions of frozen values.

Law of the module: an effect is *one* request to the outside, and its answer is one input with the same `id` (a watch: its lines
until it closes). Adapters perform, they decide nothing: no retry, no paging, no back-off. A failure is an answer like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .identity import BlobId, ClusterName, CommitId, SourceName
from .manifest import ManifestFile

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


# -- Kubernetes ----------


@dataclass(frozen=True, slots=True)
class Request:
    """Effect: one HTTP request to one cluster's API server. Answered by `Answer`."""

    id: int
    cluster: ClusterName
    method: Method
    path: str  # "/api/v1/namespaces/shop/configmaps/a", already escaped
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""  # JSON
    content_type: str = ""  # "application/apply-patch+yaml", … ; "" without a body
    accept: str = "application/json"
    timeout_seconds: float = 30.0  # of a read from when its turn comes, of a write from when it was decided


@dataclass(frozen=True, slots=True)
class Answer:
    """Input: what the API server said, or why it could not be heard.

    `status` 0 means that no HTTP answer came (`error` says why); the request may or may not have had its effect.
    """

    id: int
    status: int
    body: bytes = b""
    error: str = ""
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Effect: a streaming GET. Answered by any number of `WatchLines` and, whatever happens, one `WatchClosed`."""

    id: int
    cluster: ClusterName
    path: str
    query: tuple[tuple[str, str], ...]
    idle_timeout_seconds: float  # no byte for so long: close it


@dataclass(frozen=True, slots=True)
class CloseWatch:
    """Effect: stop the watch `id`; its `WatchClosed` still comes."""

    id: int


@dataclass(frozen=True, slots=True)
class WatchLines:
    """Input: events of a watch, one JSON document each, in the order in which they came."""

    id: int
    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WatchClosed:
    """Input: the watch has ended. `status` is that of the HTTP answer, 0 where none came; `error` "" for a clean end."""

    id: int
    status: int
    error: str = ""


# -- Git ----------


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit, as far as people are told of it."""

    id: CommitId
    parent: CommitId | None  # the first one
    author: str  # name only
    author_email: str
    at: float  # committer time, seconds since the epoch
    subject: str  # first line
    merged: tuple[CommitId, ...] = ()  # the other parents


class FileChange(NamedTuple):
    """One path that a commit changed. `file` is None where the path is gone."""

    path: str  # relative to the source's sub-path, "/"-separated
    blob: BlobId | None
    file: ManifestFile | None


@dataclass(frozen=True, slots=True)
class CommitChanges:
    """One step of first-parent history and what it changed below the source's sub-path."""

    commit: Commit
    changes: tuple[FileChange, ...]


@dataclass(frozen=True, slots=True)
class GitFailure:
    """Why Git did not answer, in the words for people; `permanent` where nobody but an operator can mend it."""

    message: str
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class ListRefs:
    """Effect: one listing of the refs of a source's repository. Answered by `RefsListed`."""

    id: int
    source: SourceName


@dataclass(frozen=True, slots=True)
class RefsListed:
    """Input: full ref names ("refs/heads/main") and the commits that they name (tags peeled)."""

    id: int
    refs: dict[str, CommitId] | GitFailure


@dataclass(frozen=True, slots=True)
class Fetch:
    """Effect: bring commit `tip` of `ref` here and say what changed since `since` (None: everything, as one step).

    History is followed along first parents, at most `history_limit` steps, oldest first; where `since` is not an ancestor (a
    force-push) or lies farther back, the answer is one step from the one tree to the other. Only blobs whose path is not
    ignored and ends in .yaml, .yml or .json are read and parsed, each once. Answered by `Fetched`.
    """

    id: int
    source: SourceName
    ref: str
    tip: CommitId
    since: CommitId | None
    history_limit: int = 100


@dataclass(frozen=True, slots=True)
class Fetched:
    """Input: the steps, oldest first, ending at the tip that was asked for.

    `rewritten` where `since` is no ancestor of it; `rewound` where it even is one of `since`: the branch went back.
    """

    id: int
    steps: tuple[CommitChanges, ...] | GitFailure
    rewritten: bool = False
    rewound: bool = False


@dataclass(frozen=True, slots=True)
class ReadPast:
    """Effect: the nearest earlier first-parent commit before `before` in which folder `path` had another tree, and its files."""

    id: int
    source: SourceName
    path: str  # folder, "." for the top; only its own files count, not those of folders in it
    before: CommitId


@dataclass(frozen=True, slots=True)
class PastRead:
    """Input: that commit with all of the folder's files as changes, or None where history ends (or a limit was reached)."""

    id: int
    found: CommitChanges | GitFailure | None


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """Effect: the bytes of all files of commit `commit` of ref `ref` below `prefix` (the status branch at start)."""

    id: int
    source: SourceName
    ref: str
    commit: CommitId
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class FilesRead:
    """Input: path → bytes."""

    id: int
    files: dict[str, bytes] | GitFailure


@dataclass(frozen=True, slots=True)
class FindTrailer:
    """Effect: the commit whose message has the line `trailer`, among all that `tip` has and `since` has not, merged branches too.

    Where `since` is in the repository no more, all that `tip` has is looked at. Answered by `TrailerFound`.
    """

    id: int
    source: SourceName
    ref: str
    tip: CommitId
    since: CommitId
    trailer: str  # "Key: value", as it stands on a line of its own
    history_limit: int = 1_000  # commits; beyond them the answer is a failure, never None


@dataclass(frozen=True, slots=True)
class TrailerFound:
    """Input: that commit (of several any one), or None where there certainly is none."""

    id: int
    commit: CommitId | GitFailure | None


@dataclass(frozen=True, slots=True)
class Push:
    """Effect: put one commit on a branch, only if the remote branch is still at `expected` (None: does not exist).

    The tree is that of `base` (None: empty) with `files` laid over it (None removes), the only parent is `base`; paths are
    relative to the repository's top. Where tree and base are equal and `base` is `expected`, nothing is pushed. Answered by `Pushed`.
    """

    id: int
    source: SourceName
    ref: str  # "refs/heads/…"
    expected: CommitId | None
    base: CommitId | None
    files: dict[str, bytes | None]
    message: str
    at: float  # author and committer time, seconds since the epoch
    force: bool = False  # a branch of our own that starts anew from another base


@dataclass(frozen=True, slots=True)
class Pushed:
    """Input: what came of a push.

    "pushed": `commit` is the new tip. "stale": the branch moved. "refused": a hook or a right says no (`message`).
    "unreachable": nobody knows; read the ref again before the next try.
    """

    id: int
    outcome: Literal["pushed", "stale", "refused", "unreachable"]
    commit: CommitId | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class SourceHint:
    """Input: a source may have changed (a webhook, a local repository seen by watchfiles): poll it soon."""

    source: SourceName


# -- Helm ----------


@dataclass(frozen=True, slots=True)
class Chart:
    """A Helm chart, and all that its objects depend on: what is equal comes to the same objects."""

    repo: str  # URL of a chart repository; "" where `name` is the chart's own address
    name: str  # in that repository; or oci://…, or https://….tgz
    version: str  # "" or a range: the newest that fits
    release: str
    namespace: str
    values: bytes = field(repr=False)  # JSON
    secret: bool = False  # the values hold a Secret's: nothing of what is said about rendering them may be passed on


@dataclass(frozen=True, slots=True)
class RenderChart:
    """Effect: work out the objects of one chart. Answered by `ChartRendered`."""

    id: int
    chart: Chart


@dataclass(frozen=True, slots=True)
class ChartObjects:
    """What a chart comes to: `json` is an array of all its objects, hooks and definitions too; `version` the one that was taken.

    `varies` where it came out otherwise when it was rendered once more: it draws something at random, or asks for the time.
    """

    version: str
    json: bytes = field(repr=False)
    varies: bool = False


@dataclass(frozen=True, slots=True)
class ChartFailure:
    """Why there are no objects, in the words for people; `permanent` where asking again will not help soon."""

    message: str
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class ChartRendered:
    """Input: the objects of a chart, or why there are none."""

    id: int
    answer: ChartObjects | ChartFailure


# -- The process ----------


@dataclass(frozen=True, slots=True)
class Log:
    """Effect: one decision or outcome, for people. `message` is constant, the facts are keys."""

    level: Literal["info", "warning", "error"]
    message: str
    facts: tuple[tuple[str, str | int | float | bool | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """Input: end in good order (SIGTERM): no new effects but the release of the Lease."""


Effect = Request | OpenWatch | CloseWatch | ListRefs | Fetch | ReadPast | ReadFiles | FindTrailer | Push | RenderChart | Log
GitAnswer = RefsListed | Fetched | PastRead | FilesRead | TrailerFound | Pushed
Input = Answer | WatchLines | WatchClosed | GitAnswer | ChartRendered | SourceHint | Stop
