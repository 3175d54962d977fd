"""Read a table's stream with the DynamoDB Streams API, and convert its records to Lambda's event format.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from ddbreplica.model import Key
from ddbreplica.records.decode import key_of
from tests.support.mapping import Shard
from tests.support.wire import dynamodb_json

EMPTY_PAGES = 3
"""An open shard counts as read after so many empty pages, since a single empty page may be in its middle."""


class StreamReader:
    """Reads a stream from its beginning. Each `read` extends `shards`, even while a mapping uses them."""

    def __init__(self, client: Any, arn: str) -> None:
        """`client` is boto3's client for DynamoDB Streams."""
        self.shards: list[Shard] = []
        self._client = client
        self._arn = arn
        self._iterators: dict[str, str | None] = {}

    def read(self) -> None:
        """Add new shards, and read each to its end or, if it is open, until it has no more records."""
        for description in self._descriptions():
            shard = Shard(description["ShardId"], [], description.get("ParentShardId"))
            if shard.id not in self._iterators:
                self.shards.append(shard)
                self._iterators[shard.id] = self._beginning_of(shard)
        for shard in self.shards:
            for page in self._pages_of(shard):
                shard.records += [as_lambda_delivers_it(record, self._arn) for record in page]

    def _descriptions(self) -> Iterator[Any]:
        page: Any = {}
        while page is not None:
            stream = self._client.describe_stream(StreamArn=self._arn, **page)["StreamDescription"]
            yield from stream["Shards"]
            last = stream.get("LastEvaluatedShardId")
            page = {"ExclusiveStartShardId": last} if last else None

    def _beginning_of(self, shard: Shard) -> str:
        answer = self._client.get_shard_iterator(
            StreamArn=self._arn, ShardId=shard.id, ShardIteratorType="TRIM_HORIZON"
        )
        iterator: str = answer["ShardIterator"]
        return iterator

    def _pages_of(self, shard: Shard) -> Iterator[list[Any]]:
        empty = 0
        while (iterator := self._iterators[shard.id]) and empty < EMPTY_PAGES:
            answer = self._client.get_records(ShardIterator=iterator)
            self._iterators[shard.id] = answer.get("NextShardIterator")
            empty = 0 if answer["Records"] else empty + 1
            yield answer["Records"]


def as_lambda_delivers_it(record: Any, stream_arn: str) -> dict[str, Any]:
    """Convert a record of boto3 to the JSON of Lambda's event, without changing a value of an image."""
    data = {**record["dynamodb"]}
    data["ApproximateCreationDateTime"] = data["ApproximateCreationDateTime"].timestamp()
    event = {**record, "dynamodb": dynamodb_json(data), "eventSourceARN": stream_arn}
    if "userIdentity" in event:
        event["userIdentity"] = {
            name[:1].lower() + name[1:]: value for name, value in event["userIdentity"].items()
        }
    return event


def state_after(history: Iterable[Any], *, without: Collection[str] = ()) -> dict[Key, Any]:
    """Return the table's items by key after these records, except those with the sequence numbers `without`."""
    state: dict[Key, Any] = {}
    for record in history:
        data = record["dynamodb"]
        if data["SequenceNumber"] not in without:
            state[key_of(data["Keys"])] = data.get("NewImage")
    return {key: image for key, image in state.items() if image is not None}
