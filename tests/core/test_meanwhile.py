"""What changes while something else is under way: an answer, a verdict or a record is believed only for what it was about."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from reconciler.core.messages import Answer, Input, OpenWatch, Request, WatchClosed
from tests.core.driver import Json, Perform, World, asks, config_map, manifest, says, started, unheard, unit, value
from tests.core.test_units import ask, live_value, world_of

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
DEPLOYMENT = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": POD}


def by_hand(world: World, path: str, body: Json) -> None:
    status, said = world.call("PATCH", f"{path}?fieldManager=kubectl-edit", body, content=MERGE)
    assert status == 200, said["message"]


# -- answers ----------


def test_what_is_edited_while_its_apply_is_under_way_is_healed() -> None:
    """The watch has told of the edit by the time the answer says what was applied."""
    world, daemon = started({"a/x.yaml": config_map("x")})
    world.rule(asks("PATCH", "/x"), lambda e, perform: perform(), seconds=5)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.run(1)
    by_hand(world, f"{MAPS}/x", {"data": {"v": "by hand"}})
    world.run(10)
    assert value(world, "x") == "2" and unit(daemon, "a").state == "Healthy"


@pytest.mark.parametrize("again", ["3", "2", "1"])
def test_what_leaves_git_while_its_apply_is_under_way_can_come_back(again: str) -> None:
    world, daemon = started({"a/x.yaml": config_map("x"), "k/k.yaml": config_map("k")})
    world.rule(asks("PATCH", "/x"), lambda e, perform: perform(), seconds=8)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.run(1)
    world.commit({"a/x.yaml": None})
    world.run(2)
    world.commit({"a/x.yaml": config_map("x", again)})
    world.run(30)
    assert value(world, "x") == again and unit(daemon, "a").state == "Healthy"


def test_what_is_rewritten_while_its_apply_is_under_way_is_applied_after_it() -> None:
    """At once, also where no event tells of it: the second waits for the first alone."""
    world, daemon = started({"a/x.yaml": config_map("x")})
    world.rule(asks("PATCH", "/x"), says(503, "no effect"), seconds=5)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.run(1)
    world.commit({"a/x.yaml": config_map("x", "3")})
    world.run(6)
    assert value(world, "x") == "3" and unit(daemon, "a").state == "Healthy"


# -- verdicts ----------


def version(name: str) -> Json:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {"name": name, "served": True, "storage": name == "v1", "schema": schema}


def test_the_verdict_of_a_dry_run_is_about_the_object_that_was_there() -> None:
    """Wanted in another version than the preferred one, in which it is watched: only a dry run can tell."""
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"}
    spec = {"group": "example.org", "scope": "Namespaced", "names": names, "versions": [version("v1"), version("v1beta1")]}
    definition = manifest("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.org", spec=spec)
    widget = manifest("example.org/v1beta1", "Widget", "w", "default", spec={"size": 3})
    world, daemon = started({"a/crd.yaml": definition, "a/w.yaml": widget})
    world.run(60)
    asked = len(daemon.requests("PATCH"))
    world.run(600)
    assert len(daemon.requests("PATCH")) == asked, "nothing moved, so nothing is asked"
    for size in (7, 8):
        by_hand(world, "/apis/example.org/v1beta1/namespaces/default/widgets/w", {"spec": {"size": size}})
        world.run(5)
        assert world.get("w", "widgets", top="/apis/example.org/v1")["spec"] == {"size": 3}  # type: ignore[index]


def test_what_a_webhook_once_took_away_is_still_ours_when_somebody_else_sets_it() -> None:
    """What admission makes of our values is accepted: that value, and no other."""
    world = World()
    text = json.loads(config_map("x"))
    text["data"]["taken"] = "ours"

    def webhook(effect: Request, perform: Perform) -> Input:
        body = json.loads(effect.body)
        body["data"].pop("taken", None)
        return world.network.ask(daemon, dataclasses.replace(effect, body=json.dumps(body).encode()))

    world.rule(asks("PATCH", "/x"), webhook, times=1_000)
    world.commit({"a/x.yaml": json.dumps(text)})
    daemon = world.daemon()
    world.settle(daemon)
    sent = len(daemon.requests("PATCH"))
    world.run(600)
    assert len(daemon.requests("PATCH")) == sent and unit(daemon, "a").state == "Healthy"
    world.rules = []
    by_hand(world, f"{MAPS}/x", {"data": {"taken": "theirs"}})
    world.run(5)
    assert world.get("x")["data"] == {"v": "1", "taken": "ours"}  # type: ignore[index]


def test_what_only_moves_within_its_file_is_not_applied_again() -> None:
    world, daemon = started({"a/x.yaml": f"---\n{config_map('x')}"})
    sent = len(daemon.requests())
    world.commit({"a/x.yaml": f"---\n# a word about it\n{config_map('x')}"})
    world.settle(daemon)
    world.run(60)
    assert len(daemon.requests()) == sent


# -- places ----------


@pytest.mark.parametrize("answer", [says(500, "not now"), lambda e, perform: perform()], ids=["refused", "late"])
def test_nothing_is_applied_before_the_mark_of_its_cluster_is_read(answer: Any) -> None:
    """Not even where we have been for years: the mark may be another repository's by now."""
    world, daemon = started({"a/x.yaml": config_map("x")})
    world.rule(asks("GET", "/reconciler-system/configmaps"), answer, times=3, seconds=20)
    again = world.restart(daemon)
    world.commit({"a/x.yaml": config_map("x", "2")})
    world.never(lambda: again.requests("PATCH"), 20)
    world.until(lambda: value(world, "x") == "2", 120)


def test_nothing_is_applied_into_a_namespace_on_its_way_out() -> None:
    world, daemon = started({"a/n.yaml": manifest("v1", "Namespace", "shop"), "b/x.yaml": config_map("x", namespace="shop")})
    by_hand(world, "/api/v1/namespaces/shop/configmaps/x", {"metadata": {"finalizers": ["example.org/slow"]}})
    world.call("DELETE", "/api/v1/namespaces/shop")
    world.run(2)
    sent = len(daemon.requests("PATCH"))
    world.commit({"b/y.yaml": config_map("y", namespace="shop")})
    world.run(60)
    assert len(daemon.requests("PATCH")) == sent and "waits for Namespace shop, which is being deleted" in unit(daemon, "b").message
    by_hand(world, "/api/v1/namespaces/shop/configmaps/x", {"metadata": {"finalizers": None}})
    world.settle(daemon)
    assert world.names(namespace="shop") == ["x", "y"] and unit(daemon, "b").state == "Healthy"


@pytest.mark.parametrize("notes", [{}, {"reconciler.dev/prune": "allowed"}])
def test_what_holds_data_is_never_made_anew(notes: dict[str, str]) -> None:
    """Recreate says that its fields may change, and prune that it may go: neither that its data may be lost on the way."""
    notes = {**notes, "reconciler.dev/recreate": "allowed"}

    def claim(size: str) -> str:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        return manifest("v1", "PersistentVolumeClaim", "p", "default", notes, spec=spec)

    world = World()
    world.commit({"a/p.yaml": claim("1Gi")})
    daemon = world.daemon()
    world.run(5)
    world.rule(asks("PATCH", "/p"), says(422, "spec: Forbidden: field is immutable"), times=1_000)
    world.commit({"a/p.yaml": claim("2Gi")})
    world.run(60)
    assert daemon.requests("DELETE") == [] and "holds data and is never deleted" in unit(daemon, "a").message


# -- what others own ----------


def test_after_an_outage_what_others_own_is_looked_at_anew() -> None:
    """An object that a unit only asks about is watched by its name, and no other event tells of it."""
    world, daemon = world_of(live_value)
    ask(world, "1")
    world.settle(daemon)
    world.rule(lambda e: isinstance(e, Request | OpenWatch) and "/leases" not in e.path, no_route, times=6)
    world.cut(status=0)
    world.run(1)
    ask(world, "2")
    world.until(lambda: world.get("copy") and value(world, "copy") == "2", 60)


def no_route(effect: Any, perform: Perform) -> Input:
    """Nobody answers, neither requests nor watches."""
    return WatchClosed(effect.id, 0, "no route") if isinstance(effect, OpenWatch) else Answer(effect.id, 0, error="no route")


# -- watches ----------


def test_what_a_watch_has_missed_is_listed_anew_and_meanwhile_asked_about_seldom() -> None:
    """The apply was not heard of, and the watch went past it: an answer shows the object, and what is held does not."""
    world, daemon = started({"a/k.yaml": config_map("k")})
    world.rewrite = lambda effect, lines: tuple(line for line in lines if b'"name":"x"' not in line)
    world.rule(asks("PATCH", "/x"), unheard)
    world.commit({"a/x.yaml": config_map("x"), "b/y.yaml": config_map("y")})
    world.until(lambda: world.get("x") and world.get("y"), 10)
    world.commit({"b/z.yaml": config_map("z")})
    before = len(daemon.sent)
    world.until(lambda: unit(daemon, "a").state == "Healthy", 60)
    assert len(daemon.requests("PATCH", "/x")) <= 4 and len(daemon.sent) - before < 60
