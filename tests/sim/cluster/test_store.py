"""The verbs, by what must hold for any server. What a real one answers is told by `tests/contract`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.sim.cluster import cells
from reconciler.sim.cluster.settings import Settings

from .support import APPLY, CONFIGMAPS, DEPLOYMENTS, MERGE, METADATA, PODS, PROTOBUF, TABLE, Machine, config_map, deployment, pod_spec


def test_the_same_calls_give_the_same_bytes() -> None:
    def run() -> list[bytes]:
        machine = Machine(seed=7)
        machine.ok("POST", DEPLOYMENTS, deployment("web"))
        machine.settle(10)
        return [machine.raw("GET", path).body for path in (DEPLOYMENTS, PODS, "/api/v1/namespaces")]

    assert run() == run()


def test_another_seed_gives_other_uids() -> None:
    uids = {Machine(seed=s).ok("POST", CONFIGMAPS, config_map("a"))["metadata"]["uid"] for s in (1, 2)}
    assert len(uids) == 2


def test_a_dry_run_changes_nothing() -> None:
    machine = Machine()
    machine.ok("POST", CONFIGMAPS, config_map("a", {"k": "1"}))
    version = machine.cluster.store.version
    machine.ok("POST", f"{CONFIGMAPS}?dryRun=All", config_map("b"))
    machine.ok("PUT", f"{CONFIGMAPS}/a?dryRun=All", config_map("a", {"k": "2"}))
    machine.ok("PATCH", f"{CONFIGMAPS}/a?dryRun=All&fieldManager=m&force=true", config_map("a", {"k": "3"}), APPLY)
    machine.ok("DELETE", f"{CONFIGMAPS}/a?dryRun=All")
    machine.ok("DELETE", f"{CONFIGMAPS}?dryRun=All")
    assert machine.cluster.store.version == version


def test_an_unchanged_apply_keeps_the_version() -> None:
    machine = Machine()
    first = machine.ok("PATCH", f"{DEPLOYMENTS}/web?fieldManager=m", deployment("web"), APPLY)
    machine.now += 100
    again = machine.ok("PATCH", f"{DEPLOYMENTS}/web?fieldManager=m", deployment("web"), APPLY)
    assert again == first


def test_generation_counts_wishes_only() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    for patch, expected in (
        ({"metadata": {"labels": {"a": "b"}}}, 1),
        ({"spec": {"replicas": 5}}, 2),
        ({"status": {"replicas": 9}}, 2),
        ({"spec": {"replicas": 5}}, 2),
    ):
        assert machine.ok("PATCH", f"{DEPLOYMENTS}/web", patch, MERGE)["metadata"]["generation"] == expected


def test_status_is_written_through_its_own_path() -> None:
    machine = Machine()
    machine.ok("POST", PODS, {"metadata": {"name": "p"}, "spec": pod_spec(), "status": {"phase": "Failed"}})
    assert machine.ok("GET", f"{PODS}/p")["status"]["phase"] == "Pending"
    made = machine.ok("PATCH", f"{PODS}/p/status", {"status": {"phase": "Failed"}, "metadata": {"labels": {"a": "b"}}}, MERGE)
    assert made["status"]["phase"] == "Failed"


def test_a_finalizer_holds_until_it_goes() -> None:
    machine = Machine()
    machine.ok("POST", CONFIGMAPS, config_map("a", finalizers=["example.org/hold"]))
    assert machine.ok("DELETE", f"{CONFIGMAPS}/a")["metadata"]["deletionTimestamp"]
    assert machine.ok("GET", f"{CONFIGMAPS}/a")["metadata"]["finalizers"] == ["example.org/hold"]
    machine.ok("PATCH", f"{CONFIGMAPS}/a", {"metadata": {"finalizers": None}}, MERGE)
    assert machine.call("GET", f"{CONFIGMAPS}/a")[0] == 404


@pytest.mark.parametrize("limit", [1, 2, 7, 50])
def test_pages_are_of_one_moment(limit: int) -> None:
    machine = Machine()
    for number in range(20):
        machine.ok("POST", CONFIGMAPS, config_map(f"c{number:02d}"))
    names, token, moment = [], "", ""
    while True:
        page = machine.ok("GET", f"{CONFIGMAPS}?limit={limit}&continue={token}")
        names += [item["metadata"]["name"] for item in page["items"]]
        moment = moment or page["metadata"]["resourceVersion"]
        assert page["metadata"]["resourceVersion"] == moment
        token = page["metadata"].get("continue", "")
        if not token:
            break
        machine.call("DELETE", f"{CONFIGMAPS}/c19")
        machine.call("POST", CONFIGMAPS, config_map(f"d{len(names)}"))
    assert names == [*(f"c{number:02d}" for number in range(20)), "kube-root-ca.crt"]


def test_a_token_that_history_outlived_is_told_so() -> None:
    machine = Machine(settings=Settings(history_limit=5))
    for number in range(4):
        machine.ok("POST", CONFIGMAPS, config_map(f"c{number}"))
    token = machine.ok("GET", f"{CONFIGMAPS}?limit=2")["metadata"]["continue"]
    for number in range(10):
        machine.ok("POST", CONFIGMAPS, config_map(f"e{number}"))
    status, answer = machine.call("GET", f"{CONFIGMAPS}?limit=2&continue={token}")
    assert (status, answer["reason"]) == (410, "Expired")
    rest = machine.ok("GET", f"{CONFIGMAPS}?continue={answer['metadata']['continue']}")
    assert rest["items"][0]["metadata"]["name"] == "c2"


_NAMES = st.sampled_from(["a", "b", "c", "d"])
_STEPS = st.lists(st.tuples(st.sampled_from(["apply", "delete"]), _NAMES, st.integers(0, 3)), max_size=25)


@settings(max_examples=30, deadline=None)
@given(steps=_STEPS, since=st.integers(0, 25))
def test_a_watch_from_any_version_ends_where_a_list_does(steps: list[tuple[str, str, int]], since: int) -> None:
    """List at some moment, watch from there: the two together are a list of now."""
    machine = Machine()
    state: dict[str, Any] = {}
    cursor = None
    for number, (verb, name, value) in enumerate(steps):
        if number == min(since, len(steps) - 1):
            listed = machine.ok("GET", CONFIGMAPS)
            state = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listed["items"]}
            cursor = machine.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}")
        if verb == "apply":
            machine.ok("PATCH", f"{CONFIGMAPS}/{name}?fieldManager=m", config_map(name, {"k": str(value)}), APPLY)
        else:
            machine.call("DELETE", f"{CONFIGMAPS}/{name}")
    if cursor is None:
        return
    for kind, obj in machine.events(cursor):
        if kind == "DELETED":
            del state[obj["metadata"]["name"]]
        else:
            assert (kind == "MODIFIED") == (obj["metadata"]["name"] in state)
            state[obj["metadata"]["name"]] = obj["metadata"]["resourceVersion"]
    listed = machine.ok("GET", CONFIGMAPS)
    assert state == {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listed["items"]}


def test_tables_and_metadata_by_the_accept_header() -> None:
    machine = Machine()
    machine.ok("POST", DEPLOYMENTS, deployment("web"))
    machine.settle(5)
    table = machine.ok("GET", DEPLOYMENTS, accept=TABLE)
    assert table["rows"][0]["cells"][:5] == ["web", "3/3", 3, 3, "5s"]
    assert [c["name"] for c in table["columnDefinitions"]][:5] == ["Name", "Ready", "Up-to-date", "Available", "Age"]
    alone = machine.ok("GET", f"{DEPLOYMENTS}/web", accept=METADATA)
    assert sorted(alone) == ["apiVersion", "kind", "metadata"]


@pytest.mark.parametrize(
    ("selector", "taken"),
    [
        ("tier=gold", "a"),
        ("tier!=gold", "bc"),
        ("tier in (gold,lead)", "ab"),
        ("tier notin (gold)", "bc"),
        ("tier", "ab"),
        ("!tier", "c"),
        ("tier,size>2", "b"),
        ("", "abc"),
    ],
)
def test_label_selectors(selector: str, taken: str) -> None:
    machine = Machine()
    for name, labels in (("a", {"tier": "gold", "size": "1"}), ("b", {"tier": "lead", "size": "3"}), ("c", {"size": "5"})):
        machine.ok("POST", CONFIGMAPS, config_map(name, labels=labels))
    found = machine.ok("GET", f"{CONFIGMAPS}?labelSelector={quote(selector)}&fieldSelector=metadata.name!%3Dkube-root-ca.crt")
    assert "".join(item["metadata"]["name"] for item in found["items"]) == taken


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (28_799, "7h59m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (691_199, "7d23h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
    ],
)
def test_durations_are_told_in_two_units(seconds: int, text: str) -> None:
    assert cells.duration(seconds) == text


def message(*fields: tuple[int, bytes]) -> bytes:
    """A protobuf message of short fields."""
    return b"".join(bytes([number << 3 | 2, len(value)]) + value for number, value in fields)


def envelope(version: bytes, kind: bytes, obj: bytes) -> bytes:
    """An object as clients send it: magic, then its type and itself."""
    return b"k8s\x00" + message((1, message((1, version), (2, kind))), (2, obj))


def test_protobuf_bodies_are_read() -> None:
    """What kubectl sends for a kind that it knows."""
    machine = Machine()
    obj = message((1, message((1, b"a"), (3, b"default"))), (2, message((1, b"k"), (2, b"v"))))
    assert machine.raw("POST", CONFIGMAPS, envelope(b"v1", b"ConfigMap", obj), PROTOBUF).status == 201
    assert machine.ok("GET", f"{CONFIGMAPS}/a")["data"] == {"k": "v"}
    minus_one = b"\x08" + b"\xff" * 9 + b"\x01"
    obj = message((1, message((1, b"d"))), (2, minus_one))
    assert b"Invalid value: -1" in machine.raw("POST", DEPLOYMENTS, envelope(b"apps/v1", b"Deployment", obj), PROTOBUF).body


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=60),
    content=st.sampled_from(["application/json", "application/yaml", APPLY, "application/vnd.kubernetes.protobuf"]),
)
def test_no_body_breaks_it(body: bytes, content: str) -> None:
    machine = _SHARED
    for method, path in (("POST", CONFIGMAPS), ("PUT", f"{CONFIGMAPS}/a"), ("PATCH", f"{CONFIGMAPS}/a?fieldManager=m")):
        answer = machine.raw(method, path, body, content)
        assert 200 <= answer.status < 501
        json.loads(answer.body)


@settings(max_examples=60, deadline=None)
@given(text=st.text("ab=!,()in notx \"'", max_size=15))
def test_no_selector_breaks_it(text: str) -> None:
    for name in ("labelSelector", "fieldSelector", "continue", "resourceVersion", "limit"):
        encoded = "".join(f"%{byte:02x}" for byte in text.encode())
        assert _SHARED.raw("GET", f"{CONFIGMAPS}?{name}={encoded}").status in (200, 400, 410, 422, 504)


_SHARED = Machine()
