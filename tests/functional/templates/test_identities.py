"""No two replications that may exist side by side share an identity, though their tables have the same names.

Each has a function of its own, whose name AWS keeps unique in an account and Region. By that, or by the stack's name,
go the metrics, alarms, dashboards, buckets and objects. A state file of a command has the tables' names alone; what
tells it apart is its content (`test_a_table_made_anew_is_another_table` in test_backfill.py).
"""

import json
import logging
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import pytest

from ddbreplica.bucket.quarantine import QuarantineResult
from ddbreplica.records.decode import decode
from ddbreplica.replicate.telemetry import Telemetry
from ddbreplica.replicate.write import Outcome
from ddbreplica.settings import Settings
from tests.support.placements import EXISTING_SOURCE, REPLICAS
from tests.support.regions import REGIONS
from tests.support.template import FAR_SIDE, TEMPLATE, load, properties

NAMING: Final = frozenset(
    {
        "AlarmName",
        "BucketName",
        "DashboardName",
        "FunctionName",
        "GroupName",
        "LogGroupName",
        "ManagedPolicyName",
        "Name",
        "QueueName",
        "RoleName",
        "StateMachineName",
        "TableName",
        "TopicName",
    }
)
"""The properties by which a template gives a resource a name; without one CloudFormation makes it unique."""


@pytest.mark.parametrize(
    ("template", "named"),
    [
        (
            TEMPLATE,
            {"SourceTable": "TableName", "ReplicaTable": "TableName", "Dashboard": "DashboardName"},
        ),
        (FAR_SIDE, {"ReplicaTable": "TableName"}),
    ],
    ids=["template.yaml", "replica.yaml"],
)
def test_only_tables_and_the_dashboard_are_named_by_the_template(
    template: Path, named: Mapping[str, str]
) -> None:
    found = {
        logical_id: name
        for logical_id, resource in load(template)["Resources"].items()
        for name in NAMING & resource.get("Properties", {}).keys()
    }

    assert found == named
    assert [output for output in load(template)["Outputs"].values() if "Export" in output] == []


def test_the_dashboards_of_an_account_have_different_names_in_all_regions() -> None:
    name = load()["Resources"]["Dashboard"]["Properties"]["DashboardName"]

    assert name == {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}
    # Two stacks could share a name only if one Region's name ended in another's.
    assert [pair for pair in permutations(REGIONS, 2) if pair[0].name.endswith(f"-{pair[1].name}")] == []


def metrics_of(placement: str, capsys: pytest.CaptureFixture[str]) -> tuple[Any, ...]:
    """The namespace and the dimensions under which the function of a placement emits."""
    variables = properties("ReplicatorFunction", **EXISTING_SOURCE, **REPLICAS[placement])["Environment"][
        "Variables"
    ]
    known = {"<ReplicaTable>": "logfile_replica", "<QuarantineBucket>": "kept"}
    env = {name: known.get(value, value) for name, value in variables.items()}
    settings = Settings.from_env({**env, "AWS_LAMBDA_FUNCTION_NAME": f"function of {placement}"})
    logging.root.manager.loggerDict.pop(settings.powertools_service_name, None)  # of an earlier test's stdout
    done = (decode({"Records": []}, replicate_ttl_deletes=True), Outcome(), QuarantineResult(0, 0, ()))
    Telemetry(
        service=settings.powertools_service_name,
        namespace=settings.powertools_metrics_namespace,
        function=settings.aws_lambda_function_name,
        table=settings.table,
    ).publish(*done, ended_at=0, reported=None, request_id="request-1")
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    (emitted,) = metrics["_aws"]["CloudWatchMetrics"]
    (dimensions,) = emitted["Dimensions"]
    return (emitted["Namespace"], *(f"{name}={metrics[name]}" for name in sorted(dimensions)))


def test_the_metrics_of_replicas_with_one_name_are_apart(capsys: pytest.CaptureFixture[str]) -> None:
    found = {placement: metrics_of(placement, capsys) for placement in REPLICAS}

    assert {part for metrics in found.values() for part in metrics if part.startswith("ReplicaTable=")} == {
        "ReplicaTable=logfile_replica"
    }
    assert len(set(found.values())) == len(REPLICAS)


def dimensions_in(node: Any) -> list[set[str]]:
    """The names of the dimensions under which a template looks at metrics of the function's own namespace."""
    if isinstance(node, list):
        return [found for each in node for found in dimensions_in(each)]
    if not isinstance(node, dict):
        return []
    if node.get("Namespace") == "ddbreplica":
        return [{dimension["Name"] for dimension in node["Dimensions"]}]
    return dimensions_in(list(node.values()))


@pytest.mark.parametrize("replica", REPLICAS)
def test_alarms_and_widgets_look_at_the_metrics_of_their_own_function(replica: str) -> None:
    body = json.loads(properties("Dashboard", **REPLICAS[replica])["DashboardBody"])
    lines = [line for widget in body["widgets"] for line in widget["properties"].get("metrics", [])]
    shown = [set(line[2:8:2]) for line in lines if line[0] == "ddbreplica"]
    watched = dimensions_in(load()["Resources"])

    assert watched
    assert shown
    assert [each for each in watched + shown if each != {"service", "ReplicaTable", "FunctionName"}] == []
