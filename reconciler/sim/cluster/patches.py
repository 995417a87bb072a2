"""The four patches: which there are, and what each does to the live object.

Law of the module: a patch becomes an object and goes the way of an update; server-side apply goes its own. What a patch means is
`patch`'s; here stand the refusals of the handler around it (apiserver endpoints/handlers/patch.go).
"""

from __future__ import annotations

from typing import Any

from . import bodies, errors, versions
from .errors import ApiError
from .forms import Patched
from .golang import plain
from .http import Request
from .options import APPLY
from .patch import json_patch, merge_patch
from .schema import Type
from .store import Json, encode
from .strategic import strategic_patch
from .writes import Call, Writes

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


def patched(writes: Writes, call: Call, request: Request) -> tuple[Json, bool]:
    """Perform a PATCH; returns the object and whether apply created it. Raises `ApiError`."""
    kind = request.content_type.split(";")[0].strip()
    if kind == APPLY:
        document, repeats = bodies.read_applied(request.body)
        if repeats and call.options.validation == "Strict":
            words = "\n  ".join(["error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:", *repeats])
            raise errors.bad_request(words)
        call.warnings += repeats if call.options.validation != "Ignore" else []
        return _apply(writes, call, document)
    if kind not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH) and not call.resource.custom:
        raise errors.unsupported_media()
    if kind not in (JSON_PATCH, MERGE_PATCH) and call.resource.custom:
        known = f"{JSON_PATCH}, {MERGE_PATCH}, {APPLY}"
        text = f"the body of the request was in an unknown format - accepted media types include: {known}"
        raise ApiError(415, "UnsupportedMediaType", text)
    patch = bodies.read_patch(request.body, "" if kind == STRATEGIC_PATCH else "error decoding patch: ")
    live = versions.shown(call.resource, writes.existing(call)).obj
    if call.resource.custom:
        live = {**live, "apiVersion": call.resource.api_version}  # conversion None changes nothing else
    document = changed(live, patch, kind, call.resource.about.type)
    _same_name(call, document)

    def shown() -> str:
        return plain(patch) if kind == STRATEGIC_PATCH else encode(_sorted_where_new(document, live)).decode()

    obj, call.warnings[:] = writes.forms.decode(call.resource, document, [], call.options, patched=Patched(shown, kind == STRATEGIC_PATCH))
    return writes.update(call, obj, replace=False), False


def _sorted_where_new(value: Any, live: Any) -> Any:
    """A patched value as the server writes it: what the patch went through is sorted, the rest as it was."""
    if value is live or not isinstance(value, dict):
        return value
    before = live if isinstance(live, dict) else {}
    return {name: _sorted_where_new(value[name], before.get(name)) for name in sorted(value)}


def _apply(writes: Writes, call: Call, document: Json) -> tuple[Json, bool]:
    name = (document.get("metadata") or {}).get("name")
    if name and name != call.name:
        raise errors.bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")
    document.setdefault("metadata", {})
    return writes.apply(call, document)


def _same_name(call: Call, document: Json) -> None:
    name = document.get("metadata", {}).get("name")
    if name != call.name:
        raise errors.bad_request(f"the name of the object ({name or ''}) does not match the name on the URL ({call.name})")


def changed(live: Json, patch: Any, kind: str, of: Type | None) -> Json:
    """The document that a patch makes of a live one; shares parts with it. Raises `ApiError`."""
    if kind == JSON_PATCH:
        made: Json = json_patch(live, patch)
    elif kind == MERGE_PATCH or of is None:
        if not isinstance(patch, dict):
            if patch is None:
                raise errors.bad_request("Invalid JSON Patch")
            shape = "array" if isinstance(patch, list) else "string"
            text = f"json: cannot unmarshal {shape} into Go value of type map[string]interface {{}}"
            raise errors.bad_request(f"error decoding patch: {text}")
        made = merge_patch(live, patch)
    else:
        made = strategic_patch(of, live, patch)
    if not isinstance(made, dict):
        raise errors.bad_request("the patched object is no object")
    return made
