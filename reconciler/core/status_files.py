"""The files of the status branch, of units and of objects: their names, what they say, and what a later life reads back from them.

Law of the module: pure and deterministic: the same report gives the same bytes, and no byte depends on when it was asked. A name is
given to one unit only, also where letters differ in case alone, and never leads out of its folder. Kinds are those that this program
knows; everything else comes from the repository and is hostile. Instants are UTC, whole seconds.

Files are YAML 1.1 and 1.2 alike: block style, and every text that is not a simple word stands in double quotes. They are written by
hand because PyYAML's emitter takes some ten times as long, and a daemon may have to tell of five thousand units in one step.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, cast, get_args

from .identity import CommitId, Lane, UnitKey
from .kind import State
from .markdown import plain
from .messages import Commit
from .report import LaneReport, UnitReport, waits_for

STATUS_FOLDER = "status/"
UNITS_FOLDER = "status/units/"
HUB = "hub"  # where objects stand that no cluster is for
TEXT_LIMIT = 1_000  # characters of one message in a unit file
LIST_LIMIT = 50  # problems, gates and clusters of one unit
RECORD_LIMIT_BYTES = 256 << 10
PATH_LIMIT = 180  # characters of a name that is kept as it is

_SIMPLE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9_-])?", re.ASCII)
_WORD = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ._/+-]*[A-Za-z0-9_/])?", re.ASCII)
_WORDS_OF_YAML = dict.fromkeys(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_KEY_LIMIT = 1_000  # characters of a key as written: YAML 1.1 §9.1.3 has 1,024
_HEAD_LIMIT = 40  # lines that `read_back` looks at
_MASK = "***"
_SHORT_KEYS = ("apiVersion", "kind")


@dataclass(frozen=True, slots=True)
class Before:
    """What an earlier life published of a unit."""

    key: UnitKey
    state: State
    since: float
    commit: Commit | None


# -- names ----------


def path_of(key: UnitKey) -> str:
    """Where a unit's file stands on the branch."""
    if key.is_folder:
        parts = key.name.split("/")
        kept = "." not in parts[0]  # what has a dot there is a kind
    else:
        parts = [f"{key.kind}.{key.group or 'core'}", *([key.namespace] if key.namespace else []), key.name]
        kept = _SIMPLE.fullmatch(parts[0].lower()) is not None
    if key.is_folder and key.name == ".":
        return f"{UNITS_FOLDER}_top.yaml"
    simple = all(_SIMPLE.fullmatch(part) and not part.endswith(".yaml") for part in (parts if key.is_folder else parts[1:]))
    if kept and simple and sum(map(len, parts)) + len(parts) <= PATH_LIMIT:
        return f"{UNITS_FOLDER}{'/'.join(parts)}.yaml"
    # "~" stands in no name that is kept, so that the two sorts never meet.
    return f"{UNITS_FOLDER}{_readable(key)}~{_short(key.text)}.yaml"


def _readable(key: UnitKey) -> str:
    return re.sub(r"[^a-z0-9]+", "-", key.name[:200].lower(), flags=re.ASCII).strip("-")[:60].strip("-") or "unit"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def object_path(key: UnitKey, lane: Lane | None) -> str:
    """Where the object of a root stands on the branch, with its status; `lane` is that of its place in the tree."""
    where = lane.cluster if lane else HUB
    parts = [where if _SIMPLE.fullmatch(where) else f"cluster~{_short(where)}", key.group or "core", key.kind]
    kept = all(_SIMPLE.fullmatch(part) and not part.endswith(".yaml") for part in (key.namespace, key.name) if part)
    if kept and len(key.namespace) + len(key.name) <= PATH_LIMIT:
        parts += [key.namespace, key.name] if key.namespace else [key.name]
    else:
        parts.append(f"{_readable(key)}~{_short(key.text)}")
    return f"{STATUS_FOLDER}{'/'.join(parts)}.yaml"


def is_object_path(path: str, key: UnitKey | None = None) -> bool:
    """Whether this is what `object_path` gives to a key (None: to any), whatever its lane."""
    parts = path.split("/")
    mine = path.startswith(STATUS_FOLDER) and not path.startswith(UNITS_FOLDER) and len(parts) >= 5 and path.endswith(".yaml")
    return mine and (key is None or object_path(key, None).split("/")[2:] == parts[2:])


# -- writing ----------


def instant(seconds: float) -> str:
    """Epoch seconds as RFC 3339, cut to the second."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: object) -> float | None:
    """The seconds since the epoch that `instant` wrote, as Kubernetes writes them too; None for anything else."""
    try:
        return dt.datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC).timestamp()
    except ValueError:
        return None


def unit_file(unit: UnitReport, commit: Commit | None) -> bytes:
    """The file of one unit. `commit` is the one that last changed it."""
    key = unit.key
    value: dict[str, Any] = {
        "source": key.source,
        "group": key.group,
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "state": unit.state,
        "since": instant(unit.since),
        "commit": commit.id if commit else "",
        "subject": plain(commit.subject, 200) if commit else "",
        "author": plain(commit.author, 100) if commit else "",
        "message": plain(unit.message, TEXT_LIMIT),
        "waitsFor": plain(waits_for(unit, commit), TEXT_LIMIT),
        "clusters": [_lane(lane) for lane in unit.lanes[:LIST_LIMIT]],
        "moreClusters": max(0, len(unit.lanes) - LIST_LIMIT),
        "problems": [{"at": str(place), "message": plain(text, TEXT_LIMIT)} for place, text in unit.problems[:LIST_LIMIT]],
        "moreProblems": max(0, len(unit.problems) - LIST_LIMIT),
        "gates": [
            _filled({"name": gate.name, "cluster": cluster, "revision": gate.revision, "message": plain(gate.message, TEXT_LIMIT)})
            for gate, cluster in unit.gates[:LIST_LIMIT]
        ],
        "record": _bounded(unit.record) if unit.record is not None and not key.is_folder else None,
    }
    return ("\n".join(_block(_filled(value), "")) + "\n").encode("utf-8", "replace")


def object_file(body: dict[str, Any]) -> bytes:
    """The file of an object with its status."""
    shown = {key: held if key in _SHORT_KEYS else _bounded(held) for key, held in body.items()}
    return ("\n".join(_block(shown, "")) + "\n").encode("utf-8", "replace")


def _lane(lane: LaneReport) -> dict[str, Any]:
    pruning = {"objects": lane.prune.count, "of": lane.prune.of, "reason": plain(lane.prune.reason, TEXT_LIMIT)} if lane.prune else None
    return {
        "name": lane.cluster,
        **({"target": lane.target} if lane.target else {}),
        "state": lane.state,
        "objects": lane.objects,
        "healthy": lane.healthy,
        **_filled(
            {
                "message": plain(lane.message, TEXT_LIMIT),
                "unwell": [
                    _filled(
                        {
                            "object": plain(found.object, 300),
                            "standing": found.standing,
                            "message": plain(found.message, TEXT_LIMIT),
                            "at": str(found.place) if found.place else "",
                        }
                    )
                    for found in lane.unwell
                ],
                "leftAlone": [plain(text, 300) for text in lane.left_alone],
                "pruning": pruning,
            }
        ),
    }


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    return {key: held for key, held in value.items() if held not in ("", None, [], 0)}


def _bounded(value: Any) -> Any:
    text = json.dumps(value)
    if len(text) > RECORD_LIMIT_BYTES and '"Secret"' not in text:  # nothing to mask, which would take long
        return f"not shown: {len(text):,} bytes, more than {RECORD_LIMIT_BYTES:,}"
    masked = _masked(value, 0)
    size = len(json.dumps(masked))
    return masked if size <= RECORD_LIMIT_BYTES else f"not shown: {size:,} bytes, more than {RECORD_LIMIT_BYTES:,}"


def _masked(value: Any, depth: int) -> Any:
    """A value without the values of Secrets that it may hold, its keys in order: what was read back has them in another."""
    if depth > 50:
        return "not shown: nested too deep"
    if isinstance(value, list):
        return [_masked(held, depth + 1) for held in value]
    if not isinstance(value, dict):
        return value
    secret = value.get("kind") == "Secret"
    return {
        key: dict.fromkeys(held, _MASK) if secret and key in ("data", "stringData") and isinstance(held, dict) else _masked(held, depth + 1)
        for key, held in sorted(value.items())
    }


# -- YAML ----------


def _block(value: dict[str, Any], indent: str) -> list[str]:
    lines = []
    for key, held in value.items():
        if isinstance(held, dict) and held:
            lines += [f"{indent}{_key(key)}:", *_block(held, indent + "  ")]
        elif isinstance(held, list) and held:
            lines += [f"{indent}{_key(key)}:", *_items(held, indent)]
        else:
            lines.append(f"{indent}{_key(key)}: {_scalar(held)}")
    return lines


def _items(value: list[Any], indent: str) -> list[str]:
    lines = []
    for held in value:
        below: list[str] = []
        if isinstance(held, dict) and held:
            below = _block(held, indent + "  ")
        elif isinstance(held, list) and held:
            below = _items(held, indent + "  ")
        if below:
            lines += [f"{indent}- {below[0][len(indent) + 2 :]}", *below[1:]]
        else:
            lines.append(f"{indent}- {_scalar(held)}")
    return lines


def _key(key: str) -> str:
    text = _scalar(key)
    return text if len(text) <= _KEY_LIMIT else _quoted(key[: _KEY_LIMIT // 10] + "…")


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) and value.lower() not in _WORDS_OF_YAML else _quoted(value)
    if value is None or isinstance(value, bool | int | list | dict):
        return json.dumps(value)
    text = json.dumps(value)  # "5e-324" is text in YAML 1.1 and a number in 1.2: a dot makes it one in both
    return text if "." in text else text.replace("e", ".0e")


def _quoted(text: str) -> str:
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    if not inner.isprintable():
        inner = "".join(char if char.isprintable() else _escape(char) for char in inner)
    return f'"{inner}"'


def _escape(char: str) -> str:
    code = ord(char)
    if 0xD800 <= code < 0xE000:
        code = 0xFFFD
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# -- reading back ----------


def read_back(content: bytes) -> Before | None:
    """What `unit_file` wrote, as far as a later life needs it; None for anything else: anybody may have written here."""
    fields: dict[str, str] = {}
    for line in content[:20_000].decode("utf-8", "replace").split("\n")[:_HEAD_LIMIT]:
        name, colon, text = line.partition(": ")
        if not colon or not name.isalpha() or name in fields:
            continue
        try:
            fields[name] = str(json.loads(text)) if text.startswith('"') else text
        except ValueError:
            return None
    state, since = fields.get("state"), epoch(fields.get("since", ""))
    parts = [fields.get(part, "") for part in ("source", "group", "kind", "namespace", "name")]
    key = UnitKey.parse("/".join(parts))
    if state not in get_args(State) or since is None or key is None:
        return None
    commit = None
    if _COMMIT.fullmatch(fields.get("commit", "")):
        commit = Commit(CommitId(fields["commit"]), None, fields.get("author", ""), "", 0.0, fields.get("subject", ""))
    return Before(key, cast(State, state), since, commit)
