"""What is wrong with a whole tree of instances, solutions, targets and catalogs, as upstream's webhooks would refuse it (symphony.md §2.9).

Law of the module: pure, bounded, and every problem at the line that somebody has to change. What a plan would say is said by the plan's
own code, in the same words. All objects of a commit are seen at once, so nothing depends on the order in which they came.

Whom a stage means is worked out for the stages that an instance is not in too: what they miss would only be found when it is too late.
That costs targets times stages, up to `MATCHES_LIMIT`, and nothing of it is done where units are planned beside the check (`Tree.planned`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from reconciler.core.identity import ClusterName, GroupKind, Lane, Place
from reconciler.core.manifest import Manifest
from reconciler.core.problem import Pointer, Problem, shown
from reconciler.core.tree import Tree

from . import lookup, read, written
from .assignment import assignment
from .generations import parse_ref
from .model import (
    BLOCK,
    CATALOG,
    CATALOG_CONTAINER,
    CATALOG_VERSION,
    DEFAULT,
    INSTANCE,
    SOLUTION,
    SOLUTION_CONTAINER,
    SOLUTION_VERSION,
    TARGET,
    Instance,
    Json,
    Solution,
    Target,
)
from .stages import name_of, rings
from .targets import CLUSTER, DEFAULT_NAMESPACE, is_exact, matches, spaces

MATCHES_LIMIT = 500_000
"""Targets that are looked at, over all stages of all instances."""

NOWHERE = ClusterName("the default cluster")
"""Where a target goes of which only a configuration knows where it goes."""

PARENTS = 32  # of one catalog
HINTS = 20  # of one instance: targets that a missing one may have been

_IN_DEFAULT = f"of {NOWHERE};"


def check(tree: Tree) -> tuple[Problem, ...]:
    """All that is wrong, in order of place."""
    found = [*_alone(tree), *_containers(tree), *_names(tree), *_catalogs(tree), *_changed(tree)]
    room = 0 if tree.planned else MATCHES_LIMIT
    asked = _Asked(tree) if room else None
    for manifest in tree.manifests(INSTANCE):
        instance, _ = read.instance(manifest)
        if instance is None:
            continue
        found += _solutions(instance, tree)
        if asked is None:
            continue
        room -= len(tree.manifests(TARGET)) * (len(instance.stages) + 1)
        if room < 0:
            text = f"not checked: whom its stages mean (more than {MATCHES_LIMIT:,} targets to look at)"
            found.append(Problem(manifest.place(), text, "warning"))
            asked = None
            continue
        found += _targets(instance, asked)
    return tuple(sorted(dict.fromkeys(found), key=lambda problem: (problem.place, problem.message)))


# -- each by itself ----------


def _alone(tree: Tree) -> Iterator[Problem]:
    """What one object shows without the others: stages that are not there, weights, circles of components, expressions."""
    for kind in (INSTANCE, TARGET, SOLUTION, SOLUTION_VERSION, CATALOG, CATALOG_VERSION):
        for manifest in tree.manifests(kind):
            yield from written.wrong(manifest)
    for manifest in tree.manifests(INSTANCE):
        yield from read.instance(manifest)[1]
    for manifest in tree.manifests(TARGET):
        yield from read.target(manifest)[1]
    for kind in (SOLUTION, SOLUTION_VERSION):
        for manifest in tree.manifests(kind):
            yield from read.solution(manifest)[1]


# -- references ----------


def _solutions(instance: Instance, tree: Tree) -> Iterator[Problem]:
    """Solutions that are not there, or of which there are several."""
    manifest = instance.manifest
    wanted = [(share.solution, share.pointer) for share in instance.shares]
    wanted += [(instance.solution, _solution_of(manifest, ("spec",)))] if instance.solution and not instance.shares else []
    for entry in instance.stages:
        wanted += [(share.solution, share.pointer) for share in entry.shares]
        wanted += [(entry.solution, _solution_of(manifest, entry.pointer))] if entry.solution and not entry.shares else []
    for reference, pointer in wanted:
        found = lookup.solution(tree, manifest.namespace, reference)
        if isinstance(found, lookup.Missing):
            at = f" (at {found.place})" if found.place else ""
            yield Problem(manifest.place(pointer), f"{found.message}{at}")


def _solution_of(manifest: Manifest, at: Pointer) -> Pointer:
    """Where a stage, or the instance, says which solution it wants: under one of two names (§1.3)."""
    value: Any = manifest.body()
    for step in at:
        value = value[step]
    return (*at, "solution" if "solution" in value else "solutionversion")


def _stages(instance: Instance) -> list[str]:
    """The stages that it may come to. An instance of rings alone has no default."""
    has_default = (instance.solution or instance.shares) and (instance.target.name or instance.target.selector)
    return [*(entry.name for entry in instance.stages), *([DEFAULT] if has_default else [])]


# -- targets ----------


@dataclass(slots=True)
class _Asked:
    """A tree, as `assignment` asks a view."""

    tree: Tree

    @property
    def clusters(self) -> tuple[ClusterName, ...]:
        if self.tree.clusters is not None:
            return self.tree.clusters
        return tuple(_named_clusters(self.tree))

    def manifests(self, kind: GroupKind) -> tuple[Manifest, ...]:
        return self.tree.manifests(kind)

    def named(self, kind: GroupKind, namespace: str, name: str) -> tuple[Manifest, ...]:
        return self.tree.named(kind, namespace, name)

    def lane_of(self, manifest: Manifest) -> Lane | str | None:
        lane = self.tree.lane_of(manifest)
        return Lane(NOWHERE) if isinstance(lane, str) and self.tree.clusters is None else lane


def _named_clusters(tree: Tree) -> dict[ClusterName, None]:
    """The clusters that targets and instances name, where nobody has said which there are: all of them count as there."""
    found: dict[ClusterName, None] = {}
    above = [instance for manifest in tree.manifests(INSTANCE) if (instance := read.instance(manifest)[0]) is not None]
    targets = [target for manifest in tree.manifests(TARGET) if (target := read.target(manifest)[0]) is not None]
    topologies = [topology for target in targets for topology in target.topologies]
    for instance in above:
        topologies += [*instance.topologies, *(topology for stage in instance.stages for topology in stage.topologies)]
    for topology in topologies:
        found.update((ClusterName(binding.config["cluster"]), None) for binding in topology.bindings if "cluster" in binding.config)
    found.update((ClusterName(name), None) for target in targets if (name := target.manifest.annotations.get(CLUSTER)))
    return found


def _targets(instance: Instance, asked: _Asked) -> Iterator[Problem]:
    """Targets that are not there, stages that mean none, and two of one stage in one place."""
    manifest, tree = instance.manifest, asked.tree
    here = spaces(manifest.namespace)
    others = [target for target in tree.manifests(TARGET) if target.namespace in here]
    names = dict.fromkeys(target.name for target in others)
    # Each stage as the only one of its instance: looking for it among all of them would take the square of their number.
    alone = {entry.name: replace(instance, stages=(entry,), rings="exclusive") for entry in instance.stages}
    stages = {stage: alone.get(stage, instance) for stage in _stages(instance)}
    missing: dict[Pointer, None] = {}
    for choice in [ring.choice for stage, one in stages.items() for ring in rings(one, stage)]:
        if is_exact(choice) and choice.name not in names and choice.pointer not in missing:
            near = lookup.nearest(choice.name, others) if len(missing) < HINTS else ""
            missing[choice.pointer] = None
            yield Problem(manifest.place((*choice.pointer, "name")), f"there is no Target {choice.name}{near}")
    not_there = {manifest.place(pointer): None for pointer in missing}
    told: dict[tuple[Place, str], None] = {}
    present = name_of(instance.stage)
    if instance.rings == "cumulative":  # the last has all rings; the present one goes first, for what is wrong in it is no warning
        stages = {stage: instance for stage in (present, *[entry.name for entry in instance.stages[-1:]], DEFAULT) if stage in stages}
    for stage, one in stages.items():
        for problem in assignment(one, stage, {}, asked).problems:
            key = (problem.place, problem.message)
            if key in told or ("none matches" in problem.message and problem.place in not_there):
                continue
            told[key] = None
            if _IN_DEFAULT in problem.message:
                text = f"{problem.message} (or configure clusters of their names)"
                yield replace(problem, message=text, severity="warning")
            elif "none matches" in problem.message and stage != present:
                yield replace(problem, severity="warning")
            else:
                yield problem


# -- containers and catalogs ----------


def _containers(tree: Tree) -> Iterator[Problem]:
    """The container that a version says it belongs to, in namespaces where there are containers at all (G2 and later)."""
    solutions = [m for m in tree.manifests(SOLUTION) if read.solution(m) == (None, ())]
    catalogs = [m for m in tree.manifests(CATALOG) if not _spec(m).get("properties")]
    for name, there, versions in (
        ("Solution", [*tree.manifests(SOLUTION_CONTAINER), *solutions], (SOLUTION, SOLUTION_VERSION)),
        ("Catalog", [*tree.manifests(CATALOG_CONTAINER), *catalogs], (CATALOG, CATALOG_VERSION)),
    ):
        known = {(manifest.namespace or DEFAULT_NAMESPACE, manifest.name): manifest for manifest in there}
        for version in (manifest for kind in versions for manifest in tree.manifests(kind)) if known else ():
            root, space = _spec(version).get("rootResource"), version.namespace or DEFAULT_NAMESPACE
            if isinstance(root, str) and root and (space, root) not in known:
                near = lookup.nearest(root, [manifest for (where, _), manifest in known.items() if where == space])
                text = f"there is no container of {name}s {root}, as spec.rootResource says{near}"
                yield Problem(version.place(("spec", "rootResource")), text)


def _catalogs(tree: Tree) -> Iterator[Problem]:
    """Parents that are not there, or lead back."""
    everyone = [manifest for kind in (CATALOG, CATALOG_VERSION) for manifest in tree.manifests(kind)]
    for manifest in everyone:
        parent = _spec(manifest).get("parentName")
        if not isinstance(parent, str) or not parent:
            continue
        place = manifest.place(("spec", "parentName"))
        line = [manifest.name]
        found = lookup.catalog(tree, manifest.namespace, parent)
        if found is None:
            near = lookup.nearest(parent, [one for one in everyone if one is not manifest])
            yield Problem(place, f"there is no Catalog {parent}, which is to be the parent{near}")
        name = parent
        while found is not None and len(line) < PARENTS:
            line.append(name)
            if _is(name, manifest):
                yield Problem(place, f"the parents of catalogs go in a circle: {' → '.join(line)}")
                break
            name = found.parent
            found = lookup.catalog(tree, manifest.namespace, name) if name else None


def _is(reference: str, manifest: Manifest) -> bool:
    return "-v-".join(filter(None, parse_ref(reference))) == manifest.name


def _spec(manifest: Manifest) -> Json:
    spec = manifest.body().get("spec")
    return spec if isinstance(spec, dict) else {}


# -- names ----------


def _names(tree: Tree) -> Iterator[Problem]:
    """A display name names one object of a kind and a namespace."""
    for kinds in ((INSTANCE,), (TARGET,), (SOLUTION, SOLUTION_VERSION)):
        first: dict[tuple[str, str], list[Manifest]] = {}
        for kind in kinds:
            for manifest in tree.manifests(kind):
                name = _display_name(manifest)
                if name:
                    first.setdefault((manifest.namespace or DEFAULT_NAMESPACE, name), []).append(manifest)
        for (_, name), same in first.items():
            if len(dict.fromkeys(manifest.name for manifest in same)) < 2:
                continue  # written twice, which is told of the whole object
            for manifest in same:
                other = next(one for one in same if one.name != manifest.name)
                text = f"spec.displayName is {shown(name)}, as that of {other.kind}/{other.name} ({other.place()}); each needs its own"
                yield Problem(manifest.place(("spec", "displayName")), text)


def _display_name(manifest: Manifest) -> str:
    found: Instance | Target | Solution | None
    if manifest.kind == INSTANCE.kind:
        found, _ = read.instance(manifest)
    elif manifest.kind == TARGET.kind:
        found, _ = read.target(manifest)
    else:
        found, _ = read.solution(manifest)
    return found.display_name if found is not None else ""


# -- what may not change ----------


def _changed(tree: Tree) -> Iterator[Problem]:
    """Fields that upstream lets nobody change. Whoever means it makes a new object: here the change would be carried out."""
    for manifest in tree.manifests(INSTANCE):
        old = tree.before(manifest)
        was, now = read.instance(old)[0] if old is not None else None, read.instance(manifest)[0]
        if was is None or now is None:
            continue
        if was.scope != now.scope:
            yield _moved(manifest, "scope", was.scope, now.scope, "this one leaves all places that it has")
        if now.dry_run and not was.dry_run:
            text = "spec.isDryRun is true and was false: what is deployed cannot be made a dry run; make another Instance for that"
            yield Problem(manifest.place(("spec", "isDryRun")), text)
    for manifest in tree.manifests(TARGET):
        old = tree.before(manifest)
        before, after = read.target(old)[0] if old is not None else None, read.target(manifest)[0]
        if before is None or after is None or before.solution_scope == after.solution_scope:
            continue
        if user := _user(after, tree):
            key = next((key for key in ("solutionScope", "solutionversionScope") if key in _spec(manifest)), "solutionScope")
            told = f"{user} stands on this one and moves"
            yield _moved(manifest, key, before.solution_scope, after.solution_scope, told)


def _moved(manifest: Manifest, key: str, was: str, now: str, what: str) -> Problem:
    text = f"spec.{key} is {shown(now)} and was {shown(was)}, which may not change; make another {manifest.kind}, else {what}"
    return Problem(manifest.place(("spec", key)), text)


def _user(target: Target, tree: Tree) -> str:
    """An instance without a scope of its own that means a target in its present stage."""
    space = target.manifest.namespace or DEFAULT_NAMESPACE
    for manifest in tree.manifests(INSTANCE):
        instance, _ = read.instance(manifest)
        if instance is None or instance.scope or (manifest.namespace or DEFAULT_NAMESPACE) != space or instance.stage == BLOCK:
            continue
        if any(matches(ring.choice, target) for ring in rings(instance, instance.stage)):
            return f"Instance/{manifest.name}"
    return ""
