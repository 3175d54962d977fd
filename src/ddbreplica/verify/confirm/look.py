"""Read the items of some keys from both tables, strongly consistently, and compare them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.model import Items, Key, State
from ddbreplica.records.compare import differences, fingerprint
from ddbreplica.transform.view import untransformable
from ddbreplica.verify.confirm.seen import Seen, Sight
from ddbreplica.verify.difference import Difference, DifferenceKind
from ddbreplica.verify.threads import IsOver, run

UNTRANSFORMABLE_ITEM = "the source's item cannot be transformed"
"""The beginning of the reason for a key whose item a rule of the transform cannot take. The replica cannot have it."""

CHANGED_SINCE = "it changed after the watch"
"""The reason for a key that was confirmed, but was no longer the same when its attributes were read."""


class Reader(Protocol):
    """Reads items by key, as TableReader does."""

    @property
    def rate(self) -> Rate:
        """The limit of the read capacity."""
        ...

    def get(self, keys: Sequence[Key]) -> Items:
        """Return the items that exist among at most MAX_KEYS different keys."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """Looks at keys in both tables. Several threads may use it at once."""

    source: Reader
    replica: Reader
    is_archive: bool

    def __call__(self, keys: Sequence[Key]) -> Mapping[Key, Sight]:
        """Look at up to MAX_KEYS keys."""
        before = _fingerprints(self.source, keys)
        replica = _fingerprints(self.replica, keys)
        # Read again, since the source may have changed before the replica was read.
        after = _fingerprints(self.source, keys)
        return {
            key: Sight.of(before[key], replica[key], after[key], is_archive=self.is_archive) for key in keys
        }

    def differences(self, seen: Mapping[Key, Seen], *, threads: int) -> Iterator[Difference]:
        """Read confirmed keys again, for their attributes. Yield nothing for a key that is equal now.

        Each thread reads MAX_KEYS keys. No thread reads more until the results of all threads were taken.
        """
        pieces = list(_pieces(list(seen)))
        for start in range(0, len(pieces), threads):
            found: list[list[Difference]] = [[] for _ in pieces[start : start + threads]]
            run(
                [
                    partial(self._read_again, piece, seen, into)
                    for piece, into in zip(pieces[start:], found, strict=False)
                ]
            )
            for each in found:
                yield from each

    def _read_again(
        self, keys: Sequence[Key], seen: Mapping[Key, Seen], into: list[Difference], is_over: IsOver
    ) -> None:
        if is_over():
            return
        # The source last: if it has the state of the watch, it had it when the replica was read.
        ours, theirs = self.replica.get(keys), self.source.get(keys)
        for key in keys:
            into.extend(self._difference(key, theirs.get(key), ours.get(key), seen[key]))

    def _difference(self, key: Key, theirs: State, ours: State, seen: Seen) -> Iterator[Difference]:
        sight = Sight.of(seen.source, fingerprint(ours), fingerprint(theirs), is_archive=self.is_archive)
        if sight.is_archived:
            yield Difference(DifferenceKind.ARCHIVED, key)
        elif sight.source == sight.replica:
            return
        elif (sight.source, sight.replica) == (seen.source, seen.replica):
            yield _different(key, theirs, ours)
        else:
            yield Difference(DifferenceKind.INCONCLUSIVE, key, reason=CHANGED_SINCE)


def _pieces(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    return (keys[start : start + MAX_KEYS] for start in range(0, len(keys), MAX_KEYS))


def _different(key: Key, source: State, replica: State) -> Difference:
    if reason := untransformable(source):
        return Difference(DifferenceKind.DIFFERENT, key, reason=f"{UNTRANSFORMABLE_ITEM}: {reason}")
    if source is None:
        return Difference(DifferenceKind.EXTRA, key)
    if replica is None:
        return Difference(DifferenceKind.MISSING, key)
    return Difference(DifferenceKind.DIFFERENT, key, differences(source, replica))


def _fingerprints(reader: Reader, keys: Sequence[Key]) -> Mapping[Key, bytes]:
    items = reader.get(keys)
    return {key: fingerprint(items.get(key)) for key in keys}
