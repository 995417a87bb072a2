"""What is wrong with a whole tree reaches the units that it concerns, and goes when Git mends it."""

from __future__ import annotations

import json
from dataclasses import replace

from reconciler.core.identity import GroupKind, Instant, SourceName, UnitKey
from reconciler.core.kind import Json, Plan, Spec
from reconciler.core.problem import Problem
from reconciler.core.settings import SourceSettings
from reconciler.core.tree import Tree
from reconciler.core.view import View
from reconciler.kinds.plain import PLAIN
from tests.core.driver import Daemon, World
from tests.kinds import steps

BOOK = GroupKind("test.reconciler.dev", "Book")
seen: list[tuple[int, bool]] = []


def check(tree: Tree) -> tuple[Problem, ...]:
    """A book is read by the ladder of its name, and no ladder may begin with another value than before."""
    seen.append((sum(map(len, tree.kinds.values())), tree.planned))
    found = [Problem(book.place(("spec",)), f"{book.name} is a bad book") for book in tree.manifests(BOOK) if b"bad" in book.json]
    for ladder in tree.manifests(steps.STEPS):
        if b"explode" in ladder.json:
            raise ValueError("a fault of the kind's")
        old = tree.before(ladder)
        if old is not None and old.body()["spec"]["values"][0] != ladder.body()["spec"]["values"][0]:
            found.append(Problem(ladder.place(("spec", "values")), f"began with {old.body()['spec']['values'][0]}"))
        found.append(Problem(ladder.place(), "only a warning", "warning"))
    return tuple(found)


def plan(spec: Spec, view: View, now: Instant) -> Plan:
    for manifest in spec.manifests:
        view.named(BOOK, manifest.namespace, manifest.name)
    return steps.plan(spec, view, now)


KIND = replace(steps.KIND, plan=plan, references=(BOOK,), check=check)


def ladder(name: str, *values: str) -> str:
    body: Json = {"apiVersion": "test.reconciler.dev/v1", "kind": "Steps", "metadata": {"name": name, "namespace": "default"}}
    return json.dumps({**body, "spec": {"values": values}}, indent=1)


def book(name: str, text: str = "good") -> str:
    body: Json = {"apiVersion": "test.reconciler.dev/v1", "kind": "Book", "metadata": {"name": name, "namespace": "default"}}
    return json.dumps({**body, "spec": {"text": text}}, indent=1)


def started(files: dict[str, str]) -> tuple[World, Daemon]:
    world = World(kinds=(PLAIN, KIND))
    world.commit(files)
    daemon = world.daemon()
    world.settle(daemon)
    return world, daemon


def problems(world: World, daemon: Daemon, name: str) -> list[str]:
    world.settle(daemon)
    key = UnitKey(next(iter(daemon.engine.sources)), *steps.STEPS, "default", name)
    unit = next(unit for unit in daemon.report.units if unit.key == key)
    return [f"{place}: {message}" for place, message in unit.problems]


def test_a_problem_concerns_the_root_that_it_stands_in() -> None:
    world, daemon = started({"a.json": ladder("a", "x"), "b.json": ladder("b", "x")})
    assert problems(world, daemon, "a") == []
    world.commit({"a.json": ladder("a", "y")})
    assert problems(world, daemon, "a") == ["a.json:9:13: began with x"]
    assert problems(world, daemon, "b") == []
    world.commit({"other/a.json": ladder("c", "x")})
    assert problems(world, daemon, "a") == ["a.json:9:13: began with x"]
    world.commit({"a.json": ladder("a", "y", "z")})
    assert problems(world, daemon, "a") == []


def test_a_problem_of_a_reference_concerns_those_that_asked_for_it_by_name() -> None:
    world, daemon = started({"a.json": ladder("a", "x"), "b.json": ladder("b", "x"), "book.json": book("a")})
    world.commit({"book.json": book("a", "bad")})
    assert problems(world, daemon, "a") == ["book.json:8:10: a is a bad book"]
    assert problems(world, daemon, "b") == []
    world.commit({"book.json": book("a")})
    assert problems(world, daemon, "a") == []


def test_nothing_is_checked_while_nothing_of_its_kinds_changes() -> None:
    seen.clear()
    world, daemon = started({"a.json": ladder("a", "x"), "book.json": book("a")})
    assert problems(world, daemon, "a") == [] and dict.fromkeys(seen) == {(2, True): None}
    count = len(seen)
    world.commit({"other.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"})
    assert problems(world, daemon, "a") == [] and len(seen) == count
    world.commit({"book.json": book("a", "other")})
    assert problems(world, daemon, "a") == [] and len(seen) == count + 1


def test_a_check_that_fails_is_told_once_and_stops_nothing() -> None:
    world = World(kinds=(PLAIN, KIND))
    world.commit({"a.json": ladder("a", "explode"), "b.json": ladder("b", "x")})
    daemon = world.daemon(sources=(SourceSettings(SourceName("fleet"), "https://git.example.org/fleet"),))
    world.run(60)
    world.commit({"b.json": ladder("b", "y")})
    world.run(60)
    assert [fact["source"] for fact in daemon.said("internal error")] == ["fleet"]
    assert world.get("b", namespace="default")["data"]["value"] == "y"  # type: ignore[index]
    assert problems(world, daemon, "a") == []
