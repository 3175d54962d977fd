"""Give the replica the source's present state of some keys. Every command repairs with this algorithm.

Read a key's state from the source, write it to the replica, and read it again after the response to the write. If
the state has changed, repeat. The function applies each change after the last read, later and in order. So the two
tables converge, however this algorithm, the source's writers and the function interleave: an old image never stays
over a newer one, and a deleted item does not come back.

An archive keeps items that have expired at the source. If the source lacks an item, it was deleted or has expired, and
nothing tells which. So nothing is ever deleted from an archive, and such a key is left undecided.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb.read import read
from ddbreplica.dynamodb.send import SendResult, send
from ddbreplica.errors import ReplicaError, SourceError
from ddbreplica.model import (
    Change,
    Image,
    Journal,
    Key,
    Refusal,
    RefusalKind,
    Replica,
    Source,
    State,
    Write,
)
from ddbreplica.reconcile.rescan import Rescan
from ddbreplica.records.decode import attributes_of
from ddbreplica.records.plan import plan
from ddbreplica.transform.view import UNTRANSFORMABLE, untransformable

ROUNDS = 5

UNDECIDED = "the item no longer exists in the source: it was deleted or has expired"
"""The reason of an undecided key, of an archive."""

IN_DOUBT = "an in-doubt write may still change the replica"
"""The reason of a key in doubt."""

_NOTHING: Mapping[Key, Image] = MappingProxyType({})
_HINT = "Check the table and the permissions of this command; the keys that it has begun stay open in the state file."


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """Both tables and the journal. The replica `is_archive` if TTL deletes are not replicated to it."""

    source: Source
    replica: Replica
    journal: Journal
    is_archive: bool = False


@dataclass(slots=True)
class Reconciled:
    """The outcome of each key. Each is in one of these lists; all but the confirmed keys stay open in the journal.

    - `confirmed`: the replica was written, and afterwards the source still had the same state.
    - `changing`: the source had changed after each write.
    - `in_doubt`: a write of this or an earlier run got no response and may still land. The key can be reconciled when
      the journal no longer holds it back.
    - `refused`: a table refuses this key or its item, but not the others; or a rule of the transform cannot take it.
    - `failed`: the deadline passed; the refusal is the last one.
    - `undecided`: of an archive only. The source has no item: it was deleted or has expired. The archive keeps what it
      held, or holds what the source had during this call.
    """

    confirmed: list[Key] = field(default_factory=list)
    changing: list[Key] = field(default_factory=list)
    in_doubt: list[Key] = field(default_factory=list)
    refused: list[tuple[Key, Refusal]] = field(default_factory=list)
    failed: list[tuple[Key, Refusal]] = field(default_factory=list)
    undecided: list[Key] = field(default_factory=list)


def reconcile(
    keys: Iterable[Key],
    pair: ReconcileContext,
    *,
    deadline: Deadline,
    seen: Mapping[Key, Image] = _NOTHING,
    rescan: Rescan | None = None,
) -> Reconciled:
    """Give the replica the source's state of these keys, and return the outcome of each.

    `seen` has items that the caller has read from the source, which saves the first read of them. They may be of any
    age, since only the last read confirms. If they are a page of a scan, `rescan` is the scan that may replace the
    reads by key after the first write. A caller may record its position behind the keys when this returns: keys that
    are not confirmed are open in the journal, also if this raises or is killed. No key may be in two calls at a time.
    Raises SourceError or ReplicaError if a table refuses every request, and what the `rescan` raises.
    """
    reconciliation = _Reconciliation(pair, deadline)
    reconciliation.reconcile(tuple(dict.fromkeys(keys)), seen, rescan)
    return reconciliation.result


class _Reconciliation:
    """One call, and the outcomes of its keys so far."""

    def __init__(self, pair: ReconcileContext, deadline: Deadline) -> None:
        self.result = Reconciled()
        self._pair = pair
        self._deadline = deadline

    def reconcile(self, keys: Sequence[Key], seen: Mapping[Key, Image], rescan: Rescan | None) -> None:
        free = self._intend(keys)
        states: dict[Key, State] = {key: seen[key] for key in free if key in seen}
        states |= self._read([key for key in free if key not in seen])
        states = self._writable(states)
        for _ in range(ROUNDS):
            if not states:
                return
            states = self._round(states, rescan)
            rescan = None  # the keys of later rounds are few, so that reading them by key takes fewer units
        self.result.changing += states

    def _intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        # Before the first write, so that after a kill the next run knows which keys may still change.
        free = self._pair.journal.intend(keys)
        self.result.in_doubt += set(keys).difference(free)
        return free

    def _round(self, states: Mapping[Key, State], rescan: Rescan | None) -> dict[Key, State]:
        """Write states. Return the present states of the keys that have changed since."""
        written = self._write(states)
        # Only after the response to each write: a change that this read does not show arrives by the stream, later.
        now = self._writable(self._read_again({key: states[key] for key in written}, rescan))
        changed = {key: state for key, state in now.items() if state != states[key]}
        confirmed = [key for key in now if key not in changed]
        self._pair.journal.confirm(confirmed)
        self.result.confirmed += confirmed
        return changed

    def _read_again(self, states: Mapping[Key, State], rescan: Rescan | None) -> Mapping[Key, State]:
        """Return the present states of keys that had these states: by a scan if that costs less, and by key."""
        shown: Mapping[Key, Image] = {}
        if rescan is not None and rescan.costs_less(states.values()):
            shown = rescan.images(states)
        # A scan that does not show a key says nothing about it: the item may have moved behind the end of the range.
        return {**shown, **self._read([key for key in states if key not in shown])}

    def _read(self, keys: Sequence[Key]) -> Mapping[Key, State]:
        """Return the states that could be read."""
        readings = read(keys, source=self._pair.source, deadline=self._deadline)
        if readings.fault is not None:
            raise SourceError(_fact("source", readings.fault), hint=_HINT, code=readings.fault.code)
        self.result.refused += readings.rejected
        self.result.failed += readings.failed
        return readings.states

    def _writable(self, states: Mapping[Key, State]) -> dict[Key, State]:
        """Return the states that can be written. The other keys are refused, or need review."""
        writable: dict[Key, State] = {}
        for key, state in states.items():
            if reason := untransformable(state):
                self.result.refused.append((key, Refusal(RefusalKind.REJECTED, UNTRANSFORMABLE, reason)))
            elif state is None and self._pair.is_archive:
                self.result.undecided.append(key)
            else:
                writable[key] = state
        return writable

    def _write(self, states: Mapping[Key, State]) -> Sequence[Key]:
        """Write states. Return the keys whose writes all got a response and were applied."""
        writes = plan(_change(number, key, state) for number, (key, state) in enumerate(states.items()))
        tally = SendResult()
        try:
            send(writes, replica=self._pair.replica, deadline=self._deadline, tally=tally)
        finally:
            # Also after an exception: a later run has to hold these keys back.
            in_doubt = {change.key for change, _ in tally.in_doubt.values()}
            if in_doubt:
                self._pair.journal.mark_in_doubt(tuple(in_doubt))
                self.result.in_doubt += in_doubt
        if tally.fault is not None:
            raise ReplicaError(_fact("replica", tally.fault), hint=_HINT, code=tally.fault.code)
        self.result.refused += _not_in_doubt(tally.rejected, in_doubt)
        self.result.failed += _not_in_doubt(tally.failed, in_doubt)
        # A repetition that was applied confirms nothing: AWS may still apply the first attempt after it.
        return [write.change.key for write in tally.applied if write.change.key not in in_doubt]


def _not_in_doubt(
    refused: Iterable[tuple[Write, Refusal]], in_doubt: Container[Key]
) -> list[tuple[Key, Refusal]]:
    return [(write.change.key, why) for write, why in refused if write.change.key not in in_doubt]


def _change(number: int, key: Key, state: State) -> Change:
    """Return a state as a change, as if it came from a stream."""
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
