"""scan: the items of a table, by segment and by key; requests are repeated until they succeed."""

import json
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddbreplica.deadline import Deadline
from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb import scan
from ddbreplica.dynamodb.scan import LEAST_PAGE, PAGE, Limits, TableReader, reading
from ddbreplica.errors import TaskError
from ddbreplica.model import Image, Key, Refusal, RefusalKind, ScanPage, Table
from ddbreplica.transform.view import View
from tests.support.fake_replica import DENIED, THROTTLED

TABLE = Table("arn", "ACTIVE", frozenset({("PK", "S"), ("SK", "N")}))
NAMES = {"#k0": "PK", "#k1": "SK"}
KEYS_ONLY = {"ProjectionExpression": "#k0, #k1", "ExpressionAttributeNames": NAMES}


class Waiting(Patience):
    """A patience whose sleeps return at once, with the longest pauses; `moved` counts progress."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []
        self.moved = 0
        interrupt = Interrupt()
        interrupt.sleep = self._sleep  # type: ignore[method-assign]
        super().__init__(interrupt, seconds=10.0, clock=lambda: self.now)

    def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    def progressed(self) -> None:
        self.moved += 1
        super().progressed()

    def deadline(self) -> Deadline:
        return Deadline(self.remaining, sleep=self._sleep, jitter=lambda _low, high: high)


class FakeTable:
    """Replaces the adapter: returns the given responses in turn, and keeps the requests."""

    def __init__(self, *responses: Any) -> None:
        self.responses = list(responses)
        self.requests: list[tuple[str, Any]] = []
        self.made: list[Any] = []
        self.descriptions = 0

    def describe(self) -> None:
        self.descriptions += 1

    def ask(self, operation: str, body: str, read: Callable[[Any], Any]) -> Any:
        assert body.isascii()
        self.requests.append((operation, json.loads(body)))
        response = self.responses.pop(0)
        return response if isinstance(response, Refusal) else read(response)


def item(number: int) -> Image:
    return {"PK": {"S": "å"}, "SK": {"N": f"{number}.0"}, "v": {"BOOL": True}}


def key(number: int) -> Key:
    return (("PK", "S", "å"), ("SK", "N", str(number)))


def attributes(number: int) -> Image:
    return {"PK": {"S": "å"}, "SK": {"N": str(number)}}


def scanned(*numbers: int, last: Image | None = None, units: float = 1.0) -> Mapping[str, Any]:
    more = {} if last is None else {"LastEvaluatedKey": last}
    return {"Items": [item(n) for n in numbers], "ConsumedCapacity": {"CapacityUnits": units}, **more}


def gotten(*numbers: int, left: Sequence[int] = ()) -> Mapping[str, Any]:
    unprocessed = {"logfile": {"Keys": [attributes(n) for n in left]}} if left else {}
    return {
        "Responses": {"logfile": [item(n) for n in numbers]},
        "UnprocessedKeys": unprocessed,
        "ConsumedCapacity": [{"CapacityUnits": 2.0}, {"CapacityUnits": 1.5}],
    }


class Reading:
    """A reader of a fake table, with a patience that does not really wait."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *responses: Any, read_rate: float | None = None
    ) -> None:
        self.table = FakeTable(*responses)
        self.patience = Waiting()

        def make(client: Any, name: str, *, skew: Any) -> FakeTable:
            self.table.made.append((client, name, skew))
            return self.table

        monkeypatch.setattr(scan, "DynamoDBReplica", make)
        client: Any = "client"
        skew: Any = "skew"
        limits = Limits(per_second=read_rate)
        self.reader = TableReader(client, "logfile", TABLE, self.patience, limits, skew=skew)

    @property
    def requests(self) -> list[Any]:
        return [request for _, request in self.table.requests]


def scan_request(segment: int, of: int, limit: int, **more: Any) -> dict[str, Any]:
    return {
        "TableName": "logfile",
        "Segment": segment,
        "TotalSegments": of,
        "Limit": limit,
        "ConsistentRead": True,
        "ReturnConsumedCapacity": "TOTAL",
        **more,
    }


def test_a_table_is_described_once_by_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch)

    assert reading.table.made == [("client", "logfile", "skew")]
    assert reading.table.descriptions == 1


def test_a_client_has_a_connection_for_each_thread_and_half_a_minute_for_a_response() -> None:
    config: Any = reading(7)

    assert (config.max_pool_connections, config.read_timeout) == (7, 30)
    assert (config.tcp_keepalive, config.parameter_validation) == (True, False)
    assert config.retries == scan.ASKING.retries  # type: ignore[attr-defined]


def test_the_reader_of_a_table_uses_the_clients_and_the_clock_of_its_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Reading(monkeypatch)
    configs: list[Any] = []

    def dynamodb(config: Any) -> str:
        configs.append(config)
        return "its client"

    side = cast("Any", SimpleNamespace(dynamodb=dynamodb, name="other", clock="its clock"))

    reader = TableReader.of(side, TABLE, made.patience, threads=4, read_rate=500.0)

    assert made.table.made[-1] == ("its client", "other", "its clock")
    assert (configs[0].max_pool_connections, reader.rate.per_second) == (4, 500.0)
    assert reader._page == Limits(4, 500.0).page
    assert reader._patience is made.patience
    assert reader._key_names == ["PK", "SK"]


def first_page(reading: Reading) -> ScanPage:
    return reading.reader.scan_page(0, of=1, after=None, consistent=True)


class TestView:
    """The items are seen through a transform, and what they cost is not."""

    def reading(self, monkeypatch: pytest.MonkeyPatch, *responses: Any) -> Reading:
        reading = Reading(monkeypatch, *responses)
        client: Any = "client"
        view = View("digest", lambda item: {**item, "seen": {"BOOL": True}})
        reading.reader = TableReader(client, "logfile", TABLE, reading.patience, view=view)
        return reading

    def test_a_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = first_page(Reading(monkeypatch, scanned(2)))
        page = first_page(self.reading(monkeypatch, scanned(2)))

        assert page.items == [{**item, "seen": {"BOOL": True}} for item in plain.items]
        assert (page.units, page.size) == (plain.units, plain.size)

    def test_items_by_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = self.reading(monkeypatch, gotten(1))

        assert [*reading.reader.get([key(1)]).values()] == [{**item(1), "seen": {"BOOL": True}}]

    def test_keys_alone_are_seen_as_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = self.reading(monkeypatch, gotten(1))

        assert [*reading.reader.get([key(1)], keys_only=True).values()] == [item(1)]


class TestScanning:
    def test_a_page_has_the_items_in_their_order_its_cursor_and_its_size(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        last = attributes(1)
        reading = Reading(
            monkeypatch, {**scanned(2, 1, last=last), "ConsumedCapacity": {"CapacityUnits": 2.5}}
        )

        page = reading.reader.scan_page(1, of=4, after=None, consistent=True)

        assert page == ScanPage([item(2), item(1)], last, 2.5, 2.5 * 4096)
        assert reading.table.requests == [("Scan", scan_request(1, 4, PAGE))]
        assert reading.patience.moved == 1

    def test_the_next_page_follows_a_cursor_and_the_last_one_has_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(monkeypatch, scanned(3))

        page = reading.reader.scan_page(1, of=4, after=attributes(2), consistent=True)

        assert page.cursor is None
        assert reading.requests == [scan_request(1, 4, PAGE, ExclusiveStartKey=attributes(2))]

    def test_an_eventually_consistent_page_is_twice_as_large_for_its_units(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(monkeypatch, {**scanned(1), "ConsumedCapacity": {"CapacityUnits": 2.5}})

        page = reading.reader.scan_page(0, of=1, after=None, consistent=False)

        assert page.size == 2.5 * 8192
        assert reading.requests == [scan_request(0, 1, PAGE, ConsistentRead=False)]

    def test_an_item_may_consist_only_of_its_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, {**scanned(), "Items": [attributes(1)]})

        assert first_page(reading).items == [attributes(1)]

    @pytest.mark.parametrize(("rate", "items"), [(5.0, 100), (127.9, 100), (128.0, PAGE), (None, PAGE)])
    def test_at_a_rate_below_that_of_a_large_page_small_pages_are_requested(
        self, monkeypatch: pytest.MonkeyPatch, rate: float | None, items: int
    ) -> None:
        reading = Reading(monkeypatch, scanned(), read_rate=rate)

        first_page(reading)

        assert reading.requests == [scan_request(0, 1, items)]

    def test_items_are_found_by_their_keys_in_their_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch)

        assert list(reading.reader.by_key([item(2), item(1)]).items()) == [
            (key(2), item(2)),
            (key(1), item(1)),
        ]

    @pytest.mark.parametrize("broken", [{}, {"PK": {"S": 1}}, {"PK": {}}, {"PK": None}])
    def test_an_item_without_its_key_is_an_error(self, monkeypatch: pytest.MonkeyPatch, broken: Any) -> None:
        reading = Reading(monkeypatch)

        with pytest.raises(TaskError) as error:
            reading.reader.by_key([broken])

        assert error.value.fact == "a read of the table logfile returned an item without its key."
        assert error.value.hint == (
            "check --endpoint-url and the network: the response is not one of DynamoDB."
        )

    @pytest.mark.parametrize(("limit", "asked"), [(200, 200), (PAGE + 1, PAGE)])
    def test_the_rest_of_a_segment_is_read_with_cursors(
        self, monkeypatch: pytest.MonkeyPatch, limit: int, asked: int
    ) -> None:
        reading = Reading(
            monkeypatch, scanned(1, last=attributes(1), units=1.5), scanned(2, last={}, units=0.5)
        )

        pages = list(reading.reader.scan_on(2, of=3, after=attributes(0), limit=limit))

        assert pages == [({key(1): item(1)}, attributes(1), 1.5), ({key(2): item(2)}, None, 0.5)]
        assert reading.requests == [
            scan_request(2, 3, asked, ExclusiveStartKey=attributes(0)),
            scan_request(2, 3, asked, ExclusiveStartKey=attributes(1)),
        ]

    def test_without_a_cursor_the_whole_segment_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, scanned())

        list(reading.reader.scan_on(0, of=1, after=None, limit=5))

        assert reading.requests == [scan_request(0, 1, 5)]


@pytest.mark.hazard(number=11)
def test_a_scan_that_confirms_is_strongly_consistent(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch, scanned(1))

    reading.reader.rescan(0, of=1, after=None, limit=1)

    assert [request.get("ConsistentRead") for request in reading.requests] == [True]


class TestRescanning:
    def test_the_range_of_a_page_is_read_in_one_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, scanned(1, 2, last=attributes(2)))

        shown = reading.reader.rescan(2, of=3, after=attributes(0), limit=501)

        assert shown == [(key(1), item(1)), (key(2), item(2))]
        assert reading.table.requests == [("Scan", scan_request(2, 3, 501, ExclusiveStartKey=attributes(0)))]
        assert reading.patience.moved == 1

    def test_a_range_may_begin_with_the_segment_and_be_empty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, scanned())

        assert reading.reader.rescan(0, of=1, after=None, limit=7) == []
        assert reading.requests == [scan_request(0, 1, 7)]

    def test_an_item_is_returned_as_often_as_it_is_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        twice = {"Items": [item(1), item(2), {**item(1), "v": {"BOOL": False}}]}
        reading = Reading(monkeypatch, twice)

        shown = reading.reader.rescan(0, of=1, after=None, limit=3)

        assert shown == [(key(1), item(1)), (key(2), item(2)), (key(1), {**item(1), "v": {"BOOL": False}})]

    def test_it_is_repeated_until_it_succeeds_or_the_patience_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(monkeypatch, THROTTLED, THROTTLED, scanned(1))

        assert reading.reader.rescan(0, of=1, after=None, limit=7) == [(key(1), item(1))]
        assert reading.requests == [scan_request(0, 1, 7)] * 3

        reading.table.responses = [THROTTLED] * 100
        with pytest.raises(TaskError, match="no read of the table logfile has succeeded for 9 seconds"):
            reading.reader.rescan(0, of=1, after=None, limit=7)

    def test_no_request_is_sent_after_an_interrupt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch)
        reading.patience.interrupt.set()

        with pytest.raises(KeyboardInterrupt):
            reading.reader.rescan(0, of=1, after=None, limit=7)
        assert reading.requests == []

    def test_it_waits_for_the_units_of_the_page_and_the_next_page_for_its_own(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(
            monkeypatch,
            scanned(1, last=attributes(1), units=30),
            scanned(1, units=20),
            scanned(2),
            read_rate=10,
        )
        taken: list[float] = []
        monkeypatch.setattr(reading.reader.rate, "take", taken.append)

        for _, after, _ in reading.reader.scan_on(0, of=1, after=None, limit=7):
            if after is not None:
                reading.reader.rescan(0, of=1, after=None, limit=1)

        assert taken == [0, 10, 10, 10, 10, 10]


def get_request(*numbers: int, **more: Any) -> dict[str, Any]:
    asked = {"Keys": [attributes(n) for n in numbers], "ConsistentRead": True, **more}
    return {"RequestItems": {"logfile": asked}, "ReturnConsumedCapacity": "TOTAL"}


class TestGetting:
    def test_the_items_that_exist_are_returned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, gotten(2))

        assert reading.reader.get([key(1), key(2)]) == {key(2): item(2)}
        assert reading.table.requests == [("BatchGetItem", get_request(1, 2))]

    def test_only_keys_are_requested(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, gotten())

        reading.reader.get([key(1)], keys_only=True)

        assert reading.requests == [get_request(1, **KEYS_ONLY)]

    def test_keys_that_a_full_response_leaves_are_requested_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(monkeypatch, gotten(1, left=[2]), gotten(2))

        assert reading.reader.get([key(1), key(2)]) == {key(1): item(1), key(2): item(2)}
        assert reading.requests == [get_request(1, 2), get_request(2)]
        assert reading.patience.sleeps == []
        assert (
            reading.patience.moved == 4
        )  # at first, after each response, and for the units of the first one

    def test_requests_of_which_all_keys_are_left_are_repeated_after_growing_pauses(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = gotten(left=[1, 2])
        one_left = gotten(left=[2])
        reading = Reading(monkeypatch, left, left, gotten(1, left=[2]), one_left, gotten(2))

        assert reading.reader.get([key(1), key(2)]).keys() == {key(1), key(2)}
        assert reading.patience.sleeps == [0.1, 0.2, 0.1]

    def test_without_keys_no_request_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch)

        assert reading.reader.get([]) == {}
        assert reading.requests == []

    def test_a_table_that_leaves_all_keys_for_ever_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, *[{**gotten(left=[1]), "ConsumedCapacity": []}] * 50)

        with pytest.raises(TaskError, match=r"UnprocessedKeys: the table left keys unprocessed\)"):
            reading.reader.get([key(1)])

    @pytest.mark.parametrize("response", [gotten(3), gotten(left=[3])])
    def test_a_response_with_other_keys_is_unreadable(
        self, monkeypatch: pytest.MonkeyPatch, response: Any
    ) -> None:
        reading = Reading(monkeypatch, response)

        with pytest.raises(ValueError, match=r"\["):
            reading.reader.get([key(1)])


class TestAsking:
    def test_a_throttled_request_is_repeated_after_growing_pauses(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(monkeypatch, THROTTLED, THROTTLED, scanned(1))

        assert first_page(reading).items == [item(1)]
        assert reading.requests == [scan_request(0, 1, PAGE)] * 3
        assert reading.patience.sleeps == [0.1, 0.2]

    def test_a_request_that_is_refused_for_good_is_not_repeated(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(monkeypatch, DENIED)

        with pytest.raises(TaskError) as raised:
            first_page(reading)

        assert raised.value.fact == (
            "the table logfile cannot be read: AccessDeniedException: not authorised"
        )
        assert reading.patience.sleeps == []

    def test_reading_ends_when_no_request_succeeds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, *[THROTTLED] * 50)

        with pytest.raises(TaskError) as raised:
            first_page(reading)

        idle = sum(reading.patience.sleeps)
        assert 8 < idle <= 10
        assert raised.value.fact == (
            f"no read of the table logfile has succeeded for {idle:.0f} seconds (ThrottlingException: slow down)."
        )
        assert raised.value.hint == (
            "wait a moment, or raise the table's capacity, and run the same command again."
        )

    def test_an_interruption_is_not_reported_as_a_failed_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, THROTTLED)
        reading.patience.interrupt.set()

        with pytest.raises(KeyboardInterrupt):
            first_page(reading)

        assert reading.requests == []

    def test_an_interruption_ends_the_back_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch)
        reading.patience.interrupt.set()

        with pytest.raises(KeyboardInterrupt):
            reading.reader._wait(1, Refusal(RefusalKind.TRANSIENT, "code", "why"))

    def test_consumed_units_are_waited_for_before_the_next_request(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(monkeypatch, scanned(1, last=attributes(1), units=7.0), gotten(), read_rate=5.0)
        taken: list[float] = []
        monkeypatch.setattr(reading.reader.rate, "take", taken.append)

        first_page(reading)
        reading.reader.get([key(1)])

        assert taken == [0.0, 7.0]
        assert reading.reader._owed == 3.5

    def test_many_units_are_waited_for_in_pieces_each_of_which_is_progress(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(monkeypatch, scanned(), read_rate=1.0)
        reading.reader._owed = 25.0
        taken: list[float] = []
        monkeypatch.setattr(reading.reader.rate, "take", taken.append)

        first_page(reading)

        assert taken == [10, 10, 5.0]
        assert reading.patience.moved == 1 + 3

    def test_the_units_of_several_threads_add_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, scanned(units=7.0))
        reading.reader._wait_for_rate = lambda: None  # type: ignore[method-assign]
        reading.reader._owed = 2.0

        first_page(reading)

        assert reading.reader._owed == 9.0

    def test_the_rate_is_waited_for_by_the_patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading = Reading(monkeypatch, read_rate=1.0)

        reading.reader.rate.take(50)

        assert reading.patience.sleeps == [pytest.approx(50, abs=1)]

    def test_a_response_without_consumed_capacity_counts_as_0_units(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading = Reading(monkeypatch, {"Items": []})

        assert first_page(reading).items == []
        assert reading.reader._owed == 0


@pytest.mark.parametrize(
    ("threads", "page"), [(1, PAGE), (2, PAGE), (4, 1250), (8, 625), (10, LEAST_PAGE), (64, LEAST_PAGE)]
)
def test_the_more_threads_read_the_fewer_items_has_a_page(threads: int, page: int) -> None:
    assert Limits(threads).page == page


def test_a_page_is_small_at_a_low_rate() -> None:
    assert Limits(1, per_second=127.9).page == 100
