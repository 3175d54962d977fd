"""The backfill as a job of workers on DynamoDB Local: it copies what the command copies, while others write."""

from random import Random
from typing import TYPE_CHECKING

import pytest

from ddbreplica.jobs import plan
from ddbreplica.jobs.ending import PAUSE_SECONDS, RESERVED_SECONDS
from tests.engine import test_backfill
from tests.engine.jobs import EnginePair
from tests.engine.test_backfill import ITEMS, changes_replicated, items

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
    pair = EnginePair.at(client.meta.endpoint_url, source="old", replica="new")

    with changes_replicated(client, Random(1)):  # noqa: S311
        job = pair.run("backfill-1", "backfill", seconds=seconds, without_mapping=True)

    assert (job.report["left"], job.report["keys_left_open"], job.report["attention"]) == (0, 0, [])
    assert ITEMS - 300 < job.report["items"] <= ITEMS
    assert items(client, "new") == items(client, "old")
    assert job.execution.visited.count("Work") >= 3
