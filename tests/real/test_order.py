"""Order: waves wait for health, drift waits for nobody, a new commit pre-empts a hopeless wait."""

from __future__ import annotations

from tests.real.fleet import Fleet
from tests.waiting import until


def waved(fleet: Fleet, name: str, wave: int, value: str = "1") -> str:
    return fleet.config_map(name, value, **{"reconciler.dev/wave": str(wave)})


def test_a_wave_waits_for_the_health_of_those_before_it(fleet: Fleet) -> None:
    stuck = fleet.deployment("web", labels="fault: not-ready").replace(
        "metadata: {name: web,", "metadata: {annotations: {argocd.argoproj.io/sync-wave: '1'}, name: web,"
    )
    files = {"a/0.yaml": fleet.namespace() + "---\n" + waved(fleet, "first", -1), "a/1.yaml": stuck, "a/2.yaml": waved(fleet, "last", 2)}
    fleet.commit(files)
    with fleet.daemon() as daemon:
        until(lambda: fleet.get("deployments", "web", group="apps/v1"), "the second wave begins", 15)
        words = ("later waves wait for wave 1", "0 of 2 replicas")
        unit = until(lambda: (u := daemon.unit("a")) and all(w in u.message for w in words) and u, "it says who waits, and for what", 15)
        assert unit.state == "Reconciling"
        assert fleet.names("configmaps") == ["first"]
        fleet.patch("configmaps", "first", {"data": {"v": "by hand"}})
        until(lambda: (fleet.get("configmaps", "first") or {})["data"]["v"] == "1", "drift is healed meanwhile", 10)
        fixed = fleet.commit({"a/1.yaml": stuck.replace("fault: not-ready", "")})
        daemon.wait(fixed)
        assert fleet.names("configmaps") == ["first", "last"]
        fleet.patch("deployments", "web", {"spec": {"template": {"metadata": {"labels": {"fault": "not-ready"}}}}}, group="apps/v1")
        fleet.patch("configmaps", "last", {"data": {"v": "by hand"}})
        until(lambda: (fleet.get("configmaps", "last") or {})["data"]["v"] == "1", "an unwell wave holds back no drift healing", 10)


def test_deletion_goes_the_other_way(fleet: Fleet) -> None:
    """What uses others goes first: the order of the requests is the reverse of that of the kinds."""
    prune = {"reconciler.dev/prune": "allowed"}
    first = fleet.commit(
        {
            "a/0.yaml": fleet.namespace(),
            "b/1.yaml": fleet.config_map("c", **prune),
            "b/2.yaml": fleet.deployment("web", replicas=0),
            "b/3.yaml": f"apiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: {fleet.ns}}}\nspec: {{ports: [{{port: 80}}]}}\n",
        }
    )
    with fleet.daemon() as daemon:
        daemon.wait(first)
        daemon.wait(fleet.commit({"b/1.yaml": None, "b/2.yaml": None, "b/3.yaml": None}))
        deleted = [r.path.rsplit("/", 2)[1:] for r in daemon.writes() if r.method == "DELETE"]
        assert deleted == [["deployments", "web"], ["services", "s"], ["configmaps", "c"]]
        assert daemon.unit("b") is None
