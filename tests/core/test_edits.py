"""Edits of files in Git: made once for their key, only onto what was searched, and never against a person."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.core.edits import OFFERED_LIMIT, branch
from reconciler.core.messages import FindTrailer, GitFailure, Push, Pushed, TrailerFound
from reconciler.core.settings import Commits, SourceSettings
from reconciler.kinds import KINDS
from reconciler.sim.git import MAIN
from tests.core.driver import Daemon, World, manifest
from tests.kinds import switches
from tests.kinds.switches import key

FILE = """\
# what runs
apiVersion: test.reconciler.dev/v1
kind: Switch
metadata: {name: NAME, namespace: default}
spec:
  stage: a # as of today
  then: b
"""


@pytest.fixture
def world() -> World:
    return World(kinds=(*KINDS, switches.KIND))


def start(world: World, commits: Commits = "direct", path: str = "", **more: Any) -> Daemon:
    daemon = world.daemon()
    world.kill(daemon)
    settings = daemon.engine.settings
    sources = tuple(dataclasses.replace(source, commits=commits, path=path, **more) for source in settings.sources)
    made = world.start(dataclasses.replace(settings, sources=sources))
    assert isinstance(made, Daemon)
    return made


def file(name: str = "demo", stage: str = "a", then: str = "b") -> str:
    return FILE.replace("NAME", name).replace("stage: a", f"stage: {stage}").replace("then: b", f"then: {then}")


def stage(world: World, name: str = "demo") -> str:
    """What the cluster says."""
    found = world.get(name)
    return found["data"]["stage"] if found else ""


def with_key(world: World, wanted: str, ref: str = MAIN) -> list[str]:
    """The commits of a branch that carry a key."""
    line = f"Reconciler-Edit: {wanted}"
    return [id for id in world.repo.history(world.repo.refs.get(ref)) if line in world.repo.messages[id].splitlines()]


def pushes(daemon: Daemon, ref: str = "") -> list[Push]:
    return [effect for effect in daemon.sent if isinstance(effect, Push) and effect.ref.startswith(ref)]


def record(daemon: Daemon, name: str = "demo") -> Any:
    found = next((r.value for k, r in daemon.engine.store.records.items() if k.endswith(f"Switch/default/{name}")), None)
    return next(reversed(found.values())) if found else None


def told(daemon: Daemon, name: str = "demo") -> str:
    return next((unit.waits_for for unit in daemon.report.units if unit.key.name == name), "nothing yet")


# -- direct ----------


def test_a_scalar_is_committed_to_the_branch(world: World) -> None:
    daemon = start(world)
    before = world.commit({"apps/demo.yaml": file(), "apps/other.yaml": manifest("v1", "ConfigMap", "x", "default")})
    world.until(lambda: stage(world) == "b")
    tip = world.repo.refs[MAIN]
    commit, tree = world.repo.commits[tip]
    assert tree["apps/demo.yaml"].decode() == file(stage="b") and commit.parent == before
    assert world.repo.messages[tip].splitlines()[:4] == [
        "Let demo be b",
        "",
        "Changes spec.stage at apps/demo.yaml:6:10",
        f"and nothing else, as the plan of Switch default/demo asks for at commit {before[:7]}.",
    ]
    assert f"Reconciler-Edit: {key('demo', 'b')}" in world.repo.messages[tip].splitlines()
    world.settle(daemon)
    assert record(daemon)["done"] and len(pushes(daemon)) == 1 and not pushes(daemon)[0].force
    assert sum(isinstance(effect, FindTrailer) for effect in daemon.sent) == 1


def test_once_it_is_read_nothing_moves_any_more(world: World) -> None:
    """`run --once` ends then, and not when the patience with a lost push does."""
    daemon = start(world)
    world.commit({"demo.yaml": file()})
    world.until(lambda: bool(pushes(daemon)))
    assert not daemon.report.settled
    world.until(lambda: stage(world) == "b")
    world.run(10)
    assert daemon.report.settled


def test_in_a_folder_of_the_repository(world: World) -> None:
    daemon = start(world, path="deploy")
    world.commit({"demo.yaml": file()})
    world.until(lambda: bool(pushes(daemon)))
    assert list(pushes(daemon)[0].files) == ["deploy/demo.yaml"]


def test_a_person_who_changes_it_back_is_not_overruled(world: World) -> None:
    daemon = start(world)
    world.commit({"demo.yaml": file()})
    world.until(lambda: stage(world) == "b")
    for again in (False, True):
        world.commit({"demo.yaml": file() + "# again\n" * again})
        if again:
            daemon = world.restart(daemon)
        world.until(lambda: stage(world) == "a")
        world.never(lambda: stage(world) == "b", 600)
    assert len(with_key(world, key("demo", "b"))) == 1


def test_nor_if_the_record_of_it_was_lost_on_the_way(world: World) -> None:
    """Landed and changed back before anybody heard of it: history knows."""
    daemon = start(world)
    world.commit({"demo.yaml": file()})
    world.until(lambda: bool(with_key(world, key("demo", "b"))))
    world.kill(daemon)
    world.commit({"demo.yaml": file()})
    daemon = world.restart(daemon)
    world.until(lambda: record(daemon) is not None and record(daemon)["done"])
    world.settle(daemon)
    assert stage(world) == "a" and len(with_key(world, key("demo", "b"))) == 1 and pushes(daemon) == []


def test_a_squashed_or_merged_commit_counts(world: World) -> None:
    """Whoever brought the key to the branch, and however."""
    world.commit({"demo.yaml": file()})
    daemon = start(world, commits="propose")
    ref = branch(key("demo", "b"))
    world.until(lambda: ref in world.repo.refs)
    world.repo.merge(ref)
    world.commit({"demo.yaml": file()})  # and back at once: nobody of us has seen it otherwise
    world.until(lambda: record(daemon)["done"])
    world.settle(daemon)
    assert stage(world) == "a" and len(pushes(daemon)) == 1


def test_what_stands_there_already_needs_no_commit(world: World) -> None:
    """A person was faster."""
    daemon = start(world)
    world.rule(lambda e: isinstance(e, FindTrailer), lambda e, perform: perform(), times=1, seconds=5)
    world.commit({"demo.yaml": file()})
    world.until(lambda: any(isinstance(effect, FindTrailer) for effect in daemon.sent))
    world.commit({"demo.yaml": file(stage="b")})
    world.until(lambda: record(daemon)["done"])
    assert stage(world) == "b" and pushes(daemon) == []


def test_another_commit_meanwhile_makes_it_look_again(world: World) -> None:
    daemon = start(world)
    world.commit({"demo.yaml": file()})
    once: Iterator[str] = iter(["x.yaml"])

    def race(effect: Push, perform: Any) -> Any:
        world.commit({next(once): manifest("v1", "ConfigMap", "x", "default")}, hint=False)
        return perform()

    world.rule(lambda e: isinstance(e, Push), race)
    world.until(lambda: stage(world) == "b")
    first, second = pushes(daemon)
    assert first.expected != second.expected == second.base
    assert "x.yaml" in world.repo.tree() and len(with_key(world, key("demo", "b"))) == 1


@pytest.mark.parametrize("happened", [True, False])
def test_an_answer_that_is_lost_is_looked_for(world: World, happened: bool) -> None:
    def unheard(effect: Push, perform: Any) -> Pushed:
        if happened:
            perform()
        return Pushed(effect.id, "unreachable", message="connection reset by peer")

    daemon = start(world)
    world.rule(lambda e: isinstance(e, Push), unheard)
    world.commit({"demo.yaml": file()})
    world.until(lambda: record(daemon) is not None and record(daemon)["done"])
    world.settle(daemon)
    assert len(with_key(world, key("demo", "b"))) == 1 and stage(world) == "b"
    assert len(pushes(daemon)) == (1 if happened else 2)


def test_a_protected_branch_is_told_and_tried_later_and_later(world: World) -> None:
    daemon = start(world)
    world.repo.refused[MAIN] = "protected branch"
    world.commit({"demo.yaml": file()})
    world.until(lambda: "refused: protected branch" in told(daemon))
    assert told(daemon) == "Let demo be b: refused: protected branch"
    world.settle(daemon)
    begun, count = world.steady, len(pushes(daemon))
    world.run(4000)
    assert world.steady - begun >= 4000 and count + 5 <= len(pushes(daemon)) <= count + 13
    assert {push.ref for push in pushes(daemon)} == {MAIN}, "never another way than the one that is configured"
    assert len(daemon.said("edit refused")) == 1
    del world.repo.refused[MAIN]
    world.until(lambda: stage(world) == "b", 5000)
    assert told(daemon) == ""


def test_what_only_a_person_can_change_is_told_once(world: World) -> None:
    daemon = start(world)
    world.commit({"demo.yaml": file().replace("stage: a", "stage: &x a")})
    world.until(lambda: "refused" in told(daemon))
    assert told(daemon) == "Let demo be b: refused: demo.yaml:6:10: &x marks what may be repeated elsewhere; change it by hand"
    world.settle(daemon)
    world.never(lambda: bool(pushes(daemon)), 4000)
    world.commit({"demo.yaml": file()})
    world.until(lambda: stage(world) == "b")


def test_a_history_that_cannot_be_searched_pushes_nothing(world: World) -> None:
    daemon = start(world)
    unknown = GitFailure("more than 1000 commits since abc", permanent=True)
    rule = world.rule(lambda e: isinstance(e, FindTrailer), lambda e, p: TrailerFound(e.id, unknown), times=10**6)
    world.commit({"demo.yaml": file()})
    world.until(lambda: "more than 1000 commits" in told(daemon))
    world.never(lambda: bool(pushes(daemon)), 600)
    rule.times = 0
    world.until(lambda: stage(world) == "b", 4000)


def test_a_tag_is_no_branch(world: World) -> None:
    daemon = start(world, ref="refs/tags/v1")
    world.commit({"demo.yaml": file()}, ref="refs/tags/v1")
    world.until(lambda: "refused" in told(daemon))
    assert told(daemon).endswith("refused: source fleet follows no branch that could be committed to")
    assert pushes(daemon) == []


def test_many_are_committed_one_after_the_other(world: World) -> None:
    daemon = start(world)
    names = [f"s{number}" for number in range(12)]
    world.commit({f"{name}.yaml": file(name) for name in names})
    world.until(lambda: all(stage(world, name) == "b" for name in names), 60)
    assert all(len(with_key(world, key(name, "b"))) == 1 for name in names)
    assert len(pushes(daemon)) == len(names), "none was pushed in vain"


def test_a_plan_that_asks_no_more_gets_nothing(world: World) -> None:
    """Between the search and the push a person takes the wish back."""
    daemon = start(world)
    world.rule(lambda e: isinstance(e, FindTrailer), lambda e, perform: perform(), times=1, seconds=5)
    world.commit({"demo.yaml": file()})
    world.until(lambda: any(isinstance(effect, FindTrailer) for effect in daemon.sent))
    world.commit({"demo.yaml": file(then="a")})
    world.settle(daemon)
    world.never(lambda: bool(pushes(daemon)), 100)
    assert daemon.engine.edits.asked == {}


# -- offered ----------


def test_an_edit_is_offered_and_merged(world: World) -> None:
    daemon = start(world, commits="propose")
    base = world.commit({"demo.yaml": file()})
    ref = branch(key("demo", "b"))
    assert ref.startswith("refs/heads/reconciler/edit/switch-demo-b-")
    world.until(lambda: ref in world.repo.refs)
    world.settle(daemon)
    assert world.repo.tree(ref)["demo.yaml"].decode() == file(stage="b")
    assert world.repo.commits[world.repo.refs[ref]][0].parent == base
    assert told(daemon) == f"Let demo be b: merge branch {ref.removeprefix('refs/heads/')}"
    world.never(lambda: len(pushes(daemon)) > 1, 600)
    world.repo.merge(ref)
    world.hint()
    world.until(lambda: stage(world) == "b")
    world.settle(daemon)
    assert record(daemon)["done"] and told(daemon) == "" and len(pushes(daemon)) == 1


def test_the_branch_stands_on_the_file_as_it_is(world: World) -> None:
    daemon = start(world, commits="propose")
    ref = branch(key("demo", "b"))
    world.commit({"demo.yaml": file()})
    world.until(lambda: ref in world.repo.refs)
    world.commit({"x.yaml": manifest("v1", "ConfigMap", "x", "default")})
    world.settle(daemon)
    assert len(pushes(daemon)) == 1, "another file has nothing to do with it"
    newer = file().replace("# what runs", "# what runs here")
    base = world.commit({"demo.yaml": newer})
    world.until(lambda: world.repo.commits[world.repo.refs[ref]][0].parent == base)
    assert world.repo.tree(ref)["demo.yaml"].decode() == newer.replace("stage: a", "stage: b")
    world.settle(daemon)
    assert [push.force for push in pushes(daemon)] == [False, True]


def test_a_new_life_finds_the_branch(world: World) -> None:
    daemon = start(world, commits="propose")
    ref = branch(key("demo", "b"))
    world.commit({"demo.yaml": file()})
    world.until(lambda: ref in world.repo.refs)
    world.repo.commit({"notes.txt": "a person's"}, ref=ref)
    daemon = world.restart(daemon)
    world.until(lambda: "merge branch" in told(daemon))
    world.settle(daemon)
    assert pushes(daemon) == [] and "notes.txt" in world.repo.tree(ref)


def test_a_branch_that_cannot_be_made_is_told(world: World) -> None:
    daemon = start(world, commits="propose")
    ref = branch(key("demo", "b"))
    world.repo.refused[ref] = "no rights"
    world.commit({"demo.yaml": file()})
    world.until(lambda: "refused: no rights" in told(daemon))
    del world.repo.refused[ref]
    world.until(lambda: "merge branch" in told(daemon), 300)


def test_what_was_offered_is_told_so_again_after_git_was_away(world: World) -> None:
    """Found by a seed: Git refused us while a newer commit was searched, and nobody took that back."""
    daemon = start(world, commits="propose")
    world.commit({"demo.yaml": file()})
    world.until(lambda: "merge branch" in told(daemon))
    forbidden = GitFailure("the server does not let us in (401)", permanent=True)
    world.rule(lambda e: isinstance(e, FindTrailer), lambda e, p: TrailerFound(e.id, forbidden))
    world.commit({"x.yaml": manifest("v1", "ConfigMap", "x", "default")})
    world.until(lambda: "refused: the server" in told(daemon))
    world.until(lambda: "merge branch" in told(daemon))
    assert len(pushes(daemon)) == 1


def test_a_look_that_is_late_holds_nobody_up(world: World) -> None:
    """Found by a seed: a lost race was looked into after the next push had come through, and what that waited for was forgotten."""
    daemon = start(world)
    world.rule(lambda e: isinstance(e, Push), lambda e, p: Pushed(e.id, "stale"), seconds=0.5)
    world.commit({"demo.yaml": file()})
    world.until(lambda: len(pushes(daemon)) == 1)
    world.commit({"demo.yaml": file(then="c")})
    world.until(lambda: stage(world) == "c")
    world.run(200)
    assert not daemon.engine.edits.moving


def test_so_many_branches_at_once_and_the_next_when_one_is_answered(world: World) -> None:
    daemon = start(world, commits="propose")
    names = [f"s{number:02}" for number in range(OFFERED_LIMIT + 3)]
    world.commit({f"{name}.yaml": file(name) for name in names})

    def refs() -> list[str]:
        return [ref for ref in world.repo.refs if ref.startswith("refs/heads/reconciler/edit/")]

    world.until(lambda: len(refs()) == OFFERED_LIMIT)
    world.settle(daemon)
    waiting = [name for name in names if branch(key(name, "b")) not in world.repo.refs]
    assert len(waiting) == 3
    world.never(lambda: len(refs()) > OFFERED_LIMIT, 100)
    daemon = world.restart(daemon)
    world.settle(daemon)
    assert len(refs()) == OFFERED_LIMIT, "a new life goes on with those that it finds"
    world.repo.merge(refs()[0])
    world.hint()
    world.until(lambda: len(refs()) == OFFERED_LIMIT + 1)


def test_what_is_only_to_be_offered_is_not_committed(world: World) -> None:
    daemon = start(world)
    world.commit({"demo.yaml": file() + "  offer: true\n", "other.yaml": file("other")})
    world.until(lambda: "merge branch" in told(daemon) and stage(world, "other") == "b")
    world.settle(daemon)
    assert stage(world) == "a" and sorted(push.ref for push in pushes(daemon)) == [MAIN, branch(key("demo", "b"))]


# -- neither ----------


def test_where_only_records_change_git_is_left_alone(world: World) -> None:
    daemon = start(world, commits="record")
    world.commit({"demo.yaml": file()})
    world.until(lambda: record(daemon) is not None and record(daemon)["done"])
    world.settle(daemon)
    assert not [effect for effect in daemon.sent if isinstance(effect, Push | FindTrailer)]


def test_who_only_plans_or_stands_by_edits_nothing(world: World) -> None:
    leader = start(world)
    other = world.start(dataclasses.replace(leader.engine.settings, identity="two"))
    planner = world.start(dataclasses.replace(leader.engine.settings, identity="plan", act=False))
    world.commit({"demo.yaml": file()})
    world.until(lambda: stage(world) == "b")
    for daemon in (other, planner):
        assert not [effect for effect in daemon.sent if isinstance(effect, Push | FindTrailer)]


# -- names ----------


def test_no_two_keys_share_a_branch() -> None:
    keys = ["a/b", "a-b", "A-b", "a b", "a_b", "a/b/c", "a-b/c", "a/b-c", "x" * 80, "x" * 81, "é", "-", "top"]
    assert len({branch(one) for one in keys}) == len(keys)
    assert branch("a-b") == "refs/heads/reconciler/edit/a-b"


def test_a_source_of_ours_offers_unless_told_otherwise() -> None:
    assert SourceSettings.__dataclass_fields__["commits"].default == "propose"
