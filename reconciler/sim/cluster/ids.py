"""What a real server draws at random, drawn from a seed: uids, name suffixes, addresses, ports.

Law of the module: the n-th draw of a cluster is the same in every run with the same seed and cluster name.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import msgspec

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SERVICES = "10.0."
DRY_ADDRESS = "10.0.0.0"  # what a dry run is given
NODE_PORTS = (30_000, 32_767)  # the first and the last
_ordered = msgspec.json.Encoder(order="sorted").encode


class Ids:
    """A stream of names that nobody else has; `drawn` counts its draws."""

    def __init__(self, seed: int, cluster: str, drawn: int = 0) -> None:
        self.seed = seed
        self.cluster = cluster
        self.drawn = drawn
        self._key = f"{seed}/{cluster}".encode()

    def _draw(self) -> bytes:
        self.drawn += 1
        return hashlib.blake2b(self.drawn.to_bytes(8, "big"), key=self._key[:64], digest_size=16).digest()

    def uid(self) -> str:
        """A version 4 UUID."""
        return str(uuid.UUID(bytes=self._draw(), version=4))

    def suffix(self, length: int = 5) -> str:
        """The end of a generated name."""
        return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in self._draw()[:length])

    def service_address(self) -> str:
        """An address of the Service range 10.0.0.0/16, above the static block."""
        draw = self._draw()
        return f"{_SERVICES}{2 + draw[0] % 250}.{1 + draw[1] % 254}"

    def node_port(self) -> int:
        """A port of the node port range."""
        return NODE_PORTS[0] + int.from_bytes(self._draw()[:4], "big") % (NODE_PORTS[1] - NODE_PORTS[0] + 1)


def pod_hash(content: Any, length: int = 10) -> str:
    """A short stable name of JSON, as `pod-template-hash` has it (another function than the real one's, same alphabet).

    The order of keys says nothing: a template that comes back from a history has another.
    """
    digest = hashlib.blake2b(_ordered(content), digest_size=16).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:length])
