"""What is sent to the API server for an object that is wanted: put into shape, and without what is not ours to say.

Law of the module: arguments stay as they are; what did not change is shared. Nothing here decides what differs (`diff`).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from .paths import Json, Path, descend, drop, entries, find, holders, is_ours, put, resolve

SERVER_METADATA: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""Written by the API server alone; manifests have them only where somebody exported an object."""


def normalise(wanted: Json) -> Json:
    """The object as it is applied: without status and what the server writes, a Secret's stringData folded into its data.

    The server folds stringData too, but keeps no trace of it, so that its keys could not be compared (Kubernetes API,
    Secret v1: write-only, wins over data).
    """
    made = {name: value for name, value in wanted.items() if name != "status"}
    metadata = made.get("metadata")
    if isinstance(metadata, dict):
        made["metadata"] = {name: value for name, value in metadata.items() if name not in SERVER_METADATA}
    if is_secret(made) and isinstance(made.get("stringData"), dict):
        folded = {name: _base64(value) for name, value in made.pop("stringData").items()}
        data = made.get("data")
        made["data"] = {**data, **folded} if isinstance(data, dict) else folded
    return made


def is_secret(obj: Json) -> bool:
    """Whether the values of an object may never be shown."""
    return obj.get("kind") == "Secret" and obj.get("apiVersion") == "v1"


def without_values(text: str, secret: Json) -> str:
    """A text, say of an API server's refusal, without the values of a Secret that it may repeat, as they are or in base64."""
    shown: list[str] = []
    for values in (secret.get("data"), secret.get("stringData")):
        for value in values.values() if isinstance(values, dict) else ():
            if isinstance(value, str) and value:
                shown.append(value)
                with contextlib.suppress(ValueError):
                    shown.append(base64.b64decode(value, validate=True).decode())
    for value in sorted(shown, key=len, reverse=True):
        text = text.replace(value, "(not shown)") if value else text
    return text


def _base64(value: object) -> object:
    """Text as a Secret's data holds it; what is no text stays, for the API server to refuse."""
    if value is None:
        return ""
    return base64.b64encode(value.encode("utf-8", "surrogatepass")).decode() if isinstance(value, str) else value


def without(wanted: Json, paths: Iterable[Path]) -> Json:
    """`wanted` without some paths: what is left out is left to whoever owns it."""
    for path in paths:
        wanted = drop(wanted, path)
    return wanted


def with_ignored(wanted: Json, live: Json, ignore: Iterable[str], manager: str) -> Json:
    """What to send where the live value of some JSON pointers stands.

    Left out at once, the field would be removed, for nobody else owns it yet: so its live value is applied until somebody
    else does. A part of what server-side apply takes as a whole keeps its live value, since it cannot be left out alone.
    """
    found = entries(live)
    others = [entry for entry in found if not is_ours(entry.owner, manager)]
    for pointer in ignore:
        path = resolve(pointer, wanted, live, found)
        if not path:
            continue
        value = find(live, path)
        asked = find(wanted, path) is not None or any(
            is_ours(entry.owner, manager) and _names(entry.fields, path) for entry in found
        )
        elsewhere = any(not holder.above for holder in holders(path, others))
        if value is None or elsewhere:
            wanted = drop(wanted, path)
        elif asked:
            wanted = put(wanted, path, value)
    return wanted


def _names(fields: object, path: Path) -> bool:
    """Whether an entry names a path (or a whole around it)."""
    node = fields if isinstance(fields, dict) else None
    for segment in path:
        node = descend(node, segment)  # type: ignore[assignment]
        if not node:
            return node is not None
    return True


def decode(json: bytes) -> Json:
    """An object from its JSON; the bytes are ours, so what is no object is a broken invariant."""
    found = msgspec.json.decode(json)
    assert isinstance(found, dict)
    return found


def digest(obj: object) -> str:
    """16 hexadecimal digits of the SHA-256 of an object's canonical JSON (keys sorted, no spaces)."""
    return hashlib.sha256(msgspec.json.encode(obj, order="deterministic")).hexdigest()[:16]
