"""What is read in place of what the configuration follows: another revision, a clone on this machine, or files not committed yet.

Law of the module: nothing is written anywhere, and what a person means by a revision is settled before anything else begins.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.adapters.clock import Clock
from reconciler.adapters.git import Parse, Repository, working_tree
from reconciler.adapters.git.worktree import UNCOMMITTED
from reconciler.config import Config, SourceConfig
from reconciler.core.identity import CommitId
from reconciler.core.manifest import parse
from reconciler.core.messages import CommitChanges, Fetch, Fetched, FileChange, GitFailure, ListRefs, PastRead, ReadPast, RefsListed
from reconciler.core.settings import SourceSettings
from reconciler.errors import ConfigError, UnansweredError

SHORT_MIN = 7  # digits of a shortened id


class WorkingTree(Repository):
    """Files as they lie in a folder, answering as a repository whose only commit they are."""

    def __init__(self, settings: SourceSettings, folder: Path, cache: Path) -> None:
        super().__init__(settings.name, str(folder.resolve()), cache, settings.path)
        self._folder = folder / settings.path if settings.path else folder
        self._ref = settings.ref

    def list_refs(self, effect: ListRefs) -> RefsListed:
        """One ref, and what is not committed on it."""
        return RefsListed(effect.id, {self._ref: UNCOMMITTED})

    def fetch(self, effect: Fetch, parse: Parse) -> Fetched:
        """What is checked out, where this is a clone, and upon it what is not committed: what cannot be read is held as of there."""
        found = working_tree(self._folder, parse, Clock().now().wall)
        if isinstance(found, GitFailure):
            return Fetched(effect.id, found)
        head = self._head(effect, parse)
        if head is None:
            return Fetched(effect.id, (found,))
        before = {change.path: change.blob for change in head.changes}
        changes = [change for change in found.changes if before.get(change.path) != change.blob]
        here = {change.path: None for change in found.changes}
        changes += [FileChange(path, None, None) for path in before if path not in here]
        return Fetched(effect.id, (head, replace(found, changes=tuple(changes))))

    def _head(self, effect: Fetch, parse: Parse) -> CommitChanges | None:
        listed = super().list_refs(ListRefs(0, effect.source)).refs
        if isinstance(listed, GitFailure) or "HEAD" not in listed:
            return None
        steps = super().fetch(Fetch(0, effect.source, effect.ref, listed["HEAD"], None, 1), parse).steps
        return None if isinstance(steps, GitFailure) else steps[-1]

    def read_past(self, effect: ReadPast, parse: Parse) -> PastRead:
        """What was before: of the files here, that is what is checked out, which is read already."""
        return PastRead(effect.id, None) if effect.before == UNCOMMITTED else super().read_past(effect, parse)


def chosen(config: Config, name: str) -> SourceConfig:
    """The source that a command is about: the one of that name, or the only one.

    Raises:
        ConfigError: there is none, or there are several.
    """
    names = [source.settings.name for source in config.sources]
    found = [source for source in config.sources if not name or source.settings.name == name]
    if len(found) == 1:
        return found[0]
    if name:
        raise ConfigError(f"no source is named {name}; there are: {', '.join(names)}")
    raise ConfigError(f"there are several sources: choose one with --source ({', '.join(names)})")


def with_source(config: Config, source: SourceConfig) -> Config:
    """The configuration with one source replaced by another of its name."""
    return replace(config, sources=tuple(source if old.settings.name == source.settings.name else old for old in config.sources))


def at(source: SourceConfig, repository: Repository, revision: str) -> SourceConfig:
    """The source, standing at a revision: a branch, a tag, HEAD, a full id, or a shortened one.

    Raises:
        UnansweredError: the repository did not answer.
        ConfigError: it has no such revision.
    """
    settings = source.settings
    listed = repository.list_refs(ListRefs(0, settings.name)).refs
    if isinstance(listed, GitFailure):
        raise UnansweredError(f"source {settings.name}: {listed.message}")
    for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
        if name in listed and (name == "HEAD" or name.startswith("refs/")):
            ref = name if name != "HEAD" else settings.ref
            return replace(source, settings=replace(settings, ref=ref, commit=listed[name]))
    commit = _of_id(repository, settings, listed, revision.lower())
    if commit is None:
        raise ConfigError(f"{settings.url} has no branch, tag or commit {revision!r} (commits: by their id, at least {SHORT_MIN} digits)")
    ref, id = commit
    return replace(source, settings=replace(settings, ref=ref, commit=id))


def _of_id(
    repository: Repository, settings: SourceSettings, listed: dict[str, CommitId], text: str
) -> tuple[str, CommitId] | None:
    """The commit whose id begins with `text`, and a ref that leads to it: some ref's tip, or below the branch that is followed."""
    if len(text) < SHORT_MIN or not all(digit in "0123456789abcdef" for digit in text):
        return None
    tips = {commit: ref for ref, commit in listed.items() if commit.startswith(text) and ref != "HEAD"}
    if len(tips) == 1:
        ((commit, ref),) = tips.items()
        return ref, commit
    tip = listed.get(settings.ref)
    if tip is not None:
        # Brings the branch here, and parses nothing: from the tip to the tip there are no steps.
        repository.fetch(Fetch(0, settings.name, settings.ref, tip, since=tip), parse)
    found = repository.resolve(text)
    return (settings.ref, found) if found is not None else None
