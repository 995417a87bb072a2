"""Every row of the state table (reconciler/kinds/symphony/README.md) is a case here, by its name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kinds.symphony.cases import FLEETS, Fleet, cases, expected, told

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    fleet = Fleet(case.get("kind", "Instance"))
    fleet.given(FLEETS[case["fleet"]])
    for number, step in enumerate(case.get("steps", [case])):
        fleet.given(step.get("given", {}))
        found = told(fleet.settle())
        plan = expected(step["plan"], found)
        assert {key: found[key] for key in plan} == plan, f"step {number}"
