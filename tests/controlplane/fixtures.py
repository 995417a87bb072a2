"""Fixtures for tests that need real Kubernetes: mark them `real`.

Law of the module: planes are shared by all workers of a run and live until it ends, so tests keep to namespaces of their own and
leave shared servers alone. A test that stops or breaks servers takes `own_plane`.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from .build import HELM, BuildError, NoServersError, built, program, servers
from .keep import kept_plane
from .plane import Access, ControlPlane

RUN_FOLDER = pytest.StashKey[Path]()
RUN_PID = pytest.StashKey[int]()

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_binaries() -> Path:
    """The folder of built servers; skips where they cannot be had, fails where building them failed."""
    try:
        return servers(print)  # built before the workers started, unless only this test knows that it needs them
    except NoServersError as error:
        pytest.skip(str(error))
    except BuildError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def control_planes(server_binaries: Path, pytestconfig: pytest.Config) -> Callable[[int], list[Access]]:
    """Ask for so many full control planes; the first is that of `control_plane`."""
    folder, pid = pytestconfig.stash[RUN_FOLDER], pytestconfig.stash[RUN_PID]

    def planes(count: int) -> list[Access]:
        with ThreadPoolExecutor(count) as starting:
            return [*starting.map(lambda i: kept_plane(server_binaries, folder / f"plane-{i + 1}", pid), range(count))]

    return planes


@pytest.fixture(scope="session")
def control_plane(control_planes: Callable[[int], list[Access]]) -> Access:
    """A full control plane: API server, controllers, scheduler, and kwok with two nodes."""
    return control_planes(1)[0]


@pytest.fixture(scope="session")
def kubectl(server_binaries: Path) -> str:
    """The path of the real `kubectl`."""
    return program(server_binaries, "kubectl")


@pytest.fixture(scope="session")
def helm() -> Path:
    """The real `helm`; skips where it cannot be had, fails where building it failed."""
    try:
        return built(HELM, print) / "helm"
    except NoServersError as error:
        pytest.skip(str(error))
    except BuildError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def namespace(control_plane: Access) -> Iterator[str]:
    """A namespace on `control_plane` for this test alone."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    status, answer = control_plane.request("POST", "/api/v1/namespaces", manifest)
    assert status == 201, answer
    yield name
    control_plane.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def own_plane(server_binaries: Path, pytestconfig: pytest.Config) -> Iterator[Callable[..., ControlPlane]]:
    """Start a plane for this test alone, which it may break: `own_plane(controllers=False)`."""
    with ExitStack() as planes:

        def start(*, controllers: bool = False) -> ControlPlane:
            folder = Path(tempfile.mkdtemp(prefix="own-", dir=pytestconfig.stash[RUN_FOLDER]))
            plane = ControlPlane(server_binaries, folder, controllers=controllers)
            planes.enter_context(plane)
            return plane

        yield start
