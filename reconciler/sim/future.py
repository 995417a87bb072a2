"""The whole future of one repository: its commits one after the other, people who approve, bad days if wanted, until everything rests.

Law of the module: a run is a pure function of its `Future`. Without faults the checks look after every step and at rest. With faults
everything that can go wrong on the way does, then faults stop, and the run must come to rest with everything as Git says, and then be
silent for an hour (`trial.silence`). What breaks is told with the fewest faults and deeds with which it still breaks.

Rest is when nothing moves by itself (`trial.at_rest`), or when for `QUIET_SECONDS` nothing has: a Service may wait for an address that
nobody here will ever give it. All durations are seconds.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from reconciler.core.identity import ClusterName, SourceName, UnitKey
from reconciler.core.messages import Commit
from reconciler.core.report import Report
from reconciler.core.settings import ClusterSettings, SourceSettings
from reconciler.core.types import Types
from reconciler.lib.scrub import scrub

from .checks import Broken, Checks
from .daemon import Daemon
from .faults import KINDS, Chance, Draw, Fault, Point, Schedule, Script, armed
from .git import MAIN, Parse
from .people import PERSON, Approver, Hand
from .pristine import Pristine
from .timeline import Tell, Timeline, Verb, called
from .trial import ARRIVAL_SECONDS, REST_SECONDS, STATUS_BRANCH, at_rest, shrink, silence
from .world import START, STEPS_LIMIT, Spin, World

Level = Literal["none", "some", "all"]

QUIET_SECONDS = 900.0
"""After so long without anything, nothing will come. A Deployment gives up on its pods after 600 s."""

COMMIT_SECONDS = 1800.0
"""How long people wait for one commit to come to rest before the next one follows."""

IDENTITY = "daemon"
TRIES_LIMIT = 100
"""Runs in search of the shortest schedule."""
GUESSES = 6


class Mood(NamedTuple):
    """How bad a day is: the share of kinds of fault that strike, how often, how many at most, and how many deeds people do."""

    share: float
    rate: float
    faults: int
    deeds: int


MOODS: Mapping[Level, Mood] = {"none": Mood(0.0, 0.0, 0, 0), "some": Mood(0.4, 0.01, 40, 6), "all": Mood(1.0, 0.01, 200, 16)}


class Step(NamedTuple):
    """One commit, and the files that it changes; None: which it removes."""

    commit: Commit
    files: Mapping[str, bytes | None]


class Only(NamedTuple):
    """The faults that strike and the deeds that are done, and no others.

    A fault strikes at its point, or at the next one that it can strike: with fewer faults before it, points have other numbers.
    """

    faults: Mapping[int, Fault]
    deeds: tuple[int, ...]


class Carried:
    """The schedule of an `Only`."""

    def __init__(self, faults: Mapping[int, Fault]) -> None:
        self._left = dict(sorted(faults.items()))

    def at(self, point: Point) -> Fault | None:
        """The first fault that is due and can strike here."""
        for number, fault in self._left.items():
            if number > point.number:
                return None
            if KINDS[fault.kind].strikes(point.message):
                del self._left[number]
                return fault
        return None


@dataclass(frozen=True)
class Future:
    """What is to be run. `approve_after` None: nobody approves. `only` stands in for what the seed would draw."""

    source: SourceName
    steps: tuple[Step, ...]
    clusters: tuple[ClusterSettings, ...]
    home: ClusterName
    parse: Parse
    types: Types
    seed: int = 0
    until: float = 7200.0
    level: Level = "none"
    approve_after: float | None = 300.0
    poll_seconds: float = 30.0
    only: Only | None = None


@dataclass
class Outcome:
    """What came of it. `failure` is "" where every check held; `left` are commits that were not reached."""

    failure: str = ""
    invariant: str = ""
    rests: bool = False
    left: int = 0
    report: Report | None = None
    virtual_seconds: float = 0.0
    trace: str = ""
    only: Only = field(default_factory=lambda: Only({}, ()))
    counts: Counter[str] = field(default_factory=Counter)
    totals: Mapping[UnitKey, Counter[Verb]] = field(default_factory=dict)
    met: Counter[str] = field(default_factory=Counter)

    @property
    def healthy(self) -> bool:
        """Whether all went well."""
        return not self.failure and self.rests and not self.left and self.report is not None and self.report.healthy


class Run:
    """One run, and its parts."""

    def __init__(self, future: Future, tell: Tell) -> None:
        self.future = future
        clusters = sorted(future.clusters, key=lambda cluster: cluster.name != future.home)
        self.world = World(
            f"future {future.seed}",
            [cluster.name for cluster in clusters],
            (future.source,),
            jitter=True,
            parse=future.parse,
            types=future.types,
        )
        self.world.steps_limit = STEPS_LIMIT + 20 * sum(len(step.files) for step in future.steps)
        self.checks = Checks(self.world)
        for truth in self.checks.truths.values():
            truth.default = next((cluster.name for cluster in clusters if cluster.default or len(clusters) == 1), "")
            truth.pristine = Pristine({cluster.name: cluster.namespace for cluster in clusters})
        self.timeline = Timeline(self.world, tell)
        self.approver = Approver(self.world, self.timeline, future.approve_after)
        self.hand = Hand(self.world, self.timeline, future.seed)
        self.mood = MOODS[future.level]
        self.schedule: Schedule = Carried(future.only.faults) if future.only else self._chance()
        self.deeds = future.only.deeds if future.only else tuple(range(1, self.mood.deeds + 1))
        self.outcome = Outcome(left=len(future.steps))

    def _chance(self) -> Schedule:
        draw, mood = Draw(f"faults {self.future.seed}"), self.mood
        return Chance(draw, armed(draw, KINDS, mood.rate, mood.share), mood.faults)

    def go(self) -> Outcome:
        """From the first commit to the end, or to the first check that does not hold."""
        outcome, world = self.outcome, self.world
        try:
            self._work()
            self._end()
        except Broken as broken:
            outcome.failure, outcome.invariant = str(broken).partition(": ")[2], broken.invariant
        except Spin as spin:
            outcome.failure, outcome.invariant = str(spin), "I40"
        except Exception as error:  # the engine itself broke: that is the finding
            outcome.failure, outcome.invariant = _fallen(error), type(error).__name__
        if outcome.failure:
            self.timeline.tell("broken", outcome.invariant, outcome.failure)
        drawn = self.schedule.drawn if isinstance(self.schedule, Chance) else dict(self.future.only.faults if self.future.only else {})
        outcome.only = Only(drawn, self.deeds)
        outcome.trace, outcome.virtual_seconds = world.network.trace, world.steady - START
        outcome.counts, outcome.totals, outcome.met = self.timeline.counts, self.timeline.totals, self.checks.met
        leader = self.world.leader
        outcome.report = leader.report if leader is not None else None
        return outcome

    def _work(self) -> None:
        world, ends_at = self.world, START + self.future.until
        world.network.schedule = self.schedule
        for number, step in enumerate(self.future.steps):
            if world.steady >= ends_at:
                return
            self._commit(step)
            if number == 0:
                self._start()
            self.outcome.left -= 1
            self.outcome.rests = self._settle(min(COMMIT_SECONDS, ends_at - world.steady))
        for number in self.deeds:
            if world.steady >= ends_at:
                return
            self._wait(self.hand.pause_seconds(number))
            self.hand.do(number)

    def _commit(self, step: Step) -> None:
        repo = self.world.repo
        tip = repo.refs.get(MAIN)
        tree = dict(repo.tree()) if tip else {}
        for path, text in step.files.items():
            if text is None:
                tree.pop(path, None)
            else:
                tree[path] = text
        repo.load(replace(step.commit, parent=tip), tree)
        count = f"{len(step.files)} file{'' if len(step.files) == 1 else 's'}"
        self.timeline.tell("commit", step.commit.author or PERSON, f"pushes {called(step.commit)}: {count}")

    def _start(self) -> None:
        future = self.future
        source = SourceSettings(
            future.source, f"https://git.example.org/{future.source}", poll_seconds=future.poll_seconds, status_branch=STATUS_BRANCH
        )
        self.world.daemon(IDENTITY, sources=(source,), clusters=future.clusters, home=future.home)

    def _look(self) -> bool:
        """After each round; says whether everything rests."""
        if not self.timeline.look():
            return False
        self.approver.look()
        if self.approver.pending:
            return False
        leader = self.world.leader
        if leader is None or any(cluster.state != "up" for cluster in leader.engine.clusters.values()):
            return False
        quiet = self.world.steady - self.timeline.moved_at > QUIET_SECONDS and self._is_read(leader)
        return quiet or at_rest(self.world)

    def _is_read(self, leader: Daemon) -> bool:
        tip = self.world.repo.refs.get(MAIN)
        commits = [source.desired.commit for source in leader.engine.sources.values()]
        return all(commit is not None and commit.id == tip for commit in commits)

    def _settle(self, seconds: float) -> bool:
        """Wait for rest, at most so long; says whether it came."""
        ends_at = self.world.steady + seconds
        self._wait(ARRIVAL_SECONDS)
        if self.world.wait(self._look, ends_at - self.world.steady):
            self.timeline.tell("rest", "everything", f"rests: {_standing(self.timeline)}")
            return True
        self.world.steady = max(ends_at, self.world.steady)
        return False

    def _wait(self, seconds: float) -> None:
        end = self.world.steady + seconds
        self.world.wait(lambda: self._look() and False, seconds)
        self.world.steady = max(end, self.world.steady)

    def _end(self) -> None:
        """Nothing goes wrong any more, people do nothing more: it must come to rest."""
        world = self.world
        if self.future.level != "none":
            world.network.schedule = Script()
            world.network.outages.clear()
            self.timeline.tell("rest", "everything", "goes right from now on, and people do nothing more")
            self.outcome.rests = self._settle(REST_SECONDS + QUIET_SECONDS)
            if not self.outcome.rests:
                raise Broken("I51", f"not at rest {REST_SECONDS + QUIET_SECONDS:g} s after the last fault")
        leader = self.world.leader
        if leader is None or not self.outcome.rests:
            return
        self.checks.at_rest(leader)
        if self.future.level != "none":
            silence(world, self.checks)
            self.timeline.tell("silence", "everything", "was silent for an hour: only polls, the Lease and watches")


def _standing(timeline: Timeline) -> str:
    leader = timeline.world.leader
    states = Counter(unit.state for unit in leader.engine.reports.units().values()) if leader else Counter()
    names = sorted(states, key=lambda state: (state != "Healthy", state))
    return ", ".join(f"{states[state]} {state}" for state in names) or "nothing is there"


def _fallen(error: Exception) -> str:
    """What made the engine fall: where, and no values."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "reconciler" in frame.filename]
    where = "; ".join(f"{frame.filename.rpartition('reconciler/')[2]}:{frame.lineno} {frame.name}" for frame in ours[-3:])
    return scrub(f"the daemon fell over: {type(error).__name__} in {where}")


# -- the shortest schedule that still breaks ----------


def shortest(future: Future, broken: Outcome, say: Callable[[str], None]) -> Only:
    """The fewest faults and deeds with which the same invariant still breaks.

    In one number line, as `shrink` wants it: faults are positive, deeds negative.
    """
    tries = 0

    def attempt(script: Script) -> str:
        nonlocal tries
        if tries >= TRIES_LIMIT:
            return ""
        tries += 1
        say(f"looking for the shortest schedule: run {tries}, with {len(script.faults)} faults and deeds")
        outcome = Run(replace(future, only=_only(script.faults)), lambda _: None).go()
        return outcome.failure if outcome.invariant == broken.invariant else ""

    faults, deeds = dict(sorted(broken.only.faults.items())), {-number: Fault("deed") for number in broken.only.deeds}
    last = list(dict.fromkeys(reversed(faults.values())))[:GUESSES]
    # What struck last is the likeliest, even alone; all else costs a whole run for each thing that could be left out.
    guesses = [{}, *({1: fault} for fault in last), dict(list(faults.items())[-4:]), deeds, faults, {**faults, **deeds}]
    return next((_only(shrink(attempt, guess)) for guess in guesses if attempt(Script(guess))), broken.only)


def _only(chosen: Mapping[int, Fault]) -> Only:
    return Only({n: fault for n, fault in chosen.items() if n > 0}, tuple(sorted(-n for n in chosen if n < 0)))


def clusters_in(steps: tuple[Step, ...], fits: Callable[[str], bool]) -> list[str]:
    """The names below `clusters/` in any of the steps, in order."""
    parts = [path.split("/") for step in steps for path in step.files]
    return sorted({p[1]: None for p in parts if len(p) > 2 and p[0] == "clusters" and fits(p[1])})
