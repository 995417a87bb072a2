"""Reviews: questions about rights and identity, answered at once and kept nowhere.

Law of the module: whoever reaches an embedded cluster may do everything, so every answer is yes, and the user is `admin`.
"""

from __future__ import annotations

from . import metadata
from .resources import Resource
from .store import Json
from .writes import Call, Writes

_USER = {"username": "admin", "uid": "admin", "groups": ["system:masters", "system:authenticated"]}
_CREATE = ["create"]
# What cluster-admin, system:basic-user, system:discovery and system:public-info-viewer allow, in this order.
_RULES = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": _CREATE, "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
    {"verbs": _CREATE, "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
]
_INFO = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"]
_PATHS = [{"verbs": ["*"], "nonResourceURLs": ["*"]}, *({"verbs": ["get"], "nonResourceURLs": urls} for urls in (_DISCOVERY, _INFO))]
_STATUS: dict[str, Json] = {
    "SelfSubjectReview": {"userInfo": _USER},
    "SelfSubjectRulesReview": {
        "resourceRules": _RULES,
        "nonResourceRules": _PATHS,
        "incomplete": False,
    },
    "TokenReview": {"authenticated": True, "user": _USER},
}


def is_review(resource: Resource) -> bool:
    """Whether objects of a resource are questions."""
    return not resource.custom and resource.kind.endswith("Review")


def answer(writes: Writes, call: Call, review: Json) -> Json:
    """The review with its answer."""
    made = writes.forms.track(call.resource, None, review, call.options, call.now, "")
    if call.resource.kind == "SelfSubjectReview":
        made["metadata"] = {"creationTimestamp": metadata.timestamp(call.now)}
    return {**made, "status": _STATUS.get(call.resource.kind, {"allowed": True})}
