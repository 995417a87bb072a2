"""A root kind that moves in steps, on a real API server: records, a rest, an approval, restarts in between."""

from __future__ import annotations

import functools

from reconciler.kinds import KINDS
from tests.daemon import Daemon
from tests.kinds import steps
from tests.real.fleet import Fleet
from tests.waiting import until

KINDS_WITH_STEPS = (*KINDS, steps.KIND)


def ladder(fleet: Fleet, values: str = "a, b, c", rest: float = 0.3, approve: str = "c") -> str:
    return f"""apiVersion: test.reconciler.dev/v1
kind: Steps
metadata: {{name: ladder, namespace: {fleet.ns}}}
spec: {{values: [{values}], restSeconds: {rest}, approve: [{approve}]}}
"""


def value(fleet: Fleet) -> str | None:
    found = fleet.get("configmaps", "ladder")
    return found["data"]["value"] if found else None


def test_steps_rest_and_wait_for_an_approval(fleet: Fleet) -> None:
    fleet.commit({"ns/namespace.yaml": fleet.namespace(), "rollouts/ladder.yaml": ladder(fleet)})
    with fleet.daemon(kinds=KINDS_WITH_STEPS) as daemon:
        until(lambda: value(fleet) == "b", "the second step", 15)
        unit = until(
            lambda: (found := daemon.unit("Steps/ladder")) and found.state == "Waiting" and found, "it waits for a person", 15
        )
        assert unit.gates[0][0].name == "ladder-c" and "reconciler/approve/ladder-c" in unit.waits_for
        offered = until(
            lambda: fleet.read("refs/heads/reconciler/approve/ladder-c", "approvals/ladder-c.yaml"), "the approval is offered", 10
        )
        assert b"go on to c" in offered
        fleet.commit({"approvals/other.yaml": offered[:-6] + b"00000\n"})  # of another revision: approves nothing
        assert value(fleet) == "b"
        fleet.commit({"approvals/other.yaml": None, "approvals/ladder-c.yaml": offered})
        until(lambda: value(fleet) == "c", "approved, it goes on", 10)
        until(lambda: daemon.unit("Steps/ladder").state == "Healthy", "and is done", 10)  # type: ignore[union-attr]
    with fleet.daemon(kinds=KINDS_WITH_STEPS) as daemon:
        until(lambda: daemon.unit("Steps/ladder") and daemon.unit("Steps/ladder").state == "Healthy", "still done", 10)  # type: ignore[union-attr]
        assert daemon.writes() == []
        fleet.commit({"rollouts/ladder.yaml": None, "approvals/ladder-c.yaml": None})
        until(lambda: value(fleet) is None, "what the root wanted goes with it", 10)
        until(lambda: daemon.unit("Steps/ladder") is None, "and so does the unit", 10)


def test_a_rest_outlives_restarts_and_nothing_is_repeated(fleet: Fleet) -> None:
    fleet.commit({"ns/namespace.yaml": fleet.namespace(), "rollouts/ladder.yaml": ladder(fleet, "a, b, c, d", 1.0, "")})
    seen: list[str] = []
    for _ in range(100):
        daemon = fleet.daemon(kinds=KINDS_WITH_STEPS)
        with daemon:
            until(functools.partial(_moved, fleet, daemon, seen, len(seen)), "a move", 15)
        if seen[-1:] == ["d"]:
            break
    assert seen == ["a", "b", "c", "d"]


def _moved(fleet: Fleet, daemon: Daemon, seen: list[str], count: int) -> bool:
    now = value(fleet)
    if now is not None and seen[-1:] != [now]:
        seen.append(now)
    return len(seen) > count or daemon.report().settled
