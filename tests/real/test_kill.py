"""`kill -9` at random moments: the end is the same, nothing is created twice, nothing is pruned that Git wants, no step is lost."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path

import pytest

from reconciler.kinds import KINDS
from tests.kinds import steps
from tests.real.events import watching
from tests.real.fleet import Fleet
from tests.real.process import start
from tests.real.test_steps import ladder
from tests.waiting import until

FOLDERS, EACH = 10, 20
LEAVING = ("f0/0.yaml", "f1/0.yaml")


def version(fleet: Fleet, value: str) -> dict[str, str | bytes | None]:
    """200 objects in ten folders; the last folder goes to the other cluster."""
    where = ["clusters/us/f9" if folder == FOLDERS - 1 else f"f{folder}" for folder in range(FOLDERS)]
    return {f"{where[folder]}/{i}.yaml": fleet.config_map(f"c{folder}-{i}", value) for folder in range(FOLDERS) for i in range(EACH)}


def killed_once(fleet: Fleet, log: Path, chance: random.Random, longest_seconds: float) -> None:
    """Start a daemon, let it read the commit, and kill it a random while later."""
    log.touch()
    begun = log.stat().st_size
    process = start(fleet, log)
    until(lambda: b"commit read" in log.read_bytes()[begun:], "it has read the commit", 30)
    try:
        process.wait(chance.random() * longest_seconds)
        pytest.fail(f"the daemon ended by itself: {log.read_text()[-2000:]}")
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def rollout(fleet: Fleet, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    log = fleet.folder / "daemon.log"
    for cluster in (fleet.eu, fleet.us):
        cluster.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": fleet.ns}})
    with watching(fleet.eu, "configmaps", fleet.ns) as eu, watching(fleet.us, "configmaps", fleet.ns) as us:
        commit = fleet.commit(version(fleet, "1"))
        for number in range(kills):
            if number % 4 == 3:
                later = version(fleet, str(number))
                commit = fleet.commit({path: text for path, text in later.items() if number < kills // 2 or path not in LEAVING})
            if number == kills // 2:
                commit = fleet.commit(dict.fromkeys(LEAVING))
            killed_once(fleet, log, chance, 0.6)
        with fleet.daemon() as daemon:
            daemon.wait(commit, limit_seconds=60)
        gone = {"c0-0", "c1-0"}
        names = [f"c{folder}-{i}" for folder in range(FOLDERS - 1) for i in range(EACH)]
        assert fleet.names("configmaps") == sorted(set(names) - gone)
        assert fleet.names("configmaps", fleet.us) == sorted(f"c9-{i}" for i in range(EACH))
        for events in (eu, us):
            ours = {name: count for name, count in events.count("ADDED").items() if name.startswith("c")}
            assert set(ours.values()) == {1}, "nothing is created twice"
        assert {n for n in eu.count("DELETED") if n.startswith("c")} == gone and eu.count("DELETED") == dict.fromkeys(gone, 1)
        assert us.count("DELETED") == {}
        assert len({(fleet.get("configmaps", name) or {})["data"]["v"] for name in names if name not in gone}) == 1


def climb(fleet: Fleet, kills: int, seed: int) -> None:
    values = [f"v{i}" for i in range(max(6, kills // 2))]
    chance = random.Random(seed)
    log = fleet.folder / "daemon.log"
    fleet.eu.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": fleet.ns}})
    with watching(fleet.eu, "configmaps", fleet.ns) as events:
        fleet.commit({"rollouts/ladder.yaml": ladder(fleet, ", ".join(values), 0.2, "")})
        for _ in range(kills):
            killed_once(fleet, log, chance, 0.8)
        with fleet.daemon(kinds=(*KINDS, steps.KIND)):
            until(lambda: events.values("ladder", "value")[-1:] == values[-1:], "the last step", 60)
        assert events.values("ladder", "value") == values, "no step is skipped, repeated or reversed"
        assert events.count("ADDED").get("ladder") == 1


def test_a_rollout_survives_ten_kills(fleet: Fleet) -> None:
    rollout(fleet, kills=10, seed=1)


def test_steps_survive_ten_kills(fleet: Fleet) -> None:
    climb(fleet, kills=10, seed=2)


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_a_rollout_survives_fifty_kills(fleet: Fleet) -> None:
    rollout(fleet, kills=50, seed=3)


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_steps_survive_fifty_kills(fleet: Fleet) -> None:
    climb(fleet, kills=50, seed=4)
