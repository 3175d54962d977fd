"""reconciler: keys are reconciled in several threads, within two rates and a command's patience."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import SameTables
from ddbreplica.dynamodb.location import Location
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.errors import SourceError, TaskError, TransformChangedError
from ddbreplica.model import Change, Image, Key, Refusal, RefusalKind, Write
from ddbreplica.reconcile import reconciler as module
from ddbreplica.reconcile.algorithm import ReconcileContext
from ddbreplica.reconcile.reconciler import CONNECTIONS, Rates, Reconciler
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.reconcile.rescan import Rescan
from ddbreplica.records.decode import key_of
from ddbreplica.transform.same_transform import CHECK_SECONDS, NO_TRANSFORM, SameTransform
from ddbreplica.transform.view import View
from tests.support.fake_journal import FakeJournal
from tests.support.fake_replica import DENIED, INVALID, THROTTLED, TIMED_OUT, FakeReplica, in_turn
from tests.support.fake_source import INVALID_KEY, FakeSource
from tests.support.memory_state import ManualClock

DENIED_MESSAGE = "AccessDeniedException: not authorised"


class _Time(Interrupt):
    """An interrupt whose sleeps end at once and advance a clock."""

    now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def patience(self) -> Patience:
        return Patience(self, clock=lambda: self.now)


class _Taken(Rate):
    """A rate that records the units taken, and takes a second for each."""

    def __init__(self, time: _Time, *, then: Callable[[], None] = lambda: None) -> None:
        super().__init__(1)
        self.taken: list[float] = []
        self._time = time
        self._then = then

    def take(self, units: float) -> None:
        self.taken.append(units)
        self._time.now += units
        self._then()


class World:
    """Two tables and their reconciler."""

    def __init__(self, *items: Image, is_archive: bool = False, **replica: Any) -> None:
        self.source = FakeSource(*items)
        self.replica = FakeReplica(**replica)
        self.journal = FakeJournal()
        self.time = _Time()
        self.clock = ManualClock()
        self.patience = self.time.patience()
        self.under_way = UnderWay()
        self.tables: Any = None
        self.transform = NO_TRANSFORM
        self._is_archive = is_archive

    def reconciler(self, rates: Rates | None = None) -> Reconciler:
        pair = ReconcileContext(self.source, self.replica, self.journal, is_archive=self._is_archive)
        return Reconciler(
            pair,
            clock=self.clock,
            patience=self.patience,
            rates=rates,
            under_way=self.under_way,
            tables=self.tables,
            transform=self.transform,
        )


def item(name: str, size: int = 0) -> dict[str, Any]:
    return {"PK": {"S": name}, "v": {"S": "x" * size}}


def key(name: str) -> Key:
    return key_of({"PK": {"S": name}})


def test_the_replica_gets_the_sources_state() -> None:
    world = World(item("a"))
    world.replica.items[key("b")] = item("b")

    reconciled = world.reconciler().reconcile([key("a"), key("b")])

    assert reconciled.confirmed == [key("a"), key("b")]
    assert world.replica.items == {key("a"): item("a")}
    assert world.journal.opened == {}


class Masking:
    """A function whose transform drops `v`, and may be changed."""

    def __init__(self) -> None:
        self.digest = "masking"
        self.now = 0.0

    @property
    def same(self) -> SameTransform:
        view = View("masking", lambda image: {"PK": image["PK"]})
        return SameTransform(view, lambda: self.digest, lambda: self.now)


def test_the_replica_gets_the_sources_state_through_the_transform() -> None:
    world = World(item("a"))
    world.transform = Masking().same
    world.replica.items[key("b")] = item("b")

    reconciled = world.reconciler().reconcile([key("a"), key("b")])

    assert reconciled.confirmed == [key("a"), key("b")]
    assert world.replica.items == {key("a"): {"PK": {"S": "a"}}}


def test_a_change_of_what_the_transform_drops_needs_no_other_write() -> None:
    def change(_: Any) -> tuple[()]:
        world.source.items[key("a")] = item("a", 9)
        return ()

    world = World(item("a"), script=change)
    world.transform = Masking().same

    assert world.reconciler().reconcile([key("a")]).confirmed == [key("a")]

    assert len(world.replica.requests) == 1


def test_the_units_of_a_read_are_those_of_the_sources_item() -> None:
    world = World(item("a", 9000))
    world.transform = Masking().same
    rate = Rate(1e6)
    taken: list[float] = []
    rate.take = taken.append  # type: ignore[method-assign, assignment]

    world.reconciler(Rates(read=rate)).reconcile([key("a")])

    assert sum(taken) == 2 * 3


def test_nothing_is_written_with_a_transform_that_the_function_has_no_longer() -> None:
    """The function's transform is read before the first write, and once in half a minute after it."""
    world, function = World(item("a")), Masking()
    world.transform = function.same
    reconciler = world.reconciler()
    reconciler.reconcile([key("a")])
    function.digest = "other"
    reconciler.reconcile([key("a")])
    function.now = CHECK_SECONDS
    before = len(world.replica.requests)

    with pytest.raises(TransformChangedError):
        reconciler.reconcile([key("a")])

    assert len(world.replica.requests) == before == 2


def test_a_key_stays_open_if_the_transform_was_changed_before_its_write() -> None:
    """A process may pause before the write, and be killed after it."""
    function = Masking()

    def pause(_: Any) -> tuple[()]:
        function.digest = "other"
        function.now = CHECK_SECONDS
        return ()

    world = World(item("a"), script=pause)
    world.transform = function.same

    with pytest.raises(TransformChangedError):
        world.reconciler().reconcile([key("a")])

    assert list(world.journal.opened) == [key("a")]


def test_nothing_is_deleted_if_the_source_turns_out_to_be_a_new_table() -> None:
    """It was recreated between the check of the tables and the read that finds no item."""
    world = World()
    world.replica.items[key("a")] = item("a")

    def recreated() -> None:
        raise TaskError("the source was recreated meanwhile.", hint="")

    world.tables = SimpleNamespace(check=lambda: None, check_now=recreated)

    with pytest.raises(TaskError, match="was recreated meanwhile"):
        world.reconciler().reconcile([key("a")])

    assert world.replica.items == {key("a"): item("a")}
    assert world.journal.opened.keys() == {key("a")}


def test_nothing_is_deleted_from_an_archive() -> None:
    world = World(is_archive=True)
    world.replica.items[key("b")] = item("b")

    assert world.reconciler().reconcile([key("b")]).undecided == [key("b")]
    assert world.replica.items == {key("b"): item("b")}


def test_an_item_in_seen_is_not_read_before_its_write() -> None:
    world = World(item("a"))

    assert world.reconciler().reconcile([key("a")], {key("a"): item("a")}).confirmed == [key("a")]
    assert world.source.requests == [(key("a"),)]


def test_a_page_is_confirmed_by_its_rescan() -> None:
    world = World(item("a"))
    rescan = Rescan(0.5, lambda: [(key("a"), item("a"))])

    reconciled = world.reconciler().reconcile([key("a")], {key("a"): item("a")}, rescan)

    assert reconciled.confirmed == [key("a")]
    assert world.source.requests == []


def test_ctrl_c_before_the_rescan_leaves_the_written_keys_open() -> None:
    world = World(item("a"))

    def interrupted() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.reconciler().reconcile([key("a")], {key("a"): item("a")}, Rescan(0.5, interrupted))

    assert list(world.journal.opened) == [key("a")]


def test_an_interrupt_that_ends_the_rescan_leaves_no_call_under_way() -> None:
    """The worker of a job that is stopped then saves that no request is under way, and no key has to wait."""
    world = World(item("a"))

    def interrupted() -> Any:
        world.time.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.reconciler().reconcile([key("a")], {key("a"): item("a")}, Rescan(0.5, interrupted))

    assert list(world.journal.opened) == [key("a")]
    assert world.under_way.is_none


def test_an_item_that_is_refused_by_itself_is_in_the_result() -> None:
    world = World(item("a"), item("b"), poison=lambda image: image["PK"] == {"S": "b"})

    reconciled = world.reconciler().reconcile([key("a"), key("b")])

    assert (reconciled.confirmed, reconciled.refused) == ([key("a")], [(key("b"), INVALID)])


class TestInterruption:
    def test_nothing_starts_after_it(self) -> None:
        world = World(item("a"))
        world.time.set()

        with pytest.raises(KeyboardInterrupt):
            world.reconciler().reconcile([key("a")])

        assert (world.source.requests, world.journal.opened) == ([], {})

    def test_keys_that_fail_because_of_it_raise_it(self) -> None:
        world = World(item("a"))

        def interrupted(_: Any) -> Refusal:
            world.time.set()
            return THROTTLED

        world.source._script = interrupted

        with pytest.raises(KeyboardInterrupt):
            world.reconciler().reconcile([key("a")])

        assert world.under_way.is_none

    def test_no_write_follows_a_wait_that_it_ended(self) -> None:
        world = World(item("a"))
        rate = _Taken(world.time, then=world.time.set)

        with pytest.raises(KeyboardInterrupt):
            world.reconciler(Rates(write=rate)).reconcile([key("a")])

        assert world.replica.requests == []

    def test_a_write_that_was_not_sent_is_not_in_doubt(self) -> None:
        time = _Time()
        replica = module._PacedReplica(FakeReplica(), module._Pace(None, time.patience()))
        time.set()

        refusal = replica.start_one(write("a"))()

        assert isinstance(refusal, Refusal)
        assert (refusal.kind, refusal.code, refusal.in_doubt) == (RefusalKind.TRANSIENT, "Interrupted", False)

    def test_there_is_no_wait_for_a_rate_after_it(self) -> None:
        time = _Time()
        rate = _Taken(time, then=time.set)

        module._Pace(rate, time.patience()).wait(25)

        assert rate.taken == [10]


class TestRefusals:
    @pytest.mark.parametrize("table", ["source", "replica"])
    def test_a_fault_of_a_table_ends_the_task(self, table: str) -> None:
        world = World(item("a"))
        getattr(world, table)._script = lambda _: DENIED

        with pytest.raises(TaskError) as raised:
            world.reconciler().reconcile([key("a")])

        assert raised.value.fact == f"the {table} table refuses every request: {DENIED_MESSAGE}."
        assert (
            raised.value.hint == "use credentials that may do this (--profile), or have the permission added."
        )
        assert world.under_way.is_none

    def test_a_fault_without_a_code_has_the_hint_of_a_fault(self) -> None:
        world = World(item("a"))

        def fail(_: Any) -> Any:
            raise SourceError("The table is odd.", hint="Look at it.")

        world.source._script = fail

        with pytest.raises(TaskError) as raised:
            world.reconciler().reconcile([key("a")])

        assert raised.value.fact == "the table is odd."
        assert raised.value.hint == "check the table, the Region and the credentials."
        assert isinstance(raised.value.__cause__, SourceError)

    def test_a_table_that_stands_still_ends_it_when_the_patience_is_over(self) -> None:
        world = World(item("a"))
        reconciler = world.reconciler()
        world.time.now += 500  # nothing was asked for then

        def throttle(_: Any) -> Refusal:
            world.time.now += 30.5
            return THROTTLED

        world.source._script = throttle

        with pytest.raises(TaskError) as raised:
            reconciler.reconcile([key("a")])

        fact = raised.value.fact
        assert fact.startswith(
            "the tables accepted no request for 61 seconds (ThrottlingException: slow down)"
        )
        assert raised.value.hint.startswith("wait a moment, or raise the table's capacity")
        assert len(world.source.requests) == 2

    def test_nothing_is_written_by_a_clock_that_is_too_far_ahead(self) -> None:
        world = World(item("a"))
        world.clock.ahead_by = 301
        world.clock.respond()

        with pytest.raises(TaskError, match="the local clock is 301 seconds ahead"):
            world.reconciler().reconcile([key("a")])

        assert world.source.requests == []


class TestUnderWay:
    @pytest.mark.parametrize("table", ["source", "replica"])
    def test_a_call_is_under_way_until_it_ends(self, table: str) -> None:
        world = World(item("a"))
        seen: list[bool] = []

        def look(_: Any) -> tuple[()]:
            seen.append(world.under_way.is_none)
            return ()

        getattr(world, table)._script = look

        world.reconciler().reconcile([key("a")])

        assert set(seen) == {False}
        assert world.under_way.is_none

    def test_a_call_with_another_exception_stays_under_way(self) -> None:
        world = World(item("a"))

        def press_ctrl_c_again(_: Any) -> Any:
            raise KeyboardInterrupt

        world.replica._script = press_ctrl_c_again

        with pytest.raises(KeyboardInterrupt):
            world.reconciler().reconcile([key("a")])

        assert not world.under_way.is_none

    def test_under_way_is_optional(self) -> None:
        world = World(item("a"))

        reconciler = Reconciler(
            ReconcileContext(world.source, world.replica, world.journal),
            clock=world.clock,
            patience=world.patience,
        )

        assert reconciler.reconcile([key("a")]).confirmed == [key("a")]


class TestRates:
    def test_a_write_takes_its_units_before_it_and_a_read_after_it(self) -> None:
        world = World(item("a", 25_000))
        write_rate, read_rate = _Taken(world.time), _Taken(world.time)

        world.reconciler(Rates(write=write_rate, read=read_rate)).reconcile([key("a")])

        assert write_rate.taken == [10, 10, 5]
        assert read_rate.taken == [7, 7]

    def test_each_item_of_a_request_is_counted(self) -> None:
        world = World(item("a", 1500), item("b", 1500))
        write_rate, read_rate = _Taken(world.time), _Taken(world.time)

        world.reconciler(Rates(write=write_rate, read=read_rate)).reconcile([key("a"), key("b"), key("gone")])

        assert write_rate.taken == [5]
        assert read_rate.taken == [3, 3]

    def test_a_single_write_takes_its_units_too(self) -> None:
        time = _Time()
        rate, table = _Taken(time), FakeReplica()
        replica = module._PacedReplica(table, module._Pace(rate, time.patience()))

        assert replica.start_one(write("a", 1500))() == ()

        assert rate.taken == [2]
        assert table.items == {key("a"): item("a", 1500)}

    def test_a_wait_for_a_rate_is_no_progress(self) -> None:
        time = _Time()
        patience = time.patience()
        time.now += 30

        module._Pace(_Taken(time), patience).wait(70)

        assert patience.idle() == 30

    def test_a_table_that_stands_still_ends_it_also_within_a_rate(self) -> None:
        world = World(item("a"), script=lambda _: THROTTLED)

        with pytest.raises(TaskError, match="accepted no request"):
            world.reconciler(Rates(write=_Taken(world.time))).reconcile([key("a")])

    def test_a_wait_for_a_rate_is_not_idle(self) -> None:
        time = _Time()
        left: list[float] = []
        patience = time.patience()
        rate = _Taken(time, then=lambda: left.append(patience.remaining()))

        module._Pace(rate, patience).wait(70)

        assert left == [50] * 7
        assert patience.remaining() == 60

    @pytest.mark.parametrize("rate", [None, Rate(None)])
    def test_without_a_rate_there_is_no_wait(self, rate: Rate | None) -> None:
        time = _Time()
        patience = time.patience()
        time.now += 30

        module._Pace(rate, patience).wait(25)

        assert patience.idle() == 30

    @pytest.mark.parametrize(
        ("answer", "is_throttled"),
        [
            (THROTTLED, True),
            (TIMED_OUT, False),
            (None, True),
            ((), False),
        ],
        ids=["throttled", "no response", "left unprocessed", "applied"],
    )
    def test_throttling_is_reported_to_the_rate(self, answer: Any, is_throttled: bool) -> None:
        time = _Time()
        reported: list[float] = []
        rate = _Taken(time)
        rate.throttled = lambda: reported.append(time.now)  # type: ignore[method-assign]
        table = FakeReplica(script=lambda request: request[1:] if answer is None else answer)
        replica = module._PacedReplica(table, module._Pace(rate, time.patience()))

        replica.start_batch((write("a"), write("b")))()

        assert bool(reported) is is_throttled

    def test_a_refused_read_takes_nothing(self) -> None:
        time = _Time()
        rate, patience = _Taken(time), time.patience()
        source = module._PacedSource(FakeSource(rejects=lambda _: True), module._Pace(rate, patience))
        time.now += 30

        assert source.read_batch([key("a")]) == INVALID_KEY
        assert (rate.taken, patience.idle()) == ([], 30)


class TestProgress:
    """The responses that count as progress."""

    def test_a_read_with_a_response(self) -> None:
        time = _Time()
        patience = time.patience()
        source = module._PacedSource(FakeSource(item("a")), module._Pace(None, patience))
        time.now += 30

        assert source.read_batch([key("a")]) == {key("a"): item("a")}
        assert patience.idle() == 0

    @pytest.mark.parametrize(
        ("answer", "is_progress"),
        [
            ((), True),
            (["b"], True),
            (["a", "b"], False),
            (INVALID, True),
            (THROTTLED, False),
            (TIMED_OUT, False),
            (DENIED, False),
        ],
    )
    def test_a_write_with_a_response(self, answer: Any, is_progress: bool) -> None:
        writes = [write("a"), write("b")]
        left = answer if isinstance(answer, Refusal) else [one for one in writes if name_of(one) in answer]
        time = _Time()
        patience = time.patience()
        replica = module._PacedReplica(FakeReplica(script=in_turn(left)), module._Pace(None, patience))
        pending = replica.start_batch(writes)
        time.now += 30

        assert pending() == left
        assert patience.idle() == (0 if is_progress else 30)

    def test_a_single_write_that_is_done(self) -> None:
        time = _Time()
        patience = time.patience()
        replica = module._PacedReplica(FakeReplica(), module._Pace(None, patience))
        pending = replica.start_one(write("a"))
        time.now += 30

        assert pending() == ()
        assert patience.idle() == 0


@pytest.mark.parametrize("refresh", [False, True])
def test_the_replica_is_described_as_it_was_asked_for(refresh: bool) -> None:
    class Table(FakeReplica):
        def describe(self, *, refresh: bool = False) -> Any:
            return refresh

    replica: Any = module._PacedReplica(Table(), module._Pace(None, _Time().patience()))

    assert replica.describe(refresh=refresh) is refresh
    assert replica.describe() is False


def test_no_more_calls_than_there_are_connections_for() -> None:
    """A call has up to four requests under way to the replica."""
    world = World()
    full, release, most = Event(), Event(), 0
    calls = CONNECTIONS // 4

    def count(_: Any) -> tuple[()]:
        nonlocal most
        most += 1
        if most >= calls:
            full.set()
        assert release.wait(20)
        return ()

    world.source._script = count
    reconciler = world.reconciler()
    with ThreadPoolExecutor(calls + 2) as pool:
        work = [pool.submit(reconciler.reconcile, [key(f"item{number}")]) for number in range(calls + 2)]
        assert full.wait(20)
        assert not [one for one in work if one.done()]
        Event().wait(0.05)  # time for one more to begin
        begun = most
        release.set()

    assert begun == calls
    assert sum(len(one.result().confirmed) for one in work) == calls + 2


BEGAN_WITH: Any = ("the source", "the replica")

_Same: TypeAlias = list[tuple[Connection, Any, list[str]]]


class TestBetween:
    """The reconciler of a connection, whose tables are compared with those that the command began with."""

    @pytest.fixture(autouse=True)
    def same(self, monkeypatch: pytest.MonkeyPatch) -> _Same:
        """Return with what each `SameTables` was created, and its calls. It finds the tables unchanged."""
        created: _Same = []

        def of(connection: Connection, tables: Any) -> Any:
            calls: list[str] = []
            created.append((connection, tables, calls))
            return SimpleNamespace(check=lambda: calls.append("check"), check_now=lambda: calls.append("now"))

        monkeypatch.setattr(SameTables, "of", of)
        return created

    class _Table(FakeReplica):
        """A table that can be source and replica, as DynamoDBReplica can."""

        def __init__(self, client: Any, name: str, *, skew: Any) -> None:
            super().__init__()
            self.client, self.name, self.skew = client, name, skew
            self.source = FakeSource(item("a"))

        def read_batch(self, keys: Sequence[Key]) -> Any:
            return self.source.read_batch(keys)

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> "list[TestBetween._Table]":
        made: list[TestBetween._Table] = []

        def make(*args: Any, **kwargs: Any) -> TestBetween._Table:
            made.append(self._Table(*args, **kwargs))
            return made[-1]

        monkeypatch.setattr(module, "DynamoDBReplica", make)
        return made

    def connection(self) -> Connection:
        location = Location("from", "to", None, "eu-west-1", "eu-west-3", None, None, None)
        return Connection(location)

    def between(self, connection: Connection, **more: Any) -> Reconciler:
        self.time = _Time()
        self.patience = self.time.patience()
        return Reconciler.between(
            connection,
            BEGAN_WITH,
            **{
                "journal": FakeJournal(),
                "patience": self.patience,
                "is_archive": False,
                "transform": NO_TRANSFORM,
                **more,
            },
        )

    def test_its_two_tables(self, made: "list[TestBetween._Table]", same: _Same) -> None:
        connection, journal, under_way = self.connection(), FakeJournal(), UnderWay()
        begun: list[bool] = []
        write_rate, read_rate = _Taken(_Time()), _Taken(_Time())

        reconciler = self.between(
            connection,
            journal=journal,
            rates=Rates(write=write_rate, read=read_rate),
            under_way=under_way,
        )
        source, replica = made

        def note(_: Any) -> tuple[()]:
            begun.append(under_way.is_none)
            return ()

        replica._script = note
        reconciled = reconciler.reconcile([key("a")])

        assert [(each, began_with) for each, began_with, _ in same] == [(connection, BEGAN_WITH)]
        assert [(table.name, table.descriptions) for table in made] == [("from", 1), ("to", 1)]
        assert [table.client.meta.region_name for table in made] == ["eu-west-1", "eu-west-3"]
        assert {table.client.meta.config.max_pool_connections for table in made} == {CONNECTIONS}
        assert {table.client.meta.config.read_timeout for table in made} == {5}
        assert all(table.skew is connection.clock for table in made)
        assert reconciled.confirmed == [key("a")]
        assert replica.items == source.source.items
        assert (write_rate.taken, read_rate.taken, begun) == ([1], [1, 1], [False])
        assert journal.opened == {}

    def test_which_compares_the_tables_before_it_reads_and_after_it_found_no_item(
        self, made: "list[TestBetween._Table]", same: _Same
    ) -> None:
        reconciler = self.between(self.connection())

        reconciler.reconcile([key("a")])
        reconciler.reconcile([key("gone")])

        ((_, _, calls),) = same
        assert calls == ["check", "check", "now", "now"]

    @pytest.mark.parametrize("is_archive", [False, True])
    def test_which_may_be_an_archive(
        self, made: "list[TestBetween._Table]", monkeypatch: pytest.MonkeyPatch, is_archive: bool
    ) -> None:
        reconciler = self.between(self.connection(), is_archive=is_archive)

        assert reconciler.reconcile([key("gone")]).undecided == [key("gone")] * is_archive

    def test_by_the_connections_clock(
        self, made: "list[TestBetween._Table]", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = self.connection()
        connection.clock.ahead = 301.0

        with pytest.raises(TaskError, match="the local clock is 301 seconds ahead"):
            self.between(connection).reconcile([key("a")])

    def test_with_the_patience_that_it_is_given(
        self, made: "list[TestBetween._Table]", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reconciler = self.between(self.connection())
        self.time.set()

        with pytest.raises(KeyboardInterrupt):
            reconciler.reconcile([key("a")])


def write(name: str, size: int = 0) -> Write:
    image = item(name, size)
    change = Change(0, "1", key(name), {"PK": image["PK"]}, image, None, {})
    return Write(change, json.dumps(image))


def name_of(one: Write) -> str:
    return one.change.key[0][2]
