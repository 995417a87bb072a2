"""What a repository on this machine is a clone of.

Law of the module: reads the repository's own configuration and nothing else; an address in it is shown without userinfo.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pygit2
from pygit2.enums import RepositoryOpenFlag

from .transport import clean, prepare_once


def origin(path: Path) -> str:
    """The address of `origin` of the repository at `path`; the path itself where it has none (or is no repository)."""
    prepare_once()
    try:
        url = pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH).remotes["origin"].url or ""
        parts = urlsplit(url)
        if "@" in parts.netloc:
            url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    except (pygit2.GitError, KeyError, ValueError):
        return str(path)
    return clean(url) or str(path)
