"""The rights that README.md asks for are enough: the daemon works with them and no more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.plane import Access
from tests.real.fleet import Fleet
from tests.waiting import until

README = Path(__file__).parents[2] / "README.md"
RBAC = "rbac.authorization.k8s.io"
Json = dict[str, Any]


def roles() -> list[Json]:
    """The manifests on the page."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [manifest for block in blocks if RBAC in block for manifest in yaml.safe_load_all(block)]


def created(cluster: Access, path: str, body: Json) -> Json:
    status, answer = cluster.request("POST", path, body)
    assert status == 201, answer
    return answer


def as_the_page_says(fleet: Fleet) -> Json:
    """A kubeconfig of a service account that has these rights on `eu` and no others."""
    top, account = f"/apis/{RBAC}/v1", {"kind": "ServiceAccount", "name": "reconciler", "namespace": fleet.store}
    namespaced = f"/api/v1/namespaces/{fleet.store}"
    created(fleet.eu, "/api/v1/namespaces", {"metadata": {"name": fleet.store}})
    created(fleet.eu, f"{namespaced}/serviceaccounts", {"metadata": {"name": "reconciler"}})
    for role in roles():
        at = top if role["kind"] == "ClusterRole" else f"{top}/namespaces/{fleet.store}"
        plural = f"{role['kind'].lower()}s"
        name = {"metadata": {"name": fleet.store}}  # the test's own, where the page has one for all
        created(fleet.eu, f"{at}/{plural}", {**role, **name})
        of = {"apiGroup": RBAC, "kind": role["kind"], "name": fleet.store}
        created(fleet.eu, f"{at}/{plural[:-1]}bindings", {**name, "roleRef": of, "subjects": [account]})
    token = created(fleet.eu, f"{namespaced}/serviceaccounts/reconciler/token", {"spec": {}})["status"]["token"]
    return {**fleet.eu.kubeconfig, "users": [{**fleet.eu.kubeconfig["users"][0], "user": {"token": token}}]}


def test_the_rights_on_the_page_are_enough(fleet: Fleet) -> None:
    files = {f"a/{i}.yaml": fleet.config_map(f"a{i}") for i in range(5)}
    first = fleet.commit({"a/namespace.yaml": fleet.namespace(), "a/web.yaml": fleet.deployment("web"), **files})
    try:
        clusters = {"eu": as_the_page_says(fleet)}
        with fleet.daemon(clusters=clusters) as daemon:
            daemon.wait(first)
            fleet.patch("configmaps", "a1", {"data": {"v": "by hand"}})
            until(lambda: (fleet.get("configmaps", "a1") or {})["data"]["v"] == "1", "drift is healed", 10)
            fleet.commit({f"a/{i}.yaml": None for i in range(4)}, "Delete most")
            branch = "refs/heads/reconciler/approve/prune-eu-a"
            offered = until(lambda: fleet.read(branch, "approvals/prune-eu-a.yaml"), "the approval is offered", 10)
            fleet.commit({"approvals/prune-eu-a.yaml": offered}, "Merge")
            until(lambda: fleet.names("configmaps") == ["a4"], "the approved are pruned", 10)
        with fleet.daemon(clusters=clusters) as daemon:  # again: the Lease is taken over, the records are added to
            account = f"apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: web, namespace: {fleet.ns}}}\n"
            daemon.wait(fleet.commit({"a/account.yaml": account}))
    finally:
        for plural in ("clusterroles", "clusterrolebindings"):
            fleet.eu.request("DELETE", f"/apis/{RBAC}/v1/{plural}/{fleet.store}")
