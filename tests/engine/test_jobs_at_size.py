"""Jobs of workers between tables of 200,000 items on DynamoDB Local: units and findings are those of the commands."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.operator.loops import REPLICA, SOURCE
from benchmarks.operator.proxies.meter import metered
from benchmarks.operator.trials import Service
from benchmarks.operator.units import SIZE
from benchmarks.workloads import KEY
from ddbreplica.backfill.estimate import Estimate
from tests.engine.jobs import EnginePair
from tests.support.cli import run

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ITEMS = 200_000
AT_A_TIME = 10_000
MISSING, DIFFERENT, EXTRA = range(100, 103), range(500, 504), range(ITEMS, ITEMS + 5)


def key(number: int) -> dict[str, Any]:
    return {KEY: {"S": f"item{number:08}"}}


def item(number: int, letter: str = "x") -> dict[str, Any]:
    return {**key(number), "data": {"S": letter * (SIZE - len(f"{KEY}item00000000data"))}}


def test_jobs_find_what_the_commands_find_and_take_as_many_read_units(
    client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "dummy")
    service = Service("DynamoDB Local", client.meta.endpoint_url)
    with service.empty_tables():
        for start in range(0, ITEMS, AT_A_TIME):
            service.put(SOURCE, [item(number) for number in range(start, start + AT_A_TIME)])

        copied, of_backfill = by_workers(service, "backfill", rate=1e6)
        for number in MISSING:
            client.delete_item(TableName=REPLICA, Key=key(number))
        service.put(REPLICA, [item(number, "y") for number in DIFFERENT] + [item(number) for number in EXTRA])
        found, of_verify = by_workers(service, "verify", grace=0, limit=20)
        expected, of_command = by_command(service)

    tell(
        f"read units an item: {of_backfill / ITEMS:.3f} of a backfill by workers, {of_verify / ITEMS:.3f} of a"
        f" verification by workers, {of_command / ITEMS:.3f} of the command verify"
    )
    assert (copied["items"], copied["left"], copied["attention"]) == (ITEMS, 0, [])
    estimate = Estimate(items=ITEMS, bytes=ITEMS * SIZE, indexes=0).read_units
    assert of_backfill == pytest.approx(estimate, rel=0.05)
    assert (found["missing"], found["different"], found["extra"]) == (3, 4, 5)
    assert without_times(found) == without_times(expected)
    assert of_verify == pytest.approx(of_command, rel=0.05)


def by_workers(service: Service, what: str, **options: Any) -> tuple[Any, float]:
    """Return the report of a job, and the read units that it took."""
    with metered(service.url, lambda *_: None) as meter:
        pair = EnginePair.at(meter.url, source=SOURCE, replica=REPLICA)
        job = pair.run(f"{what}-1", what, read_rate=1e6, without_mapping=True, **options)
        return job.report, meter.units


def by_command(service: Service) -> tuple[Any, float]:
    """Return the result of `ddbreplica verify`, and the read units that it took."""
    with metered(service.url, lambda *_: None) as meter:
        tables = ("--source", SOURCE, "--replica", REPLICA, "--endpoint-url", meter.url)
        options = (
            "--without-mapping",
            "--grace",
            "0",
            "--limit",
            "20",
            "--segments",
            "2",
            "--json",
        )
        return json.loads(run("verify", *tables, *options).stdout), meter.units


def without_times(report: Mapping[str, Any]) -> Mapping[str, Any]:
    differences = sorted(json.dumps(each, sort_keys=True) for each in report["differences"])
    return {**report, **dict.fromkeys(("began", "seconds")), "differences": differences}
