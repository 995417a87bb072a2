"""Rules of what leads traffic: Services, Ingresses, NetworkPolicies.

Law of the module: pure; one function a kind, which `rules` lists. Paths, order and sentences are those of kube-apiserver 1.36.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from . import metadata, podrules, selectors
from .errors import Cause, duplicate, forbidden_field, invalid_value, required, unsupported
from .store import Json

_HOST_WORDS = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is "
    r"'\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_CIDR_WORDS = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def service(obj: Json) -> Iterator[Cause]:
    """What is wrong with a Service."""
    spec = obj.get("spec") or {}
    kind = spec.get("type")
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and kind != "ExternalName":
        yield required("spec.ports")
    if kind == "ExternalName" and not spec.get("externalName"):
        yield invalid_value("spec.externalName", "", "must not be empty")
    names: dict[str, None] = {}
    seen: dict[tuple[object, object], None] = {}
    for at, port in enumerate(ports):
        yield from _service_port(port, f"spec.ports[{at}]", len(ports) > 1, names)
        pair = (port.get("protocol"), port.get("port"))
        if pair in seen:
            yield duplicate(f"spec.ports[{at}]", {"port": port.get("port"), "protocol": port.get("protocol")})
        seen[pair] = None
    for key in sorted(spec.get("selector") or {}):
        yield from (invalid_value("spec.selector", key, text) for text in metadata.qualified_words(key))
    if spec.get("sessionAffinity") not in (None, "None", "ClientIP"):
        yield unsupported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    if kind not in ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"):
        yield unsupported("spec.type", kind, ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"))


def _service_port(port: Json, path: str, named: bool, names: dict[str, None]) -> Iterator[Cause]:
    name = port.get("name", "")
    if not name and named:
        yield required(f"{path}.name")
    elif name:
        yield from (invalid_value(f"{path}.name", name, text) for text in metadata.label_words(name))
        if name in names:
            yield duplicate(f"{path}.name", name)
        names[name] = None
    number, inner = port.get("port", 0), port.get("targetPort")
    if not 1 <= number <= 65535:
        yield invalid_value(f"{path}.port", number, podrules.PORTS_WORDS)
    if port.get("protocol", "TCP") not in ("SCTP", "TCP", "UDP"):
        yield unsupported(f"{path}.protocol", port["protocol"], ("SCTP", "TCP", "UDP"))
    if isinstance(inner, int) and not 1 <= inner <= 65535:
        yield invalid_value(f"{path}.targetPort", inner, podrules.PORTS_WORDS)
    elif isinstance(inner, str):
        yield from podrules.port_name(inner, f"{path}.targetPort")


def service_update(obj: Json, old: Json) -> Iterator[Cause]:
    """Whether a Service would change where it may not."""
    new, before = obj["spec"], old["spec"]
    if before.get("type") == "ExternalName" or new.get("type") == "ExternalName":
        return
    if before.get("clusterIP") and new.get("clusterIP") != before["clusterIP"]:
        yield invalid_value("spec.clusterIPs[0]", new.get("clusterIPs"), "may not change once set")


def ingress(obj: Json) -> Iterator[Cause]:
    """What is wrong with an Ingress."""
    spec = obj.get("spec") or {}
    if not spec.get("rules") and "defaultBackend" not in spec:
        yield invalid_value("spec", spec.get("rules"), "either `defaultBackend` or `rules` must be specified")
    if "defaultBackend" in spec:
        yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
    for at, rule in enumerate(spec.get("rules") or ()):
        path = f"spec.rules[{at}]"
        yield from _host(rule.get("host", ""), f"{path}.host")
        if "http" in rule and not rule["http"].get("paths"):
            yield required(f"{path}.http.paths")
        for number, each in enumerate((rule.get("http") or {}).get("paths") or ()):
            yield from _ingress_path(each, f"{path}.http.paths[{number}]")
    for at, tls in enumerate(spec.get("tls") or ()):
        for number, host in enumerate(tls.get("hosts") or ()):
            yield from _name_of_host(host, f"spec.tls[{at}].hosts[{number}]")
    name = spec.get("ingressClassName")
    if name is not None:
        yield from (invalid_value("spec.ingressClassName", name, text) for text in metadata.subdomain_words(name))


def _host(host: str, path: str) -> Iterator[Cause]:
    if not host:
        return
    try:
        ipaddress.ip_address(host)
        yield invalid_value(path, host, "must be a DNS name, not an IP address")
    except ValueError:
        yield from _name_of_host(host, path)


def _name_of_host(host: str, path: str) -> Iterator[Cause]:
    if "*" not in host:
        yield from (invalid_value(path, host, text) for text in metadata.subdomain_words(host))
    elif not host.startswith("*.") or metadata.subdomain_words(host[2:]):
        yield invalid_value(path, host, _HOST_WORDS)


def _ingress_path(each: Json, path: str) -> Iterator[Cause]:
    kind, place = each.get("pathType"), each.get("path", "")
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
        return
    if kind not in ("Exact", "ImplementationSpecific", "Prefix"):
        yield unsupported(f"{path}.pathType", kind, ("Exact", "ImplementationSpecific", "Prefix"))
    elif not place.startswith("/") and (place or kind != "ImplementationSpecific"):
        yield invalid_value(f"{path}.path", place, "must be an absolute path")
    if kind in ("Exact", "Prefix"):
        for part in ("//", "/./", "/../", "%2f", "%2F"):
            if part in place:
                yield invalid_value(f"{path}.path", place, f"must not contain '{part}'")
        for part in ("/..", "/."):
            if place.endswith(part):
                yield invalid_value(f"{path}.path", place, f"cannot end with '{part}'")
    yield from _backend(each.get("backend") or {}, f"{path}.backend")


def _backend(backend: Json, path: str) -> Iterator[Cause]:
    to = backend.get("service")
    if to is None or "resource" in backend:
        if to is not None:
            yield invalid_value(path, "", "cannot set both resource and service backends")
        elif "resource" not in backend:
            yield invalid_value(path, "", "resource or service backend is required")
        return
    name, port = to.get("name", ""), to.get("port") or {}
    if not name:
        yield required(f"{path}.service.name")
    else:
        yield from (invalid_value(f"{path}.service.name", name, text) for text in metadata.label_words(name))
    if port.get("name") and port.get("number"):
        yield invalid_value(path, "", "cannot set both port name & port number")
    elif port.get("name"):
        yield from podrules.port_name(port["name"], f"{path}.service.port.name")
    elif port.get("number"):
        if not 1 <= port["number"] <= 65535:
            yield invalid_value(f"{path}.service.port.number", port["number"], podrules.PORTS_WORDS)
    else:
        yield required(path, "port name or number is required")


def network_policy(obj: Json) -> Iterator[Cause]:
    """What is wrong with a NetworkPolicy."""
    spec = obj.get("spec") or {}
    yield from selectors.selector_causes(spec.get("podSelector") or {}, "spec.podSelector")
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for at, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{at}]"
            for number, port in enumerate(rule.get("ports") or ()):
                yield from _policy_port(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(rule.get(side) or ()):
                yield from _peer(peer, f"{path}.{side}[{number}]")
    types = spec.get("policyTypes") or ()
    if len(types) > 2:
        yield invalid_value("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for at, each in enumerate(types):
        if each not in ("Ingress", "Egress"):
            yield unsupported(f"spec.policyTypes[{at}]", each, ("Ingress", "Egress"))


def _policy_port(port: Json, path: str) -> Iterator[Cause]:
    if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
        yield unsupported(f"{path}.protocol", port.get("protocol"), ("TCP", "UDP", "SCTP"))
    number: Any = port.get("port")
    end = port.get("endPort")
    if isinstance(number, int):
        if not 1 <= number <= 65535:
            yield invalid_value(f"{path}.port", number, podrules.PORTS_WORDS)
        if end is not None and end < number:
            yield invalid_value(f"{path}.endPort", number, "must be greater than or equal to `port`")
        if end is not None and not 1 <= end <= 65535:
            yield invalid_value(f"{path}.endPort", end, podrules.PORTS_WORDS)
    elif number is None:
        if end is not None:
            yield invalid_value(f"{path}.endPort", end, "may not be specified when `port` is not specified")
    else:
        if end is not None:
            yield invalid_value(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
        yield from podrules.port_name(number, f"{path}.port")


def _peer(peer: Json, path: str) -> Iterator[Cause]:
    for name in ("podSelector", "namespaceSelector"):
        if name in peer:
            yield from selectors.selector_causes(peer[name], f"{path}.{name}")
    if "ipBlock" in peer:
        yield from _ip_block(peer["ipBlock"], f"{path}.ipBlock")
        if len(peer) > 1:
            yield forbidden_field(path, "may not specify both ipBlock and another peer")
    if not peer:
        yield required(path, "must specify a peer")


def _ip_block(block: Json, path: str) -> Iterator[Cause]:
    text = block.get("cidr", "")
    if not text:
        yield required(f"{path}.cidr")
        return
    outer = _network(text)
    if outer is None:
        yield invalid_value(f"{path}.cidr", text, _CIDR_WORDS)
        return
    for at, each in enumerate(block.get("except") or ()):
        inner = _network(each)
        if inner is None:
            yield invalid_value(f"{path}.except[{at}]", each, _CIDR_WORDS)
        elif inner.version != outer.version or inner == outer or not inner.subnet_of(outer):  # type: ignore[arg-type]
            yield invalid_value(f"{path}.except[{at}]", each, "must be a strict subset of `cidr`")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    if not re.fullmatch(r"[0-9a-fA-F.:]+/[0-9]+", text):
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
