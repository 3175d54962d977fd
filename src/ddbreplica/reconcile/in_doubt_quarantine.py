"""Also quarantine the keys of in-doubt writes, as the function does with its own.

A later `redrive`, on any machine, finds them in the bucket and waits until the writes can no longer land.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import QuarantineError, TaskError
from ddbreplica.model import INTERRUPTED, SUSPECT, Journal, Key, Quarantined, Table
from ddbreplica.records.decode import attributes_of

HINT = "run the same command again in the same directory: its state file has the key and holds it back."

_UNKEPT: Final = {
    SUSPECT: "a write got no response and may still land, and its key cannot be quarantined",
    INTERRUPTED: "a worker ended before it confirmed a key, which cannot be quarantined",
}

Reasons: TypeAlias = Mapping[Key, tuple[str, str]]
"""For each key an error code, and a reason for an operator."""


class KeyQuarantine:
    """Keeps keys without images in the quarantine bucket: a redrive only needs the key."""

    def __init__(self, quarantine: Quarantine, *, source: Table, command: str, hint: str = HINT) -> None:
        """Take the replica's prefix of the bucket. `command` is the one that writes.

        `hint` is what to do if a key cannot be quarantined.
        """
        self.command = command
        self._hint = hint
        self._quarantine = quarantine
        self._source_arn = source.arn

    @classmethod
    def of(
        cls, connection: Connection, bucket: str, source: Table, *, command: str, hint: str = HINT
    ) -> "KeyQuarantine":
        """Return the quarantine of the connection's pair."""
        return cls(_quarantine(connection, bucket), source=source, command=command, hint=hint)

    def keep_interrupted(self, keys: Sequence[Key]) -> None:
        """Keep keys that a worker may have written without confirming them, and that it can no longer write.

        A redrive reconciles them without a further hold. Raises TaskError if one of them cannot be kept.
        """
        reason = f"a worker of {self.command} ended before it confirmed the key"
        self.keep(dict.fromkeys(keys, (INTERRUPTED, reason)))

    def keep(self, reasons: Reasons) -> None:
        """Keep keys. Raises TaskError if one of them cannot be kept."""
        self._put((), self._records(reasons), puts_applied=0)

    def keep_poison(self, reasons: Reasons, *, puts_applied: int) -> None:
        """Keep keys that a table refuses. `puts_applied` counts the items that were put meanwhile.

        Raises TaskError also if so many keys in a row were refused that the replica is at fault.
        """
        self._put(self._records(reasons), (), puts_applied=puts_applied)

    def _put(
        self, poison: Sequence[Quarantined], others: Sequence[Quarantined], *, puts_applied: int
    ) -> None:
        # The command's own patience may be over: keys are in doubt because of Ctrl-C or a table that does not respond.
        deadline = Patience(Interrupt()).deadline()
        try:
            kept = self._quarantine.keep(
                poison,
                others,
                before=None,
                puts_applied=puts_applied,
                request_id=self.command,
                deadline=deadline,
            )
        except QuarantineError as error:
            raise self._unkept((*poison, *others), error.fact[0].lower() + error.fact[1:]) from error
        if kept.failures:
            refusal = kept.failures[0].refusal
            raise self._unkept((*poison, *others), f"{refusal.code}: {refusal.message}")

    def _records(self, reasons: Reasons) -> Sequence[Quarantined]:
        return [
            Quarantined(position, None, key, self._record(key), reason, code)
            for position, (key, (code, reason)) in enumerate(reasons.items())
        ]

    def _record(self, key: Key) -> dict[str, Any]:
        return {"eventSourceARN": self._source_arn, "dynamodb": {"Keys": attributes_of(key)}}

    def _unkept(self, records: Sequence[Quarantined], why: str) -> TaskError:
        what = _UNKEPT.get(records[0].error_code, "a key that was not reconciled cannot be quarantined")
        return TaskError(f"{what}: {why.rstrip('.')}.", hint=self._hint)


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
        """Wrap a journal. The other arguments are those of KeyQuarantine."""
        self._journal = journal
        self.quarantine = KeyQuarantine(quarantine, source=source, command=command, hint=hint)

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
        quarantine = _quarantine(connection, bucket)
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
        reason = f"a write of {self.quarantine.command} got no response and may still land"
        self.quarantine.keep(dict.fromkeys(keys, (SUSPECT, reason)))

    def hand_over(self, keys: Sequence[Key]) -> None:
        """Quarantine keys that a worker left open, as `KeyQuarantine.keep_interrupted` does."""
        self.quarantine.keep_interrupted(keys)


def _quarantine(connection: Connection, bucket: str) -> Quarantine:
    return Quarantine(
        bucket,
        table=connection.replica.short_name,
        connect=lambda: connection.buckets,
        skew=connection.clock,
    )
