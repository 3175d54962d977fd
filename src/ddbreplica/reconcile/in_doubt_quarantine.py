"""Also quarantine the keys of in-doubt writes, as the function does with its own.

A later `redrive`, on any machine, finds them in the bucket and waits until the writes can no longer land.
"""

from collections.abc import Sequence
from typing import Any

from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import QuarantineError, TaskError
from ddbreplica.model import INTERRUPTED, SUSPECT, Journal, Key, Quarantined, Table
from ddbreplica.records.decode import attributes_of

HINT = "run the same command again in the same directory: its state file has the key and holds it back."

_UNKEPT = {
    SUSPECT: "a write got no response and may still land, and its key cannot be quarantined",
    INTERRUPTED: "a worker ended before it confirmed a key, which cannot be quarantined",
}


class QuarantiningJournal:
    """A journal whose `mark_in_doubt` returns after an object of each key is in the quarantine bucket as well."""

    def __init__(
        self,
        journal: Journal,
        quarantine: Quarantine,
        *,
        source: Table,
        command: str,
        hint: str = HINT,
    ) -> None:
        """Wrap a journal. `quarantine` is the replica's prefix of the bucket; `command` is the one that writes.

        `hint` is what to do if a key cannot be quarantined.
        """
        self._journal = journal
        self._command = command
        self._hint = hint
        self._quarantine = quarantine
        self._source_arn = source.arn

    @classmethod
    def of(
        cls,
        journal: Journal,
        connection: Connection,
        bucket: str,
        source: Table,
        *,
        command: str,
        hint: str = HINT,
    ) -> "QuarantiningJournal":
        """Wrap the journal of a command for the connection's two tables."""
        quarantine = Quarantine(
            bucket,
            table=connection.replica.short_name,
            connect=lambda: connection.buckets,
            skew=connection.clock,
        )
        return cls(journal, quarantine, source=source, command=command, hint=hint)

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys, durably. Return those that are not held back."""
        return self._journal.intend(keys)

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys."""
        self._journal.confirm(keys)

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        """Hold keys back, in this run and the next ones. Raises TaskError if they cannot be quarantined."""
        # In the journal first: it is on this machine, and has the keys even if the bucket cannot be reached.
        self._journal.mark_in_doubt(keys)
        self._keep(keys, SUSPECT, f"a write of {self._command} got no response and may still land")

    def hand_over(self, keys: Sequence[Key]) -> None:
        """Quarantine keys that a worker may have written without confirming them, and that it can no longer write.

        A redrive reconciles them without a further hold. Raises TaskError if one of them cannot be quarantined.
        """
        self._keep(keys, INTERRUPTED, f"a worker of {self._command} ended before it confirmed the key")

    def _keep(self, keys: Sequence[Key], code: str, reason: str) -> None:
        records = tuple(self._in_doubt_record(place, key, code, reason) for place, key in enumerate(keys))
        # The command's own patience may be over: keys are in doubt because of Ctrl-C or a table that does not respond.
        deadline = Patience(Interrupt()).deadline()
        try:
            kept = self._quarantine.keep(
                (), records, before=None, puts_applied=0, request_id=self._command, deadline=deadline
            )
        except QuarantineError as error:
            raise self._unkept(code, error.fact[0].lower() + error.fact[1:]) from error
        if kept.failures:
            refusal = kept.failures[0].refusal
            raise self._unkept(code, f"{refusal.code}: {refusal.message}")

    def _in_doubt_record(self, position: int, key: Key, code: str, reason: str) -> Quarantined:
        record: dict[str, Any] = {
            "eventSourceARN": self._source_arn,
            "dynamodb": {"Keys": attributes_of(key)},
        }
        return Quarantined(position, None, key, record, reason, code)

    def _unkept(self, code: str, why: str) -> TaskError:
        return TaskError(f"{_UNKEPT[code]}: {why.rstrip('.')}.", hint=self._hint)
