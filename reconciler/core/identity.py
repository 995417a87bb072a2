"""Names of things: what is what, whatever its state.

Law of the module: an identity is a value. Tuples, so that they hash at the speed of C (ten thousand objects are looked up by
them on every list), ordered so that nothing depends on arrival, and printable the way people write them.
"""

from __future__ import annotations

from typing import NamedTuple, NewType

ClusterName = NewType("ClusterName", str)
SourceName = NewType("SourceName", str)
CommitId = NewType("CommitId", str)  # full hex object id
BlobId = NewType("BlobId", str)  # full hex object id


class Instant(NamedTuple):
    """A moment, on two clocks, both in seconds since the Unix epoch.

    `wall` is what the calendar says, and may jump. `steady` was set to the wall when the process started and has moved with the
    monotonic clock since, so waits are measured on it: a jump never shortens a wait (design, law 1).
    """

    wall: float
    steady: float


class GroupKind(NamedTuple):
    """A kind of object without its version: the identity that pruning and ownership use."""

    group: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


class ObjectId(NamedTuple):
    """An object within one cluster. `namespace` is "" for cluster-scoped objects."""

    group: str
    kind: str
    namespace: str
    name: str

    @property
    def group_kind(self) -> GroupKind:
        """The kind alone."""
        return GroupKind(self.group, self.kind)

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" + (f" in {self.namespace}" if self.namespace else "")


class ObjectRef(NamedTuple):
    """An object in a named cluster."""

    cluster: ClusterName
    id: ObjectId

    def __str__(self) -> str:
        return f"{self.id} on {self.cluster}"


class UnitKey(NamedTuple):
    """What is planned together: a folder of plain objects, or a root object of a kind with all that is its alone.

    A folder has `kind` "Folder" and its path in the source as `name` ("." for the top); a root has its own group and kind.
    """

    source: SourceName
    group: str
    kind: str
    namespace: str
    name: str

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder of plain objects."""
        return self.kind == "Folder" and not self.group

    @property
    def text(self) -> str:
        """A form that `parse` reads back; only `name` may hold slashes."""
        return "/".join(self)

    @classmethod
    def parse(cls, text: str) -> UnitKey | None:
        """Read what `text` wrote; None for anything else (live annotations are hostile input)."""
        parts = text.split("/", 4)
        if len(parts) != 5 or not parts[0] or not parts[2] or not parts[4]:
            return None
        return cls(SourceName(parts[0]), *parts[1:])

    def __str__(self) -> str:
        return self.name if self.is_folder else f"{self.kind}/{self.name}"


class Lane(NamedTuple):
    """Where a unit's objects go: a cluster, or one target within it (`target` is "" when the cluster is all)."""

    cluster: ClusterName
    target: str = ""

    def __str__(self) -> str:
        return f"{self.cluster}/{self.target}" if self.target else self.cluster


class Place(NamedTuple):
    """A place in a file. `line` and `column` count from 1; 0 means that only the file is known."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path


def folder(source: SourceName, path: str) -> UnitKey:
    """The unit of the plain objects of one folder."""
    return UnitKey(source, "", "Folder", "", path or ".")
