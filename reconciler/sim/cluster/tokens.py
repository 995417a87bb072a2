"""Tokens of service accounts, as `serviceaccounts/<name>/token` makes them.

Law of the module: a token reads like a real one (a JSON Web Token with the claims of Kubernetes, RFC 7519), but proves nothing: its
last part is a digest, no signature. An embedded cluster asks for no token of an account.
"""

from __future__ import annotations

import base64
import hashlib

from . import metadata
from .errors import ApiError, invalid, invalid_value
from .ids import Ids
from .store import Json, encode

_ISSUER = "https://kubernetes.default.svc"
_DEFAULT_SECONDS = 3_600
_LEAST_SECONDS = 600
_MOST_SECONDS = 1 << 32


def answer(ids: Ids, account: Json, request: Json, now: float) -> Json:
    """The TokenRequest with its token; raises `ApiError` 422."""
    meta, asked = account["metadata"], request.get("spec") or {}
    seconds = asked.get("expirationSeconds") or _DEFAULT_SECONDS
    if refused := _refusal(seconds):
        raise refused
    audiences = asked.get("audiences") or [_ISSUER]
    who = {"name": meta["name"], "uid": meta["uid"]}
    claims = {
        "aud": audiences,
        "exp": int(now) + seconds,
        "iat": int(now),
        "iss": _ISSUER,
        "jti": ids.uid(),
        "kubernetes.io": {"namespace": meta["namespace"], "serviceaccount": who},
        "nbf": int(now),
        "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
    }
    head = _part(encode({"alg": "ES256", "kid": "embedded"})) + "." + _part(encode(claims))
    token = f"{head}.{_part(hashlib.blake2b(head.encode()).digest())}"
    shown = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"], "creationTimestamp": metadata.timestamp(now)}
    made: Json = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": shown}
    made["spec"] = {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": asked.get("boundObjectRef")}
    made["status"] = {"token": token, "expirationTimestamp": metadata.timestamp(now + seconds)}
    return made


def _refusal(seconds: int) -> ApiError | None:
    text = ""
    if seconds < _LEAST_SECONDS:
        text = "may not specify a duration less than 10 minutes"
    elif seconds > _MOST_SECONDS:
        text = "may not specify a duration larger than 2^32 seconds"
    if not text:
        return None
    return invalid("authentication.k8s.io", "TokenRequest", "", [invalid_value("spec.expirationSeconds", seconds, text)])


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
