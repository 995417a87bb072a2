"""Helm charts: rendered by whoever the operator lets do it, which is not us (Symphony's `providers.target.helm`).

Law of the module: a chart names its release after the component. Its objects are treated as those of `yaml.k8s` are. `wait` and
`timeout` are about an installer that waits; waves wait here, so they change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.kinds.symphony.components.drafts import Draft
from reconciler.kinds.symphony.components.fields import DEPTH, Field, Part, reveal, too_deep
from reconciler.kinds.symphony.components.site import Hidden, Release, Site
from reconciler.kinds.symphony.components.yaml_k8s import objects

CHART = ("repo", "name", "version", "wait", "timeout")


def chart(part: Part, site: Site) -> list[Draft]:
    """The objects of one component's chart."""
    about = part.property("chart").structure(dict)
    values = part.property("values").structure(dict)
    if about is None:
        if part.property("chart").absent:
            part.faults.add((*part.component.pointer, "properties"), "chart is missing")
        return []
    part.slips(about.value, CHART, "properties", "chart")
    words = {key: about.below(key).text() for key in ("repo", "name", "version") if key in about.value}
    if not words.get("repo") and not words.get("name"):
        about.wrong("has neither a repo nor a name")
    if part.faults.failed:
        return []
    if site.helm is None:
        about.wrong(
            "needs helm, and this daemon was given none: render the chart into a file of the repository (helm template),"
            " and let a component of type yaml.k8s name that file"
        )
        return []
    release = Release(
        part.component.name,
        site.placement.namespace,
        words.get("repo", ""),
        words.get("name", ""),
        words.get("version", ""),
        reveal(values.value)[0] if values is not None else {},
    )
    secrets = [text for text in _texts(values.value if values is not None else None) if isinstance(text, Hidden) and text]
    made = site.helm(release)
    if isinstance(made, str):
        why = "(the reason shows a secret)" if any(secret in made for secret in secrets) else made
        about.wrong(f"cannot be rendered: {why}")
        return []
    if too_deep([*made]):
        about.wrong(f"makes objects nested more than {DEPTH} deep")
        return []
    made = [_hiding(item, secrets) for item in made] if secrets else [*made]
    return objects(Field(made, about.name, about.pointer, about.faults, in_text=True), site)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _hiding(value: Any, secrets: list[Hidden]) -> Any:
    """What was rendered, its texts hidden where a secret value went into them."""
    if isinstance(value, dict):
        return {key: _hiding(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_hiding(item, secrets) for item in value]
    return Hidden(value) if isinstance(value, str) and any(secret in value for secret in secrets) else value
