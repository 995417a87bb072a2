"""Whatever components say, `render` answers, the same each time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.metadata import wrong_metadata
from reconciler.kinds.symphony.components import Rendered
from reconciler.kinds.symphony.components.container import METADATA, PROPERTIES, STRATEGIES
from reconciler.kinds.symphony.components.order import order

from .cases import PROVIDERS, run

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
EXPRESSIONS = ["${{$param(p)}}", "${{1+1}}", "${{$secret(s, k)}}"]
WORDS = st.sampled_from(["", "a", "80", "#2", "-1", "100m", "Web", "\x00", "é", "https://x/y", "deploy/a.yaml", *EXPRESSIONS])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), WORDS)
PORT_KEYS, OBJECT_KEYS = ["name", "port", "containerPort"], ["apiVersion", "kind", "metadata", "items", "spec"]
KEYS = st.sampled_from([*PORT_KEYS, *OBJECT_KEYS, "mountPath", "requests", "cpu", "host", "http", "paths"])
JSON = st.recursive(SCALARS, lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(KEYS, below, max_size=4)), max_leaves=12)
OBJECT = st.fixed_dictionaries(
    {"apiVersion": st.sampled_from(["v1", "apps/v1", 3]), "kind": st.sampled_from(["ConfigMap", "List", "Service", "Widget"])},
    optional={"metadata": st.one_of(JSON, st.fixed_dictionaries({"name": WORDS})), "items": JSON, "spec": JSON, "data": JSON},
)
TEXT = st.one_of(JSON, OBJECT).map(lambda value: msgspec.json.encode(value).decode())
OTHER_KEYS = ["env.A", "env.", "rules", "ingressClassName", "resource", "yaml", "chart", "values", "a/b"]
ANY_PROPERTIES = st.dictionaries(st.sampled_from([*PROPERTIES, *OTHER_KEYS]), st.one_of(JSON, OBJECT, TEXT), max_size=5)
ANY_METADATA = st.dictionaries(
    st.sampled_from([*METADATA, "service.annotation.a", "annotations.b"]),
    st.one_of(WORDS, TEXT),
    max_size=4,
)


@st.composite
def any_components(draw: Any) -> list[dict[str, Any]]:
    names = draw(st.lists(NAMES, unique=True, min_size=1, max_size=5))
    return [
        {
            "name": draw(st.sampled_from([name, name.upper()])),
            "type": draw(st.sampled_from([*PROVIDERS, "other", ""])),
            "metadata": draw(ANY_METADATA),
            "properties": {"container.image": "nginx"} | draw(ANY_PROPERTIES),
            "constraints": draw(st.sampled_from(["", "", "", "true", "no", "${{$property(x)}}"])),
            "sidecars": draw(st.lists(st.fixed_dictionaries({"name": NAMES, "properties": ANY_PROPERTIES}), max_size=1)),
        }
        for name in names
    ]


CASES = st.fixed_dictionaries(
    {"spec": st.fixed_dictionaries({"metadata": ANY_METADATA, "components": any_components()})},
    optional={
        "metadata": ANY_METADATA,
        "strategy": st.sampled_from([*STRATEGIES, "none"]),
        "charts": st.just({"a": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "chart"}}], "80": "no"}),
        "secrets": st.sampled_from(["hunter2", '{"hunter2": 1}', '[{"hunter2": {"hunter2": []}}]']).map(lambda held: {"s": {"k": held}}),
    },
)


@given(CASES)
def test_whatever_they_say_there_is_an_answer(case: dict[str, Any]) -> None:
    """Failed components have problems and no objects; what is secret is in no message; every object has a name of its own."""
    components = case["spec"]["components"]
    for one, above in pairwise(components):
        above["dependencies"] = [one["name"]] if one["metadata"] else []
    rendered = run(case)
    assert _bytes(run(case)) == _bytes(rendered)
    assert not [fault for fault in rendered.problems if "hunter2" in fault.message]
    assert set(rendered.failed) <= set(rendered.placed)
    errors = [fault for fault in rendered.problems if fault.severity == "error"]
    assert bool(errors) >= bool(rendered.failed)
    for one_object in rendered.objects:
        assert not set(one_object.components) & set(rendered.failed)
        assert list(wrong_metadata(one_object.json)) == []
        assert one_object.hidden or b"hunter2" not in msgspec.json.encode(one_object.json)
        for pointer in one_object.hidden:
            value: Any = one_object.json
            for step in pointer:
                value = value[step]
        assert set(one_object.components) <= set(rendered.placed)
    ids = [(one.json["kind"], one.json["metadata"].get("namespace"), one.json["metadata"]["name"]) for one in rendered.objects]
    assert len(ids) == len(set(ids))


def _bytes(rendered: Rendered) -> bytes:
    objects = [[one.json, one.components, one.wave, one.pointer, one.hidden] for one in rendered.objects]
    return msgspec.json.encode(objects) + repr(rendered.problems).encode()


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3), min_size=5))
def test_waves_come_after_what_they_need(needs: dict[str, list[str]]) -> None:
    found = order(needs)
    for node, below in needs.items():
        if node in found.waves:
            assert found.waves[node] == max((found.waves[one] + 1 for one in below), default=0)
        else:
            assert [one for one in below if one not in found.waves]
    for circle in found.circles:
        assert circle[0] == circle[-1]
        assert all(after in needs[node] for node, after in pairwise(circle))
    assert bool(found.circles) == (len(found.waves) < len(needs))
