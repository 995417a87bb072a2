"""A control plane that writes down what the daemon asks of it.

Law of the module: the API server counts, by its audit log (level Metadata, the daemon's user alone), so nothing that the daemon does can
be missed, and nothing that controllers or the benchmark do is counted.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.controlplane.plane import Access, ControlPlane

USER = "daemon"
POLICY = f"""apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {{level: Metadata, users: [{USER}]}}
  - {{level: None}}
"""


class AuditedPlane(ControlPlane):
    """A control plane with a user for the daemon, whose every request is written down."""

    def __init__(self, binaries: Path, folder: Path, *, controllers: bool) -> None:
        super().__init__(binaries, folder, controllers=controllers)
        self._token = secrets.token_hex(16)

    @property
    def daemon(self) -> Access:
        """The access that the daemon is given."""
        assert self.access is not None
        return replace(self.access, token=self._token)

    def _write_files(self, *urls: str) -> Access:
        access = super()._write_files(*urls)
        (self.folder / "audit.yaml").write_text(POLICY)
        with (self.folder / "tokens.csv").open("a") as users:
            users.write(f"{self._token},{USER},{USER},system:masters\n")
        return access

    def _launch(self, name: str, arguments: list[str]) -> None:
        if name == "kube-apiserver" and name not in self._commands:
            arguments = [*arguments, "--audit-policy-file=audit.yaml", "--audit-log-path=audit.log", "--audit-log-maxsize=2000"]
        super()._launch(name, arguments)

    def mark(self) -> int:
        """Here, in the log."""
        log = self.folder / "audit.log"
        return log.stat().st_size if log.exists() else 0

    def lines(self) -> int:
        """How many requests have been answered so far."""
        log = self.folder / "audit.log"
        return log.read_bytes().count(b"\n") if log.exists() else 0

    def asked(self, since: int = 0) -> Counter[str]:
        """What the daemon has asked since a mark: by verb and resource, a watch when it is opened. Its Lease is named `lease …`."""
        return Counter(_word(event) for event in self._events(since))

    def _events(self, since: int) -> Iterator[dict[str, Any]]:
        log = self.folder / "audit.log"
        if not log.exists():
            return
        with log.open("rb") as file:
            file.seek(since)
            for line in file:
                event = json.loads(line)
                if event["stage"] == ("ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"):
                    yield event


def _word(event: dict[str, Any]) -> str:
    what = event.get("objectRef", {}).get("resource") or event["requestURI"].partition("?")[0]
    if event["verb"] == "list" and "labelSelector=" in event["requestURI"]:
        what = f"our {what}"  # to watch on from; the others are looks before a first apply
    return f"lease {event['verb']}" if what == "leases" else f"{event['verb']} {what}"


def without_lease(asked: Counter[str]) -> int:
    """How many requests, those for the Lease left out."""
    return sum(count for word, count in asked.items() if not word.startswith("lease "))


def writes(asked: Counter[str]) -> int:
    """How many of them change something, those of the Lease left out."""
    changing = ("create", "update", "patch", "delete", "deletecollection")
    return sum(count for word, count in asked.items() if word.split()[0] in changing)
