"""The errors that end an invocation of the function, or a task such as a backfill.

    ReplicatorError
    ├── EventError               the event is not a batch of a DynamoDB stream
    │   └── StreamViewTypeError    the stream carries no new images
    ├── SettingsError            a setting of the function is missing or not allowed
    │   └── TransformError         the transform is not valid or changes a key, or its secret cannot be read
    ├── SourceError              the source table cannot be read, whatever the keys
    ├── ReplicaError             the replica table cannot be written, whatever the records
    │   └── KeySchemaError         the replica's key is not the source's key
    ├── QuarantineError          the bucket refuses, or too many records would be quarantined
    └── UnreportableError        a record without sequence number was neither applied nor quarantined

    TaskError                    a backfill, a verification, a redrive or another task cannot be done
    ├── AttentionError           it was done, and something requires attention
    ├── StoppedError             it was interrupted
    ├── NoTableError             a table does not exist
    ├── TransformChangedError    the function has another transform than when the task began
    └── JobEndedError            a job inside AWS cannot go on

Inside a batch a failed write is a value (`model.Failure`). Each ReplicatorError fails the invocation: no record is
checkpointed, and Lambda delivers the batch again. Keys that a reconciliation has opened stay open in its journal.

A TaskError carries a fact and a hint for the person or program that started the task. The terminal decides how it is
shown, and with which exit status a command ends.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class ReplicatorError(Exception):
    """The invocation or the task cannot continue.

    `fact` is what happened, `hint` what to do about it, and `code` the error code if AWS refused a request.
    """

    def __init__(self, fact: str, *, hint: str, code: str | None = None) -> None:
        """Join fact and hint, which are sentences, into the message of the exception."""
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


class TransformError(SettingsError):
    """The transform is not valid or changes a key attribute, or the secret under which it hashes cannot be read."""


class SourceError(ReplicatorError):
    """The source table is missing, denied or not the right one: the deployment is at fault, not a key."""


class ReplicaError(ReplicatorError):
    """The replica table is missing, denied or not the right one: the deployment is at fault, not a record."""


class KeySchemaError(ReplicaError):
    """The replica's key attributes differ from those of the source in name or type."""


class QuarantineError(ReplicatorError):
    """The quarantine bucket is missing or denied, or so many records fail that the deployment is at fault.

    `in_doubt_lost` counts the in-doubt writes whose records could not be kept: nothing else knows of them.
    """

    in_doubt_lost = 0


class UnreportableError(ReplicatorError):
    """A record without a sequence number to report to Lambda was neither applied nor quarantined."""


class TaskError(Exception):
    """The task ended before its work was done. `fact` is what happened, `hint` what to try.

    `facts` are the figures of the work that was done until then, for a program.
    """

    def __init__(self, fact: str, *, hint: str, facts: Mapping[str, Any] | None = None) -> None:
        """Take fact and hint, one sentence each; the hint begins in lower case, since it is shown after `Try:`."""
        # On one line: a message of AWS that is quoted in it may have several.
        self.fact = " ".join(fact.split())
        super().__init__(self.fact)
        self.hint = hint
        self.facts = facts or {}


class AttentionError(TaskError):
    """The task has done its work, and something that it found requires attention."""


class StoppedError(TaskError):
    """The task was interrupted before its work was done."""


class NoTableError(TaskError):
    """A table does not exist."""


class TransformChangedError(TaskError):
    """The function has another transform than when the task began, so that what the task has done is not final."""


class JobEndedError(TaskError):
    """A job inside AWS cannot go on, however often its work is tried again."""


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Add the name of a file to each error of the operating system in the block that names no file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(what)
        raise
