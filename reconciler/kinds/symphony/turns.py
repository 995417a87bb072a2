"""What a changed record of an instance means, for people who look before they merge: who gets what, who moves, who leaves.

Law of the module: pure, of two records alone. Whatever would be taken away is said of each cluster, loudly, and with what to write to keep
it where there is something to write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.core.kind import Json
from reconciler.core.told import Turn

from . import standing
from .model import BLOCK, DEFAULT
from .standing import Stand, Standing

NAMED = 5  # targets in one line
LEAVE = "LEAVE"

_RINGS = "stages are exclusive; with annotation reconciler.dev/rings: cumulative those listed before would stay"
_DEFAULT = "the default stage leaves all others"
_TAKEN = "another target takes their place"
_UNMATCHED = "no target of its stage any more"


def turns(before: Json | None, after: Json | None) -> tuple[Turn, ...]:
    """The lines for a record that becomes another; the first is of the instance as a whole."""
    if before == after:
        return ()
    old, new = standing.read(before), standing.read(after)
    head = _head(old, new, gone=after is None)
    clusters = dict.fromkeys(stand.cluster for stand in (*_stood(old).values(), *_stood(new).values()))
    lines = [turn for cluster in sorted(clusters) for turn in _on(cluster, old, new, gone=after is None)]
    return (Turn("", "", head), *lines) if head or lines else ()


def _head(old: Standing, new: Standing, *, gone: bool) -> str:
    if gone:
        return "is gone from Git: undeployed everywhere"
    fired = [f"schedule {text} has come" for text in new.fired if text not in old.fired]
    if not old.stage:
        return "; ".join([f"stage {new.stage} (new)", *fired])
    if old.stage != new.stage:
        return "; ".join([f"stage {old.stage} -> {new.stage}", *fired])
    was, now = _counts(old), _counts(new)
    moved = [f"{name} {was.get(name, 0)} -> {now.get(name, 0)}" for name in sorted({**was, **now}) if was.get(name) != now.get(name)]
    return "; ".join([f"stage {new.stage}: {', '.join(moved)}" if moved else "", *fired]).strip("; ")


def _counts(of: Standing) -> dict[str, int]:
    counts: dict[str, int] = {}
    for stand in of.targets.values():
        counts[stand.solution] = counts.get(stand.solution, 0) + 1
    return counts


def _stood(of: Standing) -> Mapping[str, Stand]:
    return {**of.leaving, **of.targets}


def _on(cluster: str, old: Standing, new: Standing, *, gone: bool) -> Iterator[Turn]:
    """What comes of the targets of one cluster."""
    was, now = _stood(old), new.targets
    if new.stage == BLOCK and not gone:
        names = [name for name, stand in was.items() if stand.cluster == cluster]
        yield Turn(cluster, _named("targets", names), "stay as they are: nothing is applied, healed or deleted")
        return
    groups: dict[tuple[str, str], list[str]] = {}
    for name, stand in now.items():
        had = was.get(name)
        if stand.cluster == cluster:
            what = _comes(had, stand)
            if what:
                groups.setdefault((f"{stand.stage} targets", what), []).append(name)
    for (who, what), names in groups.items():
        yield Turn(cluster, _named(who, names), what)
    yield from _going(cluster, old, new, gone=gone)


def _comes(had: Stand | None, stand: Stand) -> str:
    if had is None:
        return f"get {stand.solution}"
    if had.at != stand.at:
        return f"get {stand.solution} in namespace {stand.namespace}; it was {had.namespace} of {had.cluster}"
    return f"{had.solution} -> {stand.solution}" if had.solution != stand.solution else ""


def _going(cluster: str, old: Standing, new: Standing, *, gone: bool) -> Iterator[Turn]:
    """Who leaves its place, and why."""
    taken = {stand.at for stand in new.targets.values()}
    going: dict[tuple[str, str, str], list[tuple[str, Stand]]] = {}
    for name, stand in _stood(old).items():
        stays = new.targets.get(name)
        if stand.cluster != cluster or (stays is not None and stays.at == stand.at):
            continue
        if name in new.leaving:
            what, hint = f"stay until stage {new.stage} is healthy, then {LEAVE}", ""
        else:
            what, hint = LEAVE, "" if gone else _TAKEN if stand.at in taken else _hint(stand, new, moves=stays is not None)
        going.setdefault((f"{stand.stage} targets", what, hint), []).append((name, stand))
    for (who, what, hint), found in going.items():
        leaves = dict.fromkeys(stand.namespace for _, stand in found if stand.at not in taken) if what == LEAVE else ()
        yield Turn(cluster, _named(who, [name for name, _ in found]), what, tuple(leaves), hint)


def _hint(stand: Stand, new: Standing, *, moves: bool) -> str:
    if moves:
        return "they have another place now"
    why = new.left.get(stand.scope, "")
    if not why.startswith("stage "):
        return why or _UNMATCHED
    return _DEFAULT if new.stage == DEFAULT else _RINGS


def _named(who: str, names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{who}: {', '.join(sorted(names)[:NAMED])}{more}"
