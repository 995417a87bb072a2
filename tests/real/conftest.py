"""End-to-end tests: everything real. All of them need servers."""

import pytest

from tests.gitserver import git_server
from tests.real.fleet import fleet

__all__ = ["fleet", "git_server"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests below this folder are marked `real`."""
    for item in items:
        if "/tests/real/" in str(item.path):
            item.add_marker(pytest.mark.real)
