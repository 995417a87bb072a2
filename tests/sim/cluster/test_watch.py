"""Watches: what is told, in which order, and how they end."""

from __future__ import annotations

from reconciler.sim.cluster.settings import Settings

from .support import CONFIGMAPS, DEFINITIONS, MERGE, METADATA, TABLE, Machine, config_map, definition


def test_it_tells_changes_since_a_version() -> None:
    machine = Machine()
    version = machine.ok("POST", CONFIGMAPS, config_map("a"))["metadata"]["resourceVersion"]
    cursor = machine.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={version}")
    machine.ok("POST", CONFIGMAPS, config_map("b"))
    machine.ok("PATCH", f"{CONFIGMAPS}/a", {"data": {"k": "v"}}, MERGE)
    machine.ok("DELETE", f"{CONFIGMAPS}/b")
    told = [(kind, obj["metadata"]["name"]) for kind, obj in machine.events(cursor)]
    assert told == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert machine.events(cursor) == []


def test_without_a_version_it_begins_with_what_is_there() -> None:
    machine = Machine()
    machine.ok("POST", CONFIGMAPS, config_map("a"))
    told = machine.events(machine.watch(f"{CONFIGMAPS}?watch=1"))
    assert [(kind, obj["metadata"]["name"]) for kind, obj in told] == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]


def test_initial_events_end_with_a_marked_bookmark() -> None:
    machine = Machine()
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    told = machine.events(machine.watch(f"{CONFIGMAPS}?{query}"))
    assert [kind for kind, _ in told] == ["ADDED", "BOOKMARK"]
    assert told[-1][1]["metadata"] == {
        "resourceVersion": str(machine.cluster.store.version),
        "annotations": {"k8s.io/initial-events-end": "true"},
    }


def test_a_version_that_history_lost_ends_with_410_in_the_stream() -> None:
    machine = Machine(settings=Settings(history_limit=3))
    for number in range(10):
        machine.ok("POST", CONFIGMAPS, config_map(f"c{number}"))
    cursor = machine.watch(f"{CONFIGMAPS}?watch=1&resourceVersion=2")
    ((kind, status),) = machine.events(cursor)
    assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
    assert cursor.closed


def test_a_reader_that_fell_behind_is_ended_with_410() -> None:
    machine = Machine(settings=Settings(history_limit=3))
    cursor = machine.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={machine.cluster.store.version}")
    for number in range(10):
        machine.ok("POST", CONFIGMAPS, config_map(f"c{number}"))
    assert [kind for kind, _ in machine.events(cursor)] == ["ERROR"]
    assert cursor.closed


def test_leaving_and_entering_a_selection() -> None:
    machine = Machine()
    machine.ok("POST", CONFIGMAPS, config_map("a", labels={"tier": "gold"}))
    cursor = machine.watch(f"{CONFIGMAPS}?watch=1&labelSelector=tier%3Dgold")
    for tier in ("lead", "gold", "gold"):
        machine.ok("PATCH", f"{CONFIGMAPS}/a", {"metadata": {"labels": {"tier": tier}}, "data": {"at": str(machine.now)}}, MERGE)
        machine.now += 1
    told = [(kind, obj["metadata"]["labels"]["tier"]) for kind, obj in machine.events(cursor)]
    assert told == [("ADDED", "gold"), ("DELETED", "gold"), ("ADDED", "gold"), ("MODIFIED", "gold")]


def test_a_bookmark_on_demand_carries_the_newest_version() -> None:
    machine = Machine()
    wanted = machine.watch(f"{CONFIGMAPS}?watch=1&allowWatchBookmarks=true&resourceVersion={machine.cluster.store.version}")
    unwanted = machine.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={machine.cluster.store.version}")
    machine.ok("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}})
    assert b'"BOOKMARK"' in wanted.bookmark(machine.now)[0]
    assert str(machine.cluster.store.version).encode() in wanted.bookmark(machine.now)[0]
    assert unwanted.bookmark(machine.now) == ()


def test_metadata_and_tables_are_watched_too() -> None:
    machine = Machine()
    machine.ok("POST", CONFIGMAPS, config_map("a", {"k": "v"}))
    ((_, first), _) = machine.events(machine.watch(f"{CONFIGMAPS}?watch=1", accept=METADATA))
    assert (first["kind"], "data" in first) == ("PartialObjectMetadata", False)
    (_, one), (_, two) = machine.events(machine.watch(f"{CONFIGMAPS}?watch=1", accept=TABLE))
    assert [c["name"] for c in one["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert two["columnDefinitions"] is None


def test_it_ends_when_its_definition_goes() -> None:
    machine = Machine()
    machine.ok("POST", DEFINITIONS, definition())
    machine.settle()
    cursor = machine.watch("/apis/demo.example/v1/widgets?watch=1")
    machine.ok("DELETE", f"{DEFINITIONS}/widgets.demo.example")
    machine.settle()
    machine.events(cursor)
    assert cursor.closed


def test_the_time_limit_is_the_clients() -> None:
    machine = Machine()
    assert machine.watch(f"{CONFIGMAPS}?watch=1&timeoutSeconds=7").ends_at == machine.now + 7
