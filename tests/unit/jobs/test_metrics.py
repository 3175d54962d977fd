"""metrics: a job emits metrics under the dimensions of the replicator, and they never fail it."""

import json
import re
from typing import Any

import pytest

from ddbreplica.jobs import metrics
from ddbreplica.jobs.metrics import Metrics
from tests.support.job_pair import MemoryPair
from tests.support.modules import ROOT
from tests.support.redrive_pair import RedrivePair
from tests.support.redriven import mapping
from tests.support.scanned import ScannedTable, item
from tests.support.state_machine import StateMachine

Captured = pytest.CaptureFixture[str]


def emitted(capsys: Captured) -> Any:
    """Return the one line of metrics."""
    (line,) = (json.loads(each) for each in capsys.readouterr().out.splitlines() if "_aws" in each)
    return line


def test_the_dimensions_are_those_of_the_replicators_own_metrics(capsys: Captured) -> None:
    own = Metrics.of(mapping(function_name="replicator"), "copy")

    own.publish({"ItemsCompared": 5}, note=pytest.fail)

    line = emitted(capsys)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ddbreplica"
    assert [sorted(each) for each in directive["Dimensions"]] == [["FunctionName", "ReplicaTable", "service"]]
    assert (line["FunctionName"], line["ReplicaTable"], line["service"]) == (
        "replicator",
        "copy",
        "ddbreplica",
    )
    assert directive["Metrics"] == [{"Name": "ItemsCompared", "Unit": "Count"}]
    assert line["ItemsCompared"] == [5]


def test_namespace_and_service_are_those_of_the_replicator_and_not_of_the_worker(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "worker")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "worker")
    environment = {"POWERTOOLS_SERVICE_NAME": "orders", "POWERTOOLS_METRICS_NAMESPACE": "shop"}

    Metrics.of(mapping(environment=environment), "copy").publish({"ItemsUnequal": 0}, note=pytest.fail)

    line = emitted(capsys)
    assert (line["_aws"]["CloudWatchMetrics"][0]["Namespace"], line["service"]) == ("shop", "orders")


def test_two_lines_of_metrics_are_not_added_up(capsys: Captured) -> None:
    own = Metrics.of(mapping(), "copy")
    own.publish({"ItemsCompared": 5}, note=pytest.fail)
    capsys.readouterr()

    own.publish({"ItemsUnequal": 1}, note=pytest.fail)

    assert "ItemsCompared" not in emitted(capsys)


def test_the_page_explains_every_metric(capsys: Captured) -> None:
    page = (ROOT / "docs" / "runbook.md").read_text()
    explained = set(
        re.findall(
            r"^\| `(\w+)` \|",
            page.partition("### Metrics of the workers")[2].partition("\n### ")[0],
            re.MULTILINE,
        )
    )
    source, replica = (ScannedTable({1: item(1)}, [1]) for _ in range(2))
    StateMachine(MemoryPair((source, replica))).execute()
    RedrivePair().redrive()

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    emitted = {each["Name"] for line in lines for each in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}

    assert emitted == explained - {"RecordsQuarantined"}


def test_metrics_that_cannot_be_written_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> Any:
        raise OSError("stdout is closed")

    monkeypatch.setattr(metrics, "EphemeralMetrics", broken)
    notes: list[str] = []

    Metrics.of(mapping(), "copy").publish({"ItemsCompared": 5}, note=notes.append)

    assert notes == ["The metrics could not be written: OSError."]
