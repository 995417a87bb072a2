"""What the functions of Symphony expressions do.

Law of the module: a function is given its arguments evaluated (but `$if`, which chooses one) and may ask the scope, by way of the
evaluation that runs it. What it makes of secret arguments is secret: the evaluation sees to that. Messages begin with the call and
show names that the author wrote, never a secret.

Differences from upstream, all where it answers with Go's notation or gives up: mappings and lists as text are JSON; infinities are no
numbers; keys of an empty collection are missing like any other.

Source: docs/symphony-book/concepts/unified-object-model/property-expressions.md and parser.go of eclipse-symphony/symphony.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.core.problem import SHOWN_CHARACTERS, did_you_mean

from .paths import find_json_path
from .values import ExpressionError, Json, Value, as_boolean, as_number, json_of, parsed, same, shown, text_of

if TYPE_CHECKING:
    from .expressions import Evaluation

QUESTION_STEPS: Final = 200  # what asking for a catalog or a Secret costs
NEAR: Final = 100  # keys among which a misspelt one is looked for

Arguments: TypeAlias = Sequence[Value]
Function: TypeAlias = "Callable[[Evaluation, Arguments], Value]"


def _input(evaluation: Evaluation, arguments: Arguments) -> Value:
    return _read(evaluation, "input", evaluation.scope.inputs, arguments[0], outside=True)


def _property(evaluation: Evaluation, arguments: Arguments) -> Value:
    return _read(evaluation, "property", evaluation.scope.properties, arguments[0])


def _param(evaluation: Evaluation, arguments: Arguments) -> Value:
    key = text_of(arguments[0].json)
    return evaluation.marked(("param", key), _entry("param", evaluation.scope.parameters, key, arguments[0], what="parameter"))


def _output(evaluation: Evaluation, arguments: Arguments) -> Value:
    """Nothing has run yet on the first visit of a stage that reads its own output: that is an empty text, not an error."""
    if not evaluation.scope.outputs:
        return Value("")
    stage = text_of(arguments[0].json)
    outputs = _entry("output", evaluation.scope.outputs, stage, arguments[0], what="stage")
    key = text_of(arguments[1].json)
    found = _entry("output", outputs, key, arguments[1], of=f" of stage {shown(arguments[0])}")
    return evaluation.again(("output", stage, key), found, shown_as=arguments, outside=True)


def _trigger(evaluation: Evaluation, arguments: Arguments) -> Value:
    key = text_of(arguments[0].json)
    if key not in evaluation.scope.trigger:
        return arguments[1]
    return evaluation.again(("trigger", key), evaluation.scope.trigger[key], shown_as=arguments[:1])


def _read(
    evaluation: Evaluation, name: str, collection: Mapping[str, Json], argument: Value, *, outside: bool = False
) -> Value:
    key = text_of(argument.json)
    found = _entry(name, collection, key, argument)
    return evaluation.again((name, key), found, shown_as=(argument,), outside=outside)


def _entry(name: str, collection: Mapping[str, Json], key: str, asked: Value, what: str = "", of: str = "") -> Json:
    if key not in collection:
        near = "" if asked.secret else did_you_mean(key, [each for each in islice(collection, NEAR) if len(each) <= SHOWN_CHARACTERS])
        raise ExpressionError(f"${name}: there is no {what or name} {shown(asked)}{of}{near}")
    return collection[key]


def _instance(evaluation: Evaluation, arguments: Arguments) -> Value:  # noqa: ARG001 - the signature of all functions
    if not evaluation.scope.instance:
        raise ExpressionError("$instance: there is no instance here")
    return Value(evaluation.scope.instance)


def _config(evaluation: Evaluation, arguments: Arguments) -> Value:
    config = evaluation.scope.config
    if config is None:
        raise ExpressionError("$config: there are no catalogs here")
    name, key, *overrides = [text_of(argument.json) for argument in arguments]
    reference = ("config", name, key, *overrides)
    evaluation.budget.spend(QUESTION_STEPS)
    with evaluation.asking(reference, shown_as=arguments):
        found = config(name, key, tuple(overrides))
        return evaluation.within(found)


def _secret(evaluation: Evaluation, arguments: Arguments) -> Value:
    secret = evaluation.scope.secret
    if secret is None:
        raise ExpressionError("$secret: there are no secrets here")
    if evaluation.outside:
        raise ExpressionError("$secret: a value that an input or an output brought may not ask for a secret")
    name, key = (text_of(argument.json) for argument in arguments)
    evaluation.budget.spend(QUESTION_STEPS)
    with evaluation.asking(("secret", name, key), shown_as=arguments):
        return Value(secret(name, key), secret=True)


def _value(evaluation: Evaluation, arguments: Arguments) -> Value:
    """`$val` and `$context`: the whole value, a key of it, or what a path leads to."""
    value = evaluation.marked(("val",), evaluation.scope.value)
    if not arguments:
        return value
    path = text_of(arguments[0].json)
    if path.startswith(("$", "{$")):
        return Value(_at(evaluation, "val", value, arguments[0]), value.secret)
    if not isinstance(value.json, dict):
        raise ExpressionError(f"$val: the value has no keys, so there is none called {shown(arguments[0])}")
    return Value(_entry("val", value.json, path, arguments[0], what="key"), value.secret)


def _json_path(evaluation: Evaluation, arguments: Arguments) -> Value:
    source = arguments[0]
    if isinstance(source.json, str):
        try:
            source = Value(parsed(source.json), source.secret)
        except ExpressionError as error:
            raise ExpressionError(f"$jsonpath: {error.message}") from None
        evaluation.budget.spend_on(source.json)
    return Value(_at(evaluation, "jsonpath", source, arguments[1]))


def _at(evaluation: Evaluation, name: str, source: Value, path: Value) -> Json:
    """What a path leads to: one value as it is, several as a list.

    A filter is for lists; at the root of a mapping it is asked of a list with nothing but that mapping (upstream's second try).
    """
    try:
        found = find_json_path(source.json, text_of(path.json), evaluation.budget)
        if not found and not isinstance(source.json, list):
            found = find_json_path([source.json], text_of(path.json), evaluation.budget)
    except ExpressionError as error:
        raise ExpressionError(f"${name}: {shown(path)}: {error.message}") from None
    if not found:
        raise ExpressionError(f"${name}: nothing is at {shown(path)}")
    return found[0] if len(found) == 1 else found


def _equal(_: Evaluation, arguments: Arguments) -> Value:
    return Value(same(arguments[0].json, arguments[1].json))


def _in(_: Evaluation, arguments: Arguments) -> Value:
    return Value(any(same(arguments[0].json, each.json) for each in arguments[1:]))


def _between(_: Evaluation, arguments: Arguments) -> Value:
    value, low, high = (_number("between", argument) for argument in arguments)
    return Value(low <= value <= high)


def _comparing(name: str, compare: Callable[[float, float], bool]) -> Function:
    def function(_: Evaluation, arguments: Arguments) -> Value:
        return Value(compare(_number(name, arguments[0]), _number(name, arguments[1])))

    return function


def _number(name: str, argument: Value) -> float:
    number = as_number(argument.json)
    if number is None:
        raise ExpressionError(f"${name}: {shown(argument)} is no number")
    return number


def _deciding(name: str, decide: Callable[[list[bool]], bool]) -> Function:
    def function(_: Evaluation, arguments: Arguments) -> Value:
        return Value(decide([_boolean(name, argument) for argument in arguments]))

    return function


def _boolean(name: str, argument: Value) -> bool:
    boolean = as_boolean(argument.json)
    if boolean is None:
        raise ExpressionError(f"${name}: {shown(argument)} is neither true nor false")
    return boolean


def _json(_: Evaluation, arguments: Arguments) -> Value:
    return Value(json_of(arguments[0].json))


def _str(_: Evaluation, arguments: Arguments) -> Value:
    return Value(text_of(arguments[0].json))


def _base64_encode(_: Evaluation, arguments: Arguments) -> Value:
    try:
        return Value(base64.b64encode(text_of(arguments[0].json).encode()).decode())
    except UnicodeEncodeError:
        raise ExpressionError("$base64encode: the text cannot be written as UTF-8") from None


def _base64_decode(_: Evaluation, arguments: Arguments) -> Value:
    try:
        return Value(base64.b64decode(text_of(arguments[0].json).encode(), validate=True).decode())
    except (binascii.Error, UnicodeError):
        raise ExpressionError(f"$base64decode: {shown(arguments[0])} is no base64 of a text") from None


FUNCTIONS: Final[Mapping[str, Function]] = {
    "and": _deciding("and", all),
    "base64decode": _base64_decode,
    "base64encode": _base64_encode,
    "between": _between,
    "config": _config,
    "context": _value,
    "equal": _equal,
    "ge": _comparing("ge", lambda left, right: left >= right),
    "gt": _comparing("gt", lambda left, right: left > right),
    "in": _in,
    "input": _input,
    "instance": _instance,
    "json": _json,
    "jsonpath": _json_path,
    "le": _comparing("le", lambda left, right: left <= right),
    "lt": _comparing("lt", lambda left, right: left < right),
    "not": _deciding("not", lambda values: not values[0]),
    "or": _deciding("or", any),
    "output": _output,
    "param": _param,
    "property": _property,
    "secret": _secret,
    "str": _str,
    "trigger": _trigger,
    "val": _value,
}
"""Every function but `$if`."""
