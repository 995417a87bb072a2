"""LimitRanges: what containers get that ask for nothing, and what pods and claims may ask for.

Law of the module: defaults are filled in before rules are checked, limits judged after; only at creation. Order and sentences are those of
kube-apiserver 1.36 (plugin/pkg/admission/limitranger).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.lib import quantity

from .errors import ApiError, forbidden
from .resources import Resource, Storage
from .store import Json, Store

_LIMITS = Storage("", "limitranges")
_NOTE = "kubernetes.io/limit-ranger"
_PARTS = (("containers", "container"), ("initContainers", "init container"))
_ASKED, _MOST = "requests", "limits"


def fill(store: Store, pod: Json) -> None:
    """Give the containers of a new pod what they left open; a note on the pod says so."""
    told: list[str] = []
    for item in _items(store, pod["metadata"]["namespace"]):
        if item.get("type") != "Container":
            continue
        for part, word in _PARTS:
            for container in pod["spec"].get(part) or ():
                for field, source, name in ((_ASKED, "defaultRequest", "request"), (_MOST, "default", "limit")):
                    if added := _filled(container, field, item.get(source) or {}):
                        told.append(f"{', '.join(added)} {name} for {word} {container['name']}")
    if told:
        annotations = pod["metadata"].get("annotations") or {}
        pod["metadata"]["annotations"] = {**annotations, _NOTE: "LimitRanger plugin set: " + "; ".join(told)}


def _filled(container: Json, field: str, wanted: Json) -> list[str]:
    have = (container.get("resources") or {}).get(field) or {}
    added = sorted(name for name in wanted if name not in have)
    if added:
        full = {**have, **{name: wanted[name] for name in added}}
        container["resources"] = {**(container.get("resources") or {}), field: full}
    return added


def refusal(store: Store, resource: Resource, obj: Json) -> ApiError | None:
    """The refusal of a new object that asks for too much or too little."""
    if resource.group or resource.kind not in ("Pod", "PersistentVolumeClaim"):
        return None
    judge = _pod if resource.kind == "Pod" else _claim
    found = [text for item in _items(store, obj["metadata"]["namespace"]) for text in judge(item, obj["spec"])]
    if not found:
        return None
    words = dict.fromkeys(found)
    text = f"[{', '.join(words)}]" if len(words) > 1 else found[0]
    return forbidden("", resource.plural, obj["metadata"].get("name", ""), text)


def _items(store: Store, namespace: str) -> Iterator[Json]:
    for entry in store.entries(_LIMITS, namespace):
        yield from entry.obj["spec"].get("limits") or ()


def _claim(item: Json, spec: Json) -> Iterator[str]:
    if item.get("type") == "PersistentVolumeClaim":
        asked = (spec.get("resources") or {}).get(_ASKED) or {}
        yield from _too_little(item, asked, {})
        for name, most in _sorted(item.get("max")):
            if _more(asked.get(name), most):
                yield f"maximum {name} usage per PersistentVolumeClaim is {most}, but request is {asked[name]}"


def _pod(item: Json, spec: Json) -> Iterator[str]:
    match item.get("type"):
        case "Container":
            for part, _ in _PARTS:
                for container in spec.get(part) or ():
                    yield from _judged(item, container.get("resources") or {})
        case "Pod":
            yield from _judged(item, {_ASKED: pod_total(spec, _ASKED), _MOST: pod_total(spec, _MOST)})


def _judged(item: Json, resources: Json) -> Iterator[str]:
    asked, most = resources.get(_ASKED) or {}, resources.get(_MOST) or {}
    yield from _too_little(item, asked, most)
    yield from _too_much(item, asked, most)
    yield from _too_far(item, asked, most)


def _too_little(item: Json, asked: Json, most: Json) -> Iterator[str]:
    for name, least in _sorted(item.get("min")):
        head = f"minimum {name} usage per {item['type']} is {least}"
        if name not in asked:
            yield f"{head}.  No request is specified"
        elif _more(least, asked[name]):
            yield f"{head}, but request is {asked[name]}"
        elif _more(least, most.get(name)):
            yield f"{head}, but limit is {most[name]}"


def _too_much(item: Json, asked: Json, most: Json) -> Iterator[str]:
    for name, limit in _sorted(item.get("max")):
        head = f"maximum {name} usage per {item['type']} is {limit}"
        if name not in most:
            yield f"{head}.  No limit is specified"
        elif _more(most[name], limit):
            yield f"{head}, but limit is {most[name]}"
        elif _more(asked.get(name), limit):
            yield f"{head}, but request is {asked[name]}"


def _too_far(item: Json, asked: Json, most: Json) -> Iterator[str]:
    for name, ratio in _sorted(item.get("maxLimitRequestRatio")):
        head = f"{name} max limit to request ratio per {item['type']} is {ratio}, but"
        if name not in asked or not quantity.parse(asked[name]).nanos:
            yield f"{head} no request is specified or request is 0"
        elif name not in most or not quantity.parse(most[name]).nanos:
            yield f"{head} no limit is specified or limit is 0"
        elif (have := quantity.parse(most[name]).nanos / quantity.parse(asked[name]).nanos) > quantity.parse(ratio).nanos / 10**9:
            yield f"{head} provided ratio is {have:f}"


def _sorted(limits: Json | None) -> Iterable[tuple[str, str]]:
    return sorted((limits or {}).items())


def _more(left: str | None, right: str | None) -> bool:
    return left is not None and right is not None and quantity.parse(left).nanos > quantity.parse(right).nanos


def pod_total(spec: Json, field: str) -> dict[str, str]:
    """What a pod asks for, or may use at most (`requests`, `limits`): its containers together, or one before them if that is more."""
    sums: dict[str, str] = {}
    for container in spec.get("containers") or ():
        for name, value in ((container.get("resources") or {}).get(field) or {}).items():
            sums[name] = quantity.total((sums[name], value)) if name in sums else value
    for container in spec.get("initContainers") or ():
        for name, value in ((container.get("resources") or {}).get(field) or {}).items():
            if name not in sums or _more(value, sums[name]):
                sums[name] = value
    return sums
