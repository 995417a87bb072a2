"""A field is found again where it stands, by pointer or by the path that an API server writes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.events import PARSER
from reconciler.core.field_path import resolve
from reconciler.core.identity import BlobId
from reconciler.core.manifest import Manifest, parse
from reconciler.core.places import locate

TEXT = b"""# a comment
base: &base {x: 1, deep: {b: 2}}
---
apiVersion: example.com/v1
kind: Thing
metadata:
  name: a
  labels:
    app.kubernetes.io/name: web
    plain: x
spec:
  template: {spec: {replicas: 3}}
  anchored: &here
    x: 1
    b: [5, 6]
  alias: *here
  merged:
    <<: *here
    z: 3
  containers:
  - name: web
    image: one
    ports:
    - containerPort: 80
      protocol: TCP
    - {containerPort: 80, protocol: UDP}
  - name: log
    args: ["a", "b"]
  text: |
    many
    lines
"""


def manifest(text: bytes = TEXT, path: str = "a.yaml") -> Manifest:
    (one,) = parse(text, path, BlobId("0")).manifests
    return one


@pytest.mark.parametrize(
    ("pointer", "line", "column"),
    [
        ((), 4, 1),
        (("kind",), 5, 7),
        (("metadata",), 6, 1),  # begins on a line below its key: found at the key
        (("metadata", "labels", "app.kubernetes.io/name"), 9, 29),
        (("spec", "template", "spec", "replicas"), 12, 31),
        (("spec", "template"), 12, 13),
        (("spec", "alias"), 16, 10),
        (("spec", "alias", "b", 1), 15, 12),  # stands at the anchor
        (("spec", "merged", "b", 0), 15, 9),
        (("spec", "merged", "z"), 19, 8),
        (("spec", "containers", 0), 21, 5),
        (("spec", "containers", 0, "ports", 1, "protocol"), 26, 37),
        (("spec", "containers", 1, "args", 1), 28, 17),
        (("spec", "text"), 29, 9),
        (("spec", "containers", 7, "image"), 20, 3),  # the nearest ancestor that is there
        (("spec", "nothing", "here"), 11, 1),
        (("nothing",), 4, 1),
        ((0,), 4, 1),
    ],
)
def test_a_pointer_is_found(pointer: tuple[str | int, ...], line: int, column: int) -> None:
    assert manifest().place(pointer) == ("a.yaml", line, column)


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("spec.containers[0].image", ("spec", "containers", 0, "image")),
        (".spec.containers[0].image", ("spec", "containers", 0, "image")),
        ('spec.containers[name="log"].args[1]', ("spec", "containers", 1, "args", 1)),
        ('.spec.containers[name="web"].ports[containerPort=80,protocol="UDP"].protocol',
         ("spec", "containers", 0, "ports", 1, "protocol")),
        ("metadata.labels[app.kubernetes.io/name]", ("metadata", "labels", "app.kubernetes.io/name")),
        ('metadata.labels["app.kubernetes.io/name"]', ("metadata", "labels", "app.kubernetes.io/name")),
        (".metadata.labels.app.kubernetes.io/name", ("metadata", "labels", "app.kubernetes.io/name")),
        ('spec.containers[name="log"].args[="b"]', ("spec", "containers", 1, "args", 1)),
        ("spec.containers[0].imag", ("spec", "containers", 0)),
        ("spec.containers[9].image", ("spec", "containers")),
        ('spec.containers[name="none"]', ("spec", "containers")),
        ("spec.template.spec.replicas", ("spec", "template", "spec", "replicas")),
        ("spec.tem", ("spec",)),
        ("", ()),
        ("[", ()),
        ("spec[", ("spec",)),
        ("<nil>", ()),
    ],
)  # fmt: skip
def test_a_servers_path_is_followed(path: str, pointer: tuple[str | int, ...]) -> None:
    one = manifest()
    assert resolve(one.body(), path) == pointer
    assert one.place_of_path(path) == one.place(pointer)


def test_json_has_places_too() -> None:
    text = b'{"apiVersion": "v1", "kind": "A",\n "metadata": {"name": "a"},\n\t"spec": {"a": [1,\n\t\t{"b": "\\u0061"}]}}'
    one = manifest(text, "a.json")
    assert one.place(("spec", "a", 1, "b")) == ("a.json", 4, 9)
    assert one.place(("metadata", "name")) == ("a.json", 2, 23)


def test_of_a_merge_of_many_the_first_counts() -> None:
    text = b"{apiVersion: v1, kind: A, metadata: {name: a},\n p: &p {k: 1},\n q: &q {k: 2},\n r: {<<: [*p, *q]}}"
    one = manifest(text)
    assert (one.body()["r"], one.place(("r", "k"))) == ({"k": 1}, ("a.yaml", 2, 12))


def test_the_longest_key_counts() -> None:
    assert resolve({"a": {"b": 1}, "a.b": {"c": 1}}, "a.b.c") == ("a.b", "c")


STEPS = st.lists(st.sampled_from(["spec", "containers", "ports", "alias", "merged", "b", "metadata", "labels", 0, 1, 2, "x"]), max_size=6)


@given(STEPS)
def test_a_place_is_always_in_the_file(steps: list[str | int]) -> None:
    place = manifest().place(tuple(steps))
    lines = TEXT.decode().split("\n")
    assert 4 <= place.line <= len(lines)
    assert 1 <= place.column <= len(lines[place.line - 1])


@given(st.text(alphabet='spec.[]"=,0a\\', max_size=30) | st.text(max_size=20))
def test_any_path_is_answered(path: str) -> None:
    value: Any = manifest().body()
    for step in resolve(value, path):
        value = value[step]


def test_where_an_object_begins_is_known_without_its_text() -> None:
    """Asked of every object whenever a folder is planned: a hundred thousand times, the text would be read each time."""
    listed = b"""kind: List
apiVersion: v1
items:
- {apiVersion: v1, kind: A, metadata: {name: a}}
-
  apiVersion: v1
  kind: B
  metadata: {name: b}
"""
    files = [parse(text, "a.yaml", BlobId("0")) for text in (TEXT, listed, b"---\n---\n" + TEXT)]
    for one in (one for file in files for one in file.manifests):
        assert msgspec.structs.replace(one, text=b"").place() == one.place() == one.place(("no such field",))


def test_a_file_is_read_once_for_all_its_faults() -> None:
    """Counted by the parsers that are made: a crowd of faults in one file costs one reading, whichever documents they stand in."""
    made: list[str] = []

    def counting(text: str) -> Any:
        made.append(text)
        return PARSER(text)

    text = b"\n---\n".join(b"- %d" % number for number in range(100))
    places = [locate(text, number, parser=counting).line for number in (*range(100), 7, 100)]
    assert places == [*range(1, 200, 2), 15, 1]
    assert len(made) == 1
