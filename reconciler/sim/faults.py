"""What may go wrong, where, and how often.

Law of the module: a fault is data, the point that it strikes is a number. Every effect of a daemon and every input to it is a point;
a schedule says of each whether something goes wrong there, so that a run can be repeated from its script, made shorter, and
swept point by point. What a fault does is what the outside can really do: a request is answered once or never within its time limit,
a watch loses nothing while it is open, a push either happened or did not, whatever is said of it.

Names in brackets are those of the fault catalogue (specs: reliability-security, 1.6).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec

from reconciler.core.messages import (
    Answer,
    Effect,
    Fetch,
    Fetched,
    FilesRead,
    FindTrailer,
    GitFailure,
    Input,
    ListRefs,
    OpenWatch,
    PastRead,
    Push,
    Pushed,
    ReadFiles,
    ReadPast,
    RefsListed,
    Request,
    Stop,
    TrailerFound,
    WatchLines,
)

if TYPE_CHECKING:
    from .daemon import Daemon
    from .network import Network

T = TypeVar("T")

GIT_LIMIT_SECONDS = 60.0
"""After so long the Git adapter gives up on a server that is silent."""

ZOMBIE_SECONDS = 20.0
"""How long after the client gave up a server may still carry a request out."""


class Draw:
    """Numbers from a seed, the same on every machine and in every version of Python: only `random.Random.random` is used."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(str(seed))  # noqa: S311 - no secret

    def fraction(self) -> float:
        """In [0, 1)."""
        return self._random.random()

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return self._random.random() < share

    def below(self, limit: int) -> int:
        """In 0 … limit - 1."""
        return int(self._random.random() * limit)

    def between(self, low: float, high: float) -> float:
        """In [low, high)."""
        return low + (high - low) * self._random.random()

    def one(self, of: Sequence[T]) -> T:
        """One of several."""
        return of[self.below(len(of))]


class Fault(NamedTuple):
    """One thing that goes wrong. `seconds` is what its kind says it is."""

    kind: str
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} ({self.seconds:g} s)" if self.seconds else self.kind


class Point(NamedTuple):
    """One effect that is about to be performed, or one input that is about to be heard."""

    number: int
    daemon: str
    message: Effect | Input


class Schedule(Protocol):
    """Says of each point what goes wrong there."""

    def at(self, point: Point) -> Fault | None:
        """What goes wrong at a point; asked once for each, in order."""


@dataclass
class Script:
    """Faults by the number of their point."""

    faults: Mapping[int, Fault] = field(default_factory=dict)

    def at(self, point: Point) -> Fault | None:
        """What the script says."""
        return self.faults.get(point.number)


class Chance:
    """Faults drawn by a seed: each kind in the share of its points that `rates` says. `drawn` is the script that does the same again.

    After `limit` faults it lets everything pass.
    """

    def __init__(self, draw: Draw, rates: Mapping[str, float], limit: float = float("inf")) -> None:
        self.drawn: dict[int, Fault] = {}
        self._draw = draw
        self._limit = limit
        self._rates = rates
        self._sorts: dict[tuple[type, str], list[tuple[str, float]]] = {}

    def at(self, point: Point) -> Fault | None:
        """Draw for this point."""
        chosen: Fault | None = None
        if len(self.drawn) >= self._limit:
            return None
        for kind, rate in self._striking(point.message):
            if self._draw.chance(rate) and chosen is None:
                chosen = Fault(kind, round(self._draw.between(*KINDS[kind].seconds), 3))
        if chosen is not None:
            self.drawn[point.number] = chosen
        return chosen

    def _striking(self, message: Effect | Input) -> list[tuple[str, float]]:
        """What may strike a message, and how often: known of its sort."""
        sort = type(message), getattr(message, "method", "")
        if sort not in self._sorts:
            self._sorts[sort] = [(kind, rate) for kind, rate in self._rates.items() if KINDS[kind].strikes(message)]
        return self._sorts[sort]


def armed(draw: Draw, kinds: Iterable[str], rate: float, share: float = 0.4) -> dict[str, float]:
    """A share of the kinds, each with a rate of its own about `rate`: so seeds differ in kind and not in luck alone."""
    return {kind: rate * draw.between(0.2, 2.0) for kind in kinds if draw.chance(share)}


# -- what they do ----------

Strike = Callable[["Network", "Daemon", Any, Fault], None]


class Kind(NamedTuple):
    """A kind of fault: its name in the catalogue, which messages it strikes, what it does, and the range of its seconds.

    What it strikes is told by the type of a message, and of a request by its method; by nothing else.
    `weight` says how much more often it must be drawn than others to be seen as often, where it strikes messages that are rare.
    """

    catalogue: str
    strikes: Callable[[Effect | Input], bool]
    do: Strike
    seconds: tuple[float, float] = (0.0, 0.0)
    weight: float = 1.0


def is_request(message: Effect | Input) -> bool:
    """Any request to an API server but a watch."""
    return isinstance(message, Request)


def is_write(message: Effect | Input) -> bool:
    """A request that would change something."""
    return isinstance(message, Request) and message.method != "GET"


def is_read(message: Effect | Input) -> bool:
    """A request that only asks."""
    return isinstance(message, Request) and message.method == "GET"


def is_effect(message: Effect | Input) -> bool:
    """Anything that a daemon does."""
    return isinstance(message, Request | OpenWatch | ListRefs | Fetch | ReadPast | ReadFiles | FindTrailer | Push)


def is_git(message: Effect | Input) -> bool:
    """Anything asked of Git."""
    return isinstance(message, ListRefs | Fetch | ReadPast | ReadFiles | FindTrailer | Push)


def is_push(message: Effect | Input) -> bool:
    """A push."""
    return isinstance(message, Push)


def is_listing(message: Effect | Input) -> bool:
    """A listing of refs."""
    return isinstance(message, ListRefs)


def is_lines(message: Effect | Input) -> bool:
    """Lines of a watch on their way to a daemon."""
    return isinstance(message, WatchLines)


_ANSWERS: dict[type, Callable[[int, GitFailure], Input]] = {
    ListRefs: RefsListed,
    Fetch: Fetched,
    ReadPast: PastRead,
    ReadFiles: FilesRead,
    FindTrailer: TrailerFound,
}


def failure(effect: Effect, message: str, permanent: bool = False) -> Input:
    """The answer to a Git effect that did not work out."""
    if isinstance(effect, Push):
        return Pushed(effect.id, "unreachable", message=message)
    assert isinstance(effect, ListRefs | Fetch | ReadPast | ReadFiles | FindTrailer)
    return _ANSWERS[type(effect)](effect.id, GitFailure(message, permanent))


def status(effect: Request, code: int, message: str, reason: str = "", retry_after_seconds: float | None = None) -> Answer:
    """A refusal in the API server's form."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}
    return Answer(effect.id, code, msgspec.json.encode(body), retry_after_seconds=retry_after_seconds)


def _crash_before(net: Network, daemon: Daemon, _effect: Effect, fault: Fault) -> None:
    net.world.crash(daemon, fault.seconds)


def _crash_after(net: Network, daemon: Daemon, effect: Effect, fault: Fault) -> None:
    net.perform(daemon, effect)
    net.world.crash(daemon, fault.seconds)


def _terminate(net: Network, daemon: Daemon, effect: Effect, fault: Fault) -> None:
    net.perform(daemon, effect)
    net.deliver(daemon, Stop())
    net.later(2.0, lambda: net.world.crash(daemon, fault.seconds))


def _answers(code: int, message: str, reason: str, retry_after_seconds: float | None = None) -> Strike:
    def do(net: Network, daemon: Daemon, effect: Request, _fault: Fault) -> None:
        net.deliver(daemon, status(effect, code, message, reason, retry_after_seconds))

    return do


def _reset(net: Network, daemon: Daemon, effect: Request, _fault: Fault) -> None:
    net.deliver(daemon, Answer(effect.id, 0, error="connection reset by peer"))


def _lost(net: Network, daemon: Daemon, effect: Request, _fault: Fault) -> None:
    net.deliver(daemon, Answer(effect.id, 0, error="no answer in time"), effect.timeout_seconds)


def _unheard(net: Network, daemon: Daemon, effect: Request, _fault: Fault) -> None:
    net.ask(daemon, effect)
    net.deliver(daemon, Answer(effect.id, 0, error="connection reset by peer"))


def _gateway(net: Network, daemon: Daemon, effect: Request, _fault: Fault) -> None:
    net.ask(daemon, effect)
    net.deliver(daemon, Answer(effect.id, 504, b"<html>gateway timeout</html>"))


def _twice(net: Network, daemon: Daemon, effect: Request, _fault: Fault) -> None:
    net.ask(daemon, effect)
    net.perform(daemon, effect)


def _late(net: Network, daemon: Daemon, effect: Effect, fault: Fault) -> None:
    """Done at once, told late; a request's client does not wait beyond its limit."""
    if isinstance(effect, OpenWatch):
        net.perform(daemon, effect, after_seconds=fault.seconds)
        return
    limit = effect.timeout_seconds if isinstance(effect, Request) else GIT_LIMIT_SECONDS
    if fault.seconds < limit:
        net.perform(daemon, effect, answer_seconds=fault.seconds)
        return
    net.ask(daemon, effect)
    late = Answer(effect.id, 0, error="no answer in time") if isinstance(effect, Request) else failure(effect, "no answer in time")
    net.deliver(daemon, late, limit)


def _slow(net: Network, daemon: Daemon, effect: Effect, fault: Fault) -> None:
    """Done late, and told then."""
    limit = effect.timeout_seconds if isinstance(effect, Request) else GIT_LIMIT_SECONDS
    net.perform(daemon, effect, after_seconds=min(fault.seconds, limit - 0.01))


def _zombie(net: Network, daemon: Daemon, effect: Request, fault: Fault) -> None:
    """The client has given up; the server has not."""
    net.deliver(daemon, Answer(effect.id, 0, error="no answer in time"), effect.timeout_seconds)
    net.later(effect.timeout_seconds + fault.seconds, lambda: net.ask(daemon, effect))


def _stale(net: Network, daemon: Daemon, effect: Request | ListRefs, fault: Fault) -> None:
    net.perform(daemon, effect, past_seconds=fault.seconds)


def _git_fails(net: Network, daemon: Daemon, effect: Effect, _fault: Fault) -> None:
    net.deliver(daemon, failure(effect, "could not resolve host: git.example.org"))


def _git_forbids(net: Network, daemon: Daemon, effect: Effect, _fault: Fault) -> None:
    net.deliver(daemon, failure(effect, "the server does not let us in (401)", permanent=True))


def _git_hangs(net: Network, daemon: Daemon, effect: Effect, _fault: Fault) -> None:
    net.deliver(daemon, failure(effect, "no answer in time"), GIT_LIMIT_SECONDS)


def _push_unheard(net: Network, daemon: Daemon, effect: Push, _fault: Fault) -> None:
    net.ask(daemon, effect)
    net.deliver(daemon, Pushed(effect.id, "unreachable", message="connection reset by peer"))


def _push_stale(net: Network, daemon: Daemon, effect: Push, _fault: Fault) -> None:
    net.deliver(daemon, Pushed(effect.id, "stale"))


def _push_refused(net: Network, daemon: Daemon, effect: Push, _fault: Fault) -> None:
    net.deliver(daemon, Pushed(effect.id, "refused", message="pre-receive hook declined"))


def _cut(net: Network, daemon: Daemon, lines: WatchLines, _fault: Fault) -> None:
    net.break_watch(daemon, lines.id, 0, "connection reset by peer")


def _stall(net: Network, daemon: Daemon, lines: WatchLines, _fault: Fault) -> None:
    net.stall(daemon, lines.id)


def _expire(net: Network, daemon: Daemon, lines: WatchLines, _fault: Fault) -> None:
    stream = daemon.streams.get(lines.id)
    if stream is not None:
        store = net.world.clusters[stream.effect.cluster].store
        store.compact(store.version)
    net.break_watch(daemon, lines.id, 0, "connection reset by peer")


def _crash_hearing(net: Network, daemon: Daemon, _message: Input, fault: Fault) -> None:
    net.world.crash(daemon, fault.seconds)


def _is_input(message: Effect | Input) -> bool:
    return not is_effect(message)


DOWN = (0.2, 40.0)

KINDS: dict[str, Kind] = {
    "crash before": Kind("F70 crash before the effect", is_effect, _crash_before, DOWN),
    "crash after": Kind("F70 crash after the effect", is_effect, _crash_after, DOWN),
    "crash hearing": Kind("F70 crash before the answer is folded", _is_input, _crash_hearing, DOWN),
    "terminate": Kind("SIGTERM", is_effect, _terminate, DOWN),
    "error": Kind("F44 500, nothing done", is_request, _answers(500, "etcdserver: request timed out", "InternalError")),
    "down": Kind("F44 503", is_request, _answers(503, "the server is currently unable to handle the request", "ServiceUnavailable")),
    "busy": Kind("F43 429 with Retry-After", is_request, _answers(429, "too many requests", "TooManyRequests", 2.0)),
    "forbidden": Kind("F40 403", is_write, _answers(403, "forbidden: quota or role withdrawn", "Forbidden")),
    "unauthorized": Kind("F41 401", is_request, _answers(401, "Unauthorized", "Unauthorized")),
    "conflict": Kind("F35 409", is_write, _answers(409, "the object has been modified", "Conflict")),
    "webhook": Kind("F49 admission webhook down", is_write, _answers(500, "failed calling webhook: no endpoints", "InternalError")),
    "reset": Kind("F47 connection reset, nothing done", is_request, _reset),
    "lost": Kind("F46 timeout before the effect", is_request, _lost),
    "unheard": Kind("F45 done, and not heard of", is_request, _unheard),
    "gateway": Kind("F44 504 after the effect", is_request, _gateway),
    "twice": Kind("a proxy sends it again", is_write, _twice),
    "late": Kind("an answer comes late", is_effect, _late, (0.5, 80.0)),
    "slow": Kind("an effect happens late", is_effect, _slow, (0.5, 28.0)),
    "zombie": Kind("F45 done after the client gave up", is_write, _zombie, (0.1, ZOMBIE_SECONDS)),
    "stale read": Kind("F53 a read from a server that lags", is_read, _stale, (1.0, 60.0)),
    "stale refs": Kind("F14 a mirror that lags", is_listing, _stale, (1.0, 60.0)),
    "git fails": Kind("F01 F02 F08 Git unreachable", is_git, _git_fails),
    "git forbids": Kind("F05 credentials refused", is_git, _git_forbids),
    "git hangs": Kind("F03 Git hangs", is_git, _git_hangs),
    "push unheard": Kind("F25 pushed, reply lost", is_push, _push_unheard, weight=6.0),
    "push stale": Kind("F23 F24 non-fast-forward", is_push, _push_stale, weight=6.0),
    "push refused": Kind("F26 a hook refuses", is_push, _push_refused, weight=6.0),
    "cut": Kind("F55 a watch breaks", is_lines, _cut, weight=6.0),
    "stall": Kind("F54 a watch is silent but open", is_lines, _stall, weight=6.0),
    "expire": Kind("F38 F56 compaction, then 410", is_lines, _expire, weight=6.0),
}
"""Every kind of fault at a point."""

ONE_DAEMON_LIVES = ("crash before", "crash after", "crash hearing", "terminate")
"""Faults that end a daemon."""
