"""Reviews: questions about rights and identity, answered at once and kept nowhere.

Law of the module: whoever reaches an embedded cluster may do everything, so every answer is yes, and the user is `admin`.
"""

from __future__ import annotations

from .resources import Resource
from .store import Json
from .writes import Call, Writes

_USER = {"username": "admin", "uid": "admin", "groups": ["system:masters", "system:authenticated"]}
_EVERYTHING = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
_STATUS: dict[str, Json] = {
    "SelfSubjectReview": {"userInfo": _USER},
    "SelfSubjectRulesReview": {
        "resourceRules": _EVERYTHING,
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
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
    return {**made, "status": _STATUS.get(call.resource.kind, {"allowed": True})}
