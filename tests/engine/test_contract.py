"""The contract, the laws' values and the handler's judgement, on AWS's own engine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ddbreplica.dynamodb import DynamoDBReplica
from ddbreplica.model import Image, Kind, Refusal, Replica
from ddbreplica_cli.compare import same
from tests.engine.conftest import connect
from tests.functional.test_dynamodb import create_table
from tests.support.contract import KEYS, ReplicaContract, put, write_of
from tests.support.function import Function
from tests.support.records import batch, record
from tests.support.strategies import attribute_value
from tests.support.wire import as_read, wire_json

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EVENTS = Path(__file__).parents[2] / "events"
INDEXED = "logfile_replica"


@pytest.fixture
def client(endpoint: str) -> Iterator["DynamoDBClient"]:
    client = connect(endpoint)
    yield client
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)


@pytest.fixture
def indexed(client: "DynamoDBClient") -> DynamoDBReplica:
    """The workshop's replica: key PK (S), index GSI_1 on GSI_1_PK (S)."""
    client.create_table(
        TableName=INDEXED,
        AttributeDefinitions=[
            {"AttributeName": "PK", "AttributeType": "S"},
            {"AttributeName": "GSI_1_PK", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "GSI_1",
                "KeySchema": [{"AttributeName": "GSI_1_PK", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return DynamoDBReplica(connect(client.meta.endpoint_url), INDEXED)


class TestOnTheEngine(ReplicaContract):
    @pytest.fixture
    def replica(self, client: "DynamoDBClient") -> Replica:
        self.client = client
        create_table(client)
        return DynamoDBReplica(connect(client.meta.endpoint_url), "copy")

    def items(self) -> list[Image]:
        return [wire_json(item) for item in self.client.scan(TableName="copy")["Items"]]

    def missing(self) -> Replica:
        return DynamoDBReplica(connect(self.client.meta.endpoint_url), "another")

    def test_one_bad_item_rejects_the_whole_request(self, replica: Replica) -> None:
        refusal = replica.write_batch([put("1"), put("2", big={"S": "x" * 410_000})])

        assert isinstance(refusal, Refusal)
        assert refusal.kind is Kind.REJECTED
        assert self.items() == []

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        attributes=st.dictionaries(
            st.text(min_size=1, max_size=5, alphabet="abc é🙂"), attribute_value, max_size=4
        )
    )
    def test_any_value_arrives_as_it_was(self, replica: Replica, attributes: Any) -> None:
        image = {**attributes, **KEYS}
        answer = replica.write_batch([write_of(KEYS, image)])

        if isinstance(answer, Refusal):
            assert answer.kind is Kind.REJECTED
        assume(not isinstance(answer, Refusal))  # a set whose numbers are equal, a map with an empty name
        (item,) = self.client.scan(TableName="copy")["Items"]
        assert same(item, as_read(image))


def stored(client: "DynamoDBClient") -> list[Any]:
    return [wire_json(item) for item in client.scan(TableName=INDEXED)["Items"]]


def test_every_type_arrives_from_the_event_file(client: "DynamoDBClient", indexed: DynamoDBReplica) -> None:
    event = json.loads((EVENTS / "every-type.json").read_text())

    assert Function(indexed).invoke(event) == []

    (item,) = client.scan(TableName=INDEXED)["Items"]
    assert same(item, as_read(event["Records"][0]["dynamodb"]["NewImage"]))


@pytest.mark.parametrize(
    "index_key",
    [{"N": "5"}, {"S": ""}, {"NULL": True}, {"S": "x" * 2049}, {"B": "AA=="}, {"L": []}],
    ids=["wrong type", "empty", "null", "too long", "binary", "list"],
)
def test_an_index_key_that_the_engine_refuses_is_poison_and_its_neighbours_arrive(
    index_key: Any, client: "DynamoDBClient", indexed: DynamoDBReplica
) -> None:
    function = Function(indexed)
    records = [_row(number, {"S": "host"}) for number in range(24)]
    records.insert(12, _row(99, index_key))

    assert function.invoke(batch(*records)) == []

    assert function.bucket.sequence_numbers == ["99"]
    assert function.bucket.kept[0]["error_code"] == "ValidationException"
    assert len(stored(client)) == 24


def test_a_batch_of_many_keys_is_told_like_on_the_fake(
    client: "DynamoDBClient", indexed: DynamoDBReplica
) -> None:
    event = json.loads((EVENTS / "many-keys.json").read_text())

    for _ in range(2):
        assert Function(indexed).invoke(event) == []

    assert len(stored(client)) == 50


def _row(number: int, index_key: Any) -> dict[str, Any]:
    keys = {"PK": {"S": f"request#{number}"}}
    return record(number, "INSERT", keys, {**keys, "GSI_1_PK": index_key})
