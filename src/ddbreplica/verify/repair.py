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
from ddbreplica.verify.difference import CERTAIN, Difference, Finding
from ddbreplica.verify.findings import REPAIRED, UNDECIDED
from ddbreplica.verify.keyset import KeySet

Mended: TypeAlias = tuple[Difference, str | None]
"""A difference, and what was done about it; None is nothing."""

Look: TypeAlias = Callable[[Sequence[Key]], Iterable[Difference]]
Heal: TypeAlias = Callable[[Sequence[Key]], Reconciled]
"""Reconciles keys; none of the result has failed."""
Mend: TypeAlias = Callable[[Sequence[Difference]], Iterable[Mended]]

_OUTSIDE = "the mapping's filter excludes it, and did not when its reconciliation was interrupted"


CHUNK = 10_000
"""Suspects that share a grace."""
PIECE = 100
"""Differences that are held in memory, whole, and healed together."""


def settle(suspects: KeySet, *, look: Look, mend: Mend) -> Iterator[Mended]:
    """Look at every suspect again, and mend what differs."""
    for chunk in suspects.chunks(CHUNK):
        differences = iter(look(chunk))
        while piece := list(islice(differences, PIECE)):
            yield from mend(piece)


def leave(differences: Sequence[Difference]) -> Iterator[Mended]:
    """Do nothing about them."""
    return ((difference, None) for difference in differences)


def foretell(differences: Sequence[Difference]) -> Iterator[Mended]:
    """Say what a repair would do, going by what was found."""
    return ((difference, _FORETOLD[difference.finding]) for difference in differences)


def repairing(heal: Heal, look: Look) -> Mend:
    """Heal what certainly differs, and believe it only when it was found equal afterwards."""

    def mend(differences: Sequence[Difference]) -> Iterator[Mended]:
        certain = [d.key for d in differences if d.finding in CERTAIN]
        healed = heal(certain) if certain else Reconciled()
        said = outcomes(healed)
        for again in look(healed.confirmed):
            if again.finding is Finding.ARCHIVED:  # it has expired since
                continue
            said[again.key] = f"was written, and is {again.finding.value} again"
        return ((difference, said.get(difference.key)) for difference in differences)

    return mend


def outcomes(healed: Reconciled) -> dict[Key, str]:
    """Say of each key what became of it."""
    return {
        **dict.fromkeys(healed.confirmed, REPAIRED),
        **dict.fromkeys(healed.changing, "changed at the source each time"),
        **dict.fromkeys(healed.suspects, IN_DOUBT),
        **dict.fromkeys(healed.undecided, UNDECIDED),
        **{key: f"refused: {why.code}: {why.message}" for key, why in healed.refused},
    }


_FORETOLD: Mapping[Finding, str | None] = {
    Finding.MISSING: "would be put",
    Finding.DIFFERENT: "would be put",
    Finding.EXTRA: "would be deleted",
    Finding.INCONCLUSIVE: None,
    Finding.ARCHIVED: None,
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
    heal: Heal
    undecided: list[Key] = field(default_factory=list)

    def of_differences(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile keys; close those that differ still, which the next verification finds again."""
        reconciled = self._heal(keys)
        self.journal.confirm([*reconciled.changing, *(key for key, _ in reconciled.refused)])
        return reconciled

    def of_open_keys(self, key_filter: KeyFilter) -> Iterator[Mended]:
        """Reconcile the keys that an earlier run left open, equal or not; return those that are not confirmed."""
        told = set(self.undecided)
        keys = [key for key in self.journal.open_keys() if key not in told]
        outside = [key for key in keys if not key_filter.passes(key)]
        yield from ((Difference(Finding.INCONCLUSIVE, key), _OUTSIDE) for key in outside)
        self.undecided.extend(outside)
        within = [key for key in keys if key_filter.passes(key)]
        for start in range(0, len(within), PIECE):
            yield from _unsettled(self._heal(within[start : start + PIECE]))

    def told(self) -> None:
        """Close what nobody can decide about."""
        self.journal.confirm(self.undecided)

    def _heal(self, keys: Sequence[Key]) -> Reconciled:
        reconciled = self.heal(keys)
        self.undecided.extend(reconciled.undecided)
        return reconciled


def _unsettled(reconciled: Reconciled) -> Iterator[Mended]:
    """The keys that are neither confirmed nor written by a write that is in doubt, each with the reason."""
    settled = {*reconciled.confirmed, *reconciled.suspects}
    for key, why in outcomes(reconciled).items():
        if key not in settled:
            yield Difference(Finding.INCONCLUSIVE, key), why
