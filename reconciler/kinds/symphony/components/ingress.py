"""Ingresses: named after the component, rules and class from its properties, annotations from its metadata (`annotations.<key>`).

Source: Symphony's `providers.target.ingress`. Rules are those of `networking.k8s.io/v1`.
"""

from __future__ import annotations

import re
from typing import Any

from reconciler.core.names import DNS_WORDS, is_subdomain
from reconciler.kinds.symphony.components.container import check_annotation
from reconciler.kinds.symphony.components.drafts import Draft
from reconciler.kinds.symphony.components.fields import Field, Part, as_text
from reconciler.kinds.symphony.model import Json

ANNOTATION = "annotations."
PROPERTIES = ("rules", "ingressClassName")

_HOST = re.compile(r"(?:\*\.)?(.+)", re.ASCII)


def ingress(part: Part, namespace: str) -> list[Draft]:
    """The Ingress of one component."""
    part.warn_of_slips(PROPERTIES)
    if not is_subdomain(part.component.name):
        part.name.must(DNS_WORDS.removeprefix("must be ") + " (it names an Ingress)")
    about: Json = {"name": part.component.name, "namespace": namespace}
    spec: Json = {}
    origins: list[tuple[tuple[str | int, ...], Field]] = []
    if class_name := part.property("ingressClassName").text():
        spec["ingressClassName"] = class_name
        if not is_subdomain(class_name):
            part.property("ingressClassName").must(DNS_WORDS.removeprefix("must be "))
    rules = part.property("rules")
    if rules.absent:
        part.faults.add((*part.component.pointer, "properties"), "rules is missing")
    elif (found := rules.structure(list)) is not None:
        spec["rules"] = found.value
        origins.append((("spec", "rules"), found))
        _rules(found)
    notes = {key[len(ANNOTATION) :]: field for key, field in part.all_metadata().items() if key.startswith(ANNOTATION)}
    for key, field in notes.items():
        check_annotation(key, field)
        origins.append((("metadata", "annotations", key), field))
    if notes:
        about["annotations"] = {key: as_text(field.value) for key, field in notes.items()}
    return [Draft({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": about, "spec": spec}, tuple(origins))]


def _rules(rules: Field) -> None:
    if not rules.value:
        rules.wrong("is empty, must have a rule")
    for index, rule in enumerate(rules.value):
        if not isinstance(rule, dict):
            continue
        field = rules.below(index)
        host = rule.get("host")
        if isinstance(host, str) and host and not ((bare := _HOST.fullmatch(host)) and is_subdomain(bare[1])):
            field.below("host").must("a host name such as shop.example.com or *.example.com")
        paths = _at(rule, "http", "paths")
        for at, path in enumerate(paths if isinstance(paths, list) else ()):
            if isinstance(path, dict):
                _path(field.below("http").below("paths").below(at))


def _path(field: Field) -> None:
    path, kind = field.value.get("path"), field.value.get("pathType")
    if kind in ("Exact", "Prefix") and isinstance(path, str) and not path.startswith("/"):
        field.below("path").must("a path that begins with /")
    number = _at(field.value, "backend", "service", "port", "number")
    if isinstance(number, int) and not isinstance(number, bool) and not 1 <= number <= 65_535:
        field.below("backend").below("service").below("port").below("number").must("a port, 1 to 65535")


def _at(value: Any, *steps: str) -> Any:
    """The value at the end of some keys; None where they do not lead anywhere."""
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value
