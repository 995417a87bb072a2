"""Runs one script against both servers, call by call, and says where their answers differ.

Law of the module: each server's answers feed only its own later calls. The real server answers first: the times in its answer set the
embedded server's clock, so times are compared and not masked.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from tests.waiting import until

from .answers import Answer, comparable
from .script import AGENT, JSON, Call, Script, Step, at, definitions
from .servers import Embedded, Real, Server, Watch, now


class Side:
    """One server as a script sees it: what was saved, which watches are open, what was answered."""

    def __init__(self, server: Server, namespace: str) -> None:
        self.server = server
        self.known = {"ns": namespace}
        self.watches: dict[str, Watch] = {}
        self.answers: list[Answer] = []

    def do(self, step: Step) -> Answer:
        """Do one step."""
        answer = self._done(step)
        self.answers.append(answer)
        for name, path in step.save.items():
            value = at(answer.document, path)
            self.known[name] = value if isinstance(value, str) else json.dumps(value)
        return answer

    def _done(self, step: Step) -> Answer:
        if step.verb == "COMPACT":
            self.server.compact()
            return Answer(0, (), None)
        if step.verb == "READ":
            return self._read(self.watches[step.target], step)
        call = step.call(self.known)
        if step.verb == "WATCH":
            opened = self.server.watch(call)
            if isinstance(opened, Answer):
                return opened
            self.watches[step.open or "once"] = opened
            return self._read(opened, step)
        found: list[Answer] = []

        def look() -> bool:
            found.append(self.server.ask(call))
            return all(at(found[-1]._asdict(), path) == value for path, value in step.until.items())

        self.server.until(look, f"{step.until} in {call.path}") if step.until else look()
        return found[-1]

    def _read(self, watch: Watch, step: Step) -> Answer:
        return Answer(watch.status, watch.headers, watch.read(None if step.lines == "all" else int(step.lines)))

    def close(self) -> None:
        """Leave every watch."""
        for watch in self.watches.values():
            watch.close()


def install(server: Server) -> None:
    """Make the custom kinds that scripts share, and wait until they are served. They may be there already."""
    for definition in definitions():
        spec = definition["spec"]
        _ask(server, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        for version in spec["versions"]:
            path = f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
            server.until(partial(_serves, server, path), f"{path} being served")


def _serves(server: Server, path: str) -> bool:
    return _ask(server, "GET", path).status == 200


def prepare(server: Server, namespace: str) -> None:
    """Make a script's namespace, with the service account that pods need."""
    _ask(server, "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    _ask(server, "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)


def _ask(server: Server, method: str, path: str, body: Any = None) -> Answer:
    return server.ask(Call(method, path, b"" if body is None else json.dumps(body).encode(), JSON, JSON, AGENT))


class Outcome(NamedTuple):
    """How a run went. `differences`: the calls whose answers differ, with both answers, the real server's first.

    `straddled`: while the real server worked on a call the clock came to another second, so that the times of one write may differ.
    """

    differences: list[tuple[str, Any, Any]]
    straddled: bool


def play(script: Script, real: Real, embedded: Embedded, namespace: str) -> Outcome:
    """Run a script against both servers."""
    straddled = False
    sides = [Side(real, namespace), Side(embedded, namespace)]
    try:
        for step in script.steps:
            if step.later:
                until(partial(_later_than, int(now())), "the next second", 5.0)
            before = now()
            answer = sides[0].do(step)
            straddled = straddled or int(now()) != int(before)
            embedded.at(max(_latest(answer), int(before)))
            sides[1].do(step)
    finally:
        for side in sides:
            side.close()
    real_answers, embedded_answers = (comparable(side.answers) for side in sides)
    calls = [f"{step.verb} {step.target}" for step in script.steps]
    found = [each for each in zip(calls, real_answers, embedded_answers, strict=True) if each[1] != each[2]]
    return Outcome(found, straddled)


def _later_than(second: int) -> bool:
    return int(now()) > second


def _latest(answer: Answer) -> int:
    """The latest time at which the server says that it did something, in whole seconds; what lies ahead does not count."""
    limit = now() + 1
    seconds = (int(dt.datetime.fromisoformat(each).timestamp()) for each in answer.times())
    return max((each for each in seconds if each <= limit), default=0)


def told(found: list[tuple[str, Any, Any]]) -> str:
    """Differences for people: each place with both values."""
    lines = []
    for call, real, embedded in found:
        lines.append(call)
        if real[0] != embedded[0]:
            sides = (("real", real), ("embedded", embedded))
            lines += [f"  {who}: {one[0]} {_shown(one[2].get('message') if isinstance(one[2], dict) else one[2])}" for who, one in sides]
            continue
        lines += [f"  {path or '.'}\n    real:     {one}\n    embedded: {two}" for path, one, two in _places(real, embedded, "")]
    return "\n".join(lines)


def _places(real: Any, embedded: Any, path: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(real, dict) and isinstance(embedded, dict):
        for name in sorted({**real, **embedded}):
            if real.get(name, _ABSENT) != embedded.get(name, _ABSENT):
                yield from _places(real.get(name, _ABSENT), embedded.get(name, _ABSENT), f"{path}.{name}")
    elif isinstance(real, list) and isinstance(embedded, list) and len(real) == len(embedded):
        for index, (one, two) in enumerate(zip(real, embedded, strict=True)):
            if one != two:
                yield from _places(one, two, f"{path}[{index}]")
    else:
        yield path, _shown(real), _shown(embedded)


_ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "(absent)"})()


def _shown(value: Any) -> str:
    return repr(value) if value is _ABSENT else json.dumps(value)[:1500]
