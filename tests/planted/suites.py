"""The suites that are to catch bugs, in order of cost: the one place that says what is run.

Law of the module: a suite is a folder or several of ordinary tests; one that is not in the tree is not run. Limits are in seconds
for one whole suite, generous, so that a busy machine is not taken for a test that noticed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Suite:
    """Some tests."""

    name: str
    paths: tuple[str, ...]
    options: tuple[str, ...] = ()
    limit_seconds: float = 900.0

    def there(self, tree: Path) -> tuple[str, ...]:
        """Its paths that exist."""
        return tuple(path for path in self.paths if (tree / path).exists())

    def commands(self, tree: Path, hint: str = "") -> list[list[str]]:
        """The command lines, in order: what the hint names alone, for it is quick, and then all. The first failure ends each."""
        paths = self.there(tree)
        first = [path for path in hint.split() if any(path.startswith(suite) for suite in paths) and (tree / path).exists()]
        quiet = ("-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=no", "--timeout=120")
        return [[sys.executable, "-m", "pytest", *quiet, *self.options, *chosen] for chosen in (first, paths) if chosen]


_UNIT = ("tests/core", "tests/adapters", "tests/kinds", "tests/lib", "tests/test_shell.py", "tests/test_loop.py")

SUITES = (
    Suite("unit", _UNIT, ("-m", "not real")),
    Suite("sim", ("tests/sim/world/test_swarm.py", "tests/sim/world/test_stages.py"), (), 1800.0),
    Suite("sweep", ("tests/sim/world/test_sweep.py",), (), 1800.0),
    Suite("real", ("tests/real", "tests/adapters/kube"), ("-m", "real"), 1800.0),
)
