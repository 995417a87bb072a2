"""Everything at once: commits, crashes, answers that are lost or late, hands that edit, clusters that go. At the end it is as Git says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.messages import Answer, Effect, Input, OpenWatch, Request, WatchClosed
from tests.core.driver import Daemon, Json, Perform, World, config_map, unheard

FOLDERS = ("a", "b", "clusters/us/c")
FAULTS = ("unheard", "late", "500", "429", "409", "gone")
EVENTS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(FOLDERS), st.integers(0, 5)),
    st.tuples(st.just("remove"), st.sampled_from(FOLDERS), st.integers(0, 5)),
    st.tuples(st.just("break"), st.sampled_from(FOLDERS), st.integers(0, 5)),
    st.tuples(st.just("edit"), st.sampled_from(("eu", "us")), st.integers(0, 5)),
    st.tuples(st.just("delete"), st.sampled_from(("eu", "us")), st.integers(0, 5)),
    st.tuples(st.just("crash"), st.just(""), st.integers(0, 5)),
    st.tuples(st.just("cut"), st.sampled_from(("", "configmaps")), st.integers(0, 5)),
    st.tuples(st.just("fault"), st.sampled_from(FAULTS), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.just(""), st.integers(0, 20)),
)
PATH = "/api/v1/namespaces/default/configmaps"


def is_write(effect: Effect) -> bool:
    return isinstance(effect, Request) and effect.method != "GET"


def fault(world: World, kind: str, number: int) -> None:
    """Something goes wrong with the next writes, or with all that one cluster is asked."""

    def answers(status: int) -> Any:
        pause = 3.0 if status == 429 else None
        return lambda effect, perform: Answer(effect.id, status, b'{"message": "not now"}', retry_after_seconds=pause)

    def nobody(effect: Any, perform: Perform) -> Input:
        if isinstance(effect, OpenWatch):
            return WatchClosed(effect.id, 0, "no route")
        return Answer(effect.id, 0, error="no route")

    match kind:
        case "unheard":
            world.rule(is_write, unheard, times=number)
        case "late":
            world.rule(is_write, lambda e, perform: perform(), times=number, seconds=number * 3.0)
        case "gone":
            cluster = "us" if number % 2 else "eu"
            world.rule(lambda e: isinstance(e, Request | OpenWatch) and e.cluster == cluster, nobody, times=number * 4)
            world.cut(status=0)
        case _:
            world.rule(is_write, answers(int(kind)), times=number)


def happen(world: World, daemon: Daemon, event: tuple[str, str, int], value: int) -> Daemon:
    kind, where, number = event
    tree = world.repo.commits[world.repo.refs["refs/heads/main"]][1]
    path = f"{where}/{number}.yaml"
    name = f"{where.replace('/', '-')}{number}"
    match kind:
        case "write":
            world.commit({path: config_map(name, str(value))})
        case "remove" if path in tree:
            world.commit({path: None})
        case "break":
            world.commit({f"{where}/broken.yaml": None if f"{where}/broken.yaml" in tree else "a: ["})
        case "edit" | "delete":
            mine = world.names(cluster=where)
            if mine and kind == "edit":
                body = {"data": {"v": "by hand"}}
                world.call("PATCH", f"{PATH}/{mine[number % len(mine)]}", body, where, "application/merge-patch+json")
            elif mine:
                world.call("DELETE", f"{PATH}/{mine[number % len(mine)]}", cluster=where)
        case "crash":
            return world.restart(daemon)
        case "cut":
            world.cut(where, status=(200, 410, 0)[number % 3])
        case "fault":
            fault(world, where, number)
        case "wait":
            world.run(float(number))
    return daemon


def live(world: World, cluster: str) -> dict[str, Json]:
    _, body = world.call("GET", PATH, cluster=cluster)
    return {item["metadata"]["name"]: item for item in body["items"] if "reconciler.dev/managed-by" in item["metadata"].get("labels", {})}


@settings(max_examples=12)
@given(st.lists(EVENTS, max_size=25))
def test_whatever_happens_it_ends_as_git_says(events: list[tuple[str, str, int]]) -> None:
    """And then it is silent: ten minutes without a write."""
    world = World(clusters=("eu", "us"))
    world.commit({"keep/k.yaml": config_map("k"), "clusters/us/keep/k.yaml": config_map("k")})
    daemon = world.daemon()
    world.run(1)
    for value, event in enumerate(events):
        daemon = happen(world, daemon, event, value)
        world.run(0.05)
    world.rules = []
    world.commit({f"{folder}/broken.yaml": "---\n" for folder in FOLDERS})
    world.run(700)
    tree = world.repo.commits[world.repo.refs["refs/heads/main"]][1]
    for cluster in ("eu", "us"):
        wanted = {
            (body := json.loads(text))["metadata"]["name"]: body["data"]["v"]
            for path, text in tree.items()
            if "broken" not in path and path.startswith("clusters/us/") == (cluster == "us")
        }
        found = live(world, cluster)
        waits = sum(lane.prune.count for u in daemon.report.units for lane in u.lanes if lane.cluster == cluster and lane.prune)
        assert {name: item["data"]["v"] for name, item in found.items() if name in wanted} == wanted
        assert len(found) == len(wanted) + waits, daemon.report
        ids = {item["metadata"]["annotations"]["reconciler.dev/owner"].split(" ")[0] for item in found.values()}
        assert ids == {daemon.engine.store.installation}
    before = len(daemon.sent)
    world.run(600)
    assert [e for e in daemon.sent[before:] if is_write(e) and "/leases" not in e.path] == []  # type: ignore[union-attr]


