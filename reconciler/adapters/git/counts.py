"""What a repository has done: for tests that count, and for metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Requests made and blobs read since the repository object was made."""

    listings: int = 0
    fetches: int = 0
    pushes: int = 0
    blobs_read: int = 0
