"""What happened to objects, as the API server tells it: every creation, change and deletion, by a real kubectl's watch."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.controlplane.plane import Access


class Events:
    """The events of one kind in one namespace, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def count(self, type: str) -> dict[str, int]:
        """How often each object was ADDED or DELETED."""
        found: dict[str, int] = {}
        for event, object in list(self.seen):
            if event == type:
                name = object["metadata"]["name"]
                found[name] = found.get(name, 0) + 1
        return found

    def values(self, name: str, key: str) -> list[str]:
        """The values that one key of a ConfigMap has had, each as often as it was set anew."""
        found: list[str] = []
        for event, object in list(self.seen):
            value = object.get("data", {}).get(key) if event != "DELETED" and object["metadata"]["name"] == name else None
            if value is not None and found[-1:] != [value]:
                found.append(value)
        return found


@contextmanager
def watching(cluster: Access, kind: str, namespace: str) -> Iterator[Events]:
    """Note all events of a kind from now on."""
    command = [cluster.kubectl_path, "--kubeconfig", cluster.kubeconfig_path, "get", kind, "-n", namespace]
    events = Events()
    with subprocess.Popen([*command, "--watch", "--output-watch-events", "-o", "json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, events), daemon=True)
        reader.start()
        try:
            yield events
        finally:
            process.terminate()
            reader.join(10)


def _read(stream: Any, events: Events) -> None:
    for line in stream:  # one document a line
        event = json.loads(line)
        events.seen.append((event["type"], event["object"]))
