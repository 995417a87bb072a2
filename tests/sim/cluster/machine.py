"""The type functions in the order in which the API server uses them: just enough of a server to judge them by its answers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from reconciler.sim.cluster import decode, defaults, merge, patch, resets, schema, strategic, validate
from reconciler.sim.cluster.errors import ApiError, invalid
from reconciler.sim.cluster.resources import table
from reconciler.sim.cluster.schema import Kind, Type

Json = dict[str, Any]

CASES = Path(__file__).parent / "cases"
CONTENT_TYPES = {
    "apply": "application/apply-patch+yaml",
    "create": "application/json",
    "put": "application/json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
# What the embedded server assigns elsewhere, so not judged here.
ASSIGNED = ("uid", "resourceVersion", "creationTimestamp", "generation", "selfLink")
ASSIGNED_SPEC = ("finalizers", "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort")


def clock(number: int) -> str:
    """The time of a step."""
    return f"2030-01-01T00:00:{number:02d}Z"


def query_of(step: Json) -> str:
    """The query of a step's request."""
    words = {"fieldManager": step.get("by", "test")}
    words |= {"force": "true"} if step.get("force") else {}
    words |= {"fieldValidation": step["validation"]} if "validation" in step else {}
    return "?" + urlencode(words)


def body_of(step: Json, kind: Kind) -> tuple[str, Any]:
    """What a step does, and with which body: an object is given its type and name, where it does not say them."""
    verb = next(name for name in CONTENT_TYPES if name in step)
    body = step[verb]
    if verb in ("apply", "create", "put"):
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        body["metadata"] = {"name": "x", **body.get("metadata", {})}
    return verb, body


def normal(answer: Json) -> Json:
    """An answer without what another part of the server assigns."""
    made: Json = json.loads(json.dumps(answer))
    if ("message" in made and "metadata" not in made) or made.get("kind") == "Status":
        # The real server walks maps in no order: what it lists has none here either.
        head, several, rest = made["message"].partition("errors:\n")
        made["message"] = head + several + "\n".join(sorted(rest.split("\n")))
        made.get("details", {}).get("causes", []).sort(key=lambda cause: (cause["message"], cause.get("field", "")))
        return {name: made[name] for name in ("message", "reason", "details") if name in made}
    for name in ASSIGNED:
        made.get("metadata", {}).pop(name, None)
    for name in ASSIGNED_SPEC:
        made.get("spec", {}).pop(name, None) if isinstance(made.get("spec"), dict) else None
    made.pop("status", None) if not made.get("status") else None
    return made


@cache
def definitions() -> dict[str, Json]:
    """The custom kinds of the cases, by apiVersion/Kind."""
    found = {}
    for each in yaml.safe_load_all((CASES / "definitions.yaml").read_text()):
        spec = each["spec"]
        for version in spec["versions"]:
            found[f"{spec['group']}/{version['name']}/{spec['names']['kind']}"] = each
    return found


@cache
def definition_kind(name: str) -> Kind:
    """A custom kind as the server knows it."""
    group, version, kind = name.split("/")
    spec = definitions()[name]["spec"]
    about = next(each for each in spec["versions"] if each["name"] == version)
    of = schema.custom_type(about["schema"]["openAPIV3Schema"], table().struct("meta.v1.ObjectMeta"))
    subresources = about.get("subresources", {})
    return Kind(group, version, kind, of, spec["scope"] == "Namespaced", spec["names"]["plural"], subresources=subresources)


def only_times_differ(new: Json, live: Json) -> bool:
    """Whether a write changes nothing but the times of entries: then it is none."""
    def bare(obj: Json) -> Json:
        entries = obj["metadata"].get("managedFields", [])
        managed = sorted(json.dumps({**entry, "time": None}, sort_keys=True) for entry in entries)
        return {**obj, "metadata": {**obj["metadata"], "managedFields": managed}}

    return bare(new) == bare(live)


class Machine:
    """One object of one kind, and what is done to it."""

    def __init__(self, name: str) -> None:
        self.custom = name not in table().kinds
        self.kind = definition_kind(name) if self.custom else table().kinds[name]
        self.of: Type = self.kind.type
        self.live: Json | None = None

    def types(self, api_version: str) -> Type | None:
        """The type of any served version of the kind."""
        name = f"{api_version}/{self.kind.kind}"
        if self.custom:
            return definition_kind(name).type if name in definitions() else None
        found = table().kinds.get(name)
        return found.type if found else None

    def stored(self, document: Json) -> Json:
        """The stored form of a document, complete."""
        return self.complete(decode.stored_object(self.of, document))

    def complete(self, document: Json) -> Json:
        """A stored document with its defaults."""
        made: Json = (defaults.custom_defaulted if self.custom else defaults.defaulted)(self.of, document)
        return made

    def do(self, step: Json, number: int) -> Json:
        """Do one step; the answer as recorded ones are."""
        verb, body = body_of(step, self.kind)
        on = step.get("on", "")
        has_status = "status" in self.kind.subresources
        unowned = resets.ignored(self.kind.group, self.kind.kind, on, custom=self.custom, has_status=has_status)
        by = merge.Writer(step.get("by", "test"), self.kind.api_version, self.kind.kind, clock(number), on, unowned)
        created = self.live is None
        try:
            if verb == "apply":
                live = self.live or decode.empty(self.of, self.kind.api_version, self.kind.kind)
                new = self.complete(merge.apply(self.types, live, body, by, force=step.get("force", False)))
            else:
                new = merge.update(self.types, self.live, self.stored(self._changed(verb, body)), by)
        except ApiError as error:
            return {"code": error.code, "body": normal(error.status())}
        wrong = validate.causes(self.of, new) if self.custom else []
        if wrong:
            return {"code": 422, "body": normal(invalid(self.kind.group, self.kind.kind, "x", wrong).status())}
        new = self._prepared(new, on, has_status)
        if self.live is None or not only_times_differ(new, self.live):
            self.live = new
        return {"code": 201 if created else 200, "body": normal(self.live)}

    def _changed(self, verb: str, body: Any) -> Json:
        if verb in ("create", "put"):
            return dict(body)
        assert self.live is not None
        if verb == "merge":
            return dict(patch.merge_patch(self.live, body))
        if verb == "json":
            return dict(patch.json_patch(self.live, body))
        return strategic.strategic_patch(self.of, self.live, body)

    def _prepared(self, new: Json, on: str, has_status: bool) -> Json:
        """What a kind's strategy puts back."""
        old = self.live or {}
        metadata = {"uid": "1", **new["metadata"]}
        if not self.custom or self.kind.namespaced:
            metadata |= {"namespace": "default"} if self.kind.namespaced else {}
        new = {**new, "metadata": metadata}
        if not has_status:
            return new
        if on != "status":
            first = {} if self.custom else self.stored({})
            kept = {"status": (old or first)["status"]} if "status" in (old or first) else {}
            return {name: each for name, each in new.items() if name != "status"} | kept
        if self.custom:
            metadata = {**old["metadata"], "managedFields": metadata.get("managedFields", [])}
        elif self.kind.kind == "Deployment":
            metadata["labels"] = old["metadata"].get("labels", {})
        return {**old, "metadata": {name: each for name, each in metadata.items() if each}, "status": new.get("status", {})}
