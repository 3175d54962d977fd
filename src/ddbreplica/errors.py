"""Why an invocation, or a healing, cannot go on.

    ReplicatorError
    ├── EventError               what Lambda sent is not a batch of a DynamoDB stream
    │   └── StreamViewTypeError    the stream carries no new images
    ├── SettingsError            a setting of the function is missing or not allowed
    ├── SourceError              the source table cannot be read, whatever the keys
    ├── ReplicaError             the replica table cannot take the batch, whatever the records
    │   └── KeySchemaError         its key is not the source's key
    ├── QuarantineError          the bucket refuses, or too much would go into it
    ├── MissingPartError         botocore lacks a part that it does not document (in aws.botocore_private)
    └── UnreportableError        a record without sequence number was neither applied nor kept

Inside a batch a failed write is a value (`model.Failure`); each of these fails the invocation, and Lambda keeps
the batch and tries it again. Nothing is acknowledged. What a healing had begun stays open in its journal.
"""


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
