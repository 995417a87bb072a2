"""Leases renewed the short way: with the very outcome of the longer one, and only where that is certain."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.cluster.http import Request, Response
from reconciler.sim.cluster.renewals import LEASES

from .support import JSON, MERGE, Machine

LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/one"
TIMES = tuple(f"2030-03-17T17:46:{second:02d}.250000Z" for second in range(60))


def lease(version: str, time: str, meta: dict[str, Any] | None = None, **spec: Any) -> bytes:
    metadata = {"name": "one", **({"resourceVersion": version} if version else {}), **(meta or {})}
    said = {"holderIdentity": "a", "leaseDurationSeconds": 30, "renewTime": time, **spec}
    return msgspec.json.encode({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": said})


def version_of(machine: Machine) -> str:
    entry = machine.cluster.store.get(LEASES, "default", "one")
    return str(entry.version) if entry else ""


def put(machine: Machine, body: bytes, agent: str = "one", query: tuple[tuple[str, str], ...] = ()) -> Response:
    return machine.cluster.handle(Request("PUT", LEASE, query, body, JSON, JSON, agent), machine.now)


def held() -> Machine:
    """A cluster with a Lease that was made, and moved once."""
    machine = Machine()
    for time in TIMES[:2]:
        assert put(machine, lease(version_of(machine), time)).status < 300
    return machine


def short(machine: Machine, body: bytes, agent: str = "one", query: tuple[tuple[str, str], ...] = ()) -> Any:
    return machine.cluster.renewals.renewed(Request("PUT", LEASE, query, body, JSON, JSON, agent), machine.now)


def test_what_says_the_same_but_for_the_time_is_a_renewal() -> None:
    machine = held()
    for time in TIMES[2:6]:
        machine.now += 10
        made = short(machine, lease(version_of(machine), time))
        assert made["spec"]["renewTime"] == time
        assert made["metadata"]["resourceVersion"] == version_of(machine)


@pytest.mark.parametrize(
    ("why", "body", "agent", "query"),
    [
        ("an older version", lambda v: lease(str(int(v) - 1), TIMES[2]), "one", ()),
        ("no version", lambda v: lease("", TIMES[2]), "one", ()),
        ("the same time", lambda v: lease(v, TIMES[1]), "one", ()),
        ("no time", lambda v: lease(v, "soon"), "one", ()),
        ("no such day", lambda v: lease(v, "2030-02-30T00:00:00.000000Z"), "one", ()),
        ("a time that is stored in another form", lambda v: lease(v, "2030-03-17T17:46:40.250000+00:00"), "one", ()),
        ("more behind the time", lambda v: lease(v, TIMES[2]).replace(b'0Z"', b'0Z","leaseTransitions":1,"x":"'), "one", ()),
        ("another holder", lambda v: lease(v, TIMES[2], holderIdentity="b"), "one", ()),
        ("another term", lambda v: lease(v, TIMES[2], leaseDurationSeconds=0), "one", ()),
        ("a label", lambda v: lease(v, TIMES[2], {"labels": {"a": "b"}}), "one", ()),
        ("other words", lambda v: lease(v, TIMES[2]) + b"\n", "one", ()),
        ("another client", lambda v: lease(v, TIMES[2]), "two", ()),
        ("a dry run", lambda v: lease(v, TIMES[2]), "one", (("dryRun", "All"),)),
    ],
)
def test_all_else_goes_the_longer_way(why: str, body: Any, agent: str, query: tuple[tuple[str, str], ...]) -> None:
    machine = held()
    version = version_of(machine)
    assert short(machine, body(version), agent, query) is None, why
    assert version_of(machine) == version


@pytest.mark.parametrize(
    "change", [{"metadata": {"labels": {"a": "b"}}}, {"spec": {"holderIdentity": "b"}}, {"spec": {"leaseTransitions": 4}}]
)
def test_after_somebody_else_has_written_the_longer_way_is_taken(change: Any) -> None:
    machine = held()
    before = version_of(machine)
    machine.ok("PATCH", LEASE, change, MERGE)
    assert short(machine, lease(before, TIMES[2])) is None
    assert short(machine, lease(version_of(machine), TIMES[2])) is None


def _owner(*fields: str) -> dict[str, Any]:
    owned = {"fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {f"f:{field}": {} for field in fields}}}
    return {"manager": "one", "operation": "Update", "apiVersion": "coordination.k8s.io/v1", "time": "2030-03-17T17:46:40Z", **owned}


BRINGS_OWNERS = {"managedFields": [_owner("holderIdentity")]}


@pytest.mark.parametrize(
    ("why", "first", "again"),
    [
        (
            "it says who owns what",
            [lambda v: lease(v, TIMES[2], BRINGS_OWNERS, leaseDurationSeconds=40)],
            lambda v: lease(v, TIMES[3], BRINGS_OWNERS, leaseDurationSeconds=40),
        ),
        (
            "the time was nobody's, and did not move",
            [
                lambda v: lease(v, TIMES[1], BRINGS_OWNERS),
                lambda v: lease(v, TIMES[1], {"labels": {"a": "b"}}),
            ],
            lambda v: lease(v, TIMES[2], {"labels": {"a": "b"}}),
        ),
        (
            "an annotation looks like the version",
            [lambda v: lease(v, TIMES[2], {"annotations": {"resourceVersion": v}})],
            lambda v: lease(v, TIMES[3], {"annotations": {"resourceVersion": v}}),
        ),
    ],
)
def test_what_went_before_must_settle_all(why: str, first: list[Any], again: Any) -> None:
    machine = held()
    for body in first:
        assert put(machine, body(version_of(machine))).status == 200
    assert short(machine, again(version_of(machine))) is None, why


PLAIN: dict[str, Any] = {"do": "put", "seconds": 10.0, "age": 0, "holder": "a", "meta": {}, "agent": "one", "query": ()}
ODD = st.one_of(
    st.fixed_dictionaries({"do": st.sampled_from(["patch", "delete"])}),
    st.fixed_dictionaries({"seconds": st.sampled_from([0.0, 0.4])}),
    st.fixed_dictionaries({"time": st.sampled_from([*TIMES[:3], "soon"])}),
    st.just({"age": 1}),
    st.just({"holder": "b"}),
    st.sampled_from([{"labels": {"a": "b"}}, {"managedFields": []}, BRINGS_OWNERS]).map(lambda meta: {"meta": meta}),
    st.just({"meta": {"finalizers": ["example.org/f"]}}),
    st.just({"agent": "two"}),
    st.sampled_from([(("dryRun", "All"),), (("fieldManager", "three"),)]).map(lambda query: {"query": query}),
)


@given(moves=st.lists(st.one_of(st.just({}), st.just({}), ODD), min_size=3, max_size=20))
def test_the_outcome_is_that_of_the_longer_way(moves: list[dict[str, Any]]) -> None:
    """What ends in a blank is never a renewal: so the same moves are played with and without."""
    machines = Machine(), Machine()
    for number, odd in enumerate(moves):
        move, answers = PLAIN | {"time": TIMES[number]} | odd, []
        for machine, blank in zip(machines, (b"", b" "), strict=True):
            machine.now += move["seconds"]
            version = version_of(machine)
            if move["do"] == "put":
                said = str(int(version) - move["age"]) if version else ""
                body = lease(said, move["time"], move["meta"], holderIdentity=move["holder"])
                answers.append(put(machine, body + blank, move["agent"], move["query"]))
            elif move["do"] == "patch":
                answers.append(machine.raw("PATCH", LEASE, msgspec.json.encode({"spec": {"holderIdentity": move["holder"]}}), MERGE))
            else:
                answers.append(machine.raw("DELETE", LEASE))
        assert answers[0] == answers[1], move
    one, other = (machine.raw("GET", LEASE) for machine in machines)
    assert one == other
