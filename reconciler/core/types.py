"""The types of the kinds that Kubernetes brings along, and checking an object against them.

Law of the module: the table (schemas/kubernetes/types.json, format in tests/controlplane/types.py) is facts of one Kubernetes
version; a cluster may be newer or older. So what is certain is an error (a mapping where every version has a list, a required
field that is missing), and what a newer cluster may know (another field, another word of an enumeration) is a warning: the server,
asked with strict field validation, decides. A kind that is not in the table is not checked.

Messages never show values: the object may be a Secret.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .problem import Finding, Pointer, did_you_mean, listed, noun
from .problem import field as named

Json = Any
Form = Literal["scalar", "struct", "list", "map"]

FINDINGS = 20  # of one object


@dataclass(frozen=True, slots=True)
class Type:
    """The type of one field. `name` is that of the scalar ("string", "quantity", "any", …) or of the struct."""

    form: Form
    name: str = ""
    item: Type | None = None  # of a list or a map
    keys: tuple[str, ...] = ()  # of a list: the fields that tell its items apart
    set: bool = False  # of a list: without repeats
    atomic: bool = False  # owned as one; a list with neither keys nor set is
    default: Json = None
    enum: tuple[str, ...] = ()
    micro: bool = False
    kept: bool = False  # an explicit zero value is stored; without it, zero counts as absent
    always: bool = False  # stored even where absent, as its zero value
    patch_key: str = ""
    patch: str = ""


@dataclass(frozen=True, slots=True)
class Struct:
    """A type with named fields."""

    fields: Mapping[str, Type]
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KindType:
    """One kind as discovery tells it."""

    type: Type
    namespaced: bool
    plural: str
    subresources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Types:
    """The table: kinds by group, version and kind (group "" for the core), structs by name."""

    version: str
    kinds: Mapping[tuple[str, str, str], KindType]
    structs: Mapping[str, Struct] = field(repr=False)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Types:
        """Read the table. It is our own file: what does not fit raises `KeyError`, `TypeError` or `AssertionError`."""
        kinds = {}
        for text, entry in data["kinds"].items():
            group, _, rest = text.rpartition("/")[0].rpartition("/")
            kinds[group, rest, text.rpartition("/")[2]] = KindType(
                Type("struct", entry["type"]), entry["namespaced"], entry["plural"], tuple(entry.get("subresources", ()))
            )
        structs = {
            name: Struct({key: _type(value) for key, value in entry["fields"].items()}, tuple(entry.get("required", ())))
            for name, entry in data["types"].items()
        }
        return cls(data["version"], kinds, structs)

    def kind(self, group: str, version: str, kind: str) -> KindType | None:
        """The kind, or None where the table has none."""
        return self.kinds.get((group, version, kind))

    def struct(self, type: Type) -> Struct | None:
        """The fields of a struct type, or None for what is none (or is unknown)."""
        return self.structs.get(type.name) if type.form == "struct" else None

    def below(self, type: Type, step: str | int) -> Type | None:
        """The type of a field, an item or a value in `type`; None where nothing is known."""
        if type.form in ("list", "map"):
            return type.item if isinstance(step, int) == (type.form == "list") else None
        struct = self.struct(type)
        return struct.fields.get(step) if struct is not None and isinstance(step, str) else None

    def at(self, type: Type | None, pointer: Pointer) -> Type | None:
        """The type at the end of a pointer that starts at `type`."""
        for step in pointer:
            if type is None:
                return None
            type = self.below(type, step)
        return type

    def check(self, group: str, version: str, kind: str, body: Mapping[str, Any]) -> list[Finding]:
        """What is wrong with an object of a kind in the table; nothing for other kinds. At most FINDINGS."""
        known = self.kind(group, version, kind)
        findings: list[Finding] = []
        if known is not None:
            for finding in self._check(known.type, body, ()):
                findings.append(finding)
                if len(findings) == FINDINGS:
                    break
        return findings

    def _check(self, type: Type, value: Any, pointer: Pointer) -> Iterator[Finding]:
        if type.form == "scalar":
            yield from _check_scalar(type, value, pointer)
        elif type.form == "list":
            assert type.item is not None
            if not isinstance(value, list):
                yield Finding(pointer, f"{named(pointer)} is {noun(value)}, must be a list")
                return
            for index, item in enumerate(value):
                yield from self._check(type.item, item, (*pointer, index))
        elif not isinstance(value, dict):
            yield Finding(pointer, f"{named(pointer)} is {noun(value)}, must be a mapping")
        elif type.form == "map":
            assert type.item is not None
            for key, item in value.items():
                yield from self._check(type.item, item, (*pointer, key))
        else:
            yield from self._check_struct(type, value, pointer)

    def _check_struct(self, type: Type, value: dict[str, Any], pointer: Pointer) -> Iterator[Finding]:
        struct = self.structs.get(type.name)
        if struct is None:
            return
        for key, item in value.items():
            below = struct.fields.get(key)
            here = (*pointer, key)
            if below is None:
                hint = did_you_mean(key, (name for name in struct.fields if name not in value))
                text = f"unknown field {named(here)} in Kubernetes {self.version}{hint}"
                yield Finding(here, text, "warning", at_key=True)
            elif item is not None:  # null is as good as absent
                yield from self._check(below, item, here)
        for key in struct.required:
            if value.get(key) is None:
                yield Finding(pointer, f"{named((*pointer, key))} is missing")


_SCALARS: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a string"),
    "integer": ((int,), "an integer"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "a boolean"),
    "quantity": ((str, int, float), 'a quantity such as "500m" or 2'),
    "int-or-string": ((int, str), "an integer or a string"),
    "bytes": ((str,), "a string of base64"),
    "time": ((str,), "a time as a string"),
}


NO_TYPES = Types("", {}, {})
"""Where nobody knows any kind."""


def _check_scalar(type: Type, value: Any, pointer: Pointer) -> Iterator[Finding]:
    if type.name == "any":
        return
    kinds, words = _SCALARS[type.name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and type.name != "boolean"):
        text = f"{named(pointer)} is {noun(value)}, must be {words}"
        yield Finding(pointer, text, wants_text=type.name == "string" and not isinstance(value, dict | list))
    elif type.enum and value not in type.enum:
        hint = did_you_mean(str(value), type.enum)
        yield Finding(pointer, f"{named(pointer)} must be {listed(type.enum)}{hint}", "warning")
    elif type.name == "bytes" and isinstance(value, str) and not _is_base64(value):
        yield Finding(pointer, f"{named(pointer)} is not base64")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _type(data: str | Mapping[str, Any]) -> Type:
    """Read one T of the table."""
    if isinstance(data, str):
        assert data == "any" or data in _SCALARS, data
        return Type("scalar", data)
    common: dict[str, Any] = {
        "atomic": data.get("atomic", False),
        "default": data.get("default"),
        "kept": data.get("kept", False),
        "always": data.get("always", False),
        "patch_key": data.get("patchKey", ""),
        "patch": data.get("patch", ""),
    }
    if "ref" in data:
        return Type("struct", data["ref"], **common)
    if "list" in data:
        keys, is_set = tuple(data.get("keys", ())), data.get("set", False)
        common["atomic"] = not keys and not is_set
        return Type("list", item=_type(data["list"]), keys=keys, set=is_set, **common)
    if "map" in data:
        return Type("map", item=_type(data["map"]), **common)
    assert data["scalar"] == "any" or data["scalar"] in _SCALARS, data
    return Type("scalar", data["scalar"], enum=tuple(data.get("enum", ())), micro=data.get("micro", False), **common)
