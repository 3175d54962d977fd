"""Run DynamoDB Local for the tests of this directory, and create the workshop's tables on it.

`make engine` downloads it.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from benchmarks.operator.engines import dynamodb_local, is_ready
from benchmarks.operator.network import refuse_open_network
from benchmarks.processes import BenchmarkError
from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from tests.support.wire import dynamodb_json

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SOURCE = "logfile"
REPLICA = "logfile_replica"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The URL of DynamoDB Local. It listens on all interfaces, so `make engine` runs it in a network namespace."""
    if not is_ready():
        pytest.skip("needs DynamoDB Local and Java: run `make engine`")
    try:
        refuse_open_network()
    except BenchmarkError as error:
        pytest.exit(str(error), returncode=2)
    with dynamodb_local() as url:
        yield url


def connect(url: str) -> "DynamoDBClient":
    """Return a client with the settings of the function's client."""
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",
        config=CLIENT_CONFIG,
    )


@pytest.fixture
def client(endpoint: str) -> Iterator["DynamoDBClient"]:
    """A client of DynamoDB Local without tables."""
    client = connect(endpoint)
    yield client
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)


@pytest.fixture
def source(client: "DynamoDBClient") -> str:
    """The stream's ARN of the workshop's source without its index, which accepts items that the replica rejects."""
    return client.create_table(
        TableName=SOURCE,
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]["LatestStreamArn"]


@pytest.fixture
def replica(client: "DynamoDBClient") -> DynamoDBReplica:
    """The workshop's replica: key PK (S), index GSI_1 on GSI_1_PK (S)."""
    client.create_table(
        TableName=REPLICA,
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
    return DynamoDBReplica(connect(client.meta.endpoint_url), REPLICA)


def items_of(client: "DynamoDBClient", table: str) -> list[Any]:
    """Return all items of a table as DynamoDB JSON."""
    pages = client.get_paginator("scan").paginate(TableName=table)
    return [dynamodb_json(item) for page in pages for item in page["Items"]]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """A function that prints a line in the test report even if the test passes."""

    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")  # noqa: T201  it is a report

    return write
