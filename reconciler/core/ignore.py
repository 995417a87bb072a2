"""`.reconcilerignore`: which files of a source are not read.

Law of the module: text in, predicate out; patterns have Git's meaning (gitignore(5), through the library pathspec). The file is
hostile input and patterns become regular expressions, so both their number and their wildcards are limited: a pattern of many
stars would take ages on a long name. A pattern that cannot be read is told and ignores nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pathspec import GitIgnoreSpec

from .identity import Place
from .problem import Problem, shown

NAME = ".reconcilerignore"
BYTES = 64 << 10
PATTERNS = 500
PATTERN_CHARACTERS = 500
# With these a match costs at most the square of the path's length: a name with one star fits in one way only.
DOUBLE_STARS = 2  # names "**" in one pattern
STARRY_NAMES = 1  # names with more than one "*" in one pattern
STARS = 2  # in such a name
PATH_CHARACTERS = 1024  # longer ones are not left out

Ignored = Callable[[str], bool]


def read_ignore(text: bytes, path: str = NAME) -> tuple[Ignored, tuple[Problem, ...]]:
    """Read the file: whether a path (relative to the file's folder, "/"-separated) is left out, and what is wrong with it.

    Never raises. A file that is too large or no text ignores nothing, as its problem says.
    """
    problems: list[Problem] = []
    if len(text) > BYTES:
        return _nothing, (Problem(Place(path), f"has {len(text)} bytes, at most {BYTES} are read; ignores nothing"),)
    try:
        lines = text.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        return _nothing, (Problem(Place(path), "is not UTF-8 text; ignores nothing"),)
    patterns: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        wrong = _wrong(line) if len(patterns) < PATTERNS else f"more than {PATTERNS} patterns"
        if wrong:
            problems.append(Problem(Place(path, number, 1), f"pattern {shown(line)} {wrong}; it ignores nothing"))
            if len(patterns) == PATTERNS:
                break
        else:
            patterns.append(line)
    if not patterns:
        return _nothing, tuple(problems)
    spec = GitIgnoreSpec.from_lines(patterns)

    def ignored(file: str) -> bool:
        return len(file) <= PATH_CHARACTERS and spec.match_file(file)

    return ignored, tuple(problems)


def _nothing(_path: str) -> bool:
    return False


def _wrong(pattern: str) -> str:
    """Why a pattern is not taken, or ""."""
    if len(pattern) > PATTERN_CHARACTERS:
        return f"has more than {PATTERN_CHARACTERS} characters"
    names = pattern.split("/")
    stars = [name.count("*") for name in names if name != "**" and name.count("*") > 1]
    if names.count("**") > DOUBLE_STARS or len(stars) > STARRY_NAMES or any(count > STARS for count in stars):
        return f"has too many stars (at most {DOUBLE_STARS} times **, and one name with {STARS})"
    try:
        taken = GitIgnoreSpec.from_lines([pattern]).patterns
    except (ValueError, re.error):
        return "cannot be read"
    return "" if all(p.include is not None for p in taken) else "cannot be read"
