"""Whose an object is: what we write on what we apply, and what of it proves anything.

Law of the module: an object is ours only if its owner annotation names this installation *and the object itself, in this cluster*: a
copied annotation proves nothing, nor does the label, which exists for watches to select on. An annotation that names a cluster which
is configured no more counts: clusters are renamed, and restored under another name. Live annotations are hostile input.
"""

from __future__ import annotations

import hmac
from collections.abc import Container
from typing import Any

from .identity import ClusterName, ObjectId, UnitKey
from .observed import Live

FIELD_MANAGER = "reconciler"
MANAGED_BY = "reconciler.dev/managed-by"  # label: the installation's id
OWNER = "reconciler.dev/owner"  # "<installation> <cluster> <group>/<kind>/<namespace>/<name> <unit>"
SOURCE = "reconciler.dev/source"  # the file that wants it, "path:line"
COMMIT = "reconciler.dev/commit"  # the commit that last changed that file, as known when it was applied
DIGEST = "reconciler.dev/digest"  # `request_digest`: tells drift from change without any memory

RESERVED_ANNOTATIONS = (OWNER, SOURCE, COMMIT, DIGEST)


def owner_text(installation: str, cluster: ClusterName, unit: UnitKey, id: ObjectId) -> str:
    """The value of the owner annotation."""
    return f"{installation} {cluster} {'/'.join(id)} {unit.text}"


def owner_of(live: Live, installation: str, cluster: ClusterName, others: Container[ClusterName]) -> UnitKey | None:
    """The unit that owns an object of `cluster`, or None where it is not ours. `others` are all clusters that are configured."""
    parts = live.annotations.get(OWNER, "").split(" ", 3)
    if len(parts) != 4 or parts[0] != installation or parts[2] != "/".join(live.id):
        return None
    if parts[1] != cluster and parts[1] in others:
        return None
    return UnitKey.parse(parts[3])


def request_digest(key: bytes, unit: UnitKey, digest: str) -> str:
    """What `DIGEST` holds: of the content that is asked for, and of who asks. Another owner is another request.

    Keyed, since it stands on Secrets too, where everybody who may read metadata could otherwise try out short values.
    """
    return hmac.digest(key, f"{unit.text} {digest}".encode(), "sha256").hex()[:16]


def stamp(
    body: dict[str, Any], owner: str, installation: str, id: ObjectId, source: str, commit: str, digest: str
) -> dict[str, Any]:
    """Write our marks on an object that is about to be applied; `body` is changed and returned."""
    metadata = body["metadata"]
    if id.namespace:
        metadata["namespace"] = id.namespace
    else:
        metadata.pop("namespace", None)
    metadata["labels"] = {**(metadata.get("labels") or {}), MANAGED_BY: installation}
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        OWNER: owner,
        SOURCE: source,
        COMMIT: commit,
        DIGEST: digest,
    }
    return body
