"""Health: every row of the rules and their order as YAML cases, and totality as a property."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import health

CASES = Path(__file__).parent / "cases" / "health"
NOON = "2030-01-01T12:00:00Z"


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {sentence}")
        for path in sorted(CASES.glob("*.yaml"))
        for sentence, case in yaml.safe_load(path.read_text()).items()
    ]


def test_there_are_cases_for_every_row():
    assert len(_cases()) >= 100


@pytest.mark.parametrize("case", _cases())
def test_case(case):
    now = _seconds(case.get("now", NOON))
    expected = dict(case["health"])
    if "again_at" in expected:
        expected["again_at"] = _seconds(expected["again_at"])
    found = health.compute(case["object"], now)
    assert found == health.Health(**expected)
    assert found.again_at is None or found.again_at > now


_WORD_LIST = """
True False Unknown Ready Reconciling Stalled Progressing Available ReplicaFailure ProgressDeadlineExceeded Complete
Failed Suspended Established NamesAccepted Installing PodScheduled Unschedulable Running Pending Succeeded Bound
OnDelete CrashLoopBackOff LoadBalancer 2030-01-01T11:59:50Z 0001-01-01T00:00:00+14:00 9999-12-31T23:59:59-14:00
"""
_FIELD_LIST = """
generation observedGeneration deletionTimestamp creationTimestamp conditions type status reason message phase state
waiting name containerStatuses replicas updatedReplicas availableReplicas readyReplicas currentReplicas partition
rollingUpdate updateStrategy progressDeadlineSeconds desiredNumberScheduled currentNumberScheduled suspend startTime
completions parallelism succeeded clusterIP
"""
_WORDS = st.sampled_from(_WORD_LIST.split())
_FIELDS = st.sampled_from(_FIELD_LIST.split())
_LEAVES = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.integers(-1, 3) | st.floats() | st.text() | _WORDS
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_FIELDS | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)
_CONDITIONS = st.lists(
    st.fixed_dictionaries(
        {"type": _WORDS | _JSON, "status": _WORDS | _JSON}, optional={"reason": _WORDS, "message": _JSON}
    )
)
_STATUS = st.dictionaries(_FIELDS, _JSON, max_size=8).flatmap(
    lambda fields: _CONDITIONS.map(lambda conditions: {**fields, "conditions": conditions})
)
_KINDS = st.sampled_from(
    [
        {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind}
        for group, kind in [*health._RULES, ("example.com", "Thing")]
    ]
)


@given(
    obj=_JSON | st.builds(dict, kind=_JSON, apiVersion=_JSON, metadata=_JSON, spec=_JSON, status=_JSON),
    now=st.floats(0, 1e11),
)
def test_any_json_has_an_answer(obj, now):
    _check(health.compute(obj, now))


@given(
    kind=_KINDS,
    metadata=_JSON,
    spec=st.dictionaries(_FIELDS, _JSON) | _JSON,
    status=_STATUS | _JSON,
    now=st.floats(0, 1e11),
)
def test_any_object_of_a_known_kind_has_an_answer(kind, metadata, spec, status, now):
    found = health.compute({**kind, "metadata": metadata, "spec": spec, "status": status}, now)
    _check(found)
    if found.again_at is not None:
        assert found.again_at > now
        later = health.compute({**kind, "metadata": metadata, "spec": spec, "status": status}, found.again_at)
        assert later.status != found.status


def _check(found: health.Health) -> None:
    assert found.status in ("Current", "InProgress", "Failed", "Terminating", "Unknown")
    assert found.message.isprintable()
    assert found.reason.isprintable()
    assert len(found.message) <= 2 * health.MESSAGE_LIMIT


def test_a_version_does_not_matter():
    for group, kind in health._RULES:
        answers = [
            health.compute({"apiVersion": f"{group}/{version}".lstrip("/"), "kind": kind}, 0.0)
            for version in ("v1", "v1beta1", "v9")
        ]
        assert answers[0] == answers[1] == answers[2]
