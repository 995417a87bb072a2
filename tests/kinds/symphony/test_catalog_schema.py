"""Schema catalogs: rules and named patterns as YAML cases; what a check costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reconciler.core.problem import Finding, field
from reconciler.kinds.symphony.catalog_schema import FINDINGS, RULES, check, read_rules
from reconciler.kinds.symphony.expressions import Scope
from reconciler.kinds.symphony.patterns import NAMED, matcher
from reconciler.kinds.symphony.values import Budget

CASES = Path(__file__).parent / "cases"
SCHEMAS = yaml.safe_load((CASES / "schemas.yaml").read_text(encoding="utf-8"))
PATTERNS = yaml.safe_load((CASES / "patterns.yaml").read_text(encoding="utf-8"))
TEXTS = [(name, text, word == "yes") for name, rows in PATTERNS.items() for word, texts in rows.items() for text in texts]


@pytest.mark.parametrize(("rules", "properties", "found"), SCHEMAS["check"])
def test_check(rules, properties, found):
    read, wrong = read_rules({"spec": {"rules": rules}})
    assert wrong == ()
    assert [finding.message for finding in check(read, properties)] == found


@pytest.mark.parametrize(("rules", "found"), SCHEMAS["rules"])
def test_rules_that_are_wrong_are_told_and_ask_nothing(rules, found):
    read, wrong = read_rules({"spec": {"rules": rules}})
    assert [[field(finding.pointer), finding.message] for finding in wrong] == [found]
    assert check(read, {"a": "anything"}) == ()


@pytest.mark.parametrize("properties", [None, {}, [], {"spec": None}, {"spec": {}}, {"spec": []}, "text"])
def test_a_schema_without_rules_asks_nothing(properties):
    assert read_rules(properties) == ((), ())


def test_a_finding_points_at_the_property():
    read, _ = read_rules({"spec": {"rules": {"port": {"type": "int", "required": True}, "`.a.b`": {"type": "int"}}}})
    assert check(read, {"port": "x", "a": {"b": "y"}}) == (
        Finding(("port",), 'port is "x", must be of type int'),
        Finding((), '"`.a.b`" is "y", must be of type int'),
    )
    assert check(read, {})[0].pointer == ()


def test_expressions_of_rules_see_the_scope():
    read, _ = read_rules({"spec": {"rules": {"os": {"expression": "${{$equal($val(), $property(os))}}"}}}})
    scope = Scope(properties={"os": "linux"})
    assert check(read, {"os": "linux"}, scope) == ()
    assert len(check(read, {"os": "other"}, scope)) == 1


def test_a_schema_has_so_many_rules_and_a_catalog_so_many_findings():
    assert read_rules({"spec": {"rules": {str(n): {} for n in range(RULES + 1)}}})[1][0].message.startswith(f"has {RULES + 1} rules")
    read, _ = read_rules({"spec": {"rules": {str(n): {"required": True} for n in range(RULES)}}})
    assert len(check(read, {})) == FINDINGS


def test_one_check_has_one_budget():
    rules = {"a" * n: {"pattern": "(a*)*b"} for n in range(1, 500)}
    read, wrong = read_rules({"spec": {"rules": rules}})
    found = check(read, dict.fromkeys(rules, "a" * 20_000))
    assert wrong == ()
    assert "too much work" in found[0].message
    assert len(found) == FINDINGS


    texts = {str(n): {"type": "string"} for n in range(RULES)}
    read, _ = read_rules({"spec": {"rules": texts}})
    assert "too much work" in check(read, dict.fromkeys(texts, "a" * 100_000))[0].message


@pytest.mark.parametrize(("name", "text", "taken"), TEXTS)
def test_named_pattern(name, text, taken):
    assert matcher(name)(str(text), Budget()) is taken


def test_every_named_pattern_has_cases_for_both():
    assert {name: sorted(rows) for name, rows in PATTERNS.items()} == {name: ["no", "yes"] for name in NAMED}
