"""The verification as a job of workers on DynamoDB Local: it finds and counts what the command does."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from ddbreplica.jobs import plan
from ddbreplica.jobs.ending import PAUSE_SECONDS, RESERVED_SECONDS
from tests.engine.jobs import EnginePair
from tests.support.cli import run

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ITEMS = 3000
MISSING, DIFFERENT, EXTRA = range(100, 103), range(500, 504), range(2990, 2995)


@pytest.fixture
def endpoint_of_tables(client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> str:
    """Two tables with a key of two parts, which differ in some items."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "dummy")
    for table in ("source", "replica"):
        client.create_table(
            TableName=table,
            KeySchema=[
                {"AttributeName": "PK", "KeyType": "HASH"},
                {"AttributeName": "SK", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "PK", "AttributeType": "S"},
                {"AttributeName": "SK", "AttributeType": "N"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    put_all(client, "source", [item(n) for n in range(ITEMS) if n not in EXTRA])
    changed = [item(n, value=int(n in DIFFERENT)) for n in range(ITEMS) if n not in MISSING]
    put_all(client, "replica", changed)
    return client.meta.endpoint_url


def item(number: int, value: int = 0) -> dict[str, Any]:
    key = {"PK": {"S": f"p{number % 700}"}, "SK": {"N": str(number)}}
    return {**key, "v": {"N": str(value)}, "text": {"S": "x" * (number % 300)}}


def put_all(client: "DynamoDBClient", table: str, items: list[dict[str, Any]]) -> None:
    for start in range(0, len(items), 25):
        puts: Any = [{"PutRequest": {"Item": each}} for each in items[start : start + 25]]
        client.batch_write_item(RequestItems={table: puts})


@pytest.mark.parametrize("seconds", [900.0, RESERVED_SECONDS + PAUSE_SECONDS + 1.0])
def test_a_job_finds_and_counts_what_the_command_does(
    endpoint_of_tables: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 400)
    pair = EnginePair.at(endpoint_of_tables)

    job = pair.run("verify-1", "verify", seconds=seconds, without_mapping=True, grace=0, limit=20)

    found = job.report
    tables = ("--source", "source", "--replica", "replica", "--endpoint-url", endpoint_of_tables)
    options = ("--without-mapping", "--transform", "none", "--grace", "0", "--limit", "20", "--json")
    command = json.loads(run("verify", *tables, *options).stdout)
    changing = dict.fromkeys(("began", "seconds", "differences"))
    assert {**found, **changing} == {**command, **changing}
    assert in_order(found["differences"]) == in_order(command["differences"])
    assert (found["missing"], found["different"], found["extra"]) == (3, 4, 5)
    assert job.execution.visited.count("Work") >= 8


def in_order(documents: list[Any]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in documents)
