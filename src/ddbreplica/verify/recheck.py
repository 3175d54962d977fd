"""Confirm suspected differences: items that still differ although neither table changed during a grace period.

The replica lags, so a difference at one moment proves nothing. Each round reads both tables, waits for the grace
period, and reads both again, the source last. A difference is confirmed if neither item changed between the two reads
and the lag is shorter than the grace period.
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
    """The grace period, how often to wait for it, and whether it is longer than the lag."""

    grace: float
    rounds: int
    sleep: Callable[[float], None]
    outlasts_lag: bool = True


_Seen: TypeAlias = Mapping[Key, tuple[bytes, bytes]]
_Pair: TypeAlias = tuple[Key, State, State]


def recheck(
    suspects: Sequence[Key], *, source: TableReader, replica: TableReader, patient: Patient
) -> Iterator[Difference]:
    """Yield the confirmed and the inconclusive differences. Wait only if an item still differs."""
    pending = suspects
    for _ in range(patient.rounds):
        seen = {
            # Keep fingerprints instead of items: the items of CHUNK keys may be too large for memory.
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
    """Turn extra items into archived ones, since an archive may have items that the source no longer has."""
    for each in differences:
        yield replace(each, finding=DifferenceKind.ARCHIVED) if each.finding is DifferenceKind.EXTRA else each


def _settle(
    seen: _Seen, source: TableReader, replica: TableReader, patient: Patient
) -> Generator[Difference, None, Sequence[Key]]:
    """Read again after the grace period. Yield the confirmed differences; return the keys that still change."""
    moving: list[Key] = []
    # Read the source last: if its item has not changed, it was the same while the replica was read.
    for key, ours, theirs in _pairs(list(seen), first=replica, then=source):
        if same(theirs, ours):
            continue
        # Check both tables: if the source has changed back, only the replica that followed it shows the change. If
        # the lag is longer than the grace period, a difference proves nothing.
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
    """Read the items of both tables, one request of keys at a time."""
    for start in range(0, len(keys), MAX_KEYS):
        chunk = keys[start : start + MAX_KEYS]
        one, other = first.get(chunk), then.get(chunk)
        yield from ((key, one.get(key), other.get(key)) for key in chunk)
