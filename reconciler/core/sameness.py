"""Whether a value as written and a value as stored mean the same to Kubernetes.

Law of the module: three answers, for a guess would be believed: SAME, DIFFERENT, and UNSURE where only the server knows. Where the
type is known, quantities, times and base64 are compared by what they mean, and defaults are filled in. Where it is not (custom
resources, kinds of a newer server) texts that could mean the same are UNSURE, and so is a field that only live has.

Source of the defaults: k8s.io/kubernetes pkg/apis/*/v1/defaults.go, as far as they reach into what server-side apply takes as a
whole; elsewhere a default belongs to nobody and is never compared. Each was seen on a real server (tests/core/record_diff.py).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from typing import Any, Final, Literal, NamedTuple

from reconciler.lib import quantity

from .paths import Path
from .types import Type, Types

Sameness = Literal["same", "different", "unsure"]
SIMPLE: Final = (str, int, bool)  # types of which equal values of one type are the same
DEPTH_LIMIT: Final = 100  # levels below one path; the API server's own limit for JSON is far higher than any kind needs

RBAC_GROUP: Final = "rbac.authorization.k8s.io"
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "admissionregistration.v1.MatchResources": {
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
    },
    "admissionregistration.v1.NamedRuleWithOperations": {"scope": "*"},
    "admissionregistration.v1.RuleWithOperations": {"scope": "*"},
    "batch.v1.PodFailurePolicyOnPodConditionsPattern": {"status": "True"},
    "core.v1.EndpointPort": {"protocol": "TCP"},
    "core.v1.ObjectFieldSelector": {"apiVersion": "v1"},
    "core.v1.PersistentVolumeClaim": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "status": {"phase": "Pending"},
    },
    "core.v1.PersistentVolumeClaimSpec": {"volumeMode": "Filesystem"},
    "core.v1.ResourceFieldSelector": {"divisor": "0"},
    "core.v1.ServiceAccountTokenProjection": {"expirationSeconds": 3600},
    "discovery.v1.EndpointPort": {"protocol": "TCP", "name": ""},
    "networking.v1.NetworkPolicyPort": {"protocol": "TCP"},
    "rbac.v1.RoleRef": {"apiGroup": RBAC_GROUP},
    "apiextensions.v1.CustomResourceDefinitionVersion": {},
    "apiextensions.v1.JSONSchemaProps": {},
    "autoscaling.v2.MetricIdentifier": {},
    "autoscaling.v2.MetricTarget": {},
    "core.v1.LocalObjectReference": {},
    "discovery.v1.Endpoint": {},
    "discovery.v1.EndpointConditions": {},
    "meta.v1.LabelSelector": {},
    "networking.v1.HTTPIngressPath": {},
    "networking.v1.IngressRule": {},
    "networking.v1.NetworkPolicyEgressRule": {},
    "networking.v1.NetworkPolicyIngressRule": {},
    "networking.v1.NetworkPolicyPeer": {},
    "rbac.v1.PolicyRule": {},
}
"""Every default of the types that stand here, as far as it is a constant; of other types nothing is known."""

APPENDED: Final = ("core.v1.Toleration",)  # admission adds two to every bare pod (DefaultTolerationSeconds)


class Found(NamedTuple):
    """The answer; where it is not "same", the first place below at which the two part, and what stands there."""

    answer: Sameness
    path: Path = ()
    wanted: Any = None
    live: Any = None


_SAME: Final = Found("same")


def same(wanted: Any, live: Any, type: Type | None, types: Types | None, depth: int = DEPTH_LIMIT) -> Found:
    """Compare two values in full. `types` resolves the structs that `type` names."""
    if wanted.__class__ is live.__class__ and wanted.__class__ in SIMPLE and wanted == live:
        return _SAME
    if depth == 0:
        return Found("unsure", (), wanted, live)
    if isinstance(wanted, dict) and isinstance(live, dict):
        return _same_maps(wanted, live, type, types, depth)
    if isinstance(wanted, list) and isinstance(live, list):
        return _same_lists(wanted, live, type, types, depth)
    answer = _same_scalars(wanted, live, type)
    return _SAME if answer == "same" else Found(answer, (), wanted, live)


def is_zero(value: Any) -> bool:
    """Whether a value is one that Kubernetes often does not store: null, "", 0, false, an empty map or list."""
    return not value


def stores_zero(type: Type | None) -> bool | None:
    """Whether an explicit zero value of a type is stored; None where that is not known."""
    if type is None or type.name == "any" or type.form == "struct" or (type.item is not None and type.item.name == "any"):
        return None
    return type.kept or type.always


def _same_maps(wanted: dict[str, Any], live: dict[str, Any], type: Type | None, types: Types | None, depth: int) -> Found:
    unsure: Found | None = None
    fields, item = _below(type, types)
    for name, value in wanted.items():
        below = fields.get(name) if fields is not None else item
        have = live.get(name)
        if have is None:
            if value is None:
                continue
            stored = stores_zero(below) if fields is not None and is_zero(value) else True  # maps keep all of their keys
            if stored is False:
                continue
            found = Found("different" if stored else "unsure", (), value, None)
        else:
            found = same(value, have, below, types, depth - 1)
        if found.answer == "different":
            return Found("different", (name, *found.path), found.wanted, found.live)
        if found.answer == "unsure":
            unsure = unsure or Found("unsure", (name, *found.path), found.wanted, found.live)
    for name, have in live.items():
        if name not in wanted and have is not None:
            answer = _only_live(name, have, wanted, type, fields)
            if answer == "different":
                return Found("different", (name,), None, have)
            if answer == "unsure":
                unsure = unsure or Found("unsure", (name,), None, have)
    return unsure or _SAME


def _only_live(name: str, have: Any, wanted: dict[str, Any], type: Type | None, fields: Any) -> Sameness:
    """A field that only live has: a default, or what we no longer want."""
    if type is None:
        return "unsure"
    if fields is None:  # a key of a map: nobody adds any, but to amounts (LimitRange: requests from limits)
        return "unsure" if type.item is not None and type.item.name == "quantity" else "different"
    below = fields.get(name)
    if below is None:
        return "unsure"
    if below.always and is_zero(have):
        return "same"
    known = DEFAULTS.get(type.name)
    default = (known or {}).get(name, below.default)
    if type.name == "rbac.v1.Subject" and name == "apiGroup":
        default = RBAC_GROUP if wanted.get("kind") in ("User", "Group") else ""
    if default is not None and default == have:
        return "same"
    return "unsure" if known is None else "different"


def _same_lists(wanted: list[Any], live: list[Any], type: Type | None, types: Types | None, depth: int) -> Found:
    item = type.item if type is not None else None
    appended = len(wanted) < len(live) and item is not None and item.name in APPENDED
    if len(wanted) != len(live) and not appended:
        return Found("different", (), wanted, live)
    unsure = Found("unsure", (), wanted, live) if appended else None
    for index, (value, have) in enumerate(zip(wanted, live, strict=False)):
        found = same(value, have, item, types, depth - 1)
        if found.answer == "different":
            return Found("different", (index, *found.path), found.wanted, found.live)
        if found.answer == "unsure":
            unsure = unsure or Found("unsure", (index, *found.path), found.wanted, found.live)
    return unsure or _SAME


def _below(type: Type | None, types: Types | None) -> tuple[Any, Type | None]:
    """The fields of a struct, or the type of a map's values."""
    if type is None or types is None:
        return None, None
    if type.form == "struct":
        struct = types.struct(type)
        return (struct.fields if struct else {}), None
    return None, type if type.name == "any" else type.item


def _same_scalars(wanted: Any, live: Any, type: Type | None) -> Sameness:
    if wanted.__class__ is live.__class__:
        if wanted == live:
            return "same"
    elif isinstance(wanted, bool | dict | list) or isinstance(live, bool | dict | list):
        return "different"
    elif wanted == live:
        return "same"  # 1 and 1.0
    if wanted is None:
        return "unsure"
    if type is None:
        return "unsure" if any(rule(wanted, live) for rule in _MEANINGS.values()) else "different"
    rule = _MEANINGS.get(type.name)
    return "same" if rule is not None and rule(wanted, live) else "different"


def _same_quantity(wanted: Any, live: Any) -> bool:
    """Equal amounts, or the stored one is ours rounded up to thousandths, as resource lists are."""
    if quantity.equal(wanted, live):
        return True
    try:
        return not isinstance(wanted, bool) and quantity.equal(quantity.round_up(wanted, -3), live)
    except (TypeError, ValueError, AttributeError):
        return False


def _same_time(wanted: Any, live: Any) -> bool:
    if not isinstance(wanted, str) or not isinstance(live, str) or len(wanted) > 40 or len(live) > 40:
        return False
    try:
        left, right = dt.datetime.fromisoformat(wanted), dt.datetime.fromisoformat(live)
    except ValueError:
        return False
    if left.tzinfo is None or right.tzinfo is None:
        return False
    if "." not in live:  # metav1.Time holds whole seconds, MicroTime always writes its six digits
        left = left.replace(microsecond=0)
    return left == right


def _same_bytes(wanted: Any, live: Any) -> bool:
    if not isinstance(wanted, str) or not isinstance(live, str):
        return False
    try:
        # Go's decoder passes over line ends and wants the rest exact.
        left, right = (base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True) for text in (wanted, live))
    except (binascii.Error, ValueError):
        return False
    return left == right


_MEANINGS: Final = {"quantity": _same_quantity, "time": _same_time, "bytes": _same_bytes}
