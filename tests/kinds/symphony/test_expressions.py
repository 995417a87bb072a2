"""The expression language: every row of the language as YAML cases, and its promises for any text as properties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.core.view import NotYet
from reconciler.kinds.symphony import grammar
from reconciler.kinds.symphony.catalogs import Catalog, config_from
from reconciler.kinds.symphony.expressions import (
    DEPTH,
    ERRORS,
    Evaluation,
    ExpressionError,
    Scope,
    compile,
    evaluate,
    evaluate_all,
    unreadable,
)
from reconciler.kinds.symphony.functions import FUNCTIONS, QUESTION_STEPS
from reconciler.kinds.symphony.values import MESSAGE_CHARACTERS, STEPS, STEPS_PER_CHARACTER, VALUE_DEPTH, Budget, Value

CASES = Path(__file__).parent / "cases"
FILES = ("text", "operators", "functions", "nothing", "catalogs")


def _scope(data: dict[str, Any]) -> Scope:
    fields = dict(data)
    catalogs = {name: Catalog(each["properties"], each.get("parent", "")) for name, each in fields.pop("catalogs", {}).items()}
    if catalogs:
        fields["config"] = config_from(catalogs.get)
    if fields.get("config") == "mock":
        fields["config"] = lambda name, key, overrides: "::".join((name, key, *overrides))
    if fields.get("secret") == "mock":
        fields["secret"] = lambda name, key: f"{name}>>{key}"
    return Scope(**fields)


def _cases() -> list[Any]:
    found = []
    for name in FILES:
        file = yaml.safe_load((CASES / f"{name}.yaml").read_text(encoding="utf-8"))
        scope = _scope(file.get("scope", {}))
        found += [pytest.param(text, expected, scope, id=f"{name}: {text[:60]!a}") for text, expected in file["cases"]]
    return found


def test_there_are_cases_for_the_whole_language():
    texts = [case.values[0] for case in _cases()]
    assert len(texts) >= 250
    for function in grammar.SIGNATURES:
        assert sum(f"${function}(" in text for text in texts) >= 3, function


def test_every_function_that_may_be_called_is_there():
    assert sorted([*FUNCTIONS, "if"]) == sorted(grammar.SIGNATURES)


@pytest.mark.parametrize(("text", "expected", "scope"), _cases())
def test_case(text, expected, scope):
    if isinstance(expected, dict) and "error" in expected:
        with pytest.raises(ExpressionError) as error:
            evaluate(text, scope)
        assert str(error.value) == expected["error"]
        return
    secret = isinstance(expected, dict) and expected.get("secret", False)
    value = expected["value"] if isinstance(expected, dict) else expected
    found = evaluate(text, scope)
    assert (found, type(found.json)) == (Value(value, secret), type(value))


def test_what_is_passed_over_is_told():
    assert compile("${{abc def}}").dropped == ("def",)
    assert compile("${{a@b}} ${{1 ) ,2}}").dropped == ("@", ")", ",", "2")
    assert compile("${{$config(a,b)$$config(c,d)}} and ${{1+2}}").dropped == ()


def test_a_text_read_once_is_evaluated_in_any_scope():
    expression = compile("${{$property(n)}}!")
    assert [evaluate(expression, Scope(properties={"n": n})).json for n in ("a", "b")] == ["a!", "b!"]


def test_before_the_wrapper_a_call_was_enough():
    scope = Scope(inputs={"a": 1}, bare=True)
    assert evaluate("$input(a)", scope).json == 1
    assert evaluate("$input(a)+1", scope).json == 2
    assert [evaluate(text, scope).json for text in ("/$input(a)", "$2", "$nope(a)", "$.a[*]")] == ["/$input(a)", "$2", "$nope(a)", "$.a[*]"]
    assert evaluate_all({"a": "$input(a)", "b": "$.x"}, scope).json == {"a": 1, "b": "$.x"}


def test_a_tree_is_evaluated_string_by_string():
    scope = Scope(parameters={"image": "nginx"}, instance="i", secret=lambda name, key: f"{name}>>{key}")
    tree = {
        "container.image": "${{$param(image)}}:1.2",
        "ports": '[{"containerPort": "${{8080+1}}", "name": "n${{1}}"}]',
        "raw": '[{"containerPort": ${{8080+1}}}]',
        "json": '{"a": 1.10}',
        "${{1+2}}": ["${{$instance()}}", 1, None, True, {"p": "x${{$secret(db, pw)}}"}],
        "secret": '{"p": "${{$secret(db, pw)}}"}',
    }
    found = evaluate_all(tree, scope)
    assert found.json == {
        "container.image": "nginx:1.2",
        "ports": '[{"containerPort":8081,"name":"n1"}]',
        "raw": '[{"containerPort": 8081}]',
        "json": '{"a": 1.10}',
        "${{1+2}}": ["i", 1, None, True, {"p": "xdb>>pw"}],
        "secret": '{"p":"db>>pw"}',
    }
    assert found.secrets == (("${{1+2}}", 4, "p"), ("secret",))
    assert found.errors == ()


def test_a_tree_tells_every_string_that_has_no_value():
    tree = {"a": ["${{1}}", "${{$nope()}}"], "b": "${{$input(x)}}", "c": '{"d": ["${{$input(y)}}"]}'}
    found = evaluate_all(tree, Scope())
    assert [str(error) for error in found.errors] == [
        "a[1]: there is no function $nope",
        'b: $input: there is no input "x"',
        'c: d[0]: $input: there is no input "y"',
    ]
    assert found.json == {**tree, "a": [1, "${{$nope()}}"]}


def test_a_tree_with_many_errors_tells_the_first():
    assert len(evaluate_all(["${{$nope()}}"] * 1_000, Scope()).errors) == ERRORS


def test_what_is_not_known_yet_passes_through():
    def ask(*_: object) -> str:
        raise NotYet

    for text in ("${{$config(a,b)}}", "${{$if($equal(1,1), $secret(a,b), 2)}}"):
        with pytest.raises(NotYet):
            evaluate(text, Scope(config=ask, secret=ask))
        with pytest.raises(NotYet):
            evaluate_all({"a": [text]}, Scope(config=ask, secret=ask))


def test_values_that_a_scope_calls_secret_are():
    secrets = frozenset({("input", "a"), ("output", "s", "k"), ("val",)})
    scope = Scope(inputs={"a": 1, "b": 2}, outputs={"s": {"k": 3}}, value={"x": 1}, secrets=secrets)
    texts = ("${{$input(a)}}", "${{$input(b)}}", "${{$output(s,k)}}", "${{$val(x)}}", "${{$val('$.x')}}", "${{$val()}}")
    assert [evaluate(text, scope).secret for text in texts] == [True, False, True, True, True, True]


def test_an_output_cannot_reach_a_secret_through_a_catalog():
    catalogs = {"c": Catalog({"k": "${{$secret(db, pw)}}"})}
    scope = Scope(outputs={"s": {"body": "${{$config(c, k)}}"}}, config=config_from(catalogs.get), secret=lambda *_: "hunter2")
    assert evaluate("${{$config(c, k)}}", scope) == Value("hunter2", True)
    with pytest.raises(ExpressionError, match="may not ask for a secret"):
        evaluate("${{$output(s, body)}}", scope)
    # and trust comes back once the output has been read
    scope = Scope(outputs={"s": {"body": "${{1+2}}"}}, secret=lambda *_: "hunter2")
    assert evaluate("${{$output(s, body)+$secret(a, b)}}", scope) == Value("3hunter2", True)


def test_a_message_is_short_and_on_one_line():
    scope = Scope(config=lambda name, key, overrides: f"${{{{$config('{name}{key}', 'k\n')}}}}")
    with pytest.raises(ExpressionError) as error:
        evaluate("${{$config(a, b)}}", scope)
    assert len(str(error.value)) <= MESSAGE_CHARACTERS + 3
    assert str(error.value).isprintable()


def test_values_have_limits():
    deep: Any = 1
    for _ in range(VALUE_DEPTH + 1):
        deep = [deep]
    scope = Scope(inputs={"deep": deep, "long": "a" * 600_000, "large": 10**25, "larger": 10**6_000})
    for text in ("a${{$input(deep)}}", "${{$json($input(deep))}}", "${{$input(deep)+a}}", "${{[$input(deep)]}}"):
        with pytest.raises(ExpressionError, match="a value is nested more than 200 deep"):
            evaluate(text, scope)
    assert [str(error)[-40:] for error in evaluate_all(deep, scope).errors] == ["[0][0]: a value is nested more than 200 deep"[-40:]]
    for text in ("${{$input(long)+$input(long)}}", "${{$input(long)}}${{$input(long)}}"):
        with pytest.raises(ExpressionError, match="a value has more than 1048576 characters"):
            evaluate(text, scope)
    assert evaluate("${{$input(large)+1}}", scope).json == f"{10**25}1"
    with pytest.raises(ExpressionError, match="a value cannot be written as JSON"):
        evaluate("${{$input(larger)+1}}", scope)


def test_depth_is_of_what_stands_in_another_not_of_what_stands_beside_it():
    assert evaluate("${{$in(2" + ",$str(1)" * (2 * DEPTH) + ",(2))}}", Scope()).json is True
    scope = Scope(inputs={"a": "${{1+2}}"})
    assert evaluate("${{$in(2" + ",$input(a)" * (2 * DEPTH) + ",2)}}", scope).json is True


def test_questions_are_counted():
    asked = []

    def config(*question: object) -> str:
        asked.append(question)
        return "v"

    text = f"${{{{{'$config(a,b)+' * 1_000}1}}}}" * 2
    with pytest.raises(ExpressionError, match="too much work"):
        evaluate(text, Scope(config=config))
    assert len(asked) <= (STEPS + STEPS_PER_CHARACTER * len(text)) // QUESTION_STEPS


def test_a_name_that_a_secret_chose_is_not_compared_with_others():
    scope = Scope(properties={"hunter22": "x"}, secret=lambda *_: "hunter2", config=config_from({"hunter22": Catalog({})}.get))
    for text in ("${{$property($secret(a,b))}}", "${{$config($secret(a,b), x)}}", "${{$config(hunter22, $secret(a,b))}}"):
        with pytest.raises(ExpressionError) as error:
            evaluate(text, scope)
        assert "did you mean" not in str(error.value)
        assert "hunter2" not in str(error.value).replace("hunter22", "")


def test_a_line_of_parents_has_an_end():
    catalogs = {str(n): Catalog({"last": n} if n == 40 else {}, str(n + 1) if n < 40 else "") for n in range(41)}
    scope = Scope(config=config_from(catalogs.get))
    assert evaluate("${{$config('20', last)}}", scope).json == 40
    with pytest.raises(ExpressionError, match="32 parents or more, one above the other"):
        evaluate("${{$config('1', last)}}", scope)


HOSTILE = [
    "${{" + "(" * 10_000 + "}}",
    "${{" + "$str(" * 3_000 + "1" + ")" * 3_000 + "}}",
    "${{" + "[" * 16_000 + "}}",
    "${{" + "-" * 16_000 + "1}}",
    "${{" + "+".join(["a"] * 8_000) + "}}",
    "${{" + "$val()+" * 2_000 + "1}}",
    "${{" + "a " * 8_000 + "}}",
    "${{$val('$" + "[?(@" * 250 + "')}}",
    "${{$val('$" + "..*" * 300 + "')}}",
    "${{$json($val())}}" * 2_000,
    "${{'}} ${{\"}} " * 5_000,
    "${{'" + "\\'" * 20_000,
    "${{" * 20_000,
    "${{9223372036854775807" + "*9223372036854775807" * 500 + "}}",
    "${{$base64encode(" * 20 + "$val()" + ")" * 20 + "}}",
    "${{$config(a, b)}}",
    "${{$config(a, b)$$config(c, d)}}" * 100,
    "${{$input(deep)}}${{$json($input(deep))}}",
    "${{$input(huge)+1}}",
    "${{$str($input(huge))}}",
    "${{$equal($input(huge), $input(nan))}}",
    "${{$json($input(nan))}}",
    "${{$base64encode($input(surrogate))}}",
    "${{$jsonpath($input(brackets), '$')}}",
    "${{$jsonpath($input(digits), '$')}}",
]


def _hostile_scope() -> Scope:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    tree = [{"a": n, "b": [1, 2, 3]} for n in range(2_000)]
    inputs = {
        "deep": deep,
        "huge": 10**6_000,
        "nan": float("nan"),
        "surrogate": "\ud800",
        "brackets": "[" * 100_000,
        "digits": "1" * 10_000,
    }
    return Scope(value=tree, inputs=inputs, config=lambda name, key, _: [f"${{{{$config({name}x, {key})}}}}"], secret=lambda *_: "s")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:40]))
def test_hostile_texts_are_bounded(text):
    """Steps are counted, not seconds: a budget that is spent ends the evaluation."""
    budget = _Counting(len(text))
    try:
        Evaluation(_hostile_scope(), budget).text(text)
    except ExpressionError as error:
        assert len(str(error)) <= MESSAGE_CHARACTERS + 3
    assert budget.spent <= STEPS + 2 * len(text) + 20_000  # what is looked at in one go is counted once it has been


class _Counting(Budget):
    """A budget that tells what was taken."""

    spent = 0

    def spend(self, steps: int = 1) -> None:
        self.spent += steps
        super().spend(steps)


def test_what_asks_for_ever_is_told_before_the_stack_ends():
    with pytest.raises(ExpressionError, match=f"more than {DEPTH} deep"):
        evaluate("${{$config(a, b)}}", _hostile_scope())


_WORDS = [*"$()[]{}+-*/\\,.:?=&~'\"` @\n", "${{", "}}", "1", "12", "abc", "'a b'", "$$"]
_WORDS += ["$config(a,b)", "$config(missing,b)", "$secret(a,b)", "$val()", "$input(a)"]
_WORDS += [f"${name}(" for name in grammar.SIGNATURES]
TEXTS = st.lists(st.sampled_from(_WORDS), max_size=24).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
WRAPPED = TEXTS.map(lambda inner: f"${{{{{inner}}}}}")
HIDDEN = "hunter2-hunter2"


def _outcome(text: str, scope: Scope) -> Any:
    """The value or the error; anything else that is raised fails the test."""
    try:
        found = evaluate(text, scope)
    except ExpressionError as error:
        return str(error)
    return repr(found)


def _asked(name: str, key: str, _: object) -> Any:
    if name not in ("abc", "a", "1"):
        raise ExpressionError(f"there is no catalog {name}")
    return {"list": [f"${{{{$input({key})}}}}", 1], "k": "v"}


@settings(max_examples=250, deadline=None)
@given(text=WRAPPED | TEXTS | st.text(), value=JSON, inputs=st.dictionaries(st.sampled_from("ab"), JSON))
@example(text="${{$input(a)}}", value=None, inputs={"a": "${{$input(b)}}", "b": "${{$input(a)}}"})
def test_nothing_but_an_expression_error_is_raised_and_the_answer_is_always_the_same(text, value, inputs):
    scope = Scope(value=value, inputs=inputs, outputs={"s": inputs}, trigger=inputs, config=_asked, secret=lambda *_: HIDDEN)
    first = _outcome(text, scope)
    assert _outcome(text, scope) == first
    if not first.startswith("Value("):
        assert HIDDEN not in first
        assert first.isprintable()


@given(text=st.text())
@example(text="$${ {a}}")
def test_a_text_without_a_wrapper_is_its_own_value(text):
    if "${{" not in text:
        assert evaluate(text, Scope()) == Value(text)


@settings(max_examples=100, deadline=None)
@given(text=WRAPPED)
def test_what_holds_a_secret_is_marked(text):
    """Wherever the secret's text is to be seen in a value, the value is marked; also where it was encoded."""
    scope = Scope(value=1, inputs={"a": 1}, config=lambda *_: "${{$secret(a,b)}}", secret=lambda *_: HIDDEN)
    try:
        found = evaluate(text, scope)
    except ExpressionError:
        return
    if HIDDEN in repr(found.json) or "aHVudGVyMi1odW50ZXIy" in repr(found.json):
        assert found.secret


@settings(max_examples=100, deadline=None)
@given(text=WRAPPED | TEXTS | st.text(), value=JSON)
@example(text='{"a": "${{$str(}}"}', value=1)
@example(text='{"a": "${{$str(1)}}", "b": "{\\"c\\": \\"${{$no()}}\\"}"}', value=1)
def test_what_can_never_be_evaluated_is_not_in_any_scope(text, value):
    found = [one.path for one in unreadable([text])]
    for scope in (_hostile_scope(), Scope(value=value)):
        assert not found or [one.path for one in evaluate_all([text], scope).errors] == found


@given(tree=JSON)
def test_a_tree_keeps_its_shape(tree):
    """Mappings keep their keys and their order, lists their length; what is no string is as it was."""

    def same_shape(before: Any, after: Any) -> bool:
        if isinstance(before, dict):
            return list(before) == list(after) and all(same_shape(before[key], after[key]) for key in before)
        if isinstance(before, list):
            return len(before) == len(after) and all(map(same_shape, before, after))
        return isinstance(before, str) or before is after

    assert same_shape(tree, evaluate_all(tree, Scope(value=1)).json)


@given(left=st.integers(-(2**63), 2**63 - 1), right=st.integers(-(2**63), 2**63 - 1))
def test_integers_are_exact_and_what_does_not_fit_is_a_decimal(left, right):
    scope = Scope(inputs={"a": left, "b": right})
    for sign, exact in (("+", left + right), ("-", left - right), ("*", left * right)):
        found = evaluate(f"${{{{$input(a){sign}$input(b)}}}}", scope).json
        assert (found, type(found)) == ((exact, int) if -(2**63) <= exact < 2**63 else (float(exact), float))
