"""Compare two tables by merging their scans, segment by segment, and collect the keys that look different.

Both scans read the same segments, so nearly all items meet their partner in the other scan, and the comparison costs
little more than two scans. Items that do not are read by key in the other table. The two tables are not read at the
same moment, so the differences found here are only suspected: `confirm` decides. Each difference that has kept still
since the first scan began is among them, whatever the order in which the scans return the items.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TypeAlias

from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.model import Image, Items, Key, ScanPage
from ddbreplica.records.compare import same
from ddbreplica.verify.compare.checkpoint import Position, SegmentState
from ddbreplica.verify.compare.comparison import Comparison
from ddbreplica.verify.compare.pairing import REPLICA, SOURCE, Pairing
from ddbreplica.verify.difference import Swept, total
from ddbreplica.verify.threads import IsOver, run

WAITING_BYTES = 16 * 1024 * 1024
"""The bytes of items that may wait for their partner, in all segments together, as DynamoDB counts them."""

Save: TypeAlias = "Callable[[Segment], None]"


class Segment:
    """The merge of one segment of both tables. It can be paused between two steps, and resumed from its state."""

    def __init__(self, comparison: Comparison, state: SegmentState, *, of: int, bound: float) -> None:
        """Begin where `state` ends. At most `bound` bytes of items wait for a partner, or two pages if that is more."""
        self._shared = comparison
        self.number = state.number
        self._of = of
        self._bound = bound
        self._positions = [state.source, state.replica]
        self._pairing = Pairing()
        self._look_ups: tuple[dict[Key, Image], dict[Key, Image]] = ({}, {})
        self._is_by_key = False
        self.counts = replace(state.counts)
        # The items that waited when the state was saved are not known any more, so their keys are suspects.
        comparison.suspect(state.waiting)
        self._known = {*state.waiting, *state.known}

    @property
    def is_done(self) -> bool:
        """Whether all items of the segment were compared."""
        return all(each.is_done for each in self._positions) and not self._waiting

    @property
    def has_begun(self) -> bool:
        """Whether anything was read."""
        return any(position != Position() for position in self._positions)

    @property
    def state(self) -> SegmentState:
        """The state to resume from."""
        source, replica = self._positions
        return SegmentState(
            self.number, source, replica, self._waiting, tuple(self._known), replace(self.counts)
        )

    @property
    def _waiting(self) -> tuple[Key, ...]:
        return (*self._pairing.keys, *self._look_ups[SOURCE], *self._look_ups[REPLICA])

    def step(self) -> None:
        """Read the next page, or a page of each table, and compare what it shows.

        Raises the errors of reading; the state is then that before the step, or one that has more items waiting.
        """
        if self._shared.in_step.is_lost:
            self._step_by_key()
        elif self._pairing.is_empty and not any(each.is_done for each in self._positions):
            self._step_in_both()
        else:
            side = self._pairing.next_side
            self._add(side if not self._positions[side].is_done else 1 - side)
        if all(each.is_done for each in self._positions):
            self._end()

    def pause(self) -> None:
        """Look up the items that wait, so that none of them is suspected only because the segment is resumed later.

        Raises the errors of reading; the items that were not looked up wait on.
        """
        for side in (SOURCE, REPLICA):
            # Also in an archive: the source's scan may show the partner of an item that waits on its next page.
            self._look_ups[side].update(self._pairing.rest(side))
            self._known.update(self._look_ups[side])
            # These say nothing about the order of the scans: the next page may show their partners.
            self._read_partners(side)

    def _step_in_both(self) -> None:
        source, replica = self._page(SOURCE), self._page(REPLICA)
        # Nearly all pages of an equal pair of tables end here, without a look at a single key.
        if not self._shared.key_filter.patterns and source.items == replica.items:
            self._passed_page(SOURCE, source, compared=len(source.items))
            self._passed_page(REPLICA, replica, compared=len(replica.items))
        else:
            self._pair(SOURCE, source)
            self._pair(REPLICA, replica)

    def _page(self, side: int) -> ScanPage:
        after, consistent = self._positions[side].cursor, self._shared.consistent
        return self._shared.tables[side].scan_page(
            self.number, of=self._of, after=after, consistent=consistent
        )

    def _add(self, side: int) -> None:
        if not self._positions[side].is_done:
            self._pair(side, self._page(side))

    def _pair(self, side: int, page: ScanPage) -> None:
        items = self._inside(side, page)
        met = self._pairing.add(side, self._unknown(items), page.size)
        self._to_look_up(met.passed)
        # Before the position moves: if the keys cannot be stored, the page is read again.
        self._shared.suspect(met.unequal)
        self._passed_page(side, page, compared=len(items))
        self._look_up_full(average=page.size / max(1, len(page.items)))
        # A page of the other side may still meet all items of this page.
        while self._pairing.size > max(self._bound, 2 * page.size):
            side, oldest = self._pairing.overflow()
            self._look_ups[side].update(oldest)
            equal, of = self._look_up(side)
            self._pairing.learn(side, equal=equal, of=of)

    def _inside(self, side: int, page: ScanPage) -> Items:
        return self._shared.inside(self._shared.tables[side].by_key(page.items))

    def _unknown(self, items: Items) -> Items:
        """Return the items without those whose partner waited when the segment was paused or an earlier run ended.

        These are decided or suspected. They would find no partner, and in an archive pass for items that only the
        replica has.
        """
        if not self._known:
            return items
        unknown = {key: item for key, item in items.items() if key not in self._known}
        self._known.difference_update(items)
        return unknown

    def _passed_page(self, side: int, page: ScanPage, *, compared: int) -> None:
        self._shared.count(side, self.counts, compared=compared, outside=len(page.items) - compared)
        self._positions[side] = Position.after(page.cursor)

    def _to_look_up(self, passed: tuple[Items, Items]) -> None:
        """Keep items that have no partner, as far as the order of the scans tells, until they are looked up."""
        self._look_ups[SOURCE].update(passed[SOURCE])
        if self._shared.is_archive:
            self._shared.archive(list(passed[REPLICA]), self.counts)
        else:
            self._look_ups[REPLICA].update(passed[REPLICA])

    def _look_up_full(self, *, average: float) -> None:
        """Look up the items of a side as soon as they fill a request, or the memory that may be used.

        They are taken to have the average size of the latest page.
        """
        for side in (SOURCE, REPLICA):
            count = len(self._look_ups[side])
            if count >= MAX_KEYS or count * average > self._bound:
                self._look_up(side)

    def _end(self) -> None:
        """Look up all items that still wait, since both scans have ended."""
        self._to_look_up((self._pairing.rest(SOURCE), self._pairing.rest(REPLICA)))
        for side in (SOURCE, REPLICA):
            self._look_up(side)

    def _look_up(self, side: int) -> tuple[int, int]:
        """Read the partners of items that both scans should have shown. Return how many are equal, and of how many."""
        equal, read = self._read_partners(side)
        if not self._is_by_key:
            self._shared.in_step.looked_up(equal=equal, of=read)
        return equal, read

    def _read_partners(self, side: int) -> tuple[int, int]:
        """Read the partners of a side's items by key. Return how many are equal, and how many were read."""
        equal = read = 0
        pending = self._look_ups[side]
        while pending:
            batch = dict(islice(pending.items(), MAX_KEYS))
            found = self._shared.tables[1 - side].get(list(batch))
            unequal = [key for key, item in batch.items() if not same(item, found.get(key))]
            if side == SOURCE:
                self._shared.suspect(unequal)
            else:
                self._shared.unequal(unequal, found, self.counts)
            for key in batch:
                del pending[key]
            equal, read = equal + len(batch) - len(unequal), read + len(batch)
        return equal, read

    def _step_by_key(self) -> None:
        """Compare a page of the source by key, then a page of the replica's keys."""
        if not self._is_by_key:
            self._is_by_key = True
            for side in (SOURCE, REPLICA):
                self._look_ups[side].update(self._pairing.rest(side))
                self._look_up(side)
        for side in (SOURCE, REPLICA):
            if not self._positions[side].is_done:
                page = self._page(side)
                items = self._inside(side, page)
                if side == SOURCE:
                    self._look_ups[SOURCE].update(items)
                    self._look_up(SOURCE)
                else:
                    self._look_for_extra(items)
                self._passed_page(side, page, compared=len(items))

    def _look_for_extra(self, items: Items) -> None:
        for start in range(0, len(items), MAX_KEYS):
            keys = list(islice(items, start, start + MAX_KEYS))
            # Keys are enough: the items of the source are compared when its scan shows them.
            found = self._shared.tables[SOURCE].get(keys, keys_only=True)
            extra = [key for key in keys if key not in found]
            self._shared.unequal(extra, found, self.counts)


class Merge:
    """The comparison of some segments of both tables. It may be halted, and continued from where it was."""

    def __init__(
        self,
        comparison: Comparison,
        states: Sequence[SegmentState],
        *,
        of: int,
        save: Save = lambda _: None,
        bound: float = WAITING_BYTES,
    ) -> None:
        """Compare the segments with these states, of tables in `of` segments, each in a thread of its own.

        `save` gets each segment after each of its steps. At most `bound` bytes of items wait for their partner.
        """
        each = bound / max(1, len(states))
        self.segments = [Segment(comparison, state, of=of, bound=each) for state in states]
        self._shared = comparison
        self._save = save

    @property
    def is_done(self) -> bool:
        """Whether all segments were compared."""
        return all(segment.is_done for segment in self.segments)

    @property
    def about(self) -> int | None:
        """The number of items to compare; None if it is not known."""
        return None

    @property
    def counts(self) -> Swept:
        """The counts of all segments."""
        return total(segment.counts for segment in self.segments)

    def run(self) -> None:
        """Compare until all segments are done or there are too many suspected differences.

        No request is in progress when this returns or raises. Raises the errors of reading.
        """
        self._shared.halted.clear()
        run([partial(self._run, segment) for segment in self.segments])

    def _run(self, segment: Segment, is_over: IsOver) -> None:
        while not (segment.is_done or self._shared.halted.is_set() or is_over()):
            segment.step()
            self._save(segment)
