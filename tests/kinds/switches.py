"""An example of a root kind that asks for an edit of Git, for the tests of the engine: a value that is to become another, once.

    apiVersion: test.reconciler.dev/v1
    kind: Switch
    metadata: {name: demo, namespace: shop}
    spec: {stage: a, then: b}     # offer: true: never committed to the branch by us

It wants a ConfigMap that says the stage as Git has it. State table:

| record | what is seen | plan |
|---|---|---|
| not of this `then` | `stage` is not `then` | record the key and the commit; nothing is asked for yet |
| key, not done | edit not landed | asks for the edit; says what came of it so far |
| key, not done | edit landed | record done |
| key, done | whatever `stage` is | nothing more is asked for, ever: people may go back |
| any | manifest gone | wants nothing, no record |

Keys are never forgotten: a history that is rewritten may bring an old wish back.
"""

from __future__ import annotations

import json

from reconciler.core.identity import CommitId, GroupKind, Instant, ObjectId
from reconciler.core.kind import Edit, Json, Kind, Plan, Spec, Status, Wanted
from reconciler.core.view import View

SWITCH = GroupKind("test.reconciler.dev", "Switch")


def key(name: str, then: str) -> str:
    """Of the edit that lets a switch become `then`."""
    return f"switch/{name}/{then}"


def plan(spec: Spec, view: View, now: Instant) -> Plan:
    """Plan one switch."""
    del now
    if not spec.manifests or spec.lane is None:
        return Plan(status=Status("Healthy", "gone"))
    root = spec.manifests[0]
    body = root.body()["spec"]
    stage, then = body["stage"], body["then"]
    here = {spec.lane: (_config_map(spec, stage),)}
    mine, record = key(root.name, then), spec.record or {}
    held = record.get(mine)
    if held is None:
        return Plan(here, record=spec.record if stage == then else {**record, mine: {"since": spec.commit, "done": False}})
    if held["done"]:
        return Plan(here, record=record, status=Status("Healthy", "done"))
    if view.commits == "record" or view.edit(mine) == "landed":
        return Plan(here, record={**record, mine: {**held, "done": True}})
    edit = Edit(mine, root, ("spec", "stage"), then, f"Let {root.name} be {then}", CommitId(held["since"]), body.get("offer", False))
    state = view.edit(mine)
    return Plan(here, record=record, edits=(edit,), status=Status("Waiting" if state == "offered" else "Reconciling", state))


def _config_map(spec: Spec, stage: str) -> Wanted:
    root = spec.manifests[0]
    object: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": root.name, **({"namespace": root.namespace} if root.namespace else {})},
        "data": {"stage": stage},
    }
    text = json.dumps(object, sort_keys=True).encode()
    id = ObjectId("", "ConfigMap", root.namespace, root.name)
    return Wanted(id, "v1", text, root.place())


KIND = Kind(name="switches", plan=plan, roots=(SWITCH,))
