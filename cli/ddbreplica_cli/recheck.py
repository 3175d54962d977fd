"""Suspected keys → real differences: what still differs although nothing moved for a grace.

A replica lags, so that a difference at one moment proves nothing. In each round both sides are read, and read
again after the grace, the source last: if neither side changed meanwhile and they still differ, it is no lag.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from ddbreplica.model import Image, Key
from ddbreplica_cli.compare import AttributeDifference, Item, canonical, differences, fingerprint, same
from ddbreplica_cli.tables import MAX_KEYS, TableReader


class Finding(Enum):
    """What is wrong with a key."""

    MISSING = "missing"
    DIFFERENT = "different"
    EXTRA = "extra"
    INCONCLUSIVE = "inconclusive"
    """One side or the other changed during every grace."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that is not fine. `key` is canonical wire JSON; `attributes` says where two items differ."""

    finding: Finding
    key: Image
    attributes: tuple[AttributeDifference, ...] = ()


@dataclass(slots=True)
class Findings:
    """All differences counted, the first few kept."""

    keep: int
    counts: Counter[Finding] = field(default_factory=Counter)
    first: list[Difference] = field(default_factory=list)

    def add(self, difference: Difference) -> None:
        """Count one more."""
        self.counts[difference.finding] += 1
        if len(self.first) < self.keep:
            self.first.append(difference)


@dataclass(frozen=True, slots=True)
class Patient:
    """How long to wait for the replica to catch up, and how often."""

    grace: float
    rounds: int
    sleep: Callable[[float], None]


_Keys: TypeAlias = Mapping[Key, Item]
_Seen: TypeAlias = Mapping[Key, tuple[bytes, bytes]]
_Pair: TypeAlias = tuple[Key, Item | None, Item | None]


def recheck(
    suspects: _Keys, *, source: TableReader, replica: TableReader, patient: Patient, keep: int
) -> Findings:
    """Settle every suspect. What needs no grace, since both sides are equal now, gets none."""
    findings = Findings(keep)
    pending = suspects
    for _ in range(patient.rounds):
        seen = {
            key: (fingerprint(theirs), fingerprint(ours))
            for key, theirs, ours in _pairs(pending, first=source, then=replica)
            if not same(theirs, ours)
        }
        if not seen:
            return findings
        patient.sleep(patient.grace)
        pending = _settle({key: pending[key] for key in seen}, seen, source, replica, findings)
    for attributes in pending.values():
        findings.add(Difference(Finding.INCONCLUSIVE, canonical(attributes) or {}))
    return findings


def _settle(
    keys: _Keys, seen: _Seen, source: TableReader, replica: TableReader, findings: Findings
) -> dict[Key, Item]:
    """Read again after the grace; note what is different for good and return what is still moving."""
    moving: dict[Key, Item] = {}
    # The source last: what it holds now it has held while the replica was read, if it did not change at all.
    for key, ours, theirs in _pairs(keys, first=replica, then=source):
        if same(theirs, ours):
            continue
        if (fingerprint(theirs), fingerprint(ours)) != seen[key]:
            moving[key] = keys[key]
            continue
        findings.add(_difference(keys[key], theirs, ours))
    return moving


def _difference(key_attributes: Item, source: Item | None, replica: Item | None) -> Difference:
    key = canonical(key_attributes) or {}
    if replica is None:
        return Difference(Finding.MISSING, key)
    if source is None:
        return Difference(Finding.EXTRA, key)
    return Difference(Finding.DIFFERENT, key, differences(source, replica))


def _pairs(keys: _Keys, *, first: TableReader, then: TableReader) -> Iterator[_Pair]:
    """Both sides' items, a request's worth of keys at a time."""
    for chunk in _chunks(list(keys)):
        attributes = [keys[key] for key in chunk]
        one, other = first.get(attributes), then.get(attributes)
        yield from ((key, one.get(key), other.get(key)) for key in chunk)


def _chunks(keys: Sequence[Key]) -> Iterable[Sequence[Key]]:
    return (keys[start : start + MAX_KEYS] for start in range(0, len(keys), MAX_KEYS))
