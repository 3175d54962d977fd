"""Handle confirmed differences: report them, say what a repair would do, or repair them and look at them again."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TypeAlias, TypeVar

from ddbreplica.aws.clock import time_after
from ddbreplica.driver import Progress
from ddbreplica.errors import TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.reconcile.algorithm import IN_DOUBT, Reconciled
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.verify.difference import CERTAIN, NOT_WATCHED, Difference, DifferenceKind
from ddbreplica.verify.result.findings import REFUSED, REPAIRED, UNDECIDED

T = TypeVar("T")
U = TypeVar("U")

RepairResult: TypeAlias = tuple[Difference, str | None]
"""A difference and the outcome of its repair; None if no repair was tried."""

Look: TypeAlias = Callable[[Sequence[Key]], Collection[Key]]
"""Compares keys now, and returns those that are unequal."""
Reconcile: TypeAlias = Callable[[Sequence[Key]], Reconciled]
"""Reconciles keys. A failure raises an error, so no key of the result has failed."""
RepairStep: TypeAlias = Callable[[Iterable[Difference]], Iterable[RepairResult]]

_UNEQUAL = "was written, and differs again"
_OUTSIDE = "the mapping's filter excludes this key now, but did not when an earlier repair was interrupted"

ENOUGH = 1_000
"""So many suspected differences are watched before a repair. If one of them is confirmed, the others are repaired
without a watch, and the repair of an empty replica does not wait for a watch of all of them."""

PIECE = 100
"""The number of differences that are repaired together, and whose items are in memory at once, in each thread."""


def leave(differences: Iterable[Difference]) -> Iterator[RepairResult]:
    """Return the differences without a repair."""
    return ((difference, None) for difference in differences)


def foretell(differences: Iterable[Difference]) -> Iterator[RepairResult]:
    """Return for each difference what a repair would do."""
    return ((difference, _foretold(difference)) for difference in differences)


def _foretold(difference: Difference) -> str | None:
    # Only an item that cannot be transformed is different for a reason.
    is_refused = difference.finding is DifferenceKind.DIFFERENT and difference.reason
    return "would be refused" if is_refused else _FORETOLD[difference.finding]


@dataclass(frozen=True, slots=True)
class Repairs:
    """Repairs differences in several threads, and reports `repaired` only for keys that are equal afterwards.

    `pause` waits for a grace period. It is called once for all keys that are not equal at once.
    """

    reconcile: Reconcile
    look: Look
    pause: Callable[[], None]
    threads: int
    progress: Progress

    def __call__(self, differences: Iterable[Difference], *, about: int) -> Iterator[RepairResult]:
        """Repair the differences, of which there are `about` so many, and yield the outcome of each."""
        late: list[Difference] = []
        yield from self._repair_all(differences, late, about)
        if late:
            self.pause()
            for piece in pieces_of(late):
                unequal = self.look([difference.key for difference in piece])
                yield from ((each, _UNEQUAL if each.key in unequal else REPAIRED) for each in piece)

    def _repair_all(
        self, differences: Iterable[Difference], late: list[Difference], about: int
    ) -> Iterator[RepairResult]:
        pieces = pieces_of(_to_repair(differences))
        # The first piece before the bar is shown, since the confirmation shows a bar of its own until then.
        first = list(islice(pieces, 1))
        with self.progress("repairing", about=about) as advance:
            for results in mapped(self._repair, chain(first, pieces), threads=self.threads):
                advance(len(results))
                for difference, outcome, is_late in results:
                    if is_late:
                        # Without its attributes: the values of many items may not fit into memory.
                        late.append(replace(difference, attributes=()))
                    else:
                        yield difference, outcome

    def _repair(
        self, piece: Sequence[tuple[Difference, bool]]
    ) -> Sequence[tuple[Difference, str | None, bool]]:
        """Repair a piece. Return each difference, its outcome, and whether it is not equal yet."""
        keys = [difference.key for difference, is_to_repair in piece if is_to_repair]
        reconciled = self.reconcile(keys) if keys else Reconciled()
        found = outcomes(reconciled)
        unequal = self.look(reconciled.confirmed) if reconciled.confirmed else ()
        return [(difference, found.get(difference.key), difference.key in unequal) for difference, _ in piece]


def _to_repair(differences: Iterable[Difference]) -> Iterator[tuple[Difference, bool]]:
    """Return the differences, and whether each is to be repaired.

    An inconclusive key may only be late, and a repair would report that it was different. Of keys that were not
    watched because there are too many, most differ if a watched one does. To reconcile the others changes nothing
    that the stream would not bring.
    """
    is_any_certain = False
    for difference in differences:
        is_any_certain |= difference.finding in CERTAIN
        yield (
            difference,
            difference.finding in CERTAIN or (is_any_certain and difference.reason == NOT_WATCHED),
        )


def pieces_of(each: Iterable[T]) -> Iterator[Sequence[T]]:
    """Yield lists of at most PIECE members."""
    members = iter(each)
    while piece := list(islice(members, PIECE)):
        yield piece


def mapped(function: Callable[[T], U], pieces: Iterable[T], *, threads: int) -> Iterator[U]:
    """Yield the results for all pieces in order. Only a few pieces are taken ahead of the results.

    If a piece fails, yield the results of those that were taken and did not fail, then raise its exception. With one
    thread, nothing is taken ahead: no write is under way between two results.
    """
    if threads == 1:
        yield from map(function, pieces)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="repair") as pool:
        ahead: deque[Future[U]] = deque()
        try:
            for piece in pieces:
                ahead.append(pool.submit(function, piece))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except (TaskError, KeyboardInterrupt):
            yield from (each.result() for each in ahead if each.exception() is None)
            raise


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
class Repair:
    """Reconciles keys. Keys that need review (`undecided`) stay open until the result is printed."""

    journal: FileJournal
    reconcile: Reconcile
    check_transform: Callable[[], None]
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
        for piece in pieces_of(within):
            yield from _unsettled(self._reconcile_for_good(piece))

    def close_undecided(self) -> None:
        """Close the keys that need review, after the result was printed."""
        self.journal.confirm(self.undecided)

    def in_doubt(self) -> str | None:
        """Return a note about writes that may still change the replica; None if there are none."""
        keys, seconds = self.journal.held()
        if not keys:
            return None
        return (
            f"Until {time_after(seconds)} in-doubt writes may still change {keys:,} items of the replica."
            f" {self.journal.name} contains their keys: run the same command again after that time."
        )

    def _reconcile_for_good(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile keys that nothing but the journal has. They stay open if the transform was changed meanwhile."""
        reconciled = self._reconcile(keys)
        with self.journal.reopening(keys):
            self.check_transform()
        return reconciled

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
