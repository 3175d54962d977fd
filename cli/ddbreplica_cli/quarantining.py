"""A journal of healing whose suspects outlive the process: they are put into quarantine, as the function puts its own.

Whoever redrives next finds them there, and leaves them alone until nothing can land any more.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ddbreplica.decode import attributes_of
from ddbreplica.errors import QuarantineError
from ddbreplica.model import Key, Quarantined, Table
from ddbreplica.quarantine import Quarantine
from ddbreplica.write import SUSPECT
from ddbreplica_cli.connection import Connection
from ddbreplica_cli.errors import CommandError
from ddbreplica_cli.journal import MemoryJournal
from ddbreplica_cli.patience import Interrupt, Patience

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HINT = "let 15 minutes pass before you run the same command again: a write may still land until then."


class QuarantiningJournal(MemoryJournal):
    """The Journal of one run; `suspect` returns when an object of each key is in the bucket."""

    def __init__(self, client: "S3Client", bucket: str, *, replica: str, source: Table, command: str) -> None:
        """`replica` is the replica's name, by which the bucket is parted; `command` is who writes."""
        super().__init__()
        self._command = command
        self._quarantine = Quarantine(bucket, table=replica, connect=lambda: client)
        self._source_arn = source.arn

    @classmethod
    def of(cls, connection: Connection, bucket: str, source: Table, *, command: str) -> "QuarantiningJournal":
        """Of a command, between the connection's two tables."""
        return cls(
            connection.buckets, bucket, replica=connection.replica.short_name, source=source, command=command
        )

    def suspect(self, keys: Sequence[Key]) -> None:
        """Hold keys back, in this run and the next ones. Raises CommandError if they cannot be kept."""
        super().suspect(keys)
        records = tuple(self._suspect(position, key) for position, key in enumerate(keys))
        # With a patience of its own: Ctrl-C, and a table that stands still, are why keys are suspect.
        deadline = Patience(Interrupt()).deadline()
        try:
            kept = self._quarantine.keep(
                (), records, below=None, puts_applied=0, request_id=self._command, deadline=deadline
            )
        except QuarantineError as error:
            raise _unkept(error.fact[0].lower() + error.fact[1:].rstrip(".")) from error
        if kept.failures:
            refusal = kept.failures[0].refusal
            raise _unkept(f"{refusal.code}: {refusal.message}")

    def _suspect(self, position: int, key: Key) -> Quarantined:
        record: dict[str, Any] = {
            "eventSourceARN": self._source_arn,
            "dynamodb": {"Keys": attributes_of(key)},
        }
        reason = f"a write of {self._command} was not answered and may still land"
        return Quarantined(position, None, key, record, reason, SUSPECT)


def _unkept(why: str) -> CommandError:
    return CommandError(
        f"a write was not answered, and its key cannot be put into quarantine: {why}.", hint=_HINT
    )
