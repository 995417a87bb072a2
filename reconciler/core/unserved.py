"""Objects of a kind, or in a version, that a cluster does not serve (yet), or does not list.

Law of the module: they wait, and stay wanted: nobody may prune them. They are looked at again when the cluster's discovery changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .clusters import Cluster
from .lanes import Item

if TYPE_CHECKING:
    from .work import Work


def wait_for_kind(work: Work, cluster: Cluster, item: Item) -> None:
    """Let an object wait for its kind, and say what brings it, if anything does."""
    assert cluster.discovery is not None
    want, kind = item.wanted, item.wanted.id.group_kind
    served = cluster.discovery.preferred.get(kind)
    if item.resource is None or served is None:
        cluster.missing(kind, want.version)
    item.place = want.place
    item.work.move(item, "wait")
    if kind.group in cluster.discovery.stale_groups:
        work.stand(item, "pending", f"the server of {kind.group} does not answer")
    elif item.resource is not None and served is not None:
        work.stand(item, "blocked", f"{kind} cannot be watched, so it cannot be kept as it is written")
    elif served is not None:
        item.place = want.manifest.place(("apiVersion",)) if want.manifest else want.place
        work.stand(item, "blocked", f"{kind} is not served in version {want.version}; {served.api_version} is")
    elif work.claims.brings(cluster.name, kind) and not work.settings.act:
        item.planned = "create"
        item.work.move(item, "done")
        work.stand(item, "pending", "comes with its CustomResourceDefinition")
    elif work.claims.brings(cluster.name, kind):
        work.stand(item, "pending", f"waits for the CustomResourceDefinition of {kind}")
    else:
        item.place = want.manifest.place(("kind",)) if want.manifest else want.place
        work.stand(item, "blocked", f"no kind {kind} on {cluster.name}; applied as soon as something brings it")


def wait_for_list(work: Work, cluster: Cluster, item: Item) -> None:
    """Its kind is not listed yet: no news, unless it cannot be."""
    assert item.resource is not None
    reflector = cluster.reflectors.get(item.resource.group_kind)
    if reflector is not None and reflector.problem:
        work.stand(item, "pending", f"{item.resource.plural} cannot be listed: {reflector.problem}")
