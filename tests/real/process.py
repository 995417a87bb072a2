"""A daemon in a process of its own, to be killed: `python -m tests.real.process SETTINGS`, SETTINGS being JSON.

The same parts as `tests.daemon`, with the example kind beside the real ones; it runs until it is killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from reconciler.kinds import KINDS
from tests.daemon import Daemon
from tests.kinds import steps
from tests.real.fleet import Fleet


def start(fleet: Fleet, log: Path) -> subprocess.Popen[bytes]:
    """Start a daemon over both clusters of a fleet."""
    settings = {
        "url": fleet.url,
        "clusters": {"eu": fleet.eu.kubeconfig, "us": fleet.us.kubeconfig},
        "folder": str(fleet.folder),
        "store": fleet.store,
    }
    with log.open("ab") as out:
        return subprocess.Popen([sys.executable, "-m", "tests.real.process", json.dumps(settings)], stderr=out)


def main(settings: dict[str, Any]) -> None:
    """Run until killed."""
    folder = Path(settings.pop("folder"))
    url, clusters = settings.pop("url"), settings.pop("clusters")
    with Daemon(url, clusters, folder, kinds=(*KINDS, steps.KIND), **settings):
        threading.Event().wait()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
