"""Confirm suspected differences and handle each: report it, say what a repair would do, or repair and recheck it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from ddbreplica.aws.clock import time_after
from ddbreplica.driver import Note
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.reconcile.algorithm import IN_DOUBT, Reconciled
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.verify.difference import CERTAIN, Difference, DifferenceKind
from ddbreplica.verify.findings import REFUSED, REPAIRED, UNDECIDED
from ddbreplica.verify.keyset import KeySet

RepairResult: TypeAlias = tuple[Difference, str | None]
"""A difference and the outcome of its repair; None if no repair was tried."""

Look: TypeAlias = Callable[[Sequence[Key]], Iterable[Difference]]
Reconcile: TypeAlias = Callable[[Sequence[Key]], Reconciled]
"""Reconciles keys. A failure raises an error, so no key of the result has failed."""
RepairStep: TypeAlias = Callable[[Sequence[Difference]], Iterable[RepairResult]]

_OUTSIDE = "the mapping's filter excludes this key now, but did not when an earlier repair was interrupted"


CHUNK = 10_000
"""The number of keys that share a grace period."""
PIECE = 100
"""The number of differences that are held in memory with their items and repaired together."""


def settle(suspects: KeySet, *, look: Look, repair_step: RepairStep) -> Iterator[RepairResult]:
    """Recheck all suspected differences, and pass the confirmed ones to the repair step."""
    for chunk in suspects.chunks(CHUNK):
        differences = iter(look(chunk))
        while piece := list(islice(differences, PIECE)):
            yield from repair_step(piece)


def leave(differences: Sequence[Difference]) -> Iterator[RepairResult]:
    """Return the differences without a repair."""
    return ((difference, None) for difference in differences)


def foretell(differences: Sequence[Difference]) -> Iterator[RepairResult]:
    """Return for each difference what a repair would do."""
    return ((difference, _FORETOLD[difference.finding]) for difference in differences)


def repairing(reconcile: Reconcile, look: Look) -> RepairStep:
    """Return a step that repairs confirmed differences, and reports `repaired` only if a recheck finds them equal."""

    def repair_step(differences: Sequence[Difference]) -> Iterator[RepairResult]:
        # An inconclusive key may only be late, and a repair would report that it was different.
        certain = [d.key for d in differences if d.finding in CERTAIN]
        reconciled = reconcile(certain) if certain else Reconciled()
        found = outcomes(reconciled)
        for again in look(reconciled.confirmed):
            if again.finding is DifferenceKind.ARCHIVED:  # the item has expired since
                continue
            found[again.key] = f"was written, and is {again.finding.value} again"
        return ((difference, found.get(difference.key)) for difference in differences)

    return repair_step


def outcomes(reconciled: Reconciled) -> dict[Key, str]:
    """Return the outcome for each key."""
    return {
        **dict.fromkeys(reconciled.confirmed, REPAIRED),
        **dict.fromkeys(reconciled.changing, "the source changed in every round"),
        **dict.fromkeys(reconciled.in_doubt, IN_DOUBT),
        **dict.fromkeys(reconciled.undecided, UNDECIDED),
        **{key: f"{REFUSED}{why.code}: {why.message}" for key, why in reconciled.refused},
    }


_FORETOLD: Mapping[DifferenceKind, str | None] = {
    DifferenceKind.MISSING: "would be put",
    DifferenceKind.DIFFERENT: "would be put",
    DifferenceKind.EXTRA: "would be deleted",
    DifferenceKind.INCONCLUSIVE: None,
    DifferenceKind.ARCHIVED: None,
    DifferenceKind.MOVING: None,
}


@dataclass(frozen=True, slots=True)
class State:
    """The state that a repair keeps for a later run."""

    journal: FileJournal
    under_way: UnderWay

    def resume(self, connection: Connection, source: Described, replica: Described, *, note: Note) -> None:
        """Resume from the state. Raise TaskError if it belongs to other tables or the local clock is too far ahead."""
        if self.journal.resume(identity(source, replica)):
            note(f"Resuming from {self.journal.name}.")
        connection.clock.refuse_fast()

    def in_doubt(self) -> str | None:
        """Return a note about writes that may still change the replica; None if there are none."""
        keys, seconds = self.journal.held()
        if not keys:
            return None
        return (
            f"Until {time_after(seconds)} in-doubt writes may still change {keys:,} items of the replica."
            f" {self.journal.name} contains their keys: run the same command again after that time."
        )


@dataclass(frozen=True, slots=True)
class Repair:
    """Reconciles keys. Keys that need review (`undecided`) stay open until the result is printed."""

    journal: FileJournal
    reconcile: Reconcile
    undecided: list[Key] = field(default_factory=list)

    def of_differences(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile keys. Close those that still differ, since the next verification finds them again."""
        reconciled = self._reconcile(keys)
        self.journal.confirm([*reconciled.changing, *(key for key, _ in reconciled.refused)])
        return reconciled

    def of_open_keys(self, key_filter: KeyFilter) -> Iterator[RepairResult]:
        """Reconcile all keys that an earlier run has left open; yield those that are not confirmed."""
        undecided = set(self.undecided)
        # Without those of this run, which are reported as differences already.
        keys = [key for key in self.journal.open_keys() if key not in undecided]
        outside = [key for key in keys if not key_filter.passes(key)]
        yield from ((Difference(DifferenceKind.INCONCLUSIVE, key), _OUTSIDE) for key in outside)
        self.undecided.extend(outside)
        within = [key for key in keys if key_filter.passes(key)]
        for start in range(0, len(within), PIECE):
            yield from _unsettled(self._reconcile(within[start : start + PIECE]))

    def close_undecided(self) -> None:
        """Close the keys that need review, after the result was printed."""
        self.journal.confirm(self.undecided)

    def _reconcile(self, keys: Sequence[Key]) -> Reconciled:
        reconciled = self.reconcile(keys)
        self.undecided.extend(reconciled.undecided)
        return reconciled


def _unsettled(reconciled: Reconciled) -> Iterator[RepairResult]:
    """Yield, with the reason, the keys that are neither confirmed nor changed by an in-doubt write."""
    settled = {*reconciled.confirmed, *reconciled.in_doubt}
    for key, why in outcomes(reconciled).items():
        if key not in settled:
            yield Difference(DifferenceKind.INCONCLUSIVE, key), why
