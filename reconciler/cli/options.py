"""Options that several commands share, and what they mean together.

Law of the module: light to import (`--help` must be quick): what needs the adapters is imported when it is called.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.lib import durations

if TYPE_CHECKING:
    from reconciler.config import Config, SourceConfig

CONFIG = "reconciler.yaml"


@dataclass(frozen=True, slots=True)
class Where:
    """What a command reads and talks to, as it was asked for."""

    config: Path | None
    repo: str
    branch: str
    path: str
    source: str
    kubeconfig: Path | None
    context: str
    cache: Path | None

    def load(self) -> Config:
        """The configuration that is meant: --repo, or a file.

        Raises:
            ConfigError: it cannot be used.
            click.UsageError: nothing was named, or what does not go together.
        """
        from reconciler import config

        if self.repo:
            if self.config is not None and _given("config"):
                raise click.UsageError("--repo and --config exclude each other: a file names its own repositories.")
            return config.of_repository(self.repo, self.branch or "main", self.path, self.kubeconfig, self.context, self.source)
        if alone := [name for name in ("branch", "path", "kubeconfig", "context") if getattr(self, name)]:
            raise click.UsageError(f"--{alone[0]} goes with --repo; a configuration file says it itself.")
        if self.config is None and not Path(CONFIG).is_file():
            raise click.UsageError(f"Name a repository with --repo, or a configuration file with --config (there is no ./{CONFIG}).")
        return config.load(self.config or Path(CONFIG))

    def sources(self) -> tuple[tuple[SourceConfig, ...], Path | None]:
        """The repositories alone, and the certificates for them: for what needs no cluster.

        Raises:
            ConfigError: they cannot be used.
            click.UsageError: nothing was named, or what does not go together.
        """
        from reconciler import config

        if self.repo and not (self.config is not None and _given("config")):
            return (config.repository_source(self.repo, self.branch or "main", self.path, self.source),), None
        loaded = self.load()
        return loaded.sources, loaded.ca_file

    def at(self, repo: str) -> Where:
        """The same with a repository where none was named, nor a configuration."""
        named = self.repo or self.config is not None or Path(CONFIG).is_file()
        return self if named else replace(self, repo=repo)


def _given(name: str) -> bool:
    """Whether an option stands on the command line (and not only in the environment)."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


_WHERE: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--config", type=click.Path(path_type=Path, dir_okay=False), envvar="RECONCILER_CONFIG", show_envvar=True,
        help=f"Configuration file.  [default: ./{CONFIG} where there is one]",
    ),
    click.option("--repo", default="", metavar="URL|PATH", help="One Git repository, without a configuration file."),
    click.option("--branch", default="", help="With --repo: the branch to follow.  [default: main]"),
    click.option("--path", default="", help="With --repo: the folder of it that counts.  [default: all]"),
    click.option("--source", default="", help="With --repo: what the daemon calls it.  [default: the repository's name]"),
    click.option("--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="With --repo.  [default: kubectl's]"),
    click.option("--context", default="", help="With --repo: the cluster.  [default: the current context]"),
    click.option(
        "--cache", type=click.Path(path_type=Path, file_okay=False), help="For clones.  [default: ~/.cache/reconciler]"
    ),
)  # fmt: skip


def where(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what to read and which clusters to talk to; the command gets them as its first argument, a `Where`."""

    @functools.wraps(command)
    def gathered(**options: Any) -> Any:
        names = ("config", "repo", "branch", "path", "source", "kubeconfig", "context", "cache")
        return command(Where(**{name: options.pop(name) for name in names}), **options)

    for option in reversed(_WHERE):
        gathered = option(gathered)
    return gathered


def output(*forms: str) -> Callable[[Any], Any]:
    """`-o`: how to answer."""
    return click.option("-o", "--output", type=click.Choice(forms), default=forms[0], show_default=True, help="How to answer.")


def span(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Read a span of time, in Go's syntax: a callback for options."""
    seconds = durations.parse(value)
    if seconds is None:
        raise click.BadParameter('must be a span of time such as "30s" or "10m"', ctx, param)
    return seconds
