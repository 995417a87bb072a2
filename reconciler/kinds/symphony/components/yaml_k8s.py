"""Kubernetes objects as they are: written in a component, or in a file of the repository (Symphony's `providers.target.kubectl`).

Law of the module: objects keep what they say, their namespace too; one that says none gets the site's, unless its kind is known to have
none. Nothing is fetched: a URL is a problem that says what to do instead. Upstream knows URLs only; paths are ours.

`resource` is an object, a list of objects, or YAML text of any number of them; `yaml` is the path of a file, from the top of the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from reconciler.core import yaml
from reconciler.core.metadata import clean, is_list, wrong_kind, wrong_metadata, wrong_name
from reconciler.core.problem import Finding, noun
from reconciler.kinds.symphony.components.drafts import Draft, tell
from reconciler.kinds.symphony.components.fields import Field, Part
from reconciler.kinds.symphony.components.site import Hidden, Site
from reconciler.kinds.symphony.model import Json
from reconciler.lib.urls import allowed

OBJECTS = 2_000  # of one component
PATH_CHARACTERS = 1_000
PROPERTIES = ("resource", "yaml")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.ASCII | re.DOTALL)


def given(part: Part, site: Site) -> list[Draft]:
    """The objects of one component."""
    part.warn_of_slips(PROPERTIES)
    resource, path = part.property("resource"), part.property("yaml")
    if resource.absent and path.absent:
        part.faults.add((*part.component.pointer, "properties"), "resource is missing, or yaml, which names a file")
        return []
    if not resource.absent and not path.absent:
        path.wrong("and resource are both there; one of them must go")
        return []
    if resource.absent:
        drafts = _of_file(path, site)
    elif isinstance(resource.value, Hidden):
        resource.wrong("takes its text from a secret; put the expression where the value belongs, in an object that is no text")
        return []
    elif isinstance(resource.value, str):
        drafts = _of_text(resource, resource.value.encode("utf-8", "surrogatepass"), site)
    else:
        drafts = objects(resource, site)
    if not drafts and not part.faults.failed:
        (path if resource.absent else resource).wrong("holds no object")
    return drafts


def _of_file(field: Field, site: Site) -> list[Draft]:
    path = field.text()
    if not path:
        return []
    if _URL.fullmatch(path):
        if allowed(path, site.allowed_urls):
            field.wrong("is a URL, which may be read but never is: nothing is fetched; put the file into the repository and name its path")
        else:
            field.wrong("is a URL that is not allowed; put the file into the repository and name its path")
        return []
    steps = [step for step in path.split("/") if step != "."]
    odd = path.startswith("/") or "\\" in path or any(step in ("", "..") for step in steps) or not path.isprintable()
    if odd or isinstance(path, Hidden) or len(path) > PATH_CHARACTERS:
        field.must("the path of a file from the top of the source, such as deploy/web.yaml")
        return []
    found = site.content("/".join(steps))
    if found is None:
        field.wrong("is not there: the source has no such file")
        return []
    return _of_text(Field(path, f"{field.name} {path}", field.pointer, field.faults, in_text=True), found, site)


def _of_text(field: Field, text: bytes, site: Site) -> list[Draft]:
    """The objects of some YAML. Where a fault stands in it is said, but that text is no part of what is shown."""
    loaded = yaml.load(text, "json" if field.name.endswith(".json") else "yaml")
    wrong = [fault for fault in loaded.faults if fault.severity == "error"]
    for fault in wrong[:5]:
        field.wrong(f"at line {fault.line}: {fault.message}")
    if wrong:
        return []
    values: Any = [document.value for document in loaded.documents if document.value is not None]
    values = values[0] if len(values) == 1 else values
    return objects(Field(values, field.name, field.pointer, field.faults, in_text=True), site)


def objects(field: Field, site: Site) -> list[Draft]:
    """An object, or a list of them, made ready."""
    drafts: list[Draft] = []
    for found in _flat(field):
        if len(drafts) == OBJECTS:
            field.wrong(f"has more than {OBJECTS} objects")
            return []
        if (draft := _ready(found, site)) is not None:
            drafts.append(draft)
    return drafts


def _flat(field: Field) -> Iterator[Field]:
    """Lists taken apart."""
    if isinstance(field.value, list):
        for index in range(len(field.value)):
            yield from _flat(field.below(index))
    elif isinstance(field.value, dict) and wrong_kind(field.value) is None and is_list(field.value):
        yield from _flat(field.below("items"))
    else:
        yield field


def _ready(field: Field, site: Site) -> Draft | None:
    """One object without what only a server may set, in its namespace; None where it is none."""
    value: Any = field.value
    if not isinstance(value, dict):
        field.wrong(f"is {noun(value)}, must be an object")
        return None
    if secret := _secret_name(value):
        field.wrong(f"takes its {secret} from a secret; put the expression where the value belongs, in an object that is no text")
        return None
    wrong = wrong_kind(value)
    if wrong is not None:
        field.faults.add(field.pointer if field.in_text else (*field.pointer, *wrong.pointer), f"{field.name}: {wrong.message}")
        return None
    unfit = list(wrong_metadata(value))
    if unfit:
        _tell(Draft(value, (((), field),)), unfit)
        return None
    body, findings = clean(value, value["metadata"], keep_status=False)
    group, _, version = body["apiVersion"].rpartition("/")
    known = site.types.kind(group, version, body["kind"])
    if known is not None:
        findings += wrong_name(group, body["kind"], body["metadata"]["name"])
    if not body["metadata"].get("namespace"):
        body["metadata"].pop("namespace", None)
        if known is None or known.namespaced:
            body["metadata"]["namespace"] = site.placement.namespace
    elif known is not None and not known.namespaced:
        del body["metadata"]["namespace"]
    draft = Draft(body, (((), _called(field, body)),))
    _tell(draft, findings)
    return draft


def _secret_name(value: Json) -> str:
    """What names the object and may not be secret, for it is shown everywhere."""
    about = value.get("metadata")
    names = {**value, **about} if isinstance(about, dict) else value
    return next((key for key in ("apiVersion", "kind", "name", "namespace") if isinstance(names.get(key), Hidden)), "")


def _called(field: Field, body: Json) -> Field:
    """A field that messages call by the object in it."""
    name = f"{field.name}: {body['kind']}/{body['metadata']['name']}"
    return replace(field, name=name)


def _tell(draft: Draft, findings: list[Finding]) -> None:
    for finding in findings:
        tell(draft, finding)
