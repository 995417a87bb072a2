"""Field paths as API servers write them, against the object that they are about.

Law of the module: total. `spec.containers[0].image`, `.spec.ports[containerPort=80,protocol="TCP"]`, `metadata.labels[a.b/c]`
and `metadata.labels.a.b/c` all occur (field.Path, structured-merge-diff, strict decoding), and keys hold dots: so the path is not
cut by its syntax but followed through the object, at each mapping by the longest key that fits. Where it leaves the object, the
pointer ends.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .problem import Pointer

PATH_CHARACTERS = 4096

_BRACKET = re.compile(r'\[((?:[^\]"]|"(?:[^"\\]|\\.)*")*)\]')
_PAIR = re.compile(r'([^=,"]+)=("(?:[^"\\]|\\.)*"|[^,]*)(?:,|\Z)')


def resolve(body: Any, path: str) -> Pointer:
    """The pointer to what `path` names in `body`, or to its nearest ancestor."""
    rest = path[:PATH_CHARACTERS]
    rest = rest if rest.startswith((".", "[")) else f".{rest}"
    pointer: list[str | int] = []
    value = body
    while rest:
        step, rest = _step(value, rest)
        if step is None:
            break
        pointer.append(step)
        value = value[step]
    return tuple(pointer)


def _step(value: Any, rest: str) -> tuple[str | int | None, str]:
    """The next step into `value`, and what is left of the path."""
    if isinstance(value, dict) and rest[0] == ".":
        name = rest[1:]
        fitting = [key for key in value if name.startswith(key) and name[len(key) : len(key) + 1] in ("", ".", "[")]
        key = max(fitting, key=len, default=None)
        return (None, "") if key is None else (key, name[len(key) :])
    bracket = _BRACKET.match(rest)
    if bracket is None:
        return None, ""
    rest = rest[bracket.end() :]
    if isinstance(value, dict):
        key = _plain(bracket[1])
        return (key if isinstance(key, str) and key in value else None), rest
    return (_index(value, bracket[1]) if isinstance(value, list) else None), rest


def _index(items: list[Any], text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text) if len(text) < 10 and int(text) < len(items) else None
    pairs = {key: _plain(wanted) for key, wanted in _PAIR.findall(text)}
    for index, item in enumerate(items):
        if pairs:
            if isinstance(item, dict) and all(key in item and _same(item[key], wanted) for key, wanted in pairs.items()):
                return index
        elif text.startswith("=") and _same(item, _plain(text[1:])):  # a set's item: [="a"]
            return index
    return None


def _plain(text: str) -> Any:
    """A value in brackets: JSON where it is quoted, else the text itself."""
    if text.startswith('"'):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _same(value: Any, wanted: Any) -> bool:
    return bool(value == wanted) or (not isinstance(value, str) and json.dumps(value) == wanted)
