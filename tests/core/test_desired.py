"""What Git says, whatever its history: read at every commit, seldom, or from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.desired import Desired
from reconciler.core.engine import Engine
from reconciler.core.identity import CommitId, Instant, SourceName
from reconciler.core.messages import Effect, Fetch, GitFailure, Input, ListRefs, PastRead, ReadPast, RefsListed, SourceHint
from reconciler.core.settings import SourceSettings
from reconciler.core.sources import Source
from reconciler.core.wire import Wire
from reconciler.sim.git import MAIN, Repo
from tests.core.driver import Daemon, World, config_map

FLEET = SourceName("fleet")
BROKEN = "apiVersion: ["


class Follower:
    """One source of the core, without the engine around it."""

    def __init__(self, **changes: Any) -> None:
        self.wire = Wire(b"follower")
        self.commits: list[str] = []  # of each time that history was folded, the tip
        self.folders: list[str] = []  # touched
        self.source = Source(SourceSettings(FLEET, "https://git.example.org/fleet", **changes), self.wire, self._folded, lambda s, n: None)
        self._started = False

    def _folded(self, source: Source, touched: Any) -> None:
        assert source.desired.commit is not None
        self.commits.append(source.desired.commit.id)
        self.folders += touched.folders

    def step(self, inputs: Iterable[Input], now: Instant) -> list[Effect]:
        self.wire.now, self.wire.effects = now, []
        if not self._started:
            self._started = True
            self.source.start()
        for message in inputs:
            if isinstance(message, SourceHint):
                self.source.hint()
            else:
                self.wire.deliver(message)
        self.wire.fire()
        return self.wire.effects

    @property
    def wake_at(self) -> float | None:
        return self.wire.wake_at if self._started else 0.0

    @property
    def desired(self) -> Desired:
        return self.source.desired


def followed(world: World, **changes: Any) -> tuple[Follower, Daemon]:
    follower = Follower(**changes)
    world.daemons.append(Daemon("one", cast(Engine, follower)))
    return follower, world.daemons[-1]


def of_kind(daemon: Daemon, kind: type[Any]) -> list[Any]:
    return [e for e in daemon.sent if isinstance(e, kind)]


def names(desired: Desired, folder: str) -> list[tuple[str, str]]:
    return [(m.path, m.body()["data"]["v"]) for m in desired.manifests(folder)]


def index(desired: Desired) -> dict[tuple[str, int], str]:
    return {key: m.body()["data"]["v"] for kind in desired.kinds.values() for key, m in kind.items()}


# -- following ----------


def test_an_idle_poll_is_one_listing() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x")})
    follower, daemon = followed(world)
    world.run(301)
    assert len(of_kind(daemon, Fetch)) == 1 and 10 <= len(of_kind(daemon, ListRefs)) <= 13
    assert len(follower.commits) == 1 and follower.source.current


def test_a_burst_of_commits_and_hints_is_few_fetches_and_every_commit_is_folded() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x", "0")})
    follower, daemon = followed(world)
    world.run(1)
    for i in range(1, 30):
        world.commit({"a/x.yaml": config_map("x", str(i))})
        world.run(0.1)
    world.run(2)
    assert names(follower.desired, "a") == [("a/x.yaml", "29")]
    assert len(of_kind(daemon, ListRefs)) <= 7 and len(of_kind(daemon, Fetch)) <= 7


def test_a_failure_is_asked_about_later_and_later_and_nothing_is_forgotten() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x")})
    follower, daemon = followed(world)
    world.run(1)
    rule = world.rule(lambda e: isinstance(e, ListRefs), lambda e, p: RefsListed(e.id, GitFailure("no route to host")), times=1_000)
    world.run(3_600)
    assert 5 <= rule.used <= 16 and follower.source.problem == "no route to host" and not follower.source.current
    assert names(follower.desired, "a") == [("a/x.yaml", "1")] and follower.source.loaded
    assert len([log for log in daemon.logs if log.message == "source cannot be read"]) == 1
    world.rules = []
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.run(5)
    assert names(follower.desired, "a") == [("a/x.yaml", "2")] and follower.source.problem == ""


def test_a_branch_that_is_gone_is_a_problem_and_no_empty_source() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x")})
    follower, _ = followed(world)
    world.run(1)
    tip = world.repo.refs.pop(MAIN)
    world.run(60)
    assert "refs/heads/main is not in the repository" in follower.source.problem
    assert names(follower.desired, "a") == [("a/x.yaml", "1")]
    world.repo.refs[MAIN] = tip
    world.run(120)
    assert follower.source.current


def test_a_fetch_that_fails_is_made_anew_from_scratch_and_what_is_gone_goes() -> None:
    """The commit that we hold is in the repository no more."""
    world = World()
    world.commit({"a/x.yaml": config_map("x"), "b/y.yaml": config_map("y")})
    follower, daemon = followed(world)
    world.run(1)
    old = world.repo.refs[MAIN]
    world.repo.refs.clear()
    world.repo.commit({"a/x.yaml": config_map("x", "2")})
    del world.repo.commits[old]
    world.run(120)
    assert index(follower.desired) == {("a/x.yaml", 0): "2"} and set(follower.desired.folders) == {"a"}
    assert [e.since for e in of_kind(daemon, Fetch)] == [None, old, None]
    assert "b" in follower.folders


def test_one_commit_is_read_once_and_no_branch_is_listed() -> None:
    world = World()
    first = world.commit({"a/x.yaml": config_map("x")})
    world.commit({"a/x.yaml": config_map("x", "2")})
    follower, daemon = followed(world, commit=first)
    world.run(3_600)
    for _ in range(3):
        world.commit({"a/x.yaml": config_map("x", "3")})
        world.run(5)
    assert names(follower.desired, "a") == [("a/x.yaml", "1")] and of_kind(daemon, ListRefs) == []
    assert len(of_kind(daemon, Fetch)) == 1 and follower.commits == [first]


def test_a_history_that_was_rewritten_is_followed_and_told() -> None:
    world = World()
    first = world.commit({"a/x.yaml": config_map("x")})
    world.commit({"a/y.yaml": config_map("y")})
    follower, daemon = followed(world)
    world.run(1)
    world.commit({"a/z.yaml": config_map("z")}, parent=first)
    world.run(5)
    assert [path for path, _ in names(follower.desired, "a")] == ["a/x.yaml", "a/z.yaml"]
    assert len(daemon.said("history was rewritten")) == 1


def test_a_branch_that_goes_back_is_followed_only_if_it_stays_there() -> None:
    """A mirror that lags shows an older tip for a moment: nothing is undone for that."""
    world = World()
    first = world.commit({"a/x.yaml": config_map("x", "1")})
    second = world.commit({"a/x.yaml": config_map("x", "2")})
    follower, daemon = followed(world)
    world.run(1)
    world.repo.move(MAIN, first)
    world.run(45)
    assert follower.commits == [second], "seen once, and not believed"
    world.repo.move(MAIN, second)
    world.run(120)
    assert follower.commits == [second] and len(daemon.said("the branch went back")) == 1
    world.repo.move(MAIN, first)
    world.run(120)
    assert follower.commits == [second, first] and len(daemon.said("history was rewritten")) == 1


def test_a_look_between_polls_takes_the_place_of_the_next() -> None:
    """Never two at once: the answer to the older would be believed after that to the newer."""
    world = World()
    world.commit({"a/x.yaml": config_map("x")})
    follower, daemon = followed(world)
    world.run(1)
    heard: list[float] = []
    slow = world.rule(lambda e: isinstance(e, ListRefs), lambda e, perform: perform(), seconds=55)
    follower.wire.after("look", 0.0, lambda: follower.source.refresh(lambda: heard.append(world.steady)))
    world.run(50)
    assert slow.used == 1 and len(of_kind(daemon, ListRefs)) == 2 and heard == []
    world.run(10)
    assert len(heard) == 1


def test_a_tip_that_was_left_is_believed_only_if_it_stays_there() -> None:
    """After a forced push a mirror may still show what was there before: no ancestor, and yet no news."""
    world = World()
    first = world.commit({"a/x.yaml": config_map("x", "1")})
    old = world.commit({"a/x.yaml": config_map("x", "2")})
    follower, daemon = followed(world)
    world.run(1)
    new = world.commit({"a/x.yaml": config_map("x", "3")}, parent=first)
    world.run(45)
    world.repo.move(MAIN, old)
    world.run(45)
    world.repo.move(MAIN, new)
    world.run(120)
    assert follower.commits == [old, new] and len(daemon.said("the branch went back")) == 1


# -- files that cannot be read ----------


def test_a_broken_file_holds_its_folder_as_it_last_was_whole() -> None:
    world = World()
    good = world.commit({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y"), "b/z.yaml": config_map("z")})
    follower, _ = followed(world)
    world.run(1)
    world.commit({"a/x.yaml": BROKEN})
    world.commit({"a/y.yaml": config_map("y", "2"), "a/new.yaml": config_map("new"), "b/z.yaml": config_map("z", "2")})
    world.run(5)
    desired = follower.desired
    assert names(desired, "a") == [("a/x.yaml", "1"), ("a/y.yaml", "1")] and names(desired, "b") == [("b/z.yaml", "2")]
    assert desired.settled["a"].commit and desired.settled["a"].commit.id == good
    assert [file.path for file in desired.unreadable("a")] == ["a/x.yaml"]
    assert index(desired) == {("a/x.yaml", 0): "1", ("a/y.yaml", 0): "2", ("a/new.yaml", 0): "1", ("b/z.yaml", 0): "2"}
    world.commit({"a/x.yaml": None})
    world.run(5)
    assert names(desired, "a") == [("a/new.yaml", "1"), ("a/y.yaml", "2")] and desired.settled == {}


def test_what_was_asked_of_a_manifest_is_kept_as_long_as_the_manifest() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x"), "a/y.yaml": config_map("y")})
    follower, _ = followed(world)
    world.run(1)
    desired = follower.desired
    for text in (config_map("x", "2"), BROKEN, config_map("x", "3")):
        world.commit({"a/x.yaml": text, "a/y.yaml": config_map("y", text[-5:])})
        world.run(5)
        asked, wrong = desired.wanted(desired.manifests("a"))
        assert asked == desired.wanted(desired.manifests("a"))[0] and len(asked) == 2 and not wrong
    assert len(desired._wanted) == 2


def test_what_is_wrong_with_what_a_manifest_asks_is_kept_as_long_too() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x", wave="first"), "a/y.yaml": config_map("y"), "a/z.yaml": config_map("z", wave="last")})
    follower, _ = followed(world)
    world.run(1)
    desired = follower.desired
    for _ in range(2):
        asked, wrong = desired.wanted(desired.manifests("a"))
        assert [want.id.name for want in asked] == ["x", "y", "z"] and [problem.place.path for problem in wrong] == ["a/x.yaml", "a/z.yaml"]
    world.commit({"a/x.yaml": config_map("x"), "a/z.yaml": None})
    world.run(60)
    assert desired.wanted(desired.manifests("a"))[1] == () and not desired._wrong


def test_a_folder_that_is_broken_at_the_start_is_looked_up_in_history() -> None:
    world = World()
    good = world.commit({"a/x.yaml": config_map("x")})
    for i in range(3):
        world.commit({"a/x.yaml": f"{BROKEN} # {i}"})
    follower, daemon = followed(world)
    world.run(1)
    assert names(follower.desired, "a") == [("a/x.yaml", "1")] and follower.desired.lost == {}
    assert follower.desired.settled["a"].commit and follower.desired.settled["a"].commit.id == good
    assert len(of_kind(daemon, ReadPast)) == 3
    assert index(follower.desired) == {("a/x.yaml", 0): "1"}


def test_a_folder_that_was_never_whole_is_held_with_nothing() -> None:
    world = World()
    world.commit({"b/y.yaml": config_map("y")})
    world.commit({"a/x.yaml": BROKEN, "a/y.yaml": config_map("y")})
    follower, _ = followed(world)
    world.run(1)
    assert names(follower.desired, "a") == [] and "a" in follower.desired.settled


def test_a_file_that_is_broken_in_rewritten_history_counts_as_that_history_says() -> None:
    """Not as the commit that is gone from it said: a daemon that begins anew would not know that one."""
    world = World()
    world.commit({"a/x.yaml": config_map("x", "1"), "b/y.yaml": config_map("y")})
    broken = world.commit({"a/x.yaml": "a: ["})
    world.commit({"a/x.yaml": config_map("x", "2")})
    follower, _ = followed(world)
    world.run(1)
    assert names(follower.desired, "a") == [("a/x.yaml", "2")]
    world.commit({"b/y.yaml": config_map("y", "2")}, parent=broken)
    world.run(5)
    assert names(follower.desired, "a") == [("a/x.yaml", "1")]


def test_a_folder_that_rewritten_history_never_had_whole_is_held_with_nothing() -> None:
    """As for a daemon that begins anew; what kinds read of it stands, for nothing is dropped because it cannot be read."""
    world = World()
    broken = world.commit({"a/x.yaml": "a: [", "b/y.yaml": config_map("y")})
    world.commit({"a/x.yaml": config_map("x")})
    follower, _ = followed(world)
    world.run(1)
    assert names(follower.desired, "a") == [("a/x.yaml", "1")]
    world.commit({"b/y.yaml": config_map("y", "2")}, parent=broken)
    world.run(5)
    assert names(follower.desired, "a") == [] and follower.desired.settled["a"].commit is None and follower.desired.lost == {}
    assert index(follower.desired)["a/x.yaml", 0] == "1"


@pytest.mark.parametrize("failures", [1, 3])
def test_history_that_cannot_be_read_now_is_read_later(failures: int) -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x")})
    world.commit({"a/x.yaml": BROKEN})
    world.rule(lambda e: isinstance(e, ReadPast), lambda e, p: PastRead(e.id, GitFailure("busy")), times=failures)
    follower, _ = followed(world)
    world.run(20)
    assert names(follower.desired, "a") == [("a/x.yaml", "1")]


def test_an_answer_about_history_that_comes_after_the_mending_changes_nothing() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x")})
    world.commit({"a/x.yaml": BROKEN})
    world.rule(lambda e: isinstance(e, ReadPast), lambda e, p: p(), seconds=10)
    follower, _ = followed(world)
    world.run(1)
    world.commit({"a/x.yaml": config_map("x", "3")})
    world.run(20)
    assert names(follower.desired, "a") == [("a/x.yaml", "3")] and follower.desired.settled == {}


PATHS = ("a/1.yaml", "a/2.yaml", "b/1.yaml", "c.yaml", "b/deep/1.yaml")
COMMITS = st.lists(st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["0", "1", "2", BROKEN, None]), max_size=3), max_size=12)


def grow(repo: Repo, changes: dict[str, str | None], number: int) -> None:
    tip = repo.refs.get(MAIN)
    tree = repo.commits[tip][1] if tip else {}

    def text(path: str, value: str | None) -> str | None:
        if value is None or value == BROKEN:
            return value and f"{BROKEN} # {number}"
        return config_map(path.replace("/", "-")[:-5], value)

    texts = {path: text(path, value) for path, value in changes.items()}
    repo.commit({p: t for p, t in texts.items() if t is not None or p in tree})


def expected(repo: Repo) -> tuple[dict[str, list[tuple[str, str]]], dict[tuple[str, int], str]]:
    """By brute force over all trees: each folder as it last was whole, each file as it last could be read."""
    line = [repo.commits[id][1] for id in reversed(repo._line(repo.refs[MAIN]))]
    folders: dict[str, list[tuple[str, str]]] = {}
    files: dict[str, str] = {}
    for tree in line:
        values = {p: None if t.startswith(BROKEN.encode()) else t.decode().split('"v": "')[1][0] for p, t in tree.items()}
        for folder in {p.rpartition("/")[0] or "." for p in PATHS}:
            own = {p: v for p, v in sorted(values.items()) if (p.rpartition("/")[0] or ".") == folder}
            if None not in own.values():
                folders[folder] = [(p, cast(str, v)) for p, v in own.items()]
        files = {p: cast(str, v if v is not None else files.get(p)) for p, v in values.items() if v is not None or p in files}
    return folders, {(p, 0): v for p, v in files.items()}


@settings(max_examples=60)
@given(COMMITS)
def test_what_counts_depends_on_history_and_not_on_when_it_was_read(commits: list[dict[str, str | None]]) -> None:
    world = World()
    world.commit({"keep/k.yaml": config_map("k")})
    always, _ = followed(world)
    world.run(1)
    for number, changes in enumerate(commits):
        grow(world.repo, changes, number)
        always.source._fetch(world.repo.refs[MAIN])
        world.run(0.1)
        if number == len(commits) // 2:
            seldom, _ = followed(world)
            world.run(1)
    fresh, _ = followed(world)
    world.run(60)
    folders, files = expected(world.repo)
    readers = [always, fresh, *([seldom] if commits else [])]
    for reader in readers:
        assert {f: names(reader.desired, f) for f in folders} == folders
        assert reader.desired.lost == {}
    assert {k: v for k, v in index(always.desired).items() if not k[0].startswith("keep")} == {
        k: v for k, v in files.items() if not k[0].startswith("keep")
    }
    tips = {CommitId(reader.commits[-1]) for reader in readers}
    assert tips == {world.repo.refs[MAIN]}


