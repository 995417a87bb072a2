"""The real servers that scripts run against: one without controllers, so that nobody else writes, and the shared one with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controlplane.fixtures import RUN_FOLDER, RUN_PID
from tests.controlplane.keep import kept_plane
from tests.controlplane.plane import Access

from .run import install
from .servers import Real


@pytest.fixture(scope="session")
def quiet_server(server_binaries: Path, pytestconfig: pytest.Config) -> Real:
    """An API server without controllers, that has the shared custom kinds."""
    folder, pid = pytestconfig.stash[RUN_FOLDER], pytestconfig.stash[RUN_PID]
    server = Real(kept_plane(server_binaries, folder / "plane-quiet", pid, controllers=False))
    install(server)
    return server


@pytest.fixture(scope="session")
def busy_server(control_plane: Access) -> Real:
    """The API server of the shared plane, with all controllers."""
    server = Real(control_plane)
    install(server)
    return server
