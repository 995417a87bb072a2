"""What is believed from one term of the Lease to the next, and what must be written down before it counts."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from reconciler.core.identity import Instant
from reconciler.core.kind import Plan, Spec
from reconciler.core.messages import Request
from reconciler.core.records import LABEL, secret_name
from reconciler.core.view import View
from tests.core.driver import Daemon, Json, World, asks, config_map, manifest, says, started, unit
from tests.core.test_units import EU, REF, STEP, report, want, world_of

STORE = "/api/v1/namespaces/reconciler-system"
SECRETS = f"{STORE}/secrets"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/reconciler-system/leases/reconciler"
KEEP = {f"keep/k{i}.yaml": config_map(f"k{i}") for i in range(3)}


def listed(daemon: Daemon) -> int:
    """How often all records were read."""
    return len([request for request in daemon.requests("GET", SECRETS) if request.path == SECRETS])


def taken(world: World, holder: str) -> None:
    """Somebody writes himself into the Lease, and is not heard of again."""
    lease = world.call("GET", LEASE)[1]
    lease["spec"]["holderIdentity"] = holder
    assert world.call("PUT", LEASE, lease)[0] == 200


def record(key: str, value: Json) -> Json:
    """A Secret that holds a record."""
    packed = base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()
    data = {"key": base64.b64encode(key.encode()).decode(), "record": packed}
    metadata = {"name": secret_name(key), "labels": {LABEL: "head"}}
    return {"apiVersion": "v1", "kind": "Secret", "type": "reconciler.dev/record", "metadata": metadata, "data": data}


# -- from one term to the next ----------


def test_whoever_deletes_the_lease_may_have_changed_the_records() -> None:
    """So all of them are read again, though we are the next to hold it."""
    world, daemon = started({"a/x.yaml": config_map("x")})
    before = listed(daemon)
    world.call("DELETE", LEASE)
    world.run(60)
    assert daemon.report.leading and listed(daemon) == before + 1
    world.run(600)
    assert listed(daemon) == before + 1


def test_a_cluster_that_was_given_to_others_meanwhile_is_left_to_them() -> None:
    world, daemon = started({"a/x.yaml": config_map("x")})
    taken(world, "another")
    world.until(lambda: not daemon.report.leading)
    name = f"{STORE}/configmaps/reconciler-{daemon.engine.store.installation}"
    marker = world.call("GET", name)[1]
    marker["data"]["sources"] = "fleet https://git.example.org/elsewhere ."
    assert world.call("PUT", name, marker)[0] == 200
    world.commit({"a/x.yaml": config_map("x", "2")})
    sent = len(daemon.requests("PATCH"))
    world.until(lambda: daemon.report.leading)
    world.run(60)
    assert len(daemon.requests("PATCH")) == sent and "pinned to https://git.example.org/elsewhere" in unit(daemon, "a").message


def test_all_pages_of_the_records_are_read() -> None:
    world, daemon = started({"a/x.yaml": config_map("x")})
    many = {f"cluster:c{number}": {"kinds": ["/ConfigMap"]} for number in range(230)}
    for key, value in many.items():
        assert world.call("POST", SECRETS, record(key, value))[0] == 201
    again = world.restart(daemon)
    world.settle(again)
    assert {*many} <= {*again.engine.store.records} and again.engine.store.installation == daemon.engine.store.installation


# -- what must be written down first ----------


def first_step(spec: Spec, view: View, now: Instant) -> Plan:
    """One step, with a record of it."""
    return Plan({EU: (want(spec, view, "made"),)}, record={"step": 1})


def test_the_first_record_of_a_unit_comes_before_its_first_act() -> None:
    """As every other: a crash would take the step twice."""
    world, daemon = world_of(first_step)
    world.rule(lambda e: asks("POST", "/secrets")(e) and b"example.org" in base64.b64decode(_key(e)), says(500, "no"), times=4)
    world.never(lambda: world.get("made"), 5)
    world.until(lambda: world.get("made"), 120)
    assert daemon.engine.store.records


def _key(effect: Any) -> str:
    """Which record a request writes, as it stands in its body."""
    return str(json.loads(effect.body).get("data", {}).get("key", ""))


def test_a_record_that_was_removed_by_another_is_not_removed_anew() -> None:
    """A record is removed in the version that was read: what another daemon wrote since stays."""
    done = {"done": False}

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        view.manifests(STEP)
        done["done"] = any(m.body()["spec"].get("done") for m in view.manifests(STEP))
        return Plan(record=None if done["done"] else {"step": 1})

    world, daemon = world_of(plan)
    world.settle(daemon)
    key = next(key for key in daemon.engine.store.records if "Step" in key)
    path = f"{SECRETS}/{secret_name(key)}"
    assert world.call("PUT", path, record(key, {"step": 7}))[0] == 200
    removed: list[int] = []

    def watched(effect: Request, perform: Any) -> Any:
        answer = perform()
        removed.append(answer.status)
        return answer

    world.rule(asks("DELETE", secret_name(key)), watched, times=10)
    world.commit({"s/step.yaml": manifest("example.org/v1", "Step", "s", "default", spec={"done": True})})
    world.settle(daemon)
    assert removed == [409, 200], "refused, read again, decided anew"


def test_what_was_planned_before_another_went_on_is_not_acted_on() -> None:
    """Back in office, with a record that cannot be written: what was wanted under the old one is of the past."""

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        if spec.record is None:
            return Plan(record={"step": 1, "read": True})
        record = {**spec.record, "read": True}
        return Plan({EU: (want(spec, view, "made", str(record["step"])),)}, record=record)

    world, daemon = world_of(plan)
    world.settle(daemon)
    key = next(key for key in daemon.engine.store.records if "Step" in key)
    taken(world, "another")
    world.run(30)
    assert world.call("PUT", f"{SECRETS}/{secret_name(key)}", record(key, {"step": 7}))[0] == 200
    refused = world.rule(asks("PUT", secret_name(key)), says(500, "no writes today"), times=1_000)
    world.call("DELETE", "/api/v1/namespaces/default/configmaps/made")
    world.call("DELETE", LEASE)
    world.until(lambda: refused.used > 1, 120)
    world.never(lambda: world.get("made"), 60)
    assert "has moved on" in report(daemon).message
    world.rules = []
    world.until(lambda: world.get("made") is not None, 120)
    assert world.get("made")["data"]["v"] == "7"  # type: ignore[index]


# -- what is not known yet ----------


def test_what_is_not_listed_yet_is_not_told_as_absent() -> None:
    """Neither an object that is asked about, nor what a unit owns."""
    seen: list[Any] = []

    def plan(spec: Spec, view: View, now: Instant) -> Plan:
        live = view.live(REF)
        owned = view.owned(EU.cluster)
        seen.append((live is not None, len(owned)))
        return Plan({EU: (want(spec, view, "made"),)})

    world, daemon = world_of(plan)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "asked"}, "data": {"v": "1"}}
    assert world.call("POST", "/api/v1/namespaces/default/configmaps", body)[0] == 201
    world.settle(daemon)
    assert seen[0][0] and seen[-1] == (True, 1)
    seen.clear()
    world.rule(lambda e: isinstance(e, Request) and e.path == "/api/v1/configmaps", says(500, "busy"), times=3)
    again = world.restart(daemon)
    world.settle(again)
    world.run(30)
    assert seen and seen == [(True, 1)] * len(seen), "an empty answer never came"
