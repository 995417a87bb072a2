"""Rules of pod specs, as people break them: names, images, ports, variables, volumes, policies.

Law of the module: pure; field paths, order and sentences are those of kube-apiserver 1.36 (pkg/apis/core/validation). What is not
checked here counts as right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reconciler.lib import quantity

from . import metadata
from .errors import Cause, duplicate, invalid_value, not_found_value, required, unsupported
from .store import Json

PORTS_WORDS = "must be between 1 and 65535, inclusive"
_POLICIES = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
# In the order in which they are looked at.
# fmt: off
_VOLUMES = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
    "glusterfs", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc", "flocker",
    "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk", "storageos",
    "scaleIO", "projected", "csi", "ephemeral", "image",
)
# fmt: on
_PULL = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*|[ -<>-~]+")


def causes(spec: Json, path: str, policies: Sequence[str] = _POLICIES) -> Iterator[Cause]:
    """What is wrong with a pod spec."""
    volumes: Json = {}
    for at, volume in enumerate(spec.get("volumes") or ()):
        field = f"{path}.volumes[{at}]"
        yield from _volume(volume, field)
        if volume.get("name") in volumes:
            yield duplicate(f"{field}.name", volume["name"])
        volumes[volume.get("name")] = None
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    seen: dict[str, None] = {}
    for part in ("containers", "initContainers"):
        for at, container in enumerate(spec.get(part) or ()):
            field = f"{path}.{part}[{at}]"
            yield from _container(container, field, volumes)
            if container.get("name") in seen and container.get("name"):
                yield duplicate(f"{field}.name", container["name"])
            seen[container.get("name", "")] = None
    yield from _policies(spec, path, policies)
    account = spec.get("serviceAccountName")
    if account:
        yield from (invalid_value(f"{path}.serviceAccountName", account, text) for text in metadata.subdomain_words(account))
    if spec.get("nodeName"):
        node = spec["nodeName"]
        yield from (invalid_value(f"{path}.nodeName", node, text) for text in metadata.subdomain_words(node))
    if spec.get("activeDeadlineSeconds", 1) < 1:
        text = "must be between 1 and 2147483647, inclusive"
        yield invalid_value(f"{path}.activeDeadlineSeconds", spec["activeDeadlineSeconds"], text)


def _policies(spec: Json, path: str, policies: Sequence[str]) -> Iterator[Cause]:
    restart, dns = spec.get("restartPolicy"), spec.get("dnsPolicy")
    if restart is None:
        yield required(f"{path}.restartPolicy")
    elif restart not in policies:
        yield unsupported(f"{path}.restartPolicy", restart, policies)
    if dns is not None and dns not in _DNS:
        yield unsupported(f"{path}.dnsPolicy", dns, _DNS)


def _volume(volume: Json, path: str) -> Iterator[Cause]:
    name = volume.get("name", "")
    if not name:
        yield required(f"{path}.name")
    else:
        yield from (invalid_value(f"{path}.name", name, text) for text in metadata.label_words(name))
    kinds = sorted((key for key in volume if key != "name"), key=lambda kind: _VOLUMES.index(kind) if kind in _VOLUMES else 0)
    if not kinds:
        yield required(path, "must specify a volume type")
    for kind in kinds[1:]:
        yield Cause("FieldValueForbidden", "Forbidden: may not specify more than 1 volume type", f"{path}.{kind}")
    if "secret" in volume and not volume["secret"].get("secretName"):
        yield required(f"{path}.secret.secretName")
    if "configMap" in volume and not volume["configMap"].get("name"):
        yield required(f"{path}.configMap.name")
    if "persistentVolumeClaim" in volume and not volume["persistentVolumeClaim"].get("claimName"):
        yield required(f"{path}.persistentVolumeClaim.claimName")


def _container(container: Json, path: str, volumes: Json) -> Iterator[Cause]:
    name = container.get("name", "")
    if not name:
        yield required(f"{path}.name")
    else:
        yield from (invalid_value(f"{path}.name", name, text) for text in metadata.label_words(name))
    image = container.get("image", "")
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from _ports(container.get("ports") or (), f"{path}.ports")
    for at, variable in enumerate(container.get("env") or ()):
        yield from _variable(variable, f"{path}.env[{at}]")
    yield from _mounts(container.get("volumeMounts") or (), f"{path}.volumeMounts", volumes)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container and not any(way in container[name] for way in ("exec", "grpc", "httpGet", "tcpSocket")):
            yield required(f"{path}.{name}", "must specify a handler type")
    yield from _resources(container.get("resources") or {}, f"{path}.resources")
    pull = container.get("imagePullPolicy")
    if pull is not None and pull not in _PULL:
        yield unsupported(f"{path}.imagePullPolicy", pull, _PULL)


def _resources(resources: Json, path: str) -> Iterator[Cause]:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name in sorted(amounts):
            if quantity.parse(amounts[name]).nanos < 0:
                yield invalid_value(f"{path}.{side}[{name}]", amounts[name], "must be greater than or equal to 0")
    for name in sorted(requests):
        if name in limits and quantity.parse(requests[name]).nanos > quantity.parse(limits[name]).nanos:
            text = f"must be less than or equal to {name} limit of {limits[name]}"
            yield invalid_value(f"{path}.requests", requests[name], text)


def _ports(ports: Sequence[Json], path: str) -> Iterator[Cause]:
    names: dict[str, None] = {}
    for at, port in enumerate(ports):
        field = f"{path}[{at}]"
        name = port.get("name", "")
        if name:
            yield from port_name(name, f"{field}.name")
            if name in names:
                yield duplicate(f"{field}.name", name)
            names[name] = None
        number = port.get("containerPort", 0)
        if number == 0:
            yield required(f"{field}.containerPort")
        elif not 1 <= number <= 65535:
            yield invalid_value(f"{field}.containerPort", number, PORTS_WORDS)
        host = port.get("hostPort", 0)
        if host and not 1 <= host <= 65535:
            yield invalid_value(f"{field}.hostPort", host, PORTS_WORDS)
        protocol = port.get("protocol", "TCP")
        if protocol not in _PROTOCOLS:
            yield unsupported(f"{field}.protocol", protocol, _PROTOCOLS)


def port_name(name: str, path: str) -> Iterator[Cause]:
    """What is wrong with the name of a port."""
    if len(name) > 15:
        yield invalid_value(path, name, "must be no more than 15 characters")
    if not re.fullmatch(r"[-a-z0-9]+", name):
        yield invalid_value(path, name, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        yield invalid_value(path, name, "must contain at least one letter (a-z)")
    if "--" in name:
        yield invalid_value(path, name, "must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        yield invalid_value(path, name, "must not begin or end with a hyphen")


def _variable(variable: Json, path: str) -> Iterator[Cause]:
    name = variable.get("name", "")
    if not name:
        yield required(f"{path}.name")
    elif not _VARIABLE.fullmatch(name):
        text = "a valid environment variable name must consist only of printable ASCII characters other than '='"
        yield invalid_value(f"{path}.name", name, text)
    source = variable.get("valueFrom")
    if source is not None:
        if variable.get("value") and source:
            yield invalid_value(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
        if len(source) != 1:
            word = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
            text = "may not have more than one field specified at a time" if source else word
            yield invalid_value(f"{path}.valueFrom", "", text)
        for kind in ("configMapKeyRef", "secretKeyRef"):
            if kind in source and not source[kind].get("key"):
                yield required(f"{path}.valueFrom.{kind}.key")


def _mounts(mounts: Sequence[Json], path: str, volumes: Json) -> Iterator[Cause]:
    places: dict[str, None] = {}
    for at, mount in enumerate(mounts):
        field = f"{path}[{at}]"
        name = mount.get("name", "")
        if not name:
            yield required(f"{field}.name")
        if name not in volumes:
            yield not_found_value(f"{field}.name", name)
        place = mount.get("mountPath", "")
        if not place:
            yield required(f"{field}.mountPath")
        elif place in places:
            yield invalid_value(f"{field}.mountPath", place, "must be unique")
        places[place] = None
