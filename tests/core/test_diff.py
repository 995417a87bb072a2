"""The comparison: rules as YAML cases, a real server's answers as recorded, properties, and what is made of payloads."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import diff, paths
from reconciler.core.ownership import DIGEST
from reconciler.core.types import Types
from tests.core.record_diff import RECORDED, redo

CASES = Path(__file__).parent / "cases" / "diff"
MANAGER = "reconciler"


@cache
def kubernetes() -> Types:
    table = Path(__file__).parents[2] / "schemas" / "kubernetes" / "types.json"
    return Types.read(json.loads(table.read_text()))


def entry(manager: str, operation: str, subresource: str, fields: Any, version: str) -> dict[str, Any]:
    made = {"manager": manager, "operation": operation, "apiVersion": version, "fieldsV1": fields}
    return {**made, "subresource": subresource} if subresource else made


def live_of(case: dict[str, Any]) -> dict[str, Any]:
    wanted = case["wanted"]
    live = {"apiVersion": wanted["apiVersion"], "kind": wanted["kind"], "metadata": {}, **copy.deepcopy(case["live"])}
    version = case.get("version", live["apiVersion"])
    ours = [entry(MANAGER, "Apply", "", case["ours"], version)] if "ours" in case else []
    others = [
        entry(manager, operation, subresource, fields, live["apiVersion"])
        for manager, operation, subresource, fields in case.get("others", ())
    ]
    live["metadata"]["managedFields"] = others + ours
    return live


def told(change: diff.Change) -> str:
    return diff.describe(change) + (f" by {change.owner}" if change.owner else "")


def rules() -> list[Any]:
    return [pytest.param(case, id=name) for name, case in yaml.safe_load((CASES / "rules.yaml").read_text()).items()]


@pytest.mark.parametrize("case", rules())
def test_rule(case):
    wanted, live = copy.deepcopy(case["wanted"]), live_of(case)
    before = copy.deepcopy((wanted, live))
    found = diff.compare(wanted, live, MANAGER, kubernetes(), tuple(case.get("ignore", ())))
    assert (wanted, live) == before, "arguments stay as they are"
    if "unsure" in case:
        assert found == diff.CannotTell(case["unsure"])
    elif case["changes"] or "reason" in case:
        assert isinstance(found, diff.Differs)
        assert [told(change) for change in found.changes] == case["changes"]
        assert found.reason == case.get("reason", "")
        if "paths" in case:
            assert [list(change.path) for change in found.changes] == case["paths"]
    else:
        assert found == diff.InSync()


# -- What a real server said ----------


@cache
def recorded() -> list[tuple[str, str, dict[str, Any], dict[str, Any], str]]:
    """(what was done, to what, wanted, live, what a forced dry run then did)."""
    found = []
    base: dict[str, Any] = {}
    for line in RECORDED.read_text().splitlines():
        one = json.loads(line)
        if one["what"] == "applied":
            base = one
            wanted, live = one["wanted"], one["live"]
        else:
            wanted, live = redo(base["wanted"], one["wanted"]), redo(base["live"], one["live"])
        name = f"{wanted['kind']}/{base['wanted']['metadata']['name']} at {one.get('at', '')}"
        found.append((one["what"], name, wanted, live, one["expected"]))
    return found


def test_what_was_just_applied_is_in_sync():
    """For every manifest: compared with what the server made of it, nothing is left to do.

    Three leave it to the server: what admission adds to a bare pod, what a LimitRange defaults from itself, and a default
    inside of a custom resource's plain list, of which no type is known.
    """
    applied = [(name, wanted, live) for what, name, wanted, live, _ in recorded() if what == "applied"]
    assert len(applied) >= 40
    verdicts = [(name, diff.compare(wanted, live, MANAGER, kubernetes())) for name, wanted, live in applied]
    assert [name for name, verdict in verdicts if isinstance(verdict, diff.Differs)] == []
    doubts = [name.split(" ")[0] for name, verdict in verdicts if isinstance(verdict, diff.CannotTell)]
    assert doubts == ["LimitRange/limits", "Pod/lone", "Thing/defaulted"]


def test_what_was_applied_from_the_same_manifest_is_in_sync_without_a_doubt():
    """With the digest annotation that the engine writes, ours in live: no types are needed, and nothing is left to ask.

    But for the tolerations that admission adds to a bare pod's own: another value than was applied, so the server is asked once.
    """
    for what, name, wanted, live, _ in recorded():
        if what == "applied" and wanted["kind"] != "Pod":
            assert diff.compare(*digested(wanted, live), MANAGER, None) == diff.InSync(), name


def digested(wanted: dict[str, Any], live: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    wanted, live = copy.deepcopy((wanted, live))
    for side in (wanted, live):
        side["metadata"]["annotations"] = {**(side["metadata"].get("annotations") or {}), DIGEST: "d"}
    managed = live["metadata"].setdefault("managedFields", [])
    ours = next((item for item in managed if item["manager"] == MANAGER), None)
    if ours is None:
        ours = entry(MANAGER, "Apply", "", {}, live["apiVersion"])
        managed.append(ours)
    ours["fieldsV1"].setdefault("f:metadata", {}).setdefault("f:annotations", {})[f"f:{DIGEST}"] = {}
    return wanted, live


def test_every_change_that_a_server_would_make_is_told():
    """Never in sync where a forced dry run changes the object or gives fields up; few doubts."""
    expected = [one for one in recorded() if one[4] == "changes"]
    verdicts = [(one, diff.compare(one[2], one[3], MANAGER, kubernetes())) for one in expected]
    assert len(expected) >= 1000
    assert [one[:2] for one, verdict in verdicts if isinstance(verdict, diff.InSync)] == []
    doubts = [one[:2] for one, verdict in verdicts if isinstance(verdict, diff.CannotTell)]
    assert len(doubts) <= len(expected) * 0.05, doubts


def test_no_change_is_told_that_a_server_would_not_make():
    """But for a manifest that asks for what the server drops without a word: a new commit is applied once anyway."""
    expected = [one for one in recorded() if one[4] == "nothing" and one[0] != "manifest changed"]
    verdicts = [(one, diff.compare(one[2], one[3], MANAGER, kubernetes())) for one in expected]
    assert len(expected) >= 500
    alarms = [(one[:2], verdict) for one, verdict in verdicts if isinstance(verdict, diff.Differs)]
    assert [alarm for alarm in alarms if alarm[1] != diff.Differs((), "our field ownership is gone")] == []
    doubts = [one[:2] for one, verdict in verdicts if isinstance(verdict, diff.CannotTell)]
    assert len(doubts) <= len(expected) * 0.06, doubts


def test_without_types_nothing_is_missed_either():
    """Custom resources and newer servers: doubts are allowed, being wrong is not."""
    for _, name, wanted, live, expected in recorded():
        if expected == "changes":
            assert not isinstance(diff.compare(wanted, live, MANAGER, None), diff.InSync), name


def test_with_a_digest_every_edit_by_hand_is_told_without_types():
    """Trusting our own entry misses nothing that somebody did, and raises no alarm over what the server wrote itself."""
    for what, name, wanted, live, expected in recorded():
        if what in ("edited by hand", "dropped by hand", "edited back"):
            verdict = diff.compare(*digested(wanted, live), MANAGER, None)
            if expected == "changes":
                assert not isinstance(verdict, diff.InSync), name
            elif wanted["kind"] != "Pod":
                assert not isinstance(verdict, diff.Differs), name


def test_no_secret_value_is_ever_told():
    for _, _, wanted, live, _ in recorded():
        if wanted["kind"] != "Secret":
            continue
        verdict = diff.compare(wanted, live, MANAGER, kubernetes())
        values = [*wanted.get("data", {}).values(), *live.get("data", {}).values()]
        assert not any(value and value in repr(verdict) for value in values)


# -- Properties ----------

_NAMES = st.sampled_from(["spec", "data", "metadata", "labels", "annotations", "a", "b", "name", "ports", "port", "containers"])
_SCALARS = st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False) | st.sampled_from(["", "1", "100m", "x"])
_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12)
_FIELD_NAMES = st.sampled_from(
    ["f:spec", "f:data", "f:metadata", "f:a", "f:b", ".", 'k:{"name":"a"}', 'v:"x"', "v:1", "i:0", "k:{", "junk", 'k:{"name":[]}']
)
_FIELDS: st.SearchStrategy[Any] = st.recursive(st.just({}), lambda inner: st.dictionaries(_FIELD_NAMES, inner, max_size=4), max_leaves=10)
_BODIES = st.dictionaries(_NAMES.filter(lambda name: name != "metadata"), _JSON, max_size=3)
_KINDS = st.sampled_from([("v1", "ConfigMap"), ("v1", "Secret"), ("v1", "Pod"), ("apps/v1", "Deployment"), ("x.io/v1", "X")])
_ENTRIES = st.lists(
    st.builds(entry, st.sampled_from([MANAGER, "kubectl"]), st.sampled_from(["Apply", "Update"]), st.just(""), _FIELDS, st.just("v1"))
    | _JSON,
    max_size=3,
)


@given(kind=_KINDS, wanted=_BODIES, live=_BODIES, metadata=_JSON, managed=_ENTRIES | _JSON, pointer=st.text("/ab01~", max_size=6))
def test_any_two_objects_have_an_answer(kind, wanted, live, metadata, managed, pointer):
    identity = dict(zip(("apiVersion", "kind"), kind, strict=True))
    wanted = {**identity, "metadata": metadata, **wanted}
    live = {**identity, "metadata": {"managedFields": managed, "labels": metadata}, **live}
    before = copy.deepcopy((wanted, live))
    for types in (None, kubernetes()):
        found = diff.compare(wanted, live, MANAGER, types, (pointer,))
        for change in found.changes if isinstance(found, diff.Differs) else ():
            text = diff.describe(change)
            assert text.isprintable()
            assert len(text) < 5000
            diff.without(wanted, (change.path,))
        diff.with_ignored(wanted, live, (pointer,), MANAGER)
    assert (wanted, live) == before


@given(kind=_KINDS, body=_BODIES, types=st.booleans())
def test_an_object_that_is_wholly_ours_is_in_sync_with_itself(kind, body, types):
    identity = dict(zip(("apiVersion", "kind"), kind, strict=True))
    wanted = {**identity, "metadata": {"name": "a"}, **body}
    live = copy.deepcopy(wanted)
    live["metadata"]["managedFields"] = [entry(MANAGER, "Apply", "", {"f:nothing": {}}, identity["apiVersion"])]
    found = diff.compare(wanted, live, MANAGER, kubernetes() if types else None)
    assert not isinstance(found, diff.Differs)


# -- What is sent ----------


def test_normalise_folds_a_secrets_text_into_its_data():
    wanted = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a", "creationTimestamp": None, "managedFields": []},
        "data": {"a": "YQ==", "b": "Yg=="},
        "stringData": {"b": "bee", "c": ""},
        "status": {},
    }
    before = copy.deepcopy(wanted)
    assert diff.normalise(wanted) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "data": {"a": "YQ==", "b": "YmVl", "c": ""},
    }
    assert wanted == before


def test_normalise_leaves_the_string_data_of_other_kinds_alone():
    wanted = {"apiVersion": "bitnami.com/v1alpha1", "kind": "Secret", "metadata": {}, "stringData": {"a": "b"}}
    assert diff.normalise(wanted) == wanted


@pytest.mark.parametrize(
    ("owner", "rightful"),
    [
        (("kubectl", "Apply", ""), False),
        (("kubectl-client-side-apply", "Update", ""), False),
        (("kubectl", "Update", "scale"), False),
        (("k9s", "Update", ""), False),
        (("helm", "Update", ""), False),
        (("kube-controller-manager", "Update", ""), False),
        (("kube-controller-manager", "Update", "scale"), True),
        (("flux", "Apply", ""), True),
        (("", "Apply", ""), True),
    ],
)
def test_who_may_keep_what_they_changed(owner, rightful):
    change = diff.Change(("spec", "replicas"), "spec.replicas", 3, 9, "set", diff.Owner(*owner))
    theirs, ours = diff.contested([change])
    assert (theirs, ours) == (((change,), ()) if rightful else ((), (change,)))


def test_what_we_give_up_is_never_contested():
    change = diff.Change(("spec", "replicas"), "spec.replicas", None, 9, "remove", diff.Owner("flux", "Apply", ""))
    assert diff.contested([change]) == ((), (change,))


def test_of_several_owners_the_rightful_one_is_named():
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    case: dict[str, Any] = {
        "wanted": {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 3}},
        "live": {"spec": {"replicas": 9}},
        "ours": {},
        "others": [("kubectl-edit", "Update", "", fields), ("hpa", "Update", "scale", fields)],
    }
    found = diff.compare(case["wanted"], live_of(case), MANAGER, None)
    assert isinstance(found, diff.Differs)
    assert [str(change.owner) for change in found.changes] == ["hpa (update through scale)"]


def test_without_leaves_paths_out_and_maps_that_only_held_them():
    wanted = {
        "spec": {
            "replicas": 3,
            "deep": {"er": {"x": 1}},
            "containers": [{"name": "a", "image": "x"}, {"name": "b"}],
            "ports": [{"port": 1}],
            "tags": ["x", "y"],
        }
    }
    before = copy.deepcopy(wanted)
    left = diff.without(
        wanted,
        (
            ("spec", "replicas"),
            ("spec", "deep", "er", "x"),
            ("spec", "containers", paths.Key((("name", "a"),)), "image"),
            ("spec", "containers", paths.Key((("name", "b"),))),
            ("spec", "ports", paths.Key((("port", 1), ("protocol", "TCP"))), "port"),
            ("spec", "tags", paths.Member("x")),
            ("spec", "not", "there"),
        ),
    )
    assert left == {"spec": {"containers": [{"name": "a"}], "ports": [], "tags": ["y"]}}
    assert wanted == before


_REPLICAS: dict[str, Any] = {"f:spec": {"f:replicas": {}}}


@pytest.mark.parametrize(
    ("wanted", "live", "ours", "others", "sent"),
    [
        pytest.param({"replicas": 3}, {"replicas": 9}, True, False, {"replicas": 9}, id="nobody else owns it: its live value"),
        pytest.param({"replicas": 3}, {"replicas": 9}, False, False, {"replicas": 9}, id="nobody owns it: its live value"),
        pytest.param({"replicas": 3, "a": 1}, {"replicas": 9}, True, True, {"a": 1}, id="somebody else owns it: left out"),
        pytest.param({"a": 1}, {"replicas": 9}, True, False, {"a": 1, "replicas": 9}, id="left out of Git, still ours: kept"),
        pytest.param({"a": 1}, {"replicas": 9}, False, True, {"a": 1}, id="never ours, not wanted: none of ours"),
        pytest.param({"replicas": 3, "a": 1}, {"b": 1}, False, False, {"a": 1}, id="not there: left out"),
    ],
)
def test_what_is_sent_for_an_ignored_path(wanted, live, ours, others, sent):
    case: dict[str, Any] = {"wanted": {"apiVersion": "apps/v1", "kind": "Deployment", "spec": wanted}, "live": {"spec": live}}
    case["ours"] = _REPLICAS if ours else {"f:spec": {"f:a": {}}}
    case["others"] = [("hpa", "Update", "scale", _REPLICAS)] if others else []
    made = diff.with_ignored(case["wanted"], live_of(case), ("/spec/replicas",), MANAGER)
    assert made == {"apiVersion": "apps/v1", "kind": "Deployment", "spec": sent}


def test_an_ignored_part_of_a_whole_keeps_its_live_value_whoever_owns_the_whole():
    case: dict[str, Any] = {
        "wanted": {"apiVersion": "x.io/v1", "kind": "X", "spec": {"rules": [{"name": "a", "weight": 1}]}},
        "live": {"spec": {"rules": [{"name": "a", "weight": 50}]}},
        "ours": {},
        "others": [("kubectl-edit", "Update", "", {"f:spec": {"f:rules": {}}})],
    }
    made = diff.with_ignored(case["wanted"], live_of(case), ("/spec/rules/0/weight",), MANAGER)
    assert made["spec"] == {"rules": [{"name": "a", "weight": 50}]}


def test_an_ignored_pointer_unescapes_slashes():
    case: dict[str, Any] = {
        "wanted": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"annotations": {"a/b~c": "1", "d": "2"}}},
        "live": {"metadata": {"annotations": {"a/b~c": "9"}}},
        "ours": {},
    }
    made = diff.with_ignored(case["wanted"], live_of(case), ("/metadata/annotations/a~1b~0c",), MANAGER)
    assert made["metadata"]["annotations"] == {"a/b~c": "9", "d": "2"}


def test_a_member_of_a_set_is_left_out_by_its_type_too():
    left = diff.without({"tags": [True, "1", 1]}, (("tags", paths.Member(1)),))
    assert left == {"tags": [True, "1"]}


def test_an_ignored_index_out_of_range_changes_nothing():
    wanted: dict[str, Any] = {"apiVersion": "x.io/v1", "kind": "X", "spec": {"rules": [1]}}
    assert diff.with_ignored(wanted, {"spec": {"rules": [2]}}, ("/spec/rules/1", "/spec/rules/0/a"), MANAGER) == wanted


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert diff.digest({"a": 1, "b": [1, 2]}) == diff.digest({"b": [1, 2], "a": 1})
    assert diff.digest({"a": 1}) != diff.digest({"a": "1"})
    assert len(diff.digest({})) == 16


# -- For people ----------


@pytest.mark.parametrize(
    ("wanted", "live", "text"),
    [
        (3, 9, "a 9 -> 3"),
        ("nginx:2", "nginx:1", "a nginx:1 -> nginx:2"),
        ("", None, 'a none -> ""'),
        ("none", "true", 'a "true" -> "none"'),
        ("a\n\x1b[31m", " b", r'a " b" -> "a\n\u001b[31m"'),
        ("a\u202eb", "x", r'a x -> "a\u202eb"'),
        ({"b": [1, None]}, False, 'a false -> {"b":[1,null]}'),
        ("x" * 100, 1, "a 1 -> " + "x" * 59 + "…"),
        (diff.HIDDEN, diff.HIDDEN, "a (changed, not shown)"),
    ],
)
def test_describe(wanted, live, text):
    assert diff.describe(diff.Change(("a",), "a", wanted, live, "set", None)) == text


def test_a_path_as_people_write_it():
    web, port = paths.Key((("name", "web"),)), paths.Key((("containerPort", 80), ("protocol", "TCP")))
    path = ("spec", "containers", web, "ports", port, "rules", 0, "labels", "a.b/c", paths.Member("x"))
    assert paths.pretty(path) == "spec.containers[name=web].ports[containerPort=80,protocol=TCP].rules[0].labels[a.b/c][x]"
    assert paths.pretty(()) == "the object"
    assert paths.pretty(("a\x1b", "b")) == r"[a\x1b].b"


def _rejections() -> list[Any]:
    return [pytest.param(case, id=name) for name, case in yaml.safe_load((CASES / "rejections.yaml").read_text()).items()]


@pytest.mark.parametrize("case", _rejections())
def test_which_field_a_server_refused(case):
    body = case["body"]
    assert diff.rejection_path(body if isinstance(body, str) else json.dumps(body)) == case["path"]


@given(st.text(max_size=300) | st.text('spec.[]": {}\n', max_size=300))
def test_any_refusal_has_an_answer(text):
    found = diff.rejection_path(text)
    assert found is None or (found and found.isprintable())
