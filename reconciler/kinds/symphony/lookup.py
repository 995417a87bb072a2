"""Solutions and catalogs by the references that name them.

Law of the module: asks a view, or a tree, and decides nothing else. A reference "a:b" (or "a-v-b") is exactly that version; a bare "a" is
the object called so, else the only version of it; of several versions none is taken (symphony.md §1.3). An object without a namespace is
in `default`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reconciler.core.identity import GroupKind, Place
from reconciler.core.manifest import Manifest
from reconciler.core.problem import did_you_mean, listed
from reconciler.core.tree import Lookup

from . import read
from .catalogs import Catalog
from .generations import SEPARATOR, parse_ref, solution_name
from .model import CATALOG, CATALOG_VERSION, SOLUTION, SOLUTION_VERSION, Solution
from .targets import spaces

NAMED = 5  # versions in one message


class Missing(NamedTuple):
    """Why a reference leads nowhere."""

    message: str
    place: Place | None = None  # of what it leads to, where that is there and wrong


def solution(view: Lookup, namespace: str, reference: str) -> Solution | Missing:
    """The solution that a reference names."""
    kinds = (SOLUTION, SOLUTION_VERSION)
    exact = [m for m in _named(view, namespace, reference, kinds) if any(read.solution(m))]  # and no container of versions
    if len(exact) > 1:
        text = f"Solution {exact[0].name} is written twice, also at"
        return Missing(f"{text} {exact[0].place()}", exact[1].place())
    for manifest in exact:
        found, problems = read.solution(manifest)
        if found is not None:
            return found
        wrong = next(problem for problem in problems if problem.severity == "error")
        return Missing(f"Solution {manifest.name} cannot be used: {wrong.message}", wrong.place)
    root, version = parse_ref(reference)
    others = [m for kind in kinds for m in view.manifests(kind) if _same(m.namespace, namespace)]
    versions = [m for m in others if solution_name(m)[0] == root and read.solution(m)[0] is not None]
    if not version and len(versions) == 1:
        found, _ = read.solution(versions[0])
        assert found is not None
        return found
    if not version and versions:
        names = listed(sorted(f"{root}:{solution_name(m)[1]}" for m in versions)[:NAMED])
        return Missing(f"Solution {root} has several versions, say which: {names}")
    return Missing(f"there is no Solution {reference}{nearest(reference, others)}")


def nearest(name: str, others: Sequence[Manifest]) -> str:
    """`; did you mean site-app (sites/solution.yaml:3)?`, or nothing where none is called nearly so."""
    text = did_you_mean(name, [manifest.name for manifest in others])
    near = next((manifest for manifest in others if text and text == f"; did you mean {manifest.name}?"), None)
    return f"; did you mean {near.name} ({near.path}:{near.line})?" if near is not None else text


def catalog(view: Lookup, namespace: str, name: str) -> Catalog | None:
    """The catalog that a reference names; None where there is none."""
    for manifest in _named(view, namespace, name, (CATALOG, CATALOG_VERSION)):
        spec = manifest.body().get("spec")
        properties = spec.get("properties") if isinstance(spec, dict) else None
        if isinstance(spec, dict) and isinstance(properties, dict):
            return Catalog(properties, str(spec.get("parentName") or ""))
    return None


def _named(view: Lookup, namespace: str, reference: str, kinds: tuple[GroupKind, ...]) -> list[Manifest]:
    root, version = parse_ref(reference)
    names = [f"{root}{SEPARATOR}{version}" if version else root]
    here = spaces(namespace)
    return [m for name in names for kind in kinds for space in here for m in view.named(kind, space, name)]


def _same(one: str, other: str) -> bool:
    return (one or "default") == (other or "default")
