"""merge: whatever the order of the scans, it suspects each difference that has kept still since they began."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import product
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.verify.compare.checkpoint import SegmentState
from ddbreplica.verify.compare.comparison import Comparison, InStep
from ddbreplica.verify.compare.merge import Merge, Segment
from ddbreplica.verify.compare.pairing import Pairing
from ddbreplica.verify.keyset import KeySet
from tests.support.scanned import ScannedTable, Writers, item, key
from tests.support.taken_out import fails_without

ITEMS = 150
FILTER = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "000"}, {"prefix": "01"}]}}}}'])


@dataclass
class Run:
    """A comparison of two random tables, with the options of one seed."""

    random: Random
    archived: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = self.random
        numbers = range(ITEMS)
        in_order = random.random() < 0.5
        self.tables = self.table(in_order=in_order), self.table(in_order=in_order)
        self.writers = Writers(random, self.tables, numbers, chance=random.choice([0, 0, 0.3, 0.8]))
        for table in self.tables:
            table.before = self.before
        if random.random() < 0.3:  # one table lacks a part of the other
            gap = range(40, 40 + random.randrange(60))
            for number in gap:
                random.choice(self.tables).items.pop(number, None)
        self.segments = random.choice([1, 2, 5])
        if random.random() < 0.2:  # the tables divide the keys differently
            self.tables[1].segment_of = lambda number, of: (number // 7) % of
        self.is_archive = random.random() < 0.3
        self.filter = FILTER if random.random() < 0.3 else KeyFilter.of([])
        self.bound = random.choice([1, 400, 4000, 1e9])
        self.in_step = InStep(lambda *_: None)
        self.requests = 0
        self.lost_after = random.choice([0, 3, 8, 20]) if random.random() < 0.3 else None
        self.start = tuple(dict(table.items) for table in self.tables)

    def before(self) -> None:
        """Let others write, and let the scans be found out of step, before a request."""
        self.writers.write()
        self.requests += 1
        if self.lost_after is not None and self.requests > self.lost_after:
            self.in_step.is_lost = True

    def table(self, *, in_order: bool) -> ScannedTable:
        random, order = self.random, list(range(ITEMS))
        if not in_order:
            random.shuffle(order)
        longest, twice = random.choice([1, 7, 40]), random.choice([0, 0, 0.1])
        values = [random.choice([0] * 20 + [1]) for _ in order]
        return ScannedTable(
            {number: item(number, values[number]) for number in order if random.random() < 0.95},
            order,
            page=lambda: random.randint(1, longest),
            again=lambda: random.random() < twice,
        )

    def comparison(self, suspects: KeySet) -> Comparison:
        readers = self.tables[0].reader, self.tables[1].reader
        return Comparison(
            readers,
            suspects,
            advance=lambda _: None,
            in_step=self.in_step,
            max_suspects=10_000,
            key_filter=self.filter,
            is_archive=self.is_archive,
            archived=self.archived.extend,
        )

    @property
    def still_different(self) -> set[Key]:
        """The keys with a difference that nobody has touched since the beginning."""
        source, replica = self.start
        return {
            key(number)
            for number in range(ITEMS)
            if number not in self.writers.written
            and source.get(number) != replica.get(number)
            and self.filter.passes(key(number))
            and not (self.is_archive and number not in source)
        }

    def keys(self, suspects: KeySet) -> set[Key]:
        return {each for chunk in suspects.chunks(100) for each in chunk}


def compare(seed: int) -> None:
    """Compare two random tables while others write, and check what is suspected."""
    run = Run(Random(seed))  # noqa: S311
    with closing(KeySet()) as suspects:
        merge = Merge(
            run.comparison(suspects),
            [SegmentState(number) for number in range(run.segments)],
            of=run.segments,
            bound=run.bound,
        )

        merge.run()

        found = run.keys(suspects)
    assert merge.is_done
    assert run.still_different <= found
    changed = {key(number) for number in run.writers.written}
    assert found - changed == run.still_different
    only_in_replica = {key(number) for number in run.start[1].keys() - run.start[0].keys()} - changed
    inside = {each for each in only_in_replica if run.filter.passes(each)}
    assert inside <= set(run.archived) if run.is_archive else not run.archived


@pytest.mark.parametrize("seed", range(400))
def test_each_difference_that_keeps_still_is_suspected(seed: int) -> None:
    compare(seed)


def compare_with_stops(seed: int) -> None:
    """Compare two random tables, and resume from the stored states after some steps, over and over."""
    run = Run(Random(seed))  # noqa: S311
    states = [SegmentState(number) for number in range(run.segments)]
    with closing(KeySet()) as suspects:
        for _ in range(1000):
            merge = Merge(run.comparison(suspects), states, of=run.segments, bound=run.bound)
            if merge.is_done:
                break
            for segment in merge.segments:
                for _ in range(run.random.randrange(4)):
                    if not segment.is_done:
                        segment.step()
            states = [SegmentState.read(each.state.number, each.state.document()) for each in merge.segments]

        found = run.keys(suspects)
    assert merge.is_done
    assert run.still_different <= found


@pytest.mark.parametrize("seed", range(300))
def test_a_merge_that_is_stopped_anywhere_and_resumed_misses_nothing(seed: int) -> None:
    compare_with_stops(seed)


def compare_with_pauses(seed: int) -> None:
    """Compare as with stops, and pause each segment before it is stored: no equal item is suspected."""
    run = Run(Random(seed))  # noqa: S311
    states = [SegmentState(number) for number in range(run.segments)]
    with closing(KeySet()) as suspects:
        for _ in range(1000):
            merge = Merge(run.comparison(suspects), states, of=run.segments, bound=run.bound)
            if merge.is_done:
                break
            for segment in merge.segments:
                for _ in range(run.random.randrange(4)):
                    if not segment.is_done:
                        segment.step()
                segment.pause()
                assert not segment.state.waiting
            states = [SegmentState.read(each.state.number, each.state.document()) for each in merge.segments]

        found = run.keys(suspects)
    assert merge.is_done
    assert run.still_different <= found
    changed = {key(number) for number in run.writers.written}
    assert found - changed == run.still_different


@pytest.mark.parametrize("seed", range(300))
def test_a_merge_that_is_paused_and_resumed_suspects_no_equal_item(seed: int) -> None:
    compare_with_pauses(seed)


def pause_in_archive(seed: int) -> None:
    """Pause after each page of an archive: an item whose partner is on the next page is not archived."""
    numbers, archived = range(12), list[Key]()
    tables = [ScannedTable({n: item(n) for n in numbers}, numbers, page=lambda: 5) for _ in range(2)]
    tables[seed % 2].page = lambda: 2
    with closing(KeySet()) as suspects:
        comparison = Comparison(
            (tables[0].reader, tables[1].reader),
            suspects,
            lambda _: None,
            InStep(lambda *_: None),
            max_suspects=10,
            is_archive=True,
            archived=archived.extend,
        )
        segment = Segment(comparison, SegmentState(0), of=1, bound=1e9)
        while not segment.is_done:
            segment.step()
            if not segment.is_done:
                segment.pause()
            segment = Segment(comparison, segment.state, of=1, bound=1e9)

        assert not suspects
    assert archived == []
    assert (segment.counts.source_items, segment.counts.replica_items) == (12, 12)


@pytest.mark.parametrize("seed", range(2))
def test_an_item_of_an_archive_that_waits_at_a_pause_is_not_archived(seed: int) -> None:
    pause_in_archive(seed)


def test_a_pause_says_nothing_about_the_order_of_the_scans() -> None:
    """The scan that is behind shows the partners of the items that wait with its next page."""
    numbers, looked_up = range(12), list[int]()
    tables = [ScannedTable({n: item(n) for n in numbers}, numbers, page=lambda: 5) for _ in range(2)]
    tables[0].page = lambda: 2
    in_step: Any = SimpleNamespace(is_lost=False, looked_up=lambda equal, of: looked_up.append(of))
    with closing(KeySet()) as suspects:
        comparison = Comparison(
            (tables[0].reader, tables[1].reader), suspects, lambda _: None, in_step, max_suspects=10
        )
        segment = Segment(comparison, SegmentState(0), of=1, bound=1e9)
        while not segment.is_done:
            segment.step()
            if not segment.is_done:
                segment.pause()

        assert not suspects
    assert sum(looked_up) == 0


@pytest.mark.parametrize(
    ("law", "where", "rule", "instead"),
    [
        (compare, Segment._pair, "self._shared.suspect(met.unequal)", "pass"),
        (compare, Segment._to_look_up, "self._look_ups[SOURCE].update(passed[SOURCE])", "pass"),
        (compare, Segment._to_look_up, "self._look_ups[REPLICA].update(passed[REPLICA])", "pass"),
        (
            compare,
            Segment._end,
            "self._to_look_up((self._pairing.rest(SOURCE), self._pairing.rest(REPLICA)))",
            "(self._pairing.rest(SOURCE), self._pairing.rest(REPLICA))",
        ),
        (compare, Segment._pair, "self._look_ups[side].update(oldest)", "pass"),
        (
            compare,
            Segment._step_by_key,
            "self._look_ups[side].update(self._pairing.rest(side))",
            "self._pairing.rest(side)",
        ),
        (compare, Segment._look_for_extra, "self._shared.unequal(extra, found, self.counts)", "pass"),
        (compare, Segment._read_partners, "self._shared.suspect(unequal)", "pass"),
        (compare, Segment._read_partners, "self._shared.unequal(unequal, found, self.counts)", "pass"),
        (compare, Pairing._meet, "met.passed[other][waited] = image", "pass"),
        (compare, Pairing._meet, "met.passed[side].update(self.rest(side))", "self.rest(side)"),
        (compare_with_stops, Segment.__init__, "comparison.suspect(state.waiting)", "pass"),
        (compare_with_stops, SegmentState.document, "[attributes_of(key) for key in self.waiting]", "[]"),
        (pause_in_archive, Segment.pause, "self._known.update(self._look_ups[side])", "pass"),
        (compare_with_pauses, Segment.pause, "self._read_partners(side)", "pass"),
        (
            compare_with_pauses,
            Segment.pause,
            "self._look_ups[side].update(self._pairing.rest(side))",
            "self._pairing.rest(side)",
        ),
        (
            compare_with_stops,
            cast("property", Segment._waiting).fget,
            "(*self._pairing.keys, *self._look_ups[SOURCE], *self._look_ups[REPLICA])",
            "self._pairing.keys",
        ),
        (
            compare_with_stops,
            cast("property", Pairing.keys).fget,
            "(*self._waiting[SOURCE], *self._waiting[REPLICA])",
            "()",
        ),
    ],
    ids=lambda each: getattr(each, "__qualname__", each),
)
def test_without_each_rule_a_difference_is_missed(
    law: Callable[[int], None], where: Any, rule: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_without(monkeypatch, where, rule, instead, lambda: in_all_seeds(law))


def in_all_seeds(law: Callable[[int], None]) -> None:
    for seed in range(300):
        law(seed)


def test_items_without_a_partner_are_few_where_the_scans_are_in_step() -> None:
    innocent = compared = 0
    for seed, bound in product(range(20), (1, 200_000)):
        random = Random(seed)  # noqa: S311
        numbers = range(4000)
        tables = tuple(
            ScannedTable({n: item(n) for n in numbers if random.random() < 0.99}, numbers, page=lambda: 500)
            for _ in range(2)
        )
        source, replica = tables
        for number in range(1000, 1900):  # the replica lacks a part of the table
            replica.items.pop(number, None)
        different = source.items.keys() ^ replica.items.keys()
        with closing(KeySet()) as suspects:
            comparison = Comparison(
                (source.reader, replica.reader),
                suspects,
                lambda _: None,
                InStep(lambda *_: None),
                max_suspects=10_000,
            )
            Merge(comparison, [SegmentState(0)], of=1, bound=bound).run()
            assert len(suspects) == len(different)
        innocent += source.looked_up + replica.looked_up - len(different)
        compared += 4000
    assert innocent / compared < 0.02
