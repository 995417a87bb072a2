"""Whether a live object of ours is what we want, judged without asking anybody.

Law of the module: pure and total; where an answer would be a guess it is `CannotTell`, and one server dry run decides. The
judge is our own entry of managedFields, for the API server takes a field from its owner whenever somebody else changes it
(Kubernetes docs, server-side apply, "field management"; structured-merge-diff, merge/update.go). So:

* what we want and live has otherwise is a change, whoever did it;
* what our entry names and we no longer want is a change: the next apply removes it, or gives it up;
* what neither we want nor our entry names is none of ours: defaults, injected sidecars, others' labels;
* while the live digest annotation is ours and that of what is wanted, what our entry still names nobody has touched: a value
  that only looks different there was written so by the server itself.

Keys in our entry align lists without schemas. Types, where known, say which texts mean the same (quantities, times, bytes),
which lists are keyed, and which zero values are not stored. What a value means is compared as Kubernetes does: null counts as
absent, and so does an empty or zero value that the server does not store. `status` is never compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

from .change import HIDDEN, Change, describe
from .ownership import COMMIT, DIGEST, SOURCE
from .paths import (
    Entry,
    Fields,
    Json,
    Key,
    Member,
    Owner,
    Path,
    descend,
    drop,
    elements,
    entries,
    find,
    holders,
    is_ours,
    key_of,
    pretty,
    resolve,
)
from .payload import SERVER_METADATA, decode, digest, is_secret, normalise, with_ignored, without, without_values
from .rejection import rejection_path
from .sameness import SIMPLE, is_zero, same, stores_zero
from .types import Type, Types

__all__ = (
    "HIDDEN", "INFORMATIONAL", "CannotTell", "Change", "Contested", "Differs", "InSync", "Owner", "Path", "Verdict",
    "compare", "contested", "decode", "describe", "digest", "is_secret", "normalise", "rejection_path", "with_ignored",
    "without", "without_values",
)  # fmt: skip

INFORMATIONAL: Final = (COMMIT, SOURCE)
"""Annotations that say where the last apply came from: a later commit that changes nothing else is no reason for another."""

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"  # holds a Secret's data in full
_AROUND_LAST_APPLIED: Final = (("metadata",), ("metadata", "annotations"))
GONE: Final = "our field ownership is gone"
CHANGES_LIMIT: Final = 200  # changes of one object that are told
_METADATA: Final = Type("struct", "meta.v1.ObjectMeta")


class InSync(NamedTuple):
    """Applying would change nothing that we want."""


class Differs(NamedTuple):
    """Applying would change these; `reason` where the whole is in question."""

    changes: tuple[Change, ...]
    reason: str = ""


class CannotTell(NamedTuple):
    """Only a dry run can tell, and why."""

    reason: str


Verdict = InSync | Differs | CannotTell


class Contested(NamedTuple):
    """Changes by who is on the other side: another applier or an autoscaler is left alone, everything else is forced."""

    rightly_theirs: tuple[Change, ...]
    ours: tuple[Change, ...]


def compare(
    wanted: Json, live: Json, manager: str, types: Types | None, ignore: tuple[str, ...] = (), *, hidden: bool = False
) -> Verdict:
    """Compare what is to be applied (`normalise`d, with our marks) with the live object, as field manager `manager`.

    `ignore` holds JSON pointers that are left out of the comparison; `hidden` lets no value at all into what it finds.
    """
    if wanted.get("apiVersion") != live.get("apiVersion") or wanted.get("kind") != live.get("kind"):
        return CannotTell("it was read in another API version")
    found = entries(live)
    ours = next((entry for entry in found if is_ours(entry.owner, manager)), None)
    if ours is not None and ours.version != wanted["apiVersion"]:
        return CannotTell("it was last applied in another API version")
    for pointer in ignore:
        path = resolve(pointer, wanted, live, found)
        wanted, live = drop(wanted, path), drop(live, path)
    others = [entry for entry in found if entry is not ours]
    comparison = _Comparison(types, others, ours is not None and _same_request(wanted, live, ours.fields))
    comparison.secret, comparison.hidden = is_secret(wanted), hidden
    comparison.root(wanted, live, ours.fields if ours else {})
    if ours is None:
        return Differs(tuple(comparison.changes), GONE)
    if comparison.changes:
        return Differs(tuple(comparison.changes))
    return CannotTell(comparison.doubt) if comparison.doubt else InSync()


def contested(changes: Iterable[Change]) -> Contested:
    """Split changes into those to leave alone, because whoever made them may, and those that are drift."""
    theirs: list[Change] = []
    ours: list[Change] = []
    for change in changes:
        rightful = change.kind == "set" and change.owner is not None and change.owner.rightful
        (theirs if rightful else ours).append(change)
    return Contested(tuple(theirs), tuple(ours))


def _same_request(wanted: Json, live: Json, ours: Fields) -> bool:
    """Whether the last apply asked for the same: the digest annotation is equal, and still ours."""
    path: Path = ("metadata", "annotations", DIGEST)
    asked = find(wanted, path)
    if asked is None or asked != find(live, path):
        return False
    node: Fields | None = ours
    for segment in path:
        node = descend(node, segment)
    return node is not None


class _Comparison:
    """One walk over wanted, live and our entry together; gathers changes, and the first doubt."""

    __slots__ = ("changes", "doubt", "hidden", "others", "secret", "trusted", "types")

    def __init__(self, types: Types | None, others: list[Entry], trusted: bool) -> None:
        self.types = types
        self.others = others
        self.trusted = trusted
        self.secret = self.hidden = False
        self.changes: list[Change] = []
        self.doubt = ""

    def root(self, wanted: Json, live: Json, ours: Fields) -> None:
        """Compare whole objects: identity, status and what only informs are left out."""
        skipped = ("apiVersion", "kind", "status", "metadata")
        root = None
        if self.types is not None:
            group, _, version = wanted["apiVersion"].rpartition("/")
            known = self.types.kind(group, version, wanted["kind"])
            root = known.type if known else None
        body = {name: value for name, value in wanted.items() if name not in skipped}
        self.maps((), body, live, {name: node for name, node in ours.items() if name[2:] not in skipped}, root)
        self.metadata(wanted.get("metadata"), live.get("metadata"), descend(ours, "metadata") or {})

    def metadata(self, wanted: object, live: object, ours: Fields) -> None:
        """Compare metadata, without identity, what the server writes, and annotations that only inform."""
        if not isinstance(wanted, dict):
            wanted = {}
        if not isinstance(live, dict):
            live = {}
        skipped = ("name", "namespace", "generateName", *SERVER_METADATA)
        wanted = {name: value for name, value in wanted.items() if name not in skipped}
        ours = {name: node for name, node in ours.items() if name[2:] not in skipped}
        asked, named = wanted.get("annotations"), ours.get("f:annotations")
        if isinstance(asked, dict):
            wanted["annotations"] = {name: value for name, value in asked.items() if name not in INFORMATIONAL}
        if isinstance(named, dict):
            ours["f:annotations"] = {name: node for name, node in named.items() if name[2:] not in INFORMATIONAL}
        self.maps(("metadata",), wanted, live, ours, _METADATA if self.types else None)

    def maps(self, path: Path, wanted: Json, live: Json, ours: Fields | None, type: Type | None) -> None:
        """Compare two maps of which each field has an owner of its own."""
        named = 0
        struct = self.types.struct(type) if self.types is not None and type is not None else None
        fields = struct.fields if struct is not None else None
        item = type.item if type is not None else None
        for name, value in wanted.items():
            node = ours.get("f:" + name) if ours else None
            if node is not None:
                named += 1
            have = live.get(name)
            if value.__class__ is have.__class__ and value.__class__ in SIMPLE and value == have:
                continue  # by far the most common case
            node = node if isinstance(node, dict) else None
            if fields is None and have is None and node is None and value is not None and item is not None:
                self.change((*path, name), value, None)  # a map keeps every key, empty or not
                continue
            self.value((*path, name), value, have, node, fields.get(name) if fields is not None else item)
        if ours and named < len(ours) - ("." in ours):
            for text, node in ours.items():
                if text[:2] == "f:" and text[2:] not in wanted:
                    self.removed((*path, text[2:]), live.get(text[2:]), node)

    def value(self, path: Path, wanted: Any, live: Any, node: Fields | None, type: Type | None) -> None:
        """Compare what stands at one path; `node` is our entry there, None where we do not own it."""
        if live is None:
            self.missing(path, wanted, node, type)
        elif wanted is None:
            if not isinstance(live, dict) and node is None:
                self.doubt = self.doubt or f"{pretty(path)} is null in the manifest"
        elif isinstance(wanted, dict) and isinstance(live, dict):
            if self.is_whole(path, node, type):
                self.leaf(path, wanted, live, node, type)
            else:
                self.maps(path, wanted, live, node, type)
        elif isinstance(wanted, list) and isinstance(live, list):
            self.lists(path, wanted, live, node, type)
        else:
            self.leaf(path, wanted, live, node, type)

    def missing(self, path: Path, wanted: Any, node: Fields | None, type: Type | None) -> None:
        """We want something that live does not have. Zero values are often not stored, and then nothing is missing."""
        if wanted is None:
            return
        if is_zero(wanted):
            if node is not None or stores_zero(type) is False:
                return
        elif node is not None and self.trusted and not isinstance(wanted, dict | list):
            self.doubt = self.doubt or f"{pretty(path)} is ours but not there"
            return
        self.change(path, wanted, None)

    def is_whole(self, path: Path, node: Fields | None, type: Type | None) -> bool:
        """Whether server-side apply takes this map as a whole: our entry says so, or its type, or others' entries."""
        if node:
            return False
        if type is not None and type.name != "any":
            return type.atomic
        if node is not None:
            return True
        return any(not below for below in self.nodes_of_others(path))

    def nodes_of_others(self, path: Path) -> list[Fields]:
        """Others' entries at a path."""
        nodes: list[Fields] = []
        for entry in self.others:
            node: Fields | None = entry.fields
            for segment in path:
                node = descend(node, segment)
            if node is not None:
                nodes.append(node)
        return nodes

    def leaf(self, path: Path, wanted: Any, live: Any, node: Fields | None, type: Type | None) -> None:
        """Compare a scalar, or a whole."""
        found = same(wanted, live, type, self.types)
        if found.answer == "same":
            return
        ours_still = node is not None and self.trusted
        if found.answer == "unsure":
            if not ours_still:
                self.doubt = self.doubt or f"{pretty(path + found.path)} may mean the same"
            return
        if ours_still:
            # Nobody touched it since we applied this very value: the server, or a webhook, made another one of it.
            self.doubt = self.doubt or f"{pretty(path + found.path)} is stored otherwise than it was applied"
            return
        self.change(path, found.wanted, found.live, found.path)

    def lists(self, path: Path, wanted: list[Any], live: list[Any], node: Fields | None, type: Type | None) -> None:
        """Compare two lists as server-side apply merges them: by keys, as sets, or as a whole."""
        names = self.key_names(path, node, type)
        if names:
            self.keyed(path, wanted, live, elements(node, Key), names=names, item_type=type.item if type else None)
        elif elements(node, Member) or (type is not None and type.set):
            self.members(path, wanted, live, elements(node, Member))
        else:
            self.leaf(path, wanted, live, node, type)

    def key_names(self, path: Path, node: Fields | None, type: Type | None) -> list[str]:
        """The fields that tell a list's items apart: our entry shows them, or the type says so, or others' entries do."""
        for below in (node, *(() if node or type is not None else self.nodes_of_others(path))):
            for key in elements(below, Key):
                return [name for name, _ in key.fields]
        return sorted(type.keys) if type is not None else []

    def keyed(
        self, path: Path, wanted: list[Any], live: list[Any], ours: dict[Key, Fields],
        *, names: list[str], item_type: Type | None,
    ) -> None:  # fmt: skip
        """Compare lists whose items are known by some of their fields; others' items do not count, but our order does."""
        have = {key: position for position, item in enumerate(live) if (key := key_of(item, names)) is not None}
        seen: dict[Key, None] = {}
        last, ordered = -1, True
        for item in wanted:
            key = key_of(item, names)
            if key is None or key in seen or len(have) != len(live):
                self.doubt = self.doubt or f"the items of {pretty(path)} cannot be told apart"
                return
            seen[key] = None
            position = have.get(key)
            if position is None:
                self.change((*path, key), item, None)
                continue
            ordered, last = ordered and position > last, position
            self.maps((*path, key), item, live[position], ours.get(key), item_type)
        if not ordered:
            self.change(path, _labels(seen), _labels(key for key in have if key in seen))
        for key, node in ours.items():
            if key not in seen and key in have:
                self.removed((*path, key), live[have[key]], node)

    def members(self, path: Path, wanted: list[Any], live: list[Any], ours: dict[Member, Fields]) -> None:
        """Compare sets: each value of ours must be there, in our order."""
        if any(isinstance(value, dict | list) for value in (*wanted, *live)):
            self.doubt = self.doubt or f"the members of {pretty(path)} are no simple values"
            return
        for value in wanted:
            if value not in live:
                self.change((*path, Member(value)), value, None)
        here = [value for value in live if value in wanted]
        if len(here) == len(wanted) and here != wanted:
            self.change(path, wanted, here)
        for member in ours:
            if member.value not in wanted and member.value in live:
                self.change((*path, member), None, member.value, kind="remove")

    def removed(self, path: Path, live: Any, node: Any) -> None:
        """Our entry names something that we no longer want: what of it is still there is to go."""
        if live is None or not isinstance(node, dict):
            return
        before = len(self.changes)
        if not ("." in node and isinstance(path[-1], Key)):
            for text, below in node.items():
                if text[:2] == "f:" and isinstance(live, dict):
                    self.removed((*path, text[2:]), live.get(text[2:]), below)
            if isinstance(live, list):
                keyed = elements(node, Key)
                names = [name for name, _ in next(iter(keyed)).fields] if keyed else []
                for item in live:
                    key = key_of(item, names)
                    if key is not None and key in keyed:
                        self.removed((*path, key), item, keyed[key])
                for member in elements(node, Member):
                    if member.value in live:
                        self.change((*path, member), None, member.value, kind="remove")
        if len(self.changes) == before and (not node or "." in node):
            self.change(path, None, live, kind="remove")

    def change(self, path: Path, wanted: Any, live: Any, below: Path = (), kind: Literal["set", "remove"] = "set") -> None:
        """Note one difference; values of a Secret never leave here."""
        if len(self.changes) >= CHANGES_LIMIT:
            return
        if self.hidden or (self.secret and (path[0] in ("data", "stringData") or LAST_APPLIED in path or path in _AROUND_LAST_APPLIED)):
            wanted, live = HIDDEN, HIDDEN
        found = [holder.owner for holder in holders(path, self.others)]
        owner = next((owner for owner in found if owner.rightful), found[0] if found else None)
        self.changes.append(Change(path, pretty(path + below), wanted, live, kind, owner))


def _labels(keys: Iterable[Key]) -> list[str]:
    return [",".join(str(value) for _, value in key.fields) for key in keys]
