"""How everything is told: states, sentences, times; and that a daemon that may not act changes nothing."""

from __future__ import annotations

import json

import pytest

from reconciler.core.approvals import text
from reconciler.core.identity import ClusterName, SourceName, UnitKey, folder
from reconciler.core.kind import Gate
from reconciler.core.manifest import parse
from reconciler.core.messages import Request
from reconciler.core.settings import ClusterSettings
from tests.core.driver import World, asks, config_map, manifest, says, started, unit

POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
WEB = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": POD}


def test_a_unit_is_reconciling_until_its_objects_are_well() -> None:
    world = World()
    first = world.commit({"a/d.yaml": manifest("apps/v1", "Deployment", "d", "default", spec=WEB)})
    daemon = world.daemon()
    world.until(lambda: daemon.requests("PATCH"))
    world.run(0.1)
    told = unit(daemon, "a")
    assert told.state == "Reconciling" and told.message.startswith("eu: Deployment/d ")
    begun = told.since
    world.settle(daemon)
    world.until(lambda: unit(daemon, "a").state == "Healthy")
    told = unit(daemon, "a")
    assert told.message == "" and told.since > begun and daemon.report.healthy and daemon.report.settled
    assert told.commit and told.commit.id == first and (told.lanes[0].objects, told.lanes[0].healthy) == (1, 1)


def test_since_moves_with_the_state_alone() -> None:
    world, daemon = started({"a/x.yaml": config_map("x"), "b/y.yaml": config_map("y")})
    before = unit(daemon, "a").since
    world.run(100)
    world.commit({"b/y.yaml": config_map("y", "2")})
    world.settle(daemon)
    assert unit(daemon, "a").since == before


def test_a_unit_names_the_commit_that_changed_it_last() -> None:
    world, daemon = started({"a/x.yaml": config_map("x"), "b/y.yaml": config_map("y")})
    first = world.repo.refs["refs/heads/main"]
    world.run(10)
    second = world.commit({"b/y.yaml": config_map("y", "2")})
    world.settle(daemon)
    found = {u.key.name: u.commit.id for u in daemon.report.units if u.commit}
    assert found == {"a": first, "b": second}
    assert world.get("y")["metadata"]["annotations"]["reconciler.dev/commit"] == second  # type: ignore[index]


@pytest.mark.parametrize(
    ("files", "state", "words"),
    [
        ({"a/bad.yaml": "a: ["}, "Held", ("a/bad.yaml:2:", "held as of")),
        ({"a/bad.yaml": config_map("b", prune="never")}, "Held", ("a/bad.yaml:1:", 'reconciler.dev/prune is \'never\', must be "allowed"')),
        ({"a/bad.yaml": config_map("b", wave="1.5")}, "Held", ("reconciler.dev/wave is '1.5', must be a whole number",)),
        ({"a/bad.yaml": config_map("b", ignore="spec/x")}, "Held", ("must be JSON pointers",)),
        ({"a/bad.yaml": config_map("b", adopt="yes")}, "Held", ("reconciler.dev/adopt is 'yes'",)),
        ({"clusters/us/c/x.yaml": config_map("b")}, "Held", ("no cluster us is configured",)),
    ],
    ids=["yaml", "prune", "wave", "ignore", "adopt", "cluster"],
)
def test_what_holds_a_unit_is_told_at_its_line_and_nothing_else_is_held(files: dict[str, str], state: str, words: tuple[str, ...]) -> None:
    world, daemon = started({"a/x.yaml": config_map("x"), "b/y.yaml": config_map("y")})
    world.commit(files)
    world.settle(daemon)
    path = next(iter(files)).rpartition("/")[0]
    told = unit(daemon, path)
    assert told.state == state and all(word in told.message for word in words), told.message
    assert unit(daemon, "b").state == "Healthy" and world.names() == ["x", "y"]
    world.commit(dict.fromkeys(files))
    world.settle(daemon)
    assert unit(daemon, "a").state == "Healthy" and daemon.report.healthy


def test_no_default_cluster_is_a_problem_of_the_files_that_name_none() -> None:
    world = World(clusters=("eu", "us"))
    world.commit({"a/x.yaml": config_map("x"), "clusters/us/b/y.yaml": config_map("y"), "hub/z.yaml": config_map("z")})
    daemon = world.daemon(clusters=tuple(ClusterSettings(ClusterName(n)) for n in ("eu", "us")))
    world.settle(daemon)
    assert "no default cluster is configured" in unit(daemon, "a").message and unit(daemon, "a").state == "Held"
    assert world.names(cluster="us") == ["y"] and world.names() == [] and unit(daemon, "hub").state == "Healthy"


def test_only_the_first_of_many_is_named_and_the_rest_is_counted() -> None:
    world = World()
    world.rule(asks("PATCH", "/configmaps/bad"), says(422, "no good"), times=1_000)
    world.commit({f"a/{i}.yaml": config_map(f"bad{i}") for i in range(9)})
    daemon = world.daemon()
    world.run(2)
    told = unit(daemon, "a")
    assert told.state == "Failed" and told.message.endswith("no good (and 8 more)") and len(told.lanes[0].unwell) == 5


# -- a daemon that may not act ----------


def test_a_daemon_that_only_looks_writes_nothing_and_says_what_would_change() -> None:
    world, daemon = started({**{f"a/{name}.yaml": config_map(name) for name in "xyz"}, "k.yaml": config_map("k")})
    world.kill(daemon)
    world.commit({"a/x.yaml": config_map("x", "2"), "a/new.yaml": config_map("new"), "a/z.yaml": None})
    looker = world.daemon("looker", act=False)
    world.settle(looker)
    for effect in looker.sent:
        if isinstance(effect, Request):
            assert effect.method == "GET" or (effect.method == "PATCH" and ("dryRun", "All") in effect.query)
    planned = {item.wanted.id.name: item.planned for work in looker.engine.work.all_lanes() for item in work.items.values()}
    assert planned == {"x": "change", "y": "", "new": "create", "k": ""}, "what is in sync needs no dry run"
    assert [live.id.name for found in looker.engine.pruner.leftovers().values() for live in found] == ["z"]
    assert world.names() == ["k", "x", "y", "z"] and "differs from Git" in str(unit(looker, "a").lanes[0].unwell)


def test_a_daemon_that_only_looks_at_a_world_it_never_saw_writes_nothing() -> None:
    world = World()
    world.commit({"a/x.yaml": config_map("x"), "a/ns.yaml": manifest("v1", "Namespace", "n"), "a/y.yaml": config_map("y", namespace="n")})
    looker = world.daemon("looker", act=False)
    world.settle(looker)
    assert world.names() == [] and world.call("GET", "/api/v1/namespaces/reconciler-system")[0] == 404
    planned = {item.wanted.id.name: item.planned for work in looker.engine.work.all_lanes() for item in work.items.values()}
    assert planned == {"x": "create", "n": "create", "y": "create"}


# -- approvals ----------


@pytest.mark.parametrize(
    "key",
    [
        folder(SourceName("fleet"), "a"),
        folder(SourceName("fleet"), "."),
        folder(SourceName("fleet"), 'odd "name" \\ with: #things'),
        UnitKey(SourceName("fleet"), "example.org", "Step", "default", "s"),
    ],
    ids=str,
)
def test_the_file_that_is_offered_says_what_is_approved(key: UnitKey) -> None:
    gate = Gate("go", "sha256:1", "delete 3 of 4 objects")
    file = parse(text(key, gate, "eu"), "approvals/go.yaml", "0" * 40)  # type: ignore[arg-type]
    assert file.problems == () and len(file.manifests) == 1
    spec = json.loads(file.manifests[0].json)["spec"]
    assert (spec["verb"], spec["gate"], spec["revision"], spec["of"]["name"]) == ("approve", "go", "sha256:1", key.name)
    assert spec["of"]["cluster"] == "eu" and "source" not in spec["of"]
