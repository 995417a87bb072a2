"""What the server says of a value of another form than its field: by the way that it came in.

Law of the module: pure; the sentences are those of Go's JSON decoder and of apimachinery's unstructured converter. What is wrong in
another way has its sentence already.
"""

from __future__ import annotations

from .decode import DecodeError
from .schema import Type

_GO_TYPES = {"int-or-string": "int32", "string": "string", "boolean": "bool", "integer": "int32", "number": "float64", "bytes": "[]uint8"}


def unmarshal_words(of: Type, kind: str, error: DecodeError) -> str:
    """What Go's decoder says of a value of another form than its field; other reasons are sentences already."""
    if not error.misfit:
        return str(error)
    struct, field, path = kind, of, error.path
    names: list[str] = []
    if of.rules:  # of a custom kind only metadata has a Go type
        struct, field, path = "ObjectMeta", (of.fields or {})["metadata"], path.removeprefix("metadata.")
    for name in path.replace("[", ".[").split("."):
        if name.startswith("["):
            field = field.items or field
            continue
        if not field.fields:
            break  # Go names the map, not the key
        struct = field.name.rpartition(".")[2] or struct
        field = field.fields.get(name) or field
        names.append(name)
    said = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}[type(error.value)]
    return f"json: cannot unmarshal {said} into Go struct field {struct}.{'.'.join(names)} of type {_go_type(error.of)}"


def restore_words(error: DecodeError) -> str:
    """The same where a patch made the value without going through text: a strategic one, and an apply."""
    if not error.misfit:
        return str(error)
    wanted, value = error.of, error.value
    said = {dict: "map", list: "slice", str: "string", bool: "bool", int: "int64", float: "float64"}[type(value)]
    if wanted.items is not None:
        return f"cannot restore slice from {said}"
    if wanted.is_map:
        return f"cannot restore struct from: {said}" if wanted.name else f"cannot restore map from {said}"
    if isinstance(value, str | dict | list):
        return f"unrecognized type: {_go_type(wanted)}"
    return f"cannot convert {said} to {_go_type(wanted)}"


def _go_type(of: Type) -> str:
    if of.items is not None:
        return "[]" + _go_type(of.items)
    if of.name:
        return "v1." + of.name.rpartition(".")[2]
    if of.is_map:
        return f"map[string]{_go_type(of.values)}" if of.values else "map[string]interface {}"
    return _GO_TYPES.get(of.scalar, "string")
