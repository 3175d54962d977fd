"""Keys → the replica holds what the source holds: the one way in which anything is healed.

A key's state is read from the source, written to the replica, and read again once the write was acknowledged; a
key that changed meanwhile goes round once more. What changes after the last read comes by the stream, later and
in order. So the two converge, however this, the source's writers and the stream interleave, and never is an old
image left over a newer one, or a deleted item brought back.

An archive keeps what the source let expire. There an absence at the source proves nothing: it may be the end of an
item, or only of its time. So nothing is ever deleted there, and what is absent is left undecided.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb.read import read
from ddbreplica.dynamodb.send import SendResult, send
from ddbreplica.errors import ReplicaError, SourceError
from ddbreplica.model import Change, Image, Journal, Key, Refusal, Replica, Source, State, Write
from ddbreplica.records.decode import attributes_of
from ddbreplica.records.plan import plan

ROUNDS = 5

UNDECIDED = "the source has no such item: it was deleted or has expired, and nobody can tell"
"""Why a key of an archive is left undecided."""

IN_DOUBT = "an in-doubt write may still change the replica"
"""Why a key that was reconciled is not certain."""

_NOTHING: Mapping[Key, Image] = MappingProxyType({})
_HINT = (
    "Look at the table, and at the permissions that this is run with; what was begun is open in the journal."
)


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """What is healed, and what that takes. The replica `is_archive` if TTL deletes are not replicated to it."""

    source: Source
    replica: Replica
    journal: Journal
    is_archive: bool = False


@dataclass(slots=True)
class Reconciled:
    """What became of some keys. Each is in one of these, and all but the confirmed stay open in the journal.

    `confirmed`: the replica was written, and the source had the same state still. `changing`: the source had
    another one each time. `in_doubt`: a write was not answered, here or before, and may still land; they may be
    tried again when the journal no longer holds them back. `refused`: a table refuses the key, or its item, by
    itself. `failed`: time ran out, and why it did. `undecided`: of an archive only; the source has no item, or none
    any more, and whether it was deleted or has expired nobody can tell. The archive holds what it held, or what the
    source had in this call.
    """

    confirmed: list[Key] = field(default_factory=list)
    changing: list[Key] = field(default_factory=list)
    in_doubt: list[Key] = field(default_factory=list)
    refused: list[tuple[Key, Refusal]] = field(default_factory=list)
    failed: list[tuple[Key, Refusal]] = field(default_factory=list)
    undecided: list[Key] = field(default_factory=list)


def reconcile(
    keys: Iterable[Key], pair: ReconcileContext, *, deadline: Deadline, seen: Mapping[Key, Image] = _NOTHING
) -> Reconciled:
    """Give the replica the source's state of these keys, and say of each whether that is certain.

    An item in `seen`, which the caller has read from the source, saves the first read; it may be of any age, since
    only the last read confirms. When this has returned a cursor may pass the keys: what is not confirmed is open
    in the journal, as it is when this raises or is killed. No key may be in two calls at a time. Raises
    SourceError or ReplicaError for a fault of the deployment.
    """
    reconciliation = _Reconciliation(pair, deadline)
    reconciliation.reconcile(tuple(dict.fromkeys(keys)), seen)
    return reconciliation.result


class _Reconciliation:
    """One call's work, and what has become of its keys so far."""

    def __init__(self, pair: ReconcileContext, deadline: Deadline) -> None:
        self.result = Reconciled()
        self._pair = pair
        self._deadline = deadline

    def reconcile(self, keys: Sequence[Key], seen: Mapping[Key, Image]) -> None:
        free = self._intend(keys)
        states: dict[Key, State] = {key: seen[key] for key in free if key in seen}
        states |= self._read([key for key in free if key not in seen])
        for _ in range(ROUNDS):
            if not states:
                return
            states = self._round(states)
        self.result.changing += states

    def _intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        free = self._pair.journal.intend(keys)
        self.result.in_doubt += set(keys).difference(free)
        return free

    def _round(self, states: Mapping[Key, State]) -> dict[Key, State]:
        """Write states; return those that are others by now."""
        written = self._write(states)
        now = self._read(written)
        changed = {key: state for key, state in now.items() if state != states[key]}
        confirmed = [key for key in now if key not in changed]
        self._pair.journal.confirm(confirmed)
        self.result.confirmed += confirmed
        return changed

    def _read(self, keys: Sequence[Key]) -> dict[Key, State]:
        """The states that could be read, and that say what the replica has to hold."""
        readings = read(keys, source=self._pair.source, deadline=self._deadline)
        if readings.fault is not None:
            raise SourceError(_fact("source", readings.fault), hint=_HINT, code=readings.fault.code)
        self.result.refused += readings.rejected
        self.result.failed += readings.failed
        return self._decided(readings.states)

    def _decided(self, states: dict[Key, State]) -> dict[Key, State]:
        """Without the absences that prove nothing."""
        if not self._pair.is_archive:
            return states
        self.result.undecided += [key for key, state in states.items() if state is None]
        return {key: state for key, state in states.items() if state is not None}

    def _write(self, states: Mapping[Key, State]) -> Sequence[Key]:
        """The keys that were written, by requests that were all answered."""
        writes = plan(_change(number, key, state) for number, (key, state) in enumerate(states.items()))
        tally = SendResult()
        try:
            send(writes, replica=self._pair.replica, deadline=self._deadline, tally=tally)
        finally:
            in_doubt = {change.key for change, _ in tally.in_doubt.values()}
            if in_doubt:
                self._pair.journal.mark_in_doubt(tuple(in_doubt))
                self.result.in_doubt += in_doubt
        if tally.fault is not None:
            raise ReplicaError(_fact("replica", tally.fault), hint=_HINT, code=tally.fault.code)
        self.result.refused += _not_in_doubt(tally.rejected, in_doubt)
        self.result.failed += _not_in_doubt(tally.failed, in_doubt)
        return [write.change.key for write in tally.applied if write.change.key not in in_doubt]


def _not_in_doubt(
    refused: Iterable[tuple[Write, Refusal]], in_doubt: Container[Key]
) -> list[tuple[Key, Refusal]]:
    return [(write.change.key, why) for write, why in refused if write.change.key not in in_doubt]


def _change(number: int, key: Key, state: State) -> Change:
    """A state as the change that a stream would bring."""
    return Change(
        position=number,
        sequence_number=str(number),
        key=key,
        key_attributes=attributes_of(key),
        image=state,
        created_at=None,
        record={},
    )


def _fact(table: str, fault: Refusal) -> str:
    return f"The {table} table refuses every request: {fault.code}: {fault.message}."
