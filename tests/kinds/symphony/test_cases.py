"""Every row of the state table (reconciler/kinds/symphony/README.md) is a case here, by its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import reconciler.kinds.symphony
from tests.kinds.symphony.cases import FLEETS, Fleet, cases, expected, told

CASES = cases()
README = Path(reconciler.kinds.symphony.__file__).with_name("README.md")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    fleet = Fleet(case.get("kind", "Instance"))
    fleet.given(FLEETS[case["fleet"]])
    for number, step in enumerate(case.get("steps", [case])):
        fleet.given(step.get("given", {}))
        found = told(fleet.settle())
        plan = expected(step["plan"], found)
        assert {key: found[key] for key in plan} == plan, f"step {number}"


def test_the_state_table_and_the_cases_are_of_one_mind() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(dict.fromkeys(rows))
    assert sorted(rows) == sorted(case["name"] for case in CASES)
