"""merge: which pages and items are read, what is suspected, and what is known after each step.

test_merge_laws.py checks that no difference is missed, whatever the order of the scans.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.errors import TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Image, Items, Key, ScanPage
from ddbreplica.verify.compare.checkpoint import Position, SegmentState
from ddbreplica.verify.compare.comparison import Comparison, InStep
from ddbreplica.verify.compare.merge import Merge, Segment
from ddbreplica.verify.difference import Swept
from ddbreplica.verify.keyset import KeySet
from tests.support.scanned import ScannedTable, item, key

FILTER = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "000"}]}}}}'])
END = Position(is_done=True)


@dataclass
class Table(ScannedTable):
    """A table that logs what is read of it, such as `scan source 0`, which is the page that begins at item 0."""

    name: str = ""
    log: list[str] = field(default_factory=list)

    def scan_page(self, segment: int, *, of: int, after: Image | None, consistent: bool) -> ScanPage:
        page = super().scan_page(segment, of=of, after=after, consistent=consistent)
        self.log.append(f"scan {self.name} {int(after['at']['N']) if after else 0}")
        return page

    def get(self, keys: Sequence[Key], *, keys_only: bool = False) -> Items:
        found = super().get(keys, keys_only=keys_only)
        numbers = " ".join(str(int(text)) for ((_, _, text),) in keys)
        self.log.append(f"{'get keys of' if keys_only else 'get'} {self.name} {numbers}")
        return found


class Pair:
    """Two tables, whose scans have the same order, and a comparison of them. Each item has 100 bytes."""

    def __init__(self, suspects: KeySet) -> None:
        self.log: list[str] = []
        self.source, self.replica = (Table({}, (), name=name, log=self.log) for name in ("source", "replica"))
        self.suspects = suspects
        self.archived: list[Key] = []
        self.advanced: list[int] = []
        self.in_step = InStep(lambda *_: None)

    def fill(self, source: Iterator[int] | Sequence[int], replica: Sequence[int], *, page: int) -> "Pair":
        """Fill the tables with items of these numbers, and let scans return so many items a page."""
        for table, numbers in ((self.source, source), (self.replica, replica)):
            table.items = {number: item(number) for number in numbers}
            table.page = lambda: page
        order = range(1 + max(self.source.items.keys() | self.replica.items.keys()))
        self.source.order = self.replica.order = order
        return self

    def comparison(self, **options: Any) -> Comparison:
        return Comparison(
            (self.source.reader, self.replica.reader),
            self.suspects,
            self.advanced.append,
            self.in_step,
            max_suspects=options.pop("max_suspects", 1000),
            archived=self.archived.extend,
            **options,
        )

    def segment(
        self, state: SegmentState | None = None, *, of: int = 1, bound: float = 1e9, **options: Any
    ) -> Segment:
        return Segment(self.comparison(**options), state or SegmentState(0), of=of, bound=bound)

    def logged(self) -> list[str]:
        """Return what was read since the last call."""
        logged, self.log[:] = [*self.log], []
        return logged

    @property
    def suspected(self) -> list[int]:
        return [int(text) for chunk in self.suspects.chunks(100) for ((_, _, text),) in chunk]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with closing(KeySet()) as suspects:
        yield Pair(suspects)


def at(number: int) -> Position:
    """Return the position before the page that begins at this item."""
    return Position({"at": {"N": str(number)}})


def waiting(segment: Segment) -> list[int]:
    return [int(text) for ((_, _, text),) in segment.state.waiting]


def finish(segment: Segment) -> None:
    for _ in range(100):
        if segment.is_done:
            return
        segment.step()
    pytest.fail("it never ends")


def fail_once(table: ScannedTable) -> None:
    """Let the next request to a table fail."""

    def fail() -> None:
        table.before = lambda: None
        raise TaskError("throttled.", hint="wait.")

    table.before = fail


def test_equal_tables_cost_two_scans(pair: Pair) -> None:
    segment = pair.fill(range(4), range(4), page=2).segment()
    assert (segment.has_begun, segment.is_done, segment.number) == (False, False, 0)

    segment.step()
    assert pair.logged() == ["scan source 0", "scan replica 0"]
    assert segment.state == SegmentState(0, at(2), at(2), (), (), Swept(2, 2))
    assert (segment.has_begun, segment.is_done) == (True, False)

    segment.step()
    assert pair.logged() == ["scan source 2", "scan replica 2"]
    assert segment.state == SegmentState(0, END, END, (), (), Swept(4, 4))
    assert segment.is_done
    assert pair.advanced == [2, 2, 2, 2]
    assert not pair.suspects


@pytest.mark.parametrize(("consistent", "how"), [(True, "scan"), (False, "eventual scan")])
def test_each_segment_reads_its_own_part_of_both_tables(pair: Pair, consistent: bool, how: str) -> None:
    segment = pair.fill(range(10), range(10), page=100).segment(SegmentState(2), of=3, consistent=consistent)

    segment.step()

    assert segment.state == SegmentState(2, END, END, (), (), Swept(3, 3)), "2, 5 and 8"
    assert pair.source.reads == pair.replica.reads == [how]


def test_items_that_differ_are_suspected(pair: Pair) -> None:
    segment = pair.fill(range(4), range(4), page=4).segment()
    pair.replica.items.update({1: item(1, 5), 3: item(3, 5)})

    segment.step()

    assert pair.suspected == [1, 3]
    assert segment.state == SegmentState(0, END, END, (), (), Swept(4, 4))
    assert pair.logged() == ["scan source 0", "scan replica 0"]


def test_items_that_the_filter_excludes_are_not_compared(pair: Pair) -> None:
    segment = pair.fill(range(8, 12), range(8, 13), page=100).segment(key_filter=FILTER)
    pair.replica.items[10] = item(10, 5)

    segment.step()

    assert segment.counts == Swept(2, 2, source_outside=2, replica_outside=3)
    assert not pair.suspects


def test_equal_pages_are_divided_by_the_filter(pair: Pair) -> None:
    segment = pair.fill(range(8, 12), range(8, 12), page=100).segment(key_filter=FILTER)

    segment.step()

    assert segment.counts == Swept(2, 2, source_outside=2, replica_outside=2)
    assert pair.advanced == [4, 4]


def test_items_without_a_partner_are_looked_up_in_the_other_table(pair: Pair) -> None:
    segment = pair.fill([0, 1, 2, 4, 5], [0, 2, 3, 5, 6], page=100).segment()

    segment.step()

    assert pair.logged() == ["scan source 0", "scan replica 0", "get replica 1 4", "get source 3 6"]
    assert pair.suspected == [1, 3, 4, 6]
    assert (segment.is_done, segment.counts) == (True, Swept(5, 5))


def test_an_item_whose_partner_has_come_meanwhile_is_not_suspected(pair: Pair) -> None:
    segment = pair.fill([0, 1, 2, 3], [0, 2], page=100).segment()

    def write() -> None:
        if "scan replica 0" in pair.log:
            pair.replica.items.update({1: item(1), 3: item(3, 5)})

    pair.replica.before = write
    segment.step()

    assert pair.suspected == [3]


def test_the_side_that_is_behind_is_read_next(pair: Pair) -> None:
    segment = pair.fill(range(6), range(6), page=4).segment()
    pair.replica.page = lambda: 1

    segment.step()
    segment.step()
    assert pair.logged() == ["scan source 0", "scan replica 0", "scan replica 1"]
    assert segment.state == SegmentState(0, at(4), at(2), (key(2), key(3)), (), Swept(4, 2))

    segment.step()
    segment.step()
    assert pair.logged() == ["scan replica 2", "scan replica 3"]
    segment.step()
    assert pair.logged() == ["scan source 4", "scan replica 4"], "nothing waits, so both are read again"


@pytest.mark.parametrize("names", [("source", "replica"), ("replica", "source")])
def test_a_side_that_has_ended_is_not_read_again(pair: Pair, names: tuple[str, str]) -> None:
    shorter, longer = names
    numbers = {shorter: [0, 9], longer: range(3, 10)}
    segment = pair.fill(numbers["source"], numbers["replica"], page=2).segment()

    finish(segment)

    assert [line for line in pair.logged() if "scan" in line] == [
        "scan source 0",
        "scan replica 0",
        *(f"scan {longer} {number}" for number in (5, 7, 9)),
    ]
    assert pair.suspected == [0, 3, 4, 5, 6, 7, 8]


def test_an_archive_may_have_more_items_which_are_not_looked_up(pair: Pair) -> None:
    segment = pair.fill([0, 2], [0, 1, 2, 3], page=100).segment(is_archive=True)

    segment.step()

    assert pair.logged() == ["scan source 0", "scan replica 0"]
    assert (pair.archived, segment.counts) == ([key(1), key(3)], Swept(2, 4, archived=2))
    assert not pair.suspects


def test_an_archive_must_have_what_the_source_has(pair: Pair) -> None:
    segment = pair.fill([0, 1, 2, 3], [0, 2], page=100).segment(is_archive=True)
    pair.replica.items[2] = item(2, 5)

    segment.step()

    assert pair.suspected == [1, 2, 3]
    assert (pair.archived, segment.counts.archived) == ([], 0)


@pytest.mark.parametrize(("passed", "looked_up"), [(MAX_KEYS - 1, False), (MAX_KEYS, True)])
def test_items_without_a_partner_are_looked_up_as_soon_as_they_fill_a_request(
    pair: Pair, passed: int, looked_up: bool
) -> None:
    segment = pair.fill(range(2 * MAX_KEYS), range(passed, 2 * MAX_KEYS), page=passed + 1).segment()

    segment.step()

    missing = " ".join(map(str, range(passed)))
    assert pair.logged()[2:] == ([f"get replica {missing}"] if looked_up else [])
    assert len(pair.suspects) == (passed if looked_up else 0)
    assert not segment.is_done


def test_a_look_up_of_many_items_takes_several_requests(pair: Pair) -> None:
    segment = pair.fill(range(2 * MAX_KEYS + 1), [2 * MAX_KEYS], page=1000).segment()

    segment.step()

    assert pair.replica.reads == ["scan", "get", "get"]
    assert pair.replica.looked_up == len(pair.suspects) == 2 * MAX_KEYS


@pytest.mark.parametrize(("bound", "looked_up"), [(300, []), (299, ["get replica 0 1 2"])])
def test_items_without_a_partner_are_looked_up_as_soon_as_they_fill_the_memory(
    pair: Pair, bound: float, looked_up: list[str]
) -> None:
    segment = pair.fill(range(8), range(3, 8), page=4).segment(bound=bound)

    segment.step()

    assert pair.logged()[2:] == looked_up


@pytest.mark.parametrize(("bound", "looked_up"), [(100, []), (99, ["get replica 0"])])
def test_the_memory_is_measured_by_the_items_of_the_latest_page(
    pair: Pair, bound: float, looked_up: list[str]
) -> None:
    segment = pair.fill([0, 1, 2], [1, 2], page=2).segment(bound=bound)
    pair.replica.page = lambda: 1

    segment.step()

    assert pair.logged()[2:] == looked_up


@pytest.mark.parametrize("bound", [1, 400])
def test_a_part_that_one_side_lacks_is_read_by_key_while_the_other_side_waits(
    pair: Pair, bound: float
) -> None:
    segment = pair.fill(range(10), range(10, 12), page=2).segment(bound=bound)

    segment.step()
    segment.step()
    assert pair.logged() == ["scan source 0", "scan replica 0", "scan source 2", "get replica 0 1 2 3"]
    assert pair.suspected == [0, 1, 2, 3]
    assert waiting(segment) == [10, 11]

    segment.step()
    segment.step()
    assert pair.logged() == ["scan source 4", "scan source 6", "get replica 4 5 6 7"]


def test_what_overflows_of_an_archive_is_archived_if_the_source_lacks_it(pair: Pair) -> None:
    segment = pair.fill([3, 10, 11], range(10), page=1).segment(is_archive=True, bound=1)
    pair.source.order, pair.source.items[3] = [10, 11, 3], item(3, 5)
    pair.replica.page = lambda: 4

    segment.step()
    segment.step()

    assert pair.logged() == ["scan source 0", "scan replica 0", "scan source 1", "get source 0 1 2 3"]
    assert (pair.archived, segment.counts.archived) == ([key(0), key(1), key(2)], 3)
    assert pair.suspected == [3]


def test_a_side_whose_partners_come_later_waits(pair: Pair) -> None:
    """The scans have different orders: what overflows has an equal partner, which the other side has not shown."""
    segment = pair.fill(range(10), range(10), page=2).segment(bound=1)
    pair.replica.order = [8, 9, 6, 7, 4, 5, 2, 3, 0, 1]

    segment.step()
    segment.step()
    segment.step()

    assert pair.logged() == [
        "scan source 0",
        "scan replica 0",
        "scan source 2",
        "get replica 0 1 2 3",
        "scan replica 2",
    ]
    assert not pair.suspects
    assert [*pair.in_step._latest] == [True] * 4


@pytest.mark.parametrize(
    ("segments", "bound", "overflows"), [(1, 599, True), (1, 600, False), (2, 1199, True), (2, 1200, False)]
)
def test_the_memory_is_shared_by_all_segments(
    pair: Pair, segments: int, bound: float, overflows: bool
) -> None:
    pair.fill(range(10), range(10, 20), page=2)
    for table in (pair.source, pair.replica):
        table.segment_of = lambda *_: 0
    states = [SegmentState(number) for number in range(segments)]
    segment = Merge(pair.comparison(), states, of=segments, bound=bound).segments[0]

    segment.step()
    segment.step()

    assert ("get replica 0 1 2 3" in pair.log) == overflows


def test_look_ups_tell_whether_the_scans_are_in_step(pair: Pair) -> None:
    segment = pair.fill([0, 1, 2], [2, 0], page=100).segment()
    pair.replica.order = [2, 0, 1]

    segment.step()

    assert pair.logged()[2:] == ["get replica 0 1", "get source 0"]
    assert [*pair.in_step._latest] == [True, False, True]


def test_a_pause_looks_up_what_waits_and_says_nothing_about_the_order_of_the_scans(pair: Pair) -> None:
    pair.fill(range(4), range(4), page=2)
    pair.replica.page = lambda: 1
    del pair.replica.items[1]
    segment = pair.segment()
    segment.step()

    segment.pause()

    assert pair.logged()[2:] == ["get replica 1"]
    assert pair.suspected == [1]
    assert (waiting(segment), segment.state.known) == ([], (key(1),))
    assert [*pair.in_step._latest] == []


def test_a_pause_looks_up_the_items_of_both_sides(pair: Pair) -> None:
    segment = pair.fill([0, 2, 3], [1, 2, 3], page=1).segment(is_archive=True)
    segment.step()

    segment.pause()

    assert pair.logged()[2:] == ["get replica 0", "get source 1"]
    assert {*segment.state.known} == {key(0), key(1)}
    assert (pair.suspected, pair.archived) == ([0], [key(1)])


def test_what_waited_when_an_earlier_run_ended_is_suspected_and_not_archived(pair: Pair) -> None:
    pair.fill([1, 2, 4, 5], range(1, 6), page=2)
    state = SegmentState(0, at(4), Position(), waiting=[key(1)], known=[key(2)], counts=Swept(3))

    segment = pair.segment(state, is_archive=True)
    assert pair.suspected == [1]
    assert {*segment.state.known} == {key(1), key(2)}

    finish(segment)
    assert pair.archived == [key(3)], "only this one has no partner"
    assert (pair.suspected, segment.state.known) == ([1], ())
    assert segment.counts == Swept(5, 5, archived=1)


def test_the_counts_go_on_from_those_of_the_state(pair: Pair) -> None:
    state = SegmentState(0, at(2), at(2), counts=Swept(2, 2))
    segment = pair.fill(range(6), range(6), page=2).segment(state)

    segment.step()
    earlier = segment.state
    segment.step()

    assert (state.counts, earlier.counts, segment.counts) == (Swept(2, 2), Swept(4, 4), Swept(6, 6))


def test_a_difference_for_which_there_is_no_room_is_reported_and_its_page_is_read_again(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Sequence[Key]) -> None:
        raise TaskError("full.", hint="free disk space.")

    reported: list[Key] = []
    segment = pair.fill(range(2), range(2), page=1).segment(suspected=reported.extend, is_archive=True)
    pair.replica.items[0] = item(0, 5)
    monkeypatch.setattr(pair.suspects, "add", fail)

    with pytest.raises(TaskError):
        segment.step()

    assert segment.state == SegmentState(0, at(1), Position(), (), (), Swept(1, 0))
    assert reported == [key(0)], (
        "or its item, read again without its partner, would pass for one that only the archive has"
    )


def test_a_look_up_that_failed_is_made_again(pair: Pair) -> None:
    segment = pair.fill([0, 1, 3], [1, 2, 3], page=100).segment()

    def fail() -> None:
        if "scan replica 0" in pair.log:
            pair.replica.before = lambda: None
            raise TaskError("throttled.", hint="wait.")

    pair.replica.before = fail
    with pytest.raises(TaskError):
        segment.step()
    assert pair.logged() == ["scan source 0", "scan replica 0"]
    assert segment.state == SegmentState(0, END, END, (key(0), key(2)), (), Swept(3, 3))
    assert not segment.is_done

    segment.step()
    assert pair.logged() == ["get replica 0", "get source 2"]
    assert (pair.suspected, segment.is_done) == ([0, 2], True)


def test_out_of_step_each_item_of_the_source_and_each_key_of_the_replica_is_looked_up(pair: Pair) -> None:
    pair.in_step.is_lost = True
    segment = pair.fill([0, 1, 3], [0, 1, 2, 3], page=2).segment()
    pair.replica.items[1] = item(1, 5)

    segment.step()
    assert pair.logged() == ["scan source 0", "get replica 0 1", "scan replica 0", "get keys of source 0 1"]
    assert segment.state == SegmentState(0, at(2), at(2), (), (), Swept(2, 2))
    assert pair.suspected == [1]

    segment.step()
    assert pair.logged() == ["scan source 2", "get replica 3", "scan replica 2", "get keys of source 2 3"]
    assert (segment.is_done, segment.counts) == (True, Swept(3, 4))
    assert pair.suspected == [1, 2]
    assert not pair.in_step._latest, "these look-ups tell nothing about the order"


def test_out_of_step_a_side_that_has_ended_is_not_read_again(pair: Pair) -> None:
    pair.in_step.is_lost = True
    segment = pair.fill([0, 1], [0, 1, 2, 3], page=2).segment()
    pair.source.page = lambda: 100

    finish(segment)

    assert [line for line in pair.logged() if line.startswith("scan")] == [
        "scan source 0",
        "scan replica 0",
        "scan replica 2",
    ]


def test_out_of_step_the_filter_and_the_archive_count(pair: Pair) -> None:
    pair.in_step.is_lost = True
    segment = pair.fill([8, 20], [8, 9, 20, 21], page=100).segment(key_filter=FILTER, is_archive=True)
    pair.replica.items[20] = item(20, 5)

    segment.step()

    assert pair.archived == [key(9)]
    assert segment.counts == Swept(1, 2, source_outside=1, replica_outside=2, archived=1)
    assert not pair.suspects


def test_out_of_step_the_keys_of_a_large_page_take_several_requests(pair: Pair) -> None:
    pair.in_step.is_lost = True
    segment = pair.fill([0], range(2 * MAX_KEYS + 1), page=1000).segment()

    segment.step()

    assert pair.source.reads == ["scan", "get", "get", "get"]
    assert pair.source.looked_up == 2 * MAX_KEYS + 1
    assert pair.suspected == [*range(1, 2 * MAX_KEYS + 1)]


def test_what_waits_when_the_scans_are_found_out_of_step_is_looked_up_first(pair: Pair) -> None:
    segment = pair.fill(range(8), [4, 5, 6, 7], page=2).segment()
    segment.step()
    assert waiting(segment) == [0, 1, 4, 5]
    pair.logged()
    pair.in_step.is_lost = True

    segment.step()
    assert pair.logged()[:3] == ["get replica 0 1", "get source 4 5", "scan source 2"]
    assert waiting(segment) == []

    finish(segment)
    assert pair.suspected == [0, 1, 2, 3]
    assert segment.counts == Swept(8, 4)


def test_a_merge_compares_all_its_segments(pair: Pair) -> None:
    saved: list[int] = []
    pair.fill(range(12), range(11), page=2)
    merge = Merge(
        pair.comparison(),
        [SegmentState(0), SegmentState(2, counts=Swept(archived=7))],
        of=3,
        save=lambda segment: saved.append(segment.number),
    )
    assert (merge.is_done, merge.about) == (False, None)

    merge.run()

    assert (merge.is_done, merge.counts) == (True, Swept(8, 7, archived=7))
    assert pair.suspected == [11]
    assert [each.number for each in merge.segments] == [0, 2]
    assert sorted(saved) == [0, 0, 0, 2, 2], "after each step"


def test_a_merge_without_segments_is_done(pair: Pair) -> None:
    merge = Merge(pair.comparison(), [], of=1)

    merge.run()

    assert (merge.is_done, merge.counts) == (True, Swept())


def test_a_merge_halts_at_too_many_suspected_differences_and_goes_on(pair: Pair) -> None:
    pair.fill(range(4), range(4), page=2)
    pair.replica.items = {number: item(number, 5) for number in range(4)}
    merge = Merge(pair.comparison(max_suspects=2), [SegmentState(0)], of=1)

    merge.run()
    assert (merge.is_done, pair.suspected) == (False, [0, 1])

    pair.suspects.clear()
    merge.run()
    assert (merge.is_done, pair.suspected) == (True, [2, 3])


def test_a_merge_stops_all_segments_if_one_fails(pair: Pair) -> None:
    pair.fill(range(4), range(4), page=1)
    fail_once(pair.source)
    merge = Merge(pair.comparison(), [SegmentState(0)], of=1)

    with pytest.raises(TaskError):
        merge.run()
    assert (merge.is_done, pair.logged()) == (False, [])

    merge.run()
    assert (merge.is_done, merge.counts) == (True, Swept(4, 4))
