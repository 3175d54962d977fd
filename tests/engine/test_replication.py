"""Replication on DynamoDB Local, from a table's stream through the mapping and the whole function."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest

from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.handler import replicate
from ddbreplica.model import Key
from ddbreplica.records.compare import same
from ddbreplica.records.decode import key_of
from ddbreplica.transform.view import UNTRANSFORMABLE
from tests.engine.conftest import REPLICA, SOURCE, connect, items_of
from tests.engine.test_refusals import REFUSED_INDEX_KEYS
from tests.support.contract import EVERY_TYPE
from tests.support.function import Context, Function
from tests.support.mapping import Mapping, MappingSettings, Shard
from tests.support.stream import StreamReader, state_after
from tests.support.transforms import Document, expected, transform_of
from tests.support.wire import as_read

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = ("PK",)
CHANGES = 20_000
WRITERS = 4
KEYS, HOT_KEYS = 800, 5
INDEX_KEY = {"S": "host"}
REFUSED = [*REFUSED_INDEX_KEYS.values()]
RULES: Document = {
    "hash": ["s", "n", "empty_b"],
    # An item with both sets cannot be transformed.
    "concat": {
        "joined": ["#", {"attribute": "change"}, {"attribute": "s"}],
        "odd": [{"attribute": "ss"}, {"attribute": "bs"}],
    },
    "set": {"copied": {"N": "1.0"}},
    "drop": ["l"],
    "rename": {"b": "empty", "m": "b"},
}
RECORD = {"eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb", "eventSourceARN"}
DATA = {"ApproximateCreationDateTime", "Keys", "SequenceNumber", "SizeBytes", "StreamViewType"}


class Writer:
    """Makes changes to its own keys from a seed. Each change is one record of the stream."""

    def __init__(self, client: "DynamoDBClient", name: int) -> None:
        self._client = client
        self._name = name
        self._chance = Random(name)  # noqa: S311
        self._present: set[str] = set()
        self._requests: dict[str, Any] = {}

    def write(self, changes: int) -> None:
        for number in range(changes - 2 * HOT_KEYS):
            self._change(self._another_key(), str(number))
            if len(self._requests) == 25:
                self._flush()
        # The last image of the hot keys is rejected, so that the replica keeps the image before it.
        for index_keys in ([INDEX_KEY], REFUSED):
            self._flush()
            for key in range(HOT_KEYS):
                self._put(f"{self._name}#{key}", "last", index_keys)
        self._flush()

    def _another_key(self) -> str:
        """Return a key that the next request does not contain yet."""
        while True:
            keys = self._chance.choice((HOT_KEYS, KEYS, KEYS, KEYS))
            pk = f"{self._name}#{self._chance.randrange(keys)}"
            if pk not in self._requests:
                return pk

    def _change(self, pk: str, number: str) -> None:
        kind = self._chance.choices(("put", "update", "delete"), (80, 5, 15))[0]
        if kind == "put" or pk not in self._present:
            self._put(pk, number, REFUSED if self._chance.random() < 0.01 else [INDEX_KEY])
        elif kind == "delete":
            self._present.remove(pk)
            self._requests[pk] = {"DeleteRequest": {"Key": {"PK": {"S": pk}}}}
        else:
            self._client.update_item(
                TableName=SOURCE,
                Key={"PK": {"S": pk}},
                UpdateExpression="SET change = :number",
                ExpressionAttributeValues={":number": {"S": number}},
            )

    def _put(self, pk: str, change: str, index_keys: Sequence[Any]) -> None:
        image = {
            **dict(self._chance.sample([*EVERY_TYPE.items()], 4)),
            "PK": {"S": pk},
            "GSI_1_PK": self._chance.choice(index_keys),
            "change": {"S": change},
        }
        self._present.add(pk)
        self._requests[pk] = {"PutRequest": {"Item": as_read(image)}}

    def _flush(self) -> None:
        if self._requests:
            answer = self._client.batch_write_item(RequestItems={SOURCE: [*self._requests.values()]})
            assert not answer["UnprocessedItems"]
            self._requests.clear()


class Observed:
    """The function, its number of requests, and the records that are poison to the replica in each batch."""

    def __init__(self, endpoint: str, document: Document) -> None:
        client = connect(endpoint)
        events: Any = client.meta.events
        events.register("before-send.dynamodb", self._count)
        self.function = Function(DynamoDBReplica(client, REPLICA), transform=transform_of(document))
        self.document = document
        self.requests = 0
        self.tried: set[str] = set()

    def invoke(self, event: Any, request_id: str) -> Any:
        bad = untransformable(event["Records"], self.document)
        taken = [record for record in event["Records"] if record["dynamodb"]["SequenceNumber"] not in bad]
        self.tried |= poison_at_the_end(taken)
        return replicate(event, cast("LambdaContext", Context(request_id)), self.function.replicator)

    def _count(self, **_: Any) -> None:
        self.requests += 1


def is_poison(record: Any) -> bool:
    image = record["dynamodb"].get("NewImage")
    return image is not None and image["GSI_1_PK"] != INDEX_KEY


def untransformable(records: Sequence[Any], document: Document) -> set[str]:
    """Return the records whose image cannot be transformed."""
    images = {one["dynamodb"]["SequenceNumber"]: one["dynamodb"].get("NewImage") for one in records}
    return {number for number, image in images.items() if image and expected(document, image, KEY) is None}


def poison_at_the_end(records: Sequence[Any]) -> set[str]:
    """Return the poison records without a later valid record of the same key in the batch."""
    last: dict[str, set[str]] = {}
    for record in records:
        poison = last.setdefault(record["dynamodb"]["Keys"]["PK"]["S"], set())
        if is_poison(record):
            poison.add(record["dynamodb"]["SequenceNumber"])
        else:
            poison.clear()
    return set().union(*last.values())


def read_stream(endpoint: str, arn: str) -> list[Shard]:
    reader = StreamReader(boto3.client("dynamodbstreams", endpoint_url=endpoint), arn)
    reader.read()
    for shard in reader.shards:
        for record in shard.records:
            if (image := record["dynamodb"].get("NewImage")) is not None:
                record["dynamodb"]["NewImage"] = with_map_types(image)
    return reader.shards


def with_map_types(image: Any) -> Any:
    """Return the image as in DynamoDB's stream. DynamoDB Local's stream lacks the type of an empty map.

    https://github.com/awslabs/amazon-dynamodb-local-samples/issues/37
    """
    return {name: with_map_type(value) for name, value in image.items()}


def with_map_type(value: Any) -> Any:
    match value:
        case {"M": members}:
            return {"M": with_map_types(members)}
        case {"L": members}:
            return {"L": [with_map_type(member) for member in members]}
        case _:
            return value or {"M": {}}


def assert_equal(items: Collection[Any], state: dict[Key, Any]) -> None:
    by_key = {key_of({"PK": item["PK"]}): item for item in items}
    assert by_key.keys() == state.keys()
    assert [key for key, item in by_key.items() if not same(item, state[key])] == []


def test_the_stream_has_the_changes_in_their_order(
    client: "DynamoDBClient", source: str, endpoint: str
) -> None:
    image = {**EVERY_TYPE, "PK": {"S": "é"}}
    client.put_item(TableName=SOURCE, Item=as_read(image))
    client.put_item(TableName=SOURCE, Item=as_read(image))
    client.delete_item(TableName=SOURCE, Key={"PK": {"S": "é"}})

    ((inserted, removed),) = (shard.records for shard in read_stream(endpoint, source))

    assert same(inserted["dynamodb"].pop("NewImage"), image)
    assert inserted.keys() == removed.keys() == RECORD
    assert inserted["dynamodb"].keys() == removed["dynamodb"].keys() == DATA
    assert (inserted["eventName"], removed["eventName"]) == ("INSERT", "REMOVE")
    assert inserted["eventSourceARN"] == source


@pytest.mark.parametrize("document", [{}, RULES], ids=["as they are", "transformed"])
def test_twenty_thousand_changes_are_replicated_and_only_the_poison_is_quarantined(
    document: Document,
    endpoint: str,
    client: "DynamoDBClient",
    source: str,
    replica: DynamoDBReplica,
    tell: Callable[[str], None],
) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [Writer(connect(endpoint), name) for name in range(WRITERS)]
        list(pool.map(lambda writer: writer.write(CHANGES // WRITERS), writers))
    shards = read_stream(endpoint, source)
    history = [record for shard in shards for record in shard.records]
    observed = Observed(endpoint, document)

    mapping = Mapping(shards, observed.invoke, MappingSettings(parallelization_factor=2))
    while mapping.step():
        if mapping.invocations % 50 == 0:
            mapping.crash(lambda _done: 120)

    kept = [one for one in observed.function.bucket.kept if one["error_code"] == "ValidationException"]
    refused = {one["record"]["dynamodb"]["SequenceNumber"] for one in kept}
    quarantined = refused | untransformable(history, document)
    tell(
        f"{len(history):,} changes, {mapping.invocations} invocations, {observed.requests:,} requests,"
        f" {len(quarantined)} records quarantined"
    )
    assert len(history) == CHANGES
    assert_equal(items_of(client, SOURCE), state_after(history))
    state = state_after(history, without=quarantined)
    assert_equal(
        items_of(client, REPLICA), {key: expected(document, item, KEY) for key, item in state.items()}
    )
    assert refused == observed.tried
    by_code: dict[str, set[str]] = {}
    for one in observed.function.bucket.kept:
        by_code.setdefault(one["error_code"], set()).add(one["record"]["dynamodb"]["SequenceNumber"])
    assert by_code.get(UNTRANSFORMABLE, set()) == quarantined - refused
    assert by_code.keys() <= {"ValidationException", "SuspectWrite", UNTRANSFORMABLE}
    assert bool(quarantined - refused) is bool(document)
    kinds = {str(one["record"]["dynamodb"]["NewImage"]["GSI_1_PK"]) for one in kept}
    assert kinds == set(map(str, REFUSED))
