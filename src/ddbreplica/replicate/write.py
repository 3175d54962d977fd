"""Planned writes → the replica; what was not applied comes back as failures and poison.

Nothing is called poison before the item was refused by itself and the table was looked at again: on the real
service a wrong table name, a wrong key type and an oversized item are all the same ValidationException.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb.send import OUT_OF_TIME, REQUEST_SECONDS, SendResult, send
from ddbreplica.errors import ReplicaError, SettingsError
from ddbreplica.model import (
    SUSPECT,
    Change,
    Failure,
    Quarantined,
    Refusal,
    RefusalKind,
    Replica,
    Table,
    Write,
)
from ddbreplica.records import schema
from ddbreplica.records.plan import fall_back

_Rejected: TypeAlias = tuple[Write, Refusal]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an invocation's writes.

    Each change is covered by a write applied, a failure (it names the oldest change lost with the write) or
    poison. `in_doubt` are in doubt: an image may still land, whatever became of its write since. Where `ended` is an
    error the invocation has to fail with it once the suspects are kept, and nothing else counts.
    """

    applied: tuple[Write, ...] = ()
    failures: tuple[Failure, ...] = ()
    poison: tuple[Quarantined, ...] = ()
    in_doubt: tuple[Quarantined, ...] = ()
    retried: int = 0
    ended: Exception | None = None


def write(writes: Sequence[Write], *, replica: Replica, deadline: Deadline) -> Outcome:
    """Apply writes of different keys, each as often as time allows, and say what became of each.

    When it returns or raises, no request is under way. An item that is refused by itself, by a table that takes
    writes and has the records' key, is poison: its key falls back to its previous image in the batch.
    Raises ReplicaError for a fault of the deployment, SettingsError for a timeout too short for any request; where
    a write is in doubt by then, the error is in `ended` instead, so that what is known of the write is not lost.
    """
    if not writes:
        return Outcome()
    _refuse_short_timeout(deadline)
    writer = _Writer(replica, deadline)
    try:
        pending = writer.admit(writes)
        while pending:
            rejected = writer.send_once(pending)
            pending = writer.judge(rejected)
    except Exception as error:
        if not writer.total.in_doubt:
            raise
        return writer.outcome(ended=error)
    return writer.outcome()


class _Writer:
    """Sends writes, and decides what a refusal of the table says of its items."""

    def __init__(self, replica: Replica, deadline: Deadline) -> None:
        self.total = SendResult()
        self._poison: list[Quarantined] = []
        self._replica = replica
        self._deadline = deadline

    def admit(self, writes: Sequence[Write]) -> Sequence[Write]:
        """Return the writes if the table has their key; otherwise they have failed. Raises ReplicaError."""
        refusal = _check_table(writes, self._replica, self._deadline, refresh=False)
        if refusal is not None:
            self.total.failed += [(write, refusal) for write in writes]
            return ()
        return writes

    def send_once(self, writes: Sequence[Write]) -> Sequence[_Rejected]:
        """Send once; return the items that were refused by themselves. Raises ReplicaError for a fault."""
        sent = SendResult()
        try:
            send(writes, replica=self._replica, deadline=self._deadline, tally=sent)
        finally:
            rejected, sent.rejected = sent.rejected, []
            self.total.add(sent)
        if self.total.fault is not None:
            raise _fault(self.total.fault)
        return rejected

    def judge(self, rejected: Sequence[_Rejected]) -> Sequence[Write]:
        """Call refused items poison if the table is as it should be; return what to write in their place."""
        refused = [write for write, _ in rejected]
        refusal = _check_table(refused, self._replica, self._deadline, refresh=True) if refused else None
        if refusal is not None:
            self.total.failed += [(write, refusal) for write in refused]
            return ()
        self._poison += [_poison(write.change, why) for write, why in rejected]
        return [previous for write in refused if (previous := fall_back(write))]

    def outcome(self, *, ended: Exception | None = None) -> Outcome:
        """What has become of everything so far."""
        return Outcome(
            applied=tuple(self.total.applied),
            failures=tuple(_failure(write, refusal) for write, refusal in self.total.failed),
            poison=tuple(self._poison),
            in_doubt=tuple(_in_doubt_record(change, why) for change, why in self.total.in_doubt.values()),
            retried=self.total.retried,
            ended=ended,
        )


def _refuse_short_timeout(deadline: Deadline) -> None:
    if not deadline.allows(REQUEST_SECONDS):
        raise SettingsError(
            f"The function's timeout leaves no room for a request, which needs {REQUEST_SECONDS:g} seconds.",
            hint="Raise the function's Timeout (the template's default is 60 seconds).",
        )


def _check_table(
    writes: Sequence[Write], replica: Replica, deadline: Deadline, *, refresh: bool
) -> Refusal | None:
    """None if the table has the writes' key (and, looked at afresh, takes writes), or why that is not known."""
    table = _describe(replica, deadline, refresh=refresh)
    if isinstance(table, Refusal):
        return table
    try:
        schema.check(table, (write.change for write in writes))
    except ReplicaError:
        if refresh:
            raise
        # The table may have been mended since this container first saw it.
        return _check_table(writes, replica, deadline, refresh=True)
    return _not_writable(table) if refresh and not table.is_writable else None


def _not_writable(table: Table) -> Refusal:
    message = f"the replica refused an item, and the table's status is {table.status}"
    return Refusal(RefusalKind.TRANSIENT, "TableNotActive", message)


def _describe(replica: Replica, deadline: Deadline, *, refresh: bool) -> Table | Refusal:
    answer: Table | Refusal = OUT_OF_TIME
    for _ in deadline.attempts(then=REQUEST_SECONDS):
        answer = replica.describe(refresh=refresh)
        if isinstance(answer, Table):
            break
        if answer.kind is not RefusalKind.TRANSIENT:
            raise _fault(answer)
    return answer


def _fault(fault: Refusal) -> ReplicaError:
    return ReplicaError(
        f"The replica table refuses every request: {fault.code}: {fault.message}.",
        hint="Look at the table, at the function's role and at REPLICA_TABLE_NAME; nothing was acknowledged.",
    )


def _failure(write: Write, refusal: Refusal) -> Failure:
    # The oldest change: if the newest turns out to be poison next time, the good image before it must come too.
    return Failure(write.oldest.position, write.oldest.sequence_number, refusal)


def _poison(change: Change, refusal: Refusal) -> Quarantined:
    return _quarantined(change, f"refused by the replica: {refusal.message}", refusal.code)


def _in_doubt_record(change: Change, refusal: Refusal) -> Quarantined:
    return _quarantined(change, f"a write is in doubt and may still land: {refusal.message}", SUSPECT)


def _quarantined(change: Change, reason: str, error_code: str) -> Quarantined:
    return Quarantined(
        position=change.position,
        sequence_number=change.sequence_number,
        key=change.key,
        record=change.record,
        reason=reason,
        error_code=error_code,
    )
