"""A repository of ordinary manifests: all the common kinds, a hundred objects in ten folders, on a real API server."""

from __future__ import annotations

import functools
from pathlib import Path

from reconciler.core.health import compute
from tests.real.fleet import Fleet
from tests.waiting import until

ORDINARY = Path(__file__).parent / "ordinary"


def test_ordinary_manifests(fleet: Fleet) -> None:
    """Healthy; a second run writes nothing; all deleted and approved, nothing is left."""
    files = {
        path.relative_to(ORDINARY).as_posix(): path.read_text().replace("NS", fleet.ns) for path in sorted(ORDINARY.rglob("*.yaml"))
    }
    commit = fleet.commit(files)
    clusters = {"eu": fleet.eu.kubeconfig}
    with fleet.daemon(clusters=clusters) as daemon:
        report = daemon.wait(commit, limit_seconds=60)
        assert len(report.units) == 10 and sum(lane.objects for unit in report.units for lane in unit.lanes) >= 90
        unwell = [str(live.id) for live in _owned(daemon) if compute(live.body(), report.at).status != "Current"]
        assert unwell == []
    with fleet.daemon(clusters=clusters) as daemon:
        daemon.wait(commit)
        assert [(r.method, r.path) for r in daemon.writes()] == []
        applied = [item for work in daemon.engine.work.all_lanes() for item in work.items.values() if item.send is not None]
        assert [str(item.id) for item in applied] == [], "not even a dry run was needed"
        fleet.commit(dict.fromkeys(files))
        until(lambda: len(daemon.report().units) and all(u.state == "Waiting" for u in daemon.report().units), "all wait", 20)
        approvals: dict[str, str | bytes | None] = {}
        for name in daemon.engine.offers.offers:
            path = f"approvals/{name[1]}.yaml"
            branch = f"refs/heads/reconciler/approve/{name[1]}"
            approvals[path] = until(functools.partial(fleet.read, branch, path), "an offer", 20)
        fleet.commit(approvals, "Approve everything")
        until(lambda: not _owned(daemon), "nothing is left", 60)


def _owned(daemon):
    return [live for reflector in daemon.engine.clusters["eu"].reflectors.values() for live in list(reflector.objects.values())]
