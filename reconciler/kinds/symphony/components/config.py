"""Configuration: a ConfigMap named after the component, its properties as data (Symphony's `providers.target.configmap`).

Law of the module: what is no text becomes JSON text, keys in order, so that the same value is the same text.
"""

from __future__ import annotations

import re

from reconciler.core.names import DNS_WORDS, is_subdomain
from reconciler.kinds.symphony.components.drafts import Draft
from reconciler.kinds.symphony.components.fields import Part, as_text

CHARACTERS = 1 << 20  # of all data: what the API server takes (core.v1 MaxSecretSize)

_KEY = re.compile(r"(?!\.\.)(?!\.$)[-._a-zA-Z0-9]{1,253}")


def config_map(part: Part, namespace: str) -> list[Draft]:
    """The ConfigMap of one component."""
    if not is_subdomain(part.component.name):
        part.name.must(DNS_WORDS.removeprefix("must be ") + " (it names a ConfigMap)")
    data, size = {}, 0
    for key, value in part.properties.items():
        if not _KEY.fullmatch(key):
            part.property(key).wrong("is no key of a ConfigMap: it must be letters, digits, -, _ and ., at most 253")
        data[key] = as_text(value) if value is not None else "null"
        size += len(data[key].encode("utf-8", "surrogatepass"))
    if size > CHARACTERS:
        part.name.faults.add((*part.component.pointer, "properties"), f"properties have {size} bytes, may have {CHARACTERS}")
    about = {"name": part.component.name, "namespace": namespace}
    return [Draft({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}, ())]
