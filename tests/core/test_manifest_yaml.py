"""YAML is read as kubectl reads it, and nothing that anybody commits ends the process.

cases/yaml/kubectl.json and scalars.json hold what kubectl 1.36 answered (`kubectl label --local -f - -o json x=y`, the case below
`apiVersion`, `kind` and `metadata`; whole numbers beyond 64 bits are doubles there). Where we differ on purpose, the row says why.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import yaml as reader
from reconciler.core.events import FILE_BYTES, PARSER, MakeParser, PureParser
from reconciler.core.places import locate
from reconciler.core.yaml import ALIASES, DEPTH, DOCUMENTS, FAULTS, NODES, Fault, Loaded, load

CASES = Path(__file__).parent / "cases" / "yaml"
PARSERS = {"libyaml": PARSER, "pure": PureParser}
TABS = ("v:\t1\n", "v: [1,\t2]\n", "v: a\tb\n")  # the parser in Python refuses these, kubectl and libyaml do not


def cases() -> list[Any]:
    rows = json.loads((CASES / "kubectl.json").read_text())
    return [pytest.param(row, id=f"{number}-{row['yaml'][:30]!r}") for number, row in enumerate(rows)]


def value(loaded: Loaded) -> Any:
    """The only value, or "refused"."""
    return "refused" if errors(loaded) else loaded.documents[0].value


def errors(loaded: Loaded) -> list[Fault]:
    return [fault for fault in loaded.faults if fault.severity == "error"]


def only_error(text: bytes | str, **how: Any) -> Fault:
    (fault,) = errors(load(text if isinstance(text, bytes) else text.encode(), **how))
    return fault


def test_libyaml_is_there() -> None:
    assert PARSER is not PureParser


@pytest.mark.parametrize("row", cases())
def test_a_value_is_what_kubectl_says(row: dict[str, Any]) -> None:
    expected = row.get("ours", row["kubectl"])
    assert ("ours" in row) == ("why" in row)
    for name, parser in PARSERS.items():
        got = value(load(b"k: 1\n" + row["yaml"].encode(), parser=parser))
        if got != "refused":
            assert got.pop("k") == 1
        elif name == "pure" and row["yaml"] in TABS:
            continue
        assert json.dumps(got, sort_keys=True) == json.dumps(expected, sort_keys=True), name


def test_a_thousand_random_scalars_are_what_kubectl_says() -> None:
    rows = json.loads((CASES / "scalars.json").read_text())
    assert len(rows) == 1200
    text = "".join(f"- {scalar}\n" for scalar, _ in rows).encode()
    for parser in PARSERS.values():
        got = value(load(text, parser=parser))
        assert [json.dumps(one) for one in got] == [json.dumps(expected) for _, expected in rows]


# -- Faults, with their places ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (b"spec:\n  replicas: 1\n  a: 2\n  replicas: 3\n", 4, 3, "key replicas stands twice (first at line 2)"),
        (b'a: {"x y": 1, "x y": 2}', 1, 15, 'key "x y" stands twice (first at line 1)'),
        (b"on: 1\n'true': 2\n", 2, 1, "key true stands twice (first at line 1)"),
        (b"a: 1\nb: [1\n", 3, 1, "did not find expected ',' or ']', while parsing a flow sequence that begins at line 2"),
        (b"a: b: c", 1, 5, "mapping values are not allowed in this context"),
        (b"a: 1\n~: 2", 2, 1, "null cannot be a key; put it in quotes"),
        (b"[a]: 2", 1, 1, "a key must be text, not a mapping or a list"),
        (b"a: *b", 1, 4, "no anchor &b stands before this alias"),
        (b"a: &b [*b]", 1, 8, "anchor &b holds itself"),
        (b"a:\n  <<: 1\n", 2, 3, "<< needs a mapping or a list of mappings"),
        (b"a: .inf", 1, 4, "infinity and NaN have no JSON form; put it in quotes for text"),
        (b"a: !!int x", 1, 4, "!!int does not fit this value"),
        (b"a: " + b"9" * 5000, 1, 4, "a number of 5000 digits; put it in quotes for text"),
        (b"%YAML 1.2\n---\na: 1", 1, 1, "a %YAML directive other than 1.1; take the line out"),
        (b"\xff\xfea\x00", 1, 1, "the file is UTF-16 or UTF-32; write it as UTF-8"),
        (b"\xef\xbb\xbfa: 1\nb: \xff", 2, 4, "not UTF-8 text from here on"),
        (b"a:\n\xef\xbb\xbfb: 1", 2, 1, "a byte order mark inside the file; take it out"),
        (b"a: 1\nb: x\x00y", 2, 5, "character U+0000 is not allowed in YAML"),
        (b"a: \xef\xbf\xbe", 1, 4, "character U+FFFE is not allowed in YAML"),
        (b"a: \xed\xa0\x80", 1, 4, "not UTF-8 text from here on"),
        (b'a: "\\ud800"', 1, 7, "found invalid Unicode character escape code"),
    ],
)
def test_a_fault_is_told_at_its_place(text: bytes, line: int, column: int, message: str) -> None:
    fault = only_error(text)
    assert (fault.line, fault.column, fault.message.split(" (first")[0]) == (line, column, message.split(" (first", maxsplit=1)[0])
    assert fault.message == message
    for parser in PARSERS.values():
        assert errors(load(text, parser=parser))


def test_several_duplicates_are_told_at_once() -> None:
    loaded = load(b"a: 1\na: 2\nb: {c: 1, c: 2}\nb: 3\n")
    assert [(fault.line, fault.column) for fault in loaded.faults] == [(2, 1), (3, 11), (4, 1)]
    many = load(b"a: 1\n" * 1000).faults
    assert (len(many), many[-1].message) == (FAULTS + 1, f"more than {FAULTS} problems, not read any further")


def test_many_warnings_hide_no_error() -> None:
    many = "".join(f"{n}.0: 1\n" for n in range(FAULTS))
    assert len(load((many + "x: 1\n").encode()).faults) == FAULTS
    assert [fault.severity for fault in load((many + "x: 1\nx: 2\n").encode()).faults][-1] == "error"


def test_a_key_that_yaml_rewrites_is_a_warning() -> None:
    loaded = load(b"on: 1\n1.10: 2\nplain: 3\n'off': 4\n")
    assert loaded.documents[0].value == {"true": 1, "1.1": 2, "plain": 3, "off": 4}
    assert [fault.message for fault in loaded.faults] == [
        'key on is read as "true"; put it in quotes',
        'key "1.10" is read as "1.1"; put it in quotes',
    ]
    assert {fault.severity for fault in loaded.faults} == {"warning"}


def test_a_merge_that_overrides_is_a_warning() -> None:
    loaded = load(b"b: &b {x: 1, z: 1}\nv:\n  x: 2\n  z: 1\n  <<: *b\n")
    assert loaded.documents[0].value["v"] == {"x": 1, "z": 1}
    assert [fault[:3] for fault in loaded.faults] == [(5, 3, "<< overrides x (line 3), which stands before it; write << first")]


def test_words_that_became_booleans_are_remembered() -> None:
    loaded = load(b"a: on\nb: [true, No, 'yes', !!bool y]\n")
    assert [(w.line, w.column, w.message) for w in loaded.words] == [(1, 4, "on"), (2, 11, "No")]


def test_documents_are_told_apart() -> None:
    loaded = load(b"# top\na: 1\n---\n---\n  b: 2\n...\n---\n- 3\n--- # end\n")
    assert [tuple(document) for document in loaded.documents] == [
        ({"a": 1}, 2, 1),
        (None, 4, 1),
        ({"b": 2}, 5, 3),
        ([3], 8, 1),
        (None, 10, 1),
    ]
    assert load(b"").documents == () == load(b"# nothing\n").documents


def test_an_anchor_ends_with_its_document() -> None:
    assert only_error("a: &x 1\n---\nb: *x\n").line == 3


# -- JSON ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ('{"a": 1,\n "a": 2}', 2, 2, "key a stands twice (first at line 1)"),
        ('{"a": NaN}', 1, 7, 'no JSON value begins with "N"'),
        ('{"a": 1e999}', 1, 7, "a number too large for a double"),
        ('{"a": 01}', 1, 8, "a comma or } must stand here"),
        ("{a: 1}", 1, 2, 'no JSON value begins with "a"'),
        ('{"a": 1,}', 1, 9, "a key in double quotes must stand here"),
        ("[1, ]", 1, 5, "a value must stand here, not ]"),
        ("[1", 1, 3, "a comma or ] must stand here"),
        ("", 1, 1, "a value must stand here, the text ends"),
        ("{} {}", 1, 4, "a second value in one JSON text"),
        ('"\\ud800"', 1, 1, "a string with half of a surrogate pair"),
        ('"\\x"', 1, 1, "a string with an escape that JSON has not"),
        ('{"a" 1}', 1, 6, "a colon must stand here"),
        ('{"a": "x\ny"}', 1, 7, 'no JSON value begins with "\\""'),
        ("\n\n {\n\t// no\n}", 4, 2, 'no JSON value begins with "/"'),
    ],
)
def test_what_is_no_json_is_told_at_its_place(text: str, line: int, column: int, message: str) -> None:
    assert only_error(text, form="json")[:3] == (line, column, message)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def is_same(got: Any, said: Any) -> bool:
    """Equal, a double without fraction being read as an integer."""
    if isinstance(said, dict):
        return isinstance(got, dict) and list(got) == list(said) and all(is_same(got[key], said[key]) for key in said)
    if isinstance(said, list):
        return len(got) == len(said) and all(map(is_same, got, said))
    if isinstance(said, float):
        return bool(float(got) == said) and (isinstance(got, int) == (said.is_integer() and abs(said) < 2**63))
    return bool(got == said) and type(got) is type(said)


@given(JSON_VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_json_says_what_it_says(value_: Any, indent: Any, is_ascii: bool) -> None:
    text = json.dumps(value_, indent=indent, ensure_ascii=is_ascii)
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return
    loaded = load(encoded, "json")
    if "\\ud" in text and any(0xD800 <= ord(c) < 0xE000 for c in json.dumps(value_, ensure_ascii=False)):
        assert errors(loaded)
    else:
        assert is_same(value(loaded), value_)


# -- Limits, by count ---------------------------------------------------------------------------------------------------------

BOMB = (
    b"a: &a ["
    + b",".join([b"x"] * 9)
    + b"]\n"
    + b"".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n".encode() for i in range(9))
)
MERGES = b"a: &a {x: 1}\n" + b"".join(
    f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{','.join([f'*{chr(97 + i)}'] * 9)}]}}\n".encode() for i in range(9)
)
CHAIN = b"a0: &a0 [x]\n" + b"".join(f"a{i}: &a{i} [*a{i - 1}]\n".encode() for i in range(1, DEPTH + 1))
WIDE = b"a: &a " + b"x" * (1 << 20) + b"\nb: [" + b"*a," * 40 + b"]\n"

HOSTILE: dict[str, tuple[bytes, str]] = {
    "brackets": (b"[" * 100_000, f"nested more than {DEPTH} deep"),
    "braces": (b'{"a":' * 100_000, f"nested more than {DEPTH} deep"),
    "dashes": (b"- " * 100_000, f"nested more than {DEPTH} deep"),
    "keys": (b"? " * 100_000, "a key must be text, not a mapping or a list"),
    "brackets that close": (b"[" * 30_000 + b"]" * 30_000, f"nested more than {DEPTH} deep"),
    "indents": (b"\n".join(b" " * i + b"a:" for i in range(1000)), f"nested more than {DEPTH} deep"),
    "alias bomb": (BOMB, "aliases repeat too much"),
    "merge bomb": (MERGES, "aliases repeat too much"),
    "alias chain": (CHAIN, f"nested more than {DEPTH} deep"),
    "a large value repeated": (WIDE, "aliases repeat too much"),
    "one level too deep": (b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), f"nested more than {DEPTH} deep"),
    "values repeated": (b"a: &a [" + b"x," * 1000 + b"]\nb: [" + b"*a," * 300 + b"]", "aliases repeat too much"),
    "many aliases": (b"a: &a 1\nb: [" + b"*a," * (ALIASES + 1) + b"]", "aliases repeat too much"),
    "documents": (b"---\n{}\n" * (DOCUMENTS + 1), f"more than {DOCUMENTS} documents in one file"),
    "values": (b"[" + b"a," * (NODES + 1) + b"]", f"more than {NODES} values in one file, counting what aliases repeat"),
    "bytes": (b"a" * (FILE_BYTES + 1), f"the file has {FILE_BYTES + 1} bytes, at most {FILE_BYTES} are read"),
    "digits": (b"a: " + b"1" * 1_000_000, "a number of 1000000 digits; put it in quotes for text"),
    "hex digits": (b"a: 0x" + b"f" * 1_000_000, "a number of 1000002 digits; put it in quotes for text"),
    "a python tag that fails": (b"a: !!int 1.5", "!!int does not fit this value"),
}
HARMLESS: dict[str, bytes] = {
    "base 60": b"a: " + b"59:" * 200_000 + b"59",
    "a long scalar": b"a: " + b"x" * 4_000_000,
    "a python tag": b"a: !!python/object/apply:os.system ['true']",
    "a date that is none": b"a: 2024-13-45",
    "an equals sign": b"a: =",
    "a bool tag on a name": b"a: !!str on",
    "a deep but allowed": b"[" * DEPTH + b"]" * DEPTH,
    "a set": b"a: !!set {b, c}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused(name: str) -> None:
    text, message = HOSTILE[name]
    assert only_error(text).message == message


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_text_is_read(name: str) -> None:
    assert load(HARMLESS[name]).faults == ()


def test_work_is_bounded() -> None:
    """No hostile file costs more values or events than the limits say; counted where every value passes."""
    for text, _ in HOSTILE.values():
        counted = _Counter(text)
        loaded = load(text, parser=counted)
        assert counted.events <= NODES + 3 * DOCUMENTS
        assert len(loaded.faults) == 1


class _Counter:
    """A parser that counts the events it gave."""

    def __init__(self, _text: bytes) -> None:
        self.events = 0

    def __call__(self, text: str) -> Any:
        self.take = PARSER(text).get_event
        return self

    def get_event(self) -> Any:
        self.events += 1
        return self.take()


def test_json_has_the_same_limits() -> None:
    assert only_error(b"[" * 100_000, form="json").message == f"nested more than {DEPTH} deep"


def test_hostile_text_does_not_end_the_process(tmp_path: Path) -> None:
    """In a process and a thread of its own, with a small stack: a crash would be a signal, not an exception."""
    for number, text in enumerate([*(text for text, _ in HOSTILE.values()), *HARMLESS.values()]):
        (tmp_path / f"{number}.yaml").write_bytes(text)
    program = """
        import sys, threading
        from pathlib import Path
        from reconciler.core.manifest import parse

        def read():
            for file in sorted(Path(sys.argv[1]).iterdir()):
                parse(file.read_bytes(), file.name, "0")
                parse(file.read_bytes(), file.name + ".json", "0")
            print("read", len(list(Path(sys.argv[1]).iterdir())))

        threading.stack_size(512 << 10)
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout, done.stderr) == (0, f"read {len(HOSTILE) + len(HARMLESS)}\n", "")


# -- Whatever the text --------------------------------------------------------------------------------------------------------

CHARACTERS = "ab1~\t\n\\'\"[]{}é\x85\u2028\ufeff"
WORDS = (
    ": |:\n|- |  |    |, |? |&a |*a|*a |<<: |!t |!!int |!!binary |>\n|---\n|...\n|%YAML 1.1\n|# c\n|0x|1e9|.inf|on|"
    "apiVersion: v1\n|kind: List\n|items:\n|metadata:\n"
)
TOKENS = st.sampled_from([*CHARACTERS, "|\n", *WORDS.split("|")])


@given(st.binary(max_size=200), st.sampled_from(["yaml", "json"]), st.sampled_from([PARSER, PureParser]))
def test_any_bytes_are_answered(text: bytes, form: Any, parser: MakeParser) -> None:
    check_total(text, form, parser)


@given(st.lists(TOKENS, max_size=40).map("".join), st.sampled_from([PARSER, PureParser]))
def test_any_tokens_are_answered(text: str, parser: MakeParser) -> None:
    check_total(text.encode(), "yaml", parser)


def check_total(text: bytes, form: Any, parser: MakeParser) -> None:
    loaded = load(text, form, parser)
    lines = text.count(b"\n") + text.count(b"\r") + text.count(b"\xc2\x85") + text.count(b"\xe2\x80") + 2
    for fault in loaded.faults:
        assert 1 <= fault.line <= lines
        assert 1 <= fault.column <= len(text) + 2
        assert "\n" not in fault.message
        assert fault.message
    for number, document in enumerate(loaded.documents):
        json.dumps(document.value, allow_nan=False).encode()
        if not errors(loaded):
            node = locate(text, number, form, parser)
            assert document.value is None or (node.line, node.column) == (document.line, document.column)
            same_shape(node, document.value)


def same_shape(node: Any, value_: Any) -> None:
    """Every value has its place."""
    items = value_.items() if isinstance(value_, dict) else enumerate(value_) if isinstance(value_, list) else ()
    for step, item in items:
        same_shape(node.children[step], item)


@given(st.lists(TOKENS, max_size=25).map("".join))
def test_both_parsers_read_the_same(text: str) -> None:
    """The parser in Python is the stand-in where PyYAML has no libyaml; what both take, they take alike."""
    fast, slow = load(text.encode()), load(text.encode(), parser=PureParser)
    if not errors(fast) and not errors(slow):
        assert [json.dumps(d.value) for d in fast.documents] == [json.dumps(d.value) for d in slow.documents]


def test_an_unforeseen_error_is_a_fault() -> None:
    """Whatever slips out of PyYAML becomes a fault that does not quote the file."""

    class Broken:
        def __init__(self, _text: str) -> None: ...

        def get_event(self) -> Any:
            raise KeyError("hunter2")

    assert load(b"a: 1", parser=Broken).faults == (Fault(1, 1, "cannot be read as YAML (KeyError)"),)
    assert locate(b"a: 1", 0, parser=Broken).line == 1


def test_the_limits_are_named() -> None:
    assert (reader.DEPTH, reader.NODES, reader.ALIASES, reader.DOCUMENTS) == (200, 300_000, 10_000, 10_000)
