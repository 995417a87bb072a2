"""Paths below an object: status, scale, eviction, binding, token, finalize.

Law of the module: a subresource is another door to the same object; each door changes one part. Field managers that write through
one are recorded with its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import bodies, errors, patches, reads, scales, selectors, tokens, views
from .errors import Cause
from .http import Request, Response, Target
from .options import DeleteOptions, WriteOptions
from .resources import Resource
from .store import Json, encode
from .writes import Call

if TYPE_CHECKING:
    from .cluster import Cluster

_POLICY = "policy"


def answer(cluster: Cluster, request: Request, target: Target, resource: Resource, now: float) -> Response:
    """Answer a request for a subresource that the kind has; raises `ApiError`."""
    verbs = resource.about.subresources[target.subresource]["verbs"]
    verb = {"GET": "get", "PUT": "update", "PATCH": "patch", "POST": "create", "DELETE": "delete"}.get(request.method, "")
    if verb not in verbs:
        raise errors.no_method()
    match target.subresource:
        case "scale":
            return scales.answer(cluster, request, target, resource, now, verb)
        case "eviction":
            return _evict(cluster, request, target, resource, now)
        case "binding":
            return _bind(cluster, request, target, resource, now)
        case "token":
            return _token(cluster, request, target, resource, now)
        case "status" | "finalize" | "resize" | "ephemeralcontainers" | "approval":
            return _part(cluster, request, target, resource, now, verb)
    raise errors.ApiError(503, "ServiceUnavailable", "no kubelet runs here")


def _part(cluster: Cluster, request: Request, target: Target, resource: Resource, now: float, verb: str) -> Response:
    if verb == "get":
        form = views.form_of(request.accept)
        entry = reads.get(cluster.store, resource, target.namespace, target.name)
        return Response(200, views.one(form, resource, entry, now), form.content_type)
    if verb == "patch":
        call = cluster.call(request, target, resource, now, "PatchOptions")
        made, _ = patches.patched(cluster.writes, call, request)
        return cluster.answer(request, resource, made, now, 200, call.warnings)
    call = cluster.call(request, target, resource, now, "UpdateOptions")
    made = cluster.writes.update(call, cluster.body(request, resource, call))
    return cluster.answer(request, resource, made, now, 200, call.warnings)


# -- pods ---------------------------------------------------------------------------------------------------------------------


def _evict(cluster: Cluster, request: Request, target: Target, resource: Resource, now: float) -> Response:
    document, _ = bodies.read(request.body, "Eviction", request.content_type)
    call = cluster.call(request, target, resource, now, "CreateOptions")
    pod = cluster.writes.existing(call).obj
    chosen = document.get("deleteOptions") or {}
    conditions = chosen.get("preconditions") or {}
    dry_run = call.options.dry_run or bool(chosen.get("dryRun"))
    if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed", "Pending") and not pod["metadata"].get("deletionTimestamp"):
        _check_budgets(cluster, pod, now, dry_run)
    deletion = DeleteOptions(dry_run, chosen.get("gracePeriodSeconds"), conditions.get("uid"), conditions.get("resourceVersion"))
    cluster.writes.delete(Call(resource, target.namespace, target.name, now, WriteOptions("", dry_run)), deletion)
    return Response(201, encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))


def _check_budgets(cluster: Cluster, pod: Json, now: float, dry_run: bool) -> None:
    budgets = cluster.catalogue.find(_POLICY, "v1", "poddisruptionbudgets")
    assert budgets is not None
    meta = pod["metadata"]
    found = []
    for entry in cluster.store.entries(budgets.storage, meta["namespace"]):
        selector = selectors.object_selector(entry.obj["spec"].get("selector"))
        if entry.obj["spec"].get("selector") is not None and selectors.matches(selector, meta.get("labels") or {}):
            found.append(entry)
    if len(found) > 1:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise errors.internal(text)
    for entry in found:
        status = entry.obj.get("status") or {}
        allowed = status.get("disruptionsAllowed", 0)
        if status.get("observedGeneration", 0) < entry.obj["metadata"].get("generation", 0) or allowed <= 0:
            name = entry.obj["metadata"]["name"]
            text = "Cannot evict pod as it would violate the pod's disruption budget."
            if status.get("observedGeneration", 0) < entry.obj["metadata"].get("generation", 0):
                words = f"The disruption budget {name} is still being processed by the server."
                causes = [{"reason": "DisruptionBudget", "message": words}]
                raise errors.ApiError(429, "TooManyRequests", text, {"causes": causes, "retryAfterSeconds": 10})
            needed, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
            cause = Cause(
                "DisruptionBudget",
                f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently",
                "",
            )
            details = {"causes": [{"reason": cause.reason, "message": cause.text}]}
            raise errors.ApiError(429, "TooManyRequests", text, details)
        if not dry_run:
            spent = Call(budgets, *entry.key, now, WriteOptions("kube-apiserver"), "status")
            cluster.writes.change(spent, lambda obj: obj["status"].update(disruptionsAllowed=obj["status"]["disruptionsAllowed"] - 1))


def _token(cluster: Cluster, request: Request, target: Target, resource: Resource, now: float) -> Response:
    call = cluster.call(request, target, resource, now, "CreateOptions")
    document, _ = bodies.read(request.body, "TokenRequest", request.content_type)
    account = cluster.writes.existing(call).obj
    return Response(201, encode(tokens.answer(cluster.ids, account, document, now)))


def _bind(cluster: Cluster, request: Request, target: Target, resource: Resource, now: float) -> Response:
    document, _ = bodies.read(request.body, "Binding", request.content_type)
    call = cluster.call(request, target, resource, now, "CreateOptions")
    node = (document.get("target") or {}).get("name", "")
    pod = cluster.writes.existing(call).obj
    if pod["spec"].get("nodeName"):
        text = f'pod {target.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        raise errors.conflict("", "pods/binding", target.name, text)
    cluster.writes.bind(call, node)
    return Response(201, encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
