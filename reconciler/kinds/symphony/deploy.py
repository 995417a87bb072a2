"""One solution on one target: the objects that should exist there.

Law of the module: the same solution on the same target gives the same `Wanted` values, by identity, whatever else of the instance
changes: a move of one target leaves ten thousand others alone. So what asks nobody is rendered once and kept; what asks for a catalog, a
Secret or a file is rendered each time, since its answers are questions of the plan.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from reconciler.core.identity import ClusterName, ObjectId, ObjectRef, Place
from reconciler.core.kind import Policy, Wanted
from reconciler.core.manifest import Manifest
from reconciler.core.messages import Chart, ChartFailure, ChartObjects
from reconciler.core.problem import Pointer, Problem
from reconciler.core.view import View
from reconciler.core.wanted import PRUNE, asked

from .catalogs import Catalog, config_from
from .components import Object, Site, render
from .components.helm import is_exact
from .expressions import Evaluated, ExpressionError, Scope, evaluate_all
from .lookup import catalog
from .model import NO_TEXTS, Component, Json, Placement, Solution, Target, Texts

KEPT = 65_536
"""Lanes whose objects are kept, in the order in which they came; beyond it what did not change is rendered anew."""

_ASKS = (b"$config", b"$secret", b'"yaml"', b"helm.v3")


class Face(NamedTuple):
    """All that an instance says to each of its targets, whatever its stage."""

    name: str
    namespace: str
    metadata: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]

    @property
    def asks(self) -> bool:
        """Whether it asks for anything that is not its own."""
        return any("$config" in text or "$secret" in text for _, text in (*self.metadata, *self.parameters))


Source = Solution | Target
"""Where components stand: a solution, or a target that has some of its own."""


class Deployed(NamedTuple):
    """What one source comes to on one target. `whole`: nothing that belongs there is missing."""

    wanted: tuple[Wanted, ...]
    problems: tuple[Problem, ...]
    placed: tuple[str, ...]
    whole: bool
    charts: Texts = NO_TEXTS  # which version was taken of those that leave it open
    lasts: bool = False  # asks nobody, and has no problem: the place of one may be in the file of the instance, whatever that says now


_kept: dict[tuple[Any, ...], Deployed] = {}


def deploy(
    face: Face,
    root: Manifest,
    source: Source,
    target: Target,
    placement: Placement,
    above: str,
    view: View,
    charts: Texts = NO_TEXTS,
) -> Deployed:
    """The objects of a source on a target. `root` is who asks, for places; `above` names the bindings that are not the target's own.

    `charts` is what `Deployed.charts` was: a version that is left open is taken once, and then stands, whatever is newer.

    Raises:
        NotYet: something that an expression asks for is not known yet.
    """
    # Manifests are compared by identity, and being in the key keeps them alive.
    key = (face, source.manifest, target.manifest, placement.cluster, placement.namespace, above)
    kept = _kept.get(key)
    if kept is not None and kept.lasts:
        return kept
    found = _deploy(face, root, source, target, placement, view, charts)
    if kept is not None and [_facts(want) for want in kept.wanted] == [_facts(want) for want in found.wanted]:
        found = found._replace(wanted=kept.wanted)
    asks = face.asks or any(sign in text for sign in _ASKS for text in (source.manifest.json, target.manifest.json))
    _kept[key] = found = found._replace(lasts=not asks and not found.problems)
    if len(_kept) > KEPT:
        del _kept[next(iter(_kept))]
    return found


def _facts(want: Wanted) -> tuple[Any, ...]:
    return want.id, want.digest, want.version, want.place, want.wave, want.policy, want.part, want.secret


def _deploy(
    face: Face, root: Manifest, source: Source, target: Target, placement: Placement, view: View, charts: Texts
) -> Deployed:
    asking = _Asking(face, target, placement, view, charts)
    site = Site(
        instance=face.name,
        placement=placement,
        evaluate=asking.evaluate,
        types=view.types,
        solution_metadata=source.metadata,
        instance_metadata=dict(face.metadata),
        content=view.content,
        allowed_urls=view.urls,
        chart=asking.chart if view.has_helm else None,
    )
    rendered = render(source.components, site)
    theirs = _in_target(target, placement)
    problems = []
    for fault in rendered.problems:
        whose = target.manifest if fault.whose == "binding" and fault.pointer[:5] in theirs else root
        manifest = source.manifest if fault.whose == "solution" else whose
        problems.append(Problem(_place(manifest, fault.pointer), fault.message, fault.severity))
    wanted = [_namespace(name, target.manifest) for name in rendered.namespaces if name != "default"]
    for object in rendered.objects:
        made, wrong = _wanted(object, source.manifest)
        wanted.append(made)
        problems += wrong
    whole = not rendered.failed and all(problem.severity != "error" for problem in problems)
    return Deployed(tuple(wanted), tuple(problems), rendered.placed, whole, asking.taken)


def _in_target(target: Target, placement: Placement) -> dict[Pointer, None]:
    """Where the bindings that count are the target's own: one of the instance may stand at the same pointer in its file."""
    counting = [id(binding) for binding in placement.binding.values()]
    return {b.pointer: None for topology in target.topologies for b in topology.bindings if id(b) in counting}


@lru_cache(maxsize=10_000)
def _place(manifest: Manifest, pointer: Pointer) -> Place:
    """Where a component stands: ten thousand targets share it, and finding it takes a look through the file."""
    return manifest.place(pointer)


@lru_cache(maxsize=KEPT)
def _namespace(name: str, manifest: Manifest) -> Wanted:
    """The namespace that objects live in. Others may put something there too, so it stays when the instance goes.

    Whatever stands on a target, the target asks for it: where it is written does not move with versions and instances.
    """
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": {PRUNE: "disabled"}}}
    json = msgspec.json.encode(body)
    id = ObjectId("", "Namespace", "", name)
    return Wanted(id, "v1", json, manifest.place(), policy=Policy(prune="disabled", yields=True))


def _wanted(object: Object, manifest: Manifest) -> tuple[Wanted, list[Problem]]:
    json = msgspec.json.encode(object.json)
    group, _, version = object.json["apiVersion"].rpartition("/")
    metadata = object.json["metadata"]
    id = ObjectId(group, object.json["kind"], metadata.get("namespace") or "", metadata["name"])
    place = _place(manifest, object.pointer)
    notes = metadata.get("annotations")
    wave, policy, wrong = asked(notes) if notes else (0, Policy(), ())
    made = Wanted(
        id, version, json, place, None, wave or object.wave, policy, ",".join(object.components), bool(object.hidden)
    )
    return made, [Problem(place, f"{id}: {annotation} must be {must}") for annotation, must in wrong]


class _Asking:
    """What components on one target ask for."""

    def __init__(self, face: Face, target: Target, placement: Placement, view: View, charts: Texts) -> None:
        self.face = face
        self.target = target
        self.placement = placement
        self.view = view
        self.charts = charts
        self.taken: dict[str, str] = {}

    def chart(self, chart: Chart) -> ChartObjects | ChartFailure:
        """A chart's objects, of the version that was taken before where none is named."""
        if is_exact(chart.version):
            return self.view.chart(chart)
        key = f"{chart.repo} {chart.name} {chart.version}"
        version = self.charts.get(key, "")
        found = self.view.chart(replace(chart, version=version) if version else chart)
        version = found.version if isinstance(found, ChartObjects) else version
        if version:
            self.taken[key] = version
        return found

    def evaluate(self, json: Json, component: Component) -> Evaluated:
        """The expressions in a value, for a component."""
        scope = Scope(
            properties=self.target.properties,
            parameters={**component.parameters, **dict(self.face.parameters)},
            instance=self.face.name,
            config=config_from(self._catalog),
            secret=self._secret,
        )
        return evaluate_all(json, scope)

    def _catalog(self, name: str) -> Catalog | None:
        return catalog(self.view, self.face.namespace, name)

    def _secret(self, name: str, key: str) -> str:
        cluster, namespace = self.placement.cluster, self.placement.namespace
        live = self.view.live(ObjectRef(ClusterName(cluster), ObjectId("", "Secret", namespace, name)))
        data = live.body().get("data") if live is not None else None
        if not isinstance(data, dict) or key not in data:
            what = f"there is no Secret {name}" if live is None else f"Secret {name} has no key {key}"
            raise ExpressionError(f"{what} in namespace {namespace} of {cluster}")
        try:
            return base64.b64decode(str(data[key]), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ExpressionError(f"key {key} of Secret {name} in namespace {namespace} of {cluster} is no text") from None
