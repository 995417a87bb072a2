"""What `simulate` is to run, read from a folder or a Git repository on this machine.

Law of the module: read as the daemon reads it (`adapters.git`): the same limits, nothing of links or odd names, `.reconcilerignore`
obeyed, history along first parents. A file that is not read is in the simulated repository too, with its problem in place of its content.
Nothing is written anywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler import config as configuration
from reconciler.adapters.git import Repository, working_tree
from reconciler.adapters.git.worktree import UNCOMMITTED
from reconciler.config import Config, SourceConfig
from reconciler.core.identity import BlobId, ClusterName, CommitId, SourceName
from reconciler.core.manifest import Checks, Manifest, ManifestFile, parse
from reconciler.core.messages import Commit, CommitChanges, Fetch, FileChange, GitFailure
from reconciler.core.settings import ClusterSettings, SourceSettings
from reconciler.errors import ConfigError
from reconciler.sim.future import Step, clusters_in

from . import revision
from .terminal import Say

COMMITS_LIMIT = 1_000
MANIFESTS_LIMIT = 20_000
PODS_LIMIT = 5_000
CLUSTERS_LIMIT = 50
DEFAULT = ClusterName("default")
SAY_EVERY = 100  # files
_NAME = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # of a cluster, as a configuration may have it
START = 1_900_000_000.0  # what is not committed is as old as the simulated world


@dataclass(frozen=True, slots=True)
class Read:
    """What was read. `notes` are for people."""

    source: SourceSettings
    steps: tuple[Step, ...]
    clusters: tuple[ClusterSettings, ...]
    home: ClusterName
    files: int
    manifests: int
    notes: tuple[str, ...]


class Reader:
    """Reads files, and remembers them: every run of the simulation gets the same ones."""

    def __init__(self, checks: Checks, say: Say) -> None:
        self._checks = checks
        self._say = say
        self._texts: dict[tuple[str, BlobId], bytes] = {}
        self._files: dict[tuple[str, bytes], ManifestFile] = {}

    def parse(self, text: bytes, path: str, blob: BlobId) -> ManifestFile:
        """A file, as the real parser reads it, once."""
        found = self._files.get((path, text))
        if found is None:
            found = self._files[path, text] = parse(text, path, blob, self._checks)
            if len(self._files) % SAY_EVERY == 0:
                self._say(f"{len(self._files)} files read")
        self._texts[path, blob] = text
        return found

    def step(self, changes: CommitChanges) -> Step:
        """A commit with the contents of its files."""
        return Step(changes.commit, dict(map(self._content, changes.changes)))

    def _content(self, change: FileChange) -> tuple[str, bytes | None]:
        # What has no ending of a manifest (an ignore file, a folder that is too deep) still holds its folder.
        path = change.path if change.path.endswith((".yaml", ".yml", ".json")) else f"{change.path}.yaml"
        if change.file is None or change.blob is None:
            return path, None
        text = self._texts.get((change.path, change.blob))
        if text is None:
            text = f"# not read: {change.blob}".encode()
            self._files[path, text] = change.file
        return path, text

    def pods(self) -> int:
        """How many pods all that was read asks for, of each path that version which wants the most."""
        most: dict[str, int] = {}
        for (path, _), file in self._files.items():
            most[path] = max(most.get(path, 0), sum(map(_pods, file.manifests)))
        return sum(most.values())

    def count(self, tree: Mapping[str, bytes]) -> tuple[int, int]:
        """The files and the manifests of a tree."""
        return len(tree), sum(len(self._files[path, text].manifests) for path, text in tree.items())


def _pods(manifest: Manifest) -> int:
    if manifest.group not in ("", "apps", "batch"):
        return 0
    spec = manifest.body().get("spec")
    wanted = [spec.get(name) for name in ("replicas", "parallelism")] if isinstance(spec, dict) else []
    return max((count for count in wanted if isinstance(count, int)), default=0)


def read(path: Path, since: str, config: Path | None, source: str, reader: Reader) -> Read:
    """Read what is to be simulated.

    Raises:
        ConfigError: there is nothing of that name, or the configuration cannot be used.
    """
    loaded = _config(config)
    if source and loaded is None:
        raise ConfigError("--source goes with a configuration, and there is none")
    chosen = revision.chosen(loaded, source) if loaded is not None else None
    top, inside = _top(path, chosen.settings.path if chosen is not None else "", since)
    settings = chosen.settings if chosen is not None else _settings(top or path)
    notes: list[str] = []
    steps = _commits(top, inside, settings, since, reader, notes) if top is not None else []
    folder = path / settings.path if settings.path else path
    steps += _present(folder, steps, reader)
    tree = _tree(steps)
    files, manifests = reader.count(tree)
    if manifests > MANIFESTS_LIMIT:
        raise ConfigError(f"{path} holds {manifests:,} manifests; {MANIFESTS_LIMIT:,} can be simulated: name a folder of it")
    if (pods := reader.pods()) > PODS_LIMIT:
        raise ConfigError(f"{path} asks for {pods:,} pods; {PODS_LIMIT:,} can be simulated")
    clusters, home = _clusters(loaded, tuple(steps))
    return Read(settings, tuple(steps), clusters, home, files, manifests, tuple(notes))


def _config(file: Path | None) -> Config | None:
    found = file or (Path("reconciler.yaml") if Path("reconciler.yaml").is_file() else None)
    return configuration.load(found) if found else None


def _settings(folder: Path) -> SourceSettings:
    name = configuration.repository_source(str(folder.resolve())).settings.name
    return SourceSettings(SourceName(name), f"https://git.example.org/{name}")


def _top(path: Path, inside: str, since: str) -> tuple[Path | None, str]:
    """The repository that a folder is in, and the folder's path there; only where commits are asked for."""
    if not since:
        return None, ""
    absolute = Path(os.path.normpath(path.absolute()))
    top = next((top for top in (absolute, *absolute.parents) if (top / ".git").exists()), None)
    if top is None:
        raise ConfigError(f"{path} is in no Git repository, so there are no commits since {since}")
    below = absolute.relative_to(top)
    return top, str(below / inside) if str(below / inside) != "." else ""


# -- commits ----------


def _commits(top: Path, inside: str, settings: SourceSettings, since: str, reader: Reader, notes: list[str]) -> list[Step]:
    """The commit `since`, whole, and what each one after it changed, up to what is checked out."""
    repository = Repository(settings.name, str(top), Path(), inside)
    source = SourceConfig(SourceSettings(settings.name, str(top)))
    first, last = (_commit(repository, source, name) for name in (since, "HEAD"))
    begun = repository.fetch(Fetch(0, settings.name, "HEAD", first, None), reader.parse)
    if isinstance(begun.steps, GitFailure):
        raise ConfigError(begun.steps.message)
    news = repository.fetch(Fetch(0, settings.name, "HEAD", last, first, COMMITS_LIMIT), reader.parse)
    if isinstance(news.steps, GitFailure):
        raise ConfigError(news.steps.message)
    if news.rewritten:
        notes.append(f"{since} is not among the commits that lead to what is checked out: one step goes from the one to the other")
    return [reader.step(changes) for changes in (*begun.steps, *news.steps)]


def _commit(repository: Repository, source: SourceConfig, name: str) -> CommitId:
    found = revision.at(source, repository, name).settings.commit
    assert found is not None
    return found


def _present(folder: Path, steps: list[Step], reader: Reader) -> list[Step]:
    """The files as they lie there, as one more step; nothing where they are what the last commit says."""
    found = working_tree(folder, reader.parse, START)
    if isinstance(found, GitFailure):
        raise ConfigError(found.message)
    step = reader.step(found)
    before = _tree(steps)
    changed: dict[str, bytes | None] = {path: text for path, text in step.files.items() if before.get(path) != text}
    changed |= {path: None for path in before if path not in step.files}
    if steps and not changed:
        return []
    return [Step(Commit(UNCOMMITTED, None, "", "", START, "what is not committed"), changed)]


def _tree(steps: Iterable[Step]) -> dict[str, bytes]:
    tree: dict[str, bytes] = {}
    for step in steps:
        for path, text in step.files.items():
            if text is None:
                tree.pop(path, None)
            else:
                tree[path] = text
    return tree


# -- clusters ----------


def _clusters(config: Config | None, steps: tuple[Step, ...]) -> tuple[tuple[ClusterSettings, ...], ClusterName]:
    """Those that are configured, or those that the tree names and a default one; and which keeps the records."""
    if config is not None:
        return tuple(cluster.settings for cluster in config.clusters), config.home
    names = [name for name in clusters_in(steps, lambda name: bool(_NAME.fullmatch(name))) if name != DEFAULT]
    if len(names) >= CLUSTERS_LIMIT:
        raise ConfigError(f"clusters/ names {len(names)} clusters; {CLUSTERS_LIMIT - 1} can be simulated")
    named = tuple(ClusterSettings(ClusterName(name)) for name in names)
    return (ClusterSettings(DEFAULT, default=True), *named), DEFAULT
