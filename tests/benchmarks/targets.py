"""One instance on many targets, each a namespace of its own, over two clusters: what it costs to move some of them, or one.

Law of the module: the targets' objects are ConfigMaps, which are well as soon as they are applied, so that nothing is measured but the
daemon. Where many objects move it tells its status as seldom as it does by default; single changes are charged with one each. The
processor time of its plans and steps is that of its main thread, by a clock of its own (`process`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, thread_time
from typing import Any, NamedTuple

import yaml

from tests.waiting import until

from .audit import writes
from .install import namespace
from .measure import Result, Sizes
from .world import LIMIT_SECONDS, Daemon, World, Worlds, config_map
from .yardsticks import bare

CLUSTERS = ("eu", "us")
FOLDERS = 50
COUNTED = ("plans", "steps", "blobs_read", "parses", "pushes")


def target(number: int, label: str = "ring0") -> str:
    """A target with a scope of its own."""
    cluster = CLUSTERS[number % len(CLUSTERS)]
    binding = f"role: config, provider: providers.target.configmap, config: {{cluster: {cluster}}}"
    return f"""apiVersion: fabric.symphony/v1
kind: Target
metadata: {{name: t{number}}}
spec:
  solutionScope: shop-{number}
  properties: {{ring: ring0, label: {label}}}
  topologies: [{{bindings: [{{{binding}}}]}}]
"""


def solution(version: int, value: str = "1") -> str:
    """A version of one component."""
    return f"""apiVersion: solution.symphony/v1
kind: Solution
metadata: {{name: shop-v-v{version}}}
spec:
  components: [{{name: web, type: config, properties: {{version: v{version}, value: "{value}"}}}}]
"""


def instance(*weights: int) -> str:
    """Two versions on shares of all targets."""
    versions = ", ".join(f"{{solution: 'shop:v{number}', weight: {weight}}}" for number, weight in enumerate(weights, 1))
    return f"""apiVersion: solution.symphony/v1
kind: Instance
metadata: {{name: shop}}
spec:
  stage: canary
  stages: [{{name: canary, versions: [{versions}], target: {{selector: {{ring: ring0}}}}}}]
"""


def path_of(number: int) -> str:
    """The file of a target."""
    return f"targets/f{number % FOLDERS}/t{number}.yaml"


class Cost(NamedTuple):
    """What one commit cost. Of the main thread's processor seconds: its plans, telling the status, the engine in all, its longest step."""

    seconds: float
    cpu: float
    plans: float
    status: float
    engine: float
    longest: float
    asked: Counter[str]
    counts: dict[str, float]


def targets(worlds: Worlds, sizes: Sizes, profile: Path | None) -> Result:
    """An instance on many targets over two clusters: weights, one target, one solution changed."""
    worlds.release()
    count, moved = sizes.targets, sizes.targets // 10
    result = Result("targets", f"an instance on {count} targets, each a namespace with a ConfigMap, over 2 clusters; {moved} move")
    with worlds.empty(clusters=CLUSTERS) as world:
        worlds.say(f"installing an instance on {count} targets")
        files = {path_of(number): target(number) for number in range(count)}
        files |= {"solutions/v1.yaml": solution(1), "solutions/v2.yaml": solution(2), "shop.yaml": instance(30, 70)}
        first = world.commit(files)
        daemon = world.daemon()
        began = monotonic()
        daemon.wait_live(first, writes=2 * count)
        result.add("install: start to healthy", "s", monotonic() - began)
        result.add("install: processor time of the daemon an object, its start included", "ms", daemon.cpu() / (2 * count) * 1000)
        daemon.wait(lambda seen: seen["told"], "the status branch says so", 1.0)
        with daemon.profiled(profile):
            shifts = _shifts(world, daemon, sizes, moved)
        whole = _cost(world, daemon, {f"solutions/v{one}.yaml": solution(one, "2") for one in (1, 2)}, count)
        daemon.stop()
        daemon = world.daemon(status_every="1s")
        daemon.wait(lambda seen: seen["settled"] and seen["healthy"] and seen["told"], "all is live after a start", 1.0)
        ones = [_cost(world, daemon, {path_of(number): target(number, "other")}, 0) for number in range(sizes.changes)]
        joined = _cost(world, daemon, {path_of(count): target(count)}, 2)
        _rest(result, daemon, sizes)
        _tell(result, shifts, whole, ones, joined, count)
        _yardsticks(result, world, files, shifts, whole, moved)
        _memory(result, world, daemon, sizes)
    return result


def _shifts(world: World, daemon: Daemon, sizes: Sizes, moved: int) -> list[Cost]:
    """Weights to and fro: each moves a tenth of the targets."""
    weights = [(40, 60), (30, 70)]
    return [_cost(world, daemon, {"shop.yaml": instance(*weights[number % 2])}, moved) for number in range(sizes.shifts)]


def _cost(world: World, daemon: Daemon, change: Mapping[str, str], patches: int) -> Cost:
    """Commit, and wait until so many objects are applied, all is well, and the status branch says so."""
    marks = {name: plane.mark() for name, plane in world.planes.items()}
    before, cpu, began = daemon.counts(), daemon.cpu(), monotonic()
    revision = world.commit(change)

    def asked() -> Counter[str]:
        return sum((plane.asked(marks[name]) for name, plane in world.planes.items()), Counter[str]())

    def applied(since: int = world.lines()) -> bool:
        return world.lines() - since >= patches

    until(applied, f"{patches} objects are applied", LIMIT_SECONDS)
    daemon.wait_live(revision)
    seconds = monotonic() - began
    after = daemon.wait(lambda seen: seen["told"], "the status branch says so", 1.0)
    longest = max((took for number, took in after["long_steps"] if number > before["steps"]), default=0.0)
    counted: dict[str, float] = {word: after[word] - before[word] for word in COUNTED}
    plans, status, engine = (after[what] - before[what] for what in ("plan_cpu", "status_cpu", "step_cpu"))
    return Cost(seconds, daemon.cpu() - cpu, plans, status, engine, longest, asked(), counted)


def _rest(result: Result, daemon: Daemon, sizes: Sizes) -> None:
    """Nothing happens."""
    before, end = daemon.counts(), monotonic() + sizes.idle_seconds
    until(lambda: monotonic() >= end, "the time is over", sizes.idle_seconds + 60)
    after = daemon.counts()
    per_minute = 60 / sizes.idle_seconds
    result.add("at rest: processor time of the engine a minute", "s", (after["step_cpu"] - before["step_cpu"]) * per_minute, goal=0.1)
    result.add("at rest: plans", "", float(after["plans"] - before["plans"]), goal=0)


def _tell(result: Result, shifts: list[Cost], whole: Cost, ones: list[Cost], joined: Cost, count: int) -> None:
    moved = count // 10
    apply = (whole.engine - whole.plans - whole.status) / count  # of the engine, for each object that is applied
    result.add("weights: objects applied", "", [float(writes(one.asked) - _records(one.asked)) for one in shifts], goal=moved)
    result.add("weights: processor time of its plans", "s", [one.plans for one in shifts], goal=0.5)
    result.add("weights: of the engine, without what each apply costs it", "s", [one.engine - moved * apply for one in shifts], goal=1.5)
    result.add("weights: of the engine in all", "s", [one.engine for one in shifts])
    result.add("weights: of that telling the status", "s", [one.status for one in shifts])
    result.add("weights: of the daemon in all", "s", [one.cpu for one in shifts])
    result.add("weights: commit to all healthy", "s", [one.seconds for one in shifts])
    result.add("the longest step of all, but for both solutions", "s", max(one.longest for one in (*shifts, *ones, joined)), goal=0.5)
    result.add("one target's property: of the engine, status included", "s", [one.engine for one in ones], goal=0.3)
    result.add("one target's property: of its plan", "s", [one.plans for one in ones])
    result.add("one target's property: of telling it", "s", [one.status for one in ones])
    result.add("one target more: of the engine", "s", joined.engine, goal=0.6)
    result.add("both solutions: of the engine an apply, without plans and status", "ms", apply * 1000)
    result.add("both solutions: of the daemon an apply", "ms", whole.cpu / count * 1000, goal=5)
    result.add("both solutions: of its plans, in which all is rendered anew", "s", whole.plans)
    for what, one in (("weights", shifts[0]), ("both solutions", whole), ("one target's property", ones[0]), ("one target more", joined)):
        result.counts[f"requests at the API servers, {what}"] = dict(one.asked)
        result.counts[f"the daemon's own counts, {what}"] = one.counts


def _records(asked: Counter[str]) -> int:
    """Writes of records: of an instance's one a change, where somebody moves."""
    return sum(count for word, count in asked.items() if word.endswith(" secrets"))


def _yardsticks(result: Result, world: World, files: Mapping[str, str], shifts: list[Cost], whole: Cost, moved: int) -> None:
    """Reading the same targets as JSON, once; applying as many objects as they are."""
    texts = [json.dumps(yaml.load(text, yaml.CSafeLoader)) for text in files.values()]
    took = [_timed(lambda: [json.loads(text) for text in texts]) for _ in shifts]
    result.add("yardstick: processor time of json.loads of all targets", "s", took)
    result.ratio("weights: plans / json.loads of all targets", [one.plans for one in shifts], took)
    found = bare(world, [namespace("bare"), *(config_map(f"c{number}").replace("bench", "bare") for number in range(moved))])
    result.add("yardstick: bare patches of as many objects as moved", "s", found["seconds"])
    result.ratio("weights: commit to all healthy / bare patches", [one.seconds for one in shifts], [found["seconds"]])
    each = found["cpu"] / (moved + 1)
    result.add("yardstick: processor time of a bare patch", "ms", each * 1000)
    result.ratio("both solutions: of the daemon an apply / a bare patch", [whole.cpu / len(files)], [each])


def _timed(call: Callable[[], Any]) -> float:
    began = thread_time()
    call()
    return thread_time() - began


def _memory(result: Result, world: World, daemon: Daemon, sizes: Sizes) -> None:
    """Resident after a start with everything live, and with more targets."""
    found = []
    for extra in (0, sizes.further):
        new = {path_of(number): target(number) for number in range(sizes.targets + 1, sizes.targets + 1 + extra)}
        revision = world.commit({**new, "hub/now.yaml": config_map(f"with-{extra}-more")})
        daemon.wait_live(revision)
        daemon.stop()
        daemon.__enter__()
        daemon.wait_live(revision)
        daemon.wait_quiet()
        found.append(daemon.memory())
    result.add("resident after a start", "MB", found[0] / 1e6)
    result.add("a further target", "bytes", (found[1] - found[0]) / sizes.further)
