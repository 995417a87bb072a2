"""A script of API calls, as its file says it: what is sent, in which order, and what of an answer later calls use.

Law of the module: pure. A file under `scripts/` is a list of scripts; a script has a `name` and `steps`. A step is a mapping whose first
key is a call, "VERB path?query", and its value the body; the other keys are options (`Step`).

Verbs are those of HTTP, and APPLY, MERGE, JSON, STRATEGIC (the four patches), WATCH (a watch, opened), READ (lines of one that is open),
COMPACT (the server forgets its first versions). A path that does not begin with "/" begins with a plural, perhaps with a version
("widgets.v2/a/status"), in the script's own namespace. `by=` in a query is short for `fieldManager=`; `$name` stands for what an earlier
step saved, `$ns` for the namespace. A mapping as body is given its apiVersion and kind, and an applied one its name, unless it says them;
a text is sent as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml

from reconciler.sim.cluster.resources import builtin

Json = dict[str, Any]

HERE = Path(__file__).parent
JSON = "application/json"
PATCHES = {
    "APPLY": "application/apply-patch+yaml",
    "MERGE": "application/merge-patch+json",
    "JSON": "application/json-patch+json",
    "STRATEGIC": "application/strategic-merge-patch+json",
}
_META = "v=v1;g=meta.k8s.io"
ACCEPTS = {
    "table": f"application/json;as=Table;{_META}",
    "metadata": f"application/json;as=PartialObjectMetadata;{_META}",
    "metadata-list": f"application/json;as=PartialObjectMetadataList;{_META}",
    "yaml": "application/yaml",
}
AGENT = "contract/1"
_OPTIONS = ("type", "accept", "agent", "save", "lines", "open", "until", "later")
_VARIABLE = re.compile(r"\$(\w+)")


class Call(NamedTuple):
    """One request as it goes out. `path` is escaped and has its query."""

    method: str
    path: str
    body: bytes
    content_type: str
    accept: str
    agent: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    `save`: names for what stands at paths of the answer. `lines`: how many lines of a watch are read, or "all" until the server ends
    it. `open`: the name that a watch stays open under. `until`: values at paths of the answer; the call is repeated until they are there.
    `later`: the call waits for another second, so that its time differs from those before.
    """

    verb: str
    target: str
    body: Any
    type: str = ""
    accept: str = JSON
    agent: str = AGENT
    save: Mapping[str, str] = field(default_factory=dict)
    lines: int | str = 0
    open: str = ""
    until: Mapping[str, Any] = field(default_factory=dict)
    later: bool = False

    def call(self, known: Mapping[str, str]) -> Call:
        """The request, with what is known filled in."""
        path, _, query = filled(self.target, known).partition("?")
        method = "PATCH" if self.verb in PATCHES else "GET" if self.verb == "WATCH" else self.verb
        body = filled(self.body, known)
        if not path.startswith("/"):
            path, body = _resolved(self.verb, path, body, known["ns"])
        words = [word.partition("=") for word in query.split("&") if word]
        if self.verb == "WATCH":
            words.insert(0, ("watch", "=", "true"))
        asked = "&".join(f"{'fieldManager' if name == 'by' else name}={quote(value, safe='%')}" for name, _, value in words)
        sent = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        accept = ACCEPTS.get(self.accept, self.accept)
        return Call(method, path + ("?" + asked if asked else ""), sent, self.type or PATCHES.get(self.verb, JSON), accept, self.agent)


@dataclass(frozen=True, slots=True)
class Script:
    """One script; `controllers` says whether the servers' controllers work while it runs."""

    file: str
    name: str
    steps: tuple[Step, ...]
    controllers: bool = False


def scripts() -> list[Script]:
    """Every script, by file."""
    files = sorted((HERE / "scripts").glob("*.yaml"))
    return [_script(path.stem, each) for path in files for each in yaml.load(path.read_text(), Loader=yaml.CSafeLoader)]


@cache
def definitions() -> tuple[Json, ...]:
    """The custom kinds that scripts share."""
    return tuple(yaml.safe_load_all((HERE / "definitions.yaml").read_text()))


def at(document: Any, path: str) -> Any:
    """What stands at a dotted path, None where nothing does; a number is a position, "a/b" a name with dots in "[a/b]"."""
    for step in re.findall(r"\[[^]]+\]|[^.\[\]]+", path):
        name = step.strip("[]")
        if isinstance(document, list):
            document = document[int(name)] if int(name) < len(document) else None
        else:
            document = document.get(name) if isinstance(document, dict) else None
    return document


def filled(value: Any, known: Mapping[str, str]) -> Any:
    """A value with its variables filled in, in texts anywhere; one that nobody saved stays."""
    if isinstance(value, dict):
        return {filled(name, known): filled(each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, known) for each in value]
    return _VARIABLE.sub(lambda found: known.get(found[1], found[0]), value) if isinstance(value, str) else value


def _script(file: str, about: Json) -> Script:
    assert about.keys() <= {"name", "steps", "controllers"}, about
    return Script(file, about["name"], tuple(_step(each) for each in about["steps"]), about.get("controllers", False))


def _step(about: Json) -> Step:
    (call, body), *options = about.items()
    verb, _, target = call.partition(" ")
    more = dict(options)
    assert more.keys() <= set(_OPTIONS), about
    return Step(verb, target, body, **more)


@cache
def _plurals() -> dict[str, tuple[str, str, bool]]:
    """API version, kind and whether it is namespaced, by plural and by "plural.version"; of several versions the first counts."""
    found: dict[str, tuple[str, str, bool]] = {}
    for definition in definitions():
        spec = definition["spec"]
        for version in spec["versions"]:
            about = (f"{spec['group']}/{version['name']}", spec["names"]["kind"], spec["scope"] == "Namespaced")
            found.setdefault(spec["names"]["plural"], about)
            found[f"{spec['names']['plural']}.{version['name']}"] = about
    for resources in builtin().values():
        for resource in resources.values():
            about = (resource.api_version, resource.kind, resource.namespaced)
            found.setdefault(resource.plural, about)
            found[f"{resource.plural}.{resource.version}"] = about
    return found


def _resolved(verb: str, path: str, body: Any, namespace: str) -> tuple[str, Any]:
    """The whole path of a call, and its body with type and name."""
    first, *rest = path.split("/")
    api_version, kind, namespaced = _plurals()[first]
    place = f"/{'apis' if '/' in api_version else 'api'}/{api_version}" + (f"/namespaces/{namespace}" if namespaced else "")
    part = rest[1] if len(rest) > 1 else ""
    if isinstance(body, dict) and verb in ("POST", "PUT", "APPLY") and part in ("", "status", "finalize"):
        body = {**({} if "apiVersion" in body else {"apiVersion": api_version}), **({} if "kind" in body else {"kind": kind}), **body}
        if verb == "APPLY":
            body["metadata"] = {"name": rest[0], **(body.get("metadata") or {})}
    return "/".join([place, first.partition(".")[0], *rest]), body
