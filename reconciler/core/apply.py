"""What to do about one wanted object, given what is known of its live twin: a pure decision, taken anew each time.

Law of the module: nothing here remembers or sends. An object that is not ours is never touched unless asked; drift by hand tools and
by updates is forced back; what another applier or an autoscaler owns is named and left alone (design §6, "Apply").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import adoption, diff
from .discovery import Resource
from .identity import ClusterName, ObjectId, Place, UnitKey
from .kind import Wanted
from .observed import Live
from .ownership import DIGEST, FIELD_MANAGER, owner_text, request_digest, stamp
from .types import Types

Json = dict[str, Any]

_ORDER = (
    ("Namespace", "CustomResourceDefinition"),
    ("PriorityClass", "RuntimeClass", "StorageClass", "VolumeSnapshotClass", "IngressClass", "GatewayClass"),
    ("ClusterRole", "ServiceAccount", "ResourceQuota", "LimitRange", "NetworkPolicy"),
    ("ClusterRoleBinding", "Role"),
    ("RoleBinding",),
    ("ConfigMap", "Secret", "PersistentVolume"),
    ("PersistentVolumeClaim", "Service"),
    ("Pod", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet"),
    ("Job", "CronJob", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Ingress"),
)
_RANK = {kind: rank for rank, kinds in enumerate(_ORDER) for kind in kinds}
_RANK_OTHER = len(_ORDER)
_RANK_LAST = len(_ORDER) + 1
_LAST = ("APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicyBinding")


def rank(kind: str) -> int:
    """The place of a kind in the order of creation; pruning goes the other way. Kinds nobody knows come near the end."""
    return _RANK_LAST if kind in _LAST else _RANK.get(kind, _RANK_OTHER)


@dataclass(frozen=True, slots=True)
class InSync:
    """Nothing to do; `left_alone` names paths that somebody else rightly owns, and who."""

    left_alone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """Apply `body`. `uid` is that of the object the decision rests on ("": none may be there)."""

    body: Json
    force: bool
    uid: str
    drift: tuple[diff.Change, ...] = ()  # what was changed behind our back; empty where Git changed
    left_alone: tuple[str, ...] = ()
    asks: bool = False  # only a dry run can tell whether anything differs
    adopts: tuple[Json, ...] = ()  # the object is not ours yet: a JSON patch that comes before, and is answered with all of it


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do nothing, and say why at a line."""

    message: str
    place: Place


Verdict = InSync | Send | Refuse


@dataclass(frozen=True, slots=True)
class Context:
    """What the decision needs beside the object."""

    installation: str
    key: bytes  # of the installation: digests that stand in clusters are keyed with it
    cluster: ClusterName
    unit: UnitKey
    commit: str
    types: Types | None


def payload(wanted: Wanted, resource: Resource, id: ObjectId, context: Context) -> Json:
    """The object as it is sent: as written, normalised, and with our marks."""
    body = diff.normalise(wanted.manifest.body() if wanted.manifest else diff.decode(wanted.json))
    body["apiVersion"] = resource.api_version
    place, digest = wanted.place, request_digest(context.key, context.unit, wanted.digest)
    owner = owner_text(context.installation, context.cluster, context.unit, id)
    return stamp(body, owner, context.installation, id, str(place), context.commit, digest)


def decide(
    wanted: Wanted, resource: Resource, id: ObjectId, live: Live | None, foreign: Live | None, context: Context
) -> Verdict:
    """Decide for one object.

    `live` is the object if it is ours, `foreign` if it stands there and is not; both None: it does not exist.
    """
    body = payload(wanted, resource, id, context)
    if foreign is not None:
        if not wanted.policy.adopt:
            return Refuse(
                "exists and is not ours; left as it was. To take it over, annotate it with reconciler.dev/adopt: allowed",
                wanted.place,
            )
        return Send(body, force=False, uid=foreign.uid, adopts=tuple(adoption.patch(foreign.body(), resource.api_version)))
    if live is None:
        return Send(body, force=False, uid="")
    return _compare(wanted, body, live, context)


def _compare(wanted: Wanted, body: Json, live: Live, context: Context) -> Verdict:
    observed = live.body()
    if wanted.policy.ignore:
        body = diff.with_ignored(body, observed, wanted.policy.ignore, FIELD_MANAGER)
    found = diff.compare(body, observed, FIELD_MANAGER, context.types, wanted.policy.ignore, hidden=wanted.secret)
    same_request = live.annotations.get(DIGEST) == request_digest(context.key, context.unit, wanted.digest)
    if isinstance(found, diff.InSync):
        return InSync()
    if isinstance(found, diff.CannotTell):
        return Send(body, force=True, uid=live.uid, asks=same_request)
    rightly_theirs, ours = diff.contested(found.changes)
    left_alone = tuple(f"{change.pretty} (owned by {change.owner})" for change in rightly_theirs)
    if not ours and (rightly_theirs or not found.reason):
        return InSync(left_alone)
    if rightly_theirs:
        body = diff.without(body, tuple(change.path for change in rightly_theirs))
    return Send(body, force=True, uid=live.uid, drift=ours if same_request else (), left_alone=left_alone)


def adopted(wanted: Wanted, send: Send, live: Live, *, force: bool) -> Send:
    """What is applied to an object that is being adopted, now that it is known in full."""
    body = send.body
    if wanted.policy.ignore:
        body = diff.with_ignored(body, live.body(), wanted.policy.ignore, FIELD_MANAGER)
    return Send(body, force=force, uid=send.uid)


def with_uid(send: Send) -> Json:
    """The body with the uid that the decision rests on: were the object replaced meanwhile, the server refuses."""
    if not send.uid:
        return send.body
    return {**send.body, "metadata": {**send.body["metadata"], "uid": send.uid}}
