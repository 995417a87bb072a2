"""Ask a real API server what `diff.compare` answers alone, and record both for the everyday test.

    python -m tests.core.record_diff KUBECONFIG

Every manifest of cases/diff/manifests.yaml is applied to a namespace of its own and read back; then each of its leaves is edited
by hand, one at a time, and each is changed or dropped in the manifest. After each step a forced dry run says whether an apply would
change the object: what it says is what is recorded, as the difference to the first read, into cases/diff/recorded.jsonl.

The namespace is deleted at the end; cluster-scoped objects are, too. Use a cluster that nobody needs.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.config
import yaml

from reconciler.core import diff
from tests.waiting import until

CASES = Path(__file__).parent / "cases" / "diff"
RECORDED = CASES / "recorded.jsonl"
NAMESPACE = "diff-record"
MANAGER = "reconciler"
SAME_READS = 4  # one after the other that say that nobody writes any more
DEFAULTED_LIMIT = 30  # places of one object that the manifest does not name and that are edited by hand
Json = Any
Request = Callable[[str, str, Json, str], tuple[int, Json]]


def connect(kubeconfig: str) -> Request:
    """A function that sends one request: (method, path, body, content type) -> (status, body)."""
    settings = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(kubeconfig, client_configuration=settings)
    client = kubernetes.client.ApiClient(settings)

    def send(method: str, path: str, body: Json = None, content_type: str = "application/json") -> tuple[int, Json]:
        auth = settings.auth_settings().get("BearerToken")
        headers = {"Content-Type": content_type, **({auth["key"]: auth["value"]} if auth else {})}
        answer = client.rest_client.pool_manager.request(
            method, settings.host + path, body=None if body is None else json.dumps(body), headers=headers
        )
        return answer.status, json.loads(answer.data) if answer.data[:1] == b"{" else {}

    return send


def manifests() -> list[Json]:
    """The manifests, as they are applied: normalised, with the marks that the engine puts on."""
    return [diff.normalise(one) for one in yaml.safe_load_all((CASES / "manifests.yaml").read_text())]


# -- The smallest difference between two values, so that the recording stays small ----------


def delta(old: Json, new: Json, at: tuple[str | int, ...] = ()) -> Iterator[list[Json]]:
    """Steps that make `new` of `old`: [path] takes away, [path, value] puts."""
    if type(old) is type(new) and isinstance(old, dict):
        for name in old:
            if name not in new:
                yield [[*at, name]]
        for name, value in new.items():
            if name not in old:
                yield [[*at, name], value]
            else:
                yield from delta(old[name], value, (*at, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from delta(left, right, (*at, index))
    elif type(old) is not type(new) or old != new:
        yield [[*at], new]


def redo(old: Json, steps: list[list[Json]]) -> Json:
    """What `delta` took apart."""
    made = copy.deepcopy(old)
    for path, *value in steps:
        if not path:
            return value[0]
        here = made
        for token in path[:-1]:
            here = here[token]
        if value:
            here[path[-1]] = value[0]
        else:
            del here[path[-1]]
    return made


# -- One object on a server ----------


class Subject:
    """One manifest on one server."""

    def __init__(self, send: Request, wanted: Json, plural: str, namespaced: bool) -> None:
        self.send = send
        self.wanted = wanted
        if namespaced:
            wanted["metadata"]["namespace"] = NAMESPACE
        prefix = "/apis/" if "/" in wanted["apiVersion"] else "/api/"
        within = f"/namespaces/{NAMESPACE}" if namespaced else ""
        self.path = f"{prefix}{wanted['apiVersion']}{within}/{plural}/{wanted['metadata']['name']}"

    def apply(self, wanted: Json, *, dry: bool = False, manager: str = MANAGER) -> tuple[int, Json]:
        """One forced apply."""
        query = f"?fieldManager={manager}&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return self.send("PATCH", self.path + query, wanted, "application/apply-patch+yaml")

    def edit(self, live: Json) -> bool:
        """Put a changed object, as `kubectl edit` does; whether the server took it."""
        status, _ = self.send("PUT", f"{self.path}?fieldManager=kubectl-edit", live, "application/json")
        return status == 200

    def read(self) -> Json:
        """The live object."""
        status, live = self.send("GET", self.path, None, "application/json")
        assert status == 200, live
        return live

    def remove(self) -> None:
        """Delete it, finalizers or not, and wait until it is gone."""

        def gone() -> bool:
            self.send("PATCH", self.path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
            self.send("DELETE", self.path + "?gracePeriodSeconds=0", None, "application/json")
            return self.send("GET", self.path, None, "application/json")[0] == 404

        until(gone, f"{self.path} to be gone")

    def settled(self) -> Json:
        """The live object once its controllers have stopped writing to it."""
        seen: list[Json] = []

        def quiet() -> bool:
            seen.append(self.read())
            return len(seen) > SAME_READS and len({one["metadata"]["resourceVersion"] for one in seen[-SAME_READS:]}) == 1

        until(quiet, f"{self.path} to settle")
        return seen[-1]

    def heal(self, base: Json) -> None:
        """Bring back what `base` was, with its owners; where that cannot be, begin anew."""
        taken, _ = self.apply(self.wanted)
        now = self.read()
        if taken < 300 and _body(now) != _body(base):
            metadata = {**base["metadata"], "resourceVersion": now["metadata"]["resourceVersion"]}
            self.edit({**base, "metadata": metadata})
            taken, _ = self.apply(self.wanted)
            now = self.read()
        if taken >= 300 or _body(now) != _body(base):
            self.remove()
            status, answer = self.apply(self.wanted)
            assert status in (200, 201), answer
            self.settled()

    def verdict(self, wanted: Json, live: Json) -> str | None:
        """What a forced apply would do: "changes" the object, "gives up" fields, "nothing"; None where it is refused."""
        status, made = self.apply(wanted, dry=True)
        if status >= 300 or _body(self.read()) != _body(live):
            return None  # refused, or a controller was quicker
        if _body(made) != _body(live):
            return "changes"
        return "gives up" if _owned(live) - _owned(made) else "nothing"


def _body(obj: Json) -> Json:
    """What counts as the object: not who owns what, nor what every write moves, nor status, nor nulls."""
    made = {name: _without_nulls(value) for name, value in obj.items() if name != "status"}
    made["metadata"] = {
        name: value for name, value in obj["metadata"].items() if name not in ("managedFields", "resourceVersion", "generation")
    }
    return made


def _without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _without_nulls(below) for name, below in value.items() if below is not None}
    return [_without_nulls(below) for below in value] if isinstance(value, list) else value


def _owned(obj: Json) -> set[str]:
    """The paths of our entry."""
    ours = [
        entry["fieldsV1"]
        for entry in obj["metadata"].get("managedFields", ())
        if (entry["manager"], entry["operation"], entry.get("subresource", "")) == (MANAGER, "Apply", "")
    ]
    return {"/".join(path) for fields in ours for path in _leaves(fields)}


def _leaves(node: Json) -> Iterator[tuple[str, ...]]:
    for name, below in node.items():
        if below:
            yield from ((name, *rest) for rest in _leaves(below))
        else:
            yield (name,)


# -- Steps ----------


def places(value: Json, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every path in an object, leaves and what holds them, identity and status left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, below in items:
        path = (*at, name)
        if path in (("apiVersion",), ("kind",), ("status",), ("metadata", "name"), ("metadata", "namespace")):
            continue
        if path[:2] == ("metadata", "managedFields"):
            continue
        yield path
        if isinstance(below, dict | list):
            yield from places(below, path)


def other(value: Json) -> Json:
    """Another value of the same sort."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{int(value) + 1}" if value.isdigit() else value + "x"
    if isinstance(value, list):
        return value[::-1] if len(value) > 1 else []
    return {**value, "added": "by-hand"} if isinstance(value, dict) else value


def at(obj: Json, path: tuple[str | int, ...]) -> Json:
    """What stands at a path; None where nothing does."""
    for token in path:
        try:
            obj = obj[token]
        except (KeyError, IndexError, TypeError):
            return None
    return obj


def changed(obj: Json, path: tuple[str | int, ...]) -> Json:
    """A copy with another value at a path."""
    made = copy.deepcopy(obj)
    at(made, path[:-1])[path[-1]] = other(at(made, path))
    return made


def dropped(obj: Json, path: tuple[str | int, ...]) -> Json:
    """A copy without what stands at a path."""
    made = copy.deepcopy(obj)
    del at(made, path[:-1])[path[-1]]
    return made


def record(subject: Subject) -> Iterator[Json]:
    """Everything that is recorded of one manifest: first its base, then the steps."""
    wanted = subject.wanted
    # A definition that was just applied is not served at once.
    until(lambda: subject.apply(wanted)[0] in (200, 201), f"{subject.path} to be taken")
    base = subject.settled()
    yield {"what": "applied", "wanted": wanted, "live": base, "expected": subject.verdict(wanted, base)}

    def step(what: str, path: tuple[str | int, ...], wanted_now: Json, live: Json) -> Iterator[Json]:
        expected = subject.verdict(wanted_now, live)
        if expected is not None:
            yield {
                "what": what,
                "at": list(path),
                "wanted": list(delta(wanted, wanted_now)),
                "live": list(delta(base, live)),
                "expected": expected,
            }

    for path in list(places(wanted)):
        if not isinstance(at(wanted, path), dict):  # an unknown field may be pruned without a word
            yield from step("manifest changed", path, changed(wanted, path), base)
        yield from step("manifest dropped", path, dropped(wanted, path), base)
    written = list(places(wanted))
    defaulted = [path for path in places(base) if path not in written]
    for path in written + defaulted[:: 1 + len(defaulted) // DEFAULTED_LIMIT]:
        for what, make in (("edited by hand", changed), ("dropped by hand", dropped)):
            now = subject.read()
            if at(now, path) is None or not subject.edit(make(now, path)):
                continue
            live = subject.read()
            if _body(live) == _body(base):
                continue  # the server put it back at once
            yield from step(what, path, wanted, live)
            if at(live, path) is not None and at(wanted, path) is not None and subject.edit({**live, **_spec_of(base)}):
                yield from step("edited back", path, wanted, subject.read())
            subject.heal(base)


def _spec_of(base: Json) -> Json:
    return {name: value for name, value in base.items() if name not in ("metadata", "status")}


def main(kubeconfig: str) -> None:
    """Record everything."""
    send = connect(kubeconfig)
    table = json.loads((Path(__file__).parents[2] / "schemas/kubernetes/types.json").read_text())["kinds"]
    send("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}, "application/json")
    subjects = []
    lines = []
    for wanted in manifests():
        known = table.get(f"{wanted['apiVersion']}/{wanted['kind']}", {"plural": "things", "namespaced": True})
        subject = Subject(send, wanted, known["plural"], known["namespaced"])
        subjects.append(subject)
        recorded = list(record(subject))
        lines += [json.dumps(one, separators=(",", ":"), ensure_ascii=True) for one in recorded]
        print(f"{wanted['kind']} {wanted['metadata']['name']}: {len(recorded)}", flush=True)
    RECORDED.write_text("\n".join(lines) + "\n")
    for subject in reversed(subjects):
        subject.remove()
    send("DELETE", f"/api/v1/namespaces/{NAMESPACE}", None, "application/json")


if __name__ == "__main__":
    main(sys.argv[1])
