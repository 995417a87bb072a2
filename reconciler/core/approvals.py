"""Approvals: what people let through by merging one small file, and the branches on which the daemon offers it.

Law of the module: an approval is for one gate, one unit and one revision, which is always a digest of content; anything else that it
says makes it no approval. The branch is an offer and nothing more: only what is merged counts (design §7, "Control verbs").
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from .identity import CommitId, GroupKind, Place, UnitKey
from .kind import Gate
from .messages import FilesRead, GitFailure, Push, Pushed, ReadFiles
from .paths import printable
from .sources import Source
from .view import Approved
from .wire import Wire

APPROVAL = GroupKind("reconciler.dev", "Approval")
FOLDER = "approvals"
BRANCH = "refs/heads/reconciler/approve/"
OFFERED_LIMIT = 20
"""So many branches of a source are offered at once, oldest first: nobody reads more, and a forge lists them all."""
LOOKED_AT = 1_000
"""So many approvals of a source are looked at for what they still do; people tidy away long before."""


class Idle(NamedTuple):
    """An approval that does nothing (any more), and why; `spent` where nobody need do more than remove it."""

    place: Place
    message: str
    spent: bool


def find(source: Source, unit: UnitKey, gate: Gate, cluster: str = "") -> Approved | None:
    """The approval of exactly this gate among the source's manifests."""
    for manifest in source.desired.kinds.get(APPROVAL, {}).values():
        spec = manifest.body().get("spec")
        if isinstance(spec, dict) and _matches(spec, unit, gate, cluster):
            return Approved(manifest.name, manifest.place(), source.desired.changed_by(manifest.path))
    return None


Asked = Callable[[UnitKey, str], tuple[Gate, ...] | str | None]
"""What waits for a person at a unit in a cluster: its gates, why there can be none, or None where nobody knows yet."""


def idle(source: Source, asked: Asked, spent: Container[str]) -> tuple[Idle, ...]:
    """The approvals in a source that let nothing through; `spent` are the revisions that did."""
    found = []
    for manifest in islice(source.desired.kinds.get(APPROVAL, {}).values(), LOOKED_AT):
        spec = manifest.body().get("spec")
        of = spec.get("of") if isinstance(spec, dict) else None
        if isinstance(spec, dict) and isinstance(of, dict):
            told = _idle(source, spec, of, asked, spent)
            if told:
                is_spent = told[0] == "gate"  # these gather: nobody need know their column
                found.append(Idle(manifest.place() if is_spent else manifest.place(("spec", told[0])), told[1], is_spent))
    return tuple(sorted(found))


def _idle(source: Source, spec: dict[str, Any], of: dict[str, Any], asked: Asked, spent: Container[str]) -> tuple[str, str] | None:
    """Which field of an approval keeps it from letting anything through, and why."""
    name, revision = printable(str(spec.get("gate")), 100), spec.get("revision")
    if spec.get("verb") != "approve":
        return "verb", f"approves nothing: {printable(str(spec.get('verb')), 40)} is not understood yet, only approve is"
    if revision in spent:
        return "gate", f"has let {name} through, and counts once; the file can be removed"
    unit = UnitKey(source.name, *(str(of.get(key) or "") for key in ("group", "kind", "namespace", "name")))
    gates = asked(unit, str(of.get("cluster") or ""))
    if isinstance(gates, str):
        return "of", f"approves nothing: {gates}"
    if gates is None:
        return None
    gate = next((gate for gate in gates if gate.name == spec.get("gate")), None)
    if gate is None:
        return "gate", f"nothing waits for {name} (any more): it has been used, or its question is gone; the file can be removed"
    if gate.revision != revision:
        waits = f"{gate.revision[:19]}… waits now (reconciler approve {gate.name})"
        return "revision", f"approves nothing: it is for {printable(str(revision), 20)}, and {waits}"
    return None


def _of(unit: UnitKey, cluster: str) -> dict[str, str]:
    of = {"group": unit.group, "kind": unit.kind, "namespace": unit.namespace, "name": unit.name, "cluster": cluster}
    return {key: value for key, value in of.items() if value}


def _matches(spec: dict[str, Any], unit: UnitKey, gate: Gate, cluster: str) -> bool:
    of = spec.get("of")
    return (
        isinstance(of, dict)
        and {key: value for key, value in of.items() if value} == _of(unit, cluster)
        and (spec.get("verb"), spec.get("gate"), spec.get("revision")) == ("approve", gate.name, gate.revision)
    )


def text(unit: UnitKey, gate: Gate, cluster: str) -> bytes:
    """The file whose merge is the approval."""
    lines = [
        f"# Merging this lets the daemon {gate.message}.",
        "apiVersion: reconciler.dev/v1alpha1",
        "kind: Approval",
        "metadata:",
        f"  name: {gate.name}",
        "spec:",
        "  verb: approve",
        "  of:",
        *(f"    {key}: {_quoted(value)}" for key, value in _of(unit, cluster).items()),
        f"  gate: {_quoted(gate.name)}",
        f"  revision: {gate.revision}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(slots=True)
class Offer:
    """A gate that waits, and the branch that offers it."""

    unit: UnitKey
    gate: Gate
    cluster: str
    state: str = "new"  # new | busy | offered | refused
    problem: str = ""


class Offers:
    """Keeps one branch for each gate that waits, up to a limit. Branches of gates that wait no more are left to people."""

    def __init__(self, wire: Wire, on_moved: Callable[[UnitKey], None]) -> None:
        self.wire = wire
        self._on_moved = on_moved
        self.offers: dict[tuple[str, str], Offer] = {}  # (source, branch)

    def set(self, source: Source, unit: UnitKey, gate: Gate, cluster: str) -> None:
        """A gate waits: see that its branch says so."""
        key = (source.name, gate.name)
        held = self.offers.get(key)
        if held is None or held.gate != gate:
            self.offers[key] = Offer(unit, gate, cluster)  # in the place of the older one: it keeps its turn

    def drop(self, unit: UnitKey, cluster: str, keep: tuple[str, ...] = ()) -> None:
        """The gates of a unit in a cluster that wait no more."""
        for key, offer in list(self.offers.items()):
            if (offer.unit, offer.cluster) == (unit, cluster) and offer.gate.name not in keep:
                del self.offers[key]

    def run(self, sources: dict[str, Source]) -> None:
        """Make the branches that are not there yet, as many as may be."""
        taken: dict[str, int] = {}
        for source_name, _ in (key for key, offer in self.offers.items() if offer.state != "new"):
            taken[source_name] = taken.get(source_name, 0) + 1
        # After a restart those come first that an earlier life has offered: their branches stand there already.
        refs = {name: source.refs or {} for name, source in sources.items()}
        for (source_name, name), offer in sorted(self.offers.items(), key=lambda pair: BRANCH + pair[0][1] not in refs[pair[0][0]]):
            source = sources[source_name]
            full = taken.get(source_name, 0) >= OFFERED_LIMIT
            if offer.state == "new" and not full and source.refs is not None and source.loaded:
                taken[source_name] = taken.get(source_name, 0) + 1
                offer.state = "busy"
                self._on_moved(offer.unit)
                ref = BRANCH + name
                at = source.refs.get(ref)
                if at is None:
                    self._push(source, ref, offer, None)
                else:
                    self._read(source, ref, offer, at)

    def _path(self, source: Source, offer: Offer) -> str:
        folder = f"{source.settings.path}/{FOLDER}" if source.settings.path else FOLDER
        return f"{folder}/{offer.gate.name}.yaml"

    def _read(self, source: Source, ref: str, offer: Offer, at: CommitId) -> None:
        path = self._path(source, offer)

        def read(message: FilesRead) -> None:
            wanted = text(offer.unit, offer.gate, offer.cluster)
            if not isinstance(message.files, GitFailure) and message.files.get(path) == wanted:
                offer.state = "offered"
            else:
                self._push(source, ref, offer, at)

        self.wire.git(ReadFiles, read, source.name, ref=ref, commit=at, prefix=path.rsplit("/", 1)[0])

    def _push(self, source: Source, ref: str, offer: Offer, expected: CommitId | None) -> None:
        assert source.desired.commit is not None
        body = text(offer.unit, offer.gate, offer.cluster)
        message = f"Approve {offer.gate.name}\n\nMerging this lets the daemon {offer.gate.message}.\n"

        def pushed(answer: Pushed) -> None:
            if answer.outcome == "pushed":
                offer.state = "offered"
                self.wire.log("info", "approval offered", branch=ref.removeprefix("refs/heads/"), gate=offer.gate.name)
                if source.refs is not None and answer.commit is not None:
                    source.refs[ref] = answer.commit
                return
            offer.state, offer.problem = "refused", answer.message or answer.outcome
            self._on_moved(offer.unit)
            self.wire.log("warning", "approval not offered", branch=ref, reason=offer.problem)
            self.wire.after(("offer", source.name, ref), 30.0, lambda: self._again(source, offer))

        self.wire.git(
            Push,
            pushed,
            source.name,
            ref=ref,
            expected=expected,
            base=source.desired.commit.id,
            files={self._path(source, offer): body},
            message=message,
            at=self.wire.now.wall,
            force=expected is not None,
        )

    def waits_its_turn(self, key: tuple[str, str]) -> bool:
        """Whether a gate waits that is not offered yet, since too many others are."""
        offer = self.offers.get(key)
        taken = sum(other.state != "new" for (source, _), other in self.offers.items() if source == key[0])
        return offer is not None and offer.state == "new" and taken >= OFFERED_LIMIT

    def _again(self, source: Source, offer: Offer) -> None:
        offer.state = "new"
        source.hint()
