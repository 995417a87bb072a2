"""The house rules, each as a test: `pytest` is the one command.

What ruff, mypy and import-linter can say, they say (their settings stand in pyproject.toml); the rest is read from the syntax
trees here. A failure lists every place, as `path:line`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = ("reconciler/lib", "reconciler/core", "reconciler/kinds")
MODULE_LINES = 400
FUNCTION_LINES = 60

Function = ast.FunctionDef | ast.AsyncFunctionDef


def run_tool(*words: str) -> None:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def test_ruff_has_nothing_to_say() -> None:
    run_tool("-m", "ruff", "check", "--quiet", "--output-format=concise", ".")


def test_mypy_has_nothing_to_say() -> None:
    run_tool("-m", "mypy", "--no-error-summary")


def test_imports_keep_to_their_contracts() -> None:
    run_tool("-c", "import importlinter.cli as it; it.lint_imports_command()", "--no-cache", "--no-logo")


def test_modules_and_functions_stay_short() -> None:
    """Code is read by people: a module is at most 400 lines, a function 60 (design §4, style §5)."""
    long = []
    for path, text, tree in _files("reconciler"):
        lines = len(text.splitlines())
        long += [f"{path}: {lines} lines"] if lines > MODULE_LINES else []
        long += [f"{path}:{f.lineno}: {f.name} has {_length(f)} lines" for f in _functions(tree) if _length(f) > FUNCTION_LINES]
    assert long == []


def test_everything_public_says_what_it_is() -> None:
    """Modules with no code of their own may be silent: they hold no law."""
    silent = []
    for path, _, tree in _files("reconciler"):
        if tree.body and not ast.get_docstring(tree):
            silent.append(f"{path}: the module")
        silent += [f"{path}:{node.lineno}: {node.name}" for node in _public(tree) if not ast.get_docstring(node)]
    assert silent == []


def test_what_decides_never_goes_through_a_set() -> None:
    """The order of a set differs between runs: dicts and tuples keep theirs. Asking `in`, len() and sorted() are fine."""
    loops = []
    for path, _, tree in _files(*PURE):
        sets = {name for node in ast.walk(tree) for name in _names_bound_to_sets(node)}
        for node in ast.walk(tree):
            loops += [f"{path}:{it.lineno}: {ast.unparse(it)}" for it in _gone_through(node) if _is_set(it, sets)]
    assert loops == []


def test_tests_fake_nothing_and_wait_for_no_time() -> None:
    """Real parts, plain data; a test waits for a condition, with a limit (`tests/waiting.py`)."""
    banned = re.compile(r"\b(unittest\.mock|import mock|MagicMock|mocker|monkeypatch|patch\.object|[a-z]*\.?sleep\()")
    found = []
    for path, text, _ in _files("tests"):
        if path not in {"tests/waiting.py", "tests/test_tidy.py"}:
            found += [f"{path}:{n}: {line.strip()}" for n, line in enumerate(text.splitlines(), 1) if banned.search(line)]
    assert found == []


def test_yaml_is_read_with_safe_loaders_only() -> None:
    """PyYAML's other loaders run what a file asks for."""
    unsafe = {"unsafe_load", "unsafe_load_all", "full_load", "full_load_all", "UnsafeLoader", "FullLoader", "Loader", "CLoader"}
    found = []
    for path, _, tree in _files("reconciler", "tests"):
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id="yaml"), attr=name) if name in unsafe:
                    found.append(f"{path}:{node.lineno}: yaml.{name}")
                case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "yaml":
                    found += [f"{path}:{node.lineno}: {alias.name}" for alias in names if alias.name in unsafe]
    assert found == []


def test_only_the_clock_reads_the_clock() -> None:
    """`now` is an argument (law 1): no datetime.now(), date.today(), and no naive datetime made of anything."""
    readers = {"now", "utcnow", "today", "utcfromtimestamp"}
    found = []
    for path, _, tree in _files("reconciler"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in readers:
                owner = ast.unparse(node.func.value)
                if owner in {"dt.datetime", "datetime", "datetime.datetime", "dt.date", "date", "datetime.date"}:
                    found.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


def test_asserts_are_never_switched_off() -> None:
    """A broken invariant ends the process (law 10), so nothing that we ship runs Python with -O."""
    shipped = [path for name in ("Dockerfile", "pyproject.toml") if (path := ROOT / name).exists()]
    assert [str(path) for path in shipped if re.search(r"PYTHONOPTIMIZE|python3? -O", path.read_text())] == []


@pytest.mark.parametrize(
    ("code", "loops"),
    [
        ("for x in {1, 2}: pass", 1),
        ("for x in set(y): pass", 1),
        ("a = [x for x in frozenset(y)]", 1),
        ("s = set()\nfor x in s: pass", 1),
        ("s: set[int] = f()\nt = tuple(s)", 1),
        ("def f(s: frozenset[str]): return list(s)", 1),
        ("for x in a | {1}: pass", 1),
        ("s = {1}\nfor x in sorted(s): pass", 0),
        ("x in {1, 2}; len({1})", 0),
        ("for x in {'a': 1}: pass", 0),
    ],
)
def test_the_rule_about_sets_sees_the_obvious_forms(code: str, loops: int) -> None:
    tree = ast.parse(code)
    sets = {name for node in ast.walk(tree) for name in _names_bound_to_sets(node)}
    assert sum(_is_set(it, sets) for node in ast.walk(tree) for it in _gone_through(node)) == loops


@cache
def _parsed(path: Path) -> tuple[str, ast.Module]:
    text = path.read_text(encoding="utf-8")
    return text, ast.parse(text)


def _files(*folders: str) -> Iterator[tuple[str, str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), *_parsed(path)


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _length(function: Function) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def _public(of: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """Classes, functions and methods whose names are for others."""
    for node in of.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def _is_set(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression obviously is a set, given the names that are bound to sets somewhere in the module."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Name(id=name):
            return name in names
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return _is_set(left, names) or _is_set(right, names)
    return False


def _names_bound_to_sets(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_set(value, set()):
            yield name
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) | ast.arg(arg=name, annotation=annotation):
            if annotation is not None and re.match(r"(frozen)?set\b", ast.unparse(annotation)):
                yield name


def _gone_through(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions whose order `node` depends on."""
    match node:
        case ast.For(iter=it) | ast.AsyncFor(iter=it) | ast.comprehension(iter=it) | ast.Starred(value=it):
            yield it
        case ast.Call(func=ast.Name(id="list" | "tuple" | "iter" | "enumerate" | "next" | "zip"), args=arguments):
            yield from arguments
        case ast.Call(func=ast.Attribute(attr="join" | "fromkeys"), args=[first, *_]):
            yield first
