"""Planned writes → the replica; what was not applied comes back as failures and poison.

Nothing is called poison before the item was refused by itself and the table was looked at again: on the real
service a wrong table name, a wrong key type and an oversized item are all the same ValidationException.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ddbreplica import schema
from ddbreplica.deadline import Deadline
from ddbreplica.errors import ReplicaError, SettingsError
from ddbreplica.model import Change, Failure, Kind, Quarantined, Refusal, Replica, Table, Write
from ddbreplica.plan import fall_back
from ddbreplica.send import OUT_OF_TIME, REQUEST_SECONDS, Tally, send

SUSPECT = "SuspectWrite"
"""The error code of a record whose write was not answered in time."""

_NOT_ACTIVE = Refusal(
    Kind.TRANSIENT,
    "TableNotActive",
    "the replica refused an item, and the table is not ACTIVE: it may be changing",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an invocation's writes.

    Each change is covered by a write applied, a failure (it names the oldest change lost with the write) or
    poison. `suspects` were not answered in time: an image may still land, whatever became of its write since.
    """

    applied: tuple[Write, ...] = ()
    failures: tuple[Failure, ...] = ()
    poison: tuple[Quarantined, ...] = ()
    suspects: tuple[Quarantined, ...] = ()
    retried: int = 0


def write(writes: Sequence[Write], *, replica: Replica, deadline: Deadline) -> Outcome:
    """Apply writes of different keys, each as often as time allows, and say what became of each.

    When it returns or raises, no request is under way. An item that is refused by itself, by a table
    that is active and has the records' key, is poison: its key falls back to its previous image in the batch.
    Raises ReplicaError for a fault of the deployment, SettingsError for a timeout too short for any request.
    """
    if not writes:
        return Outcome()
    _refuse_short_timeout(deadline)
    total = Tally()
    poison: list[Quarantined] = []
    refusal = _check_table(writes, replica, deadline, afresh=False)
    if refusal is not None:
        total.failed += [(write, refusal) for write in writes]
        return _outcome(total, poison)
    pending = writes
    while pending:
        sent = send(pending, replica=replica, deadline=deadline)
        rejected, sent.rejected = sent.rejected, []
        total.add(sent)
        if total.fault is not None:
            raise _fault(total.fault)
        refused = [write for write, _ in rejected]
        refusal = _check_table(refused, replica, deadline, afresh=True) if refused else None
        if refusal is not None:
            total.failed += [(write, refusal) for write, _ in rejected]
            rejected = []
        poison += [_poison(write.change, why) for write, why in rejected]
        pending = [previous for write, _ in rejected if (previous := fall_back(write))]
    return _outcome(total, poison)


def _refuse_short_timeout(deadline: Deadline) -> None:
    if not deadline.allows(REQUEST_SECONDS):
        raise SettingsError(
            f"The function's timeout leaves no room for a request, which needs {REQUEST_SECONDS:g} seconds.",
            hint="Raise the function's Timeout (the template's default is 60 seconds).",
        )


def _check_table(
    writes: Sequence[Write], replica: Replica, deadline: Deadline, *, afresh: bool
) -> Refusal | None:
    """None if the table has the writes' key (and, looked at afresh, is active), or why that is not known."""
    table = _describe(replica, deadline, afresh=afresh)
    if isinstance(table, Refusal):
        return table
    try:
        schema.check(table, (write.change for write in writes))
    except ReplicaError:
        if afresh:
            raise
        # The table may have been mended since this container first saw it.
        return _check_table(writes, replica, deadline, afresh=True)
    return _NOT_ACTIVE if afresh and not table.is_active else None


def _describe(replica: Replica, deadline: Deadline, *, afresh: bool) -> Table | Refusal:
    answer: Table | Refusal = OUT_OF_TIME
    for _ in deadline.attempts(then=REQUEST_SECONDS):
        answer = replica.describe(afresh=afresh)
        if isinstance(answer, Table):
            break
        if answer.kind is not Kind.TRANSIENT:
            raise _fault(answer)
    return answer


def _fault(fault: Refusal) -> ReplicaError:
    return ReplicaError(
        f"The replica table refuses every request: {fault.code}: {fault.message}.",
        hint="Look at the table, at the function's role and at REPLICA_TABLE_NAME; nothing was acknowledged.",
    )


def _outcome(tally: Tally, poison: Sequence[Quarantined]) -> Outcome:
    return Outcome(
        applied=tuple(tally.applied),
        failures=tuple(_failure(write, refusal) for write, refusal in tally.failed),
        poison=tuple(poison),
        suspects=tuple(_suspect(change, why) for change, why in tally.suspects.values()),
        retried=tally.retried,
    )


def _failure(write: Write, refusal: Refusal) -> Failure:
    # The oldest change: if the newest turns out to be poison next time, the good image before it must come too.
    return Failure(write.oldest.position, write.oldest.sequence_number, refusal)


def _poison(change: Change, refusal: Refusal) -> Quarantined:
    return _quarantined(change, f"refused by the replica: {refusal.message}", refusal.code)


def _suspect(change: Change, refusal: Refusal) -> Quarantined:
    return _quarantined(change, f"a write was not answered and may still land: {refusal.message}", SUSPECT)


def _quarantined(change: Change, reason: str, error_code: str) -> Quarantined:
    return Quarantined(
        position=change.position,
        sequence_number=change.sequence_number,
        key=change.key,
        record=change.record,
        reason=reason,
        error_code=error_code,
    )
