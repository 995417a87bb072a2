"""Checking an object of a kind of ours against its JSON Schema, in words for its author.

Law of the module: schemas are our own files, handed in as values; a schema never reads another from anywhere (the registry is
empty, and `$ref` stays within the schema). Each failure becomes one finding at the exact field; of a choice (`oneOf`, `anyOf`)
it is told why the nearest branch fails. Draft 2020-12.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from .problem import Finding, Pointer, did_you_mean, field, listed, noun, shown

FINDINGS = 20  # of one object


class Schema:
    """One JSON Schema, ready to check objects."""

    __slots__ = ("_validator",)

    def __init__(self, json: Mapping[str, Any]) -> None:
        """Take a schema of ours. That it is one is a matter of tests: to see it costs more than all else that is read at a start."""
        self._validator = Draft202012Validator(json, registry=Registry())

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers are sent the schema alone: a validator with its registry cannot be pickled.
        return Schema, (self._validator.schema,)

    def check(self, body: Mapping[str, Any]) -> list[Finding]:
        """What is wrong with an object, at most FINDINGS, in the order of the schema."""
        try:
            errors = islice(self._validator.iter_errors(body), FINDINGS)
            return [finding for error in errors for finding in _findings(error)][:FINDINGS]
        except RecursionError:
            return [Finding((), "nested too deep for its schema")]
        except Unresolvable as error:  # a fault of the schema, not of the file: the object cannot be checked
            raise AssertionError(f"schema refers to nothing: {error}") from error


_JSON_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "null": "null",
}


def _findings(error: ValidationError) -> Iterator[Finding]:
    pointer: Pointer = tuple(error.absolute_path)
    where, keyword = field(pointer), error.validator
    must: Any = error.validator_value
    value: Any = error.instance
    if keyword in ("oneOf", "anyOf") and error.context:
        yield from _of_choice(error, pointer)
    elif keyword == "type":
        yield _of_type(pointer, value, [must] if isinstance(must, str) else must)
    elif keyword == "required":
        yield Finding(pointer, f"{field((*pointer, _missing(error)))} is missing")
    elif keyword == "additionalProperties" and must is False:
        yield from _unknown(error.schema, value, pointer)
    elif "propertyNames" in error.absolute_schema_path:  # the value that failed is the key
        yield Finding((*pointer, value), f"{where} has a key that {_words(str(keyword), must, value)}", at_key=True)
    else:
        yield Finding(pointer, f"{where} {_words(str(keyword), must, value)}")


def _of_type(pointer: Pointer, value: Any, kinds: list[str]) -> Finding:
    """A value of none of the kinds that it may have. Nobody means to write null where it is the same as nothing."""
    kinds = [kind for kind in kinds if kind != "null"] or kinds
    text = f"{field(pointer)} is {noun(value)}, must be {listed([_JSON_TYPES[kind] for kind in kinds])}"
    return Finding(pointer, text, wants_text=kinds == ["string"] and not isinstance(value, dict | list))


def _missing(error: ValidationError) -> str:
    """The property that a `required` error is about: only its message says it."""
    required: Any = error.validator_value
    return str(next(key for key in required if error.message.startswith(f"{key!r} is ")))


def _unknown(schema: Any, value: Any, pointer: Pointer) -> Iterator[Finding]:
    """The keys that no property of the schema names."""
    known = schema.get("properties", {})
    for key in value:
        if key not in known and not any(re.search(pattern, key) for pattern in schema.get("patternProperties", {})):
            hint = did_you_mean(key, (name for name in known if name not in value))
            yield Finding((*pointer, key), f"unknown field {field((*pointer, key))}{hint}", at_key=True)


def _words(keyword: str, must: Any, value: Any) -> str:
    """The rest of the sentence for keywords about one value."""
    if keyword == "enum":
        hint = did_you_mean(value, [word for word in must if isinstance(word, str)]) if isinstance(value, str) else ""
        return f"is {shown(value)}, must be {listed(must)}{hint}"
    one = {
        "const": "must be {}",
        "minimum": "must be at least {}",
        "maximum": "must be at most {}",
        "exclusiveMinimum": "must be more than {}",
        "exclusiveMaximum": "must be less than {}",
        "multipleOf": "must be a multiple of {}",
        "pattern": "must match {}",
        "format": "must be a {}",
    }
    if keyword in one:
        return f"is {shown(value)}, " + one[keyword].format(must if keyword in ("pattern", "format") else shown(must))
    if keyword == "minLength" and value == "":
        return "is empty"
    if keyword in ("minLength", "maxLength"):
        bound = "at least" if keyword == "minLength" else "at most"
        return f"has {len(value)} characters, must have {bound} {must}"
    if keyword in ("minItems", "maxItems", "minProperties", "maxProperties"):
        if not value:
            return "is empty"
        return f"has {len(value)} entries, must have {'at least' if keyword.startswith('min') else 'at most'} {must}"
    if keyword == "uniqueItems":
        return "has an item twice"
    if keyword == "dependentRequired":
        missing = next((key, need) for key, needs in must.items() if key in value for need in needs if need not in value)
        return f"has {missing[0]}, so it needs {missing[1]}"
    if keyword == "oneOf":
        return "fits more than one of the forms that it may have; it must fit one"
    return f"is {noun(value)} that may not stand there"


def _of_choice(error: ValidationError, pointer: Pointer) -> Iterator[Finding]:
    """Why no branch of a choice fits: the branch that got farthest into the value, or all types where none got inside."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    wrong_type = [branch[0] for branch in branches.values() if branch[0].validator == "type" and not branch[0].path]
    if len(wrong_type) == len(branches):
        kinds: dict[str, None] = {}
        for inner in wrong_type:
            names: Any = inner.validator_value
            kinds.update(dict.fromkeys([names] if isinstance(names, str) else names))
        yield _of_type(pointer, error.instance, list(kinds))
        return
    inside = [branch for branch in branches.values() if branch[0] not in wrong_type]
    alternatives = [[_missing(e) for e in branch] for branch in inside if all(e.validator == "required" and not e.path for e in branch)]
    if len(inside) > 1 and len(alternatives) == len(inside):
        yield Finding(pointer, f"{field(pointer)} must have {listed([' and '.join(keys) for keys in alternatives])}")
        return
    nearest = min(inside, key=lambda branch: (len(branch), -max(len(e.path) for e in branch)))
    for inner in nearest:
        yield from _findings(inner)
