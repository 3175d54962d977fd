"""The source's contract on DynamoDB Local, and responses that are cut at the size limit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.model import Image, Refusal, Source
from tests.engine.conftest import connect
from tests.support.replica_table import create_table
from tests.support.source_contract import SourceContract, item, key
from tests.support.wire import as_read

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def client(endpoint: str) -> Iterator["DynamoDBClient"]:
    client = connect(endpoint)
    create_table(client)
    yield client
    client.delete_table(TableName="copy")


class TestOnTheEngine(SourceContract):
    @pytest.fixture
    def source(self, client: "DynamoDBClient") -> Source:
        self.client = client
        return DynamoDBReplica(connect(client.meta.endpoint_url), "copy")

    def put(self, item: Image) -> None:
        self.client.put_item(TableName="copy", Item=as_read(item))

    def missing(self) -> Source:
        return DynamoDBReplica(connect(self.client.meta.endpoint_url), "another")

    def test_items_beyond_the_size_limit_are_read_by_the_next_request(self, source: Source) -> None:
        for number in range(45):
            self.put(item(str(number), big={"S": "x" * 390_000}))
        keys = [key(str(number)) for number in range(45)]

        first = self.read(source, *keys)
        rest = self.read(source, *(left := [key for key in keys if key not in first]))

        assert 0 < len(left) < 45
        states = {**first, **rest}
        assert None not in states.values()
        assert states.keys() == set(keys)

    def test_a_key_of_a_different_type_fails_the_whole_request(self, source: Source) -> None:
        wrong = (("part", "S", "text"), ("sort", "N", "1"))

        answer = source.read_batch([key("1"), wrong])

        assert isinstance(answer, Refusal)
        assert answer.code == "ValidationException"
