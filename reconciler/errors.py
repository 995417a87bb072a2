"""What is raised, split by who must act.

    ReconcilerError
    ├── ConfigError      the operator, at start: exit code 2
    └── UnansweredError  nobody yet: a cluster or repository did not answer a command that waits for it: exit code 3

Law of the module: an exception is for what ends the process before it has begun. What happens to a running daemon (a cluster that
does not answer, a file that cannot be read) is a value that crosses the core: an `Answer`, a `Problem`, a `GitFailure`.
"""

from __future__ import annotations


class ReconcilerError(Exception):
    """Anything that this program raises on purpose and that a person is told without a stack trace."""


class ConfigError(ReconcilerError):
    """The operator's configuration, or what it names (a kubeconfig, a key file), cannot be used; says which, and what to write."""


class UnansweredError(ReconcilerError):
    """A command needs an answer of the world that did not come in time; says of whom, and why."""
