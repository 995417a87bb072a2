"""Server-side apply, ownership, decoding, defaults and patches, judged by what a real API server answered (`record.py`)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from .machine import CASES, Machine, normal

Json = dict[str, Any]


def recorded() -> list[Any]:
    """Every case with its answers."""
    found = []
    for file in sorted(CASES.glob("*.json")):
        answers = json.loads(file.read_text())
        for case in yaml.safe_load(file.with_suffix(".yaml").read_text()):
            found.append(pytest.param(case, answers[case["name"]], id=f"{file.stem}: {case['name']}"))
    return found


@pytest.mark.parametrize(("case", "answers"), recorded())
def test_the_real_server_answered_the_same(case: Json, answers: list[Json]) -> None:
    machine = Machine(case["kind"])
    for number, (step, answer) in enumerate(zip(case["steps"], answers, strict=True)):
        assert machine.do(step, number) == {**answer, "body": normal(answer["body"])}, f"step {number}"
