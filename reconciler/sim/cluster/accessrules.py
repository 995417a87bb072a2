"""Rules of roles and of their bindings.

Law of the module: pure; one function a kind, which `rules` lists. Paths, order and sentences are those of kube-apiserver 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import metadata
from .errors import Cause, invalid_value, required, unsupported
from .store import Json

_GROUP = "rbac.authorization.k8s.io"


def role(obj: Json) -> Iterator[Cause]:
    """What is wrong with a Role."""
    for at, rule in enumerate(obj.get("rules") or ()):
        yield from _rule(rule, f"rules[{at}]", namespaced=True)


def cluster_role(obj: Json) -> Iterator[Cause]:
    """What is wrong with a ClusterRole."""
    for at, rule in enumerate(obj.get("rules") or ()):
        yield from _rule(rule, f"rules[{at}]", namespaced=False)


def _rule(rule: Json, path: str, *, namespaced: bool) -> Iterator[Cause]:
    if not rule.get("verbs"):
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    places = rule.get("nonResourceURLs")
    if places:
        if namespaced:
            yield invalid_value(f"{path}.nonResourceURLs", places, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid_value(f"{path}.nonResourceURLs", places, text)
        return
    if not rule.get("apiGroups"):
        yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{path}.resources", "resource rules must supply at least one resource")


def role_binding(obj: Json) -> Iterator[Cause]:
    """What is wrong with a RoleBinding."""
    yield from _binding(obj, ("Role", "ClusterRole"))


def cluster_role_binding(obj: Json) -> Iterator[Cause]:
    """What is wrong with a ClusterRoleBinding."""
    yield from _binding(obj, ("ClusterRole",))


def _binding(obj: Json, kinds: tuple[str, ...]) -> Iterator[Cause]:
    ref = obj.get("roleRef") or {}
    if ref.get("apiGroup") != _GROUP:
        yield unsupported("roleRef.apiGroup", ref.get("apiGroup", ""), (_GROUP,))
    if ref.get("kind") not in kinds:
        yield unsupported("roleRef.kind", ref.get("kind", ""), kinds)
    name = ref.get("name", "")
    if not name:
        yield required("roleRef.name")
    yield from (invalid_value("roleRef.name", name, text) for text in metadata.path_words(name))
    for at, subject in enumerate(obj.get("subjects") or ()):
        yield from _subject(subject, f"subjects[{at}]", namespaced=len(kinds) > 1)


def _subject(subject: Json, path: str, *, namespaced: bool) -> Iterator[Cause]:
    kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        yield required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            yield from (invalid_value(f"{path}.name", name, text) for text in metadata.subdomain_words(name))
        if group:
            yield unsupported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            yield required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if group != _GROUP:
            yield unsupported(f"{path}.apiGroup", group, (_GROUP,))
    else:
        yield unsupported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))


def binding_update(obj: Json, old: Json) -> Iterator[Cause]:
    """Whether a binding would change its role."""
    ref = obj.get("roleRef") or {}
    if ref != old.get("roleRef"):
        shown = {"APIGroup": ref.get("apiGroup", ""), "Kind": ref.get("kind", ""), "Name": ref.get("name", "")}
        yield invalid_value("roleRef", shown, "cannot change roleRef")
