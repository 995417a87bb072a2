"""ControllerRevisions: the templates that a StatefulSet or DaemonSet has had.

Law of the module: a template is one revision; a template that comes back is the same object with a new number. At most
`revisionHistoryLimit` that nobody uses are kept.
"""

from __future__ import annotations

from reconciler.sim.cluster.ids import pod_hash
from reconciler.sim.cluster.store import Json

from .base import REVISIONS, World, item_of, labels_of, reference

LABEL = "controller-revision-hash"
_STATEFUL_LABEL = "controller.kubernetes.io/hash"


def current(world: World, owner: Json, now: float) -> str:
    """The name of the owner's template as pods carry it (`LABEL`), with its revision object in place.

    Pods of a StatefulSet carry the revision's name, those of a DaemonSet only the hash in it.
    """
    template = owner["spec"]["template"]
    digest = pod_hash(template)
    name = f"{owner['metadata']['name']}-{digest}"
    stateful = owner["kind"] == "StatefulSet"
    have = world.owned_by(owner, REVISIONS)
    newest = max((one["revision"] for one in have), default=0)
    found = next((one for one in have if one["metadata"]["name"] == name), None)
    if found is None:
        labels = {**(template.get("metadata", {}).get("labels") or {}), _STATEFUL_LABEL if stateful else LABEL: digest}
        head = {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": labels,
            "ownerReferences": [reference(owner)],
        }
        data = {"spec": {"template": {**template, "$patch": "replace"}}}
        world.create(REVISIONS, {"metadata": head, "data": data, "revision": newest + 1}, now)
    elif found["revision"] < newest:
        world.change(item_of(REVISIONS, found), now, lambda o: o.update(revision=newest + 1))
    return name if stateful else digest


def template(world: World, owner: Json, revision: str) -> Json:
    """The template of a StatefulSet's revision; that of today where it is gone."""
    for one in world.owned_by(owner, REVISIONS):
        if one["metadata"]["name"] == revision:
            return {k: v for k, v in one["data"]["spec"]["template"].items() if k != "$patch"}
    today: Json = owner["spec"]["template"]
    return today


def tidy(world: World, owner: Json, used: list[Json], now: float) -> None:
    """Delete revisions past the limit that no pod of `used` has."""
    in_use = {str(labels_of(pod).get(LABEL)).rpartition("-")[2]: None for pod in used}
    idle = [r for r in world.owned_by(owner, REVISIONS) if r["metadata"]["name"].rpartition("-")[2] not in in_use]
    idle.sort(key=lambda r: int(r["revision"]))
    limit = owner["spec"].get("revisionHistoryLimit", 10)
    for one in idle[: max(len(idle) - limit, 0)]:
        world.delete(item_of(REVISIONS, one), now, one["metadata"]["uid"])
