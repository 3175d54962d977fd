"""Suspected keys → real differences: what still differs although nothing moved for a grace.

A replica lags, so that a difference at one moment proves nothing. In each round both sides are read, and read
again after the grace, the source last: if neither side changed meanwhile, they still differ, and the stream was less
behind than the grace is long, it is no lag.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.model import Key, State
from ddbreplica.records.compare import differences, fingerprint, same
from ddbreplica.verify.difference import Difference, DifferenceKind


@dataclass(frozen=True, slots=True)
class Patient:
    """How long to wait for the replica to catch up, and how often, and whether that is longer than it is behind."""

    grace: float
    rounds: int
    sleep: Callable[[float], None]
    outlasts_lag: bool = True


_Seen: TypeAlias = Mapping[Key, tuple[bytes, bytes]]
_Pair: TypeAlias = tuple[Key, State, State]


def recheck(
    suspects: Sequence[Key], *, source: TableReader, replica: TableReader, patient: Patient
) -> Iterator[Difference]:
    """Settle every suspect. What needs no grace, since both sides are equal now, gets none."""
    pending = suspects
    for _ in range(patient.rounds):
        seen = {
            key: (fingerprint(theirs), fingerprint(ours))
            for key, theirs, ours in _pairs(pending, first=source, then=replica)
            if not same(theirs, ours)
        }
        if not seen:
            return
        patient.sleep(patient.grace)
        pending = yield from _settle(seen, source, replica, patient)
    for key in pending:
        yield Difference(DifferenceKind.INCONCLUSIVE, key)


def archived(differences: Iterable[Difference]) -> Iterator[Difference]:
    """The same, of an archive: what only the replica has, it may have."""
    for each in differences:
        yield replace(each, finding=DifferenceKind.ARCHIVED) if each.finding is DifferenceKind.EXTRA else each


def _settle(
    seen: _Seen, source: TableReader, replica: TableReader, patient: Patient
) -> Generator[Difference, None, Sequence[Key]]:
    """Read again after the grace; give what is different for good and return what is still moving."""
    moving: list[Key] = []
    # The source last: what it holds now it has held while the replica was read, if it did not change at all.
    for key, ours, theirs in _pairs(list(seen), first=replica, then=source):
        if same(theirs, ours):
            continue
        if (fingerprint(theirs), fingerprint(ours)) == seen[key] and patient.outlasts_lag:
            yield _difference(key, theirs, ours)
        else:
            moving.append(key)
    return moving


def _difference(key: Key, source: State, replica: State) -> Difference:
    if source is None:
        return Difference(DifferenceKind.EXTRA, key)
    if replica is None:
        return Difference(DifferenceKind.MISSING, key)
    return Difference(DifferenceKind.DIFFERENT, key, differences(source, replica))


def _pairs(keys: Sequence[Key], *, first: TableReader, then: TableReader) -> Iterator[_Pair]:
    """Both sides' items, a request's worth of keys at a time."""
    for start in range(0, len(keys), MAX_KEYS):
        chunk = keys[start : start + MAX_KEYS]
        one, other = first.get(chunk), then.get(chunk)
        yield from ((key, one.get(key), other.get(key)) for key in chunk)
