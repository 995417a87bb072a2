"""The table of built-in types: a small one by hand, then the real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.types import FINDINGS, Type, Types

TABLE: dict[str, Any] = {
    "version": "1.36",
    "kinds": {
        "apps/v1/Web": {"type": "Web", "namespaced": True, "plural": "webs", "subresources": {"status": {}}},
        "v1/Note": {"type": "Note", "namespaced": False, "plural": "notes"},
    },
    "types": {
        "Web": {"fields": {"apiVersion": "string", "kind": "string", "metadata": "any", "spec": {"ref": "Spec"}}},
        "Note": {"fields": {"apiVersion": "string", "kind": "string", "metadata": "any"}},
        "Spec": {
            "fields": {
                "replicas": {"scalar": "integer", "kept": True},
                "share": "number",
                "paused": "boolean",
                "cpu": "quantity",
                "port": "int-or-string",
                "key": "bytes",
                "since": "time",
                "any": "any",
                "ports": {"list": {"ref": "Port"}, "keys": ["port", "protocol"]},
                "finalizers": {"list": "string", "set": True},
                "args": {"list": "string"},
                "labels": {"map": "string"},
                "selector": {"ref": "Port", "atomic": True},
                "policy": {"scalar": "string", "enum": ["Always", "Never"]},
            },
            "required": ["ports"],
        },
        "Port": {
            "fields": {"port": "integer", "protocol": {"scalar": "string", "default": "TCP"}},
            "required": ["port"],
        },
    },
}
TYPES = Types.read(TABLE)


def findings(spec: Any) -> list[tuple[str, str]]:
    found = TYPES.check("apps", "v1", "Web", {"apiVersion": "apps/v1", "kind": "Web", "metadata": {}, "spec": spec})
    return [(one.severity, one.message) for one in found]


def test_kinds_are_looked_up() -> None:
    web = TYPES.kind("apps", "v1", "Web")
    assert web is not None
    assert (web.type, web.namespaced, web.plural, web.subresources) == (Type("struct", "Web"), True, "webs", ("status",))
    assert TYPES.kind("", "v1", "Note") is not None
    assert TYPES.kind("apps", "v2", "Web") is None


def test_fields_are_walked() -> None:
    web = TYPES.kinds["apps", "v1", "Web"].type
    ports = TYPES.at(web, ("spec", "ports"))
    assert ports is not None
    assert (ports.form, ports.keys, ports.atomic) == ("list", ("port", "protocol"), False)
    protocol = TYPES.at(web, ("spec", "ports", 3, "protocol"))
    assert protocol == Type("scalar", "string", default="TCP")
    assert TYPES.at(web, ("spec", "args")) == Type("list", item=Type("scalar", "string"), atomic=True)
    assert TYPES.at(web, ("spec", "finalizers")) == Type("list", item=Type("scalar", "string"), set=True)
    assert TYPES.at(web, ("spec", "selector")) == Type("struct", "Port", atomic=True)
    assert TYPES.at(web, ("spec", "labels", "a.b/c")) == Type("scalar", "string")
    for nothing in (("spec", "x", "y"), ("spec", "ports", "a"), ("spec", "labels", 0), ("spec", 0), ("kind", "x")):
        assert TYPES.at(web, nothing) is None


def test_an_object_in_order_has_no_findings() -> None:
    spec = {
        "replicas": 3, "share": 0.5, "paused": False, "cpu": 2, "port": "http", "key": "aGk=", "since": "2024-01-01T00:00:00Z",
        "any": [{}], "ports": [{"port": 80, "protocol": None}], "labels": {"a": "b"}, "policy": "Never", "args": None,
    }  # fmt: skip
    assert findings(spec) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ([], "error spec is a list, must be a mapping"),
        ({}, "error spec.ports is missing"),
        ({"ports": None}, "error spec.ports is missing"),
        ({"ports": {}}, "error spec.ports is a mapping, must be a list"),
        ({"ports": [None]}, "error spec.ports[0] is null, must be a mapping"),
        ({"ports": [{}]}, "error spec.ports[0].port is missing"),
        ({"ports": [], "replicas": True}, "error spec.replicas is a boolean, must be an integer"),
        ({"ports": [], "replicas": 1.5}, "error spec.replicas is a number, must be an integer"),
        ({"ports": [], "replicas": "3"}, "error spec.replicas is a string, must be an integer"),
        ({"ports": [], "paused": 0}, "error spec.paused is an integer, must be a boolean"),
        ({"ports": [], "share": "1"}, "error spec.share is a string, must be a number"),
        ({"ports": [], "cpu": []}, 'error spec.cpu is a list, must be a quantity such as "500m" or 2'),
        ({"ports": [], "port": 1.5}, "error spec.port is a number, must be an integer or a string"),
        ({"ports": [], "key": "not base64"}, "error spec.key is not base64"),
        ({"ports": [], "key": "é"}, "error spec.key is not base64"),
        ({"ports": [], "since": 1}, "error spec.since is an integer, must be a time as a string"),
        ({"ports": [], "labels": {"a": 1}}, "error spec.labels.a is an integer, must be a string"),
        ({"ports": [], "args": ["a", 1]}, "error spec.args[1] is an integer, must be a string"),
        ({"ports": [], "policy": "never"}, "warning spec.policy must be Always or Never; did you mean Never?"),
        ({"ports": [], "replica": 1}, "warning unknown field spec.replica in Kubernetes 1.36; did you mean replicas?"),
        ({"ports": [], "zzz": 1}, "warning unknown field spec.zzz in Kubernetes 1.36"),
    ],
)
def test_what_is_wrong_is_told(spec: Any, expected: str) -> None:
    assert [" ".join(one) for one in findings(spec)] == [expected]


def test_an_unknown_kind_is_not_checked() -> None:
    assert TYPES.check("example.com", "v1", "Web", {"spec": 1}) == []


def test_findings_are_at_most_so_many() -> None:
    assert len(findings({"ports": [None] * 1000})) == FINDINGS


def test_the_real_table_is_read() -> None:
    path = Path(__file__).parents[2] / "schemas" / "kubernetes" / "types.json"
    types = Types.read(json.loads(path.read_bytes()))
    for name, struct in types.structs.items():
        assert set(struct.required) <= set(struct.fields), name
    deployment = types.kind("apps", "v1", "Deployment")
    assert deployment is not None
    ports = types.at(deployment.type, ("spec", "template", "spec", "containers", 0, "ports"))
    assert ports is not None
    assert ports.keys == ("containerPort", "protocol")
    for kind in types.kinds.values():
        assert types.struct(kind.type) is not None
        pending, seen = [kind.type], dict[str, None]()
        while pending:
            struct_ = types.struct(one := pending.pop())
            assert one.form != "struct" or struct_ is not None, one.name
            if one.item:
                pending.append(one.item)
            if struct_ and one.name not in seen:
                seen[one.name] = None
                pending.extend(struct_.fields.values())
