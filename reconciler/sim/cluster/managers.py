"""Who owns what of an object: `metadata.managedFields`, decoded.

Law of the module: an entry is found by manager, operation and subresource, for Update also by API version; entries without
paths are dropped; they are written by operation, time, manager, API version, subresource. Times are texts in whole
seconds (RFC 3339, UTC), handed in. The rules are those of k8s.io/apimachinery `managedfields`.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from . import fields
from .fields import FieldsError, FieldSet

Json = dict[str, Any]

UPDATERS_LIMIT = 10
ANCIENT = "ancient-changes"  # the entry that the oldest updaters are folded into past the limit
NO_FIELDS = FieldSet()


class Identity(NamedTuple):
    """What finds an entry. `api_version` is "" for Apply."""

    manager: str
    operation: str
    api_version: str
    subresource: str

    def order(self) -> str:
        """What identities are sorted by in messages."""
        parts = {"manager": self.manager, "operation": self.operation}
        parts |= {"apiVersion": self.api_version} if self.api_version else {}
        parts |= {"subresource": self.subresource} if self.subresource else {}
        return json.dumps(parts, separators=(",", ":"))

    def __str__(self) -> str:
        """As conflict messages name it."""
        text = json.dumps(self.manager, ensure_ascii=False)
        if self.subresource:
            text += f" with subresource {json.dumps(self.subresource, ensure_ascii=False)}"
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


class Entry(NamedTuple):
    """What one manager owns, in the terms of one API version."""

    fields: FieldSet
    api_version: str
    time: str | None = None


Managers = dict[Identity, Entry]


def decode(entries: Any) -> Managers:
    """Read `managedFields`.

    Raises:
        FieldsError: an entry is malformed.
    """
    managers: Managers = {}
    for entry in entries or ():
        if not isinstance(entry, dict) or entry.get("operation") not in ("Apply", "Update"):
            raise FieldsError("operation must be `Apply` or `Update`")
        if not entry.get("apiVersion") or entry.get("fieldsType") != "FieldsV1":
            raise FieldsError("an entry lacks apiVersion, or fieldsType FieldsV1")
        applied = entry["operation"] == "Apply"
        names = (entry.get("manager", ""), entry["operation"], entry.get("subresource", ""))
        identity = Identity(names[0], names[1], "" if applied else entry["apiVersion"], names[2])
        owned = fields.read(entry.get("fieldsV1") or {})
        managers[identity] = Entry(owned, entry["apiVersion"], entry.get("time"))
    return managers


def encode(managers: Managers) -> list[Json]:
    """Write `managedFields`."""
    ordered = sorted(
        managers.items(),
        key=lambda each: (each[0].operation, each[1].time or "", each[0].manager, each[1].api_version, each[0].subresource),
    )
    return [_encode(identity, entry) for identity, entry in ordered]


def _encode(identity: Identity, entry: Entry) -> Json:
    written: Json = {"manager": identity.manager} if identity.manager else {}
    written |= {"operation": identity.operation, "apiVersion": entry.api_version}
    if entry.time:
        written["time"] = entry.time
    written |= {"fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_json()}
    if identity.subresource:
        written["subresource"] = identity.subresource
    return written


def of_request(live: Json, new: Json, subresource: str) -> Managers:
    """The entries that an update starts from: those that the new object brings, or those of the live one.

    A new object may clear them with an empty list; below a subresource what it brings does not count.
    """
    brought = new.get("metadata", {}).get("managedFields")
    if not subresource:
        if brought in ([], [{}]):
            return {}
        try:
            managers = decode(brought)
        except FieldsError:
            managers = {}
        if managers:
            return managers
    return decode_or_none(live)


def decode_or_none(live: Json) -> Managers:
    """The entries of a live object; none where they cannot be read."""
    try:
        return decode(live.get("metadata", {}).get("managedFields"))
    except FieldsError:
        return {}


def capped(managers: Managers) -> Managers:
    """At most `UPDATERS_LIMIT` entries of updates: past it the oldest of each API version are folded into one."""
    if len(managers) <= UPDATERS_LIMIT:
        return managers
    updaters = sorted(
        (identity for identity in managers if identity.operation == "Update"),
        key=lambda identity: (managers[identity].time or "", identity.order()),
    )
    excess = len(updaters) - UPDATERS_LIMIT
    made = dict(managers)
    first: dict[str, Identity] = {}
    for identity in updaters:
        if excess <= 0:
            break
        entry = managers[identity]
        if entry.api_version not in first:
            first[entry.api_version] = identity
            continue
        bucket = Identity(ANCIENT, "Update", entry.api_version, "")
        if bucket not in made:
            made[bucket] = made.pop(first[entry.api_version])
        made[bucket] = Entry(entry.fields.union(made[bucket].fields), entry.api_version, entry.time)
        if identity != bucket:
            del made[identity]
        excess -= 1
    return made
