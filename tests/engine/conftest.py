"""DynamoDB Local, AWS's own engine, for as long as the tests of this folder run, and the workshop's tables on it.

`make engine` fetches it.
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
    """The engine's address. It listens on all interfaces: `make engine` gives it a network of its own."""
    if not is_ready():
        pytest.skip("needs DynamoDB Local and Java: run `make engine`")
    try:
        refuse_open_network()
    except BenchmarkError as error:
        pytest.exit(str(error), returncode=2)
    with dynamodb_local() as url:
        yield url


def connect(url: str) -> "DynamoDBClient":
    """A client of the engine, set up as the function's is."""
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
    """A client of the engine without any table."""
    client = connect(endpoint)
    yield client
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)


@pytest.fixture
def source(client: "DynamoDBClient") -> str:
    """The workshop's source without its index, so that it takes what the replica's index refuses: the stream's ARN."""
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
    """All items of a table as wire JSON."""
    pages = client.get_paginator("scan").paginate(TableName=table)
    return [dynamodb_json(item) for page in pages for item in page["Items"]]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Write a line into the test report, although the test may pass."""

    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")  # noqa: T201  it is a report

    return write
