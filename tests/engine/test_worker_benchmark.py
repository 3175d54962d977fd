"""The benchmark of workers on DynamoDB Local: they do the work of the commands, or the run is void."""

from typing import TYPE_CHECKING

import pytest

from benchmarks.operator.loops import REPLICA, SOURCE
from benchmarks.operator.trials import Service
from benchmarks.processes import BenchmarkError
from benchmarks.workers.command import compare
from benchmarks.workers.in_process import by_worker

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ITEMS = 50
TABLES = ("--source", SOURCE, "--replica", REPLICA)


def test_a_worker_and_the_command_copy_and_compare_the_same_items(endpoint: str) -> None:
    service = Service("DynamoDB Local", endpoint)

    with service.tables(ITEMS):
        backfill = compare(service, "backfill", ITEMS, 1)
        assert service.items(REPLICA) == service.items(SOURCE)
        verify = compare(service, "verify", ITEMS, 2)

    assert [len(runs) for each in (backfill, verify) for runs in (each.worker, each.command)] == [1, 1, 2, 2]
    assert all(run.seconds > 0 and run.peak > 0 for run in verify.worker)


def test_a_worker_scans_each_segment_and_reports_both_tables(endpoint: str) -> None:
    service = Service("DynamoDB Local", endpoint)
    with service.tables(ITEMS):
        _, copied = by_worker(service.environment, "backfill", *TABLES)

        _, result = by_worker(service.environment, "verify", *TABLES, "--items-of-a-segment", "10")

    assert copied["writes"] > 0
    report = result["report"]
    assert (report["verdict"], report["source_items"], report["replica_items"]) == ("equal", ITEMS, ITEMS)


def test_a_worker_that_finds_a_difference_makes_the_run_void(endpoint: str, client: "DynamoDBClient") -> None:
    service = Service("DynamoDB Local", endpoint)
    with service.tables(ITEMS):
        by_worker(service.environment, "backfill", *TABLES)
        client.put_item(TableName=REPLICA, Item={"PK": {"S": "no row"}})

        with pytest.raises(BenchmarkError, match="The tables differ"):
            by_worker(service.environment, "verify", *TABLES)


def test_a_replica_that_is_incomplete_makes_the_run_void(endpoint: str) -> None:
    service = Service("DynamoDB Local", endpoint)

    with (
        service.tables(ITEMS),
        pytest.raises(BenchmarkError, match="backfill by the worker left 50 items of 51"),
    ):
        compare(service, "backfill", ITEMS + 1, 1)
