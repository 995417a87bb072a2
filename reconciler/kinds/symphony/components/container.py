"""Containers: a Deployment, and a Service where ports are asked for (Symphony's provider `providers.target.k8s`, symphony.md §3.6).

Law of the module: the pods of a Deployment are told by the label `app` alone, which says its name: names do not change between versions of
a solution, so a version replaces the one before it in place. Values that the API server would refuse with an error about a field that
nobody wrote are told here, about the field that somebody did.

Strategies: `single-pod` (default) makes one Deployment of all components, named after the instance, from the metadata of the solution with
that of the instance over it; `services` makes one of each component, named after it, from its own metadata; `ns-services` as `services`,
in a namespace called by the instance's name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler.core.names import is_label, is_subdomain
from reconciler.core.problem import did_you_mean, listed
from reconciler.kinds.symphony.components.drafts import Draft
from reconciler.kinds.symphony.components.fields import Field, Part, as_text, called, slip
from reconciler.kinds.symphony.components.site import Hidden
from reconciler.kinds.symphony.model import Json
from reconciler.lib import quantity

STRATEGY: Final = "deploymentStrategy"  # in the config of a binding
SINGLE_POD: Final = "single-pod"
SERVICES: Final = "services"
NS_SERVICES: Final = "ns-services"
STRATEGIES: Final = (SINGLE_POD, SERVICES, NS_SERVICES)

ANNOTATION: Final = "service.annotation."
ENV: Final = "env."
METADATA: Final = (
    "deployment.replicas",
    "deployment.imagePullSecrets",
    "deployment.nodeSelector",
    "pod.volumes",
    "service.ports",
    "service.type",
    "service.name",
    "service.loadBalancerIP",
)
PROPERTIES: Final = (
    "container.image",
    "container.ports",
    "container.args",
    "container.commands",
    "container.resources",
    "container.volumeMounts",
    "container.imagePullPolicy",
)

_LISTS: Final = (("container.ports", "ports"), ("container.args", "args"), ("container.commands", "command"))
_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_SERVICE_TYPES: Final = ("ClusterIP", "NodePort", "LoadBalancer")
_LABEL_CHARACTERS: Final = 63
_REPLICAS: Final = re.compile(r"#?([0-9]{1,10})", re.ASCII)
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?", re.ASCII)  # RFC 6335 §5.1
_ENV_NAME: Final = re.compile(r"[!-<>-~][ -<>-~]*", re.ASCII)  # Kubernetes 1.34: what prints, without "="
_IMAGE: Final = re.compile(r"[^\s\x00-\x1f\x7f]{1,1024}")
_PORTS: Final = range(1, 65_536)

Metadata = Mapping[str, Field]


def pod(name: Field, namespace: str, metadata: Metadata, parts: Sequence[Part]) -> list[Draft]:
    """The Deployment of one pod, and its Service if there is one."""
    _warn_of_slips(metadata)
    if not is_subdomain(name.value) or len(name.value) > _LABEL_CHARACTERS:
        name.must(f"lower-case letters, digits, - and ., at most {_LABEL_CHARACTERS} (it names a Deployment and is a label of its pods)")
    drafts = [_deployment(name.value, namespace, metadata, parts)]
    if ports := metadata["service.ports"].structure(list) if "service.ports" in metadata else None:
        drafts.append(_service(name, namespace, metadata, ports))
    return drafts


def _deployment(name: str, namespace: str, metadata: Metadata, parts: Sequence[Part]) -> Draft:
    origins: list[tuple[tuple[str | int, ...], Field]] = []
    spec: Json = {"containers": []}
    top = ("spec", "template", "spec")
    for key, path, form in (
        ("deployment.imagePullSecrets", "imagePullSecrets", list),
        ("pod.volumes", "volumes", list),
        ("deployment.nodeSelector", "nodeSelector", dict),
    ):
        if (field := metadata.get(key)) is not None and (found := field.structure(form)) is not None:
            spec[path] = found.value
            origins.append(((*top, path), found))
            if key == "pod.volumes":
                _names_once(found, "name")
    named: dict[str, None] = {}
    for part in parts:
        for container, about in _containers(part, named):
            place = (*top, "containers", len(spec["containers"]))
            _mounts(about.get("volumeMounts"), spec.get("volumes"))
            spec["containers"].append(container)
            origins += [((*place, path), field) for path, field in about.items()]
    replicas = metadata.get("deployment.replicas")
    if replicas is not None and isinstance(replicas.value, Hidden):
        origins.append((("spec", "replicas"), replace(replicas, secret=True)))
    labels = {"app": name}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": _replicas(replicas),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": dict(labels)}, "spec": spec},
        },
    }
    return Draft(deployment, tuple(origins))


def _replicas(field: Field | None) -> int:
    """`"#3"`, `"3"` or 3; one where nothing is said."""
    if field is None or field.absent:
        return 1
    found = _REPLICAS.fullmatch(str(field.value)) if isinstance(field.value, str | int) and not isinstance(field.value, bool) else None
    if found is None or int(found[1]) >= 2**31:
        field.must('a whole number such as "#3", less than 2³¹')
        return 1
    return int(found[1])


def _containers(part: Part, named: dict[str, None]) -> Iterator[tuple[Json, dict[str, Field]]]:
    """The container of a component and those of its sidecars, each with the fields that its parts came from; `named`: the names so far."""
    part.warn_of_slips(PROPERTIES)
    pointer = part.component.pointer
    fields = {key: part.property(key) for key in part.properties}
    absent = Field(None, "container.image", (*pointer, "properties"), part.faults)
    yield _container(part.name, fields, absent, named)
    for index, (sidecar, properties) in enumerate(zip(part.component.sidecars, part.sidecars, strict=True)):
        here, about = (*pointer, "sidecars", index), f"sidecar {called(sidecar.name)}: "
        fields = {key: Field(value, about + called(key), (*here, "properties", key), part.faults) for key, value in properties.items()}
        absent = Field(None, about + "container.image", (*here, "properties"), part.faults)
        yield _container(Field(sidecar.name, about + "name", (*here, "name"), part.faults), fields, absent, named)


def _container(name: Field, fields: dict[str, Field], absent: Field, named: dict[str, None]) -> tuple[Json, dict[str, Field]]:
    if not is_label(name.value):
        name.must("lower-case letters, digits and -, at most 63 (it names a container)")
    elif name.value in named:
        name.wrong(f"is {name.value}, as another container of the pod is")
    named[name.value] = None
    image = fields.get("container.image", absent)
    if image.absent:
        image.wrong("is missing")
    elif image.text() and not _IMAGE.fullmatch(image.value):
        image.must("the name of an image, without blanks")
    policy = fields.get("container.imagePullPolicy")
    container: Json = {
        "name": name.value,
        "image": image.value,
        "imagePullPolicy": (_one_of(policy, _PULL_POLICIES) if policy else "") or "Always",
    }
    about: dict[str, Field] = {"image": image}
    for key, path in _LISTS:
        if (field := fields.get(key)) is not None and (found := field.structure(list)) is not None:
            container[path], about[path] = found.value, found
    if "ports" in about:
        _container_ports(about["ports"])
    if (field := fields.get("container.resources")) is not None and (found := field.structure(dict)) is not None:
        container["resources"], about["resources"] = found.value, found
        _resources(found)
    if (field := fields.get("container.volumeMounts")) is not None and (found := field.structure(list)) is not None:
        container["volumeMounts"], about["volumeMounts"] = found.value, found
        _names_once(found, "mountPath")
    env = [_variable(key, field) for key, field in fields.items() if key.startswith(ENV)]
    if env:
        container["env"] = env
    return container, about


def _variable(key: str, field: Field) -> Json:
    name = key[len(ENV) :]
    if not _ENV_NAME.fullmatch(name):
        field.wrong('names no variable: what follows "env." must be printable ASCII without "="')
    return {"name": name, "value": as_text(field.value)}


def _container_ports(ports: Field) -> None:
    for item in _items(ports):
        _port(item, "containerPort")
        _port(item, "hostPort", zero=True)
        _port_name(item, "name")
    _names_once(ports, "name")


def _resources(field: Field) -> None:
    for kind in ("requests", "limits"):
        if not isinstance(field.value.get(kind), dict):
            continue
        amounts = field.below(kind)
        for key, value in amounts.value.items():
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                try:
                    amount = quantity.parse(value)
                except ValueError:
                    amounts.below(key).must('a quantity such as "500m" or "1Gi"')
                    continue
                if amount.nanos < 0:
                    amounts.below(key).must("at least 0")


def _mounts(mounts: Field | None, volumes: Any) -> None:
    """What is mounted must be a volume of the pod."""
    named = (volume.get("name") for volume in volumes or () if isinstance(volume, dict))
    names = {name: None for name in named if isinstance(name, str)}
    for item in _items(mounts) if mounts is not None else ():
        name = item.value.get("name")
        if isinstance(name, str) and name not in names:
            item.below("name").must(f"a volume of pod.volumes{_near(name, names)}")


def _service(name: Field, namespace: str, metadata: Metadata, ports: Field) -> Draft:
    if not ports.value:
        ports.wrong("is empty, must have a port")
    _service_ports(ports)
    given = metadata.get("service.name")
    naming = given if given is not None and not given.absent else name
    if isinstance(naming.value, Hidden) or not is_label(as_text(naming.value)):
        naming.must("lower-case letters, digits and -, at most 63 (it names a Service)")
    labels = {"app": name.value}
    kind = metadata.get("service.type")
    spec: Json = {"type": (_one_of(kind, _SERVICE_TYPES) if kind else "") or "ClusterIP", "ports": ports.value, "selector": labels}
    if (address := metadata.get("service.loadBalancerIP")) is not None and not address.absent:
        spec["loadBalancerIP"] = address.value
        if not _is_address(address.value):
            address.must("an IP address")
    about: Json = {"name": naming.value, "namespace": namespace, "labels": dict(labels)}
    origins: list[tuple[tuple[str | int, ...], Field]] = [(("metadata", "name"), naming), (("spec", "ports"), ports)]
    notes = {key[len(ANNOTATION) :]: field for key, field in metadata.items() if key.startswith(ANNOTATION)}
    if notes:
        about["annotations"] = {key: as_text(field.value) for key, field in notes.items()}
        origins += [(("metadata", "annotations", key), field) for key, field in notes.items()]
        for key, field in notes.items():
            check_annotation(key, field)
    return Draft({"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": spec}, tuple(origins))


def _service_ports(ports: Field) -> None:
    told: dict[tuple[Any, Any], None] = {}
    for item in _items(ports):
        _port(item, "port")
        _port(item, "nodePort", zero=True)
        if isinstance(item.value.get("targetPort"), int):
            _port(item, "targetPort")
        else:
            _port_name(item, "targetPort")
        name = item.value.get("name")
        if isinstance(name, str) and name and not is_label(name):
            item.below("name").must("lower-case letters, digits and -, at most 63")
        elif not name and len(ports.value) > 1:
            item.wrong("has no name; each of several ports needs one")
        port, protocol = item.value.get("port"), item.value.get("protocol") or "TCP"
        if isinstance(port, int) and isinstance(protocol, str):
            if (port, protocol) in told:
                item.wrong("has the port of another, in the same protocol")
            told[port, protocol] = None
    _names_once(ports, "name")


def check_annotation(key: str, field: Field) -> None:
    """A key that can be an annotation: a name, after a DNS prefix and a slash where it has one (Kubernetes, "qualified name")."""
    prefix, slash, name = key.rpartition("/")
    if not re.fullmatch(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", name) or (slash and not is_subdomain(prefix.lower())):
        field.wrong("names no annotation: its key must be like example.com/name")


def _items(field: Field) -> Iterator[Field]:
    """The items that are mappings; of what else there is, the types tell."""
    return (field.below(index) for index, item in enumerate(field.value) if isinstance(item, dict))


def _names_once(field: Field, key: str) -> None:
    """Two items of a list may not share the value that tells them apart."""
    told: dict[str, None] = {}
    for item in _items(field):
        value = item.value.get(key)
        if isinstance(value, str) and value:
            if value in told:
                item.below(key).wrong("is there twice")
            told[value] = None


def _port(item: Field, key: str, *, zero: bool = False) -> None:
    value = item.value.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and value not in _PORTS and not (zero and value == 0):
        item.below(key).must("a port, 1 to 65535")


def _port_name(item: Field, key: str) -> None:
    value = item.value.get(key)
    if isinstance(value, str) and value and not _PORT_NAME.fullmatch(value):
        item.below(key).must("the name of a port: lower-case letters, digits and -, at most 15, with a letter")


def _one_of(field: Field, words: tuple[str, ...]) -> str:
    text = field.text()
    if text and text not in words:
        field.must(f"{listed(words)}{_near(text, words)}")
    return text


def _near(text: str, known: Iterable[str]) -> str:
    """A word that may have been meant; it would tell much of a secret, and is none itself."""
    return "" if isinstance(text, Hidden) else did_you_mean(text, [word for word in known if not isinstance(word, Hidden)])


def _is_address(value: Any) -> bool:
    try:
        ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _warn_of_slips(metadata: Metadata) -> None:
    for key, field in metadata.items():
        if not key.startswith(ANNOTATION) and (hint := slip(key, metadata, METADATA)):
            field.wrong(f"does nothing{hint}", "warning")
