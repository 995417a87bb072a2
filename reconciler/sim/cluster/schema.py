"""The types of kinds, in one form: those of Kubernetes from a table, those of a custom kind from its definition.

Law of the module: a type says which shapes a value may have (a scalar, a list, a map: often one of them, anything for
free-form fields) and how each is owned. Types are built once and never changed; two fields of one Kubernetes type share
its fields. Where a document says nothing, the reading is that of the API server (kube-openapi `schemaconv`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]

INT_OR_STRING = "int-or-string"
SCALARS = ("string", "integer", "number", "boolean")


@dataclass(eq=False, slots=True)
class Type:
    """What a value may be, and how it is owned. Compared by identity."""

    scalar: str = ""  # the scalar that it may be; "any" for every one, "" for none
    items: Type | None = None  # of the list that it may be
    keys: tuple[str, ...] = ()  # of a keyed list
    unique: bool = False  # a set or a keyed list, whose items are owned one by one
    fields: dict[str, Type] | None = None  # declared fields of the map that it may be; None: it may be none
    values: Type | None = None  # of undeclared fields; None: there may be none
    atomic: bool = False  # the map is owned as one
    name: str = ""  # of the Kubernetes type
    required: tuple[str, ...] = ()
    default: Any = None  # None: no default
    micro: bool = False  # a time with microseconds
    kept: bool = False  # an explicit zero value is stored
    always: bool = False  # stored even where absent, as zero value
    patch_key: str = ""
    patch: str = ""
    rules: Json = field(default_factory=dict)  # the node of a custom kind's schema; empty for a built-in type

    @property
    def is_map(self) -> bool:
        """Whether it may be a map."""
        return self.fields is not None


UNTYPED = Type(scalar="any", fields={}, atomic=True)
UNTYPED.items = UNTYPED.values = UNTYPED
FREE = Type(scalar="any", items=UNTYPED, fields={})  # deduced from each value: maps by field, lists as one
FREE.values = FREE


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of object: its names, what can be done with it, and its type."""

    group: str
    version: str
    kind: str
    type: Type
    namespaced: bool
    plural: str
    singular: str = ""
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    subresources: Mapping[str, Json] = field(default_factory=dict)
    api_version: str = field(init=False)  # as objects say it

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)


class Table:
    """The kinds of Kubernetes by apiVersion/Kind: `schemas/kubernetes/types.json`, decoded."""

    def __init__(self, document: Json) -> None:
        self._types: Json = document["types"]
        self._fields: dict[str, dict[str, Type]] = {}
        self.kinds = {name: self._kind(name, about) for name, about in document["kinds"].items()}

    def struct(self, name: str) -> Type:
        """A type by its name."""
        if name not in self._fields:
            fields: dict[str, Type] = {}
            self._fields[name] = fields  # first, because some types hold themselves
            fields.update({key: self._type(form) for key, form in self._types[name]["fields"].items()})
        return Type(fields=self._fields[name], name=name, required=tuple(self._types[name].get("required", ())))

    def _kind(self, name: str, about: Json) -> Kind:
        *group, version, kind = name.split("/")
        return Kind(
            group=group[0] if group else "",
            version=version,
            kind=kind,
            type=self.struct(about["type"]),
            namespaced=about["namespaced"],
            plural=about["plural"],
            singular=about["singular"],
            short=tuple(about["short"]),
            categories=tuple(about["categories"]),
            verbs=tuple(about["verbs"]),
            subresources=about["subresources"],
        )

    def _type(self, form: Any) -> Type:
        if isinstance(form, str):
            return FREE if form == "any" else Type(scalar=form)
        if "ref" in form:
            base = self.struct(form["ref"])
        elif "list" in form:
            keys = tuple(form.get("keys", ()))
            base = Type(items=self._type(form["list"]), keys=keys, unique=bool(keys) or form.get("set", False))
        elif "map" in form:
            base = Type(fields={}, values=self._type(form["map"]))
        else:
            base = replace(self._type(form["scalar"]))
        base.atomic = form.get("atomic", False)
        base.default = form.get("default")
        base.micro, base.kept, base.always = (form.get(mark, False) for mark in ("micro", "kept", "always"))
        base.patch_key, base.patch = form.get("patchKey", ""), form.get("patch", "")
        return base


def custom_type(schema: Json, metadata: Type) -> Type:
    """The type of a custom kind from the `openAPIV3Schema` of its version; `metadata` is Kubernetes' own type.

    A definition that keeps unknown fields at its top (or says nothing at all) has free-form fields there.
    """
    base = _custom(schema, preserve=False)
    fields = {**(base.fields or {}), "apiVersion": Type(scalar="string"), "kind": Type(scalar="string")}
    fields["metadata"] = metadata
    return replace(base, fields=fields, rules=schema or {"type": "object"})


def _custom(node: Json, preserve: bool) -> Type:
    """One node of a structural schema. `preserve`: an ancestor keeps unknown fields."""
    preserve = preserve or node.get("x-kubernetes-preserve-unknown-fields") is True
    kind = node.get("type", "")
    made = Type(rules=node, default=node.get("default"), required=tuple(node.get("required", ())))
    if node.get("x-kubernetes-int-or-string") is True:
        made.scalar = "any"
    elif kind in SCALARS:
        made.scalar = "any" if kind == "string" and node.get("format") else kind
    elif kind == "":
        made.scalar = "any"
    if kind in ("array", "") and made.scalar != INT_OR_STRING:
        said = node.get("x-kubernetes-list-type", "atomic")
        made.items = _custom(node["items"], preserve) if isinstance(node.get("items"), dict) else UNTYPED
        made.keys = tuple(node.get("x-kubernetes-list-map-keys", ())) if said == "map" else ()
        made.unique = said in ("map", "set")
    if kind in ("object", ""):
        made.fields = {name: _custom(about, preserve) for name, about in node.get("properties", {}).items()}
        made.values = _undeclared(node, preserve)
        made.atomic = node.get("x-kubernetes-map-type") == "atomic"
    if node.get("x-kubernetes-embedded-resource") is True and made.fields is not None:
        made.fields = {"apiVersion": Type(scalar="string"), "kind": Type(scalar="string"), "metadata": FREE} | made.fields
    return made


def _undeclared(node: Json, preserve: bool) -> Type | None:
    """The type of fields that a map does not declare."""
    additional = node.get("additionalProperties")
    if isinstance(additional, dict):
        return _custom(additional, preserve)
    if additional is True or (additional is None and (preserve or not node.get("properties"))):
        return FREE
    return None
