"""Charts in the simulated world: a table that anybody can look up, and an engine that asks it once."""

from __future__ import annotations

import json
from typing import Any

from reconciler.core.messages import Chart, ChartFailure, ChartRendered, RenderChart
from tests.core.driver import World

REPO = "https://charts.example.org"


def objects(chart: Chart) -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": chart.release}, "data": json.loads(chart.values)}]


def versioned(version: str) -> Any:
    return lambda chart: [{**one, "data": {"v": version}} for one in objects(chart)]


def files(*components: dict[str, Any]) -> dict[str, str]:
    bindings = [{"role": "helm.v3", "provider": "providers.target.helm"}]
    specs: dict[str, Any] = {
        "fabric.symphony/v1 Target": {"topologies": [{"bindings": bindings}]},
        "solution.symphony/v1 Solution": {"components": list(components)},
        "solution.symphony/v1 Instance": {"solution": "shop", "target": {"name": "shop"}},
    }
    made = {}
    for kind, spec in specs.items():
        api, name = kind.split()
        made[f"{name}.yaml"] = json.dumps({"apiVersion": api, "kind": name, "metadata": {"name": "shop"}, "spec": spec})
    return made


def component(version: str = "", name: str = "web") -> dict[str, Any]:
    chart = {"repo": REPO, "name": name, "version": version}
    return {"name": name, "type": "helm.v3", "properties": {"chart": chart, "values": {"a": "b"}}}


def asked(world: World) -> int:
    return sum(isinstance(effect, RenderChart) for daemon in world.daemons for effect in daemon.sent)


def test_an_instance_has_what_its_chart_comes_to_and_keeps_it_whatever_is_newer() -> None:
    world = World()
    world.charts.publish(REPO, "web", "1.0.0", versioned("1.0.0"))
    world.commit(files(component()))
    daemon = world.daemon(helm=True, urls=(REPO,))
    world.settle(daemon)
    assert (world.get("web") or {})["data"] == {"v": "1.0.0"}
    world.charts.publish(REPO, "web", "2.0.0", versioned("2.0.0"))
    world.run(3_600)
    assert asked(world) == 1
    again = world.restart(daemon)
    world.settle(again)
    assert (world.get("web") or {})["data"] == {"v": "1.0.0"} and asked(world) == 1
    world.commit(files(component("2.0.0")))
    world.settle(again)
    assert (world.get("web") or {})["data"] == {"v": "2.0.0"}


def test_a_chart_that_cannot_be_had_is_tried_again_until_it_can() -> None:
    world = World()
    world.charts.publish(REPO, "web", "1.0.0", objects)
    world.commit(files(component("1.0.0"), component("1.0.0", "later")))
    daemon = world.daemon(helm=True, urls=(REPO,))
    world.rule(
        lambda effect: isinstance(effect, RenderChart) and effect.chart.name == "web",
        lambda effect, perform: ChartRendered(effect.id, ChartFailure("no route to host")),
        times=3,
    )
    world.until(lambda: world.get("web"), 600)
    assert (world.get("web") or {})["data"] == {"a": "b"}
    assert [problem["reason"] for problem in daemon.said("chart cannot be rendered")] == ["no route to host", "there is no chart later"]
    world.charts.publish(REPO, "later", "1.0.0", objects)
    world.until(lambda: world.get("later"), 1_200)
    world.settle(daemon)


def test_without_helm_nobody_is_asked() -> None:
    world = World()
    world.commit(files(component("1.0.0")))
    daemon = world.daemon()
    world.run(60)
    assert asked(world) == 0
    assert any("needs helm" in str(unit.problems) for unit in daemon.report.units)
