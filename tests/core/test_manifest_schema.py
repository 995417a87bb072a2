"""JSON Schema failures in words, at the exact field; schemas read nothing from anywhere."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler import schemas
from reconciler.core.schema import FINDINGS, Schema


def messages(schema: dict[str, Any], value: Any) -> list[str]:
    return [one.message for one in Schema({"properties": {"a": schema}}).check({"a": value})]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "array"}, {}, "a is a mapping, must be a list"),
        ({"type": ["integer", "boolean"]}, "1", "a is a string, must be an integer or a boolean"),
        ({"type": ["integer", "null"]}, "1", "a is a string, must be an integer"),
        ({"type": "null"}, 1, "a is an integer, must be null"),
        ({"enum": ["x", "y", 3]}, "z", 'a is "z", must be x, y or 3'),
        ({"enum": ["canary", "blueGreen"]}, "canari", 'a is "canari", must be canary or blueGreen; did you mean canary?'),
        ({"const": "x"}, "y", 'a is "y", must be "x"'),
        ({"maximum": 100}, 120, "a is 120, must be at most 100"),
        ({"minimum": 0}, -1, "a is -1, must be at least 0"),
        ({"exclusiveMinimum": 0}, 0, "a is 0, must be more than 0"),
        ({"exclusiveMaximum": 1}, 1, "a is 1, must be less than 1"),
        ({"multipleOf": 5}, 7, "a is 7, must be a multiple of 5"),
        ({"pattern": "^[a-z]+$"}, "A1", 'a is "A1", must match ^[a-z]+$'),
        ({"minLength": 1}, "", "a is empty"),
        ({"maxLength": 3}, "abcd", "a has 4 characters, must have at most 3"),
        ({"minItems": 1}, [], "a is empty"),
        ({"minItems": 2}, [1], "a has 1 entries, must have at least 2"),
        ({"maxProperties": 1}, {"x": 1, "y": 2}, "a has 2 entries, must have at most 1"),
        ({"uniqueItems": True}, [1, 1], "a has an item twice"),
        ({"required": ["of"]}, {}, "a.of is missing"),
        ({"dependentRequired": {"x": ["y"]}}, {"x": 1}, "a has x, so it needs y"),
        ({"properties": {"replicas": {}}, "additionalProperties": False}, {"replica": 1},
         "unknown field a.replica; did you mean replicas?"),
        ({"patternProperties": {"^x-": {}}, "additionalProperties": False}, {"x-a": 1, "b": 1}, "unknown field a.b"),
        ({"propertyNames": {"pattern": "^[a-z]+$"}}, {"A": 1}, 'a has a key that is "A", must match ^[a-z]+$'),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, [], "a is a list, must be a string or an integer"),
        ({"anyOf": [{"required": ["x"]}, {"required": ["y", "z"]}]}, {}, "a must have x or y and z"),
        ({"oneOf": [{"type": "string"}, {"type": "object", "properties": {"x": {"type": "string"}}}]}, {"x": 1},
         "a.x is an integer, must be a string"),
        ({"oneOf": [{"required": ["x"]}, {"required": ["y"]}]}, {"x": 1, "y": 1},
         "a fits more than one of the forms that it may have; it must fit one"),
        ({"oneOf": [{"type": "string"}, {"type": "object", "required": ["x"]}]}, {}, "a.x is missing"),
        ({"not": {"required": ["x"]}}, {"x": 1}, "a is a mapping that may not stand there"),
        ({"items": {"type": "string"}}, ["x", 1], "a[1] is an integer, must be a string"),
        ({"not": {}}, 1, "a is an integer that may not stand there"),
        ({"format": "date"}, 1, None),
    ],
)  # fmt: skip
def test_a_failure_is_told(schema: Any, value: Any, expected: str | None) -> None:
    assert messages(schema, value) == ([expected] if expected else [])


def test_each_missing_field_is_told_once() -> None:
    found = Schema({"required": ["a", "b"]}).check({})
    assert [one.message for one in found] == ["a is missing", "b is missing"]


def test_an_unknown_field_is_found_at_its_key() -> None:
    (found,) = Schema({"additionalProperties": False}).check({"x": 1})
    assert (found.pointer, found.at_key) == (("x",), True)


def test_findings_are_at_most_so_many() -> None:
    assert len(messages({"items": {"type": "string"}}, [1] * 1000)) == FINDINGS


def test_a_recursive_schema_ends() -> None:
    schema = Schema({"$ref": "#/$defs/t", "$defs": {"t": {"additionalProperties": {"$ref": "#/$defs/t"}, "type": "object"}}})
    value: Any = 1
    for _ in range(190):
        value = {"x": value}
    (found,) = schema.check(value)
    assert found.message.endswith("must be a mapping") or found.message == "nested too deep for its schema"


def test_a_schema_reads_nothing_from_anywhere() -> None:
    with pytest.raises(AssertionError):
        Schema({"$ref": "file:///etc/hostname"}).check({})


@pytest.mark.parametrize("path", [str(file.relative_to(schemas.folder())) for file in sorted(schemas.folder().glob("[!k]*/*.json"))])
def test_every_schema_of_ours_is_one(path: str) -> None:
    """A start takes them as they are. (The tables under kubernetes/ are no schemas.)"""
    Draft202012Validator.check_schema(schemas.read(path))
