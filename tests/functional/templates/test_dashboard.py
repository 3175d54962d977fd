"""The dashboard of template.yaml shows every metric and every alarm in each deployment scenario."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.support.deployment_scenarios import BY_HAND, BY_SCHEDULE, EXISTING_SOURCE, OTHER_REGION, REPLICAS
from tests.support.emitted import EMITTED, EMITTED_BY_WORKERS, STREAM
from tests.support.template import properties, resources


def dashboard(**parameters: str | int) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(properties("Dashboard", **parameters)["DashboardBody"])
    return body


# A search expression shows one line for each index of the table. Here the table has one index.
SEARCH: Final = re.compile(
    r"SEARCH\('\{([\w/]+),GlobalSecondaryIndexName,TableName\} MetricName=\"(\w+)\" TableName=\"(\w+)\"', "
)


def plotted(**parameters: str | int) -> Iterator[tuple[str, str, dict[str, str]]]:
    for widget in dashboard(**parameters)["widgets"]:
        for line in widget["properties"].get("metrics", []):
            if isinstance(line[0], str):
                namespace, metric, *dimensions = (part for part in line if isinstance(part, str))
                yield namespace, metric, dict(zip(dimensions[::2], dimensions[1::2], strict=True))
            elif "SEARCH" in line[0]["expression"]:
                ((namespace, metric, table),) = SEARCH.findall(line[0]["expression"])
                yield namespace, metric, {"TableName": table, "GlobalSecondaryIndexName": "GSI_1"}


def test_the_dashboard_shows_every_metric_that_is_emitted_and_none_that_is_not() -> None:
    shown = list(plotted())
    assert [metric for metric in shown if metric not in EMITTED] == []
    assert [metric for metric in EMITTED if metric not in shown] == []


def test_with_workers_the_dashboard_shows_their_metrics_too() -> None:
    shown, emitted = list(plotted(**BY_SCHEDULE)), [*EMITTED, *EMITTED_BY_WORKERS]
    assert [metric for metric in shown if metric not in emitted] == []
    assert [metric for metric in emitted if metric not in shown] == []


@pytest.mark.parametrize("workers", [{}, BY_HAND, BY_SCHEDULE], ids=["none", "by hand", "by schedule"])
@pytest.mark.parametrize("replica", REPLICAS)
def test_the_dashboard_starts_with_a_guide_and_shows_every_alarm(
    replica: str, workers: dict[str, Any]
) -> None:
    parameters = {**REPLICAS[replica], **workers}
    guide, states, *_ = dashboard(**parameters)["widgets"]
    assert guide["type"] == "text"
    assert "ddbreplica verify" in guide["properties"]["markdown"]
    first, *shown = states["properties"]["alarms"]
    made = resources(**parameters)
    plain = [name for name, resource in made.items() if resource["Type"] == "AWS::CloudWatch::Alarm"]
    assert states["type"] == "alarm"
    assert first == "<ReplicationUnhealthyAlarm.Arn>"
    assert sorted(shown) == sorted(f"<{name}.Arn>" for name in plain)


OF_REPLICA: Final = [
    (namespace, metric, dimensions)
    for namespace, metric, dimensions in EMITTED
    if metric == "UserErrors" or dimensions.get("TableName") == "logfile_replica"
]


@pytest.mark.parametrize("replica", ["in another account", "by a role"])
def test_the_dashboard_omits_metrics_of_another_account(replica: str) -> None:
    shown = list(plotted(**REPLICAS[replica]))
    assert [metric for metric in EMITTED if metric not in shown] == OF_REPLICA


def test_the_dashboard_shows_the_replica_s_metrics_from_its_own_region() -> None:
    regions = [
        (line[-1] if isinstance(line[-1], dict) else {}).get("region", widget["properties"]["region"])
        for widget in dashboard(**REPLICAS["in another Region"])["widgets"]
        for line in widget["properties"].get("metrics", [])
        if "DynamoDB" in json.dumps(line) and "StreamLabel" not in line
    ]
    assert set(regions) == {OTHER_REGION}
    assert len(regions) == len(OF_REPLICA)


def test_the_dashboard_shows_the_stream_of_an_existing_source() -> None:
    stream = STREAM | {"TableName": "orders", "StreamLabel": "2026-11-21T22:49:28.430"}
    shown = list(plotted(**EXISTING_SOURCE))
    assert ("AWS/DynamoDB", "ReturnedRecordsCount", stream) in shown
    assert ("AWS/DynamoDB", "ReturnedBytes", stream) in shown


@pytest.mark.parametrize("workers", [{}, BY_SCHEDULE], ids=["without workers", "with workers"])
@pytest.mark.parametrize("replica", REPLICAS)
def test_no_two_widgets_of_the_dashboard_overlap(replica: str, workers: dict[str, Any]) -> None:
    cells = [
        (x, y)
        for widget in dashboard(**REPLICAS[replica], **workers)["widgets"]
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
