"""Repair the confirmed differences of a piece. Keys that are open in its state are reconciled before anything else."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ddbreplica.backfill.pages import Reconcile
from ddbreplica.driver import SILENT
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.model import Key
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.verify.difference import Difference
from ddbreplica.verify.repair import Look, RepairResult, Repairs, pieces_of


@dataclass(frozen=True, slots=True)
class PieceRepair:
    """The repair of a piece in one invocation. `look` returns the keys that are unequal; `pause` waits for a grace."""

    journal: StateJournal
    reconcile: Reconcile
    look: Look
    pause: Callable[[], None]

    def try_again(self) -> None:
        """Reconcile the keys that earlier invocations left open, if their writes can no longer land."""
        for keys in pieces_of(self.journal.free_keys()):
            self._reconcile(keys)

    def results(self, differences: Iterable[Difference], *, about: int) -> Iterator[RepairResult]:
        """Repair differences, of which there are about so many, and yield the outcome of each."""
        repairs = Repairs(self._reconcile, self.look, self.pause, threads=1, progress=SILENT.progress)
        return repairs(differences, about=about)

    def _reconcile(self, keys: Sequence[Key]) -> Reconciled:
        reconciled = self.reconcile(keys, {}, None)
        # The piece reports them, or the invocation ends before, and then they are looked at again.
        refused = (key for key, _ in reconciled.refused)
        self.journal.confirm([*reconciled.changing, *reconciled.undecided, *refused])
        return reconciled
