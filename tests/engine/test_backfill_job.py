"""The backfill as a job of workers on DynamoDB Local: it copies what the command copies, while others write."""

import json
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest

from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.location import Location
from ddbreplica.jobs import plan
from ddbreplica.jobs.actions import act
from ddbreplica.jobs.ending import PAUSE_SECONDS, RESERVED_SECONDS
from ddbreplica.jobs.payload import Payload
from tests.engine import test_backfill
from tests.engine.test_backfill import ITEMS, changes_replicated, items
from tests.engine.test_verify_job import EnginePair
from tests.support.memory_store import MemoryStore
from tests.support.redriven import mapping
from tests.support.states import Execution, substituted

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

client = test_backfill.client


@pytest.mark.parametrize("seconds", [900.0, RESERVED_SECONDS + PAUSE_SECONDS + 0.5])
def test_a_job_copies_every_item_while_others_write(
    client: "DynamoDBClient", seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "dummy")
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 700)
    location = Location("old", "new", None, "us-east-1", None, None, None, client.meta.endpoint_url)
    pair = EnginePair(Connection(location), mapping(), "bucket", MemoryStore())
    clock = pair.connection.clock

    def invoke(payload: Any) -> Any:
        ends_at = clock.ticks() + (seconds if payload["action"] == "work" else 900.0)
        deadline = Deadline(lambda: ends_at - clock.ticks())
        return act(Payload.read(payload), lambda _: pair, deadline=deadline, note=lambda *_: None)

    execution = Execution("backfill-1", cast("Any", pair.objects.objects), invoke)
    with changes_replicated(client, Random(1)):  # noqa: S311
        execution.run(substituted(), {"what": "backfill", "options": {"without_mapping": True}})

    report = json.loads(pair.objects.objects["jobs/orders/backfill-1/report.json"])
    assert (report["left"], report["keys_left_open"], report["attention"]) == (0, 0, [])
    assert ITEMS - 300 < report["items"] <= ITEMS
    assert items(client, "new") == items(client, "old")
    assert execution.visited.count("Work") >= 3
