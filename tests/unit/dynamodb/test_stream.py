"""stream: shards that end, split, are trimmed or cannot be read at the moment."""

from datetime import UTC, datetime

import pytest
from botocore.exceptions import EndpointConnectionError

from ddbreplica.dynamodb.stream import (
    LOOK_AGAIN_SECONDS,
    Stream,
    created_at,
    has_stream,
    key_of_record,
    list_streams,
)
from ddbreplica.errors import TaskError
from tests.support.fake_streams import ARN, FakeStreams, refused


class Reading:
    """A stream that is read, and the gaps that it has reported."""

    def __init__(self, service: FakeStreams, *, from_oldest: bool) -> None:
        self.gaps: list[str] = []
        self.stream = Stream(
            service.client(), ARN, from_oldest=from_oldest, gap=self.gaps.append, clock=lambda: service.now
        )

    def read(self) -> list[list[int]]:
        """Return the pages that are not empty, as numbers."""
        pages = [
            [int(record["dynamodb"]["SequenceNumber"]) for record in page] for page in self.stream.read()
        ]
        return [page for page in pages if page]


@pytest.fixture
def service() -> FakeStreams:
    return FakeStreams()


def test_from_the_oldest_record_on_every_shard_is_read_page_by_page(service: FakeStreams) -> None:
    service.shards = {"a": [1, 2, 3], "b": [11], "c": [21, 22]}
    reading = Reading(service, from_oldest=True)
    assert (reading.stream.refusal, reading.stream.status) == (None, None)

    assert reading.read() == [[1, 2], [11], [21, 22]]
    assert reading.read() == [[3]]
    assert reading.read() == []

    service.shards["a"] += [4]
    assert reading.read() == [[4]]
    assert reading.stream.refusal is None


def test_from_now_on_only_new_records_are_read(service: FakeStreams) -> None:
    service.shards = {"old": [1, 2], "open": [3]}
    service.ended = {"old"}
    reading = Reading(service, from_oldest=False)

    assert reading.read() == []
    service.shards["open"] += [4]
    assert reading.read() == [[4]]
    assert service.asked == [("open", "LATEST")]


def test_children_are_read_from_their_beginning_once_their_parent_is_at_its_end(service: FakeStreams) -> None:
    service.shards = {"child": [4, 5], "parent": [1, 2, 3]}
    service.parents = {"child": "parent"}
    service.ended = {"parent"}
    reading = Reading(service, from_oldest=True)

    assert [reading.read(), reading.read(), reading.read()] == [[[1, 2]], [[3]], [[4, 5]]]


def test_when_a_shard_ends_its_children_are_read_at_once(
    service: FakeStreams,
) -> None:
    service.shards = {"parent": []}
    reading = Reading(service, from_oldest=False)
    assert reading.read() == []

    service.shards |= {"parent": [1], "child": [2], "other child": [3]}
    service.parents = {"child": "parent", "other child": "parent"}
    service.ended = {"parent"}

    assert reading.read() == [[1]]
    assert reading.read() == [[2], [3]]


def test_a_shard_whose_parent_is_no_longer_listed_is_read(service: FakeStreams) -> None:
    service.shards = {"child": [1]}
    service.parents = {"child": "forgotten"}

    assert Reading(service, from_oldest=True).read() == [[1]]


def test_new_shards_are_looked_for_at_intervals(service: FakeStreams) -> None:
    service.shards = {"a": []}
    reading = Reading(service, from_oldest=False)
    reading.read()
    service.shards["b"] = [1]

    assert reading.read() == []
    service.now += LOOK_AGAIN_SECONDS
    assert reading.read() == [[1]]


def test_an_iterator_that_expired_is_replaced_without_loss_or_repetition(service: FakeStreams) -> None:
    service.shards = {"a": [1]}
    reading = Reading(service, from_oldest=True)
    assert reading.read() == [[1]]

    service.now += 901
    service.shards["a"] += [2]

    assert [reading.read(), reading.read()] == [[], [[2]]]
    assert reading.gaps == []
    assert service.asked[-1] == ("a", "1")


def test_an_iterator_that_expired_before_any_record_was_read_leaves_a_reported_gap(
    service: FakeStreams,
) -> None:
    service.shards = {"a": [1]}
    reading = Reading(service, from_oldest=False)
    reading.read()

    service.now += 901
    reading.read()

    assert reading.gaps == ["the shard a was not read for 15 minutes"]


def test_a_position_that_was_trimmed_is_taken_again_from_the_oldest_record(service: FakeStreams) -> None:
    service.shards = {"a": [1, 2, 3]}
    reading = Reading(service, from_oldest=True)
    trimmed = [refused("TrimmedDataAccessException")]

    def refuse_once(request: str) -> None:
        if request == "GetShardIterator" and trimmed:
            raise trimmed.pop()

    service.hooks.append(refuse_once)

    assert [reading.read(), reading.read()] == [[], [[1, 2]]]
    assert len(reading.gaps) == 1


def test_trimmed_records_leave_a_reported_gap(service: FakeStreams) -> None:
    service.shards = {"a": [1, 2, 3, 4]}
    reading = Reading(service, from_oldest=True)
    assert reading.read() == [[1, 2]]
    service.trimmed = {"a": 3}

    assert [reading.read(), reading.read()] == [[], [[4]]]
    assert reading.gaps == ["records of the shard a were removed after 24 hours, before they were read"]


def test_a_shard_that_is_gone_is_done(service: FakeStreams) -> None:
    service.shards = {"parent": [1], "child": [2]}
    service.parents = {"child": "parent"}
    reading = Reading(service, from_oldest=True)
    reading.read()
    service.refusals = [refused("ResourceNotFoundException")]

    assert [reading.read(), reading.read()] == [[[2]], []]
    assert reading.gaps == ["the shard parent was removed before it was read to its end"]


@pytest.mark.parametrize(
    "passing", [refused("LimitExceededException"), EndpointConnectionError(endpoint_url="https://x")]
)
def test_after_a_transient_refusal_the_page_is_read_the_next_time(
    service: FakeStreams, passing: Exception
) -> None:
    service.shards = {"a": [1]}
    reading = Reading(service, from_oldest=True)
    service.refusals = [passing]
    assert reading.read() == []
    assert reading.stream.refusal is not None

    assert reading.read() == [[1]]
    assert reading.stream.refusal is None


def test_a_page_that_is_refused_does_not_lose_the_page_of_another_shard(service: FakeStreams) -> None:
    service.shards = {"a": [1], "b": [2]}
    reading = Reading(service, from_oldest=True)
    reading.read()
    service.shards = {"a": [1, 3], "b": [2, 4]}
    service.refusals = [refused("ThrottlingException")]

    assert reading.read() == [[4]]
    assert reading.read() == [[3]]


def test_any_other_refusal_is_an_error(service: FakeStreams) -> None:
    service.refusals = [refused("AccessDeniedException")]

    with pytest.raises(TaskError) as denied:
        Reading(service, from_oldest=True).read()

    assert denied.value.fact == "the stream cannot be read: AccessDeniedException: why"


def test_a_child_of_a_shard_that_was_listed_as_open_is_read_from_its_beginning(service: FakeStreams) -> None:
    # The parent ended between the two requests that list them.
    service.shards = {"parent": [1], "other": [], "child": []}
    service.parents = {"child": "parent"}
    reading = Reading(service, from_oldest=False)
    assert reading.read() == []

    service.ended = {"parent"}
    service.shards["child"] = [2]

    assert [reading.read(), reading.read()] == [[[2]], []]
    assert service.asked[-1] == ("child", "TRIM_HORIZON")


def test_records_that_follow_the_taken_positions_are_read(service: FakeStreams) -> None:
    service.shards = {"a": [1], "b": [11], "old": [21]}
    service.ended = {"old"}
    reading = Reading(service, from_oldest=False)
    assert reading.stream.look()
    assert reading.stream.take_positions()

    service.shards = {"a": [1, 2], "b": [11], "old": [21]}

    assert reading.read() == [[2]]
    assert service.asked == [("a", "LATEST"), ("b", "LATEST")]


def test_a_position_that_was_refused_is_taken_by_the_next_call(
    service: FakeStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.shards = {"a": [], "b": []}
    stream = Reading(service, from_oldest=False).stream
    assert stream.look()
    get, refusals = service.get_shard_iterator, [refused("ThrottlingException")]

    def refuse_b_once(**request: str) -> object:
        if request["ShardId"] == "b" and refusals:
            raise refusals.pop()
        return get(**request)

    monkeypatch.setattr(service, "get_shard_iterator", refuse_b_once)

    assert not stream.take_positions()
    assert stream.refusal is not None
    assert stream.refusal.code == "ThrottlingException"
    assert stream.take_positions()
    assert service.asked == [("a", "LATEST"), ("b", "LATEST")]


def test_a_list_that_is_refused_for_the_moment_is_requested_again(service: FakeStreams) -> None:
    service.shards = {"a": [1], "b": [], "c": []}
    reading = Reading(service, from_oldest=True)
    service.refusals = [refused("ThrottlingException")]

    assert not reading.stream.look()
    assert not reading.stream.shards
    assert reading.stream.is_look_due
    assert reading.read() == [[1]]


def test_the_status_and_the_open_shards_are_those_of_the_last_list(service: FakeStreams) -> None:
    service.shards = {"a": [], "b": []}
    stream = Reading(service, from_oldest=True).stream

    def listed() -> tuple[str | None, list[bool]]:
        return stream.status, [shard.is_open for shard in stream.shards.values()]

    stream.look()
    assert listed() == ("ENABLED", [True, True])
    service.status, service.ended = "DISABLED", {"a"}

    stream.read()
    assert listed() == ("ENABLED", [True, True])
    stream.look_soon()
    stream.read()
    assert listed() == ("DISABLED", [False, True])


def test_look_soon_does_not_begin_later_before_the_first_list(service: FakeStreams) -> None:
    service.shards = {"a": [1]}
    reading = Reading(service, from_oldest=False)

    reading.stream.look_soon()

    assert reading.read() == []
    assert service.asked == [("a", "LATEST")]


def test_shards_can_be_left_out_and_new_ones_not_looked_for(service: FakeStreams) -> None:
    service.shards = {"a": [1], "b": [2]}
    stream = Reading(service, from_oldest=True).stream
    stream.look()
    stream.look_soon()

    assert [shard.id for shard, _ in stream.pages(without={"a"}, look=False)] == ["b"]
    assert service.requests == ["DescribeStream", "GetShardIterator", "GetRecords"]


def test_before_each_request_the_caller_may_stop(service: FakeStreams) -> None:
    service.shards = {"a": [1], "b": [2]}
    counted: list[int] = []

    def count() -> None:
        counted.append(len(service.requests))
        if len(counted) > 3:
            raise TaskError("too many", hint="")

    stream = Stream(
        service.client(), ARN, from_oldest=True, gap=lambda _: None, before_request=count, clock=lambda: 0
    )

    with pytest.raises(TaskError, match="too many"):
        stream.read()
    assert counted == [0, 1, 2, 3]
    assert service.requests == ["DescribeStream", "GetShardIterator", "GetRecords"]


def test_the_key_of_a_record_is_canonical() -> None:
    record = {"dynamodb": {"Keys": {"S": {"N": "1.0"}, "PK": {"B": b"\xff"}}}}

    assert key_of_record(record) == (("PK", "B", "/w=="), ("S", "N", "1"))


def test_the_time_of_a_record_is_in_seconds() -> None:
    at = datetime(2026, 11, 29, tzinfo=UTC)

    assert created_at({"dynamodb": {"ApproximateCreationDateTime": at}}) == at.timestamp()
    assert created_at({"dynamodb": {}}) is None


def test_the_streams_of_a_table_are_listed_page_by_page(service: FakeStreams) -> None:
    service.streams = ["one", "two", "three"]

    first, more = list_streams(service.client(), "logfile", {})

    assert (first, more) == (["one", "two"], {"ExclusiveStartStreamArn": "two"})
    assert list_streams(service.client(), "logfile", more) == (["three"], None)


def test_a_stream_exists_until_24_hours_after_it_was_disabled(service: FakeStreams) -> None:
    assert has_stream(service.client(), ARN)
    assert service.limits == [1]

    service.existing.clear()

    assert not has_stream(service.client(), ARN)
