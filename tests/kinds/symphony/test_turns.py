"""What a changed record means: each line as people read it before they merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.core.told import Turn
from reconciler.kinds.symphony.turns import turns

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases" / "turns.yaml").read_text(encoding="utf-8"))


def written(turn: Turn) -> str:
    if not turn.cluster:
        assert turn == Turn("", "", turn.what)
        return turn.what
    return "| ".join([turn.cluster, turn.who, turn.what, ", ".join(turn.leaves), turn.hint]).rstrip("| ")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    assert [written(turn) for turn in turns(case["before"], case["after"])] == case["turns"]
