"""The parts of a daemon, put together: engine, shell, adapters.

Law of the module: the only place where they meet. What can be wrong with the configuration shows here, before anything is sent.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import yaml

import reconciler
from reconciler import log, schemas
from reconciler.adapters.clock import Clock
from reconciler.adapters.git import AUTHOR, Repository, address, prepare
from reconciler.adapters.git.transport import Local
from reconciler.adapters.helm import Helm
from reconciler.adapters.kube.auth import connection
from reconciler.adapters.kube.client import KubeClient
from reconciler.config import Config, SourceConfig
from reconciler.core.engine import Engine
from reconciler.core.identity import BlobId, Instant, SourceName
from reconciler.core.manifest import Checks, ManifestFile, parse
from reconciler.core.messages import Log
from reconciler.core.types import Types
from reconciler.kinds import KINDS
from reconciler.shell import Shell

from .workdir import WorkDir

Tell = Callable[[Log, Instant], None]
PACKAGE = Path(reconciler.__file__).parent


@dataclass(slots=True)
class Assembly:
    """A daemon that has not begun."""

    engine: Engine
    shell: Shell
    repositories: Mapping[SourceName, Repository]

    def cancel(self) -> None:
        """Let go of fetches: what they would bring is not waited for."""
        for repository in self.repositories.values():
            repository.cancel()

    def close(self) -> None:
        """Give up the clones."""
        for repository in self.repositories.values():
            repository.close()


def checks() -> Checks:
    """What every manifest is checked against."""
    return Checks.of(schemas.of_manifests(), Types.read(schemas.of_kubernetes()))


@cache
def parser_version() -> str:
    """The digest of all that decides what is told of a file, beside the file: the code that finds and parses it, schemas, libraries."""
    code = [file for folder in ("core", "adapters/git") for file in sorted((PACKAGE / folder).glob("*.py"))]
    files = [*code, *sorted(schemas.folder().rglob("*.json"))]
    parts = [file.read_bytes() for file in files]
    libraries = f"{yaml.__version__} {yaml.__with_libyaml__} {version('jsonschema')} {sys.version}"
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in [*parts, libraries.encode()])).hexdigest()


def repositories(
    sources: Iterable[SourceConfig], cache: Path, ca_file: Path | None, author: tuple[str, str] = AUTHOR
) -> dict[SourceName, Repository]:
    """The repositories of sources, with their credentials; `author` is in whose name they commit.

    Raises:
        ConfigError: credentials are not where they should be.
    """
    prepare(ca_file=ca_file)
    return {
        source.settings.name: Repository(
            source.settings.name,
            source.settings.url,
            cache,
            source.settings.path,
            source.credentials.read() if source.credentials else None,
            author=author,
            parser=parser_version(),
        )
        for source in sources
    }


def assemble(
    config: Config, workdir: WorkDir, *, act: bool, tell: Tell = log.write, instead: Mapping[SourceName, Repository] | None = None
) -> Assembly:
    """Put a daemon together, inside a running event loop. `instead` holds repositories that stand in for configured ones.

    Raises:
        ConfigError: a kubeconfig or credentials cannot be used.
    """
    opened = {**repositories(config.sources, workdir.path / "git", config.ca_file), **(instead or {})}
    connections = {cluster.settings.name: connection(cluster.login) for cluster in config.clusters}
    against = checks()

    def read(text: bytes, path: str, blob: BlobId) -> ManifestFile:
        return parse(text, path, blob, against)

    engine = Engine(config.settings(workdir.identity, act=act), KINDS, os.urandom(16), against.types)
    places = {source.settings.name: address(source.settings.url) for source in config.sources}
    watched = {name: place.path for name, place in places.items() if isinstance(place, Local) and act}
    clients = {name: KubeClient(one) for name, one in connections.items()}
    helm = Helm(config.helm, workdir.path / "helm") if config.helm else None
    return Assembly(engine, Shell(engine, clients, opened, read, Clock(), watched, tell, helm), opened)
