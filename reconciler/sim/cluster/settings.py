"""How an embedded cluster behaves where real ones differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """How a cluster behaves where real ones differ. Delays are in seconds."""

    nodes: int = 3
    controllers: bool = True  # False: only those of the API server itself
    history_limit: int = 10_000
    pod_start_seconds: float = 1.0
    pod_stop_seconds: float = 1.0
    job_seconds: float = 2.0
