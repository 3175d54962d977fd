"""The exit status of a command, and the document that it prints for an error with --json."""

from typing import Any

from ddbreplica.errors import AttentionError, StoppedError, TaskError

ATTENTION = 1
"""Exit status: the tables differ, or something requires attention."""
FAILED = 2
"""Exit status: a usage error, or the command failed."""
INCONCLUSIVE = 3
"""Exit status: the result is inconclusive."""
INTERRUPTED = 130
"""Exit status after Ctrl-C, by the convention of shells. Each signal has its own status."""


def exit_status(error: TaskError) -> int:
    """Return the exit status of a command that this error ends. After a signal, use the status of the signal."""
    match error:
        case AttentionError():
            return ATTENTION
        case StoppedError():
            return INTERRUPTED
        case _:
            return FAILED


def document(error: TaskError) -> dict[str, Any]:
    """Return the error as a JSON document, together with the facts about the work done so far."""
    return {**error.facts, "error": error.fact, "try": error.hint}
