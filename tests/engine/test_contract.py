"""The replica's contract, generated values and the events of `events/` on DynamoDB Local."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ddbreplica.dynamodb.plain_replica import PlainReplica
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.model import Image, Refusal, RefusalKind, Replica
from ddbreplica.records.compare import same
from tests.engine.conftest import REPLICA, connect, items_of
from tests.support.contract import KEYS, ReplicaContract, put, write_of
from tests.support.function import Function
from tests.support.public_client import public
from tests.support.replica_table import create_table
from tests.support.strategies import attribute_value
from tests.support.wire import dynamodb_json

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EVENTS = Path(__file__).parents[2] / "events"


class TestOnTheEngine(ReplicaContract):
    @pytest.fixture(params=[DynamoDBReplica, PlainReplica])
    def replica(self, request: pytest.FixtureRequest, client: "DynamoDBClient") -> Replica:
        self.client = client
        self.is_plain = request.param is PlainReplica
        create_table(client)
        return self.at("copy")

    def items(self) -> list[Image]:
        return [dynamodb_json(item) for item in self.client.scan(TableName="copy")["Items"]]

    def missing(self) -> Replica:
        return self.at("another")

    def at(self, table: str) -> Replica:
        client = connect(self.client.meta.endpoint_url)
        return PlainReplica(public(client), table) if self.is_plain else DynamoDBReplica(client, table)

    def test_one_bad_item_rejects_the_whole_request(self, replica: Replica) -> None:
        refusal = replica.start_batch([put("1"), put("2", big={"S": "x" * 410_000})])()

        assert isinstance(refusal, Refusal)
        assert refusal.kind is RefusalKind.REJECTED
        assert self.items() == []

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        attributes=st.dictionaries(
            st.text(min_size=1, max_size=5, alphabet="abc é🙂"), attribute_value, max_size=4
        )
    )
    def test_any_value_is_stored_unchanged(self, replica: Replica, attributes: Any) -> None:
        image = {**attributes, **KEYS}
        answer = replica.start_batch([write_of(KEYS, image)])()

        if isinstance(answer, Refusal):
            assert answer.kind is RefusalKind.REJECTED
        assume(not isinstance(answer, Refusal))  # a set whose numbers are equal, a map with an empty name
        (item,) = self.client.scan(TableName="copy")["Items"]
        assert same(dynamodb_json(item), image)


def test_each_type_of_the_event_file_is_stored(client: "DynamoDBClient", replica: DynamoDBReplica) -> None:
    event = json.loads((EVENTS / "every-type.json").read_text())

    assert Function(replica).invoke(event) == []

    (item,) = items_of(client, REPLICA)
    assert same(item, event["Records"][0]["dynamodb"]["NewImage"])


def test_a_batch_of_many_keys_has_the_same_result_as_on_the_fake(
    client: "DynamoDBClient", replica: DynamoDBReplica
) -> None:
    event = json.loads((EVENTS / "many-keys.json").read_text())

    for _ in range(2):
        assert Function(replica).invoke(event) == []

    assert len(items_of(client, REPLICA)) == 50
