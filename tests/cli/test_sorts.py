"""`get` of instances, targets and solutions, and what `plan` says first of them, over an engine that does not act."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cli import planned, sorts, standing
from reconciler.cli.listing import Pick
from reconciler.cli.plan import as_text
from reconciler.core.report import Report
from tests.core.driver import Daemon, World

BOUND = "topologies: [{bindings: [{role: instance, provider: providers.target.k8s, config: {cluster: %s}}]}]"
TARGET = """apiVersion: fabric.symphony/v1
kind: Target
metadata: {name: shop-%s}
spec:
  solutionScope: shop-%s
  properties: {label: %s}
  """
SOLUTION = """apiVersion: solution.symphony/v1
kind: Solution
metadata: {name: %s}
spec:
  components: [{name: web, type: container, properties: {container.image: "%s:1"}}]
"""
INSTANCE = """apiVersion: solution.symphony/v1
kind: Instance
metadata: {name: checkout}
spec:
  stage: %s
  solution: checkout-v1
  target: {name: shop-1}
  stages:
  - {name: ring0, solution: checkout-v1, target: {selector: {label: ring0}}}
  - {name: ring1, solution: checkout-v2, target: {selector: {label: ring1}}}
"""
VERSION = SOLUTION.replace("kind: Solution", "kind: SolutionVersion").replace("components", "rootResource: cart\n  components")


def target(number: int, ring: str, cluster: str) -> str:
    return TARGET % (number, number, ring) + BOUND % cluster + "\n"


FILES = {
    "targets.yaml": "---\n".join([target(1, "ring0", "eu"), target(2, "ring0", "us"), target(7, "ring1", "eu"), target(9, "ring1", "eu")]),
    "solutions.yaml": "---\n".join(
        [SOLUTION % ("checkout-v1", "checkout"), SOLUTION % ("checkout-v2", "checkout"), VERSION % ("cart-v-v3", "cart")]
    ),
    "checkout.yaml": INSTANCE % "ring0",
}


class Fleet:
    """A world with a daemon that acts; each question is asked of another that does not."""

    def __init__(self, files: dict[str, Any]) -> None:
        self.world = World(clusters=("eu", "us"))
        self.world.commit(files, subject="Shops open")
        self.acting = self.world.daemon()
        self.settle()

    @property
    def tip(self) -> str:
        return self.world.repos["fleet"].refs["refs/heads/main"]

    def settle(self) -> None:
        self.world.settle(self.acting)
        self.world.run(60)

    def look(self) -> tuple[Daemon, Report]:
        daemon = self.world.daemon("reader", act=False)
        self.world.settle(daemon)
        return daemon, daemon.report

    def get(self, word: str, name: str = "", limit: int | None = None, *, wide: bool = False, **pick: str) -> list[str]:
        daemon, report = self.look()
        sort = sorts.sort_of(word)
        assert sort is not None
        return sorts.as_text(sorts.find(daemon.engine, report, sort, Pick(word, name, **pick)), sort, report.at, limit, wide=wide)

    def data(self, word: str, name: str = "") -> dict[str, Any]:
        daemon, report = self.look()
        sort = sorts.sort_of(word)
        assert sort is not None
        return sorts.as_data(sorts.find(daemon.engine, report, sort, Pick(word, name)), Pick(word, name))

    def plan(self, files: dict[str, Any], limit: int | None = None) -> list[str]:
        """What merging would do: the commit is there, and the daemon that acts has not read it."""
        self.world.kill(self.acting)
        self.world.commit(files)
        daemon, report = self.look()
        return as_text(planned.read(daemon.engine, report), limit)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(FILES)


@pytest.mark.parametrize(
    ("word", "plural"),
    [
        ("instance", "instances"),
        ("Instances", "instances"),
        ("instance.solution.symphony", "instances"),
        ("instances.v1.solution.symphony", "instances"),
        ("TARGET", "targets"),
        ("targets.fabric.symphony", "targets"),
        ("solution", "solutions"),
        ("solutionversions", "solutions"),
        ("solutionversion.solution.symphony", "solutions"),
        ("instance.fabric.symphony", None),
        ("instance.symphony", None),
        ("deployment", None),
        ("", None),
    ],
)
def test_kinds_are_named_as_kubectl_names_them(word: str, plural: str | None) -> None:
    found = sorts.sort_of(word)
    assert (found.table.plural if found else None) == plural


def test_instances_are_listed_with_stage_and_status(fleet: Fleet) -> None:
    head, row = [line.split() for line in fleet.get("instance")]
    assert head == ["NAME", "STAGE", "STATUS", "TARGETS", "DEPLOYED", "SINCE", "COMMIT"]
    assert row[:5] == ["checkout", "ring0", "Succeeded", "2", "2"] and row[5].endswith(("s", "m")) and row[6] == fleet.tip[:7]


def test_targets_say_who_stands_on_them(fleet: Fleet) -> None:
    assert fleet.get("targets") == [
        "NAME    STATUS     CLUSTER  NAMESPACE  INSTANCES",
        "shop-1  Succeeded  eu       shop-1     checkout",
        "shop-2  Succeeded  us       shop-2     checkout",
        "shop-7  Succeeded  eu       shop-7",
        "shop-9  Succeeded  eu       shop-9",
    ]
    assert [line.split()[0] for line in fleet.get("targets", cluster="us")] == ["NAME", "shop-2"]


def test_solutions_are_listed_without_containers(fleet: Fleet) -> None:
    rows = [line.split()[::2] for line in fleet.get("solution")]
    assert rows == [["NAME", "VERSION"], ["cart-v-v3", "v3"], ["checkout-v1"], ["checkout-v2"]]


def test_wide_says_the_rest_below(fleet: Fleet) -> None:
    lines = fleet.get("instance", "checkout", 60, wide=True)
    assert lines[2:] == [
        "  versions: checkout-v1: 2",
        f"  brought by: {fleet.tip} Ada:",
        '    "Shops open"',
        "  assignments: shop-1: checkout-v1, shop-2: checkout-v1",
        "  written at: checkout.yaml:1:1",
    ]


def test_for_machines_an_object_is_as_kubectl_shows_it(fleet: Fleet) -> None:
    found = fleet.data("instance", "checkout")
    assert [found["kind"], found["metadata"], found["spec"]["stage"]] == ["Instance", {"name": "checkout"}, "ring0"]
    assert found["status"]["targets"] == 2
    assert found["status"]["reconciler"]["assignments"] == {"shop-1": "checkout-v1", "shop-2": "checkout-v1"}
    listed = fleet.data("target")
    assert listed["kind"] == "List" and [one["metadata"]["name"] for one in listed["items"]] == ["shop-1", "shop-2", "shop-7", "shop-9"]
    assert fleet.data("instance", "nobody") == {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": []}


def test_who_blocked_it_and_what_ends_it_is_said_where_it_waits() -> None:
    fleet = Fleet(FILES)
    fleet.world.commit({"checkout.yaml": INSTANCE % "BLOCK"}, subject="freeze for the sale")
    fleet.settle()
    lines = fleet.get("instance")
    assert lines[0].split()[-2:] == ["WAITS", "FOR"]
    assert lines[1].split()[1:5] == ["BLOCK", "Blocked", "2", "2"]
    assert lines[1].endswith('a commit that clears spec.stage (Ada: "freeze for the sale")')
    assert fleet.get("instance", limit=80)[2] == '  waits for: a commit that clears spec.stage (Ada: "freeze for the sale")'
    _, report = fleet.look()
    (row,) = [line for line in standing.as_text(report, None, wide=False) if line.startswith("Instance/checkout")]
    assert row.split()[1:4] == ["eu", "us", "Paused"] and row.endswith('clears spec.stage (Ada: "freeze for the sale")')


def test_a_namespace_is_shown_where_any_object_has_one() -> None:
    fleet = Fleet({**FILES, "far.yaml": (INSTANCE % "BLOCK").replace("{name: checkout}", "{name: checkout, namespace: far}")})
    assert [line.split()[:3] for line in fleet.get("instance")] == [
        ["NAMESPACE", "NAME", "STAGE"],
        ["default", "checkout", "ring0"],
        ["far", "checkout", "BLOCK"],
    ]
    assert [line.split()[0] for line in fleet.get("instance", namespace="far")] == ["NAMESPACE", "far"]


def test_a_plan_says_first_who_gets_what_and_who_leaves() -> None:
    lines = Fleet(FILES).plan({"checkout.yaml": INSTANCE % "ring1"})
    rings = "(stages are exclusive; with annotation reconciler.dev/rings: cumulative those listed before would stay)"
    assert lines[2:8] == [
        "eu  Instance/checkout   stage ring0 -> ring1",
        "      ring1 targets: shop-7, shop-9  get checkout-v2",
        "      ring0 targets: shop-1          LEAVE: 1 object deleted",
        f"        {rings}",
        "      solutions.yaml",
        "        + Deployment/checkout in shop-7",
    ]
    us = lines.index("us  Instance/checkout   stage ring0 -> ring1")
    assert lines[us + 1 : us + 3] == ["      ring0 targets: shop-2  LEAVE: 1 object deleted", f"        {rings}"]
    assert [line.split() for line in lines[us + 3 : us + 5]] == [
        ["=", "Namespace/shop-2", "reconciler.dev/prune:", "disabled"],
        ["-", "Deployment/checkout", "in", "shop-2", "stage", "ring0", "->", "ring1"],
    ]
    assert lines[-1].startswith("4 created, 2 deleted; no approval needed.")


def test_a_plan_says_who_leaves_also_beside_a_target_that_nobody_can_read() -> None:
    targets = [target(1, "ring0", "eu"), target(2, "ring0", "eu"), target(7, "ring1", "eu")]
    slip = targets[0].replace("solutionScope: shop-1", "solutionScope: Shop 1")
    fleet = Fleet({**FILES, "targets.yaml": "---\n".join(targets)})
    lines = fleet.plan({"targets.yaml": "---\n".join([slip, *targets[1:]]), "checkout.yaml": INSTANCE % "ring1"})
    assert [line.split()[:4] for line in lines if line.startswith("      - ")] == [["-", "Deployment/checkout", "in", "shop-2"]]


def test_a_plan_is_readable_on_a_narrow_terminal() -> None:
    lines = Fleet(FILES).plan({"checkout.yaml": INSTANCE % "ring1"}, 60)
    assert lines[3:9] == [
        "      ring1 targets: shop-7, shop-9  get checkout-v2",
        "      ring0 targets: shop-1          LEAVE: 1 object deleted",
        "        (stages are exclusive; with annotation",
        "          reconciler.dev/rings: cumulative those listed",
        "          before would stay)",
        "      solutions.yaml",
    ]


def test_a_plan_says_that_a_block_leaves_everything_alone() -> None:
    lines = Fleet(FILES).plan({"checkout.yaml": INSTANCE % "BLOCK"})
    assert lines[2:4] == [
        "eu  Instance/checkout   stage ring0 -> BLOCK",
        "      targets: shop-1  stay as they are: nothing is applied, healed or deleted",
    ]
    assert lines[-1].startswith("nothing would change;")


def test_a_plan_has_the_same_for_machines() -> None:
    fleet = Fleet(FILES)
    fleet.world.kill(fleet.acting)
    fleet.world.commit({"checkout.yaml": INSTANCE % "ring1"})
    daemon, report = fleet.look()
    (eu, us) = planned.as_data(planned.read(daemon.engine, report))["clusters"]
    (unit,) = us["units"]
    assert unit["change"] == "stage ring0 -> ring1"
    (turn,) = unit["turns"]
    assert (turn["who"], turn["what"], turn["leaves"], turn["deleted"]) == ("ring0 targets: shop-2", "LEAVE", ["shop-2"], 1)
    assert len(eu["units"][0]["turns"]) == 2


def test_an_unchanged_instance_has_nothing_to_say_in_a_plan() -> None:
    fleet = Fleet(FILES)
    assert fleet.plan({"note.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: default}\n"})[2:4] == [
        "eu  .",
        "      note.yaml",
    ]
