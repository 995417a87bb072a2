"""Two claims on one object: how each is told of the other, so that both can be found and neither is taken for itself.

Law of the module: a sentence only; who gives way is `lanes.Claims`' business. Objects of folders are told by their own lines; what
roots render may all come from one line of what they share, so a root is told by its name and its own place.
"""

from __future__ import annotations

from .desired import Desired
from .identity import GroupKind, Lane, UnitKey
from .lanes import Item


def also_wanted(item: Item, rival: Item, desired: Desired) -> str:
    """Why an item stands back; `desired` is what was read of the rival's source."""
    us, them = item.work.unit, rival.work.unit
    place = rival.wanted.place
    if them == us:
        target = _target(rival.work.lane) if rival.work.lane != item.work.lane else ""
        whom = f"at {place}{target}"
    elif them.is_folder:
        whom = f"at {place}" + (f" of source {them.source}" if them.source != us.source else "")
    else:
        roots = desired.named(GroupKind(them.group, them.kind), them.namespace, them.name)
        whom = f"by {told_beside(them, us)} ({roots[0].place() if roots else place})"
    return f"is also wanted {whom}; left as it was until one of them goes"


def _target(lane: Lane) -> str:
    return f" for target {lane.target}" if lane.target else ""


def told_beside(unit: UnitKey, other: UnitKey) -> str:
    """The name of a unit, and whatever it takes not to be read as the other one."""
    text = str(unit)
    if unit.namespace != other.namespace:
        text += f" in namespace {unit.namespace}" if unit.namespace else " without a namespace"
    return text + (f" of source {unit.source}" if unit.source != other.source else "")
