"""The main job on real input: commits become the state of two real API servers, and stay it."""

from __future__ import annotations

import statistics
import time

from reconciler.core.messages import Push
from tests.real.fleet import Fleet
from tests.waiting import until


def test_a_commit_becomes_live_objects(fleet: Fleet) -> None:
    commit = fleet.commit(
        {
            "apps/shop/namespace.yaml": fleet.namespace(),
            "apps/shop/web.yaml": fleet.deployment("web"),
            "clusters/us/shop/all.yaml": fleet.namespace() + "---\n" + fleet.config_map("only-us"),
        }
    )
    with fleet.daemon() as daemon:
        report = daemon.wait(commit)
    assert [(str(u.key), u.state, [lane.cluster for lane in u.lanes]) for u in report.units] == [
        ("apps/shop", "Healthy", ["eu"]),
        ("clusters/us/shop", "Healthy", ["us"]),
    ]
    deployment = fleet.get("deployments", "web", group="apps/v1")
    assert deployment and deployment["status"]["readyReplicas"] == 2
    assert deployment["metadata"]["annotations"]["reconciler.dev/commit"] == commit
    assert fleet.names("configmaps", fleet.us) == ["only-us"] and fleet.names("configmaps") == []


def test_a_change_costs_one_write_and_a_second_run_none(fleet: Fleet) -> None:
    files = {f"apps/a/{i}.yaml": fleet.config_map(f"a{i}") for i in range(20)}
    first = fleet.commit({"apps/a/namespace.yaml": fleet.namespace(), **files})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        before = len(daemon.requests()), daemon.parses, daemon.repository.counts.blobs_read
        second = fleet.commit({"apps/a/7.yaml": fleet.config_map("a7", "2")})
        daemon.wait(second)
        sent = [r for r in daemon.requests()[before[0] :] if "/leases" not in r.path]
        assert [(r.method, r.path.rsplit("/", 1)[1]) for r in sent] == [("PATCH", "a7")]
        assert (daemon.parses, daemon.repository.counts.blobs_read) == (before[1] + 1, before[2] + 1)
    with fleet.daemon() as daemon:
        daemon.wait(second)
        assert daemon.writes() == []


def test_drift_is_healed_at_once(fleet: Fleet) -> None:
    commit = fleet.commit(
        {"a/namespace.yaml": fleet.namespace(), "a/web.yaml": fleet.deployment("web"), "a/cm.yaml": fleet.config_map("c")}
    )
    with fleet.daemon() as daemon:
        daemon.wait(commit)
        took = []
        for value in ("x", "y", "z"):
            fleet.patch("configmaps", "c", {"data": {"v": value, "more": "by hand"}})
            begun = time.monotonic()
            until(lambda: (fleet.get("configmaps", "c") or {})["data"].get("v") == "1", "the edit is healed", 10)
            took.append(time.monotonic() - begun)
        assert (fleet.get("configmaps", "c") or {})["data"] == {"v": "1", "more": "by hand"}
        assert statistics.median(took) <= 1.0
        fleet.eu.request("DELETE", f"/api/v1/namespaces/{fleet.ns}/configmaps/c")
        until(lambda: fleet.get("configmaps", "c"), "what was deleted by hand is back", 10)


def test_scaling_by_hand_is_drift_and_an_autoscaler_is_left_alone(fleet: Fleet) -> None:
    commit = fleet.commit({"a/namespace.yaml": fleet.namespace(), "a/web.yaml": fleet.deployment("web")})
    scale = f"/apis/apps/v1/namespaces/{fleet.ns}/deployments/web/scale"

    def replicas() -> int:
        return int((fleet.get("deployments", "web", group="apps/v1") or {})["spec"]["replicas"])

    with fleet.daemon() as daemon:
        daemon.wait(commit)
        patch = {"spec": {"replicas": 5}}
        fleet.eu.request("PATCH", f"{scale}?fieldManager=kubectl", patch, "application/merge-patch+json")
        until(lambda: replicas() == 2, "kubectl scale is undone", 10)
        patch = {"spec": {"replicas": 4}}
        fleet.eu.request("PATCH", f"{scale}?fieldManager=autoscaler", patch, "application/merge-patch+json")
        until(lambda: (daemon.unit("a") or daemon.report().units[0]).lanes[0].left_alone, "it is told who owns replicas", 10)
        assert replicas() == 4
        assert "replicas" in daemon.report().units[0].lanes[0].left_alone[0]


def test_what_leaves_git_is_pruned(fleet: Fleet) -> None:
    files = {f"a/{i}.yaml": fleet.config_map(f"a{i}") for i in range(5)}
    first = fleet.commit({"a/namespace.yaml": fleet.namespace(), **files})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        daemon.wait(fleet.commit({"a/3.yaml": None}))
        until(lambda: fleet.names("configmaps") == ["a0", "a1", "a2", "a4"], "a3 is pruned", 10)
        moved = fleet.commit({"a/4.yaml": None, "b/4.yaml": fleet.config_map("a4")})
        uid = (fleet.get("configmaps", "a4") or {})["metadata"]["uid"]
        daemon.wait(moved)
        assert (fleet.get("configmaps", "a4") or {})["metadata"]["uid"] == uid, "what moves to another folder is not deleted"


def test_a_mass_deletion_waits_for_a_merge(fleet: Fleet) -> None:
    files = {f"a/{i}.yaml": fleet.config_map(f"a{i}") for i in range(10)}
    first = fleet.commit({"a/namespace.yaml": fleet.namespace(), **files})
    with fleet.daemon() as daemon:
        daemon.wait(first)
        fleet.commit({f"a/{i}.yaml": None for i in range(7)}, "Delete most")
        until(lambda: daemon.unit("a").state == "Waiting", "the deletion is held", 10)  # type: ignore[union-attr]
        unit = daemon.unit("a")
        assert unit is not None and "7 of 11" in unit.message and "reconciler/approve/prune-eu-a" in unit.waits_for
        assert len(fleet.names("configmaps")) == 10
        branch = "refs/heads/reconciler/approve/prune-eu-a"
        offered = until(lambda: fleet.read(branch, "approvals/prune-eu-a.yaml"), "the approval is offered", 10)
    with fleet.daemon() as daemon:  # a restart forgets nothing, and offers nothing twice
        until(lambda: daemon.unit("a") and daemon.unit("a").state == "Waiting", "it still waits", 10)  # type: ignore[union-attr]
        merged = fleet.commit({"approvals/prune-eu-a.yaml": offered}, "Merge branch reconciler/approve/prune-eu-a")
        daemon.wait(merged)
        until(lambda: fleet.names("configmaps") == ["a7", "a8", "a9"], "the approved are pruned", 10)
        until(lambda: daemon.report().settled and not daemon.engine.offers.offers, "nothing is offered any more", 10)
        assert [e for e in daemon.effects if isinstance(e, Push) and "approve" in e.ref] == []
        assert fleet.eu.request("GET", f"/api/v1/namespaces/{fleet.ns}")[1]["status"]["phase"] == "Active"


def test_a_broken_file_holds_its_folder_alone(fleet: Fleet) -> None:
    first = fleet.commit(
        {
            "a/namespace.yaml": fleet.namespace(),
            "a/x.yaml": fleet.config_map("x"),
            "a/w.yaml": fleet.config_map("w"),
            "b/z.yaml": fleet.config_map("z"),
        }
    )
    with fleet.daemon() as daemon:
        daemon.wait(first)
        broken = fleet.commit(
            {
                "a/x.yaml": "apiVersion: v1\nkind: [}",
                "a/w.yaml": None,
                "a/new.yaml": fleet.config_map("new"),
                "b/z.yaml": fleet.config_map("z", "2"),
            }
        )
        daemon.wait(broken, healthy=False)
        until(lambda: (fleet.get("configmaps", "z") or {})["data"]["v"] == "2", "its neighbour goes on", 10)
        unit = daemon.unit("a")
        assert unit is not None and unit.state == "Held" and "a/x.yaml:2:" in unit.message and first[:7] in unit.message
        assert fleet.names("configmaps") == ["w", "x", "z"]
        fleet.patch("configmaps", "w", {"data": {"v": "by hand"}})
        until(lambda: (fleet.get("configmaps", "w") or {})["data"]["v"] == "1", "what is held is still healed", 10)
    with fleet.daemon() as daemon:  # started with the broken file: the last readable version is found in history
        daemon.wait(broken, healthy=False)
        until(lambda: first[:7] in daemon.unit("a").message, "history is asked", 10)  # type: ignore[union-attr]
        assert fleet.names("configmaps") == ["w", "x", "z"]
        mended = fleet.commit({"a/x.yaml": fleet.config_map("x", "2")})
        daemon.wait(mended)
        until(lambda: fleet.names("configmaps") == ["new", "x", "z"], "once mended, all of it is applied", 10)
