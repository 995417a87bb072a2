"""Regular expressions in linear time: what they mean is what Python's own mean, and what they cost is counted."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.kinds.symphony.regular import NESTING, PATTERN_CHARACTERS, STATES, Pattern
from reconciler.kinds.symphony.values import Budget, ExpressionError


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        ("abc", ["abc", "xabcx"], ["ab", "ABC", ""]),
        ("", ["", "a"], []),
        ("^abc$", ["abc"], ["xabc", "abcx"]),
        (r"\Aabc\z", ["abc"], ["xabc", "abcx"]),
        ("^a.c$", ["abc", "a.c"], ["a\nc", "ac"]),
        ("^a|b$", ["ax", "xb"], ["xa", "bx"]),
        ("^(a|b|)c$", ["ac", "bc", "c"], ["abc"]),
        ("^(?:ab)+$", ["ab", "abab"], ["", "aba"]),
        ("^(?P<name>ab){2,3}$", ["abab", "ababab"], ["ab", "abababab"]),
        ("^a{2}$", ["aa"], ["a", "aaa"]),
        ("^a{2,}$", ["aa", "aaaa"], ["a"]),
        ("^a{0,1}b?$", ["", "a", "b", "ab"], ["aa"]),
        ("^a{,2}$", ["a{,2}"], ["aa"]),
        ("^a*?b+?c??$", ["b", "aabbc"], ["a"]),
        ("^[a-c_-]+$", ["abc_-"], ["d", ""]),
        ("^[^a-c]$", ["d", "\n"], ["a"]),
        ("^[]x]+$", ["]x"], ["[", "a"]),
        ("^[^]x]$", ["a"], ["]", "x"]),
        (r"^[\d\w\s.\]\\]+$", ["a1 .]\\"], ["-"]),
        (r"^\d+\.\d+$", ["1.20"], ["1x20", "١.٢"]),
        (r"^\D\W\S$", ["a-b"], ["1-b", "aab", "a- "]),
        (r"^\t\n\r\f\v$", ["\t\n\r\f\v"], []),
        (r"^\(\)\[\]\{\}\*\+\?\|\^\$\\\/\-$", ["()[]{}*+?|^$\\/-"], []),
        ("(?i)^aB[c-d]$", ["ABC", "abd"], ["abe"]),
        ("(?i)^[^a]$", ["b"], ["a", "A"]),
        ("(a*)*$", ["", "b"], []),
        ("^((a?){3}){3}$", ["", "aaaaaaaaa"], ["aaaaaaaaaa"]),
        ("^(){1000}$", [""], ["a"]),
        ("^(((((){1000}){1000}){1000}){1000}){1000}$", [""], ["a"]),
    ],
)
def test_pattern(pattern, found, not_found):
    compiled = Pattern(pattern)
    assert [text for text in found if not compiled.found_in(text, Budget())] == []
    assert [text for text in not_found if compiled.found_in(text, Budget())] == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "the pattern never closes a ("),
        (")", "the pattern closes a ) that was never opened"),
        ("a)", "the pattern closes a ) that was never opened"),
        ("[a", "the pattern never closes a ["),
        ("[]", "the pattern never closes a ["),
        ("[z-a]", "the pattern has the range z-a, which is the wrong way round"),
        ("[[:alpha:]]", "the pattern has a named class, which is not understood, at character 2"),
        (r"[\D]", "the pattern has a negated class in [ ], at character 2"),
        ("*", "the pattern repeats nothing, at character 1"),
        ("a|+", "the pattern repeats nothing, at character 3"),
        ("a**", "the pattern repeats a repetition, at character 3"),
        ("a{2}*", "the pattern repeats a repetition, at character 5"),
        ("a{3,2}", "the pattern repeats {3,2}: at most 1000 times, the smaller number first"),
        ("a{1001}", "the pattern repeats {1001}: at most 1000 times, the smaller number first"),
        (r"\b", "the pattern has \\b, which is not understood, at character 1"),
        (r"\1", "the pattern has \\1, which is not understood, at character 1"),
        (r"a\p{L}", "the pattern has \\p, which is not understood, at character 2"),
        ("\\", "the pattern has \\, which is not understood, at character 1"),
        ("(?=a)", "the pattern has a group of a kind that is not understood, at character 1"),
        ("a(?i)b", "the pattern has a group of a kind that is not understood, at character 2"),
        ("(" * (NESTING + 1), f"the pattern is nested more than {NESTING} deep"),
        ("a" * (PATTERN_CHARACTERS + 1), f"the pattern has more than {PATTERN_CHARACTERS} characters"),
        ("(a{100}){100}", f"the pattern has more than {STATES} states"),
        ("((a{0,1000}){0,1000}){0,1000}", f"the pattern has more than {STATES} states"),
    ],
)
def test_pattern_that_cannot_be_read(pattern, message):
    with pytest.raises(ExpressionError) as error:
        Pattern(pattern)
    assert str(error.value) == message


def test_what_makes_others_hang_takes_steps_in_proportion():
    for pattern in ("^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "(.*)(.*)(.*)(.*)x$"):
        assert Pattern(pattern).found_in("a" * 2_000 + "!", Budget()) is False
    with pytest.raises(ExpressionError, match="too much work"):
        Pattern("(a?){500}$").found_in("a" * 10_000, Budget())


_PARTS = st.recursive(
    st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", "^", "$"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?"])).map(lambda both: f"({both[0]}){both[1]}"),
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(pattern=_PARTS, text=st.text(alphabet="abc1\n", max_size=6))
def test_patterns_mean_what_python_says(pattern, text):
    # Python's `$` also stands before a last newline; Go's does not.
    expected = re.search(pattern.replace("$", r"\Z"), text, re.ASCII) is not None
    assert Pattern(pattern).found_in(text, Budget()) is expected


@settings(max_examples=150, deadline=None)
@given(pattern=st.text(alphabet="ab()[]{}*+?|^$\\.-,1:i<>P=d", max_size=14), text=st.text(alphabet="ab", max_size=4))
def test_any_text_is_a_pattern_or_refused(pattern, text):
    try:
        assert Pattern(pattern).found_in(text, Budget()) in (True, False)
    except ExpressionError as error:
        assert str(error).isprintable()
