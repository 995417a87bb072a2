"""Symphony's property expressions: `${{ … }}` in the strings of a manifest, evaluated.

    evaluate("http://h:${{8080+1}}/x", Scope())          -> Value("http://h:8081/x")
    evaluate("${{$equal($property(os), linux)}}", Scope(properties={"os": "linux"})) -> Value(True)

Law of the module: pure, and the same for the same scope. A text with no `${{` is its own value. A text that is one expression has that
expression's value, with its type; of a mixed text the values are joined as text. What is asked for is asked of the scope alone; whatever
its callables raise but `ExpressionError` (the view's `NotYet`) passes through untouched. Nothing else is ever raised than
`ExpressionError`: work, depth and size are bounded (`values.Budget`, DEPTH, ERRORS), whatever the text and the values hold.

What a Secret's value went into is marked (`Value.secret`, `Evaluated.secrets`) and is in no message. The mark is of the whole value of a
string, so no function can lose it. A comparison is marked too, the branch that `$if` takes as well.

Values that `$input`, `$output`, `$trigger` and `$property` bring, and all strings in one that `$config` brings, are evaluated in turn; one
that leads back to itself is an error that shows the way it went. Inputs and outputs may hold what the outside answered (an http stage),
so an expression in them may not ask for a secret: upstream allows it.

Sources: api/pkg/apis/v1alpha1/utils/parser.go and its tests, and property-expressions.md, of eclipse-symphony/symphony.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from reconciler.core.problem import Pointer

from .functions import FUNCTIONS, Arguments
from .grammar import Bracketed, Call, Chain, Expression, Literal, Node, Program, Signed, compile
from .tokens import OPENING
from .values import (
    VALUE_DEPTH,
    Budget,
    ExpressionError,
    Json,
    Value,
    joined,
    json_of,
    number_of,
    parsed,
    shown,
    text_of,
)

__all__ = ["Evaluated", "Expression", "ExpressionError", "Scope", "Value", "compile", "evaluate", "evaluate_all", "unreadable"]

DEPTH: Final = 96  # of an evaluation: nodes in nodes, values in values that they ask for
ARGUMENTS_SHOWN: Final = 3  # of a call in a message
ERRORS: Final = 20  # of one tree; the rest is not looked at

Reference = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions may see. What is left out is not there.

    `config(object, key, overrides)` gives the value of a catalog as it is written; the evaluation evaluates it. `secret(object, key)` gives
    the value of a Secret. Both raise `ExpressionError` for what there is not.

    `secrets` names what else is secret: ("input", key), ("output", stage, key), ("trigger", key), ("property", key), ("param", key)
    or ("val",).
    """

    properties: Mapping[str, Json] = field(default_factory=dict)
    parameters: Mapping[str, Json] = field(default_factory=dict)
    inputs: Mapping[str, Json] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    trigger: Mapping[str, Json] = field(default_factory=dict)
    instance: str = ""
    value: Json = None
    config: Callable[[str, str, tuple[str, ...]], Json] | None = None
    secret: Callable[[str, str], str] | None = None
    secrets: frozenset[Reference] = frozenset()
    bare: bool = False  # texts that begin with a call need no ${{ }}: objects from before November 2023


class Evaluated(NamedTuple):
    """A tree with its strings evaluated.

    `secrets` are the places of what is secret. Where there are `errors`, each with the path of its string, those strings are as written.
    """

    json: Json
    secrets: tuple[Pointer, ...] = ()
    errors: tuple[ExpressionError, ...] = ()


def evaluate(text: str | Expression, scope: Scope) -> Value:
    """The value of one string.

    Raises:
        ExpressionError: it has none.
    """
    expression = compile(text, bare=scope.bare) if isinstance(text, str) else text
    if expression.literal is not None:
        return Value(expression.literal)
    return Evaluation(scope, Budget(expression.characters)).expression(expression)


def evaluate_all(json: Json, scope: Scope) -> Evaluated:
    """A tree with all its strings evaluated, its keys as they are. A string that is JSON text is evaluated string by string, too.

    So `'[{"containerPort": "${{$param(port)}}"}]'` is JSON text again, with the value's own type in it.
    """
    tree = _Tree(scope)
    evaluated = tree.walk(json, ())
    return Evaluated(evaluated, tuple(tree.secrets), tuple(tree.errors))


def unreadable(json: Json, *, json_texts: bool = True) -> tuple[ExpressionError, ...]:
    """The strings of a tree that have no value whatever is asked for, each with its path: what `evaluate_all` would say of any scope.

    Without `json_texts` a string that is JSON text is one text, as it is in a catalog.
    """
    reader = _Reader(Scope())
    reader.json_texts = json_texts
    reader.walk(json, ())
    return tuple(reader.errors)


class _Tree:
    """Goes through a tree once. One budget for all of it, that grows with the texts."""

    def __init__(self, scope: Scope) -> None:
        self.secrets: list[Pointer] = []
        self.errors: list[ExpressionError] = []
        self._scope = scope
        self._budget = Budget()

    def walk(self, json: Json, path: Pointer) -> Json:
        if len(self.errors) >= ERRORS:
            return json
        if isinstance(json, str):
            return self._text(json, path)
        if len(path) >= VALUE_DEPTH and isinstance(json, dict | list):
            self.errors.append(ExpressionError(f"a value is nested more than {VALUE_DEPTH} deep", path))
            return json
        if isinstance(json, dict):
            mapping = {}
            for key, value in json.items():
                mapping[key] = self.walk(value, (*path, key))
            return mapping
        if isinstance(json, list):
            items = []
            for index, item in enumerate(json):
                items.append(self.walk(item, (*path, index)))
            return items
        return json

    def _text(self, text: str, path: Pointer) -> Json:
        if OPENING not in text and not (self._scope.bare and text.startswith("$")):
            return text
        self._budget.grow(len(text))
        try:
            value = _json_text(text, self._scope, self._budget) if text.startswith(("{", "[")) else None
            if value is None:
                value = Evaluation(self._scope, self._budget).text(text)
        except ExpressionError as error:
            self.errors.append(ExpressionError(str(error), path))
            return text
        if value.secret:
            self.secrets.append(path)
        return value.json


class _Reader(_Tree):
    """Reads all strings, and evaluates none."""

    json_texts = True

    def _text(self, text: str, path: Pointer) -> Json:
        if OPENING not in text:
            return text
        try:
            inside = parsed(text) if self.json_texts and text.startswith(("{", "[")) else None
        except ExpressionError:
            inside = None
        try:
            if inside is None:
                compile(text)
            elif errors := unreadable(inside, json_texts=False):
                raise errors[0]
        except ExpressionError as error:
            self.errors.append(ExpressionError(str(error), path))
        return text


def _json_text(text: str, scope: Scope, budget: Budget) -> Value | None:
    """JSON text with the strings in it evaluated; None where it is none until it has been evaluated."""
    try:
        json = parsed(text)
    except ExpressionError:
        return None
    budget.spend_on(json)
    value = Evaluation(scope, budget).within(json)
    return Value(json_of(value.json, in_order=False), value.secret)


class Evaluation:
    """One evaluation: what it may see and still spend, and the way of references that led to where it is."""

    def __init__(self, scope: Scope, budget: Budget) -> None:
        self.scope = scope
        self.budget = budget
        self.outside = False  # within a value that an input or an output brought
        self._depth = 0
        self._way: dict[Reference, str] = {}

    def text(self, text: str) -> Value:
        """The value of a string."""
        return self.expression(compile(text, bare=self.scope.bare))

    def expression(self, expression: Expression) -> Value:
        """The value of a text: of its only program, or its parts joined as text."""
        values = [Value(part) if isinstance(part, str) else self._program(part) for part in expression.parts]
        if len(values) == 1:
            return values[0]
        for value in values:
            self.budget.spend_on(value.json)
        text = "".join(text_of(value.json) for value in values)
        self.budget.spend_on(text)
        return Value(text, any(value.secret for value in values))

    def within(self, json: Json) -> Value:
        """A value in which every string has been evaluated."""
        self.budget.spend()
        if isinstance(json, str):
            return self.text(json) if OPENING in json else Value(json)
        if not isinstance(json, dict | list):
            return Value(json)
        made: Json = {} if isinstance(json, dict) else []
        secret = False
        with self._deeper():
            for key, each in json.items() if isinstance(json, dict) else enumerate(json):
                try:
                    value = self.within(each)
                except ExpressionError as error:
                    error.path = (key, *error.path)
                    raise
                secret |= value.secret
                if isinstance(made, dict):
                    made[key] = value.json
                else:
                    made.append(value.json)
        return Value(made, secret)

    def marked(self, reference: Reference, json: Json) -> Value:
        """A value of the scope, secret where the scope says so."""
        return Value(json, reference in self.scope.secrets)

    def again(self, reference: Reference, json: Json, shown_as: Arguments, *, outside: bool = False) -> Value:
        """A value of the scope; where it is an expression itself, what that comes to."""
        found = self.marked(reference, json)
        if not isinstance(json, str) or OPENING not in json:
            return found
        was, self.outside = self.outside, self.outside or outside
        with self.asking(reference, shown_as):
            value = self.text(json)
        self.outside = was
        return Value(value.json, value.secret or found.secret)

    @contextmanager
    def asking(self, reference: Reference, shown_as: Arguments) -> Iterator[None]:
        """While a reference is followed: errors name it, and it may not be met again.

        Where a secret chose what to ask for, an error's own words might repeat it.
        """
        arguments = [shown(argument) for argument in shown_as[:ARGUMENTS_SHOWN]]
        call = f"${reference[0]}({', '.join([*arguments, '…'] if len(shown_as) > ARGUMENTS_SHOWN else arguments)})"
        if reference in self._way:
            raise _Circular(f"circular dependency: {' → '.join([*self._way.values(), call])}")
        self._way[reference] = call
        try:
            with self._deeper():
                yield
        except _Circular:
            raise
        except ExpressionError as error:
            hidden = any(argument.secret for argument in shown_as)
            raise ExpressionError(f"{call}: {'it has none; the reason might show the secret' if hidden else error}") from None
        del self._way[reference]

    def _program(self, program: Program) -> Value:
        """The values of all sums of an expression, one after another: lists are appended, mappings merged, else text."""
        result = Value(None)
        for node in program:
            value = self._run(node)
            if result.json is None:
                merged = value.json
            elif isinstance(result.json, list) and isinstance(value.json, list):
                merged = result.json + value.json
            elif isinstance(result.json, dict) and isinstance(value.json, dict):
                merged = {**result.json, **value.json}
            else:
                merged = self._joined("+", self._as_text(result.json), self._as_text(value.json))
            if merged is not value.json:
                self.budget.spend_on(merged)
            result = Value(merged, result.secret or value.secret)
        return result

    def _run(self, node: Node | None) -> Value:
        """The value of a node; nothing is an empty text."""
        self.budget.spend()
        match node:
            case None:
                return Value("")
            case Literal(value):
                return Value(value)
            case Chain(first, rest):
                return self._chain(first, rest)
            case Signed(signs, operand):
                return self._signed(signs, operand)
            case Bracketed(brackets, inner):
                with self._deeper():
                    inside = self._run(inner)
                return Value(f"{brackets[0]}{self._as_text(inside.json)}{brackets[1]}", inside.secret)
            case Call():
                with self._deeper():
                    return self._call(node)

    def _chain(self, first: Node | None, rest: tuple[tuple[str, Node | None], ...]) -> Value:
        with self._deeper():
            result = self._run(first)
            for operator, operand in rest:
                value = self._run(operand)
                result = Value(self._joined(operator, result.json, value.json), result.secret or value.secret)
        return result

    def _signed(self, signs: str, operand: Node | None) -> Value:
        """Signs, from the innermost. A sign before nothing is nothing; a minus before text is a dash."""
        value = self._run(operand)
        json = value.json
        for sign in reversed(signs if operand is not None else signs[:-1]):
            self.budget.spend()
            if sign == "-":
                json = 0 - json if number_of(json) is not None else f"-{self._as_text(json)}"
        return Value(json, value.secret)

    def _call(self, call: Call) -> Value:
        if call.name == "if":
            condition = self._run(call.arguments[0])
            branch = self._run(call.arguments[1 if self._as_text(condition.json) == "true" else 2])
            return Value(branch.json, condition.secret or branch.secret)
        arguments = [self._run(argument) for argument in call.arguments]
        for argument in arguments:
            self.budget.spend_on(argument.json)
        value = FUNCTIONS[call.name](self, arguments)
        if isinstance(value.json, str):
            self.budget.spend_on(value.json)
        return Value(value.json, value.secret or any(argument.secret for argument in arguments))

    def _joined(self, operator: str, left: Json, right: Json) -> Json:
        for operand in (left, right):
            if isinstance(operand, dict | list):
                self.budget.spend_on(operand)
        result = joined(operator, left, right)
        if isinstance(result, str):
            self.budget.spend_on(result)
        return result

    def _as_text(self, json: Json) -> str:
        if isinstance(json, dict | list):
            self.budget.spend_on(json)
        return text_of(json)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > DEPTH:
            raise ExpressionError(f"values that ask for values are nested more than {DEPTH} deep")
        yield
        self._depth -= 1


class _Circular(ExpressionError):
    """A reference that leads back to itself. Its message shows the whole way."""
