"""Run a confirmation over a simulated pair, with every key as a suspected difference."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field

from ddbreplica.driver import Advance, Detail, no_detail
from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.model import Key
from ddbreplica.verify.confirm.confirm import Confirmation, Rules
from ddbreplica.verify.difference import CERTAIN, Difference, DifferenceKind
from ddbreplica.verify.keyset import KeySet
from tests.support.simulated_pair import Item, Pair

RULES = Rules(grace=None, rounds=3, without_mapping=False, is_archive=False, threads=1)


class Shown:
    """A Progress that keeps the names of the steps."""

    def __init__(self) -> None:
        self.what: list[tuple[str, int | None]] = []
        self.advanced: list[int] = []

    def __call__(
        self, what: str, *, about: int | None, earlier: int = 0, detail: Detail = no_detail
    ) -> AbstractContextManager[Advance]:
        assert earlier == 0
        self.what.append((what, about))
        return nullcontext(self.advanced.append)


@dataclass
class Run:
    """A confirmation over a simulated pair, what it has yielded, and what it has said and shown."""

    pair: Pair
    confirmation: Confirmation
    notes: list[str] = field(default_factory=list)
    shown: Shown = field(default_factory=Shown)
    differences: list[Difference] = field(default_factory=list)

    @property
    def kinds(self) -> dict[Key, DifferenceKind]:
        return {each.key: each.finding for each in self.differences}

    @property
    def reasons(self) -> dict[Key, str]:
        return {each.key: each.reason for each in self.differences if each.reason}

    @property
    def confirmed(self) -> set[Key]:
        return {each.key for each in self.differences if each.finding in CERTAIN}


def start(pair: Pair, rules: Rules, suspects: KeySet) -> Run:
    """Return a run that has not begun; its suspects are all keys of the pair."""
    notes: list[str] = []
    shown = Shown()
    suspects.add(pair.items)
    confirmation = Confirmation(
        suspects=suspects,
        source=pair.source,
        replica=pair.replica,
        rules=rules,
        witness=pair.stream,
        ask_lag=pair.ask_lag,
        timer=pair.clock.timer,
        note=lambda *texts: notes.extend(texts),
        progress=shown,
    )
    return Run(pair, confirmation, notes, shown)


def confirm(items: Mapping[Key, Item] | Pair, rules: Rules = RULES, *figures: LagFigures) -> Run:
    """Run a confirmation to its end. `figures` are what the metrics say, each time they are asked."""
    pair = items if isinstance(items, Pair) else Pair(items)
    pair.figures = [*figures] or pair.figures
    with closing(KeySet()) as suspects:
        run = start(pair, rules, suspects)
        run.differences.extend(run.confirmation.differences())
    return run
