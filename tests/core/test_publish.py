"""The status branch: what is pushed, when, how often, and what becomes of other people's commits."""

from __future__ import annotations

import pytest

from reconciler.core import publish
from reconciler.core.identity import SourceName, UnitKey, folder
from reconciler.core.kind import Gate
from reconciler.core.messages import Push, ReadFiles
from tests.core.publishing import FLEET, START, STATUS, Branch, Life, commit_of, lane, unit

SHOP = "status/units/apps/shop.yaml"


@pytest.fixture
def branch() -> Branch:
    return Branch()


def begun(branch: Branch, *units, **settings) -> Life:
    life = Life(branch, *(units or (unit(commit=commit_of(1)),)), **settings)
    life.poll()
    return life.run()


def test_the_branch_begins_as_an_orphan(branch: Branch) -> None:
    life = begun(branch)
    assert life.pushes == 1 and branch.parents[branch.refs[STATUS]] is None
    assert sorted(branch.tip) == ["STATUS.md", "status/history.yaml", SHOP]
    assert branch.pushes[0].message.startswith(f"apps/shop: Healthy on eu, us ({commit_of(1).id[:7]})\n\n")
    assert life.publisher.idle and life.source.refs is not None and life.source.refs[STATUS] == branch.refs[STATUS]


def test_at_rest_nothing_is_written(branch: Branch) -> None:
    life = begun(branch)
    for _ in range(120):
        life.poll()
        life.run(30)
    assert life.pushes == 1 and life.logs == []


def test_many_changes_at_once_are_one_commit_with_only_what_changed(branch: Branch) -> None:
    names = [f"apps/a{number}" for number in range(20)]
    life = begun(branch, *(unit(name) for name in names))
    life.say(*(unit(name, "Failed") for name in names[:3]))
    life.run(0.1)
    life.say(unit(names[3], "Held"))
    life.run(5)
    assert life.pushes == 2
    assert sorted(branch.pushes[1].files) == ["STATUS.md", "status/history.yaml", *(f"status/units/{name}.yaml" for name in names[:4])]
    assert branch.pushes[1].message.splitlines()[0] == f"4 units: 3 Failed, 1 Held ({commit_of(1).id[:7]})"


def test_a_changed_state_goes_out_at_once_and_counts_wait(branch: Branch) -> None:
    life = begun(branch, unit(state="Reconciling"))
    for healthy in range(6):
        life.say(unit(state="Reconciling", lanes=(lane(state="Reconciling", healthy=healthy),)))
        life.run(1)
    assert life.pushes == 2 and not life.publisher.idle  # the lanes have become one: that was told; the counts wait
    life.say(unit(state="Healthy", lanes=(lane(),)))
    life.run(1)
    assert life.pushes == 3 and life.publisher.idle


def test_why_something_is_held_is_told_at_once(branch: Branch) -> None:
    life = begun(branch, unit(state="Held", message="a.yaml:3:1: key twice"))
    life.say(unit(state="Held", message="a.yaml:9:1: key twice"))
    life.run(1)
    assert life.pushes == 2 and "* a.yaml:9:1: key twice\n" in branch.page


def test_counts_are_told_in_the_end(branch: Branch) -> None:
    life = begun(branch, unit(state="Reconciling", lanes=(lane(state="Reconciling", healthy=1),)))
    life.say(unit(state="Reconciling", lanes=(lane(state="Reconciling", healthy=2),)))
    life.run(20)
    assert life.pushes == 1
    life.run(20)
    assert life.pushes == 2 and b"healthy: 2" in branch.tip[SHOP]


def test_an_endless_storm_is_told_less_and_less_often(branch: Branch) -> None:
    life = begun(branch)
    for number in range(600):
        life.say(unit(state="Waiting", waits_for=f"person {number}"))
        life.run(0.5)
    assert 15 <= life.pushes <= 30  # in 300 seconds
    life.run(3600)
    life.say(unit())
    life.run(1)
    assert life.publisher.idle and "1 Healthy" in branch.page


def test_a_restart_in_an_unchanged_world_writes_nothing(branch: Branch) -> None:
    first = begun(branch, unit(commit=commit_of(1)), unit("apps/news", "Failed"))
    second = Life(branch, unit(commit=commit_of(1)), unit("apps/news", "Failed"), now=first.now + 3600)
    second.poll()
    second.run(600)
    assert second.pushes == 0 and second.publisher.idle
    assert second.told.since.states[folder(FLEET, "apps/shop")] == ("Healthy", START)


def test_what_is_looked_at_after_a_restart_is_not_told_as_unknown(branch: Branch) -> None:
    first = begun(branch)
    second = Life(branch, unit(state="Unknown", commit=commit_of(1)), now=first.now + 60, settled=False)
    second.poll()
    second.run(10)
    second.say(unit(commit=commit_of(1)))
    second.run(1)
    second.told.settled = True
    second.run(60)
    assert second.pushes == 0 and second.told.since.states[folder(FLEET, "apps/shop")] == ("Healthy", START)


def test_what_is_still_unknown_long_after_a_restart_is_told(branch: Branch) -> None:
    first = begun(branch)
    second = Life(branch, unit(state="Unknown", commit=commit_of(1)), now=first.now + 60, settled=False)
    second.poll()
    second.run(publish.START_LIMIT_SECONDS + 2)
    assert second.pushes == 1 and b"state: Unknown" in branch.tip[SHOP]


def test_times_survive_a_restart_also_where_others_changed(branch: Branch) -> None:
    first = begun(branch, unit(), unit("apps/news"))
    second = Life(branch, unit(), unit("apps/news", "Failed"), now=first.now + 3600)
    second.poll()
    second.run()
    assert second.pushes == 1 and SHOP not in branch.pushes[1].files
    assert "| Failed | 2023-11-14T23:13" in branch.page and "| Healthy | 2023-11-14T22:13:20Z |" in branch.page


def test_a_state_left_and_come_back_to_has_a_new_time(branch: Branch) -> None:
    first = begun(branch, unit())
    second = Life(branch, unit(), now=first.now + 3600)
    second.poll()
    second.run()
    second.say(unit(state="Failed"))
    second.run(60)
    second.say(unit())
    second.run(60)
    assert second.pushes == 2 and second.told.since.states[folder(FLEET, "apps/shop")][1] > START + 3600


def test_a_restart_remembers_by_which_commit_a_unit_changed(branch: Branch) -> None:
    first = begun(branch, unit(commit=commit_of(1)), unit("apps/news", commit=commit_of(1)))
    first.read(commit_of(2))
    first.say(unit(commit=commit_of(2)))
    first.run()
    second = Life(branch, now=first.now + 60)
    second.read(commit_of(2))
    second.told.set(unit(commit=commit_of(2)), unit("apps/news", commit=commit_of(2)))  # all that a first read can know
    second.poll()
    second.run(60)
    assert second.pushes == 0
    second.read(commit_of(3))
    second.say(unit("apps/news", commit=commit_of(3)))
    second.run()
    assert f"`{commit_of(2).id[:7]}`" in branch.page and f"`{commit_of(3).id[:7]}`" in branch.page
    assert commit_of(1).id.encode() not in branch.tip["status/units/apps/news.yaml"]


def test_a_commit_that_changes_no_unit_is_told(branch: Branch) -> None:
    life = begun(branch)
    life.read(commit_of(2, "Words only"))
    life.run()
    assert life.pushes == 2 and f"`{commit_of(2).id[:7]}` Words only" in branch.page
    assert sorted(branch.pushes[1].files) == ["STATUS.md", "status/history.yaml"]


def test_the_file_of_a_unit_that_is_gone_is_removed(branch: Branch) -> None:
    life = begun(branch, unit(), unit("apps/news"))
    del life.told.units[folder(FLEET, "apps/news")]
    life.publisher.touch()
    life.run()
    assert sorted(branch.tip) == ["STATUS.md", "status/history.yaml", SHOP]
    assert branch.pushes[1].message.startswith("apps/news: gone (")


def test_another_writer_in_between_loses_nothing(branch: Branch) -> None:
    life = begun(branch)
    once = [lambda: branch.write({"pins/a": b"theirs", "STATUS.md": b"by hand"})]
    branch.before_push = lambda: once.pop()() if once else None
    life.say(unit(state="Failed"))
    life.run()
    assert life.pushes == 3 and branch.tip["pins/a"] == b"theirs" and "| Failed |" in branch.page
    ours = branch.refs[STATUS]
    theirs = branch.parents[ours]
    assert theirs is not None and branch.files[theirs]["STATUS.md"] == b"by hand" and life.logs == []


def test_what_another_writes_at_rest_is_read_and_set_right(branch: Branch) -> None:
    life = begun(branch)
    branch.write({"pins/a": b"theirs"})
    life.poll()
    life.run(60)
    assert life.pushes == 1 and sum(isinstance(effect, ReadFiles) for effect in life.effects) == 1
    branch.write({SHOP: b"by hand", "status/units/odd": b"?"})
    life.poll()
    life.run(60)
    assert life.pushes == 2 and branch.tip["pins/a"] == b"theirs" and b"state: Healthy" in branch.tip[SHOP]
    assert "status/units/odd" not in branch.tip


def test_a_branch_that_somebody_deletes_begins_again(branch: Branch) -> None:
    life = begun(branch)
    del branch.refs[STATUS]
    life.poll()
    life.run()
    assert life.pushes == 2 and branch.parents[branch.refs[STATUS]] is None and SHOP in branch.tip


def test_a_refused_push_is_told_once_and_tried_less_and_less_often(branch: Branch) -> None:
    branch.fail = "refused"
    life = begun(branch)
    life.run(4 * 3600)
    assert [log.message for log in life.logs] == ["status not published"]
    assert life.publisher.idle and life.publisher.problem == "refused: the branch is protected"
    assert 20 <= life.pushes <= 45
    branch.fail = ""
    life.run(publish.BACK_OFF_CAP_SECONDS * 1.3)
    assert [log.message for log in life.logs] == ["status not published", "status published again"]
    assert life.publisher.problem == "" and SHOP in branch.tip


def test_a_lost_answer_is_found_out_and_nothing_pushed_twice(branch: Branch) -> None:
    branch.fail = "lost answer"
    life = begun(branch)
    branch.fail = ""
    life.run(60)
    assert life.pushes == 1 and life.publisher.idle and life.publisher.problem == ""


def test_a_repository_that_does_not_answer_is_asked_later(branch: Branch) -> None:
    life = begun(branch)
    branch.fail = "unreachable"
    life.say(unit(state="Failed"))
    life.run(120)
    assert life.pushes == 2 and len(life.logs) == 1
    branch.fail = ""
    life.run(600)
    assert life.pushes == 3 and "| Failed |" in branch.page


def test_races_lost_again_and_again_are_told(branch: Branch) -> None:
    life = begun(branch)
    count = iter(range(1000))
    branch.before_push = lambda: branch.write({"x": str(next(count)).encode()})
    life.say(unit(state="Failed"))
    life.run(60)
    assert len(life.logs) == 1 and "stale" in str(life.logs[0].facts)


def test_two_daemons_do_not_answer_each_other(branch: Branch) -> None:
    begun(branch)
    other = begun(branch, unit(state="Failed"), installation="two")
    other.run(3600)
    assert other.pushes == 0 and other.publisher.idle and len(other.logs) == 1
    assert "another daemon" in other.publisher.problem


def test_the_branch_does_not_tell_the_installation_s_id(branch: Branch) -> None:
    begun(branch)
    text = branch.tip["status/history.yaml"]
    assert b"one" not in text
    assert text.splitlines()[1] == b"commits: 1"


def test_the_followed_branch_is_never_written_to(branch: Branch) -> None:
    life = begun(branch, status_branch="main")
    life.run(3600)
    assert life.effects == [] and len(life.logs) == 1 and life.publisher.idle


def test_without_a_branch_nothing_happens(branch: Branch) -> None:
    life = begun(branch, status_branch="")
    assert life.effects == [] and life.publisher.idle


def test_nothing_is_told_before_a_commit_is_read(branch: Branch) -> None:
    life = Life(branch)
    life.source.desired.commit = None
    life.poll()
    life.run(60)
    assert life.effects == [] and life.publisher.idle


def test_a_source_that_follows_nothing_lists_refs_for_itself(branch: Branch) -> None:
    life = Life(branch, unit())
    life.run(5)  # never told of refs
    life.say(unit(state="Failed"))
    life.run(5)
    assert life.pushes == 2 and SHOP in branch.tip and life.publisher.idle


def test_history_is_bounded_and_a_new_beginning_loses_no_file(branch: Branch) -> None:
    life = begun(branch)
    branch.write({"pins/a": b"theirs"})
    life.poll()
    for number in range(publish.HISTORY_LIMIT):
        life.say(unit(state="Failed" if number % 2 else "Held"))
        life.run(31)
    assert life.pushes == publish.HISTORY_LIMIT + 1
    assert branch.parents[branch.refs[STATUS]] is None and branch.pushes[-1].force
    assert sum(push.force for push in branch.pushes) == 1
    assert sorted(branch.tip) == ["STATUS.md", "pins/a", "status/history.yaml", SHOP]
    life.say(unit())
    life.run()
    assert b"commits: 2\n" in branch.tip["status/history.yaml"] and branch.parents[branch.refs[STATUS]] is not None


def test_files_are_bounded_and_the_page_says_how_many_more(branch: Branch) -> None:
    count = publish.UNIT_FILES_LIMIT + 3
    life = begun(branch, *(unit(f"apps/a{number}") for number in range(count)))
    assert len(branch.tip) == publish.UNIT_FILES_LIMIT + 2
    assert f"{count} units: {count} Healthy" in branch.page and len(branch.tip["STATUS.md"]) <= 1_000_000
    assert len(branch.pushes[0].message.splitlines()) < 60
    life.say(unit("apps/a1", "Failed"))
    life.run()
    assert sorted(branch.pushes[1].files) == ["STATUS.md", "status/history.yaml", "status/units/apps/a1.yaml"]


def test_a_root_s_record_is_shown_and_no_secret_in_it(branch: Branch) -> None:
    key = UnitKey(SourceName("fleet"), "solution.symphony", "Instance", "", "checkout")
    record = {"position": 2, "kept": [{"kind": "Secret", "data": {"token": "c2VjcmV0"}}, {"kind": "ConfigMap", "data": {"a": "b"}}]}
    gate = Gate("canary", "sha256:" + "a" * 64, "move 10 % of traffic")
    begun(branch, unit(key=key, state="Waiting", record=record, gates=((gate, ""),), waits_for="approval: merge branch x"))
    text = branch.tip["status/units/Instance.solution.symphony/checkout.yaml"].decode()
    assert "position: 2" in text and "c2VjcmV0" not in text and 'token: "***"' in text and "a: b" in text
    assert branch.page.index("## Waits for a person") < branch.page.index("## Units")
    assert "merge branch x" in branch.page and "move 10 % of traffic" in branch.page


def test_the_commit_says_that_it_is_ours(branch: Branch) -> None:
    begun(branch)
    push = branch.pushes[0]
    assert isinstance(push, Push) and push.message.endswith("\nReconciler-Status: 1\n") and push.at > START
