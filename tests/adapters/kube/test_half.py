"""The asynchronous half alone: what is imported, and that nobody can tell. Each in a process of its own, for it is about imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = "import sys; from reconciler.adapters.kube import half; half.alone(); "


def told(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_does_not_import_the_synchronous_half() -> None:
    code = "import kubernetes.aio.client, kubernetes.aio.config; print([name for name in sys.modules if name.startswith('kubernetes.')])"
    found = told(code)
    assert "'kubernetes.aio.config.kube_config'" in found
    assert "'kubernetes.client'" not in found and "'kubernetes.config'" not in found


@pytest.mark.parametrize(
    "code",
    [
        "import kubernetes; print(kubernetes.client.ApiClient.__module__)",
        "from kubernetes import client; print(client.ApiClient.__module__)",
        "import kubernetes.client; print(kubernetes.client.ApiClient.__module__)",
        "import kubernetes.aio, kubernetes.client as client; print(client.ApiClient.__module__)",
        "import kubernetes.aio, kubernetes; kubernetes.watch.Watch; kubernetes.aio.client.ApiClient; half.alone(); "
        "print(kubernetes.client.ApiClient.__module__)",
    ],
)
def test_the_other_half_is_there_for_whoever_asks(code: str) -> None:
    assert told(code) == "kubernetes.client.api_client"


def test_what_is_not_there_is_not_there() -> None:
    assert told("import kubernetes; print(hasattr(kubernetes, 'nothing'), hasattr(kubernetes, 'nothing'), bool(kubernetes.client))") == (
        "False False True"
    )


def test_a_package_that_was_imported_before_stays_as_it_is() -> None:
    begin = "import kubernetes, sys; before = kubernetes; from reconciler.adapters.kube import half; half.alone(); "
    done = subprocess.run(
        [sys.executable, "-c", begin + "print(sys.modules['kubernetes'] is before)"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "True"
