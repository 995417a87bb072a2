"""Symphony: instances, solutions and targets as Eclipse Symphony reads them. One family, pure like every kind.

Roots are Instances, and Targets that have components of their own; all else is read by them. README.md beside this module has the state
table.
"""

from __future__ import annotations

from reconciler.core.identity import Instant
from reconciler.core.kind import Kind, Plan, Spec
from reconciler.core.view import View

from . import checks, hosts, instances, status, turns
from .model import (
    CATALOG,
    CATALOG_CONTAINER,
    CATALOG_VERSION,
    DEVICE,
    INSTANCE,
    INSTANCE_HISTORY,
    SOLUTION,
    SOLUTION_CONTAINER,
    SOLUTION_VERSION,
    TARGET,
)

__all__ = ["SYMPHONY"]


def _plan(spec: Spec, view: View, now: Instant) -> Plan:
    plan = instances.plan if spec.key.kind == INSTANCE.kind else hosts.plan
    return plan(spec, view, now)


SYMPHONY = Kind(
    name="symphony",
    plan=_plan,
    roots=(INSTANCE, TARGET),
    references=(SOLUTION, SOLUTION_VERSION, SOLUTION_CONTAINER, INSTANCE_HISTORY, DEVICE, CATALOG, CATALOG_CONTAINER, CATALOG_VERSION),
    is_root=lambda manifest: manifest.kind == INSTANCE.kind or hosts.has_components(manifest),
    status=status.status,
    tables=status.TABLES,
    turns=turns.turns,
    check=checks.check,
)
