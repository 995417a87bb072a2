"""Whatever a Secret holds, and wherever an expression puts it, nothing that is told shows its values or its keys."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.kinds.symphony.cases import Fleet, told

Json = dict[str, Any]

SECRET = "${{$secret(db, pw)}}"
NUMBER = 987_654_321
SIGNS = ("hunter2", str(NUMBER))
PROVIDERS = {"instance": "k8s", "yaml.k8s": "kubectl", "config": "configmap", "ingress": "ingress", "helm.v3": "helm"}

KNOWN = ["name", "limits", "cpu", "containerPort", "port", "mountPath", "http", "paths", "repo", "kind", "apiVersion", "metadata", "labels"]
# A key that Kubernetes knows is no secret's own, but leads to what is checked below it.
keys = st.one_of(st.sampled_from(["hunter2", "hunter2 Ä", "hunter2." * 9]), st.sampled_from(KNOWN))
scalars = st.sampled_from(["hunter2", "HUNTER2hunter2", "#hunter2", "", NUMBER, -NUMBER, float(NUMBER), True, None])
jsons = st.recursive(
    scalars, lambda below: st.one_of(st.dictionaries(keys, below, min_size=1, max_size=3), st.lists(below, max_size=3)), max_leaves=8
)
trees = st.one_of(st.dictionaries(keys, jsons, min_size=1, max_size=3), st.lists(jsons, min_size=1, max_size=3), st.just("hunter2"))
json_texts = trees.map(lambda value: msgspec.json.encode(value).decode())
texts = st.one_of(json_texts, trees.map(lambda value: yaml.safe_dump(value, allow_unicode=True)), json_texts.map(lambda text: text[:-1]))
IN_TEXT = [f"[{SECRET}]", f"x{SECRET}", f'{{"a": "{SECRET}"}}', f'[{{"name": "{SECRET}"}}]', "${{$json($secret(db, pw))}}"]
forms = st.one_of(st.just(SECRET), st.sampled_from(IN_TEXT))

OBJECT: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
RESOURCES: list[Any] = [
    "S",
    ["S"],
    {**OBJECT, "metadata": "S"},
    {**OBJECT, "metadata": {"name": "x", "labels": "S", "annotations": {"reconciler.dev/wave": "S", "a": "S"}}},
    {**OBJECT, "data": "S"},
    {**OBJECT, "kind": "S"},
    {**OBJECT, "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": "S", "template": {"spec": {"containers": "S"}}}},
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  S\n",
]
PARTS: list[Json] = [
    *({"type": "container", "properties": {"container.image": "a:1", f"container.{key}": "S"}}
      for key in ("image", "ports", "resources", "args", "commands", "volumeMounts", "imagePullPolicy")),
    *({"type": "container", "properties": {"container.image": "a:1"}, "sidecars": [{"name": "s", "properties": {f"container.{key}": "S"}}]}
      for key in ("image", "ports", "resources")),
    {"type": "container", "properties": {"container.image": "a:1", "env.A": "S"}, "constraints": "S"},
    *({"type": "yaml.k8s", "properties": {"resource": resource}} for resource in RESOURCES),
    {"type": "yaml.k8s", "properties": {"yaml": "S"}},
    {"type": "config", "properties": {"a": "S", "b": {"c": "S"}}},
    *({"type": "ingress", "properties": {"rules": rules, "ingressClassName": "S"}, "metadata": {"annotations.a": "S"}}
      for rules in ("S", ["S"], [{"host": "S", "http": "S"}])),
    *({"type": "helm.v3", "properties": {"chart": chart, "values": "S"}} for chart in ("S", {"repo": "S", "name": "S"}, {"name": "a"})),
]  # fmt: skip
METADATA = ("deployment.replicas", "deployment.imagePullSecrets", "deployment.nodeSelector", "pod.volumes", "service.ports", "service.name",
            "service.type", "service.annotation.a", "service.loadBalancerIP")  # fmt: skip


def put(value: Any, form: str) -> Any:
    """A value with a form of the expression where it says S."""
    if isinstance(value, dict):
        return {key: put(item, form) for key, item in value.items()}
    if isinstance(value, list):
        return [put(item, form) for item in value]
    return value.replace("S", form) if value == "S" or (isinstance(value, str) and "\n  S\n" in value) else value


@given(texts, forms, st.sampled_from(["solution", "instance", "services"]))
def test_nothing_that_is_told_shows_a_secret(secret: str, form: str, where: str) -> None:
    metadata = dict.fromkeys(METADATA, form)
    own = metadata if where == "services" else {}
    components = [put({"name": f"c{index}", **part, "metadata": own | part.get("metadata", {})}, form) for index, part in enumerate(PARTS)]
    config = {"cluster": "eu", **({"deploymentStrategy": "services"} if where == "services" else {})}
    bindings = [{"role": role, "provider": f"providers.target.{name}", "config": config} for role, name in PROVIDERS.items()]
    fleet = Fleet()
    fleet.given(
        {
            "solutions": {"app": {"components": components, **({"metadata": metadata} if where == "solution" else {})}},
            "targets": {"one": {"shop": "shop", "topologies": [{"bindings": bindings}]}},
            "instance": {"solution": "app", "target": {"name": "one"}, **({"metadata": metadata} if where == "instance" else {})},
            "secrets": {"eu/shop/db": {"pw": secret}},
        }
    )
    plan = fleet.settle()
    found = told(plan)
    text = repr({key: value for key, value in found.items() if key != "lanes"})
    assert not [sign for sign in SIGNS if sign in text.lower()]
    for lane in plan.wanted.values():
        for want in lane if isinstance(lane, tuple) else ():
            assert want.secret or not [sign for sign in SIGNS if sign in want.json.decode().lower()]
