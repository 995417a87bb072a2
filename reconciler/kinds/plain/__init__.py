"""Plain objects: a folder is a unit, its objects are wanted as they are written."""

from reconciler.core.kind import Kind

from .plan import plan

PLAIN = Kind(name="plain", plan=plan)
