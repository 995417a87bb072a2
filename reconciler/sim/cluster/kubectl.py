"""What server-side apply does for kubectl alone: it knows the annotation that client-side apply left behind.

Law of the module: only the manager "kubectl" is treated so. What the annotation says and the live object still holds may be
taken over without force; and an annotation that stands is kept up to date. Source: apimachinery `lastappliedmanager.go` and
`lastappliedupdater.go`.
"""

from __future__ import annotations

import json
from typing import Any

from .compare import compare
from .fields import FieldSet
from .schema import Type
from .typed import TypedError, check, to_set

Json = dict[str, Any]

MANAGER = "kubectl"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
ANNOTATIONS_LIMIT = 256 * 1024


def last_applied(obj: Json) -> str:
    """The annotation's text, "" where there is none."""
    annotations = obj.get("metadata", {}).get("annotations")
    text = annotations.get(ANNOTATION) if isinstance(annotations, dict) else None
    return text if isinstance(text, str) else ""


def may_take(of: Type, live: Json, api_version: str) -> FieldSet:
    """The fields that client-side apply set, and that still are as it set them."""
    try:
        config = json.loads(last_applied(live) or "null")
        if not isinstance(config, dict) or config.get("apiVersion") != api_version:
            return FieldSet()
        check(of, config)
        check(of, live)
    except (TypedError, ValueError, RecursionError):
        return FieldSet()
    found = compare(of, config, live)
    return to_set(of, config).difference(found.modified).difference(found.added).difference(found.removed)


def synced(obj: Json, config: Json) -> Json:
    """The object with its annotation, where it has one, saying what was applied now; too long a one is dropped."""
    if not last_applied(obj):
        return obj
    metadata = config.get("metadata", {})
    if ANNOTATION in (metadata.get("annotations") or {}):
        left = {name: each for name, each in metadata["annotations"].items() if name != ANNOTATION}
        config = {**config, "metadata": {**metadata, "annotations": left}}
    text = json.dumps(config, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e") + "\n"
    annotations = {**obj["metadata"]["annotations"], ANNOTATION: text}
    if sum(len(name.encode()) + len(each.encode()) for name, each in annotations.items()) > ANNOTATIONS_LIMIT:
        del annotations[ANNOTATION]
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
