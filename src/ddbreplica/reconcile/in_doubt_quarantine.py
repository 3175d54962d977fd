"""A journal whose in-doubt keys are put into quarantine as well, as the function puts its own.

Whoever redrives next, from any machine, finds them there, and leaves them alone until nothing can land any more.
"""

from collections.abc import Sequence
from typing import Any

from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import QuarantineError, TaskError
from ddbreplica.model import SUSPECT, Journal, Key, Quarantined, Table
from ddbreplica.records.decode import attributes_of

_HINT = "run the same command again on this machine: its state has the keys, and holds them back."


class QuarantiningJournal:
    """The same journal; `suspect` returns when an object of each key is in the bucket as well."""

    def __init__(
        self,
        journal: Journal,
        quarantine: Quarantine,
        *,
        source: Table,
        command: str,
    ) -> None:
        """`quarantine` is the replica's part of the bucket; `command` is who writes."""
        self._journal = journal
        self._command = command
        self._quarantine = quarantine
        self._source_arn = source.arn

    @classmethod
    def of(
        cls, journal: Journal, connection: Connection, bucket: str, source: Table, *, command: str
    ) -> "QuarantiningJournal":
        """Of a command, between the connection's two tables."""
        quarantine = Quarantine(
            bucket,
            table=connection.replica.short_name,
            connect=lambda: connection.buckets,
            skew=connection.clock,
        )
        return cls(journal, quarantine, source=source, command=command)

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys, durably when it returns; return those that are not held back."""
        return self._journal.intend(keys)

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys."""
        self._journal.confirm(keys)

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        """Hold keys back, in this run and the next ones. Raises TaskError if they cannot be put into quarantine."""
        self._journal.mark_in_doubt(keys)
        records = tuple(self._in_doubt_record(position, key) for position, key in enumerate(keys))
        # With a patience of its own: Ctrl-C, and a table that stands still, are why keys are in doubt.
        deadline = Patience(Interrupt()).deadline()
        try:
            kept = self._quarantine.keep(
                (), records, before=None, puts_applied=0, request_id=self._command, deadline=deadline
            )
        except QuarantineError as error:
            raise _unkept(error.fact[0].lower() + error.fact[1:]) from error
        if kept.failures:
            refusal = kept.failures[0].refusal
            raise _unkept(f"{refusal.code}: {refusal.message}")

    def _in_doubt_record(self, position: int, key: Key) -> Quarantined:
        record: dict[str, Any] = {
            "eventSourceARN": self._source_arn,
            "dynamodb": {"Keys": attributes_of(key)},
        }
        reason = f"a write of {self._command} was not answered and may still land"
        return Quarantined(position, None, key, record, reason, SUSPECT)


def _unkept(why: str) -> TaskError:
    return TaskError(
        f"a write was not answered, and its key cannot be put into quarantine: {why.rstrip('.')}.", hint=_HINT
    )
