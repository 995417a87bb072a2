"""Rules of kinds, asked at creation and update."""

from __future__ import annotations

from .errors import Cause
from .resources import Catalogue, Resource
from .store import Json


def create_causes(catalogue: Catalogue, resource: Resource, obj: Json) -> list[Cause]:
    return []


def update_causes(catalogue: Catalogue, resource: Resource, obj: Json, old: Json, part: str) -> list[Cause]:
    return []


def needs_version(resource: Resource) -> bool:
    """Whether a PUT must name the version that it replaces."""
    return resource.custom
