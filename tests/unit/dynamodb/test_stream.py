"""stream: shards that end, split, are trimmed or cannot be read at the moment."""

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ddbreplica.dynamodb.stream import LOOK_AGAIN_SECONDS, Stream
from ddbreplica.errors import TaskError

ARN = "arn:stream"


class FakeStreams:
    """DynamoDB Streams with shards of numbered records, two on a page. An iterator has a position and an age."""

    def __init__(self) -> None:
        self.now = 0.0
        self.shards: dict[str, list[int]] = {}
        self.parents: dict[str, str] = {}
        self.ended: set[str] = set()
        self.trimmed: dict[str, int] = {}
        self.refusals: list[Exception] = []
        self.asked: list[tuple[str, str]] = []
        self.expire_after = 900.0

    def client(self) -> Any:
        return self

    def describe_stream(self, *, StreamArn: str, ExclusiveStartShardId: str | None = None) -> Any:  # noqa: N803
        assert StreamArn == ARN
        names = list(self.shards)
        start = 0 if ExclusiveStartShardId is None else names.index(ExclusiveStartShardId) + 1
        page = names[start : start + 2]
        self._refuse()
        answer: dict[str, Any] = {"Shards": [self._described(name) for name in page]}
        if start + 2 < len(names):
            answer["LastEvaluatedShardId"] = page[-1]
        return {"StreamDescription": answer}

    def get_shard_iterator(
        self,
        *,
        StreamArn: str,  # noqa: N803
        ShardId: str,  # noqa: N803
        ShardIteratorType: str,  # noqa: N803
        SequenceNumber: str | None = None,  # noqa: N803
    ) -> Any:
        self.asked.append((ShardId, SequenceNumber or ShardIteratorType))
        records = self.shards[ShardId]
        match ShardIteratorType:
            case "LATEST":
                place = len(records)
            case "TRIM_HORIZON":
                place = self.trimmed.get(ShardId, 0)
            case _:
                place = records.index(int(SequenceNumber or 0)) + 1
        return {"ShardIterator": f"{ShardId}|{place}|{self.now}"}

    def get_records(self, *, ShardIterator: str) -> Any:  # noqa: N803
        shard, place, made = ShardIterator.split("|")
        self._refuse()
        if self.now - float(made) > self.expire_after:
            raise refused("ExpiredIteratorException")
        if int(place) < self.trimmed.get(shard, 0):
            raise refused("TrimmedDataAccessException")
        end = min(int(place) + 2, len(self.shards[shard]))
        answer: dict[str, Any] = {
            "Records": [
                {"dynamodb": {"SequenceNumber": str(number)}}
                for number in self.shards[shard][int(place) : end]
            ]
        }
        if end < len(self.shards[shard]) or shard not in self.ended:
            answer["NextShardIterator"] = f"{shard}|{end}|{self.now}"
        return answer

    def _described(self, name: str) -> Mapping[str, Any]:
        ending = {"EndingSequenceNumber": "9"} if name in self.ended else {}
        parent = {"ParentShardId": self.parents[name]} if name in self.parents else {}
        return {
            "ShardId": name,
            "SequenceNumberRange": {"StartingSequenceNumber": "1", **ending},
            **parent,
        }

    def _refuse(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "why"}}, "GetRecords")


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
