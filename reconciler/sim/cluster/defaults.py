"""What the API server adds to an object that does not say it.

Law of the module: a default stands only where a field is absent (in the stored form, where zero values are gone); an outer
type is completed before what is in it. Constants are data, by type; what depends on other fields is a function, by type.
Custom kinds have the defaults of their schema. Source: `pkg/apis/*/v1/defaults.go` of Kubernetes 1.36, and, for
fields that exist under two names, its conversions.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from reconciler.lib import quantity

from .schema import Type

Json = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
_HOOK: Json = {"failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
_CONTAINER: Json = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
_MODE: Json = {"defaultMode": 0o644}

CONSTANTS: dict[str, Json] = {
    "admissionregistration.v1.MatchResources": {k: v for k, v in _HOOK.items() if k != "failurePolicy"},
    "admissionregistration.v1.MutatingAdmissionPolicySpec": {"failurePolicy": "Fail"},
    "admissionregistration.v1.MutatingWebhook": {**_HOOK, "timeoutSeconds": 10, "reinvocationPolicy": "Never"},
    "admissionregistration.v1.RuleWithOperations": {"scope": "*"},
    "admissionregistration.v1.ServiceReference": {"port": 443},
    "admissionregistration.v1.ValidatingAdmissionPolicySpec": {"failurePolicy": "Fail"},
    "admissionregistration.v1.ValidatingWebhook": {**_HOOK, "timeoutSeconds": 10},
    "apiextensions.v1.CustomResourceDefinitionSpec": {"conversion": {"strategy": "None"}},
    "apiextensions.v1.ServiceReference": {"port": 443},
    "apiregistration.v1.ServiceReference": {"port": 443},
    "apps.v1.DaemonSetSpec": {"revisionHistoryLimit": 10},
    "apps.v1.DaemonSetUpdateStrategy": {"type": "RollingUpdate"},
    "apps.v1.DeploymentSpec": {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600},
    "apps.v1.DeploymentStrategy": {"type": "RollingUpdate"},
    "apps.v1.ReplicaSetSpec": {"replicas": 1},
    "apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    "apps.v1.StatefulSetSpec": {
        "podManagementPolicy": "OrderedReady",
        "persistentVolumeClaimRetentionPolicy": {},
        "replicas": 1,
        "revisionHistoryLimit": 10,
    },
    "autoscaling.v1.HorizontalPodAutoscalerSpec": {"minReplicas": 1},
    "autoscaling.v2.HorizontalPodAutoscalerSpec": {"minReplicas": 1},
    "batch.v1.CronJobSpec": {
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    },
    "batch.v1.PodFailurePolicyOnPodConditionsPattern": {"status": "True"},
    "core.v1.Container": _CONTAINER,
    "core.v1.ConfigMapVolumeSource": _MODE,
    "core.v1.EndpointPort": {"protocol": "TCP"},
    "core.v1.DownwardAPIVolumeSource": _MODE,
    "core.v1.EphemeralContainer": _CONTAINER,
    "core.v1.HTTPGetAction": {"path": "/", "scheme": "HTTP"},
    "core.v1.HostPathVolumeSource": {"type": ""},
    "core.v1.NamespaceStatus": {"phase": "Active"},
    "core.v1.ObjectFieldSelector": {"apiVersion": "v1"},
    "core.v1.PersistentVolumeClaimSpec": {"volumeMode": "Filesystem"},
    "core.v1.PersistentVolumeClaimStatus": {"phase": "Pending"},
    "core.v1.PersistentVolumeSpec": {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"},
    "core.v1.PersistentVolumeStatus": {"phase": "Pending"},
    "core.v1.PodSpec": {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    },
    "core.v1.Probe": {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
    "core.v1.ProjectedVolumeSource": _MODE,
    "core.v1.Secret": {"type": "Opaque"},
    "core.v1.SecretVolumeSource": _MODE,
    "core.v1.ServiceAccountTokenProjection": {"expirationSeconds": 3600},
    "core.v1.ServiceSpec": {"sessionAffinity": "None", "type": "ClusterIP"},
    "discovery.v1.EndpointPort": {"name": "", "protocol": "TCP"},
    "networking.v1.IngressClassParametersReference": {"scope": "Cluster"},
    "networking.v1.NetworkPolicyPort": {"protocol": "TCP"},
    "rbac.v1.RoleRef": {"apiGroup": RBAC},
    "scheduling.v1.PriorityClass": {"preemptionPolicy": "PreemptLowerPriority"},
    "storage.v1.CSIDriverSpec": {
        "attachRequired": True,
        "podInfoOnMount": False,
        "fsGroupPolicy": "ReadWriteOnceWithFSType",
        "volumeLifecycleModes": ["Persistent"],
        "requiresRepublish": False,
        "storageCapacity": False,
        "seLinuxMount": False,
    },
    "storage.v1.StorageClass": {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
}


_NONE: Json = {}


def defaulted(of: Type, value: Any) -> Any:
    """A stored value of a built-in type with its defaults. Shares no part with what was given."""
    if not isinstance(value, dict | list):
        return value
    if isinstance(value, dict) and of.fields is not None and not of.scalar:
        made = dict(value)
        for name, constant in CONSTANTS.get(of.name, _NONE).items():
            if made.get(name) is None or (made[name] == "" and _inner(of, name).always):
                made[name] = _copy(constant)
        for name, inner in of.fields.items():
            if inner.default is not None and (inner.kept or inner.default not in ("", 0, False)):
                made.setdefault(name, inner.default)
        if of.name in RULES:
            RULES[of.name](made)
        if of.values is not None and of.values.scalar == "quantity":
            return {name: quantity.round_up(each, -3) for name, each in made.items()}
        return {n: defaulted(_inner(of, n), each) if isinstance(each, dict | list) else each for n, each in made.items()}
    if isinstance(value, list) and of.items is not None and not of.scalar:
        return [defaulted(of.items, each) for each in value]
    return _copy(value)


def custom_defaulted(of: Type, value: Any, *, applied: bool = False) -> Any:
    """A value of a custom kind with the defaults of its schema; null gives way to a default unless it is allowed.

    A null that is neither allowed nor has a default goes too, but not from what was applied: there it is left to be refused.
    """
    if isinstance(value, dict) and of.is_map:
        made = dict(value)
        for name, inner in (of.fields or {}).items():
            null = name in made and made[name] is None and not inner.rules.get("nullable")
            if null and inner.default is None:
                if inner.rules and not applied:
                    del made[name]
            elif inner.default is not None and (null or name not in made):
                made[name] = _copy(inner.default)
        return {name: custom_defaulted(_inner(of, name), each, applied=applied) for name, each in made.items()}
    if isinstance(value, list) and of.items is not None:
        return [custom_defaulted(of.items, each, applied=applied) for each in value]
    return _copy(value)


def _inner(of: Type, name: str) -> Type:
    return (of.fields or {}).get(name) or of.values or Type()


# -- What depends on other fields -------------------------------------------------------------------------------------


def _container(made: Json) -> None:
    made.setdefault("imagePullPolicy", "Always" if _is_latest(made.get("image", "")) else "IfNotPresent")


_IMAGE = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::[0-9]+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::(\w[\w.-]{0,127}))?")


def _is_latest(image: str) -> bool:
    """Whether an image's tag is "latest", said or implied; a digest implies nothing."""
    name = image.rpartition("/")[2]
    if "@" in image:
        return name.partition("@")[0].endswith(":latest")
    if not _IMAGE.fullmatch(image):
        return False
    return ":" not in name or name.endswith(":latest")


def _volume(made: Json) -> None:
    if made.keys() <= {"name"}:
        made["emptyDir"] = {}
    image = made.get("image")
    if image is not None and "pullPolicy" not in image:
        made["image"] = {**image, "pullPolicy": "Always" if _is_latest(image.get("reference", "")) else "IfNotPresent"}


def _pod_spec(made: Json) -> None:
    account = made.get("serviceAccountName") or made.get("serviceAccount")
    if account:
        made["serviceAccountName"] = made["serviceAccount"] = account


def _pod(made: Json) -> None:
    spec = made["spec"] = dict(made["spec"])
    spec.setdefault("enableServiceLinks", True)
    for group in ("containers", "initContainers"):
        if spec.get(group):
            spec[group] = [_pod_container(each, spec.get("hostNetwork", False)) for each in spec[group]]


def _pod_container(container: Json, host_network: bool) -> Json:
    resources = container.get("resources", {})
    limits = resources.get("limits")
    if limits:
        container = {**container, "resources": {**resources, "requests": limits | resources.get("requests", {})}}
    if host_network and container.get("ports"):
        ports = [{"hostPort": each["containerPort"], **each} for each in container["ports"]]
        container = {**container, "ports": ports}
    return container


def _service(made: Json) -> None:
    spec = made["spec"] = {"sessionAffinity": "None", "type": "ClusterIP", **made["spec"]}
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = spec.get("sessionAffinityConfig", {}).get("clientIP") or {}
        if "timeoutSeconds" not in client:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    outside = spec["type"] in ("NodePort", "LoadBalancer") or (spec["type"] == "ClusterIP" and spec.get("externalIPs"))
    if outside:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        made["status"] = _with_modes(made.get("status", {}))
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _with_modes(status: Json) -> Json:
    """The status of a Service whose addresses say how they are reached."""
    balancer = status.get("loadBalancer") or {}
    if not balancer.get("ingress"):
        return status
    ingress = [{"ipMode": "VIP", **each} if each.get("ip") else each for each in balancer["ingress"]]
    return {**status, "loadBalancer": {**balancer, "ingress": ingress}}


def _service_port(made: Json) -> None:
    if made.get("targetPort") in (0, "", None):
        made["targetPort"] = made.get("port", 0)


def _secret(made: Json) -> None:
    """`stringData` is only for writing: it goes into `data`."""
    texts = made.pop("stringData", None)
    if texts:
        made["data"] = made.get("data", {}) | {key: base64.b64encode(each.encode()).decode() for key, each in texts.items()}


def _namespace(made: Json) -> None:
    metadata = made["metadata"]
    if metadata.get("name"):
        labels = metadata.get("labels", {}) | {"kubernetes.io/metadata.name": metadata["name"]}
        made["metadata"] = {**metadata, "labels": labels}


def _node_status(made: Json) -> None:
    if made.get("capacity"):
        made.setdefault("allocatable", made["capacity"])


def _limit(made: Json) -> None:
    if made.get("type") == "Container":
        made["default"] = made.get("max", {}) | made.get("default", {})
        made["defaultRequest"] = made.get("min", {}) | made["default"] | made.get("defaultRequest", {})
        for name in ("default", "defaultRequest"):
            if not made[name]:
                del made[name]


def _deployment_strategy(made: Json) -> None:
    if made["type"] == "RollingUpdate":
        made["rollingUpdate"] = {"maxUnavailable": "25%", "maxSurge": "25%"} | made.get("rollingUpdate", {})


def _daemon_strategy(made: Json) -> None:
    if made["type"] == "RollingUpdate":
        made["rollingUpdate"] = {"maxUnavailable": 1, "maxSurge": 0} | made.get("rollingUpdate", {})


def _stateful_strategy(made: Json) -> None:
    if "type" not in made:
        made["type"] = "RollingUpdate"
        made.setdefault("rollingUpdate", {})
    if made["type"] == "RollingUpdate" and "rollingUpdate" in made:
        made["rollingUpdate"] = STATEFUL_ROLLING | made["rollingUpdate"]


STATEFUL_ROLLING: Json = {"partition": 0}


def _stateful_spec(made: Json) -> None:
    if made.get("volumeClaimTemplates"):
        typed = {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
        made["volumeClaimTemplates"] = [typed | claim for claim in made["volumeClaimTemplates"]]


def _daemon_set(made: Json) -> None:
    metadata = made["metadata"]
    annotations = {"deprecated.daemonset.template.generation": "1"} | metadata.get("annotations", {})
    made["metadata"] = {**metadata, "annotations": annotations}


def _job(made: Json) -> None:
    spec = made["spec"] = dict(made["spec"])
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)
    labels = spec.get("template", {}).get("metadata", {}).get("labels")
    if labels and not made["metadata"].get("labels"):
        made["metadata"] = {**made["metadata"], "labels": dict(labels)}


def _controller(made: Json) -> None:
    labels = made["spec"].get("template", {}).get("metadata", {}).get("labels")
    if labels:
        made["spec"] = {"selector": dict(labels), **made["spec"]}
        if not made["metadata"].get("labels"):
            made["metadata"] = {**made["metadata"], "labels": dict(labels)}


_SCALE_UP: Json = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN: Json = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def _autoscaler(made: Json) -> None:
    if not made.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        made["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if "behavior" in made:
        said = made["behavior"]
        made["behavior"] = {"scaleUp": _SCALE_UP | said.get("scaleUp", {}), "scaleDown": _SCALE_DOWN | said.get("scaleDown", {})}


def _network_policy(made: Json) -> None:
    if not made.get("policyTypes"):
        made["policyTypes"] = ["Ingress", "Egress"] if made.get("egress") else ["Ingress"]


def _subject(made: Json) -> None:
    if made.get("kind") in ("User", "Group"):
        made.setdefault("apiGroup", RBAC)


def _definition(made: Json) -> None:
    names = made["spec"].get("names", {})
    kind = names.get("kind", "")
    completed = {"singular": kind.lower(), "listKind": f"{kind}List"} if kind else {}
    made["spec"] = {**made["spec"], "names": completed | names}
    status = made.get("status", {})
    stored = [each["name"] for each in made["spec"].get("versions") or () if each.get("storage")]
    if not status.get("storedVersions") and stored:
        made["status"] = {**status, "storedVersions": stored[:1]}


RULES: dict[str, Callable[[Json], None]] = {
    "apiextensions.v1.CustomResourceDefinition": _definition,
    "apps.v1.DaemonSet": _daemon_set,
    "apps.v1.DaemonSetUpdateStrategy": _daemon_strategy,
    "apps.v1.DeploymentStrategy": _deployment_strategy,
    "apps.v1.StatefulSetSpec": _stateful_spec,
    "apps.v1.StatefulSetUpdateStrategy": _stateful_strategy,
    "autoscaling.v2.HorizontalPodAutoscalerSpec": _autoscaler,
    "batch.v1.Job": _job,
    "core.v1.Container": _container,
    "core.v1.EphemeralContainer": _container,
    "core.v1.LimitRangeItem": _limit,
    "core.v1.Namespace": _namespace,
    "core.v1.NodeStatus": _node_status,
    "core.v1.Pod": _pod,
    "core.v1.PodSpec": _pod_spec,
    "core.v1.ReplicationController": _controller,
    "core.v1.Secret": _secret,
    "core.v1.Service": _service,
    "core.v1.ServicePort": _service_port,
    "core.v1.Volume": _volume,
    "networking.v1.NetworkPolicySpec": _network_policy,
    "rbac.v1.Subject": _subject,
}


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(each) for name, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list) else value
