"""What holds of instances whatever people commit, and in whatever order: shares, places, blocks, crashes."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.kind import Held, Plan
from reconciler.core.view import ask_again
from reconciler.kinds.symphony import standing
from reconciler.kinds.symphony.shares import assign, counts
from tests.kinds.symphony.cases import FLEETS, Fleet, told

Json = dict[str, Any]

# -- shares ----------

weights = st.lists(st.one_of(st.integers(0, 100), st.floats(0, 1_000, allow_nan=False)), min_size=1, max_size=5).filter(
    lambda found: sum(found) > 0
)
names = st.lists(st.integers(0, 200).map("t{}".format), max_size=60, unique=True)


def shares_of(weights: list[float]) -> list[tuple[str, float]]:
    return [(f"v{index}", weight) for index, weight in enumerate(weights)]


@given(weights, st.integers(0, 300))
def test_shares_sum_to_the_number_of_targets_and_are_nearly_exact(weights: list[float], targets: int) -> None:
    found = counts(weights, targets)
    assert sum(found) == targets
    for weight, count in zip(weights, found, strict=True):
        assert abs(count - weight * targets / sum(weights)) < 1 + 1e-6
        assert weight or not count


@given(names, weights, st.randoms(use_true_random=False), st.data())
def test_a_move_set_is_minimal_and_a_repeat_moves_nobody(
    targets: list[str], weights: list[float], random: Any, data: st.DataObject
) -> None:
    shares = shares_of(weights)
    before = data.draw(st.fixed_dictionaries({}, optional={t: st.sampled_from(["v0", "v1", "v2", "gone"]) for t in targets}))
    found = assign("i", targets, shares, before)
    number = Counter(found.values())
    assert list(found) == targets
    assert [number[version] for version, _ in shares] == list(counts(weights, len(targets)))
    had = Counter(before.values())
    stay = sum(found[target] == version for target, version in before.items())
    assert stay == sum(min(had[version], number[version]) for version in number), "some moved that need not"
    assert assign("i", targets, shares, found) == found
    random.shuffle(targets)
    assert assign("i", targets, shares, before) == found, "the order of files decides nothing"


# -- whatever people do ----------

NAMES = ("a", "b", "c", "d", "e", "f")
STAGES = ("", "default", "BLOCK", "ring0", "ring1", "canary", "nowhere")


@st.composite
def targets_of(draw: st.DrawFn) -> Json | None:
    """A target, rightly written most of the time; now and then in the place of another."""
    if draw(st.integers(0, 5)) == 0:
        return None
    cluster = draw(st.sampled_from(["eu", "eu", "us", "us", "", "unknown"]))
    target: Json = {"ring": draw(st.sampled_from(["ring0", "ring0", "ring1", "other"])), "cluster": cluster}
    if draw(st.integers(0, 3)) == 0:
        target["shop"] = draw(st.sampled_from(["shop-a", "shop-b", "Bad Name", ""]))
    return target


@st.composite
def stages_of(draw: st.DrawFn) -> list[Json]:
    versions = [{"solution": name, "weight": draw(st.integers(0, 10))} for name in ("my-app-v1", "my-app-v2", "my-app")]
    solution = st.sampled_from(["my-app-v1", "my-app-v2", "missing"])
    return [
        {"name": "ring0", "solution": draw(solution), "target": {"selector": {"label": "ring0"}}},
        {"name": "ring1", "solution": draw(solution), "target": draw(st.sampled_from([{"selector": {"label": "ring*"}}, {"name": "b"}]))},
        {"name": "canary", "versions": versions, "target": {"selector": {"label": draw(st.sampled_from(["ring0", "ring%"]))}}},
    ]


image = st.sampled_from(["my-app:1", "my-app:2", "${{$config(conf,image)}}", None])
changes = st.fixed_dictionaries(
    {},
    optional={
        "instance": st.fixed_dictionaries(
            {},
            optional={
                "stage": st.sampled_from(STAGES),
                "stages": stages_of(),
                "schedule": st.sampled_from([None, "2030-03-17T18:03:20Z", "2030-03-17T20:00:00Z"]),
                "activeState": st.sampled_from(["active", "active", "active", "inactive"]),
                "isDryRun": st.sampled_from([False, False, False, True]),
                "reconciliationPolicy": st.sampled_from([None, None, {"state": "inactive"}]),
                "scope": st.sampled_from([None, None, None, "shop-a"]),
            },
        ),
        "notes": st.fixed_dictionaries(
            {},
            optional={
                "rings": st.sampled_from([None, "exclusive", "cumulative"]),
                "ring-overlap": st.sampled_from([None, "none", "healthy"]),
                "promote-after": st.sampled_from([None, "10m healthy"]),
            },
        ),
        "targets": st.dictionaries(st.sampled_from(NAMES), targets_of(), max_size=3),
        "solutions": st.dictionaries(st.sampled_from(["my-app", "my-app-v1", "my-app-v2"]), image, max_size=1),
        "clusters": st.sampled_from([["eu", "us"], ["eu", "us"], ["eu"]]),
        "well": st.booleans(),
        "after": st.sampled_from([0, 300, 900, 4_000]),
    },
)
histories = st.lists(changes, min_size=1, max_size=7)


CATALOG = (
    "{apiVersion: federation.symphony/v1, kind: Catalog, metadata: {name: conf}, spec: {type: config, properties: {image: 'my-app:3'}}}"
)


class Life:
    """A fleet to which a history happens."""

    def __init__(self, commits: str = "direct") -> None:
        self.fleet = Fleet()
        self.fleet.given({"files": {"c.yaml": CATALOG}})
        self.fleet.given({**FLEETS["rings"], "commits": commits, "targets": {n: {"ring": "ring0" if n < "d" else "ring1"} for n in NAMES}})
        self.now = 0

    def step(self, change: Json, crash: str = "no") -> Plan:
        """What comes of a change. With a crash before its plan is stored, or right after: of all else nothing is left."""
        change = {**change}
        self.now += change.pop("after", 0)
        self.fleet.given({**change, "now": self.now})
        if crash != "no":
            plan, _ = self.fleet.once()
            if crash == "after":
                self.fleet.record = copy.deepcopy(plan.record)
            self.fleet.told.wanted = {}
        return self.fleet.settle()


def without_times(record: Json | None) -> Json | None:
    """A record without the instants at which something was seen: a crash may delay that."""
    record = copy.deepcopy(record)
    if record is not None:
        for key in ("since", "well_since"):
            record.pop(key, None)
        for fired in record.get("fired", {}).values():
            fired.pop("at")
    return record


def check(life: Life, plan: Plan) -> None:
    """What must never be."""
    fleet = life.fleet
    record = standing.read(fleet.record)
    wanted = {lane: wants for lane, wants in plan.wanted.items() if not isinstance(wants, Held)}
    ids = [(lane.cluster, want.id) for lane, wants in wanted.items() for want in wants if want.id.kind != "Namespace"]
    assert len(ids) == len(dict.fromkeys(ids)), "one object is wanted by two targets"
    targets = [lane.target for lane in plan.wanted]
    assert len(targets) == len(dict.fromkeys(targets)), "a target stands, or is left standing, twice"
    here = [stand.at for stand in (*record.targets.values(), *record.leaving.values())]
    assert len(here) == len(dict.fromkeys(here)), "two stand in one place"
    assert not [at for at in here if at in plan.left], "what stands is not left"
    fired = any(not held.done for held in record.fired.values())
    stage = (fleet.instance or {}).get("stage", "")
    if stage == "BLOCK" and not (fired and fleet.told.state["commits"] == "record"):
        assert not wanted and not plan.left and not plan.prune, "a block moves nothing"
    for lane, wants in wanted.items():
        stand = record.targets.get(lane.target) or record.leaving[lane.target]
        assert lane.cluster == stand.cluster and all(want.id.namespace in ("", stand.namespace) for want in wants)


@settings(max_examples=60)
@given(histories, st.sampled_from(["direct", "propose", "record"]))
def test_whatever_people_do_nothing_stands_twice_and_a_block_blocks(history: list[Json], commits: str) -> None:
    life = Life(commits)
    for change in history:
        check(life, life.step(change))


@settings(max_examples=25)
@given(histories, st.lists(st.sampled_from(["no", "before", "after"]), min_size=7, max_size=7))
def test_from_any_crash_the_same_follows(history: list[Json], crashes: list[str]) -> None:
    one, other = Life("record"), Life("record")
    for change, crash in zip(history, crashes, strict=False):
        plan = one.step(change)
        again = other.step(change, crash)
        assert told(again)["lanes"] == told(plan)["lanes"]
        assert without_times(other.fleet.record) == without_times(one.fleet.record)


def digest(plan: Plan) -> Mapping[str, Any]:
    return {**told(plan), "values": [wants for wants in plan.wanted.values() if not isinstance(wants, Held)]}


@settings(max_examples=25)
@given(histories)
def test_a_third_plan_is_the_same_to_the_last_object(history: list[Json]) -> None:
    life = Life()
    for change in history:
        plan = life.step(change)
        again, _ = life.fleet.once()
        assert digest(again) == digest(plan) and again.record == life.fleet.record


@settings(max_examples=25)
@given(histories, changes, st.booleans())
def test_what_was_not_asked_changes_nothing(history: list[Json], change: Json, is_other: bool) -> None:
    life = Life()
    for one in history:
        life.step(one)
    plan, view = life.fleet.once()
    files = {"x.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}", **({"other.yaml": OTHER} if is_other else {})}
    life.fleet.given({"files": files, **{key: value for key, value in change.items() if key in ("targets", "solutions", "well")}})
    if all(ask_again(life.fleet.told, life.fleet.key, question) == answer for question, answer in view.asked.items()):
        again, _ = life.fleet.once()
        assert digest(again) == digest(plan)


OTHER = "{apiVersion: fabric.symphony/v1, kind: Target, metadata: {name: other, namespace: elsewhere}, spec: {properties: {label: ring0}}}"
