"""The official Python client works against the embedded API server as against a real one.

A scenario is code that gets a client and a namespace, and returns what it saw. It runs on both servers; both must have seen the same,
and each scenario says itself what must be so.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.aio import client as aio_client
from kubernetes.aio import config as aio_config
from kubernetes.aio import dynamic as aio_dynamic
from kubernetes.aio import watch as aio_watch
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from reconciler.sim.cluster.cluster import Cluster
from reconciler.sim.cluster.front import Front
from reconciler.sim.cluster.settings import Settings
from tests.contract.session import masked
from tests.controlplane.plane import NODES, Access
from tests.waiting import until, until_async

pytestmark = pytest.mark.real

Json = dict[str, Any]
Scenario = Callable[[client.ApiClient, str], Any]
QUICK = Settings(nodes=NODES, pod_start_seconds=0.05, pod_stop_seconds=0.05, job_seconds=0.1)
_DRAWN = ("uid", "resourceVersion", "resource_version", "creationTimestamp", "creation_timestamp", "managedFields", "managed_fields")


class Served:
    """An embedded cluster, served from a thread of its own: the client blocks."""

    def __init__(self) -> None:
        self.kubeconfig: Json = {}
        self._cluster = Cluster("test", 1, time.time(), QUICK)
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)
        self._loop.close()

    def forget(self, version: int) -> None:
        """Let history begin after a version, as etcd's does after a compaction."""
        self._loop.call_soon_threadsafe(self._cluster.store.compact, version)

    async def _serve(self) -> None:
        async with Front(self._cluster, time.time, "of-this-test") as front:
            self.kubeconfig = front.kubeconfig("test")
            self._ready.set()
            await self._done.wait()


@pytest.fixture
def both(control_plane: Access, namespace: str) -> Iterator[Callable[[Scenario], Any]]:
    """Run a scenario on both servers; returns what was seen, after comparing it."""
    with Served() as served:

        def run(scenario: Scenario) -> Any:
            seen = []
            for kubeconfig in (served.kubeconfig, control_plane.kubeconfig):
                with config.new_client_from_config_dict(kubeconfig) as api:
                    _prepare(api, namespace)
                    seen.append(_shown(api, scenario(api, namespace)))
            assert seen[0] == seen[1]
            return seen[0]

        yield run


@pytest.fixture
def both_async(control_plane: Access, namespace: str) -> Iterator[Callable[..., Any]]:
    """The same for the asynchronous client."""
    with Served() as served:

        def run(scenario: Callable[[aio_client.ApiClient, str], Awaitable[Any]]) -> Any:
            async def one(kubeconfig: Json) -> Any:
                async with await aio_config.new_client_from_config_dict(kubeconfig) as api:
                    return await asyncio.wait_for(scenario(api, namespace), 60)

            with config.new_client_from_config_dict(served.kubeconfig) as plain:
                _prepare(plain, namespace)
                seen = [_shown(plain, asyncio.run(one(each))) for each in (served.kubeconfig, control_plane.kubeconfig)]
            assert seen[0] == seen[1]
            return seen[0]

        yield run


def _prepare(api: client.ApiClient, namespace: str) -> None:
    """The namespace, with the account that pods need."""
    core = client.CoreV1Api(api)
    if not any(one.metadata.name == namespace for one in core.list_namespace().items):
        core.create_namespace({"metadata": {"name": namespace}})
    until(lambda: core.list_namespaced_service_account(namespace).items, "the account of the namespace")


def _shown(api: client.ApiClient, seen: Any) -> Any:
    """What was seen as JSON, without what is drawn at random or a moment."""
    return json.loads(masked(json.dumps(_bare(api.sanitize_for_serialization(seen)), sort_keys=True)))


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(inner) for key, inner in value.items() if key not in _DRAWN}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def _refusal(call: Callable[..., Any], *words: Any, **named: Any) -> Json:
    """What the client says of a call that must be refused."""
    with pytest.raises(client.ApiException) as caught:
        call(*words, **named)
    body = json.loads(caught.value.body)
    body.pop("metadata", None)
    return {"status": caught.value.status, "reason": caught.value.reason, "body": body}


def _config_map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"of": "test"}}, "data": data}


def _deployment(name: str, image: str = "web:1", replicas: int = 2) -> Json:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def _definition(plural: str) -> Json:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}, "note": {"type": "string"}}},
            "status": {"type": "object", "properties": {"seen": {"type": "integer"}}},
        },
    }
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "singular": plural[:-1], "kind": plural[:-1].capitalize()}
    spec = {"group": "client.example.org", "scope": "Namespaced", "names": names, "versions": [version]}
    meta = {"name": f"{plural}.client.example.org"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta, "spec": spec}


# -- the typed client ---------------------------------------------------------------------------------------------------------


def test_config_maps_are_created_read_changed_and_deleted(both: Callable[[Scenario], Any]) -> None:
    def scenario(api: client.ApiClient, namespace: str) -> Any:
        core = client.CoreV1Api(api)
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a", labels={"of": "test"}), data={"k": "1"})
        seen = [core.create_namespaced_config_map(namespace, body)]
        seen.append(core.patch_namespaced_config_map("a", namespace, {"data": {"l": "2"}}))
        seen.append(core.patch_namespaced_config_map("a", namespace, [{"op": "remove", "path": "/data/k"}]))
        live = core.read_namespaced_config_map("a", namespace)
        live.data["m"] = "3"
        seen.append(core.replace_namespaced_config_map("a", namespace, live))
        seen.append(core.list_namespaced_config_map(namespace, label_selector="of=test").items)
        seen.append(core.delete_namespaced_config_map("a", namespace))
        assert core.list_namespaced_config_map(namespace, label_selector="of=test").items == []
        return seen

    assert both(scenario)[3]["data"] == {"l": "2", "m": "3"}


def test_refusals_say_why(both: Callable[[Scenario], Any]) -> None:
    def scenario(api: client.ApiClient, namespace: str) -> Any:
        core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
        made = core.create_namespaced_config_map(namespace, _config_map("a"))
        core.patch_namespaced_config_map("a", namespace, {"data": {"k": "1"}})
        made.data = {"k": "2"}
        wrong = _deployment("web")
        wrong["spec"]["selector"] = {"matchLabels": {"app": "other"}}
        return [
            _refusal(core.read_namespaced_config_map, "nothing", namespace),
            _refusal(core.create_namespaced_config_map, namespace, _config_map("a")),
            _refusal(core.replace_namespaced_config_map, "a", namespace, made),
            _refusal(core.create_namespaced_config_map, namespace, _config_map("Wrong")),
            _refusal(core.create_namespaced_config_map, "no-such-namespace", _config_map("b")),
            _refusal(apps.create_namespaced_deployment, namespace, wrong),
            _refusal(core.list_namespaced_config_map, namespace, field_selector="data.k=1"),
            _refusal(core.list_namespaced_config_map, namespace, resource_version="x"),
        ]

    assert [one["status"] for one in both(scenario)] == [404, 409, 409, 422, 404, 422, 400, 400]


def test_a_deployment_comes_up_and_scales(both: Callable[[Scenario], Any]) -> None:
    def scenario(api: client.ApiClient, namespace: str) -> Any:
        apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
        apps.create_namespaced_deployment(namespace, _deployment("web"))
        until(lambda: apps.read_namespaced_deployment_status("web", namespace).status.ready_replicas == 2, "two pods", 20)
        scale = apps.read_namespaced_deployment_scale("web", namespace)
        scale.spec.replicas = 1
        changed = apps.replace_namespaced_deployment_scale("web", namespace, scale)
        until(lambda: apps.read_namespaced_deployment("web", namespace).status.replicas == 1, "one pod", 20)
        until(lambda: len(core.list_namespaced_pod(namespace, label_selector="app=web").items) == 1, "one pod left", 20)
        apps.delete_namespaced_deployment("web", namespace, propagation_policy="Foreground")
        until(lambda: not core.list_namespaced_pod(namespace, label_selector="app=web").items, "no pod", 20)
        until(lambda: not apps.list_namespaced_replica_set(namespace).items, "no set of pods", 20)
        return changed.spec

    assert both(scenario) == {"replicas": 1}


def test_lists_come_in_pages(both: Callable[[Scenario], Any]) -> None:
    def scenario(api: client.ApiClient, namespace: str) -> Any:
        core = client.CoreV1Api(api)
        for number in range(7):
            core.create_namespaced_config_map(namespace, _config_map(f"c{number}"))
        pages, token = [], None
        while token != "":
            page = core.list_namespaced_config_map(namespace, limit=3, _continue=token)
            pages.append([[one.metadata.name for one in page.items], page.metadata.remaining_item_count])
            token = page.metadata._continue or ""
        return pages

    assert both(scenario) == [[["c0", "c1", "c2"], 5], [["c3", "c4", "c5"], 2], [["c6", "kube-root-ca.crt"], None]]


def test_reviews_and_versions_are_answered(both: Callable[[Scenario], Any]) -> None:
    def scenario(api: client.ApiClient, namespace: str) -> Any:
        wish = client.V1ResourceAttributes(verb="create", resource="pods", namespace=namespace)
        review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=wish))
        token = client.CoreV1Api(api).create_namespaced_service_account_token(
            "default", namespace, client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=["me"]))
        )
        groups = [one.name for one in client.ApisApi(api).get_api_versions().groups if one.name.endswith((".k8s.io", "apps", "batch"))]
        return [
            client.AuthorizationV1Api(api).create_self_subject_access_review(review).status,
            client.AuthenticationV1Api(api).create_self_subject_review({}).status,
            [token.spec, token.status.token.count(".")],
            groups,
            [one.name for one in client.AppsV1Api(api).get_api_resources().resources],
            client.VersionApi(api).get_code().minor,
        ]

    assert both(scenario)[0] == {"allowed": True}


def test_custom_objects_live_as_their_definition_says(both: Callable[[Scenario], Any]) -> None:
    def scenario(api: client.ApiClient, namespace: str) -> Any:
        extensions, custom = client.ApiextensionsV1Api(api), client.CustomObjectsApi(api)
        where = ("client.example.org", "v1", namespace, "knobs")
        extensions.create_custom_resource_definition(_definition("knobs"))
        try:
            until(lambda: _established(extensions, "knobs"), "the definition")
            body = {"apiVersion": "client.example.org/v1", "kind": "Knob", "metadata": {"name": "k"}, "spec": {"size": 1, "other": 2}}
            until(lambda: _served(custom, where), "the kind to be served")
            seen = [custom.create_namespaced_custom_object(*where, body)]
            seen.append(custom.patch_namespaced_custom_object(*where, "k", {"spec": {"note": "x"}}))
            seen.append(custom.patch_namespaced_custom_object_status(*where, "k", {"status": {"seen": 1}, "spec": {"size": 9}}))
            seen.append(custom.list_namespaced_custom_object(*where)["items"])
            seen.append(_refusal(custom.create_namespaced_custom_object, *where, {**body, "spec": {}}))
            seen.append(custom.delete_namespaced_custom_object(*where, "k"))
        finally:
            extensions.delete_custom_resource_definition("knobs.client.example.org")
        until(lambda: not _served(custom, where), "the kind to go")
        return seen

    seen = both(scenario)
    assert seen[0]["spec"] == {"size": 1} and seen[2]["spec"]["size"] == 1 and seen[2]["status"] == {"seen": 1}


def _established(extensions: client.ApiextensionsV1Api, plural: str) -> bool:
    found = extensions.read_custom_resource_definition(f"{plural}.client.example.org").status.conditions or []
    return any(one.type == "Established" and one.status == "True" for one in found)


def _served(custom: client.CustomObjectsApi, where: tuple[str, str, str, str]) -> bool:
    try:
        custom.list_namespaced_custom_object(*where)
    except client.ApiException as error:
        assert error.status == 404
        return False
    return True


def test_manifests_are_created_from_yaml(both: Callable[[Scenario], Any], tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    listed = {"apiVersion": "v1", "kind": "List", "items": [service, _deployment("web", replicas=0)]}
    file.write_text(yaml.safe_dump_all([_config_map("a", k="1"), listed]))

    def scenario(api: client.ApiClient, namespace: str) -> Any:
        made = utils.create_from_yaml(api, str(file), namespace=namespace)
        with pytest.raises(utils.FailToCreateError) as caught:
            utils.create_from_yaml(api, str(file), namespace=namespace)
        names = [[one.metadata.name for one in group] for group in made]
        return [names, [error.reason for error in caught.value.api_exceptions]]

    assert both(scenario) == [[["a"], ["web", "web"]], ["Conflict"] * 3]


# -- watching -----------------------------------------------------------------------------------------------------------------


def test_a_watch_tells_and_is_resumed(both: Callable[[Scenario], Any]) -> None:
    def scenario(api: client.ApiClient, namespace: str) -> Any:
        core, watching = client.CoreV1Api(api), watch.Watch()
        start = core.list_namespaced_config_map(namespace).metadata.resource_version
        core.create_namespaced_config_map(namespace, _config_map("a", k="1"))
        core.patch_namespaced_config_map("a", namespace, {"data": {"k": "2"}})
        seen, version = [], ""
        for event in watching.stream(core.list_namespaced_config_map, namespace, resource_version=start, label_selector="of=test"):
            seen.append([event["type"], event["object"].data])
            version = event["object"].metadata.resource_version
            if len(seen) == 2:
                watching.stop()
        core.patch_namespaced_config_map("a", namespace, {"metadata": {"labels": {"of": "other"}}})
        core.delete_namespaced_config_map("a", namespace)
        for event in watching.stream(core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=1):
            seen.append([event["type"], event["object"].metadata.labels])
        return seen

    assert [kind for kind, _ in both(scenario)] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]


def test_a_watch_from_a_version_that_is_gone_ends() -> None:
    """On the embedded server alone: a real one that has just begun remembers everything."""
    with Served() as served, config.new_client_from_config_dict(served.kubeconfig) as api:
        _prepare(api, "gone")
        core = client.CoreV1Api(api)
        made = [core.create_namespaced_config_map("gone", _config_map(name)) for name in "ab"]
        first, second = (one.metadata.resource_version for one in made)
        served.forget(int(second))
        with pytest.raises(client.ApiException) as caught:
            for _ in watch.Watch().stream(core.list_namespaced_config_map, "gone", resource_version=first, timeout_seconds=5):
                pass
        assert (caught.value.status, caught.value.reason.partition(":")[0]) == (410, "Expired")


# -- the dynamic client -------------------------------------------------------------------------------------------------------


def test_the_dynamic_client_applies_and_watches(both: Callable[[Scenario], Any], tmp_path: Path) -> None:
    def scenario(api: client.ApiClient, namespace: str) -> Any:
        cluster = dynamic.DynamicClient(api, cache_file=str(tmp_path / f"cache-{id(api)}"))
        maps = cluster.resources.get(api_version="v1", kind="ConfigMap")
        body = _config_map("a", k="1")
        seen = [maps.server_side_apply(body, name="a", namespace=namespace, field_manager="one").to_dict()]
        with pytest.raises(dynamic.exceptions.ConflictError) as caught:
            maps.server_side_apply({**body, "data": {"k": "2"}}, name="a", namespace=namespace, field_manager="two")
        seen.append(json.loads(caught.value.body))
        forced = maps.server_side_apply(
            {**body, "data": {"k": "2"}}, name="a", namespace=namespace, field_manager="two", force_conflicts=True
        )
        seen.append([[one.manager, one.operation] for one in forced.metadata.managedFields])
        watched = maps.watch(namespace=namespace, name="a", timeout=2)
        seen.append([[event["type"], event["object"].data.to_dict()] for event in watched])
        seen.append([one.metadata.name for one in maps.get(namespace=namespace, label_selector="of=test").items])
        seen.append(maps.delete(name="a", namespace=namespace).to_dict())
        with pytest.raises(dynamic.exceptions.NotFoundError):
            maps.get(name="a", namespace=namespace)
        deployments = cluster.resources.get(api_version="apps/v1", kind="Deployment")
        seen.append([deployments.preferred, sorted(deployments.subresources), deployments.short_names, deployments.namespaced])
        return seen

    assert both(scenario)[3] == [["ADDED", {"k": "2"}]]


# -- the asynchronous client --------------------------------------------------------------------------------------------------


def test_the_asynchronous_client_works_and_watches(both_async: Callable[..., Any]) -> None:
    async def scenario(api: aio_client.ApiClient, namespace: str) -> Any:
        core, apps = aio_client.CoreV1Api(api), aio_client.AppsV1Api(api)
        start = (await core.list_namespaced_config_map(namespace)).metadata.resource_version
        names = [f"c{number}" for number in range(10)]
        await asyncio.gather(*(core.create_namespaced_config_map(namespace, _config_map(name)) for name in names))
        told = []
        async with aio_watch.Watch() as watching:
            listing = core.list_namespaced_config_map
            async for event in watching.stream(listing, namespace, resource_version=start, label_selector="of=test"):
                told.append(event["object"].metadata.name)
                if len(told) == len(names):
                    break
        await apps.create_namespaced_deployment(namespace, _deployment("web"))

        async def ready() -> bool:
            return bool((await apps.read_namespaced_deployment("web", namespace)).status.ready_replicas == 2)

        await until_async(ready, "two pods", 20)
        with pytest.raises(aio_client.ApiException) as caught:
            await core.read_namespaced_config_map("nothing", namespace)
        cluster = await aio_dynamic.DynamicClient(api)
        maps = await cluster.resources.get(api_version="v1", kind="ConfigMap")
        applied = await maps.server_side_apply(_config_map("c0", k="1"), name="c0", namespace=namespace, field_manager="one")
        return [sorted(told), caught.value.status, applied.to_dict()["data"]]

    assert both_async(scenario) == [[f"c{number}" for number in range(10)], 404, {"k": "1"}]


# -- leader election ----------------------------------------------------------------------------------------------------------


def test_one_of_two_candidates_leads(both: Callable[[Scenario], Any]) -> None:
    def scenario(api: client.ApiClient, namespace: str) -> Any:
        def candidate(name: str) -> leaderelection.LeaderElection:
            lock = LeaseLock("leader", namespace, name)
            lock.api_instance = client.CoordinationV1Api(api)
            return leaderelection.LeaderElection(electionconfig.Config(lock, 15, 10, 2, lambda: None, lambda: None))

        one, two = candidate("one"), candidate("two")
        steps = [one.try_acquire_or_renew(), two.try_acquire_or_renew(), one.try_acquire_or_renew()]
        lease = client.CoordinationV1Api(api).read_namespaced_lease("leader", namespace)
        return [steps, lease.spec.holder_identity, lease.spec.lease_duration_seconds, lease.spec.renew_time is not None]

    assert both(scenario) == [[True, False, True], "one", 15, True]
