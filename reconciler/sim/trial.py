"""One run of a simulated world: work, with things going wrong; then rest; then an hour of silence.

Law of the module: a run is a pure function of its workload, its seed and its schedule. While faults last, what must always be so is
checked after every step (`checks`). When they stop and people do nothing more, the daemon must come to rest within
`REST_SECONDS`, with everything as Git says; after that, for an hour, it may only poll, keep its Lease and hold its watches.

Contention is assumed to end with the faults: against somebody who undoes every write at once no daemon can come to rest.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from reconciler.core.identity import SourceName
from reconciler.core.kind import Kind
from reconciler.core.messages import CloseWatch, Effect, Fetch, FindTrailer, Log, Push, ReadFiles, ReadPast, Request
from reconciler.core.settings import Commits, SourceSettings
from reconciler.kinds import KINDS

from .checks import Broken, Checks
from .cluster.settings import Settings as Behaviour
from .daemon import Daemon
from .faults import Fault, Schedule, Script
from .truth import Key
from .verdicts import Verdicts
from .world import START, Spin, World

REST_SECONDS = 1200.0
"""Within so much virtual time after the last fault everything is as Git says. The longest back-off of a source is 600 s."""

PATIENCE_SECONDS = 400.0
"""How long people wait for one step to come to rest before they take the next, rested or not."""

RETRY_SECONDS = 400.0
"""What a server refused is tried again after five minutes at the latest, give or take a fifth."""

BLIND_SECONDS = 60.0
"""How long to wait before a world at rest that is not as Git says is looked at again."""

CALM_SECONDS = 400.0
"""For so long after it has come to rest a daemon may still read again what it was told badly; it writes nothing."""

SILENCE_SECONDS = 3600.0

ARRIVAL_SECONDS = 0.5
"""What just happened is on its way to the daemon for no longer than this, if nothing is wrong with the way."""
STATUS_BRANCH = "reconciler-status"

Act = Callable[[World], object]


class Judge(Protocol):
    """Somebody who watches the whole run, and has the last word at its end."""

    def at_rest(self, daemon: Daemon) -> None:
        """Nothing moves by itself any more."""


@dataclass(frozen=True)
class Workload:
    """What people do, one step after the other, and to what.

    `acts` begin when the one before has come to rest, or after `pause_seconds` where that is set. `daemons` stand side by side; the
    first starts before the first act. `extra_checks` make more of what `Verdicts` is.
    """

    name: str
    acts: tuple[Act, ...]
    clusters: tuple[str, ...] = ("eu",)
    sources: tuple[str, ...] = ("fleet",)
    kinds: tuple[Kind, ...] = KINDS
    daemons: int = 1
    status_branch: bool = False
    commits: Commits = "propose"
    pause_seconds: Callable[[World], float] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    behaviour: Behaviour = Behaviour()  # noqa: RUF009 - frozen
    extra_checks: tuple[Callable[[World, Checks], Judge], ...] = ()


@dataclass
class Outcome:
    """What came of a run. `failure` is "" where every check held; `invariant` its number."""

    failure: str = ""
    invariant: str = ""
    trace: str = ""
    points: int = 0
    virtual_seconds: float = 0.0
    creates: Counter[Key] = field(default_factory=Counter)
    deletes: Counter[Key] = field(default_factory=Counter)
    end_state: dict[str, Any] = field(default_factory=dict)
    reached: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)


def run(
    workload: Workload,
    seed: int | str,
    schedule: Schedule | None = None,
    *,
    jitter: bool = False,
    silence_seconds: float = SILENCE_SECONDS,
) -> Outcome:
    """One run, to its end or to the first check that does not hold."""
    world = World(
        f"{workload.name} {seed}",
        workload.clusters,
        workload.sources,
        workload.kinds,
        jitter=jitter,
        behaviour=workload.behaviour,
    )
    checks = Checks(world)
    judges: list[Judge] = [Verdicts(world, checks), *(extra(world, checks) for extra in workload.extra_checks)]
    world.network.schedule = schedule or Script()
    outcome = Outcome()
    try:
        _work(world, workload)
        rest(world, checks)
        for judge in judges:
            judge.at_rest(_leader_of(world))
        silence(world, checks, silence_seconds)
        outcome.end_state = checks.end_state()
    except Broken as broken:
        outcome.failure, outcome.invariant = str(broken), broken.invariant
    except Spin as spin:
        outcome.failure, outcome.invariant = str(spin), "I40"
    except Exception as error:  # the engine itself broke: that is the finding
        outcome.failure, outcome.invariant = f"{error!r}\n{traceback.format_exc()[-3000:]}", type(error).__name__
    outcome.trace, outcome.points = world.network.trace, world.network.points
    outcome.virtual_seconds = world.steady - START
    outcome.creates, outcome.deletes = checks.creates, checks.deletes
    outcome.reached, outcome.met = world.network.reached, checks.met
    return outcome


def _work(world: World, workload: Workload) -> None:
    for number in range(workload.daemons):
        start(world, f"daemon-{number + 1}", workload)
    for act in workload.acts:
        act(world)
        if workload.pause_seconds is not None:
            world.run(workload.pause_seconds(world))
        else:
            _let_rest(world)


def _let_rest(world: World) -> None:
    """Until the work of one step and all that a fault still does are over."""
    world.run(ARRIVAL_SECONDS)
    world.wait(lambda: at_rest(world) and _all_well(world), PATIENCE_SECONDS)
    while world.network.quiet_at > world.steady:
        world.run(world.network.quiet_at - world.steady + ARRIVAL_SECONDS)
        world.wait(lambda: at_rest(world) and _all_well(world), PATIENCE_SECONDS)


def start(world: World, identity: str, workload: Workload) -> Daemon:
    """Start one daemon as the workload has it."""
    branch = STATUS_BRANCH if workload.status_branch else ""
    sources = tuple(
        SourceSettings(SourceName(n), f"https://git.example.org/{n}", status_branch=branch, commits=workload.commits) for n in world.repos
    )
    return world.daemon(identity, **{"sources": sources, **workload.settings})


def _leader_of(world: World) -> Daemon:
    """The daemon that acts: at rest somebody must."""
    assert world.leader is not None
    return world.leader


def at_rest(world: World) -> bool:
    """Whether the daemon that leads has read what is there, and nothing moves by itself any more."""
    leader = world.leader
    if leader is None or not leader.at_rest:
        return False
    for name, source in leader.engine.sources.items():
        tip = world.repos[name].refs.get(source.settings.ref)
        if source.problem or (source.desired.commit and source.desired.commit.id) != tip:
            return False
    if any(c.state != "up" or leader.engine.store.pins.get(c.name) != "" for c in leader.engine.clusters.values()):
        return False
    if len(leader.streams) < sum(len(c.reflectors) + len(c.followed.reflectors) for c in leader.engine.clusters.values()):
        return False  # a watch that broke is opened again after a while, and may have much to tell
    if any(publisher.problem for publisher in leader.engine.publishers.values()):
        return False
    if any(edit.busy for edits in leader.engine.edits.asked.values() for edit in edits.values()):
        return False  # what a branch has refused is tried again after a while
    if any(unit.plan is not None and unit.plan.wake_at is not None for unit in leader.engine.units.units.values()):
        return False
    return all(unit.state not in ("Reconciling", "Unknown") for unit in leader.engine.reports.units().values())


def rest(world: World, checks: Checks) -> None:
    """Faults stop; within `REST_SECONDS` everything must be as Git says."""
    world.network.schedule = Script()
    world.network.outages.clear()
    for repo in world.repos.values():
        repo.refused.clear()
    world.run(max(0.0, world.network.quiet_at - world.steady))
    ends_at = world.steady + REST_SECONDS
    while True:
        world.run(ARRIVAL_SECONDS)
        # What was refused is tried again after so long at most: what can become healthy by itself has then done so.
        world.wait(lambda: at_rest(world) and _all_well(world), RETRY_SECONDS)
        if not world.wait(lambda: at_rest(world), ends_at - world.steady):
            raise Broken("I51", f"not at rest {REST_SECONDS:g} s after the last fault: {_restless(world)}")
        try:
            checks.at_rest(_leader_of(world))
            return
        except Broken:
            # Perhaps it rests on what it was told last: a watch that fell silent is given up only after a while.
            if world.steady + BLIND_SECONDS > ends_at:
                raise
            world.run(BLIND_SECONDS)


def _all_well(world: World) -> bool:
    return all(unit.state == "Healthy" for unit in _leader_of(world).engine.reports.units().values())


def _restless(world: World) -> str:
    leader = world.leader
    if leader is None:
        return "nobody leads"
    troubles = [f"{unit.key} {unit.state}: {unit.message}" for unit in leader.report.units if unit.state != "Healthy"]
    return "; ".join(troubles[:5]) or "something moves"


def silence(world: World, checks: Checks, seconds: float = SILENCE_SECONDS) -> None:
    """First nothing is written any more; when reading has come to its end too, nothing is done but polls, the Lease and watches.

    What a server refuses may be tried again now and then, as long as the report says so: nothing tells when a quota or a webhook goes.
    """
    checks.is_at_rest = True
    for span, is_still in ((CALM_SECONDS, False), (seconds, True)):
        for daemon in world.daemons:
            daemon.sent.clear()
            daemon.logs.clear()
        world.run(span)
        leader = world.leader
        trouble = leader is not None and any(unit.state in ("Failed", "Held", "Waiting") for unit in leader.report.units)
        for daemon in world.daemons:
            for effect in daemon.sent:
                _belongs_to_rest(daemon, effect, is_still, trouble)
            if daemon.logs and is_still:
                raise Broken("law 8", f"the log line {_line(daemon.logs[0])} at rest, by {daemon.identity}")


def _belongs_to_rest(daemon: Daemon, effect: Effect, is_still: bool, trouble: bool) -> None:
    if isinstance(effect, Push):
        raise Broken("I35", f"a push to {effect.ref} at rest, by {daemon.identity}")
    if isinstance(effect, Request) and "/leases" not in effect.path and not trouble and (is_still or effect.method != "GET"):
        raise Broken("I03", f"{effect.method} {effect.path} at rest, by {daemon.identity}")
    if is_still and isinstance(effect, Fetch | ReadFiles | ReadPast | FindTrailer | CloseWatch):
        raise Broken("I35", f"{type(effect).__name__} at rest, by {daemon.identity}")


def _line(log: Log) -> str:
    return f"{log.message!r} ({', '.join(f'{key}={value}' for key, value in log.facts)})"


def differs(outcome: Outcome, reference: Outcome) -> str:
    """How a run with a fault ended otherwise than the one without: in its end, or in how often an object was made or deleted; or ""."""
    if outcome.failure:
        return outcome.failure
    for what, found, expected in (
        ("created", outcome.creates, reference.creates),
        ("deleted", outcome.deletes, reference.deletes),
    ):
        for key in dict.fromkeys([*found, *expected]):
            if found[key] != expected[key]:
                return f"{key[1]} on {key[0]} was {what} {found[key]} times, without the fault {expected[key]} times"
    for name in dict.fromkeys([*outcome.end_state, *reference.end_state]):
        if outcome.end_state.get(name) != reference.end_state.get(name):
            return f"{name} ends as {outcome.end_state.get(name)}, without the fault as {reference.end_state.get(name)}"
    return ""


# -- the shortest schedule that still fails ----------


def shrink(attempt: Callable[[Script], str], faults: Mapping[int, Fault]) -> dict[int, Fault]:
    """The fewest faults with which `attempt` still fails, by leaving out halves, quarters … and at last single ones (ddmin)."""
    kept = dict(faults)
    size = max(1, len(kept) // 2)
    while True:
        numbers = list(kept)
        for begin in range(0, len(numbers), size):
            fewer = {n: kept[n] for n in numbers if n not in numbers[begin : begin + size]}
            if len(fewer) < len(kept) and attempt(Script(fewer)):
                kept = fewer
                break
        else:
            if size == 1:
                return kept
            size = max(1, size // 2)

