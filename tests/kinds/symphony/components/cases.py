"""Cases in YAML: a solution and a site, and what comes of them.

A case is `name`, `spec` (of a Solution; `components` alone stands for it) and what differs from a site where everything is bound:
`strategy`, `bindings` (role → provider, or null for none), `instance`, `metadata` (of the instance), `properties` and `secrets` of the
target, `files`, `allowed`, `charts` (the name that is asked for → objects, or why there are none). A field `at` of a problem is its place
as people write it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from reconciler import schemas
from reconciler.core.identity import BlobId
from reconciler.core.manifest import NO_CHECKS, parse
from reconciler.core.messages import Chart, ChartFailure, ChartObjects
from reconciler.core.problem import field
from reconciler.core.types import Types
from reconciler.kinds.symphony import read
from reconciler.kinds.symphony.components import Fault, Rendered, Site, render
from reconciler.kinds.symphony.components.helm import is_exact
from reconciler.kinds.symphony.expressions import Evaluated, ExpressionError, Scope, evaluate_all
from reconciler.kinds.symphony.model import Binding, Component, Placement

Json = dict[str, Any]

FOLDER = Path(__file__).parent / "cases"
PROVIDERS = {
    "instance": "providers.target.k8s",
    "config": "providers.target.configmap",
    "ingress": "providers.target.ingress",
    "yaml.k8s": "providers.target.kubectl",
    "helm.v3": "providers.target.helm",
}


def cases(name: str) -> list[Json]:
    """All cases of a file."""
    return [case for case in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")) if case]


@cache
def types() -> Types:
    return Types.read(schemas.of_kubernetes())


def components_of(spec: Json) -> tuple[Component, ...]:
    """The components of a Solution, read as those of a repository are."""
    body = {"apiVersion": "solution.symphony/v1", "kind": "Solution", "metadata": {"name": "app"}, "spec": spec}
    file = parse(msgspec.json.encode(body), "app.json", BlobId("0" * 40), NO_CHECKS)
    solution, problems = read.solution(file.manifests[0])
    assert solution is not None, problems
    return solution.components


def site_of(case: Json) -> Site:
    """The site of a case."""
    spec = spec_of(case)
    providers: Mapping[str, str | None] = PROVIDERS | case.get("bindings", {})
    config = {"deploymentStrategy": case["strategy"]} if "strategy" in case else {}
    bindings = {
        role: Binding(role, provider, config if role == "instance" else {}, ("spec", "topologies", 0, "bindings", index))
        for index, (role, provider) in enumerate(providers.items())
        if provider is not None
    }
    files: dict[str, str] = case.get("files", {})
    charts: Json = case.get("charts", {})
    secrets: dict[str, Json] = case.get("secrets", {})
    instance = case.get("instance", "my-instance")

    def secret(name: str, key: str) -> str:
        if (name, key) not in [(n, k) for n, keys in secrets.items() for k in keys]:
            raise ExpressionError(f"there is no secret {name} with a key {key}")
        return str(secrets[name][key])

    def evaluate(json: Any, component: Component) -> Evaluated:
        properties = case.get("properties", {})
        return evaluate_all(json, Scope(properties=properties, parameters=component.parameters, instance=instance, secret=secret))

    def chart(asked: Chart) -> ChartObjects | ChartFailure:
        made = charts[asked.name]
        if isinstance(made, str):
            return ChartFailure(made)
        values = msgspec.json.decode(asked.values)
        objects = [{**one, "data": values} if values and isinstance(one, dict) else one for one in made]
        version = asked.version if is_exact(asked.version) else "9.9.9"
        return ChartObjects(version, msgspec.json.encode(objects), varies=bool(case.get("varies")))

    return Site(
        instance=instance,
        placement=Placement("edge", case.get("namespace", "shop"), bindings),
        evaluate=evaluate,
        types=types(),
        solution_metadata=spec.get("metadata", {}),
        instance_metadata=case.get("metadata", {}),
        content=lambda path: files[path].encode() if path in files else None,
        allowed_urls=tuple(case.get("allowed", ())),
        chart=chart if charts else None,
    )


def spec_of(case: Json) -> Json:
    return case["spec"] if "spec" in case else {"components": case["components"]}


def run(case: Json) -> Rendered:
    """What comes of a case."""
    return render(components_of(spec_of(case)), site_of(case))


def told(fault: Fault) -> Json:
    """A problem as cases write it: what is usual is left out."""
    line = {"at": field(fault.pointer), "message": fault.message}
    return line | ({"whose": fault.whose} if fault.whose != "solution" else {}) | ({"warning": True} if fault.severity == "warning" else {})
