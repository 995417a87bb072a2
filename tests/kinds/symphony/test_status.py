"""The status of instances, targets and solutions, in upstream's shape; its limits, and that it is a function of what is told."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.core.identity import ClusterName, CommitId, Lane, ObjectId, Place, SourceName, UnitKey
from reconciler.core.kind import Status
from reconciler.core.messages import Commit
from reconciler.core.problem import Problem
from reconciler.core.told import LaneTold, PartTold, Told
from reconciler.kinds.symphony import status
from tests.kinds.symphony.cases import read

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases" / "status.yaml").read_text(encoding="utf-8"))
COMMIT = Commit(CommitId("c" * 40), None, "Ada", "ada@example.org", 1_900_000_000.0, "Ring 0")


def lane(where: str, told: list[Any], unit: str) -> LaneTold:
    cluster, _, target = where.partition("/")
    state, objects, healthy, message, *parts = told
    key = UnitKey(SourceName("fleet"), "solution.symphony", "Instance", "", unit)
    made = {name: PartTold(*part) for name, part in (parts[0] if parts else {}).items()}
    return LaneTold(key, Lane(ClusterName(cluster), target), state, message, objects, healthy, lambda: made)


def told(case: dict[str, Any]) -> Told:
    kind = case.get("kind", "Instance")
    group = "fabric" if kind == "Target" else "solution"
    spec = case.get("instance", {"solution": "app", "target": {"name": "*"}})
    text = yaml.dump({"apiVersion": f"{group}.symphony/v1", "kind": kind, "metadata": {"name": "shop"}, "spec": spec}, sort_keys=False)
    (manifest,) = read("i.yaml", text).manifests
    owned = case.get("owned", {})
    return Told(
        manifest=manifest,
        state=case.get("state", "Healthy"),
        message=case.get("message", ""),
        waits_for=case.get("waits_for", ""),
        plan=Status(*case["plan"]) if "plan" in case else None,
        since=1_900_000_010.0,
        commit=COMMIT,
        record=case.get("record"),
        problems=tuple(Problem(Place(*problem[:3]), problem[3]) for problem in case.get("problems", ())),
        lanes=tuple(lane(where, one, "shop") for where, one in case.get("lanes", {}).items()),
        guests=tuple(lane(where, one, "other") for where, one in case.get("guests", {}).items()),
        implied=Lane(ClusterName("eu")),
        clusters={ClusterName(name): tuple(state) for name, state in case.get("clusters", {"eu": ["up", ""], "us": ["up", ""]}).items()},
        owned=lambda cluster: tuple(ObjectId("", "Pod", space, str(n)) for n, space in enumerate(owned.get(cluster, ()))),
    )


def within(expected: Any, found: Any) -> Any:
    """What of `found` the expectation speaks of; null stands for what is not there."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return {key: within(value, found.get(key)) for key, value in expected.items()}
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [within(*pair) for pair in zip(expected, found, strict=True)]
    return found


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    found = status.status(told(case))
    assert within(case["status"], found) == case["status"]
    assert json.dumps(found) == json.dumps(status.status(told(case)))


def test_ten_thousand_targets_are_counted_and_the_worst_are_shown() -> None:
    names = [f"t{number:05}" for number in range(10_000)]
    asked = []

    def parts(name: str) -> dict[str, PartTold]:
        asked.append(name)
        return {"web": PartTold(1, 1, 0, "")}

    record = {"stage": "c", "targets": {name: ["app", "c", "eu", name] for name in names}}
    key = UnitKey(SourceName("fleet"), "solution.symphony", "Instance", "", "shop")
    base = told({"record": record})
    lanes = tuple(
        LaneTold(key, Lane(ClusterName("eu"), name), "Failed" if name == "t09999" else "Healthy", "", 1, 1, partial(parts, name))
        for name in names
    )
    values = {field: getattr(base, field) for field in Told.__slots__}
    found = status.status(Told(**{**values, "lanes": lanes, "state": "Failed"}))
    assert (found["targets"], found["deployed"]) == (10_000, 9_999)
    assert len(found["targetStatuses"]) == len(asked) == status.TARGETS_SHOWN
    assert found["targetStatuses"][0]["name"] == "t09999" and found["targetStatuses"][1]["name"] == "t00000"
    assert found["reconciler"]["moreTargetStatuses"] == 9_800 and found["reconciler"]["moreAssignments"] == 9_000
    assert found["reconciler"]["versions"] == {"app": 10_000}
    assert len(json.dumps(found)) < 100_000
