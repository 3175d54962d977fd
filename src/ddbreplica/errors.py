"""Why an invocation, or a task that somebody has started, cannot go on.

    ReplicatorError
    ├── EventError               what Lambda sent is not a batch of a DynamoDB stream
    │   └── StreamViewTypeError    the stream carries no new images
    ├── SettingsError            a setting of the function is missing or not allowed
    ├── SourceError              the source table cannot be read, whatever the keys
    ├── ReplicaError             the replica table cannot take the batch, whatever the records
    │   └── KeySchemaError         its key is not the source's key
    ├── QuarantineError          the bucket refuses, or too much would go into it
    └── UnreportableError        a record without sequence number was neither applied nor kept

    TaskError                    a backfill, a verification, a redrive or the like cannot be done
    ├── AttentionError           it was done, and something requires attention
    ├── StoppedError             it was interrupted
    └── NoTableError             a table that is named is not there

Inside a batch a failed write is a value (`model.Failure`); each ReplicatorError fails the invocation, and Lambda keeps
the batch and tries it again. Nothing is acknowledged. What a healing had begun stays open in its journal.

A TaskError carries facts and a hint for whoever started the task. How it is shown, and with which exit status a command
ends, is decided by the terminal.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class ReplicatorError(Exception):
    """It cannot go on. `fact` is what happened, `hint` what to do about it, `code` AWS's own, if AWS refused."""

    def __init__(self, fact: str, *, hint: str, code: str | None = None) -> None:
        """Message and hint read as two sentences."""
        super().__init__(f"{fact} {hint}")
        self.fact = fact
        self.hint = hint
        self.code = code


class EventError(ReplicatorError):
    """The event is not a batch of records of a DynamoDB stream."""


class StreamViewTypeError(EventError):
    """The stream's view type leaves out the new image, so that no change can be applied."""


class SettingsError(ReplicatorError):
    """An environment variable is missing, empty or not among the values allowed, or the timeout is too short."""


class SourceError(ReplicatorError):
    """The source table is missing, denied or wrong: a fault of the deployment, not of a key."""


class ReplicaError(ReplicatorError):
    """The replica table is missing, denied or wrong: a fault of the deployment, not of a record."""


class KeySchemaError(ReplicaError):
    """The replica's key attributes differ from those of the source in name or type."""


class QuarantineError(ReplicatorError):
    """The quarantine bucket is missing or denied, or a whole stream was about to be quarantined."""


class UnreportableError(ReplicatorError):
    """A record that Lambda cannot be told of by sequence number was neither applied nor quarantined."""


class TaskError(Exception):
    """A task ends without having done its work. `fact` is what happened, `hint` what to try.

    `facts` is what was done until then, for a program.
    """

    def __init__(self, fact: str, *, hint: str, facts: Mapping[str, Any] | None = None) -> None:
        """Fact and hint are one sentence each; the hint begins in lower case, since it follows `Try:`."""
        self.fact = " ".join(fact.split())
        super().__init__(self.fact)
        self.hint = hint
        self.facts = facts or {}


class AttentionError(TaskError):
    """A task has done its work, and something that it found requires attention."""


class StoppedError(TaskError):
    """A task was interrupted before it had done its work."""


class NoTableError(TaskError):
    """A table that is named is not there."""


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Within the block an error of the operating system that names no file gets this name."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(what)
        raise
