"""Two replications never share metrics, alarms, dashboards, buckets or objects, even if their tables have equal names.

Each replication has its own function, and AWS keeps the name of a function unique in an account and Region. The
metrics, alarms, dashboards, buckets and objects contain the name of the function or of the stack. The name of a
command's state file contains only the names of the tables, so its content identifies them.
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
from tests.support.deployment_scenarios import EXISTING_SOURCE, REPLICAS
from tests.support.regions import REGIONS
from tests.support.template import REPLICA_TEMPLATE, TEMPLATE, load, properties

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
"""The properties that name a resource. CloudFormation generates a unique name for a resource without one."""


@pytest.mark.parametrize(
    ("template", "named"),
    [
        (
            TEMPLATE,
            {"SourceTable": "TableName", "ReplicaTable": "TableName", "Dashboard": "DashboardName"},
        ),
        (REPLICA_TEMPLATE, {"ReplicaTable": "TableName"}),
    ],
    ids=["template.yaml", "replica.yaml"],
)
def test_only_tables_and_the_dashboard_have_fixed_names(template: Path, named: Mapping[str, str]) -> None:
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
    # Two dashboards could have the same name only if the name of one Region ended with that of another.
    assert [pair for pair in permutations(REGIONS, 2) if pair[0].name.endswith(f"-{pair[1].name}")] == []


def metrics_of(scenario: str, capsys: pytest.CaptureFixture[str]) -> tuple[Any, ...]:
    """Return the namespace and the dimensions of the metrics that the function of a deployment scenario emits."""
    variables = properties("ReplicatorFunction", **EXISTING_SOURCE, **REPLICAS[scenario])["Environment"][
        "Variables"
    ]
    known = {"<ReplicaTable>": "logfile_replica", "<QuarantineBucket>": "kept"}
    env = {name: known.get(value, value) for name, value in variables.items()}
    settings = Settings.from_env({**env, "AWS_LAMBDA_FUNCTION_NAME": f"function of {scenario}"})
    logging.root.manager.loggerDict.pop(
        settings.powertools_service_name, None
    )  # it would write to the stdout of an earlier test
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


def test_replicas_with_the_same_name_have_separate_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    found = {scenario: metrics_of(scenario, capsys) for scenario in REPLICAS}

    assert {part for metrics in found.values() for part in metrics if part.startswith("ReplicaTable=")} == {
        "ReplicaTable=logfile_replica"
    }
    assert len(set(found.values())) == len(REPLICAS)


def dimensions_in(node: Any) -> list[set[str]]:
    """Return the names of the dimensions that a template uses with metrics of the namespace ddbreplica."""
    if isinstance(node, list):
        return [found for each in node for found in dimensions_in(each)]
    if not isinstance(node, dict):
        return []
    if node.get("Namespace") == "ddbreplica":
        return [{dimension["Name"] for dimension in node["Dimensions"]}]
    return dimensions_in(list(node.values()))


@pytest.mark.parametrize("replica", REPLICAS)
def test_alarms_and_widgets_use_only_metrics_of_their_own_function(replica: str) -> None:
    body = json.loads(properties("Dashboard", **REPLICAS[replica])["DashboardBody"])
    lines = [line for widget in body["widgets"] for line in widget["properties"].get("metrics", [])]
    shown = [set(line[2:8:2]) for line in lines if line[0] == "ddbreplica"]
    watched = dimensions_in(load()["Resources"])

    assert watched
    assert shown
    assert [each for each in watched + shown if each != {"service", "ReplicaTable", "FunctionName"}] == []
