"""The reader of streams returns every record of every shard once and in order, in the form of Lambda's event."""

from datetime import UTC, datetime
from typing import Any

from tests.support.mapping import Shard
from tests.support.records import STREAM, delete, put
from tests.support.stream import StreamReader, as_lambda_delivers_it, state_after

AT = datetime(2026, 11, 8, tzinfo=UTC)


def raw(number: int, **image: Any) -> Any:
    """Return a record as boto3 returns it."""
    return {
        "eventID": f"event-{number}",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": AT,
            "Keys": {"PK": {"B": b"\x00\xff"}},
            "NewImage": {"PK": {"B": b"\x00\xff"}, **image},
            "SequenceNumber": str(number),
            "SizeBytes": 26,
            "StreamViewType": "NEW_IMAGE",
        },
    }


class FakeStreams:
    """A stream with two shards on each page of its description. The last page of a closed shard has no next one."""

    def __init__(self, pages: dict[str, list[list[Any]]], *, closed: tuple[str, ...] = ()) -> None:
        self.pages = pages
        self.closed = closed

    def describe_stream(self, *, StreamArn: str, ExclusiveStartShardId: str = "") -> Any:  # noqa: N803
        assert StreamArn == STREAM
        ids = [shard for shard in self.pages if shard > ExclusiveStartShardId]
        shards = [
            {"ShardId": shard} | ({"ParentShardId": shard[:-1]} if len(shard) > 1 else {})
            for shard in ids[:2]
        ]
        more = {"LastEvaluatedShardId": ids[1]} if len(ids) > 2 else {}
        return {"StreamDescription": {"Shards": shards, **more}}

    def get_shard_iterator(self, *, StreamArn: str, ShardId: str, ShardIteratorType: str) -> Any:  # noqa: N803
        assert (StreamArn, ShardIteratorType) == (STREAM, "TRIM_HORIZON")
        return {"ShardIterator": f"{ShardId} 0"}

    def get_records(self, *, ShardIterator: str) -> Any:  # noqa: N803
        shard, place = ShardIterator.split()
        pages = self.pages[shard][int(place) :]
        after = int(place) + (len(pages) > 0)
        is_end = shard in self.closed and len(pages) <= 1
        next_iterator = {} if is_end else {"NextShardIterator": f"{shard} {after}"}
        return {"Records": pages[0] if pages else [], **next_iterator}


def numbers(shard: Shard) -> list[str]:
    return [record["dynamodb"]["SequenceNumber"] for record in shard.records]


def test_every_shard_is_read_with_its_parent() -> None:
    reader = StreamReader(
        FakeStreams({"a": [[raw(1)], [raw(2), raw(3)]], "aa": [[raw(4)]], "ab": [[]]}, closed=("a",)), STREAM
    )
    reader.read()

    assert [(shard.id, shard.parent, numbers(shard)) for shard in reader.shards] == [
        ("a", None, ["1", "2", "3"]),
        ("aa", "a", ["4"]),
        ("ab", "a", []),
    ]


def test_an_empty_page_in_the_middle_is_not_the_end() -> None:
    reader = StreamReader(FakeStreams({"a": [[], [], [raw(1)], [], [], [raw(2)]]}), STREAM)
    reader.read()

    assert numbers(reader.shards[0]) == ["1", "2"]


def test_reading_again_resumes_where_it_stopped() -> None:
    streams = FakeStreams({"a": [[raw(1)]]})
    reader = StreamReader(streams, STREAM)
    reader.read()
    first = reader.shards[0]
    streams.pages["a"].append([raw(2)])
    streams.pages["b"] = [[raw(3)]]
    streams.closed = ("a",)
    for _ in range(2):
        reader.read()

    assert reader.shards[0] is first
    assert [numbers(shard) for shard in reader.shards] == [["1", "2"], ["3"]]


def test_a_record_has_the_form_of_lambdas_event() -> None:
    one = raw(1, n={"N": "1.50"}, l={"L": [{"BS": [b"\x01", b""]}, {"M": {"b": {"B": b"a"}}}]})

    assert as_lambda_delivers_it(one, STREAM) == {
        "eventID": "event-1",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_794_096_000.0,
            "Keys": {"PK": {"B": "AP8="}},
            "NewImage": {
                "PK": {"B": "AP8="},
                "n": {"N": "1.50"},
                "l": {"L": [{"BS": ["AQ==", ""]}, {"M": {"b": {"B": "YQ=="}}}]},
            },
            "SequenceNumber": "1",
            "SizeBytes": 26,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": STREAM,
    }


def test_the_identity_of_a_delete_has_lambdas_form() -> None:
    expired = {**raw(1), "userIdentity": {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}}

    event = as_lambda_delivers_it(expired, STREAM)

    assert event["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def test_the_state_after_a_history_leaves_out_the_given_records() -> None:
    history = [put(1, "a", v={"N": "1"}), put(2, "a", v={"N": "2"}), put(3, "b"), delete(4, "b")]
    a, b = (("PK", "S", "a"),), (("PK", "S", "b"),)

    assert state_after(history) == {a: {"PK": {"S": "a"}, "v": {"N": "2"}}}
    assert state_after(history, without={"2", "4"}) == {
        a: {"PK": {"S": "a"}, "v": {"N": "1"}},
        b: {"PK": {"S": "b"}},
    }
