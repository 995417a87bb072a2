"""Objects with their status on the status branch: there while their root is, the same bytes for the same state, and never a stop."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import yaml

from reconciler.core.identity import Instant, SourceName
from reconciler.core.kind import Json, Kind, Plan, Spec, Status
from reconciler.core.messages import Push
from reconciler.core.settings import SourceSettings
from reconciler.core.told import Column, Table, Told
from reconciler.core.view import View
from reconciler.kinds.plain import PLAIN
from reconciler.sim.git import MAIN
from tests.core.driver import Daemon, World
from tests.kinds import steps

PATH = "status/eu/test.reconciler.dev/Steps/default/a.yaml"


def status(told: Told) -> Json:
    """All that a kind is told, but for what a test need not see."""
    if b"explode" in told.manifest.json:
        raise ValueError("a fault of the kind's")
    return {
        "state": told.state,
        "since": told.since,
        "record": told.record,
        "lanes": {str(lane.lane): [lane.state, lane.objects, lane.healthy, dict(lane.parts())] for lane in told.lanes},
        "clusters": {name: list(state) for name, state in told.clusters.items()},
        "implied": str(told.implied),
        "commit": told.commit.id if told.commit else "",
        "owned": [str(id) for id in told.owned(next(iter(told.clusters)))],
        "secret": {"kind": "Secret", "data": {"token": "sw0rdfish"}},
    }


def plan(spec: Spec, view: View, now: Instant) -> Plan:
    """As the kind, which waits for what cannot be read."""
    if not spec.complete:
        return Plan(prune=False, record=spec.record, status=Status("Held", str(spec.held)))
    return steps.plan(spec, view, now)


TABLE = Table((steps.STEPS,), "ladders", (Column("STATE", ("status", "state")), Column("STEP", ("status", "record", "step"), wide=True)))
KIND = replace(steps.KIND, plan=plan, status=status, tables=(TABLE,))


def ladder(*values: str, name: str = "a", **spec: Any) -> str:
    body: Json = {"apiVersion": "test.reconciler.dev/v1", "kind": "Steps", "metadata": {"name": name, "namespace": "default"}}
    return json.dumps({**body, "spec": {"values": values, **spec}})


def started(files: dict[str, Any], kind: Kind = KIND) -> tuple[World, Daemon]:
    world = World(clusters=("eu", "us"), kinds=(PLAIN, kind))
    world.commit(files)
    source = SourceSettings(SourceName("fleet"), "https://git.example.org/fleet")
    daemon = world.daemon(sources=(source,))
    world.run(60)
    return world, daemon


def branch(world: World) -> dict[str, bytes]:
    return dict(world.repos["fleet"].tree("refs/heads/reconciler-status"))


def pushes(daemon: Daemon) -> int:
    return sum(isinstance(effect, Push) and effect.ref.endswith("status") for effect in daemon.sent)


def test_a_root_has_a_file_with_its_status_and_a_row_in_a_table() -> None:
    world, _ = started({"a.json": ladder("x")})
    files = branch(world)
    body = yaml.safe_load(files[PATH])
    assert list(body) == ["apiVersion", "kind", "metadata", "spec", "status"] and body["spec"] == {"values": ["x"]}
    found = body["status"]
    assert found["state"] == "Healthy" and found["lanes"] == {"eu": ["Healthy", 1, 1, {"": [1, 1, 0, ""]}]}
    assert found["record"]["step"] == 0 and found["implied"] == "eu" and found["clusters"] == {"eu": ["up", ""], "us": ["up", ""]}
    assert found["owned"] == ["ConfigMap/a in default"]
    assert found["secret"] == {"kind": "Secret", "data": {"token": "***"}}
    page = files["STATUS.md"].decode()
    assert f"## Ladders\n\n| NAME | STATE |\n| --- | --- |\n| [default/a]({PATH}) | Healthy |\n" in page


def test_it_goes_with_its_root_and_stays_while_that_cannot_be_read() -> None:
    world, daemon = started({"a.json": ladder("x"), "b.json": ladder("x", name="b")})
    world.commit({"a.json": "{not json"})
    world.run(60)
    assert PATH in branch(world)
    repository = world.repos["fleet"]
    repository.move(MAIN, repository.commit({"a.json": "{not json", "b.json": ladder("x", name="b")}, "refs/heads/new"))
    again = world.restart(daemon)
    world.run(60)
    assert {unit.key.name: unit.state for unit in again.report.units} == {"a": "Held", "b": "Healthy", ".": "Held"}
    assert PATH in branch(world)
    world.commit({"a.json": None})
    world.run(60)
    assert PATH not in branch(world) and PATH.replace("/a.", "/b.") in branch(world)


def test_the_same_state_is_the_same_bytes_over_a_restart_and_at_rest() -> None:
    world, daemon = started({"a.json": ladder("x")})
    before, count = branch(world), pushes(daemon)
    world.run(600)
    assert branch(world) == before and pushes(daemon) == count
    again = world.restart(daemon)
    world.run(600)
    assert branch(world) == before and pushes(again) == 0


def test_a_status_that_fails_is_told_in_the_object_and_stops_nothing() -> None:
    world, daemon = started({"a.json": ladder("explode"), "b.json": ladder("x", name="b")})
    assert "internal error" in yaml.safe_load(branch(world)[PATH])["status"]["reconciler"]["message"]
    assert yaml.safe_load(branch(world)[PATH.replace("/a.", "/b.")])["status"]["state"] == "Healthy"
    assert [fact["object"] for fact in daemon.said("internal error")] == ["a.json:1:1"]
    assert world.get("a")["data"]["value"] == "explode"  # type: ignore[index]


def test_a_kind_without_a_status_has_no_file() -> None:
    world, _ = started({"a.json": ladder("x")}, steps.KIND)
    assert sorted(branch(world)) == ["STATUS.md", "status/history.yaml", "status/units/Steps.test.reconciler.dev/default/a.yaml"]
    assert "## Ladders" not in branch(world)["STATUS.md"].decode()


def test_where_an_object_stands_follows_its_place_in_the_tree() -> None:
    world, _ = started({"clusters/us/a.json": ladder("x"), "hub/b.json": ladder("x", name="b")})
    files = branch(world)
    assert "status/us/test.reconciler.dev/Steps/default/a.yaml" in files
    assert "status/hub/test.reconciler.dev/Steps/default/b.yaml" in files
    world.commit({"clusters/us/a.json": None, "a.json": ladder("x")})
    world.run(60)
    assert PATH in branch(world) and "status/us/test.reconciler.dev/Steps/default/a.yaml" not in branch(world)
