"""Two claims on one object: each side is told whom it has to talk to."""

from __future__ import annotations

from reconciler.core.identity import SourceName, UnitKey
from reconciler.core.rivals import told_beside
from tests.core.driver import Daemon, World, config_map, started, unit
from tests.kinds.symphony.cases import instance_text, solution_text, target_text

SPEC = {"solution": "v1", "target": {"name": "a"}}
ROLES = {"instance": "providers.target.k8s", "yaml.k8s": "providers.target.kubectl"}
BINDINGS = [{"role": role, "provider": provider, "config": {"cluster": "eu"}} for role, provider in ROLES.items()]
SHARED = {"targets/a.yaml": target_text("a", {"topologies": [{"bindings": BINDINGS}]}), "solutions/v1.yaml": solution_text("v1", "app:1")}


def instance(namespace: str, name: str = "web") -> str:
    text = instance_text(SPEC, {}).replace("my-instance", name)
    return text.replace(f"name: {name}", f"name: {name}\n  namespace: {namespace}", 1) if namespace else text


def message(daemon: Daemon, namespace: str, name: str = "web") -> str:
    return next(u.message for u in daemon.report.units if (u.key.kind, u.key.namespace, u.key.name) == ("Instance", namespace, name))


def test_roots_that_render_one_line_are_told_by_name_and_place() -> None:
    """Both come from the solution that they share: its line says nothing."""
    world = World()
    text = solution_text("v1", {"components": [{"name": "web", "type": "yaml.k8s", "properties": {"resource": MAP}}]})
    world.commit({**SHARED, "solutions/v1.yaml": text, "apps/y.yaml": instance("", "one"), "apps/z.yaml": instance("", "other")})
    daemon = world.daemon()
    world.settle(daemon)
    assert "also wanted by Instance/other (apps/z.yaml:1:1); left as it was" in message(daemon, "", "one")
    assert "also wanted by Instance/one (apps/y.yaml:1:1); left as it was" in message(daemon, "", "other")


MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared", "namespace": "default"}, "data": {"v": "1"}}


def test_roots_of_one_name_are_told_apart_by_namespace() -> None:
    world = World()
    world.commit({**SHARED, "apps/y.yaml": instance(""), "apps/z.yaml": instance("default")})
    daemon = world.daemon()
    world.settle(daemon)
    assert "also wanted by Instance/web in namespace default (apps/z.yaml:1:1)" in message(daemon, "")
    assert "also wanted by Instance/web without a namespace (apps/y.yaml:1:1)" in message(daemon, "default")


def test_a_folder_and_a_root_are_told_of_each_other() -> None:
    text = solution_text("v1", {"components": [{"name": "web", "type": "yaml.k8s", "properties": {"resource": MAP}}]})
    files = {**SHARED, "solutions/v1.yaml": text, "apps/y.yaml": instance(""), "plain/x.yaml": config_map("shared")}
    _, daemon = started(files)
    assert "also wanted by Instance/web (apps/y.yaml:1:1)" in unit(daemon, "plain").message
    assert "also wanted at plain/x.yaml:1:1; left" in message(daemon, "")


def test_one_path_of_two_sources_is_told_with_the_source() -> None:
    world = World(sources=("fleet", "other"))
    for repo, text in zip(world.repos.values(), ("1", "2"), strict=True):
        repo.commit({"a/x.yaml": config_map("x", text)})
    daemon = world.daemon()
    world.settle(daemon)
    assert "also wanted at a/x.yaml:1:1 of source other; left" in unit(daemon, "a").message
    assert "also wanted at a/x.yaml:1:1 of source fleet; left" in unit(daemon, "a", "other").message


def test_a_name_is_told_with_what_sets_it_apart() -> None:
    one = UnitKey(SourceName("fleet"), "g", "Instance", "", "web")
    assert told_beside(one, one._replace(name="x")) == "Instance/web"
    assert told_beside(one, one._replace(namespace="default", source=SourceName("b"))) == "Instance/web without a namespace of source fleet"
