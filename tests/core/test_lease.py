"""Which of two daemons may act, whatever the network does to their Lease."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.lease import ACT_SECONDS, SPARE_SECONDS, STANDBY_SECONDS, TERM_SECONDS
from reconciler.core.messages import Answer, GitFailure, Input, ListRefs, RefsListed, Request, Stop
from reconciler.sim.git import MAIN
from tests.core.driver import Daemon, Perform, World, asks, config_map, lost, says, unheard, value

LEASES = "/apis/coordination.k8s.io/v1/namespaces/reconciler-system/leases"
LEASE = f"{LEASES}/reconciler"


def leads(world: World, daemon: Daemon) -> bool:
    return world.steady < daemon.engine.store.lease._held_until


def of(daemon: Daemon, method: str) -> Any:
    """Requests about the Lease by one daemon."""
    return lambda e: asks(method, LEASES)(e) and any(e is sent for sent in daemon.sent[-1:])


def two(world: World) -> tuple[Daemon, Daemon]:
    world.commit({"a/x.yaml": config_map("x")})
    one = world.daemon("one")
    world.settle(one)
    two = world.daemon("two")
    world.run(2)
    return one, two


def test_the_second_stands_by_and_says_for_whom() -> None:
    world = World()
    one, other = two(world)
    assert leads(world, one) and not leads(world, other)
    assert not other.report.leading and other.report.standing_by == (
        "one holds the Lease; this daemon stands by, and acts when that one stops, or is not heard of for 30 s"
    )
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.settle(one)
    assert other.requests() == [] and len(one.requests("PATCH")) == 2


def test_after_a_crash_the_other_waits_for_a_whole_term_of_its_own_clock() -> None:
    world = World()
    one, other = two(world)
    world.kill(one)
    died_at = world.steady
    world.until(lambda: leads(world, other), 60)
    assert TERM_SECONDS - 6 <= world.steady - died_at <= TERM_SECONDS + 3
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.settle(other)
    assert world.get("x")["data"] == {"v": "2"}  # type: ignore[index]
    assert len(other.requests("PATCH")) == 1, "the same installation: what stands is known"


def test_who_stops_gives_it_back_at_once() -> None:
    world = World()
    one, other = two(world)
    one.inbox.append(Stop())
    world.until(lambda: leads(world, other), STANDBY_SECONDS * 1.2 + 1)
    before = len(one.sent)
    world.never(lambda: leads(world, one), 60)
    assert len(one.sent) == before


def test_ones_own_former_life_is_taken_over_from_at_once() -> None:
    world = World()
    one, other = two(world)
    again = world.restart(one)
    begun = world.steady
    world.until(lambda: leads(world, again), 10)
    assert world.steady - begun < 1 and not leads(world, other)


@pytest.mark.parametrize("jump", [-86_400.0 * 365, 86_400.0 * 365])
def test_the_wall_clock_does_not_matter(jump: float) -> None:
    world = World()
    one, other = two(world)
    world.wall_offset += jump
    world.never(lambda: not leads(world, one) or leads(world, other), 50)


def test_the_times_that_a_strangers_lease_carries_are_not_believed() -> None:
    world = World()
    world.call("POST", "/api/v1/namespaces", {"metadata": {"name": "reconciler-system"}})
    spec = {"holderIdentity": "stranger", "leaseDurationSeconds": 1, "renewTime": "2001-01-01T00:00:00.000000Z"}
    assert world.call("POST", LEASES, {"metadata": {"name": "reconciler"}, "spec": spec})[0] == 201
    one = world.daemon()
    begun = world.steady
    world.until(lambda: leads(world, one), 60)
    assert world.steady - begun >= TERM_SECONDS


def test_renewals_that_hang_end_it_at_two_thirds_of_the_term() -> None:
    world = World()
    one, other = two(world)
    world.rule(of(one, "PUT"), lost, times=1_000)
    world.rule(of(one, "GET"), lost, times=1_000)
    held_until = one.engine.store.lease._held_until
    world.until(lambda: not leads(world, one), 20)
    assert held_until <= world.steady <= held_until + 1 and not one.engine.store.leading
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.until(lambda: leads(world, other), 30)
    world.settle(other)
    assert len(one.requests("PATCH")) == 1
    [said] = one.said("standing by")
    assert said["reason"].startswith("the Lease could not be renewed on eu; this daemon writes nothing until it is")


def test_the_term_counts_from_before_the_request() -> None:
    world = World()
    one, _ = two(world)
    world.rule(of(one, "PUT"), lambda e, perform: perform(), times=1, seconds=4.0)
    world.until(lambda: any(rule.used for rule in world.rules), 10)
    asked_at = world.steady
    world.run(4.1)
    assert one.engine.store.lease._held_until == pytest.approx(asked_at + ACT_SECONDS, abs=0.01)


def test_a_renewal_that_nobody_heard_of_is_no_strangers() -> None:
    world = World()
    one, other = two(world)
    world.rule(of(one, "PUT"), unheard, times=3)
    world.never(lambda: not leads(world, one) or leads(world, other), 30)


def test_who_sees_another_holder_stops_at_once() -> None:
    """A person gave it away, or deleted it and another was faster: no need to wait for the term to end."""
    world = World()
    one, _ = two(world)
    lease = world.call("GET", LEASE)[1]
    lease["spec"]["holderIdentity"] = "stranger"
    assert world.call("PUT", LEASE, lease)[0] == 200
    world.until(lambda: one.engine.store.lease.holder == "stranger", 10)
    assert not leads(world, one) and not one.engine.store.ready
    assert one.report.standing_by.startswith("stranger holds the Lease; this daemon stands by")


def test_a_lease_that_a_person_deleted_is_made_anew() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x")})
    one = world.daemon()
    world.settle(one)
    world.call("DELETE", LEASE)
    world.until(lambda: world.get("reconciler", "leases", namespace="reconciler-system", top="/apis/coordination.k8s.io/v1"), 10)
    assert world.call("GET", LEASE)[1]["spec"]["holderIdentity"] == "one"
    world.settle(one)
    world.never(lambda: not leads(world, one), 30)


def test_whoever_stands_by_does_not_take_a_deleted_lease_while_its_holder_may_still_act() -> None:
    world = World()
    one, other = two(world)
    world.run(3)
    world.call("DELETE", LEASE)
    world.never(lambda: leads(world, one) and leads(world, other), 120)
    assert leads(world, one) or leads(world, other)


def test_whoever_begins_anew_does_not_take_a_deleted_lease_at_once_either() -> None:
    """What is recorded says that there was a daemon before: it may not know yet that its Lease is gone."""
    world = World()
    one, other = two(world)
    world.kill(other)
    world.run(3)
    world.call("DELETE", LEASE)
    late = world.daemon("late")
    world.never(lambda: leads(world, one) and leads(world, late), 120)
    assert leads(world, one)


@pytest.mark.parametrize("was_holder", [True, False], ids=["it held it once", "it stood by"])
def test_who_was_away_does_not_take_a_deleted_lease_at_once(was_holder: bool) -> None:
    """Somebody else may have come to hold it meanwhile, or have renewed it, and does not know yet that it is gone."""
    world = World()
    one, other = two(world)
    late, holder = (one, other) if was_holder else (other, one)
    world.stop(late, 90)
    world.run(89.9)
    assert leads(world, holder)
    world.call("DELETE", LEASE)
    world.never(lambda: leads(world, one) and leads(world, other), 120)
    assert leads(world, one) or leads(world, other)


def garbage(effect: Request, perform: Perform) -> Input:
    return Answer(effect.id, 200, b'{"metadata": []}')


def nothing_heard(effect: Request, perform: Perform) -> Input:
    return Answer(effect.id, 0, error="reset")


FAULTS = (unheard, nothing_heard, garbage, says(409), says(500), says(403), lambda e, perform: perform())


def writes(world: World) -> list[tuple[float, Request]]:
    """All writes from now on but those of the Lease itself, each with when it was sent."""
    sent: list[tuple[float, Request]] = []

    def seen(effect: Any) -> bool:
        if isinstance(effect, Request) and effect.method != "GET" and "/leases" not in effect.path:
            sent.append((world.steady, effect))
        return False

    world.rule(seen, lost)
    return sent


@pytest.mark.parametrize("renewals", [0, 3])
def test_no_write_outlives_the_term_under_which_it_was_sent(renewals: int) -> None:
    """While the Lease is not renewed the end of the term comes nearer, and what is sent is given less and less time: on either side."""
    world = World()
    one, other = two(world)
    sent = writes(world)
    world.rule(asks("PUT", LEASES), lambda e, perform: perform(), times=renewals)
    world.rule(asks("PUT", LEASES), lost, times=1_000)
    world.rule(asks("GET", LEASES), lost, times=1_000)
    ends: list[float] = []
    for number in range(40):
        ends.append(one.engine.store.lease._held_until - ACT_SECONDS + TERM_SECONDS)
        world.commit({"a/x.yaml": config_map("x", str(number)), "a/b/y.yaml": config_map(f"y{number}")})
        world.run(1.5)
    assert len(sent) > 10 and not leads(world, other)
    assert max(at for at, _ in sent) <= max(ends) - TERM_SECONDS + ACT_SECONDS
    for at, request in sent:
        assert 5 <= request.timeout_seconds <= TERM_SECONDS and at + request.timeout_seconds <= max(ends) - SPARE_SECONDS
        assert int(dict(request.query)["timeout"].removesuffix("s")) <= request.timeout_seconds
    assert any(request.timeout_seconds < 10 for _, request in sent)


def test_a_deletion_that_is_due_after_the_term_is_not_sent() -> None:
    """An answer that would have led to one came when this daemon did not act any more."""
    world = World()
    one, _ = two(world)
    world.commit({"a/x.yaml": config_map("x", recreate="allowed")})
    world.settle(one)
    late = world.rule(asks("PATCH", "/x"), says(422, "ConfigMap x is invalid: data: field is immutable"), seconds=25)
    world.commit({"a/x.yaml": config_map("x", "2", recreate="allowed")})
    world.until(lambda: late.used, 10)
    world.rule(of(one, "PUT"), lost, times=1_000)
    world.rule(of(one, "GET"), lost, times=1_000)
    world.run(26)
    assert one.requests("DELETE") == []


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from(FAULTS), st.integers(0, 1), st.sampled_from(["GET", "PUT"]), st.sampled_from([0.0, 4.0, 12.0, 40.0])),
        max_size=8,
    )
)
def test_two_never_act_at_once(faults: list[tuple[Any, int, str, float]]) -> None:
    """And when all is well again, one of them does."""
    world = World()
    both = two(world)
    for fault, who, method, seconds in faults:
        world.rule(of(both[who], method), fault, times=3, seconds=seconds)
        world.never(lambda: all(leads(world, d) for d in both), 11)
    world.rules = []
    world.never(lambda: all(leads(world, d) for d in both), 90)
    assert [leads(world, d) for d in both].count(True) == 1
    world.commit({"a/x.yaml": config_map("x", "last")})
    world.run(10)
    assert world.get("x")["data"] == {"v": "last"}  # type: ignore[index]


def test_a_cluster_is_tied_by_the_daemon_that_leads_only() -> None:
    """What was to be tried again when the cluster answers comes before the Lease is ours again."""
    world = World()
    one = world.daemon()
    world.rule(asks("POST", "/configmaps"), says(500))
    world.until(lambda: one.said("cluster not ours to act on"), 20)
    world.network.cut_off("eu", 60)
    world.until(lambda: not leads(world, one), 60)
    world.rule(lambda e: isinstance(e, Request) and e.method in ("PUT", "POST") and "/leases" in e.path, says(500), times=5)
    before = len(one.sent)
    world.until(lambda: leads(world, one), 120)
    begun = next(n for n, e in enumerate(one.sent[before:]) if isinstance(e, Request) and "/leases" in e.path)
    early = [e for e in one.sent[before + begun : -1] if isinstance(e, Request) and e.method != "GET" and "/configmaps" in e.path]
    assert early == []


def test_a_cluster_that_was_lost_while_its_mark_was_looked_at_is_tied_again() -> None:
    """The look that began before the outage must not be the last one."""
    world = World()
    world.commit({"a/x.yaml": config_map("x")})
    one = world.daemon()
    world.settle(one)
    slow = world.rule(asks("GET", "system/configmaps"), lambda e, perform: Answer(e.id, 0, error="no answer in time"), seconds=30)
    world.rule(asks("PATCH", "/x"), lambda e, perform: Answer(e.id, 0, error="connection reset"))
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.until(lambda: slow.used, 60)
    world.network.cut_off("eu", 5)
    world.run(90)
    assert [unit.state for unit in one.report.units] == ["Healthy"]


def test_whoever_takes_over_looks_into_git_before_it_acts() -> None:
    """Else it would undo what the one before had read and applied, until its own next poll."""
    world = World()
    world.commit({"a/x.yaml": config_map("x", "1")})
    one, other = two(world)
    world.run(5)

    def read(daemon: Daemon) -> str:
        commit = next(iter(daemon.engine.sources.values())).desired.commit
        return commit.id if commit else ""

    def has_read(tip: str) -> bool:
        return tip in (read(one), read(other))

    for number in range(2, 12):
        tip = world.commit({"a/x.yaml": config_map("x", str(number))}, hint=False)
        world.until(partial(has_read, tip), 60)
        world.run(0.5)
        if read(one) == tip and read(other) != tip:
            break
        world.run(60)
    else:
        raise AssertionError("the one that leads never read first")
    one.inbox.append(Stop())
    world.until(lambda: leads(world, other), 20)
    world.run(1)
    values = [json.loads(e.body)["data"]["v"] for e in other.requests("PATCH", "/x")]
    assert values == [] and (world.get("x") or {})["data"]["v"] == str(number)


def test_whoever_takes_over_does_not_act_on_what_the_branch_has_left() -> None:
    """It waits to believe that the branch went back; meanwhile what it knows is neither the tip nor what the one before had applied."""
    world = World()
    first = world.commit({"a/x.yaml": config_map("x", "1")})
    one = world.daemon("one")
    second = world.commit({"a/x.yaml": config_map("x", "2")})
    world.settle(one)
    other = world.daemon("two")
    world.run(40)
    world.stop(other, 40)
    world.repo.move(MAIN, first)
    world.repo.commit({"a/x.yaml": config_map("x", "3")}, parent=first)
    world.hint()
    world.until(lambda: value(world, "x") == "3", 20)
    world.repo.move(MAIN, first)
    world.kill(one)
    world.never(lambda: value(world, "x") == "2", 150)
    assert leads(world, other) and value(world, "x") == "1" and second not in world.repo.refs.values()


@pytest.mark.parametrize("has_led", [False, True], ids=["for the first time", "once more"])
def test_whoever_takes_over_and_cannot_read_git_leaves_what_is_of_it(has_led: bool) -> None:
    """It may have been written by one who had read more: then what this one knew would undo it. Other sources wait for nothing."""
    world = World(sources=("fleet", "more"))
    one, other = two(world)
    if has_led:
        assert world.call("PATCH", LEASE, {"spec": {"holderIdentity": "two"}}, content="application/merge-patch+json")[0] == 200
        world.until(lambda: leads(world, other) and not leads(world, one), 60)
        one, other = other, one
    world.commit({"b/y.yaml": config_map("y")}, "more")
    world.run(60)

    def listing(effect: Any) -> bool:
        return isinstance(effect, ListRefs) and effect.source == "fleet" and effect is other.sent[-1]

    before = len(other.requests())
    silent = world.rule(listing, lambda e, _: RefsListed(e.id, GitFailure("busy")), times=1000)
    world.commit({"a/x.yaml": config_map("x", "2"), "a/z.yaml": config_map("z")})
    world.settle(one)
    one.inbox.append(Stop())
    world.until(lambda: leads(world, other), 20)
    world.commit({"b/y.yaml": config_map("y", "2")}, "more")
    world.run(60)
    assert silent.used > 1 and [e.path.rsplit("/")[-1] for e in other.requests()[before:]] == ["y"]
    assert (world.get("x") or {})["data"]["v"] == "2" and world.get("z") is not None
    units = {unit.key.name: (unit.state, unit.message) for unit in other.report.units}
    assert units == {"a": ("Unknown", "eu: source fleet is to be read first: busy"), "b": ("Healthy", "")}
    silent.times = silent.used
    world.settle(other)
    world.call("DELETE", "/api/v1/namespaces/default/configmaps/x")
    world.run(1)
    assert (world.get("x") or {})["data"]["v"] == "2" and other.report.healthy


def test_what_git_said_before_one_took_over_does_not_count() -> None:
    world = World()
    one, other = two(world)
    slow = world.rule(lambda e: isinstance(e, ListRefs) and e is other.sent[-1], lambda _, perform: perform(), seconds=60)
    world.until(lambda: slow.used == 1, 60)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.settle(one)
    one.inbox.append(Stop())
    world.until(lambda: leads(world, other), 20)
    world.run(90)
    assert other.requests() == [] and other.report.healthy
    world.call("DELETE", "/api/v1/namespaces/default/configmaps/x")
    world.run(1)
    assert (world.get("x") or {})["data"]["v"] == "2"
