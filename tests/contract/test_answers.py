"""The comparer sees what matters: who is who, what came later, when; and not what servers draw."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from .answers import Answer, comparable

Json = dict[str, Any]
A, B = "aaaaaaaa-0000-4000-8000-000000000000", "bbbbbbbb-0000-4000-8000-000000000000"


def answers(*documents: Any) -> list[Any]:
    return comparable([Answer(200, (), document) for document in documents])


def thing(version: int, uid: str = A, **more: Any) -> Json:
    return {"metadata": {"name": "a", "uid": uid, "resourceVersion": str(version), **more}}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([thing(5), thing(7)], [thing(100), thing(101)], True),
        ([thing(5), thing(5)], [thing(100), thing(101)], False),
        ([thing(7), thing(5)], [thing(100), thing(101)], False),
        ([thing(5, A), thing(6, B)], [thing(5, B), thing(6, A)], True),
        ([thing(5, A), thing(6, A)], [thing(5, A), thing(6, B)], False),
        ([thing(5), {"metadata": {"resourceVersion": "9"}}], [thing(5), {"metadata": {"resourceVersion": "5"}}], True),
        ([thing(5), {"metadata": {"resourceVersion": "9"}}], [thing(5), {"metadata": {"resourceVersion": "4"}}], False),
        ([thing(5, time="2030-01-01T00:00:00Z")], [thing(5, time="2030-01-01T00:00:01Z")], False),
        ([thing(5, finalizers=["x", "y"])], [thing(5, finalizers=["y", "x"])], False),
        (
            [{"metadata": {"name": "x-abcde", "generateName": "x-"}}, {"message": '"x-abcde" not found'}],
            [{"metadata": {"name": "x-fghij", "generateName": "x-"}}, {"message": '"x-fghij" not found'}],
            True,
        ),
        ([{"spec": {"clusterIP": "10.0.0.7"}}], [{"spec": {"clusterIP": "10.0.9.9"}}], True),
        ([{"spec": {"clusterIP": "10.0.0.7"}}], [{"spec": {"clusterIP": "None"}}], False),
        ([{"message": f"the UID in the precondition ({A})"}], [{"message": f"the UID in the precondition ({B})"}], True),
    ],
)
def test_two_runs_are_the_same_or_not(one: list[Json], other: list[Json], same: bool) -> None:
    assert (answers(*one) == answers(*other)) == same


def page(version: int, token_version: int, start: str) -> Json:
    token = base64.urlsafe_b64encode(json.dumps({"v": "x", "rv": token_version, "start": start}).encode()).decode().rstrip("=")
    return {"metadata": {"resourceVersion": str(version), "continue": token}}


def test_pages_must_be_of_one_version_and_begin_where_the_last_ended() -> None:
    def run(second: int, start: str) -> list[Any]:
        return answers(page(8, 8, start), {"metadata": {"resourceVersion": str(second)}})

    assert run(8, "a") == run(8, "a")
    assert run(8, "a") != run(9, "a")
    assert run(8, "a") != run(8, "b")


def test_codes_and_headers_are_compared() -> None:
    one = [Answer(200, (("warning", "a"), ("warning", "b")), {})]
    assert comparable(one) != comparable([Answer(201, one[0].headers, {})])
    assert comparable(one) != comparable([Answer(200, one[0].headers[:1], {})])
