"""Rules of kinds: what an object must have, and what may not change.

Law of the module: one row a kind, for creation (asked at updates too) and for updates; metadata is judged elsewhere. Paths, order and
sentences are those of kube-apiserver 1.36. Rules that people do not run into are left out: such an object is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from . import accessrules, definitionrules, metadata, networkrules, selectors, validate, workloadrules
from .errors import Cause, forbidden_field, invalid_value, required, unsupported
from .resources import Resource
from .store import Json

Rule = Callable[[Json], Iterable[Cause]]
UpdateRule = Callable[[Json, Json], Iterable[Cause]]

_IMMUTABLE = "field is immutable"
_SET = "field is immutable when `immutable` is set"
_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
    "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_CLAIM_WORDS = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_PERCENT_WORDS = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
    "regex used for validation is '[0-9]+%')"
)
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
# Of these the strategy looks at what may not change, after the rules.
_FIXED_LATE = (("apps", "Deployment"), ("apps", "ReplicaSet"))
# A PUT of these must name the version that it replaces.
_VERSIONED = (
    "CustomResourceDefinition",
    "Lease",
    "PodDisruptionBudget",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
)


def create_causes(resource: Resource, obj: Json) -> list[Cause]:
    """What is wrong with an object, at creation or update."""
    if resource.custom:
        return validate.causes(resource.about.type, obj) + definitionrules.scale_causes(resource, obj)
    rule = _RULES.get((resource.group, resource.kind))
    return list(rule(obj)) if rule else []


def update_causes(resource: Resource, obj: Json, old: Json, part: str) -> list[Cause]:
    """What is wrong with a change, beyond what is wrong with the object."""
    if part and not resource.custom:
        return []
    rule = None if resource.custom else _UPDATES.get((resource.group, resource.kind))
    found = list(rule(obj, old)) if rule else []
    late = (resource.group, resource.kind) in _FIXED_LATE
    changed = {k: v for k, v in obj.items() if k != "metadata"} != {k: v for k, v in old.items() if k != "metadata"}
    wrong = create_causes(resource, obj) if changed else []
    if resource.kind == "CustomResourceDefinition":
        wrong = [cause for cause in wrong if cause.field != "metadata.name"]  # the name is looked at once
    return wrong + found if late else found + wrong


def needs_version(resource: Resource) -> bool:
    """Whether a PUT must name the version that it replaces."""
    return resource.custom or resource.kind in _VERSIONED


# -- data ---------------------------------------------------------------------------------------------------------------------


def _keys(obj: Json, field: str) -> Iterator[Cause]:
    for key in sorted(obj.get(field) or ()):
        path = f"{field}[{key}]"
        if len(key) > 253:
            yield invalid_value(path, key, "must be no more than 253 bytes")
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
            yield invalid_value(path, key, _KEY_WORDS)
        elif key in (".", "..") or key.startswith(".."):
            yield invalid_value(path, key, f"must not {'start with' if len(key) > 2 else 'be'} '{key[:2]}'")


def _config_map(obj: Json) -> Iterator[Cause]:
    yield from _keys(obj, "data")
    for key in sorted(obj.get("data") or ()):
        if key in (obj.get("binaryData") or ()):
            yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    yield from _keys(obj, "binaryData")


def _secret(obj: Json) -> Iterator[Cause]:
    yield from _keys(obj, "data")
    data = obj.get("data") or {}
    for key in _SECRET_KEYS.get(obj.get("type", ""), ()):
        if key not in data:
            yield required(f"data[{key}]")


def _data_update(*fields: str) -> UpdateRule:
    def rule(obj: Json, old: Json) -> Iterator[Cause]:
        if "type" in old and obj.get("type") != old.get("type"):
            yield invalid_value("type", obj.get("type"), _IMMUTABLE)
        if not old.get("immutable"):
            return
        if not obj.get("immutable"):
            yield forbidden_field("immutable", _SET)
        for field in fields:
            if (obj.get(field) or {}) != (old.get(field) or {}):
                yield forbidden_field(field, _SET)

    return rule


# -- storage, policy ----------------------------------------------------------------------------------------------------------


def _claim(obj: Json) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    for mode in spec.get("accessModes") or ():
        known = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
        if mode not in known:
            yield unsupported("spec.accessModes", mode, known)
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        yield required("spec.resources[storage]")


def _claim_update(obj: Json, old: Json) -> Iterator[Cause]:
    def fixed(claim: Json) -> Json:
        return {k: v for k, v in claim["spec"].items() if k not in ("resources", "volumeAttributesClassName")}

    bound = old["status"].get("phase") == "Bound"
    before, after = fixed(old), fixed(obj)
    if not before.get("volumeName"):  # the binder may set it once
        before.pop("volumeName", None)
        after.pop("volumeName", None)
    if after != before or (not bound and obj["spec"].get("resources") != old["spec"].get("resources")):
        yield forbidden_field("spec", _CLAIM_WORDS)


def _budget(obj: Json) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        names = ("MinAvailable", "Selector", "MaxUnavailable", "UnhealthyPodEvictionPolicy")
        shown = {name: spec.get(name[0].lower() + name[1:]) for name in names}
        yield invalid_value("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            yield from _share(spec[name], f"spec.{name}")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy not in (None, "IfHealthyBudget", "AlwaysAllow"):
        yield unsupported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget"))
    if spec.get("selector") is not None:
        yield from selectors.selector_causes(spec["selector"], "spec.selector")


def _share(value: int | str, path: str) -> Iterator[Cause]:
    """A number, or a percentage up to 100."""
    if isinstance(value, int):
        if value < 0:
            yield invalid_value(path, value, "must be greater than or equal to 0")
    elif not re.fullmatch("[0-9]+%", value):
        yield invalid_value(path, value, _PERCENT_WORDS)
    elif int(value[:-1]) > 100:
        yield invalid_value(path, value, "must not be greater than 100%")


def _lease(obj: Json) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if spec.get("leaseDurationSeconds", 1) <= 0:
        yield invalid_value("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
    if spec.get("leaseTransitions", 0) < 0:
        yield invalid_value("spec.leaseTransitions", spec["leaseTransitions"], "must be greater than or equal to 0")


def _autoscaler(obj: Json) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if least < 1:
        yield invalid_value("spec.minReplicas", least, "must be greater than or equal to 1")
    if most == 0:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    elif most < 1:
        yield invalid_value("spec.maxReplicas", most, "must be greater than or equal to 1")
    if most < least:
        yield invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    target = spec.get("scaleTargetRef") or {}
    for name in ("kind", "name"):
        if not target.get(name):
            yield required(f"spec.scaleTargetRef.{name}")
        else:
            words = metadata.path_words(target[name])
            yield from (invalid_value(f"spec.scaleTargetRef.{name}", target[name], text) for text in words)
    if "/" not in target.get("apiVersion", ""):
        yield invalid_value("spec.scaleTargetRef.apiVersion", target.get("apiVersion", ""), "apiVersion must specify API group")


def _revision_update(obj: Json, old: Json) -> Iterator[Cause]:
    if obj.get("data") != old.get("data"):
        yield invalid_value("data", obj.get("data"), _IMMUTABLE)


def _priority_class_update(obj: Json, old: Json) -> Iterator[Cause]:
    if obj.get("value") != old.get("value"):
        yield forbidden_field("value", "may not be changed in an update.")
    if obj.get("preemptionPolicy") != old.get("preemptionPolicy"):
        yield invalid_value("preemptionPolicy", obj.get("preemptionPolicy"), _IMMUTABLE)


def _storage_class_update(obj: Json, old: Json) -> Iterator[Cause]:
    if obj.get("parameters") != old.get("parameters"):
        yield forbidden_field("parameters", "updates to parameters are forbidden.")
    for field in ("provisioner", "reclaimPolicy", "volumeBindingMode"):
        if obj.get(field) != old.get(field):
            yield invalid_value(field, obj.get(field), _IMMUTABLE)


_RULES: dict[tuple[str, str], Rule] = {
    ("", "ConfigMap"): _config_map,
    ("", "Secret"): _secret,
    ("", "Pod"): workloadrules.pod,
    ("", "Service"): networkrules.service,
    ("", "PersistentVolumeClaim"): _claim,
    ("apps", "Deployment"): workloadrules.deployment,
    ("apps", "ReplicaSet"): workloadrules.scaled,
    ("apps", "StatefulSet"): workloadrules.stateful,
    ("apps", "DaemonSet"): workloadrules.daemon,
    ("batch", "Job"): workloadrules.job,
    ("batch", "CronJob"): workloadrules.cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("coordination.k8s.io", "Lease"): _lease,
    ("networking.k8s.io", "Ingress"): networkrules.ingress,
    ("networking.k8s.io", "NetworkPolicy"): networkrules.network_policy,
    ("policy", "PodDisruptionBudget"): _budget,
    ("rbac.authorization.k8s.io", "Role"): accessrules.role,
    ("rbac.authorization.k8s.io", "ClusterRole"): accessrules.cluster_role,
    ("rbac.authorization.k8s.io", "RoleBinding"): accessrules.role_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): accessrules.cluster_role_binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definitionrules.definition,
}
_UPDATES: dict[tuple[str, str], UpdateRule] = {
    ("", "ConfigMap"): _data_update("data", "binaryData"),
    ("", "Secret"): _data_update("data"),
    ("", "Pod"): workloadrules.pod_update,
    ("", "Service"): networkrules.service_update,
    ("", "PersistentVolumeClaim"): _claim_update,
    ("apps", "Deployment"): workloadrules.selector_fixed,
    ("apps", "ReplicaSet"): workloadrules.selector_fixed,
    ("apps", "DaemonSet"): workloadrules.selector_fixed,
    ("apps", "StatefulSet"): workloadrules.stateful_update,
    ("apps", "ControllerRevision"): _revision_update,
    ("batch", "Job"): workloadrules.job_update,
    ("rbac.authorization.k8s.io", "RoleBinding"): accessrules.binding_update,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): accessrules.binding_update,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class_update,
    ("storage.k8s.io", "StorageClass"): _storage_class_update,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definitionrules.definition_update,
}
