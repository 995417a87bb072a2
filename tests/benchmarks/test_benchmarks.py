"""Every benchmark, at a size at which it takes a few seconds: that it runs, what it tells, and the counts. Times mean nothing here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .__main__ import BENCHMARKS, run
from .measure import TINY, Result
from .world import ROOT

pytestmark = pytest.mark.real
NAMES = [benchmark.__name__ for benchmark in BENCHMARKS]


def test_all_of_them_run_and_count() -> None:
    results = {result.name: result for result in run([], TINY, print)}
    assert list(results) == NAMES
    for result in results.values():
        told = json.loads(json.dumps(result.json()))
        assert {"name", "about", "met", "figures", "counts", "load", "notes"} == set(told)
        assert {"load_before", "load_after", "processors", "busy_percent", "seconds"} == set(told["load"])
        assert any(figure["goal"] is not None for figure in told["figures"])
        assert any(figure["what"].startswith("yardstick: ") for figure in told["figures"])
    for name in ("change", "folder"):
        assert _asked(results[name]) == {"patch configmaps": TINY.changes}
        counts = next(iter(results[name].counts.values()))
        assert [counts[word] for word in ("blobs_read", "parses", "plans", "fetches")] == [TINY.changes] * 4
    assert _asked(results["idle"]) == {}
    assert results["idle"].counts["polls"]["fetches"] == results["idle"].counts["polls"]["plans"] == 0
    assert _asked(results["heal"]) == {"patch configmaps": TINY.edits}
    installed = _asked(results["install"])
    assert [installed[f"patch {kind}"] for kind in ("serviceaccounts", "services", "deployments", "configmaps")] == [TINY.apps] * 4
    moved = _asked(results["targets"], "requests at the API servers, weights")
    assert {word: moved[word] for word in moved if "secrets" not in word} == {"patch configmaps": TINY.targets // 10}
    alone = results["targets"].counts
    assert _asked(results["targets"], "requests at the API servers, one target's property") == {}
    assert alone["the daemon's own counts, one target's property"]["parses"] == 1
    whole = _asked(results["targets"], "requests at the API servers, both solutions")
    assert whole["patch configmaps"] == TINY.targets
    for files in TINY.trees:  # and the namespace
        cold, warm = (results["start"].counts[f"{cache}, {files} files"] for cache in ("cold", "warm"))
        assert (cold["blobs_read"], cold["parses"], cold["objects"]) == (files + 1, files + 1, files + 1)
        assert (warm["blobs_read"], warm["parses"], warm["objects"]) == (0, 0, files + 1)


def _asked(result: Result, heading: str = "requests at the API server") -> dict[str, float]:
    found = result.counts[heading]
    return {what: count for what, count in found.items() if not what.startswith(("lease", "watch"))}


def test_the_command_line_names_them() -> None:
    told = _command("--help")
    assert told.returncode == 0 and all(name in told.stdout for name in NAMES)


def test_an_unknown_name_is_wrong_usage() -> None:
    told = _command("no-such")
    assert told.returncode == 2 and "known are change" in told.stderr


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
