"""The exit status of a command, and the document that it prints for an error with --json."""

from typing import Any

from ddbreplica.errors import AttentionError, StoppedError, TaskError

ATTENTION = 1
"""Exit status: the tables are different, or something requires attention."""
FAILED = 2
"""Exit status: a usage error, or it could not be done."""
INCONCLUSIVE = 3
"""Exit status: nothing can be concluded."""
INTERRUPTED = 130
"""Exit status: Ctrl-C, as a shell counts it. Another signal has its own."""


def exit_status(error: TaskError) -> int:
    """Return the exit status of a command that this error ends; one that a signal has ended has the signal's."""
    match error:
        case AttentionError():
            return ATTENTION
        case StoppedError():
            return INTERRUPTED
        case _:
            return FAILED


def document(error: TaskError) -> dict[str, Any]:
    """Return the error for a program, with what was done until then."""
    return {**error.facts, "error": error.fact, "try": error.hint}
