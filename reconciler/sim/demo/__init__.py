"""The demo: a whole world on this machine, and a story told about it that is checked line by line.

Law of the package: everything is real but the machines: Git over HTTP, three API servers on sockets, and the daemon that `reconciler run`
starts, which is handed in and knows nothing of the demo. `world` puts them together, `acts` and `stages` are the stories, `telling` the
output. Nothing is told that was not seen first: on the clusters, on the status branch, or in the repository; never in the daemon itself.
"""

from collections.abc import Mapping

from .acts import ACTS
from .stages import STAGES
from .telling import Act, Unseen, play
from .world import CLUSTERS, Daemon, Trouble, World, world

TOURS: Mapping[str, tuple[Act, ...]] = {"basics": ACTS, "stages": STAGES}
"""The stories by name; each begins in a world of its own."""

__all__ = ["ACTS", "CLUSTERS", "STAGES", "TOURS", "Act", "Daemon", "Trouble", "Unseen", "World", "play", "world"]
