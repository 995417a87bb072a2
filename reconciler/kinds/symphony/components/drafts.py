"""An object that is being made, and checking it as the API server will, in the words of whoever wrote its values.

Law of the module: what the types of a kind say (`core.types`) is said about the field that the author wrote, not about the field that it
became; a kind that the table does not know is not checked. Of what is wrong within a secret, it is said that something is.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.core import metadata
from reconciler.core.identity import ObjectId
from reconciler.core.problem import Finding, Pointer
from reconciler.core.problem import field as named
from reconciler.core.types import Types
from reconciler.kinds.symphony.components.fields import NOT_SHOWN, Field
from reconciler.kinds.symphony.model import Json


class Draft(NamedTuple):
    """An object. `origins`: which of its parts an author wrote; () is the object itself."""

    json: Json
    origins: tuple[tuple[Pointer, Field], ...]

    def id(self) -> ObjectId:
        """What it is."""
        group = self.json["apiVersion"].rpartition("/")[0]
        about = self.json["metadata"]
        return ObjectId(group, self.json["kind"], about.get("namespace") or "", about["name"])


def check(draft: Draft, types: Types) -> None:
    """Tell what is wrong with an object."""
    id = draft.id()
    version = draft.json["apiVersion"].rpartition("/")[2]
    findings = [*metadata.wrong_metadata(draft.json), *types.check(id.group, version, id.kind, draft.json)]
    for finding in findings:
        tell(draft, finding)


def tell(draft: Draft, finding: Finding) -> None:
    """Tell a finding about an object to whoever wrote what it is about; what nobody wrote is made of what was checked on its way."""
    around = [origin for origin in draft.origins if finding.pointer[: len(origin[0])] == origin[0]]
    if not around:
        return
    prefix, field = max(around, key=lambda origin: len(origin[0]))
    if field.secret:
        wrong = "which Kubernetes does not take as it is" if finding.severity == "error" else "of which Kubernetes does not take all"
        field.wrong(f"is {NOT_SHOWN}, {wrong}", finding.severity)
        return
    pointer = field.pointer if field.in_text else (*field.pointer, *finding.pointer[len(prefix) :])
    if prefix:
        message = finding.message.replace(named(prefix), field.name, 1)
    else:
        message = f"{field.name}: {finding.message}"
    field.faults.add(pointer, message, field.whose, finding.severity)
