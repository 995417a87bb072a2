"""A first install of many small folders, until all of it is healthy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from time import monotonic

from .audit import without_lease
from .measure import Result, Sizes
from .world import NAMESPACE, World, Worlds
from .yardsticks import bare, kubectl_apply

OBJECTS = 4  # of one folder
KINDS = ("namespaces", "serviceaccounts", "services", "deployments", "configmaps")
KUBECTL_APPS = 25


def app(name: str, namespace: str = NAMESPACE) -> str:
    """One small application, in one file."""
    return f"""apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: web, image: 'shop:1.0'}}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: {namespace}}}
data: {{v: '1'}}
"""


def namespace(name: str = NAMESPACE) -> str:
    """Where they live."""
    return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"


def install(worlds: Worlds, sizes: Sizes, profile: Path | None) -> Result:
    """A first install of folders with four objects each, until all is healthy."""
    worlds.release()
    objects = sizes.apps * OBJECTS + 1
    result = Result("install", f"{sizes.apps} folders of ServiceAccount, Service, Deployment and ConfigMap, from start to healthy")
    seconds, cpu, requests, memory, by_bare, by_bare_cpu = [], [], [], [], [], []
    looks, ours = [], []
    for number in range(sizes.installs):
        worlds.say(f"install {number + 1} of {sizes.installs}")
        with worlds.empty(controllers=True) as world:
            apps = {f"apps/a{i}/all.yaml": app(f"app-{i}") for i in range(sizes.apps)}
            first = world.commit({"base/namespace.yaml": namespace(), **apps})
            daemon = world.daemon()
            with daemon.profiled(profile if number == 0 else None):
                counts = daemon.wait_live(first, writes=objects)
                seconds.append(monotonic() - daemon.started_at)
                cpu.append(daemon.cpu() / objects * 1000)
            asked = world.plane.asked()
            requests.append((without_lease(asked) - _lists(asked)) / objects)
            memory.append(daemon.memory("VmHWM") / 1e6)
            result.counts["requests at the API server"] = dict(asked.most_common())
            result.counts["the daemon's own counts"] = {what: n for what, n in counts.items() if type(n) is int and what != "answer"}
            looks.append(float(max(asked[f"list {kind}"] for kind in KINDS)))
            ours.append(float(max(asked[f"list our {kind}"] for kind in KINDS)))
            daemon.stop()
            found = bare(world, [namespace("bare"), *(app(f"app-{i}", "bare") for i in range(sizes.apps))])
            by_bare.append(found["seconds"])
            by_bare_cpu.append(found["cpu"] / objects * 1000)
            if number == 0:
                _kubectl(result, world, min(KUBECTL_APPS, sizes.apps))
    result.add("start of the process to all healthy", "s", seconds, goal=25)
    result.add("requests an object, lists and the Lease left out", "", requests, goal=1.2)
    result.add("lists of all of a kind before the first apply, of the kind with most", "", looks, goal=1)
    result.add("lists by label of a kind, to watch on from and for the marker", "", ours)
    result.add("processor time of the daemon an object, its start included", "ms", cpu, goal=5)
    result.add("most resident memory", "MB", memory)
    result.add("yardstick: bare patches of the same, as many at once", "s", by_bare)
    result.add("yardstick: processor time of that an object", "ms", by_bare_cpu)
    result.ratio("start to healthy / bare patches", seconds, by_bare)
    result.ratio("processor time / bare patches", cpu, by_bare_cpu)
    return result


def _lists(asked: Counter[str]) -> int:
    return sum(count for word, count in asked.items() if word.startswith("list "))


def _kubectl(result: Result, world: World, apps: int) -> None:
    """kubectl asks one after the other, so a part of it says enough."""
    file = world.folder / "kubectl.yaml"
    file.write_text("---\n".join([namespace("kubectl"), *(app(f"app-{i}", "kubectl") for i in range(apps))]))
    seconds, cpu = kubectl_apply(world, file)
    count = apps * OBJECTS + 1
    result.add(f"yardstick: kubectl apply --server-side an object, of {count}", "ms", seconds / count * 1000)
    result.add("yardstick: processor time of that an object", "ms", cpu / count * 1000)

