"""Suspects → real differences, and what becomes of each: left as it is, foretold, or healed and verified again."""

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
from ddbreplica.verify.findings import REPAIRED, UNDECIDED
from ddbreplica.verify.keyset import KeySet

RepairResult: TypeAlias = tuple[Difference, str | None]
"""A difference, and what was done about it; None is nothing."""

Look: TypeAlias = Callable[[Sequence[Key]], Iterable[Difference]]
Reconcile: TypeAlias = Callable[[Sequence[Key]], Reconciled]
"""Reconciles keys; none of the result has failed."""
RepairStep: TypeAlias = Callable[[Sequence[Difference]], Iterable[RepairResult]]

_OUTSIDE = "the mapping's filter excludes it, and did not when its reconciliation was interrupted"


CHUNK = 10_000
"""Suspects that share a grace."""
PIECE = 100
"""Differences that are held in memory, whole, and healed together."""


def settle(suspects: KeySet, *, look: Look, repair_step: RepairStep) -> Iterator[RepairResult]:
    """Look at every suspect again, and mend what differs."""
    for chunk in suspects.chunks(CHUNK):
        differences = iter(look(chunk))
        while piece := list(islice(differences, PIECE)):
            yield from repair_step(piece)


def leave(differences: Sequence[Difference]) -> Iterator[RepairResult]:
    """Do nothing about them."""
    return ((difference, None) for difference in differences)


def foretell(differences: Sequence[Difference]) -> Iterator[RepairResult]:
    """Say what a repair would do, going by what was found."""
    return ((difference, _FORETOLD[difference.finding]) for difference in differences)


def repairing(reconcile: Reconcile, look: Look) -> RepairStep:
    """Heal what certainly differs, and believe it only when it was found equal afterwards."""

    def repair_step(differences: Sequence[Difference]) -> Iterator[RepairResult]:
        certain = [d.key for d in differences if d.finding in CERTAIN]
        reconciled = reconcile(certain) if certain else Reconciled()
        said = outcomes(reconciled)
        for again in look(reconciled.confirmed):
            if again.finding is DifferenceKind.ARCHIVED:  # it has expired since
                continue
            said[again.key] = f"was written, and is {again.finding.value} again"
        return ((difference, said.get(difference.key)) for difference in differences)

    return repair_step


def outcomes(reconciled: Reconciled) -> dict[Key, str]:
    """Say of each key what became of it."""
    return {
        **dict.fromkeys(reconciled.confirmed, REPAIRED),
        **dict.fromkeys(reconciled.changing, "changed at the source each time"),
        **dict.fromkeys(reconciled.in_doubt, IN_DOUBT),
        **dict.fromkeys(reconciled.undecided, UNDECIDED),
        **{key: f"refused: {why.code}: {why.message}" for key, why in reconciled.refused},
    }


_FORETOLD: Mapping[DifferenceKind, str | None] = {
    DifferenceKind.MISSING: "would be put",
    DifferenceKind.DIFFERENT: "would be put",
    DifferenceKind.EXTRA: "would be deleted",
    DifferenceKind.INCONCLUSIVE: None,
    DifferenceKind.ARCHIVED: None,
}


@dataclass(frozen=True, slots=True)
class State:
    """What a repair keeps for the next one."""

    journal: FileJournal
    under_way: UnderWay

    def resume(self, connection: Connection, source: Described, replica: Described, *, note: Note) -> None:
        """Raise TaskError if the state is of other tables, or the local clock too far ahead."""
        if self.journal.resume(identity(source, replica)):
            note(f"Resuming from {self.journal.name}.")
        connection.clock.refuse_fast()

    def in_doubt(self) -> str | None:
        """What to say of writes that may still land."""
        keys, seconds = self.journal.held()
        if not keys:
            return None
        return (
            f"Until {time_after(seconds)} in-doubt writes may still change {keys:,} items of the replica."
            f" {self.journal.name} has their keys: run the same command again after that time."
        )


@dataclass(frozen=True, slots=True)
class Repair:
    """Reconciles keys. The keys that are `undecided` stay open until that was told."""

    journal: FileJournal
    reconcile: Reconcile
    undecided: list[Key] = field(default_factory=list)

    def of_differences(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile keys; close those that differ still, which the next verification finds again."""
        reconciled = self._reconcile(keys)
        self.journal.confirm([*reconciled.changing, *(key for key, _ in reconciled.refused)])
        return reconciled

    def of_open_keys(self, key_filter: KeyFilter) -> Iterator[RepairResult]:
        """Reconcile the keys that an earlier run left open, equal or not; return those that are not confirmed."""
        told = set(self.undecided)
        keys = [key for key in self.journal.open_keys() if key not in told]
        outside = [key for key in keys if not key_filter.passes(key)]
        yield from ((Difference(DifferenceKind.INCONCLUSIVE, key), _OUTSIDE) for key in outside)
        self.undecided.extend(outside)
        within = [key for key in keys if key_filter.passes(key)]
        for start in range(0, len(within), PIECE):
            yield from _unsettled(self._reconcile(within[start : start + PIECE]))

    def told(self) -> None:
        """Close what nobody can decide about."""
        self.journal.confirm(self.undecided)

    def _reconcile(self, keys: Sequence[Key]) -> Reconciled:
        reconciled = self.reconcile(keys)
        self.undecided.extend(reconciled.undecided)
        return reconciled


def _unsettled(reconciled: Reconciled) -> Iterator[RepairResult]:
    """The keys that are neither confirmed nor written by a write that is in doubt, each with the reason."""
    settled = {*reconciled.confirmed, *reconciled.in_doubt}
    for key, why in outcomes(reconciled).items():
        if key not in settled:
            yield Difference(DifferenceKind.INCONCLUSIVE, key), why
