"""Our schemas and type tables, as files of the package.

Law of the module: read from the installed package where they are part of it, else from the checkout beside it; nothing else is ever
looked for, nothing is fetched. They are our own files: one that is missing or broken is a fault of the installation, not of a person.
A schema that says `x-kubernetes-group-version-kind` is that of a manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

Json = dict[str, Any]
GroupVersionKind = tuple[str, str, str]

_PACKAGE = Path(__file__).parent


def folder() -> Path:
    """Where the schemas are."""
    installed = _PACKAGE / "schemas"
    return installed if installed.is_dir() else _PACKAGE.parent / "schemas"


def example() -> Path:
    """Where the example repository is."""
    installed = _PACKAGE / "example-repo"
    return installed if installed.is_dir() else _PACKAGE.parent / "example-repo"


def read(path: str) -> Json:
    """One file, by its path below `folder`."""
    content: Json = msgspec.json.decode((folder() / path).read_bytes())
    return content


@cache
def of_manifests() -> Mapping[GroupVersionKind, Json]:
    """The schemas of all kinds of manifests that have one."""
    found: dict[GroupVersionKind, Json] = {}
    for file in sorted(folder().glob("*/*.json")):
        schema = read(str(file.relative_to(folder())))
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            found[kind["group"], kind["version"], kind["kind"]] = schema
    return found


def of_kubernetes() -> Json:
    """The table of the kinds that Kubernetes brings along (`core.types`)."""
    return read("kubernetes/types.json")
