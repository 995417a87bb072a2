"""Which fields a path never writes, so that nobody owns them by it.

Law of the module: the object's own path ignores status where that is a part of its own; the status path ignores the wish. Source:
`GetResetFields` of each kind's strategy in Kubernetes 1.36 and of custom resources.
"""

from __future__ import annotations

from .fields import FieldSet

STATUS = FieldSet.of(("f:status",))
SPEC = FieldSet.of(("f:spec",))
WISH_AND_METADATA = FieldSet.of(("f:spec",), ("f:metadata",))

_OWN = {("certificates.k8s.io", "CertificateSigningRequest"): FieldSet.of(("f:spec",), ("f:status",))}
_STATUS_PATH = {
    ("", "Pod"): FieldSet.of(("f:spec",), ("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences")),
    ("apps", "Deployment"): FieldSet.of(("f:spec",), ("f:metadata", "f:labels")),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): WISH_AND_METADATA,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): WISH_AND_METADATA,
    ("certificates.k8s.io", "CertificateSigningRequest"): FieldSet.of(("f:spec",), ("f:status", "f:conditions")),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): WISH_AND_METADATA,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): WISH_AND_METADATA,
    ("networking.k8s.io", "ServiceCIDR"): WISH_AND_METADATA,
    ("resource.k8s.io", "ResourceClaim"): WISH_AND_METADATA,
    ("storage.k8s.io", "VolumeAttachment"): WISH_AND_METADATA,
}


def ignored(group: str, kind: str, subresource: str, *, custom: bool, has_status: bool) -> FieldSet:
    """The fields that a write through this path leaves alone."""
    if subresource == "status":
        return WISH_AND_METADATA if custom else _STATUS_PATH.get((group, kind), SPEC)
    if subresource in ("", "finalize") and has_status:
        return _OWN.get((group, kind), STATUS)
    return FieldSet()
