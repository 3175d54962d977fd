"""What a repair leaves for the next one: the keys that it was at, which are then reconciled, equal or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ddbreplica.aws.clock import time_after
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.primitive import Reconciled
from ddbreplica.reconcile.reconciler import UnderWay
from ddbreplica.verify.recheck import Difference, Finding
from ddbreplica.verify.repair import PIECE, Heal, Mended, outcomes
from ddbreplica_cli.terminal import output

_OUTSIDE = "the mapping's filter excludes it, and did not when its reconciliation was interrupted"


@dataclass(frozen=True, slots=True)
class State:
    """What a repair keeps for the next one."""

    journal: FileJournal
    under_way: UnderWay

    def resume(self, connection: Connection, source: Described, replica: Described) -> None:
        """Raise CommandError if the state is of other tables, or the local clock too far ahead."""
        if self.journal.resume(identity(source, replica)):
            output.print_note(f"Resuming from {self.journal.name}.")
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
