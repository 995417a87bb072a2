"""An example of a root kind, for the tests of the engine: a ConfigMap that climbs through values, with rests and an approval.

    apiVersion: test.reconciler.dev/v1
    kind: Steps
    metadata: {name: demo, namespace: shop}
    spec: {values: [a, b, c], restSeconds: 1, approve: [c]}

Its record holds the step and since when the step has stood. State table, as every kind has one:

| record | what is seen | plan |
|---|---|---|
| none | - | record step 0 |
| step n | value n not live yet | wants value n |
| step n, not standing | value n live and well | record standing since now |
| step n, standing | rest not over | wants value n, wakes at its end |
| step n, standing, rest over | next value needs an approval that is not there | wants value n, gate |
| step n, standing, rest over | otherwise | record step n + 1 |
| any | manifest gone | wants nothing, no record |
"""

from __future__ import annotations

import hashlib
import json

from reconciler.core.identity import GroupKind, Instant, ObjectId
from reconciler.core.kind import Gate, Json, Kind, Plan, Spec, Status, Wanted
from reconciler.core.view import View

STEPS = GroupKind("test.reconciler.dev", "Steps")


def plan(spec: Spec, view: View, now: Instant) -> Plan:
    """Plan one ladder of values."""
    if not spec.manifests or spec.lane is None:
        return Plan(status=Status("Healthy", "gone"))
    body = spec.manifests[0].body()["spec"]
    values: list[str] = body["values"]
    if spec.record is None:
        return Plan(record={"step": 0, "since": None})
    step, since = min(spec.record["step"], len(values) - 1), spec.record["since"]
    wanted = _config_map(spec, values[step], step)
    here = {spec.lane: (wanted,)}
    if since is None:
        if view.health(spec.lane, wanted).status == "Current":
            return Plan(here, record={"step": step, "since": now.steady})
        return Plan(here, record=spec.record, status=Status("Reconciling", f"step {step + 1} of {len(values)}"))
    if step + 1 == len(values):
        return Plan(here, record=spec.record)
    rested_at = since + body.get("restSeconds", 0)
    if now.steady < rested_at:
        return Plan(here, record=spec.record, wake_at=rested_at, status=Status("Paused", f"rests on step {step + 1}"))
    gate = _gate(spec, values[step + 1])
    if values[step + 1] in body.get("approve", ()) and view.approval(gate) is None:
        waiting = Status("Waiting", f"step {step + 2} needs an approval")
        return Plan(here, record=spec.record, status=waiting, gates=(gate,))
    return Plan(here, record={"step": step + 1, "since": None})


def _gate(spec: Spec, value: str) -> Gate:
    digest = hashlib.sha256(f"{spec.key.text} {value}".encode()).hexdigest()
    return Gate(f"{spec.key.name}-{value}", f"sha256:{digest}", f"go on to {value}")


def _config_map(spec: Spec, value: str, step: int) -> Wanted:
    root = spec.manifests[0]
    object: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": root.name, **({"namespace": root.namespace} if root.namespace else {})},
        "data": {"value": value, "step": str(step)},
    }
    text = json.dumps(object, sort_keys=True).encode()
    id = ObjectId("", "ConfigMap", root.namespace, root.name)
    return Wanted(id, "v1", text, root.place())


KIND = Kind(name="steps", plan=plan, roots=(STEPS,))
