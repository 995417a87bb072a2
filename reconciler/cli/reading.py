"""Looking at everything without touching anything: the engine of `plan`, `status`, `get` and `explain`.

Law of the module: the same engine as the daemon's, told not to act: applies become server dry runs, nothing is stored or pushed. It
ends when everything has settled, or with what is known by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from reconciler.adapters.git import Repository
from reconciler.config import Config
from reconciler.core.engine import Engine
from reconciler.core.identity import Instant, SourceName, UnitKey
from reconciler.core.messages import Commit, GitFailure, Log, ReadFiles
from reconciler.core.publish import HISTORY
from reconciler.core.report import Report
from reconciler.core.status_files import UNITS_FOLDER, Before, read_back
from reconciler.errors import ConfigError
from reconciler.kinds import KINDS

from . import revision, terminal
from .assembly import assemble, repositories
from .settling import Settling
from .workdir import WorkDir

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """What to read instead of what is configured; all empty: just that."""

    source: str = ""  # which source is meant; "": the only one
    revision: str = ""
    folder: Path | None = None  # a clone, or with `working_tree` any folder, on this machine
    working_tree: bool = False

    @property
    def special(self) -> bool:
        """Whether anything but what is configured is read."""
        return bool(self.revision or self.folder or self.working_tree)


def of_our_kinds(engine: Engine) -> Iterable[tuple[SourceName, str]]:
    """The files with objects of our kinds, which are few."""
    ours = [of for kind in KINDS for of in (*kind.roots, *kind.references)]
    return ((source, manifest.path) for source, manifest in engine.reports.objects.manifests(ours))


def look(
    config: Config,
    cache: Path | None,
    timeout_seconds: float,
    answer: Callable[[Engine, Report], T],
    target: Target = Target(),
    written: Callable[[Engine], Iterable[tuple[SourceName, str]]] = of_our_kinds,
) -> tuple[T, bool]:
    """Read everything, and have `answer` say what is asked; and whether that took too long to be the whole truth.

    `written` names the files of which history is asked who changed them last.

    Raises:
        ConfigError: what is configured, or asked for, cannot be.
        UnansweredError: no repository or no cluster answered.
    """
    with WorkDir(config, cache, reads_only=True) as workdir, terminal.progress("reading Git") as say:
        config, instead = _aimed(config, workdir.path / "git", target) if target.special else (config, {})

        async def run() -> tuple[T, bool]:
            parts = assemble(config, workdir, act=False, tell=_quiet, instead=instead)
            try:
                settling = Settling(parts, timeout_seconds, say)
                report = await settling.wait()
                if not target.special:
                    parts.close()  # what was told to end reads nothing more
                    opened = repositories(config.sources, workdir.path / "git", config.ca_file)
                    report = _as_published(parts.engine, opened, list(written(parts.engine)))
                return answer(parts.engine, report), settling.timed_out
            finally:
                parts.cancel()
                parts.close()

        return asyncio.run(run())


def _quiet(entry: Log, now: Instant) -> None:
    """What goes wrong stands in the report."""


def _aimed(config: Config, cache: Path, target: Target) -> tuple[Config, dict[SourceName, Repository]]:
    """The configuration with the meant source at what is asked for, and the repository that it is read from."""
    source = revision.chosen(config, target.source)
    settings = source.settings
    repository: Repository
    if target.working_tree:
        folder = target.folder or Path()
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}")
        repository = revision.WorkingTree(settings, folder, cache)
        return revision.with_source(config, replace(source, settings=replace(settings, commit=None))), {settings.name: repository}
    if target.folder is not None:
        repository = Repository(settings.name, str(target.folder.resolve()), cache, settings.path)
    else:
        repository = repositories((source,), cache, config.ca_file)[settings.name]
    aimed = revision.at(source, repository, target.revision or "HEAD")
    return revision.with_source(config, aimed), {settings.name: repository}


def _as_published(engine: Engine, opened: Mapping[SourceName, Repository], written: list[tuple[SourceName, str]]) -> Report:
    """The report, with what only the daemon knows and tells on its status branch.

    That is: since when each unit has been so, and which commit changed it last (a first read knows no commit but the newest). For the
    files `written` history is asked.
    """
    commits: dict[UnitKey, Commit] = {}
    for name, source in engine.sources.items():
        paths = dict.fromkeys(path for at, path in written if at == name)
        if paths and source.desired.commit is not None:
            with closing(opened[name]) as repository:
                source.desired.learn(repository.last_changed(source.desired.commit.id, paths))
            engine.reports.touch_all()
        ref = f"refs/heads/{source.settings.status_branch}"
        tip = (source.refs or {}).get(ref)
        if not source.settings.status_branch or tip is None:
            continue
        with closing(opened[name]) as repository:
            files = repository.read_files(ReadFiles(0, name, ref, tip, "status/")).files
        if isinstance(files, GitFailure):
            continue
        read = source.desired.commit.id if source.desired.commit else ""
        known = f"\nread: {read}\n".encode() in files.get(HISTORY, b"")  # else the daemon has not read what we have
        for path, content in files.items():
            before = read_back(content) if path.startswith(UNITS_FOLDER) else None
            if before is not None and before.key.source == name:
                _carry(engine, before)
                if known and before.commit is not None:
                    commits[before.key] = before.commit
    report = engine.reports.report()
    return replace(report, units=tuple(replace(unit, commit=commits.get(unit.key, unit.commit)) for unit in report.units))


def _carry(engine: Engine, before: Before) -> None:
    held = engine.reports.since.states.get(before.key)
    if held is not None and held[0] == before.state and before.since < held[1]:
        engine.reports.since.states[before.key] = (before.state, before.since)
        engine.reports.touch(before.key)
