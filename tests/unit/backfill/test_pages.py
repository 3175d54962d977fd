"""pages: a backfill reconciles every page of keys once, keeps what failed, and resumes where it ended."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from ddbreplica.backfill import listing, pages
from ddbreplica.backfill.listing import DamagedError, KeyPage
from ddbreplica.backfill.pages import Backfill, Scan, Within, done_earlier
from ddbreplica.errors import TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Items, Key, Refusal, State
from ddbreplica.reconcile.algorithm import ReconcileContext, Reconciled, reconcile
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import BACKFILL, DAMAGED
from ddbreplica.reconcile.rescan import Rescan, Shown
from ddbreplica.records.decode import key_of
from ddbreplica.transform.view import AS_IT_IS, View
from tests.support.clock import Clock
from tests.support.fake_journal import HOLD
from tests.support.fake_replica import INVALID, TIMED_OUT, FakeReplica, Request, in_turn
from tests.support.fake_source import FakeSource
from tests.support.memory_state import ManualClock, MemoryLines

PAGE = 7
MANY = 1000


class Killed(BaseException):
    """The process was killed: none of its later steps happens."""


class World:
    """A source in parts, its replica, and the state that outlives runs; `kill` is called before every step."""

    def __init__(self, *, parts: int = 3, items: int = 40, is_archive: bool = False, **fakes: Any) -> None:
        self.is_archive = is_archive
        self.view: View = AS_IT_IS
        self.undecided: list[Key] = []
        self.source = FakeSource(*(item(number) for number in range(items)))
        self.replica = FakeReplica(**fakes)
        self.parts = tuple(f"part {number}" for number in range(parts))
        self.damaged: dict[str, str] = {}
        self.listed: Counter[Key] = Counter()
        self.kill: Callable[[], None] = lambda: None
        self.clock = ManualClock()
        self.clock.respond()
        self.lines = MemoryLines()
        self.waits = 0
        self.reconciles = 0
        self.begin()

    def begin(self) -> None:
        """List the keys that the source has now."""
        self._keys = sorted(self.source.items)

    def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
        number = self.parts.index(part)
        keys = self._keys[number :: len(self.parts)]
        for start in range(after or 0, max(1, len(keys)), PAGE):
            self.kill()
            page = [key for key in keys[start : start + PAGE] if key in self.source.items]
            self.listed.update(page)
            end = start + PAGE
            cursor = end if end < len(keys) or part in self.damaged else None
            rescan = Rescan(0, partial(self._scan, keys[start:end]))
            seen = {key: self.view.of(self.source.items[key]) for key in page}
            yield KeyPage(page, seen, cursor, rescan=rescan)
        self.kill()
        if part in self.damaged:
            raise DamagedError(self.damaged[part])

    def _scan(self, keys: Sequence[Key]) -> Shown:
        self.kill()
        return [(key, self.view.of(self.source.items[key])) for key in keys if key in self.source.items]

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        states = self.source.read_batch(keys)
        if isinstance(states, Refusal):
            return states
        return {key: state and self.view.of(state) for key, state in states.items()}

    def reconcile(self, keys: Iterable[Key], seen: Items, rescan: Rescan | None = None) -> Reconciled:
        self.reconciles += 1
        assert self.reconciles < MANY, "it reconciles forever"
        tables = _Killing(SimpleNamespace(read_batch=self.read_batch), self), _Killing(self.replica, self)
        pair = ReconcileContext(*tables, _Killing(self._journal, self), is_archive=self.is_archive)
        return reconcile(keys, pair, deadline=Clock(1e6).deadline(), seen=seen, rescan=rescan)

    def opened(self) -> FileJournal:
        """Return the state, as the next run reads it."""
        self.lines.is_open = True
        return FileJournal(self.lines, command=BACKFILL, clock=self.clock)

    def run(self, *, wait: bool = True) -> Backfill:
        """Run until it is done or killed."""
        self._journal = self.opened()
        try:
            journal: Any = _Killing(self._journal, self)
            backfill = Backfill(
                [self],
                reconcile=self.reconcile,
                journal=journal,
                undecided=self.undecided.extend,
                threads=1,
                advance=_no,
            )
            backfill.run()
            backfill.settle(self.wait if wait else lambda: None)
            self._journal.rest()
            return backfill
        finally:
            self._journal.close()

    def wait(self) -> None:
        self.waits += 1
        assert self.waits < MANY, "it waits for ever"
        self.clock.pass_by(self._journal.held()[1])

    @property
    def is_equal(self) -> bool:
        return self.source.items == self.replica.items


class _Killing:
    """A proxy that calls `kill` before and after every call."""

    def __init__(self, target: Any, world: World) -> None:
        self._target = target
        self._world = world

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._called(value) if callable(value) else value

    def _called(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def killing(*args: Any, **kwargs: Any) -> Any:
            self._world.kill()
            answer = call(*args, **kwargs)
            self._world.kill()
            return answer

        return killing


def _no(_: int) -> None:
    pass


def item(number: int, value: int = 1) -> dict[str, Any]:
    return {"PK": {"S": f"item{number:03}"}, "v": {"N": str(value)}}


def key(number: int) -> Key:
    return key_of({"PK": item(number)["PK"]})


def test_every_item_of_every_part_is_copied_once() -> None:
    world = World()

    backfill = world.run()

    assert world.is_equal
    assert backfill.items == 40
    assert backfill.left == {}
    assert set(world.listed.values()) == {1}


def test_a_part_that_is_done_is_not_listed_again() -> None:
    world = World()
    world.run()

    assert world.run().items == 40
    assert set(world.listed.values()) == {1}


def test_a_write_of_a_killed_run_that_lands_late_is_overwritten() -> None:
    """The first run is killed with a request under way. The source changes, and then the old image lands."""
    world = World(parts=1, items=1)

    def die(_: Any) -> Any:
        raise Killed

    world.replica = FakeReplica(script=die)
    with pytest.raises(Killed):
        world.run()
    world.replica = FakeReplica()
    world.source.put(item(0, value=2))
    world.replica.items[key(0)] = item(0, value=2)

    def land_and_wait() -> None:
        world.replica.items[key(0)] = item(0, value=1)
        World.wait(world)

    world.wait = land_and_wait  # type: ignore[method-assign]

    assert world.run().left == {}
    assert world.is_equal


def test_a_damaged_part_is_reported_by_every_run_and_the_others_are_copied() -> None:
    world = World()
    world.damaged = {"part 1": "lacks an item"}

    assert world.run().damaged == world.damaged
    listed = Counter(world.listed)
    world.damaged = {}

    assert world.run().damaged == {"part 1": "lacks an item"}
    assert world.listed == listed
    assert world.is_equal


def test_in_doubt_items_are_left_without_a_wait() -> None:
    world = World(script=in_turn(TIMED_OUT))

    left = world.run(wait=False).left

    assert len(left) == PAGE
    assert set(left.values()) == {"a write got no response and may still land"}
    world.clock.pass_by(HOLD)
    assert world.run(wait=False).left == {}


def test_a_key_that_a_later_response_holds_back_is_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", PAGE)
    pages = 6
    reconciles: list[int] = []
    world = World()
    keys = [key(number) for number in range(pages * PAGE)]
    world._journal = journal = world.opened()
    journal.intend(keys)

    def reconcile_and_see_that_the_clock_is_ahead(
        some: Iterable[Key], _seen: Items, rescan: Rescan | None = None
    ) -> Reconciled:
        wanted = list(some)
        assert len(reconciles) < MANY
        free = journal.intend(wanted)
        journal.confirm(free)
        reconciles.append(len(free))
        journal.mark_in_doubt(journal.open_keys())
        return Reconciled(confirmed=list(free), in_doubt=[key for key in wanted if key not in free])

    backfill = Backfill(
        [world],
        reconcile=reconcile_and_see_that_the_clock_is_ahead,
        journal=journal,
        undecided=print,
        threads=1,
        advance=_no,
    )
    with closing(journal):
        backfill.settle(world.wait)

    assert journal.open_keys() == ()
    assert [reconciled for reconciled in reconciles if reconciled] == [PAGE] * pages


def test_a_refused_item_is_left_with_the_reason_and_copied_after_it_is_fixed() -> None:
    world = World(poison=lambda image: image["v"] == {"N": "13"})
    world.source.put(item(5, value=13))

    assert world.run().left == {key(5): "ValidationException: type mismatch for an index key"}
    assert len(world.replica.items) == 39

    world.source.put(item(5, value=14))
    assert world.run().left == {}
    assert world.is_equal
    assert set(world.listed.values()) == {1}


def test_an_item_that_keeps_changing_is_left() -> None:
    world = World()

    def write(request: Any) -> Any:
        numbers = (int(write.change.image["PK"]["S"].removeprefix("item")) for write in request)
        for number in numbers:
            if number == 5:
                world.source.put(item(5, value=len(world.replica.requests)))
        return ()

    world.replica = FakeReplica(script=write)

    assert world.run().left == {key(5): "the source changed in every round"}


def test_it_ends_early_if_nothing_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_LEFT", 10)
    world = World(script=lambda request: INVALID)

    with pytest.raises(
        TaskError, match="14 items cannot be copied; the last reason: ValidationException: type mis"
    ):
        world.run()

    assert len(world.listed) == 14


def test_progress_counts_the_items_of_this_run_alone() -> None:
    world = World()
    within = Within(KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": [{"suffix": "1"}]}}}}']), world)
    progress: list[tuple[int, int]] = []

    for _ in range(2):
        with closing(world.opened()) as journal:
            world._journal = journal
            counted: list[int] = []
            earlier = done_earlier(journal, within.parts)
            backfill = Backfill(
                [within],
                reconcile=world.reconcile,
                journal=journal,
                undecided=world.undecided.extend,
                threads=1,
                advance=counted.append,
            )
            backfill.run()
        progress.append((earlier, sum(counted)))
        assert (backfill.items, backfill.outside) == (4, 36)

    assert progress == [(0, 40), (40, 0)]
    assert sorted(world.replica.items) == [key(1), key(11), key(21), key(31)]
    assert set(world.listed.values()) == {1}


def test_a_thread_that_fails_halts_the_others() -> None:
    world = World(items=400)

    def fail_once(keys: Iterable[Key], seen: Items, rescan: Rescan | None = None) -> Reconciled:
        if not world.replica.requests:
            world.replica.requests.append(())
            raise TaskError("broken", hint="none")
        return Reconciled(confirmed=list(keys))

    world.reconcile = fail_once  # type: ignore[method-assign]

    with pytest.raises(TaskError, match="broken"):
        world.run()

    assert len(world.listed) <= 3 * PAGE


def test_a_part_that_fails_halts_the_others_between_two_pages() -> None:
    world = World(parts=2, items=400)
    firsts = set(sorted(world.source.items)[::2])
    has_begun = threading.Event()

    def fail_in_the_first(keys: Sequence[Key], seen: Items, rescan: Rescan | None = None) -> Reconciled:
        if keys[0] in firsts:
            assert has_begun.wait(10)
            raise TaskError("broken", hint="none")
        has_begun.set()
        assert backfill._halted.wait(10)
        return Reconciled(confirmed=list(keys))

    with closing(world.opened()) as journal:
        backfill = Backfill(
            [world],
            reconcile=fail_in_the_first,
            journal=journal,
            undecided=world.undecided.extend,
            threads=2,
            advance=_no,
        )
        with pytest.raises(TaskError, match="broken"):
            backfill.run()

    assert len(world.listed) <= 2 * PAGE


@pytest.mark.parametrize(
    ("error", "is_at_rest"),
    [
        (TaskError("broken", hint="none"), True),
        (KeyboardInterrupt(), True),
        (RuntimeError("a bug"), False),
    ],
)
def test_it_is_at_rest_only_if_all_ended_in_order(error: BaseException, is_at_rest: bool) -> None:
    world = World()

    def fail(keys: Iterable[Key], seen: Items, rescan: Rescan | None = None) -> Reconciled:
        raise error

    world.reconcile = fail  # type: ignore[method-assign]
    with closing(world.opened()) as journal:
        backfill = Backfill(
            [world],
            reconcile=world.reconcile,
            journal=journal,
            undecided=world.undecided.extend,
            threads=1,
            advance=_no,
        )
        with pytest.raises(type(error)):
            backfill.run()

    assert backfill.is_at_rest is is_at_rest


GONE = {key(number) for number in range(0, 40, 3)}


def letting_go() -> World:
    """Delete items from the source after they were written."""

    def script(request: Request) -> tuple[()]:
        for write in request:
            if write.change.key in GONE:
                world.source.items.pop(write.change.key, None)
        return ()

    world = World(is_archive=True, script=script)
    return world


@pytest.mark.hazard(number=14)
def test_undecided_keys_are_listed_for_review_and_closed() -> None:
    world = letting_go()

    assert world.run().left == {}

    assert set(world.undecided) == GONE
    assert len(world.undecided) == len(GONE)
    assert world.run().items == 40
    assert len(world.undecided) == len(GONE)


def test_an_in_doubt_key_that_is_undecided_in_the_end_is_no_longer_left() -> None:
    world = World(items=1, is_archive=True, script=in_turn(TIMED_OUT))
    wait = world.wait

    def expire() -> None:
        wait()
        world.source.items.clear()

    world.wait = expire  # type: ignore[method-assign]

    assert world.run().left == {}
    assert world.undecided == [key(0)]


@pytest.mark.parametrize("value", [5, None, [], {"items": "x"}, {"outside": None}, {"damage": 5}])
def test_a_note_that_no_run_has_written_is_one_line(value: Any) -> None:
    world = World(items=1)
    with closing(world.opened()) as journal:
        journal.note(world.parts[0], value)

    with pytest.raises(
        TaskError, match=f"the entry for {world.parts[0]} was not written by ddbreplica, or is damaged"
    ):
        world.run()


def backfill_of(world: World, journal: FileJournal, **given: Any) -> Backfill:
    how: dict[str, Any] = {
        "listings": [world],
        "reconcile": world.reconcile,
        "journal": journal,
        "undecided": world.undecided.extend,
        "threads": 1,
        "advance": _no,
    }
    world._journal = journal
    return Backfill(**(how | given))


def test_listings_with_the_same_keys_are_worked_through_one_after_the_other() -> None:
    world, under_way, lock = World(items=40), set[Key](), threading.Lock()

    def reconcile(keys: Sequence[Key], seen: Items, rescan: Any) -> Reconciled:
        with lock:
            assert under_way.isdisjoint(keys)
            under_way.update(keys)
        time.sleep(0.02)
        with lock:
            under_way.difference_update(keys)
        return Reconciled(confirmed=list(keys))

    again: Any = SimpleNamespace(
        parts=[f"again {part}" for part in world.parts],
        pages=lambda part, after: world.pages(part.removeprefix("again "), after),
    )
    with closing(world.opened()) as journal:
        backfill = backfill_of(world, journal, listings=[world, again], reconcile=reconcile, threads=8)
        backfill.run()

    assert backfill.items == 80


def test_a_key_that_is_refused_and_later_in_doubt_is_settled() -> None:
    """Two listings have it. A batch with it and its own write are refused first; the next batch gets no response."""
    world = World(parts=1, items=1, script=in_turn(INVALID, INVALID, TIMED_OUT))
    again: Any = SimpleNamespace(parts=["again"], pages=lambda _, after: world.pages("part 0", after))

    with closing(world.opened()) as journal:
        backfill = backfill_of(world, journal, listings=[world, again])
        backfill.run()
        assert backfill.left == {key(0): "a write got no response and may still land"}
        backfill.settle(world.wait)

    assert (backfill.left, world.is_equal) == ({}, True)


def test_the_items_of_a_page_are_passed_to_reconcile() -> None:
    world, seen_items = World(parts=1, items=2), []

    def reconcile(keys: Sequence[Key], seen: Items, rescan: Rescan | None = None) -> Reconciled:
        seen_items.append((tuple(keys), seen))
        return Reconciled(confirmed=list(keys))

    with closing(world.opened()) as journal:
        backfill_of(world, journal, reconcile=reconcile).run()

    assert seen_items == [((key(0), key(1)), {key(0): item(0), key(1): item(1)})]


def test_the_number_and_the_names_of_the_threads() -> None:
    world, names, all_here = World(items=3), set(), threading.Barrier(3)

    def reconcile(keys: Sequence[Key], seen: Items, rescan: Rescan | None = None) -> Reconciled:
        all_here.wait(10)
        names.add(threading.current_thread().name)
        return Reconciled(confirmed=list(keys))

    with closing(world.opened()) as journal:
        backfill_of(world, journal, reconcile=reconcile, threads=3).run()

    assert names == {"backfill_0", "backfill_1", "backfill_2"}


def test_progress_is_noted_with_the_counts_of_all_runs() -> None:
    world = World(parts=1, items=10)

    with closing(world.opened()) as journal:
        backfill_of(world, journal).run()
        assert journal.notes["part 0"] == {"after": None, "items": 10, "outside": 0}


def test_damage_is_noted_beside_the_progress() -> None:
    world = World(parts=1, items=10)
    world.damaged = {"part 0": "lacks an item"}

    with closing(world.opened()) as journal:
        backfill_of(world, journal).run()
        assert journal.notes["part 0"] == {"after": 14, "items": 10, "outside": 0, "damage": "lacks an item"}


def test_a_note_that_no_run_has_written_is_reported_with_the_state_and_a_hint() -> None:
    world = World(items=1)
    with closing(world.opened()) as journal:
        journal.note("part 0", 5)
        with pytest.raises(TaskError) as raised:
            backfill_of(world, journal).run()

    assert raised.value.fact == "state: the entry for part 0 was not written by ddbreplica, or is damaged."
    assert raised.value.hint == DAMAGED


def test_items_that_cannot_be_copied_are_counted_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_LEFT", 7)
    world = World(parts=1, items=7, script=lambda request: INVALID)

    assert len(world.run().left) == 7


def test_an_early_end_has_the_number_of_items_and_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_LEFT", 6)
    world = World(parts=1, items=7, script=lambda request: INVALID)

    with pytest.raises(TaskError) as raised:
        world.run()

    assert raised.value.fact == (
        "7 items cannot be copied; the last reason: ValidationException: type mismatch for an index key."
    )
    assert raised.value.hint == (
        "fix the replica (its indexes or its capacity), and run the same command again."
    )


def test_keys_left_by_earlier_runs_do_not_count_towards_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(parts=1, items=7, script=lambda request: INVALID)
    world.run()
    monkeypatch.setattr(pages, "MOST_LEFT", 0)

    assert len(world.run().left) == 7


def test_an_item_that_keeps_changing_is_reconciled_three_times_after_it_was_listed() -> None:
    world = World(parts=1, items=1)

    def change(keys: Sequence[Key], seen: Items, rescan: Rescan | None = None) -> Reconciled:
        world.reconciles += 1
        assert world.reconciles < MANY
        journal.intend(keys)
        return Reconciled(changing=list(keys))

    with closing(world.opened()) as journal:
        backfill = backfill_of(world, journal, reconcile=change)
        backfill.run()
        backfill.settle(world.wait)

    assert (world.reconciles, world.waits) == (4, 3)


class TestScan:
    def test_its_parts_are_the_segments(self) -> None:
        assert Scan(Any, 2).parts == ["segment 0 of 2", "segment 1 of 2"]  # type: ignore[arg-type]

    def test_a_page_has_the_items_that_were_scanned(self) -> None:
        asked: list[Any] = []

        class Reader:
            def scan_on(self, *args: Any, **how: Any) -> Iterator[tuple[Items, Any, float]]:
                asked.append((args, how))
                yield {key(0): item(0), key(1): item(1)}, {"PK": {"S": "item001"}}, 1.5
                yield {key(2): item(2)}, None, 0.5

            def rescan(self, *args: Any, **how: Any) -> Any:
                asked.append((args, how))
                return [(key(0), item(0))]

        before, between = {"PK": {"S": "before"}}, {"PK": {"S": "item001"}}
        reader: Any = Reader()
        one, other = Scan(reader, 2).pages("segment 1 of 2", before)

        assert asked == [((1,), {"of": 2, "after": before, "limit": listing.PAGE})]
        assert (one.keys, one.seen, one.cursor) == (
            (key(0), key(1)),
            {key(0): item(0), key(1): item(1)},
            between,
        )
        assert (other.keys, other.seen, other.cursor) == ((key(2),), {key(2): item(2)}, None)
        assert one.rescan is not None
        assert other.rescan is not None
        assert (one.rescan.units, other.rescan.units) == (1.5, 0.5)
        # Both ranges end where the pages ended, so that reading them takes as many units.
        assert (one.rescan.scan(), other.rescan.scan()) == ([(key(0), item(0))],) * 2
        assert asked[1:] == [
            ((1,), {"of": 2, "after": before, "limit": 2}),
            ((1,), {"of": 2, "after": between, "limit": 1}),
        ]


def test_rounds_are_counted_from_the_last_in_which_a_key_was_confirmed() -> None:
    world = World()

    def reconcile_the_first(keys: Sequence[Key], seen: Items, rescan: Rescan | None = None) -> Reconciled:
        journal.intend(keys)
        reconciled = [each for each in keys if each == key(0)]
        journal.confirm(reconciled)
        return Reconciled(confirmed=reconciled, changing=[each for each in keys if each != key(0)])

    with closing(world.opened()) as journal:
        journal.intend([key(0), key(1)])
        backfill_of(world, journal, reconcile=reconcile_the_first).settle(world.wait)

    assert world.waits == 5


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_threads_are_used_than_the_option_allows(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    asked: list[int] = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, workers: int, *, thread_name_prefix: str) -> None:
            asked.append(workers)
            super().__init__(workers, thread_name_prefix=thread_name_prefix)

    monkeypatch.setattr(pages, "ThreadPoolExecutor", Pool)
    world = World(items=3)

    with closing(world.opened()) as journal:
        backfill_of(world, journal, threads=threads).run()

    assert asked == [threads]


def test_before_its_first_request_it_is_at_rest() -> None:
    world = World()

    with closing(world.opened()) as journal:
        assert backfill_of(world, journal).is_at_rest


def test_a_filter_keeps_cursors_and_the_items_of_keys_that_pass() -> None:
    asked: list[Any] = []
    rescan = Rescan(0.5, list)

    class Whole:
        parts = ("part",)

        def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
            asked.append((part, after))
            yield KeyPage((key(1), key(2), key(11)), {key(1): item(1), key(2): item(2)}, 3, rescan=rescan)

    within = Within(KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": [{"suffix": "1"}]}}}}']), Whole())

    pages = list(within.pages("part", 2))

    assert (within.parts, asked) == (("part",), [("part", 2)])
    assert pages == [KeyPage((key(1), key(11)), {key(1): item(1)}, 3, outside=1, rescan=rescan)]


def test_a_part_is_listed_from_the_cursor_of_an_earlier_run() -> None:
    world = World(parts=1, items=10)
    with closing(world.opened()) as journal:
        journal.note("part 0", {"after": PAGE, "items": PAGE, "outside": 2})
        backfill = backfill_of(world, journal)
        backfill.run()

        assert journal.notes["part 0"] == {"after": None, "items": 10, "outside": 2}
    assert sorted(world.listed) == [key(7), key(8), key(9)]
    assert (backfill.items, backfill.outside) == (10, 2)


def test_an_item_refused_in_any_part_is_not_retried_by_the_same_run() -> None:
    world = World(parts=3, items=3, script=lambda request: INVALID)

    assert world.run().left.keys() == {key(0), key(1), key(2)}
    assert (world.reconciles, world.waits) == (3, 0)
