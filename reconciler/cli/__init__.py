"""The command line: `reconciler run` and the other words below `Commands:` of `reconciler --help`.

Law of the package: a command reads its options, has the same engine as the daemon do the work, and prints. Every answer has an exit
code: 0 fine; 1 the answer is "no" (problems, not healthy, differences with --exit-code); 2 wrong usage or configuration; 3 the world
did not answer; 4 a simulation broke an invariant. Importing this package imports no adapter, so that `--help` is quick.
"""

from __future__ import annotations

import gc
from typing import Any

import click

from reconciler import __version__
from reconciler.errors import ReconcilerError, UnansweredError
from reconciler.lib.plain import plain

from .change import approve
from .demo import demo
from .plan import plan
from .run import run
from .simulate import simulate
from .staging import block, promote, unblock
from .status import explain, get, status
from .validate import validate

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Told(click.ClickException):
    """An error of ours as click reports it: its sentences, and its exit code."""

    exit_code = 2

    def __init__(self, error: ReconcilerError) -> None:
        super().__init__("\n".join(plain(line) for line in str(error).splitlines()))


class Unanswered(Told):
    """The world did not answer."""

    exit_code = 3


class Commands(click.Group):
    """A group whose commands raise our errors."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises on purpose is told without a stack trace."""
        try:
            return super().invoke(ctx)
        except UnansweredError as error:
            raise Unanswered(error) from None
        except ReconcilerError as error:
            raise Told(error) from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order in which one gets to know them."""
        return list(self.commands)


EPILOG = """\b
Exit codes: 0 fine; 1 the answer is "no" (problems, not healthy, differences
with --exit-code); 2 wrong usage or configuration; 3 a cluster or repository
did not answer; 4 a simulation broke an invariant. Completion, for bash (zsh
and fish alike):
  eval "$(_RECONCILER_COMPLETE=bash_source reconciler)"
"""


@click.group(cls=Commands, context_settings=CONTEXT, epilog=EPILOG)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def main() -> None:
    """Make clusters match Git: commit YAML, merge to approve, read the answer in Git."""
    # A hundred thousand small objects live long; looking through them again and again costs more than decoding them did. Modules too.
    gc.set_threshold(100_000, 50, 100)


for command in (run, plan, validate, simulate, status, get, explain, approve, promote, block, unblock, demo):
    main.add_command(command)
