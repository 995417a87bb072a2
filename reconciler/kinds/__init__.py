"""The kinds: one folder an API family, independent of each other.

Law of the package: pure, like the core. Adding a family adds a folder and one line here, and edits no existing logic.
"""

from reconciler.core.kind import Kind

from .plain import PLAIN
from .symphony import SYMPHONY

KINDS: tuple[Kind, ...] = (PLAIN, SYMPHONY)
"""Every family the daemon knows. Manifests that no family names are plain objects."""
