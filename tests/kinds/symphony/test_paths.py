"""JSONPath and jq paths: what is understood as YAML cases, and that nothing else is raised for any text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.kinds.symphony.paths import PATH_CHARACTERS, find_jq, find_json_path
from reconciler.kinds.symphony.values import Budget, ExpressionError

DATA = yaml.safe_load((Path(__file__).parent / "cases" / "paths.yaml").read_text(encoding="utf-8"))
FIND = {"json_path": find_json_path, "jq": find_jq}
CASES = [pytest.param(kind, path, found, id=f"{kind}: {path!a}") for kind in FIND for path, found in DATA[kind]]


@pytest.mark.parametrize(("kind", "path", "found"), CASES)
def test_case(kind, path, found):
    if isinstance(found, dict):
        with pytest.raises(ExpressionError) as error:
            FIND[kind](DATA["value"], path, Budget())
        assert str(error.value) == found["error"]
    else:
        assert FIND[kind](DATA["value"], path, Budget()) == [DATA["value"] if each == "value" else each for each in found]


def test_a_path_that_visits_too_much_is_ended():
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ExpressionError, match="too much work"):
        find_json_path(deep, "$..*..*..*..*", Budget())
    with pytest.raises(ExpressionError, match="too much work"):
        find_json_path([[1] * 1_000], "$[?(@[*]>@[*])]", Budget())
    with pytest.raises(ExpressionError, match="too much work"):
        find_json_path(deep, "$" + "[0,0]" * 20, Budget())


def test_a_path_has_a_length():
    with pytest.raises(ExpressionError, match="more than 1024 characters"):
        find_jq({}, "." + "a" * PATH_CHARACTERS, Budget())


_WORDS = [*"$@.*[]{}()?'\"\\,:=<>! -", "..", "[?(", ")]", "[0]", "['a']", "==", "a", "b", "1"]
PATHS = st.lists(st.sampled_from(_WORDS), max_size=14).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(path=PATHS | st.text(max_size=12), value=VALUES)
def test_any_text_leads_somewhere_or_is_refused(path, value):
    for find in FIND.values():
        try:
            found = find(value, path, Budget())
        except ExpressionError:
            continue
        assert isinstance(found, list)
