"""Helm charts of a simulated world: a table, so that the same seed gives the same objects.

Law of the module: an answer is a function of the table and the request. Nobody has a chart that was not published.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from reconciler.core.messages import Chart, ChartFailure, ChartObjects

Objects = Callable[[Chart], list[dict[str, Any]]]


class Charts:
    """What chart repositories have: by address, the versions of a chart in the order in which they came."""

    def __init__(self) -> None:
        self._published: dict[tuple[str, str], dict[str, Objects]] = {}

    def publish(self, repo: str, name: str, version: str, objects: Objects) -> None:
        """A new version of a chart."""
        self._published.setdefault((repo, name), {})[version] = objects

    def answer(self, chart: Chart) -> ChartObjects | ChartFailure:
        """A chart's objects: of its version, or where it is no version that is there, of the last."""
        versions = self._published.get((chart.repo, chart.name))
        if versions is None:
            return ChartFailure(f"there is no chart {chart.name}", permanent=True)
        version = chart.version if chart.version in versions else next(reversed(versions))
        return ChartObjects(version, msgspec.json.encode(versions[version](chart)))
