"""Helm charts: rendered by the operator's `helm`, then objects as those of `yaml.k8s` are (Symphony's `providers.target.helm`).

Law of the module: a chart comes from an address that the operator allows, and names its release after the component. Nothing of it runs: of
hooks it is said that they are left out, `wait` and `timeout` are about an installer that waits, and waves wait here. What Helm would keep
(`helm.sh/resource-policy`) is never pruned. Where a value is secret, every object is, and nothing is shown of what is wrong with one.

Forms of an address, as upstream has them: `repo` (https) and `name`; `repo` alone, which is the chart's own (oci://…, with or without the
scheme, or a .tgz file); ours: `name` alone as such, or below an oci:// `repo`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from reconciler.core.messages import Chart, ChartFailure
from reconciler.core.problem import Pointer, Severity, listed
from reconciler.core.wanted import PRUNE
from reconciler.kinds.symphony.components.drafts import Draft
from reconciler.kinds.symphony.components.fields import DEPTH, Faults, Field, Part, as_text, called, reveal, shown, too_deep
from reconciler.kinds.symphony.components.site import Hidden, Site, Whose
from reconciler.kinds.symphony.components.yaml_k8s import objects
from reconciler.lib.urls import allowed, is_plain

ADDRESS = "address such as https://charts.example.org: in plain letters, no user, no query"
CHART = ("repo", "name", "version", "wait", "timeout")
RELEASE_CHARACTERS = 53  # helm.sh/docs/chart_best_practices, and Helm refuses more
HOOKS_NAMED = 5
TELLING_CHARACTERS = 8
"""A secret of so many stands in the name of an object by no accident."""

HOOK, POLICY = "helm.sh/hook", "helm.sh/resource-policy"

_RELEASE = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", re.ASCII)
_VERSION = re.compile(r"[0-9A-Za-z^~<>=*][0-9A-Za-z^~<>=|*., +-]{0,99}", re.ASCII)
_EXACT = re.compile(r"v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", re.ASCII)


def chart(part: Part, site: Site) -> list[Draft]:
    """The objects of one component's chart."""
    about = part.property("chart").structure(dict)
    values = part.property("values").structure(dict)
    if about is None:
        if part.property("chart").absent:
            part.faults.add((*part.component.pointer, "properties"), "chart is missing")
        return []
    if not about.secret:
        part.slips(about.value, CHART, "properties", "chart")
    asked = _asked(part, about, values, site)
    if asked is None or part.faults.failed:
        return []
    if site.chart is None:
        about.wrong(
            "needs helm, and this daemon was given none: render the chart into a file of the repository (helm template),"
            " and let a component of type yaml.k8s name that file"
        )
        return []
    if not allowed(asked.repo or asked.name, site.allowed_urls):
        listing = f"those that are begin with {listed(site.allowed_urls)}" if site.allowed_urls else "no addresses are"
        about.wrong(f"comes from {shown(asked.repo or asked.name)}, which the operator does not allow; {listing}")
        return []
    found = site.chart(asked)
    if isinstance(found, ChartFailure):
        about.wrong(f"cannot be rendered: {found.message}")
        return []
    if not asked.name.endswith(".tgz") and not is_exact(asked.version):
        text = f"{found.version} was taken when it was first asked for, and stays until another is named"
        about.wrong(f"has no exact version; {text}", "warning")
    if found.varies:
        text = "comes out differently each time (something random, or the time), so also after a restart; say in values what it draws"
        about.wrong(text, "warning")
    return _objects(about, msgspec.json.decode(found.json), [*_secrets(values.value, whole=values.secret)] if values else [], site)


def is_exact(version: str) -> bool:
    """Whether it is one version, whenever it is asked for."""
    return _EXACT.fullmatch(version) is not None


def _asked(part: Part, about: Field, values: Field | None, site: Site) -> Chart | None:
    """What to ask for; None where it is told why that cannot be."""
    words = {key: about.below(key) for key in ("repo", "name", "version") if key in about.value}
    repo, name, version = (words[key].text() if key in words else "" for key in ("repo", "name", "version"))
    if part.faults.failed:
        return None
    if any(isinstance(text, Hidden) for text in (repo, name, version)):
        about.wrong("takes its address from a secret, which must be in values alone")
        return None
    address = _address(about, repo, name)
    if address is None:
        return None
    if version and not _VERSION.fullmatch(version):
        words["version"].must("a version such as 1.2.3, or a range of them")
    release = part.component.name
    if not _RELEASE.fullmatch(release) or len(release) > RELEASE_CHARACTERS or ".." in release:
        must = f"lower-case letters, digits, - and ., at most {RELEASE_CHARACTERS}: it names the release"
        part.name.must(must)
    plain, hidden = reveal(values.value) if values else ({}, ())
    json = msgspec.json.encode(plain, order="deterministic")
    return Chart(*address, version, release, site.placement.namespace, json, secret=bool(hidden) or (values is not None and values.secret))


def _address(about: Field, repo: str, name: str) -> tuple[str, str] | None:
    """The repository, and the chart in it; "" and its own address where it has one."""
    if not repo and not name:
        about.wrong("has neither a repo nor a name")
    elif not repo and "://" not in name:
        about.wrong(
            "has a name and no repo; a chart that is in this repository must be rendered into a file there (helm template), which a"
            " component of type yaml.k8s names"
        )
    elif repo and not name and repo.startswith(("https://", "http://")) and not repo.endswith(".tgz"):
        about.wrong("has a repo and no name: which of its charts?")
    elif repo and name and not _NAME.fullmatch(name):
        about.below("name").must("the name of a chart")
    else:
        url = repo or name if not repo or "://" in repo else f"oci://{repo}"
        if not is_plain(url):
            about.below("repo" if repo else "name").wrong(f"is no {ADDRESS}")
        elif repo and name and not url.startswith("oci://"):
            return url, name
        else:
            return "", f"{url.rstrip('/')}/{name}" if repo and name else url
    return None


# -- what came of it ----------


class _Quiet(Faults):
    """Tells that something is wrong with an object, and not what."""

    def __init__(self, above: Faults) -> None:
        super().__init__()
        self._above = above

    def add(self, pointer: Pointer, message: str, whose: Whose = "solution", severity: Severity = "error") -> None:  # noqa: ARG002
        """Pass on that there is something."""
        said = "cannot be applied" if severity == "error" else "says what is left out"
        self._above.add(pointer, f"chart makes an object that {said}; which, is not shown, since its values hold a secret", whose, severity)
        self.failed = self._above.failed


def _objects(about: Field, made: list[Any], secrets: list[str], site: Site) -> list[Draft]:
    if too_deep(made):
        about.wrong(f"makes objects nested more than {DEPTH} deep")
        return []
    hooks = [item for item in made if _note(item, HOOK) and not _note(item, HOOK).startswith("test")]
    if hooks:
        names = "" if secrets else f": {listed([_called(item) for item in hooks[:HOOKS_NAMED]])}"
        about.wrong(f"has {len(hooks)} hook{'s' if len(hooks) > 1 else ''}, which nothing runs here; left out{names}", "warning")
    kept: list[Any] = [item for item in made if not _note(item, HOOK)]
    for item in kept:
        if _note(item, POLICY) == "keep":
            item["metadata"]["annotations"][PRUNE] = "disabled"
    if not secrets:
        return objects(Field(kept, about.name, about.pointer, about.faults, in_text=True), site)
    telling = [secret for secret in secrets if len(secret) >= TELLING_CHARACTERS]
    return objects(Field(_hiding(kept, telling), about.name, about.pointer, _Quiet(about.faults), in_text=True, secret=True), site)


def _note(item: Any, key: str) -> str:
    """An annotation of what may be an object."""
    about = item.get("metadata") if isinstance(item, dict) else None
    notes = about.get("annotations") if isinstance(about, dict) else None
    text = notes.get(key) if isinstance(notes, dict) else None
    return text if isinstance(text, str) else ""


def _called(item: Any) -> str:
    return "/".join(called(text if isinstance(text, str) else "?") for text in (item.get("kind"), item["metadata"].get("name")))


def _secrets(value: Any, *, whole: bool) -> Iterator[str]:
    """The texts of values that are secret; where they are a secret as a `whole`, keys and numbers are."""
    if isinstance(value, dict | list):
        yield from map(str, value if whole and isinstance(value, dict) else ())
        for item in value.values() if isinstance(value, dict) else value:
            yield from _secrets(item, whole=whole)
    elif isinstance(value, Hidden) or whole:
        yield as_text(value)


def _hiding(value: Any, secrets: list[str]) -> Any:
    """What was rendered, its texts hidden where a secret value went into them: what names an object may not."""
    if isinstance(value, dict):
        return {key: _hiding(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_hiding(item, secrets) for item in value]
    return Hidden(value) if isinstance(value, str) and any(secret in value for secret in secrets) else value
