"""The scheduled redrive on DynamoDB Local: what the engine refuses is poison, and all else is reconciled."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ddbreplica.aws.clients.session import Clients
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.jobs.actions import act
from ddbreplica.jobs.payload import Payload
from ddbreplica.model import INTERRUPTED
from tests.engine.conftest import REPLICA, SOURCE
from tests.engine.jobs import EnginePair
from tests.support.clock import Clock
from tests.support.fake_s3 import FakeS3
from tests.support.on_failure import DiscardedBatch, on_failure_object
from tests.support.records import put
from tests.support.redriven import mapping

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ITEMS = 450
POISON = range(0, ITEMS, 90)
"""Items whose index key has another type, which the replica refuses."""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "dummy")
    s3 = FakeS3(page=1000)
    s3.now = lambda: datetime.now(UTC)
    monkeypatch.setattr(Clients, "buckets", lambda *_: s3.connect())
    return s3


def test_of_a_discarded_batch_only_what_the_engine_refuses_remains(
    client: "DynamoDBClient", source: str, replica: DynamoDBReplica, s3: FakeS3
) -> None:
    """`source` is the ARN of its stream."""
    for number in range(ITEMS):
        client.put_item(TableName=SOURCE, Item=item(number))
    batch = [{**put(number, key(number)), "eventSourceARN": source} for number in range(1, ITEMS)]
    discarded = DiscardedBatch(batch, "shardId-1", "RetryAttemptsExhausted", "request", 3, None)
    name, body = on_failure_object(discarded, now=0, name="batch")
    s3.store(name, body.encode(), age=1801)
    record = {**put(0, key(0)), "eventSourceARN": source}
    content = {"schema": 1, "record": record, "reason": "why", "error_code": INTERRUPTED}
    s3.store(f"quarantine/{REPLICA}/none/x-in-doubt.json", json.dumps(content).encode())
    pair = EnginePair.at(client.meta.endpoint_url, source=SOURCE, replica=REPLICA)
    pair = replace(pair, mapping=mapping(stream_arn=source))

    assert redrive(pair) == {"failed": ""}

    waiting = [s3.present(name) for name in s3.names if name.startswith("quarantine/")]
    refused = [json.loads(each.body or b"") for each in waiting if each]
    assert {each["record"]["dynamodb"]["Keys"]["PK"]["S"] for each in refused} == set(map(key, POISON))
    assert {each["error_code"] for each in refused} == {"ValidationException"}
    assert s3.present(f"done/{name}")
    found = {each["PK"]["S"] for each in client.scan(TableName=REPLICA)["Items"]}
    assert found == {key(number) for number in range(ITEMS) if number not in POISON}


def redrive(pair: EnginePair) -> Any:
    names = {"function": "ddbreplica", "stack": "orders", "job": "redrive-1", "attempt": "redrive-1"}
    payload = Payload.read({"action": "redrive", **names})
    return act(payload, lambda _: pair, deadline=Clock(900).deadline(), note=lambda *_: None)


def key(number: int) -> str:
    return f"item{number:04}"


def item(number: int) -> dict[str, Any]:
    return {"PK": {"S": key(number)}, "GSI_1_PK": {"N": "1"} if number in POISON else {"S": "x"}}
