"""stream_witness on DynamoDB Local: its streams, whose ARNs have the Region ddblocal."""

from typing import TYPE_CHECKING

import pytest

from ddbreplica.aws.clock import Clock
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.location import Location
from ddbreplica.model import Key
from ddbreplica.verify.confirm.stream_witness import StreamWitness
from tests.support.waiting import Waiting

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "witnessed"


@pytest.fixture
def witness(client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> StreamWitness:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "dummy")
    client.create_table(
        TableName=TABLE,
        KeySchema=[
            {"AttributeName": "sort", "KeyType": "HASH"},
            {"AttributeName": "part", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "sort", "AttributeType": "B"},
            {"AttributeName": "part", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )
    waiting = Waiting()
    location = Location(TABLE, None, None, "us-east-1", None, None, None, client.meta.endpoint_url)
    return StreamWitness.of(Connection(location, clock=Clock(ticks=lambda: waiting.now)), waiting)


def put(client: "DynamoDBClient", number: str, value: str) -> None:
    client.put_item(
        TableName=TABLE, Item={"sort": {"B": b"\xff"}, "part": {"N": number}, "value": {"S": value}}
    )


def key(number: str) -> Key:
    return (("part", "N", number), ("sort", "B", "/w=="))


def test_what_changed_since_a_moment_and_what_never_did(
    client: "DynamoDBClient", witness: StreamWitness
) -> None:
    put(client, "1", "before")
    witness.begin()
    put(client, "2.0", "a")
    witness.keep_up({key("2")})
    put(client, "3", "a")
    put(client, "1", "before")  # a write that changes nothing makes no record

    watched = frozenset(map(key, "1234"))
    assert witness.changed(watched) == frozenset({key("2"), key("3")})
    assert witness.silent(watched) == frozenset({key("4")})
