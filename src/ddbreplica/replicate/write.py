"""Apply planned writes to the replica, and return those that were not applied as failures and poison.

An item counts as poison only after it was refused in a request of its own and the table was described again. DynamoDB
refuses a wrong table, a wrong key type and an oversized item with the same ValidationException.
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
    """The result of the writes of an invocation.

    Each change is covered by an applied write, a failure (of the oldest change that depends on the write) or a poison
    record. `in_doubt` are the records of in-doubt writes: AWS may still apply such a write, whatever else happened to
    it. If `ended` is an error, the invocation has to fail with it after the `in_doubt` records were kept.
    """

    applied: tuple[Write, ...] = ()
    failures: tuple[Failure, ...] = ()
    poison: tuple[Quarantined, ...] = ()
    in_doubt: tuple[Quarantined, ...] = ()
    retried: int = 0
    ended: Exception | None = None


def write(writes: Sequence[Write], *, replica: Replica, deadline: Deadline) -> Outcome:
    """Apply writes of different keys, repeat them while there is time, and return the result of each.

    No request is under way when the call returns or raises. An item is poison if it is refused in a request of its own
    by a table that accepts writes and has the records' key; then the key's previous image of the batch is written.
    Raises ReplicaError for a fault of the deployment, SettingsError for a timeout that is too short for a request. If a
    write is in doubt by then, the error is returned in `ended` instead, so that its record can be kept.
    """
    if not writes:
        return Outcome()
    # Before the first write: with such a timeout no write would ever start, and every batch would be repeated.
    _refuse_short_timeout(deadline)
    writer = _Writer(replica, deadline)
    try:
        pending = writer.admit(writes)
        while pending:
            rejected = writer.send_once(pending)
            pending = writer.judge(rejected)
    except Exception as error:
        # The records of in-doubt writes have to be quarantined first, since nothing else remembers them.
        if not writer.total.in_doubt:
            raise
        return writer.outcome(ended=error)
    return writer.outcome()


class _Writer:
    """Sends writes, and decides whether a refused item is poison."""

    def __init__(self, replica: Replica, deadline: Deadline) -> None:
        self.total = SendResult()
        self._poison: list[Quarantined] = []
        self._replica = replica
        self._deadline = deadline

    def admit(self, writes: Sequence[Write]) -> Sequence[Write]:
        """Return the writes if the table has their key. If that cannot be checked, they fail. Raises ReplicaError."""
        # A remembered description is enough here: DynamoDB itself refuses what does not fit.
        refusal = _check_table(writes, self._replica, self._deadline, refresh=False)
        if refusal is not None:
            self.total.failed += [(write, refusal) for write in writes]
            return ()
        return writes

    def send_once(self, writes: Sequence[Write]) -> Sequence[_Rejected]:
        """Send the writes, and return those that were refused in a request of their own. Raises ReplicaError."""
        sent = SendResult()
        try:
            send(writes, replica=self._replica, deadline=self._deadline, tally=sent)
        finally:
            # Also after an exception, or the in-doubt writes in `sent` would be lost.
            rejected, sent.rejected = sent.rejected, []
            self.total.add(sent)
        if self.total.fault is not None:
            raise _fault(self.total.fault)
        return rejected

    def judge(self, rejected: Sequence[_Rejected]) -> Sequence[Write]:
        """Record refused items as poison if the table is the right one. Return the writes to send in their place."""
        refused = [write for write, _ in rejected]
        # Described again: a table that was replaced since then may refuse every item.
        refusal = _check_table(refused, self._replica, self._deadline, refresh=True) if refused else None
        if refusal is not None:
            self.total.failed += [(write, refusal) for write in refused]
            return ()
        self._poison += [_poison(write.change, why) for write, why in rejected]
        # The key's previous image is written: the replica then equals the source without the quarantined records,
        # wherever Lambda cut the batch.
        return [previous for write in refused if (previous := fall_back(write))]

    def outcome(self, *, ended: Exception | None = None) -> Outcome:
        """Return the result of all writes so far."""
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
            f"The function's timeout is too short for a request, which needs {REQUEST_SECONDS:g} seconds.",
            hint="Raise the function's Timeout (the template's default is 60 seconds).",
        )


def _check_table(
    writes: Sequence[Write], replica: Replica, deadline: Deadline, *, refresh: bool
) -> Refusal | None:
    """Return None if the table has the writes' key (and, after a refresh, accepts writes), or why that is unknown."""
    table = _describe(replica, deadline, refresh=refresh)
    if isinstance(table, Refusal):
        return table
    try:
        schema.check(table, (write.change for write in writes))
    except ReplicaError:
        if refresh:
            raise
        # The table may have been fixed since this execution environment described it.
        return _check_table(writes, replica, deadline, refresh=True)
    # A table that is being created or deleted refuses good items too. UPDATING is no such status: it may last for
    # hours.
    return _not_writable(table) if refresh and not table.is_writable else None


def _not_writable(table: Table) -> Refusal:
    message = f"the replica refused an item, and the table's status is {table.status}"
    return Refusal(RefusalKind.TRANSIENT, "TableNotActive", message)


def _describe(replica: Replica, deadline: Deadline, *, refresh: bool) -> Table | Refusal:
    described: Table | Refusal = OUT_OF_TIME
    for _ in deadline.attempts(then=REQUEST_SECONDS):
        described = replica.describe(refresh=refresh)
        if isinstance(described, Table):
            break
        if described.kind is not RefusalKind.TRANSIENT:
            raise _fault(described)
    return described


def _fault(fault: Refusal) -> ReplicaError:
    return ReplicaError(
        f"The replica table refuses every request: {fault.code}: {fault.message}.",
        hint="Check the table, the function's role and REPLICA_TABLE_NAME; no record of the batch was checkpointed.",
    )


def _failure(write: Write, refusal: Refusal) -> Failure:
    # The oldest change is reported. If the newest one proves to be poison next time, the image before it has to be
    # written, so Lambda must deliver that record again too.
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
