"""Staged instances on real API servers: 10 targets in ring0, 2 in ring1, over two clusters, each with a namespace of its own."""

from __future__ import annotations

import datetime as dt
import random
import time
from pathlib import Path

import pygit2
import pytest

from reconciler.core.identity import ClusterName, ObjectId
from reconciler.kinds.symphony.shares import assign
from tests.daemon import Daemon
from tests.real.fleet import Fleet
from tests.real.process import start
from tests.real.stages import BASE, Stages
from tests.real.test_kill import killed_once
from tests.waiting import until

STORES = [f"store-{number:02}" for number in range(1, 11)]
V1, V2 = "1.1", "2.0"
TAGS = {"my-app-v1": V1, "my-app-v2": V2}


@pytest.fixture
def stages(fleet: Fleet) -> Stages:
    """The example's targets and solutions, not yet committed."""
    return Stages(fleet)


def paused(daemon: Daemon, instance: str, words: str = "blocked") -> bool:
    unit = daemon.unit(f"Instance/{instance}")
    return unit is not None and unit.state == "Paused" and words in unit.message


def live_version(daemon: Daemon, stages: Stages, instance: str) -> int | None:
    """The generation of the Deployment on my-target as the daemon has seen it; None where it has seen it go."""
    id = ObjectId("apps", "Deployment", f"{stages.fleet.ns}-my-target", instance)
    live = daemon.engine.clusters[ClusterName("eu")].owned(id)
    return live.generation if live is not None else None


# -- BLOCK ----------


def test_what_is_blocked_stays_as_it_is(stages: Stages) -> None:
    fleet = stages.fleet
    where = f"/apis/apps/v1/namespaces/{fleet.ns}-my-target/deployments/gated"
    with fleet.daemon() as daemon:
        daemon.wait(stages.commit(*BASE, "gated"))
        assert paused(daemon, "gated") and stages.stands("gated") == {} and stages.written(daemon) == []
        daemon.wait(stages.commit(gated='""'))
        assert {target: stood.image for target, stood in stages.stands("gated").items()} == {"my-target": "1.0"}
        daemon.wait(stages.commit(gated="BLOCK"))
        assert paused(daemon, "gated")
        begin = len(daemon.requests())
        # Drift, and a new version in Git: neither is for now.
        scaled = {"spec": {"replicas": 3}}
        status, answer = fleet.eu.request("PATCH", f"{where}?fieldManager=kubectl", scaled, "application/merge-patch+json")
        assert status == 200, answer
        solution = "stages/solutions/my-app.yaml"
        daemon.wait(stages.replace({solution: stages.files[solution].replace("my-app:1.0", "my-app:1.0.1")}))
        until(lambda: (live_version(daemon, stages, "gated") or 0) >= answer["metadata"]["generation"], "the drift is seen", 20)
        assert paused(daemon, "gated") and stages.counts("gated") == {"1.0": 1}
        # An object deleted by hand stays deleted.
        fleet.eu.request("DELETE", where)
        until(lambda: live_version(daemon, stages, "gated") is None, "the deletion is seen", 20)
        daemon.wait(fleet.commit({"a/readme.yaml": "# nothing"}))
        assert stages.written(daemon, begin) == [] and stages.stands("gated") == {}
        daemon.wait(stages.commit(gated="default"))
        assert stages.counts("gated") == {"1.0.1": 1}
        assert fleet.eu.request("GET", where)[1]["spec"]["replicas"] == 1


def test_a_blocked_instance_that_leaves_git_goes_under_the_guards(stages: Stages) -> None:
    fleet = stages.fleet
    with fleet.daemon() as daemon:
        daemon.wait(stages.commit(*BASE, "gated", "canary", gated="default"))
        daemon.wait(stages.commit(gated="BLOCK", canary="BLOCK"))
        assert len(stages.stands("gated")) == 1 and len(stages.stands("canary")) == 10
        fleet.commit({"stages/gated/instance.yaml": None, "stages/canary/instance.yaml": None})
        until(lambda: stages.stands("gated") == {}, "one object is no mass deletion", 30)
        unit = until(lambda: (u := daemon.unit("Instance/canary")) and u.state == "Waiting" and u, "ten are", 30)
        assert "reconciler/approve/" in unit.waits_for and len(stages.stands("canary")) == 10


# -- rings ----------


def test_what_leaves_a_ring_goes_at_once_and_without_a_budget(stages: Stages) -> None:
    fleet = stages.fleet
    with fleet.daemon() as daemon:
        daemon.wait(stages.commit(*BASE, "staged"))
        assert stages.stands("staged") == {}
        daemon.wait(stages.commit(staged="ring0"))
        assert {target: stood.image for target, stood in stages.stands("staged").items()} == dict.fromkeys(STORES, V1)
        begin = len(daemon.requests())
        daemon.wait(stages.commit(staged="ring1"))
        offices = ["office-1", "office-2"]
        assert {target: stood.image for target, stood in stages.stands("staged").items()} == dict.fromkeys(offices, V1)
        made = [f"PATCH {fleet.ns}-{office}/deployments/staged" for office in offices]
        made += [f"PATCH v1/namespaces/{fleet.ns}-{office}" for office in offices]
        gone = [f"DELETE {fleet.ns}-{store}/deployments/staged" for store in STORES]
        assert stages.written(daemon, begin) == sorted(made + gone)
        begin = len(daemon.requests())
        unknown = stages.commit(staged="ring7")
        until(lambda: (u := daemon.unit("Instance/staged")) and u.state == "Held" and "ring7" in u.message, "an unknown stage is told", 20)
        daemon.wait(unknown, healthy=False)
        assert stages.written(daemon, begin) == [] and set(stages.stands("staged")) == set(offices)
        daemon.wait(stages.commit(staged="default"))
        assert stages.counts("staged") == {"1.0": 1}


# -- canary ----------


def test_a_canary_moves_as_few_targets_as_can_be(stages: Stages) -> None:
    fleet = stages.fleet
    with fleet.daemon() as daemon:
        daemon.wait(stages.commit(*BASE, "gated", "canary", gated="default"))
        assert stages.counts("canary") == {V1: 3, V2: 7}
        before, other = stages.stands("canary"), stages.stands("gated")
        begin = len(daemon.requests())
        fifty = stages.edit("canary", ("weight: 30", "weight: 50"), ("weight: 70", "weight: 50"))
        daemon.wait(fifty)
        after = stages.stands("canary")
        moved = [target for target, stood in after.items() if stood != before[target]]
        assert stages.counts("canary") == {V1: 5, V2: 5} and len(moved) == 2
        assert [(before[target].image, after[target].image) for target in moved] == [(V2, V1)] * 2
        assert all(after[target].uid == before[target].uid for target in STORES)
        assert {target: stood.generation for target, stood in after.items()} == {t: 1 + (t in moved) for t in STORES}
        assert stages.written(daemon, begin) == sorted(f"PATCH {fleet.ns}-{target}/deployments/canary" for target in moved)
        assert stages.stands("gated") == other
    with fleet.daemon() as daemon:  # a restart moves nobody, and writes nothing
        daemon.wait(fifty)
        assert stages.written(daemon) == [] and stages.stands("canary") == after
        daemon.wait(stages.commit(canary="default"))
        assert {target: stood.image for target, stood in stages.stands("canary").items()} == {"my-target": "1.0"}
        assert stages.stands("gated") == other


def shares(v1: int, v2: int, before: dict[str, str]) -> dict[str, str]:
    return assign("default/canary", STORES, [("my-app-v1", v1), ("my-app-v2", v2)], before)


def until_made(stages: Stages, log: Path) -> None:
    """One more life, killed as soon as all targets have what the first weights give them."""
    process = start(stages.fleet, log)
    try:
        until(lambda: stages.counts("canary") == {V1: 3, V2: 7}, "3 and 7", 60)
    finally:
        process.kill()
        process.wait()


def killed(stages: Stages, kills: int, seed: int, log: Path) -> None:
    """The same assignment as without any kill, and no target goes back and forth."""
    chance = random.Random(seed)
    stages.commit(*BASE, "canary")
    for _ in range(kills // 2):
        killed_once(stages.fleet, log, chance, 0.5)
    until_made(stages, log)
    before = stages.stands("canary")
    commit = stages.edit("canary", ("weight: 30", "weight: 50"), ("weight: 70", "weight: 50"))
    for _ in range(kills - kills // 2):
        killed_once(stages.fleet, log, chance, 0.5)
    with stages.fleet.daemon() as daemon:
        daemon.wait(commit, limit_seconds=60)
    first = shares(30, 70, {})
    then = shares(50, 50, first)
    stood = stages.stands("canary")
    assert {target: one.image for target, one in stood.items()} == {target: TAGS[solution] for target, solution in then.items()}
    assert {target: one.generation for target, one in stood.items()} == {t: 1 + (then[t] != first[t]) for t in STORES}
    assert {target: one.uid for target, one in stood.items()} == {target: one.uid for target, one in before.items()}


def test_a_canary_survives_three_kills(stages: Stages, tmp_path: Path) -> None:
    killed(stages, 2, 1, tmp_path / "daemon.log")


@pytest.mark.deep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 7))
def test_a_canary_survives_twenty_kills(stages: Stages, seed: int, tmp_path: Path) -> None:
    killed(stages, 20, seed, tmp_path / "daemon.log")


# -- schedule ----------


def soon(seconds: int) -> tuple[int, tuple[str, str]]:
    """An instant some seconds from now, and the edit that schedules it."""
    at = int(time.time()) + seconds
    return at, ("2040-01-01T08:00:00Z", dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def created(stages: Stages) -> float:
    """When the Deployment of the scheduled instance was made."""
    _, body = stages.fleet.eu.request("GET", f"/apis/apps/v1/namespaces/{stages.fleet.ns}-my-target/deployments/scheduled")
    return dt.datetime.fromisoformat(body["metadata"]["creationTimestamp"]).timestamp()


def test_a_schedule_fires_once_whoever_restarts(stages: Stages) -> None:
    fleet = stages.fleet
    stages.commit(*BASE, "scheduled")
    at, edit = soon(4)
    with fleet.daemon(commits="record") as daemon:
        commit = stages.edit("scheduled", edit)
        until(lambda: paused(daemon, "scheduled", edit[1]), "it waits for its time", 20)
        assert stages.stands("scheduled") == {}
    with fleet.daemon(commits="record") as daemon:  # a restart before its time
        until(lambda: stages.counts("scheduled") == {"1.0": 1}, "it is due", 30)
        assert created(stages) >= at
        daemon.wait(commit)
    with fleet.daemon(commits="record") as daemon:  # and after it
        daemon.wait(commit)
        assert stages.written(daemon) == [] and stages.counts("scheduled") == {"1.0": 1}
        daemon.wait(stages.commit(scheduled="default"))
        daemon.wait(stages.commit(scheduled="BLOCK"))
        assert paused(daemon, "scheduled", "has fired before")


def test_a_schedule_is_taken_back_before_its_time(stages: Stages) -> None:
    stages.commit(*BASE, "scheduled")
    at, edit = soon(3)
    with stages.fleet.daemon(commits="record") as daemon:
        stages.edit("scheduled", edit)
        until(lambda: paused(daemon, "scheduled", edit[1]), "it waits for its time", 20)
        stages.edit("scheduled", (f'  schedule: "{edit[1]}"\n', ""))
        until(lambda: paused(daemon, "scheduled") and not paused(daemon, "scheduled", edit[1]), "it waits for a person", 20)
        until(lambda: time.time() > at, "the time has passed", 20)
        daemon.wait(stages.fleet.commit({"a/readme.yaml": "# nothing"}))
        assert paused(daemon, "scheduled") and stages.stands("scheduled") == {}


def edits(stages: Stages) -> list[str]:
    """The commits of the branch that the daemon has made to clear a stage."""
    repository = pygit2.Repository(str(stages.fleet.path))
    tip = repository.references["refs/heads/main"].target
    return [str(commit.id) for commit in repository.walk(tip) if "Reconciler-Edit: " in commit.message]


def test_a_schedule_clears_the_stage_in_git_once(stages: Stages) -> None:
    fleet = stages.fleet
    stages.commit(*BASE, "scheduled")
    at, edit = soon(3)
    stages.edit("scheduled", edit)
    path = "stages/scheduled/instance.yaml"
    with fleet.daemon(commits="direct") as daemon:
        until(lambda: stages.counts("scheduled") == {"1.0": 1}, "it is due", 30)
        assert created(stages) >= at
        [made] = edits(stages)
        daemon.wait(made)
        text = (fleet.read("refs/heads/main", path) or b"").decode()
        assert text == stages.files[path].replace("stage: BLOCK", 'stage: ""'), "that scalar, and not a byte more"
        # Who blocks again is not overruled, now or after a restart.
        daemon.wait(stages.commit(scheduled="BLOCK"))
        assert paused(daemon, "scheduled", "has fired before")
    with fleet.daemon(commits="direct") as daemon:
        until(lambda: paused(daemon, "scheduled", "has fired before"), "it is still blocked", 20)
        assert edits(stages) == [made] and stages.counts("scheduled") == {"1.0": 1}


# -- a bad day ----------


def test_one_cluster_away_keeps_no_other_from_going_on(stages: Stages) -> None:
    fleet = stages.fleet
    [entry] = fleet.us.kubeconfig["clusters"]
    away = {**fleet.us.kubeconfig, "clusters": [{**entry, "cluster": {**entry["cluster"], "server": "https://127.0.0.1:1"}}]}
    commit = stages.commit(*BASE, "canary")
    with fleet.daemon(clusters={"eu": fleet.eu.kubeconfig, "us": away}) as daemon:
        until(lambda: set(stages.stands("canary")) == set(STORES[:5]), "the targets of eu have what is theirs", 40)
        unit = until(lambda: (u := daemon.unit("Instance/canary")) and u.state == "Unknown" and u, "it is told", 20)
        assert "us cannot be reached" in unit.message
        eu = stages.stands("canary")
    with fleet.daemon() as daemon:
        daemon.wait(commit)
        assert stages.counts("canary") == {V1: 3, V2: 7}
        assert {target: stood for target, stood in stages.stands("canary").items() if target in eu} == eu
