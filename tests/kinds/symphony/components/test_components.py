"""Components as objects, by cases."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.problem import field
from reconciler.kinds.symphony.components.config import CHARACTERS

from .cases import cases, run, told

GOOD = [*cases("containers.yaml"), *cases("others.yaml")]
BAD = cases("bad.yaml")


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["name"])
def test_what_components_come_to(case: dict[str, Any]) -> None:
    rendered = run(case)
    assert [told(fault) for fault in rendered.problems] == case.get("problems", [])
    assert list(rendered.failed) == case.get("failed", [])
    if "objects" in case:
        assert [one.json for one in rendered.objects] == case["objects"]
    if "waves" in case:
        assert [[" ".join(one.components), one.wave] for one in rendered.objects] == case["waves"]
    if "hidden" in case:
        assert [[field(pointer) for pointer in one.hidden] for one in rendered.objects] == case["hidden"]
    for key in ("placed", "namespaces"):
        if key in case:
            assert list(getattr(rendered, key)) == case[key]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["name"])
def test_what_is_wrong_is_said_where_it_is(case: dict[str, Any]) -> None:
    rendered = run(case)
    assert [told(fault) for fault in rendered.problems] == case["problems"]
    assert rendered.failed == rendered.placed != ()
    assert not rendered.objects


def test_there_are_enough_bad_ones() -> None:
    assert sum(len(case["problems"]) for case in BAD) >= 60


def test_a_new_version_updates_the_same_objects() -> None:
    """Neither names nor selectors hold anything of a version: a target that moves keeps its Deployment and Service."""
    about = {"metadata": {"service.ports": '[{"port":80}]'}}
    one = run({"spec": about | {"components": [{"name": "web", "properties": {"container.image": "web:1"}}]}})
    two = run({"spec": about | {"components": [{"name": "site", "properties": {"container.image": "web:2"}}]}})
    for old, new in zip(one.objects, two.objects, strict=True):
        assert (old.json["kind"], old.json["metadata"]) == (new.json["kind"], new.json["metadata"])
        assert old.json["spec"]["selector"] == new.json["spec"]["selector"]
    assert one.objects[0].json != two.objects[0].json


TOO_LARGE = "component c: properties have 1048577 bytes, may have 1048576"


@pytest.mark.parametrize(("characters", "problems"), [(CHARACTERS, []), (CHARACTERS + 1, [TOO_LARGE])])
def test_a_config_map_has_a_size(characters: int, problems: list[str]) -> None:
    rendered = run({"components": [{"name": "c", "type": "config", "properties": {"a": "x" * characters}}]})
    assert [fault.message for fault in rendered.problems] == problems


def test_a_secret_is_in_no_message() -> None:
    """Wherever a secret value is wrong, it is said without it."""
    case = {
        "secrets": {"s": {"bad": "-hunter2-", "json": '[{"containerPort": 70000, "name": "-hunter2-"}]', "object": "{kind: hunter2"}},
        "spec": {
            "metadata": {"service.ports": '[{"port":80}]', "service.type": "${{$secret(s, bad)}}", "service.name": "${{$secret(s, bad)}}"},
            "components": [
                {
                    "name": "web",
                    "properties": {
                        "container.image": "a ${{$secret(s, bad)}}",
                        "container.ports": "${{$secret(s, json)}}",
                        "container.args": "${{$secret(s, bad)}}",
                        "container.imagePullPolicy": "${{$secret(s, bad)}}",
                        "container.resources": '{"limits":{"cpu":"${{$secret(s, bad)}}"}}',
                    },
                },
                {"name": "a", "type": "yaml.k8s", "properties": {"resource": "${{$secret(s, object)}}"}},
                {"name": "b", "type": "yaml.k8s", "properties": {"yaml": "/${{$secret(s, bad)}}"}},
                {
                    "name": "c",
                    "type": "yaml.k8s",
                    "properties": {"resource": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${{$secret(s, bad)}}"}}},
                },
                {
                    "name": "d",
                    "type": "ingress",
                    "properties": {"rules": [{"host": "${{$secret(s, bad)}}"}], "ingressClassName": "${{$secret(s, bad)}}"},
                },
                {"name": "e", "type": "config", "properties": {"number": "${{$equal($secret(s, bad), 2)}}"}},
            ],
        },
    }
    rendered = run(case)
    assert len(rendered.problems) == 13
    assert not [fault for fault in rendered.problems if "hunter2" in fault.message or "70000" in fault.message]
    assert rendered.failed == ("web", "a", "b", "c", "d", "e")
