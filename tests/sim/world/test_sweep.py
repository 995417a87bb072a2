"""One fault at one point: the run ends as the one without it.

The everyday run takes a sample of points, `--deep` every one of them with every kind of fault that can strike there.
"""

from __future__ import annotations

import zlib

import pytest

from reconciler.sim.trial import Workload

from .sweep import reference, sample, strike
from .workloads import WORKLOADS

SAMPLE = 24

ids = [workload.name for workload in WORKLOADS]


@pytest.mark.parametrize("workload", WORKLOADS, ids=ids)
def test_a_sample_of_faults_changes_nothing(workload: Workload) -> None:
    expected, found = reference(workload)
    wrong = [strike(workload, expected, *at) for at in sample(found, SAMPLE, salt=zlib.crc32(workload.name.encode()))]
    assert [text for text in wrong if text] == []


@pytest.mark.deep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("workload", WORKLOADS, ids=ids)
def test_no_fault_at_any_point_changes_anything(workload: Workload, part: int) -> None:
    expected, found = reference(workload)
    wrong = [strike(workload, expected, *at) for at in found[part::4]]
    assert [text for text in wrong if text] == []
