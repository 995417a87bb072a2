"""What acts when Git changes, and on nothing else: `reconciliationPolicy.state: inactive` (symphony.md §3.5).

Law of the module: it rests once all that Git came to stood and nothing was left over, and it is written down what that was. Whatever Git
comes to next, by its own file or by one that it asks, wakes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from operator import itemgetter

from reconciler.core.identity import Lane
from reconciler.core.kind import Held, Wanted
from reconciler.core.view import View

RESTS = Held("reconciliationPolicy is inactive: acts when Git changes, and on nothing else", paused=True)


def digest(wanted: Mapping[Lane, tuple[Wanted, ...] | Held]) -> str:
    """What Git comes to, and Secrets with it: whatever of it changes, this does."""
    facts: list[object] = []
    for lane, wants in sorted(wanted.items(), key=itemgetter(0)):
        facts += (lane, wants) if isinstance(wants, Held) else (lane, [(want.id, want.digest, want.wave) for want in wants])
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def nothing_left(known: Mapping[Lane, tuple[Wanted, ...]], view: View) -> bool:
    """Whether all that is owned is wanted."""
    wanted = {(lane.cluster, want.id): None for lane, wants in known.items() for want in wants}
    owned = [ref for cluster in {lane.cluster: None for lane in known} for ref in view.owned(cluster)]
    return all((ref.cluster, ref.id) in wanted for ref in owned)
