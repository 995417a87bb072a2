"""Schema catalogs: rules for the properties of other catalogs (`metadata.schema` of a catalog names one).

    properties:
      spec:
        rules:
          port: {type: int, required: true, pattern: "<port>"}
          "`.server.os`": {expression: "${{$in($val(), linux, windows)}}"}

Law of the module: pure; two functions, both total. `read_rules` reads a schema once and finds what is wrong with it, at the schema's own
fields; `check` finds what is wrong with a catalog. A key in backticks is a jq path (`paths`). A value is judged by its text, as upstream
does, so "8080" is an int. A value that is an expression is not judged: what it comes to is known only where it is used.

Source: api/pkg/apis/v1alpha1/utils/schema.go of eclipse-symphony/symphony.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from reconciler.core.problem import Finding, Pointer, did_you_mean, listed, noun
from reconciler.core.problem import field as named
from reconciler.core.problem import shown as quoted

from .catalogs import property_of
from .expressions import Evaluation, Scope
from .grammar import Expression, compile
from .patterns import NAMED, Matcher, matcher
from .tokens import OPENING
from .values import Budget, ExpressionError, Json, as_boolean, as_number, text_of

RULES: Final = 1_000  # of one schema
FINDINGS: Final = 20  # of one catalog
FIELDS: Final = ("type", "required", "pattern", "expression")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one property must be. What is left out asks nothing."""

    key: str
    type: str = ""
    required: bool = False
    pattern: str = ""
    matches: Matcher | None = None
    expression: Expression | None = None
    expression_text: str = ""

    @property
    def label(self) -> str:
        """The property in a message."""
        return quoted(self.key) if self.key.startswith("`") else named((self.key,))


def read_rules(properties: Json) -> tuple[tuple[Rule, ...], tuple[Finding, ...]]:
    """The rules of a schema catalog, and what is wrong with them; a part that is wrong asks nothing."""
    at: Pointer = ()
    rules: Json = properties
    for step in ("spec", "rules"):
        rules = rules.get(step) if isinstance(rules, Mapping) else None
        at = (*at, step)
    if rules is None:
        return (), ()
    if not isinstance(rules, Mapping):
        return (), (Finding(at, f"is {noun(rules)}, must be a mapping of properties to rules"),)
    if len(rules) > RULES:
        return (), (Finding(at, f"has {len(rules)} rules, at most {RULES} are allowed"),)
    findings: list[Finding] = []
    read = tuple(_rule(key, rule, (*at, key), findings) for key, rule in rules.items())
    return read, tuple(findings)


def check(rules: tuple[Rule, ...], properties: Json, scope: Scope | None = None) -> tuple[Finding, ...]:
    """What is wrong with the properties of a catalog, in the order of the rules, FINDINGS at most.

    `scope` is what expressions see besides `$val()`.
    """
    budget = Budget(sum(rule.expression.characters for rule in rules if rule.expression))
    findings: list[Finding] = []
    for rule in rules:
        pointer: Pointer = () if rule.key.startswith("`") else (rule.key,)
        try:
            value = property_of(properties, rule.key, budget)
            if value is None:
                if rule.required:
                    findings.append(Finding((), f"{rule.label} is missing, the schema requires it"))
            elif not (isinstance(value, str) and OPENING in value):
                budget.spend_on(value)
                findings += [Finding(pointer, f"{rule.label} {message}") for message in _wrong(rule, value, scope or Scope(), budget)]
        except ExpressionError as error:
            findings.append(Finding(pointer, f"{rule.label}: {error}"))
        if len(findings) >= FINDINGS:
            break
    return tuple(findings)


def _rule(key: str, rule: Json, at: Pointer, findings: list[Finding]) -> Rule:
    made = Rule(key)
    if not isinstance(rule, Mapping):
        findings.append(Finding(at, f"is {noun(rule)}, must be a mapping with {listed(FIELDS)}"))
        return made
    for name, value in rule.items():
        try:
            made = _read(made, name, value)
        except ExpressionError as error:
            findings.append(Finding((*at, name), str(error)))
    return made


def _read(rule: Rule, name: str, value: Json) -> Rule:
    """The rule with one field more."""
    if name == "required":
        if not isinstance(value, bool):
            raise ExpressionError(f"is {noun(value)}, must be true or false")
        return replace(rule, required=value)
    if name not in FIELDS:
        raise ExpressionError(f"{quoted(name)} is no part of a rule{did_you_mean(name, FIELDS)}")
    if not isinstance(value, str):
        raise ExpressionError(f"is {noun(value)}, must be a string")
    if name == "type":
        if value and value not in _TYPES:
            raise ExpressionError(f"is {quoted(value)}, must be {listed(_TYPES)}")
        return replace(rule, type=value)
    if name == "pattern":
        if value.startswith("<") and value.endswith(">") and value not in NAMED:
            raise ExpressionError(f"is {quoted(value)}, which is no pattern that has a name{did_you_mean(value, NAMED)}")
        return replace(rule, pattern=value, matches=matcher(value) if value else None)
    return replace(rule, expression_text=value, expression=compile(value) if value else None)


def _wrong(rule: Rule, value: Json, scope: Scope, budget: Budget) -> Iterator[str]:
    if rule.type and not _TYPES[rule.type](value):
        yield f"is {quoted(value)}, must be of type {rule.type}"
    if rule.matches is not None and not rule.matches(text_of(value), budget):
        yield f"is {quoted(value)}, must match {quoted(rule.pattern)}"
    if rule.expression is not None:
        outcome = as_boolean(Evaluation(replace(scope, value=value), budget).expression(rule.expression).json)
        if outcome is None:
            yield f"cannot be judged: {quoted(rule.expression_text)} is neither true nor false"
        elif not outcome:
            yield f"is {quoted(value)}, for which {quoted(rule.expression_text)} is false"


def _is_int(value: Json) -> bool:
    text = text_of(value)
    return bool(re.fullmatch(r"[+-]?[0-9]{1,19}", text, re.ASCII)) and -(2**63) <= int(text) < 2**63


def _is_uint(value: Json) -> bool:
    text = text_of(value)
    return bool(re.fullmatch(r"[0-9]{1,20}", text, re.ASCII)) and int(text) < 2**64


def _is_float(value: Json) -> bool:
    return as_number(text_of(value)) is not None


def _is_bool(value: Json) -> bool:
    return as_boolean(value if isinstance(value, bool) else text_of(value)) is not None


_TYPES: Mapping[str, Callable[[Json], bool]] = {
    "int": _is_int,
    "float": _is_float,
    "bool": _is_bool,
    "uint": _is_uint,
    "string": lambda _: True,
}
