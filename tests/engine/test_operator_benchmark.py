"""The benchmark of the operator commands on DynamoDB Local."""

import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.operator.figures import Case, goals
from benchmarks.operator.loops import REPLICA, SOURCE
from benchmarks.operator.programs import Run
from benchmarks.operator.proxies.delay import delayed
from benchmarks.operator.trials import LATENCY, READ_UNITS, Service, largest, repairing, workshop

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_the_commands_compare_a_larger_table_beside_the_bare_scans(endpoint: str) -> None:
    service = Service("DynamoDB Local", endpoint)

    few = largest(service, items=50, rounds=1, say=str)
    more = largest(service, items=250, rounds=2, say=str)

    assert {case: len(runs) for case, runs in more.items()} == {
        Case("DynamoDB Local", "backfill", "ours", 250): 1,
        Case("DynamoDB Local", "verify", "ours", 250): 2,
        Case("DynamoDB Local", "verify", "wire-scans", 250): 2,
    }
    assert [goal.title for goal in goals({**few, **more})] == [
        "verify, DynamoDB Local: throughput ÷ two scans, DynamoDB JSON",
        *(f"{command}, DynamoDB Local: peak MB at 250 items − at 50" for command in ("backfill", "verify")),
    ]


def test_a_repair_begins_with_an_empty_replica_as_a_backfill_does(endpoint: str) -> None:
    runs = repairing(Service("DynamoDB Local", endpoint), items=50, rounds=1, say=str)

    name = f"DynamoDB Local, {LATENCY} ms"
    assert list(runs) == [Case(name, "repair", contestant, 50) for contestant in ("ours", "backfill")]


def test_the_workshops_tables_have_its_capacity_and_equal_rows(
    endpoint: str, client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Service.run

    def seeing(self: Service, case: Case) -> Run:
        for name in (SOURCE, REPLICA):
            throughput = client.describe_table(TableName=name)["Table"]["ProvisionedThroughput"]
            assert throughput["ReadCapacityUnits"] == READ_UNITS
        assert self.items(SOURCE) == self.items(REPLICA)
        return measured(self, case)

    monkeypatch.setattr(Service, "run", seeing)

    ((case, runs),) = workshop(Service("DynamoDB Local", endpoint), items=50, say=str).items()

    assert (case.items, len(runs)) == (50, 1)


def test_a_delayed_response_is_the_services_own(endpoint: str) -> None:
    with Service("DynamoDB Local", endpoint).empty_tables(), delayed(endpoint, 0.3) as url:
        began = time.monotonic()
        items = Service("delayed", url).items("logfile")

        assert time.monotonic() - began >= 0.3
        assert items == {}
