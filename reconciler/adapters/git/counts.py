"""What a repository has done: for tests that count, and for metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Requests made, manifests' blobs read and parsed, and files of the status branch read, since the repository object was made.

    What the cache knew is neither read nor parsed.
    """

    listings: int = 0
    fetches: int = 0
    pushes: int = 0
    blobs_read: int = 0
    parses: int = 0
    files_read: int = 0
