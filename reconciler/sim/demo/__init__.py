"""The demo: a whole world on this machine, and a story told about it that is checked line by line.

Law of the package: everything is real but the machines: Git over HTTP, three API servers on sockets, and the daemon that `reconciler run`
starts, which is handed in and knows nothing of the demo. `world` puts them together, `acts` is the story, `telling` the output. Nothing is
told that was not seen first: on the clusters, on the status branch, or in the repository; never in the daemon itself.
"""

from .acts import ACTS
from .telling import Unseen, play
from .world import CLUSTERS, Daemon, Trouble, World, world

__all__ = ["ACTS", "CLUSTERS", "Daemon", "Trouble", "Unseen", "World", "play", "world"]
