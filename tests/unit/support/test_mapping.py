"""The simulated event source mapping behaves as Lambda documents and as traces of the real one show."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from tests.support.mapping import (
    Destination,
    Mapping,
    MappingSettings,
    NotInvokedError,
    Shard,
    nowhere,
)
from tests.support.records import STREAM, put

START = 1_794_096_000  # 2026-11-08T00:00:00Z


def change(number: int | str, pk: str = "a", *, at: float = 0, **attributes: Any) -> Any:
    """Return a record that arrived so many seconds after the start."""
    record = put(number, pk, **attributes)
    record["dynamodb"]["ApproximateCreationDateTime"] = START + at
    return record


def changes(*numbers: int | str) -> list[Any]:
    return [change(number) for number in numbers]


def report(*identifiers: Any) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


class Function:
    """Records its invocations. `answer` returns the response for the sequence numbers of a batch."""

    def __init__(self, answer: Callable[[list[str]], Any] = lambda numbers: None) -> None:
        self.batches: list[list[str]] = []
        self.request_ids: list[str] = []
        self._answer = answer

    def __call__(self, event: Any, request_id: str) -> Any:
        numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
        self.batches.append(numbers)
        self.request_ids.append(request_id)
        return self._answer(numbers)

    @property
    def trace(self) -> str:
        return " · ".join("".join(batch) for batch in self.batches)


class Bucket:
    """Keeps on-failure objects."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}

    def put(self, key: str, body: str) -> None:
        assert key not in self.objects
        self.objects[key] = json.loads(body)

    @property
    def discarded(self) -> list[tuple[str, int, list[str]]]:
        """The condition, the invocations and the sequence numbers of each object."""
        return [
            (
                body["requestContext"]["condition"],
                body["requestContext"]["approximateInvokeCount"],
                [record["dynamodb"]["SequenceNumber"] for record in json.loads(body["payload"])["Records"]],
            )
            for body in self.objects.values()
        ]


def reports(*bad: str) -> Function:
    """Return a function that reports each bad record of the batch."""
    return Function(lambda numbers: report(*(number for number in numbers if number in bad)))


def raises(*bad: str) -> Function:
    """Return a function that raises if a bad record is in the batch."""

    def answer(numbers: list[str]) -> None:
        if set(bad) & set(numbers):
            raise ValueError(bad)

    return Function(answer)


def in_turn(*answers: Any) -> Function:
    """Return a function that returns or raises one response after the other, and then returns None."""
    left = list(answers)

    def answer(_numbers: list[str]) -> Any:
        given = left.pop(0) if left else None
        if isinstance(given, Exception):
            raise given
        return given

    return Function(answer)


def deliver(
    records: Sequence[Any], function: Function, bucket: Bucket | None = None, **options: Any
) -> Mapping:
    mapping = Mapping(
        [Shard("shard", list(records))],
        function,
        MappingSettings(**options),
        destination=(bucket or Bucket()).put,
    )
    mapping.run()
    return mapping


@pytest.mark.parametrize(
    ("fails", "bisect", "trace", "discarded"),
    [
        (reports, False, "1234 · 234 · 234", ["2", "3", "4"]),
        (reports, True, "1234 · 234 · 2 · 2 · 34", ["2"]),
        (raises, False, "1234 · 1234", ["1", "2", "3", "4"]),
        (raises, True, "1234 · 12 · 1 · 2 · 2 · 34", ["2"]),
    ],
    ids=["report", "report and bisect", "raise", "raise and bisect"],
)
def test_it_repeats_the_traces_of_the_real_service(
    fails: Callable[[str], Function], bisect: bool, trace: str, discarded: list[str]
) -> None:
    function, bucket = fails("2"), Bucket()

    deliver(
        changes(1, 2, 3, 4),
        function,
        bucket,
        bisect_batch_on_function_error=bisect,
        maximum_retry_attempts=1,
    )

    assert function.trace == trace
    assert bucket.discarded == [("RetryAttemptsExhausted", 2, discarded)]


def test_a_batch_is_cut_by_count() -> None:
    function = Function()

    deliver(changes(1, 2, 3, 4, 5), function, batch_size=2)

    assert function.trace == "12 · 34 · 5"


def test_a_batch_has_at_most_6_mb() -> None:
    function = Function()
    mb = {"S": "x" * 1024 * 1024}

    deliver([change(number, v=mb) for number in range(1, 8)], function)

    assert function.trace == "12345 · 67"


def test_bytes_are_counted_as_utf_8() -> None:
    function = Function()
    two_mb = {"S": "é" * 1024 * 1024}

    deliver([change(number, v=two_mb) for number in range(1, 4)], function)

    assert function.trace == "12 · 3"


def test_a_record_above_6_mb_is_delivered_alone() -> None:
    function = Function()

    deliver([change(1), change(2, v={"S": "x" * 7 * 1024 * 1024}), change(3)], function)

    assert function.trace == "1 · 2 · 3"


def invoked_at(records: list[Any], *, taking: float = 0, **options: Any) -> list[tuple[str, float]]:
    """Return each batch's sequence numbers and the time of its invocation, which takes so many seconds."""
    mapping: Mapping
    seen: list[tuple[str, float]] = []

    def answer(numbers: list[str]) -> None:
        seen.append(("".join(numbers), mapping.now - START))
        mapping.now += taking

    mapping = Mapping([Shard("shard", records)], Function(answer), MappingSettings(**options))
    mapping.run()
    return seen


def test_a_batch_is_cut_when_its_window_ends() -> None:
    records = [change(1, at=0), change(2, at=10), change(3, at=11), change(4, at=21), change(5, at=40)]

    assert invoked_at(records, maximum_batching_window_in_seconds=10) == [("12", 10), ("34", 21), ("5", 50)]


def test_a_full_batch_does_not_wait_for_its_window() -> None:
    by_count = [change(1, at=0), change(2, at=3)]
    four_mb = {"S": "x" * 4 * 1024 * 1024}
    by_bytes = [change(1, at=0, v=four_mb), change(2, at=3, v=four_mb)]
    window = {"maximum_batching_window_in_seconds": 10}

    assert invoked_at(by_count, batch_size=2, **window) == [("12", 3)]
    assert invoked_at(by_bytes, **window) == [("1", 3), ("2", 13)]


def test_a_window_begins_when_the_function_has_returned() -> None:
    records = [change(1, at=0), change(2, at=20), change(3, at=65), change(4, at=71)]

    assert invoked_at(records, taking=50, maximum_batching_window_in_seconds=10) == [
        ("1", 10),
        ("23", 70),
        ("4", 130),
    ]


def test_without_a_window_a_batch_is_what_has_arrived() -> None:
    function = Function()

    deliver([change(1), change(2), change(3, at=1), change(4, at=2)], function)

    assert function.trace == "12 · 3 · 4"


def test_records_that_arrive_while_the_function_runs_are_delivered_together() -> None:
    records = [change(1), change(2, at=1), change(3, at=59)]

    assert invoked_at(records, taking=60) == [("1", 0), ("23", 60)]


def test_the_checkpoint_is_the_first_reported_record_of_the_batch() -> None:
    # The order of the batch decides, not that of the numbers as text, nor that of the list.
    function = in_turn(report("11", "9", "10"))

    deliver(changes(8, 9, 10, 11), function, bisect_batch_on_function_error=False)

    assert function.batches == [["8", "9", "10", "11"], ["9", "10", "11"]]


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}])
def test_a_batch_succeeds_if_nothing_is_reported(answer: Any) -> None:
    function = in_turn(answer)

    deliver(changes(1, 2), function)

    assert function.trace == "12"


@pytest.mark.parametrize(
    "answer",
    [
        report(""),
        report(None),
        report("7"),
        report("2", "7"),
        report("2", None),
        {"batchItemFailures": [{"ItemIdentifier": "2"}]},
        {"batchItemFailures": ["2"]},
        {"batchItemFailures": 2},
        ["2"],
        "2",
        ValueError(),
        TimeoutError(),
    ],
    ids=str,
)
def test_a_whole_batch_fails_if_the_response_is_invalid(answer: Any) -> None:
    function = in_turn(answer)

    deliver(changes(1, 2), function, bisect_batch_on_function_error=False)

    assert function.trace == "12 · 12"


def test_a_report_is_ignored_unless_the_mapping_has_partial_responses() -> None:
    function = reports("1")

    deliver(changes(1, 2), function, report_batch_item_failures=False)

    assert function.trace == "12"


def test_after_an_error_the_batch_is_delivered_again_also_without_partial_responses() -> None:
    function = in_turn(ValueError())

    deliver(changes(1, 2), function, report_batch_item_failures=False, bisect_batch_on_function_error=False)

    assert function.trace == "12 · 12"


def test_a_batch_is_halved_even_without_retries() -> None:
    function, bucket = raises("3"), Bucket()

    deliver(changes(1, 2, 3, 4, 5), function, bucket, maximum_retry_attempts=0)

    assert function.trace == "12345 · 12 · 345 · 3 · 45"
    assert bucket.discarded == [("RetryAttemptsExhausted", 1, ["3"])]


def test_a_shortened_suffix_has_its_own_retries() -> None:
    function, bucket = in_turn(report("2"), report("3"), report("3")), Bucket()

    deliver(
        changes(1, 2, 3, 4), function, bucket, bisect_batch_on_function_error=False, maximum_retry_attempts=1
    )

    assert function.trace == "1234 · 234 · 34 · 34"
    assert bucket.discarded == []


def test_an_unchanged_retry_keeps_its_request_id_and_a_new_batch_gets_one() -> None:
    function = in_turn(ValueError(), ValueError(), report("2"), report("2"))

    deliver(changes(1, 2, 3), function, bisect_batch_on_function_error=False)
    first, second, third, suffix, again = function.request_ids

    assert function.trace == "123 · 123 · 123 · 23 · 23"
    assert first == second == third
    assert suffix == again
    assert first != suffix


def test_each_half_gets_a_request_id() -> None:
    function = in_turn(ValueError())

    deliver(changes(1, 2), function)

    assert function.trace == "12 · 1 · 2"
    assert len(set(function.request_ids)) == 3


def test_an_error_before_the_function_runs_uses_no_retry_and_halves_nothing() -> None:
    function, bucket = in_turn(*[NotInvokedError()] * 50), Bucket()

    mapping = deliver(changes(1, 2), function, bucket, maximum_retry_attempts=0)

    assert len(function.batches) == 51
    assert set(function.trace.split(" · ")) == {"12"}
    assert len(set(function.request_ids)) == 1
    assert mapping.invocations == 1
    assert bucket.objects == {}


def test_unlimited_retries_end_only_by_age() -> None:
    function, bucket = raises("1"), Bucket()

    deliver([change(1), change(2, at=45)], function, bucket, maximum_record_age_in_seconds=60, batch_size=1)

    assert bucket.discarded == [("RecordAgeExceeded", 61, ["1"])]
    assert function.batches == [["1"]] * 61 + [["2"]]


def test_retries_may_end_before_age_does() -> None:
    bucket = Bucket()

    deliver(changes(1), raises("1"), bucket, maximum_record_age_in_seconds=60, maximum_retry_attempts=59)

    assert bucket.discarded == [("RetryAttemptsExhausted", 60, ["1"])]


def test_only_records_that_are_too_old_are_discarded_and_the_others_are_a_new_batch() -> None:
    function, bucket = in_turn(*[ValueError()] * 13), Bucket()

    mapping = Mapping(
        [Shard("shard", [change(1), change(2, at=1), change(3, at=50)])],
        function,
        MappingSettings(bisect_batch_on_function_error=False, maximum_record_age_in_seconds=60),
        destination=bucket.put,
    )
    mapping.now = START + 50
    mapping.run()

    assert function.trace == " · ".join(["123"] * 11 + ["23", "3", "3"])
    assert bucket.discarded == [("RecordAgeExceeded", 11, ["1"]), ("RecordAgeExceeded", 1, ["2"])]


def test_a_discarded_batch_is_an_object_as_lambda_writes_it() -> None:
    bucket = Bucket()
    records = [change("300000000000000000001", at=0), change("300000000000000000002", "b", at=2)]

    deliver(
        records,
        in_turn(ValueError(), ValueError()),
        bucket,
        maximum_retry_attempts=1,
        bisect_batch_on_function_error=False,
        maximum_batching_window_in_seconds=3,
    )

    ((key, body),) = bucket.objects.items()
    prefix, _, name = key.rpartition("/")
    assert prefix == "aws/lambda/14b0a3c4-8d2e-4f7a-9c61-5e0d7a2b9f38/shard/2026/11/08"
    assert name[:20] == "2026-11-08T00.00.04-"
    assert len(name) == 56
    request_id = body["requestContext"].pop("requestId")
    assert len(request_id) == 36
    assert json.loads(body.pop("payload")) == {"Records": records}
    assert body == {
        "requestContext": {
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:ddbreplica",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 2,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2026-11-08T00:00:04.000Z",
        "DDBStreamBatchInfo": {
            "shardId": "shard",
            "startSequenceNumber": "300000000000000000001",
            "endSequenceNumber": "300000000000000000002",
            "approximateArrivalOfFirstRecord": "2026-11-08T00:00:00Z",
            "approximateArrivalOfLastRecord": "2026-11-08T00:00:02Z",
            "batchSize": 2,
            "streamArn": STREAM,
        },
    }


def test_a_reported_record_is_discarded_without_a_function_error() -> None:
    bucket = Bucket()

    deliver(changes(1), reports("1"), bucket, maximum_retry_attempts=0)

    (body,) = bucket.objects.values()
    assert body["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}


def test_a_record_that_grew_old_before_any_invocation_has_no_response() -> None:
    bucket, function = Bucket(), Function()
    mapping = Mapping(
        [Shard("shard", changes(1))],
        function,
        MappingSettings(maximum_record_age_in_seconds=60),
        destination=bucket.put,
    )
    mapping.now = START + 61
    mapping.run()

    (body,) = bucket.objects.values()
    assert function.batches == []
    assert "responseContext" not in body
    assert bucket.discarded == [("RecordAgeExceeded", 0, ["1"])]


def refuse(_key: str, _body: str) -> None:
    raise PermissionError


@pytest.mark.parametrize("destination", [refuse, nowhere])
def test_discarded_records_that_no_destination_stores_are_dropped_and_counted(
    destination: Destination,
) -> None:
    function = raises("1")
    settings = MappingSettings(maximum_retry_attempts=0, bisect_batch_on_function_error=False)
    mapping = Mapping([Shard("shard", changes(1, 2))], function, settings, destination=destination)
    mapping.run()

    assert function.trace == "12"
    assert mapping.dropped == 2


def test_the_stream_removes_records_after_a_day_whatever_the_mapping_allows() -> None:
    function, bucket = Function(), Bucket()
    mapping = Mapping(
        [Shard("shard", [change(1), change(2, at=1)])],
        function,
        MappingSettings(maximum_record_age_in_seconds=-1),
        destination=bucket.put,
    )
    mapping.now = START + 86_401
    mapping.run()

    assert function.trace == "2"
    assert mapping.expired == 1
    assert (mapping.dropped, bucket.objects) == (0, {})


def items(*keys: str) -> list[Any]:
    return [change(number, key) for number, key in enumerate(keys)]


@pytest.mark.parametrize("seed", range(10))
def test_an_item_stays_in_order_whatever_its_lane(seed: int) -> None:
    function = in_turn(ValueError(), None, ValueError(), report("12"))
    settings = MappingSettings(parallelization_factor=4, batch_size=2)

    Mapping([Shard("shard", items(*"abcdefghij" * 3))], function, settings, chance=Random(seed)).run()  # noqa: S311

    delivered = [int(number) for batch in function.batches for number in batch]
    first_time = list(dict.fromkeys(delivered))
    assert first_time != sorted(first_time)
    for item in range(10):
        assert [number for number in first_time if number % 10 == item] == [item, item + 10, item + 20]


def test_a_failing_lane_does_not_hold_up_another() -> None:
    function = in_turn(ValueError())

    deliver(items("a", "b", "a", "b"), function, parallelization_factor=10, batch_size=1)

    assert function.trace == "0 · 1 · 3 · 0 · 2"


def test_one_lane_delivers_items_in_the_stream_s_order() -> None:
    function = Function()

    deliver(items("a", "b", "a", "b"), function, batch_size=1)

    assert function.trace == "0 · 1 · 2 · 3"


def test_lanes_are_interleaved_at_random_and_the_same_seed_repeats_it() -> None:
    def run(seed: int) -> str:
        function = Function()
        settings = MappingSettings(parallelization_factor=2, batch_size=1)
        Mapping([Shard("shard", items(*"abcdefgh"))], function, settings, chance=Random(seed)).run()  # noqa: S311
        return function.trace

    assert run(1) == run(1)
    assert len({run(seed) for seed in range(20)}) > 5


def test_shards_are_interleaved() -> None:
    def run(seed: int) -> str:
        function = Function()
        shards = [Shard("one", changes(1, 2)), Shard("other", changes(3, 4))]
        Mapping(shards, function, MappingSettings(batch_size=1), chance=Random(seed)).run()  # noqa: S311
        return function.trace

    assert {run(seed) for seed in range(50)} == {
        "1 · 2 · 3 · 4",
        "1 · 3 · 2 · 4",
        "1 · 3 · 4 · 2",
        "3 · 1 · 2 · 4",
        "3 · 1 · 4 · 2",
        "3 · 4 · 1 · 2",
    }


def family() -> list[Shard]:
    """Return two children before their parent, whose own parent is no longer in the stream."""
    return [
        Shard("child", changes(5, 6), parent="parent"),
        Shard("other child", changes(7), parent="parent"),
        Shard("parent", changes(1, 2, 3), parent="gone"),
    ]


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_shard_is_drained_before_its_children_are_read(lanes: int) -> None:
    function = in_turn(ValueError(), report("2"), report("2"), ValueError())

    Mapping(family(), function, MappingSettings(parallelization_factor=lanes)).run()

    batches = function.batches
    last_of_parent = max(place for place, batch in enumerate(batches) if set(batch) & {"1", "2", "3"})
    first_of_child = min(place for place, batch in enumerate(batches) if set(batch) & {"5", "6", "7"})
    assert last_of_parent < first_of_child
    assert {number for batch in batches for number in batch} == set("123567")


def test_an_empty_shard_does_not_hold_up_its_child() -> None:
    function = Function()

    Mapping([Shard("parent", []), Shard("child", changes(1), parent="parent")], function).run()

    assert function.trace == "1"


def test_after_a_crash_records_that_were_checkpointed_last_are_delivered_again() -> None:
    function = Function()
    mapping = Mapping([Shard("shard", changes(1, 2, 3, 4, 5))], function, MappingSettings(batch_size=2))
    losses = [99, 4, 1, 0]
    while losses:
        mapping.step()
        mapping.crash(lambda _done: losses.pop())
    mapping.run()

    assert function.trace == "12 · 34 · 45 · 23 · 12 · 34 · 5"


def test_a_crash_gets_the_number_of_records_that_are_done() -> None:
    seen: list[int] = []

    def nothing(done: int) -> int:
        seen.append(done)
        return 0

    mapping = Mapping([Shard("shard", changes(1, 2, 3, 4))], in_turn(report("3")))
    while mapping.step():
        mapping.crash(nothing)

    assert seen == [2, 4]


def test_after_a_crash_records_are_delivered_again_at_once() -> None:
    shards = [Shard("one", [change(1), change(2, at=50)]), Shard("other", [change(9, at=10)])]
    function = Function()
    mapping = Mapping(shards, function)
    mapping.step()
    mapping.step()
    mapping.crash(lambda _: 1)
    mapping.step()
    mapping.step()

    assert sorted(function.trace.split(" · ")) == ["1", "1", "9", "9"]
    assert mapping.now == START + 10


def test_after_a_crash_halves_are_one_batch_and_retries_restart() -> None:
    function, bucket = in_turn(*[ValueError()] * 6), Bucket()
    settings = MappingSettings(maximum_retry_attempts=1, bisect_batch_on_function_error=False)
    mapping = Mapping([Shard("shard", changes(1, 2))], function, settings, destination=bucket.put)
    for _ in range(5):
        mapping.step()
        mapping.crash(lambda _: 0)
    mapping.run()

    assert function.trace == " · ".join(["12"] * 7)
    assert len(set(function.request_ids)) == 6
    assert bucket.objects == {}


def test_after_a_crash_a_drained_shard_is_delivered_before_its_children_and_never_after() -> None:
    function = Function()
    mapping = Mapping(
        [Shard("parent", changes(1, 2)), Shard("child", changes(3, 4), parent="parent")], function
    )
    mapping.step()
    mapping.crash(lambda _: 1)
    mapping.step()
    mapping.step()
    mapping.crash(lambda _: 99)
    mapping.run()

    assert function.trace == "12 · 2 · 34 · 34"


def test_a_shard_may_grow_while_it_is_read() -> None:
    function = Function()
    shard = Shard("shard", changes(1))
    mapping = Mapping([shard], function, MappingSettings(parallelization_factor=2))
    mapping.run()
    shard.records.append(change(2))
    mapping.run()

    assert function.trace == "1 · 2"


def test_a_batch_that_waits_for_its_window_includes_new_records() -> None:
    waiting = Shard("waiting", [change(1)])

    def write(numbers: list[str]) -> None:
        if numbers == ["8", "9"]:
            waiting.records.append(change(2, at=5))

    function = Function(write)
    settings = MappingSettings(batch_size=2, maximum_batching_window_in_seconds=10)
    mapping = Mapping([waiting, Shard("full", [change(8, at=1), change(9, at=1)])], function, settings)
    mapping.run()

    assert function.trace == "89 · 12"
    assert mapping.now == START + 5


def test_a_delivery_that_never_ends_fails() -> None:
    with pytest.raises(AssertionError, match="not delivered after 10 steps"):
        Mapping([Shard("shard", changes(1))], raises("1")).run(patience=10)
