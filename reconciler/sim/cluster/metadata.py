"""`metadata`: its rules, its order, its system fields.

Law of the module: nothing here stores. Rules and sentences are those of k8s.io/apimachinery (api/validation, util/validation),
as kube-apiserver 1.36 says them.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import Cause, forbidden_field, invalid_value, required

Json = dict[str, Any]

FIELDS = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
_ANNOTATIONS_LIMIT = 256 * 1024
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = rf"({_QUALIFIED})?"
_is_label, _is_subdomain, _is_qualified, _is_value = (re.compile(p).fullmatch for p in (_LABEL, _SUBDOMAIN, _QUALIFIED, _VALUE))
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    f"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with "
    f"an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN.replace(chr(92), chr(92))}')"
)
_NAME_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
    f"an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{_VALUE}')"
)
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
# Names that are segments of a path and nothing more.
_PATH_NAMES = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "PriorityLevelConfiguration", "FlowSchema")
_LABEL_NAMES = ("Namespace", "Service")


def timestamp(now: float) -> str:
    """An instant as objects hold it: RFC 3339, whole seconds, UTC."""
    return _timestamp(int(now))


@functools.lru_cache(maxsize=64)
def _timestamp(second: int) -> str:
    return dt.datetime.fromtimestamp(second, dt.UTC).isoformat()[:19] + "Z"


def instant(text: str) -> float:
    """Read a timestamp that this server wrote."""
    return dt.datetime.fromisoformat(text).timestamp()


def ordered(metadata: Mapping[str, Any]) -> Json:
    """Metadata with known fields only, in the server's order, without empty ones."""
    return {name: value for name in FIELDS if (value := metadata.get(name)) or value == 0}


def label_words(value: str) -> list[str]:
    """What is wrong with a DNS label."""
    found = [] if len(value) <= 63 else ["must be no more than 63 bytes"]
    return found if _is_label(value) else [*found, _LABEL_WORDS]


def subdomain_words(value: str) -> list[str]:
    """What is wrong with a DNS subdomain."""
    found = [] if len(value) <= 253 else ["must be no more than 253 bytes"]
    return found if _is_subdomain(value) else [*found, _SUBDOMAIN_WORDS]


def path_words(value: str) -> list[str]:
    """What is wrong with a segment of a path."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in value]


def name_causes(kind: str, name: str, custom: bool) -> list[Cause]:
    """What is wrong with an object's name."""
    if kind in _PATH_NAMES and not custom:
        words = path_words(name)
    elif kind in _LABEL_NAMES and not custom:
        words = ["must not contain dots"] if "." in name else label_words(name)
    else:
        words = subdomain_words(name)
    return [invalid_value("metadata.name", name, text) for text in words]


def qualified_words(value: str) -> list[str]:
    """What is wrong with a label's or annotation's key."""
    if value.count("/") > 1:
        words = _NAME_WORDS.removeprefix("name part ").removesuffix(")")
        return [f"a valid label key {words}) with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    prefix, slash, name = value.rpartition("/")
    found = []
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif slash:
        found += [f"prefix part {text}" for text in subdomain_words(prefix)]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part must be no more than 63 bytes")
    if not _is_qualified(name):
        found.append(_NAME_WORDS)
    return found


def value_words(value: str) -> list[str]:
    """What is wrong with a label's value."""
    found = [] if len(value) <= 63 else ["must be no more than 63 bytes"]
    return found if _is_value(value) else [*found, _VALUE_WORDS]


def labels_causes(labels: Mapping[str, str], field: str) -> list[Cause]:
    """What is wrong with labels, those of a template as well."""
    found = []
    for key in sorted(labels):
        found += [invalid_value(field, key, text) for text in qualified_words(key)]
        found += [invalid_value(field, labels[key], text) for text in value_words(labels[key])]
    return found


def causes(metadata: Json, kind: str, namespaced: bool, custom: bool) -> list[Cause]:
    """What is wrong with an object's metadata at creation."""
    found: list[Cause] = []
    name = metadata.get("name", "")
    if name:
        found += name_causes(kind, name, custom)
    else:
        found.append(required("metadata.name", "name or generateName is required"))
    if namespaced and not metadata.get("namespace"):
        found.append(required("metadata.namespace"))
    found += labels_causes(metadata.get("labels") or {}, "metadata.labels")
    annotations = metadata.get("annotations") or {}
    for key in sorted(annotations):
        found += [invalid_value("metadata.annotations", key, text) for text in qualified_words(key.lower())]
    if sum(len(k) + len(v) for k, v in annotations.items()) > _ANNOTATIONS_LIMIT:
        text = f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes"
        found.append(Cause("FieldValueTooLong", text, "metadata.annotations"))
    found += _owner_causes(metadata.get("ownerReferences") or [])
    finalizers = metadata.get("finalizers") or []
    for finalizer in finalizers:
        found += [invalid_value("metadata.finalizers", finalizer, text) for text in qualified_words(finalizer)]
    # Only the kinds of Kubernetes itself ask for more than a qualified name.
    if not custom and kind != "CustomResourceDefinition":
        for at, finalizer in enumerate(finalizers):
            if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
                text = "name is neither a standard finalizer name nor is it fully qualified"
                found.append(invalid_value(f"metadata.finalizers[{at}]", finalizer, text))
    return found


def _owner_causes(owners: Sequence[Json]) -> list[Cause]:
    found = []
    controllers = []
    for owner in owners:
        group, _, version = owner.get("apiVersion", "").rpartition("/")
        if not version:
            found.append(invalid_value("metadata.ownerReferences.apiVersion", group, "version must not be empty"))
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                found.append(invalid_value(f"metadata.ownerReferences.{field}", "", "must not be empty"))
        if owner.get("controller"):
            controllers.append(owner)
    if len(controllers) > 1:
        first, second = (f"{o.get('kind')}/{o.get('name')}" for o in controllers[:2])
        text = f'Only one reference can have Controller set to true. Found "true" in references for {first} and {second}'
        names = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
        shown = [{name: owner[name] for name in names if name in owner} for owner in owners]
        found.append(invalid_value("metadata.ownerReferences", shown, text))
    return found


def update_causes(metadata: Json, old: Json, kind: str, namespaced: bool, custom: bool) -> list[Cause]:
    """What is wrong with an object's metadata at an update; said twice, as the real server validates twice."""
    found = []
    for field in ("name", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if metadata.get(field) != old.get(field):
            found.append(invalid_value(f"metadata.{field}", metadata.get(field), "field is immutable"))
    if old.get("deletionTimestamp"):
        before = old.get("finalizers") or []
        added = sorted({f: None for f in metadata.get("finalizers") or [] if f not in before})
        if added:
            shown = ", ".join(f'"{f}"' for f in added)
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
            found.append(forbidden_field("metadata.finalizers", text))
    rules = [cause for cause in causes(metadata, kind, namespaced, custom) if cause.field != "metadata.name"]
    # The generic registry and the kind's own rules both look at metadata; equal sentences are shown once, causes twice.
    return found + found + rules


def without_managed(obj: Json) -> Json:
    """An object without its managedFields."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}
