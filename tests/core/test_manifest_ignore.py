"""`.reconcilerignore` has Git's meaning, checked against Git itself, and hostile patterns cost nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.ignore import BYTES, PATH_CHARACTERS, PATTERNS, read_ignore

PATTERN_FILE = b"""# a comment
*.tmp.yaml
!keep.tmp.yaml
/charts/
docs
apps/**/test-*.yaml
**/kustomization.yaml
a?[bc].yaml
\\#hash.yaml
trailing.yaml   \r
/top.yaml
x/*/y
"""
PATHS = (
    "a.tmp.yaml", "b/keep.tmp.yaml", "charts/a.yaml", "b/charts/a.yaml", "docs/a.yaml", "b/docs/c/d.yaml", "docs", "apps/test-a.yaml",
    "apps/b/c/test-a.yaml", "b/test-a.yaml", "kustomization.yaml", "a/b/kustomization.yaml", "axb.yaml", "axd.yaml", "#hash.yaml",
    "trailing.yaml", "top.yaml", "b/top.yaml", "x/1/y", "x/1/y/z.yaml", "x/1/2/y", "plain.yaml", "DOCS/a.yaml",
)  # fmt: skip


def test_patterns_mean_what_git_means(tmp_path: Path) -> None:
    ignored, problems = read_ignore(PATTERN_FILE)
    assert problems == ()
    (tmp_path / ".gitignore").write_bytes(PATTERN_FILE.replace(b"\r", b""))
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    command = ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "--stdin"]
    git = subprocess.run(command, input="\n".join(PATHS), capture_output=True, text=True, check=True)
    assert [path for path in PATHS if ignored(path)] == git.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("!", 'pattern "!" cannot be read; it ignores nothing'),
        ("[z-a]", 'pattern "[z-a]" cannot be read; it ignores nothing'),
        ("a*b*c*d", 'pattern "a*b*c*d" has too many stars (at most 2 times **, and one name with 2); it ignores nothing'),
        ("**/a/**/b/**/c", 'pattern "**/a/**/b/**/c" has too many stars (at most 2 times **, and one name with 2); it ignores nothing'),
        ("x" * 501, f'pattern "{"x" * 59}… has more than 500 characters; it ignores nothing'),
    ],
)
def test_a_pattern_that_is_not_taken_is_told(line: str, message: str) -> None:
    ignored, (problem,) = read_ignore(f"ok.yaml\n{line}\n".encode())
    assert str(problem) == f".reconcilerignore:2:1: {message}"
    assert ignored("ok.yaml")
    assert not ignored("axbxcxd")


def test_a_file_that_cannot_be_read_ignores_nothing() -> None:
    for text, message in ((b"a" * (BYTES + 1), f"has {BYTES + 1} bytes, at most {BYTES} are read"), (b"\xff", "is not UTF-8 text")):
        ignored, (problem,) = read_ignore(text)
        assert str(problem) == f".reconcilerignore: {message}; ignores nothing"
        assert not ignored("a")


def test_a_path_that_is_too_long_is_not_left_out() -> None:
    ignored, _ = read_ignore(b"a*")
    assert ignored("a" * PATH_CHARACTERS)
    assert not ignored("a" * (PATH_CHARACTERS + 1))


def test_patterns_are_at_most_so_many() -> None:
    ignored, problems = read_ignore(b"\n".join(f"f{n}".encode() for n in range(PATTERNS + 100)))
    assert len(problems) == 1
    assert ignored(f"f{PATTERNS - 1}")
    assert not ignored(f"f{PATTERNS}")


@given(st.binary(max_size=60) | st.text(alphabet="*?[]!\\/a-b\n# ", max_size=30).map(str.encode), st.text(max_size=20))
def test_any_file_is_answered(text: bytes, path: str) -> None:
    ignored, _ = read_ignore(text)
    assert ignored(path) in (True, False)
