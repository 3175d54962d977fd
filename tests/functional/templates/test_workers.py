"""The workers of template.yaml: what Workers=true creates, and that Workers=false changes nothing."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from cfnlint.api import lint  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from tests.support.combinations import ROWS, parameters_of
from tests.support.deployment_scenarios import (
    BOUNDARY,
    BY_HAND,
    BY_SCHEDULE,
    EVERYTHING,
    EXISTING_SOURCE,
    KEY,
    REPLICAS,
    WORKERS,
    Parameters,
)
from tests.support.states import SUBSTITUTIONS, substituted
from tests.support.template import REGION, deploy, load, properties, resources

PARAMETERS: Final = {
    *("Workers", "WorkerConcurrency", "VerifyScheduleExpression", "VerificationOverdueHours"),
    *("MaxVerificationUnits", "RedriveScheduleExpression"),
}
CONDITIONS: Final = {
    *("HasWorkers", "VerifiesBySchedule", "RedrivesBySchedule", "HasSchedule", "WatchesVerifications"),
}
RULES: Final = {"ScheduledVerificationsAreWatched"}
ALWAYS: Final = {
    "WorkerFunction": "AWS::Lambda::Function",
    "WorkerRole": "AWS::IAM::Role",
    "WorkerLogGroup": "AWS::Logs::LogGroup",
    "BulkStateMachine": "AWS::StepFunctions::StateMachine",
    "BulkRole": "AWS::IAM::Role",
    "BulkChildrenPolicy": "AWS::IAM::Policy",
    "ReplicaUnequalAlarm": "AWS::CloudWatch::Alarm",
    "BulkJobFailedAlarm": "AWS::CloudWatch::Alarm",
}
REDRIVING: Final = {
    "ScheduleRole": "AWS::IAM::Role",
    "RedriveSchedule": "AWS::Scheduler::Schedule",
}
VERIFYING: Final = {
    "VerifySchedule": "AWS::Scheduler::Schedule",
    "VerificationOverdueAlarm": "AWS::CloudWatch::Alarm",
}


def without_workers(node: Any) -> Any:
    """Return a part of the template without what the conditions of the workers add to it."""
    if isinstance(node, list):
        return [without_workers(each) for each in node]
    if not isinstance(node, dict):
        return node
    if is_added(node):
        return without_workers(node["Fn::If"][2])
    if isinstance(node.get("Fn::Sub"), list):
        text, values = node["Fn::Sub"]
        for name in [name for name, value in values.items() if is_added(value)]:
            assert without_workers(values.pop(name)) == ""
            assert text.count(f"${{{name}}}") == 1
            text = text.replace(f"${{{name}}}", "")
        return {"Fn::Sub": [text, without_workers(values)]}
    return {name: without_workers(value) for name, value in node.items()}


def is_added(node: Any) -> bool:
    return isinstance(node, dict) and "Fn::If" in node and node["Fn::If"][0] in CONDITIONS


def left_out(section: Mapping[str, Any], names: Collection[str] = ()) -> dict[str, Any]:
    return {
        name: without_workers(entry)
        for name, entry in section.items()
        if name not in names and not (isinstance(entry, dict) and entry.get("Condition") in CONDITIONS)
    }


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template without the members of the workers."""
    template = load()
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    (group,) = [each for each in interface["ParameterGroups"] if PARAMETERS & set(each["Parameters"])]
    assert set(group["Parameters"]) == PARAMETERS
    sections = {
        "Parameters": left_out(template["Parameters"], PARAMETERS),
        "Rules": left_out(template["Rules"], RULES),
        "Conditions": left_out(template["Conditions"], CONDITIONS),
        "Resources": left_out(template["Resources"]),
        "Outputs": left_out(template["Outputs"]),
    }
    path = tmp_path_factory.mktemp("before") / "template.json"
    path.write_text(json.dumps({**template, **sections}))
    for name in (*PARAMETERS, *CONDITIONS, *RULES, *ALWAYS, *REDRIVING, *VERIFYING):
        assert f'"{name}"' not in json.dumps(sections)
    return path


PLAIN: Final = [
    {name: value for name, value in parameters.items() if name not in PARAMETERS}
    for parameters in ({}, EVERYTHING, EXISTING_SOURCE, *REPLICAS.values(), *map(parameters_of, ROWS))
]


@pytest.mark.parametrize("parameters", PLAIN)
def test_without_workers_nothing_differs_from_a_template_that_has_none(
    before: Path, parameters: Parameters
) -> None:
    assert json.dumps(deploy(**parameters)) == json.dumps(deploy(before, **parameters))
    ignored: Parameters = {"WorkerConcurrency": 5, "RedriveScheduleExpression": "rate(1 hour)"}
    assert deploy(Workers="false", **ignored, **parameters) == deploy(**parameters)


@pytest.mark.parametrize("replica", REPLICAS)
@pytest.mark.parametrize(
    ("workers", "added"),
    [
        (BY_HAND, ALWAYS),
        ({**BY_HAND, "VerifyScheduleExpression": "none"}, ALWAYS),
        (WORKERS, ALWAYS | REDRIVING),
        (BY_SCHEDULE, ALWAYS | REDRIVING | VERIFYING),
    ],
    ids=["by hand", "switched off", "redriving", "verifying"],
)
def test_workers_add_their_resources_and_change_no_other(
    replica: str, workers: Parameters, added: Mapping[str, str]
) -> None:
    plain, made = resources(**REPLICAS[replica]), resources(**REPLICAS[replica], **workers)
    assert {name: made[name]["Type"] for name in made.keys() - plain.keys()} == added
    changed = {name for name in plain if plain[name] != made[name]}
    assert changed == {"Dashboard", "QuarantineBucket", "ReplicationUnhealthyAlarm"}


def test_the_objects_of_jobs_expire_after_thirty_days() -> None:
    plain, made = (
        properties("QuarantineBucket", **each)["LifecycleConfiguration"]["Rules"] for each in ({}, WORKERS)
    )
    (added,) = [rule for rule in made if rule not in plain]
    assert [rule for rule in made if rule != added] == plain
    assert (added["Prefix"], added["Status"], added["ExpirationInDays"]) == ("jobs/", "Enabled", 30)


# The function and the state machine


def test_the_worker_is_configured_as_documented() -> None:
    assert properties("WorkerFunction", **WORKERS) == {
        "Description": "Does the tasks of the state machine, such as comparing a segment of the tables",
        "Code": {"S3Bucket": "bucket", "S3Key": "bundle.zip"},
        "Handler": "ddbreplica.worker.lambda_handler",
        "Runtime": "python3.13",
        "Architectures": ["arm64"],
        "Role": "<WorkerRole.Arn>",
        "MemorySize": 1769,
        "Timeout": 900,
        "LoggingConfig": {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "INFO",
            "SystemLogLevel": "INFO",
            "LogGroup": "<WorkerLogGroup>",
        },
        "Tags": [{"Key": "lambda:createdBy", "Value": "SAM"}],
    }


def test_the_worker_has_the_code_the_runtime_and_the_processor_of_the_function() -> None:
    function, worker = (properties(name, **WORKERS) for name in ("ReplicatorFunction", "WorkerFunction"))
    same = ("Code", "Runtime", "Architectures", "LoggingConfig")
    assert {name: worker[name] for name in same if name != "LoggingConfig"} == {
        name: function[name] for name in same if name != "LoggingConfig"
    }
    assert load()["Resources"]["WorkerFunction"]["Properties"]["CodeUri"] == "src/"


def test_commands_do_not_take_the_worker_for_a_function_that_replicates() -> None:
    tags = properties("WorkerFunction", **WORKERS)["Tags"]
    assert "ddbreplica" not in {tag["Key"] for tag in tags}


@pytest.mark.parametrize("parameters", [*REPLICAS.values(), {"ReplicateTtlDeletes": "false"}])
def test_the_worker_has_no_setting_but_the_endpoint(parameters: Parameters) -> None:
    """The settings of the function are those of the pair, and two copies of them could differ."""
    assert "Environment" not in properties("WorkerFunction", **parameters, **WORKERS)
    url = "http://127.0.0.1:4566"
    given = properties("WorkerFunction", **parameters, **WORKERS, EndpointUrl=url)
    assert given["Environment"] == {"Variables": {"AWS_ENDPOINT_URL": url}}


def test_the_log_of_the_worker_is_kept_as_that_of_the_function() -> None:
    made = resources(**WORKERS, LogRetentionInDays=30, KmsKeyArn=KEY)
    assert made["WorkerLogGroup"] == made["ReplicatorLogGroup"]


def definition(**parameters: str | int) -> dict[str, Any]:
    """Return the definition of the state machine as CloudFormation substitutes it."""
    values = properties("BulkStateMachine", **WORKERS, **parameters)["DefinitionSubstitutions"]
    assert values.keys() == SUBSTITUTIONS.keys()
    return substituted(**values)


def test_the_state_machine_has_its_definition_and_role() -> None:
    made = properties("BulkStateMachine", **WORKERS)
    assert made["StateMachineType"] == "STANDARD"
    assert made["RoleArn"] == "<BulkRole.Arn>"
    assert made["DefinitionS3Location"] == {"Bucket": "bucket", "Key": "bulk.asl.json"}
    assert load()["Resources"]["BulkStateMachine"]["Properties"]["DefinitionUri"] == (
        "statemachine/bulk.asl.json"
    )


def test_the_definition_names_what_the_template_creates() -> None:
    states = definition()["States"]
    plan, segments = states["Plan"]["Parameters"], states["Segments"]
    assert plan["FunctionName"] == "<WorkerFunction.Arn>"
    assert (plan["Payload"]["function"], plan["Payload"]["stack"]) == ("<ReplicatorFunction>", "ddbreplica")
    assert segments["ItemReader"]["Parameters"]["Bucket"] == "<QuarantineBucket>"


@pytest.mark.parametrize(
    "parameters",
    [{}, {"WorkerConcurrency": 10_000, "MaxVerificationUnits": 5_000_000_000}],
    ids=["defaults", "large"],
)
def test_the_definition_is_free_of_lint_with_the_numbers_of_the_parameters(parameters: Parameters) -> None:
    found = definition(**parameters)
    numbers = [
        *(found["States"][name]["MaxConcurrency"] for name in ("Segments", "Pieces")),
        found["States"]["Plan"]["Parameters"]["Payload"]["concurrency"],
        found["States"]["Plan"]["Parameters"]["Payload"]["max_units"],
    ]
    concurrency = parameters.get("WorkerConcurrency", 10)
    assert numbers == [concurrency] * 3 + [parameters.get("MaxVerificationUnits", 0)]
    role = f"arn:aws:iam::{'1' * 12}:role/bulk"
    text = json.dumps(found).replace("<WorkerFunction.Arn>", str(SUBSTITUTIONS["WorkerFunction"]))
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"RoleArn": role, "Definition": json.loads(text)},
    }
    matches = lint(json.dumps({"Resources": {"Bulk": machine}}), config=ManualArgs(regions=[REGION]))
    assert [f"{match.rule.id}: {match.message}" for match in matches] == []


# The schedules


@pytest.mark.parametrize(
    ("schedule", "expression", "what"),
    [("VerifySchedule", "rate(1 day)", "verify"), ("RedriveSchedule", "rate(5 minutes)", "redrive")],
)
def test_a_schedule_starts_a_job_without_a_name(schedule: str, expression: str, what: str) -> None:
    made = properties(schedule, **BY_SCHEDULE)
    assert made["ScheduleExpression"] == expression
    assert made["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert made["Target"]["Arn"] == "<BulkStateMachine>"
    assert made["Target"]["RoleArn"] == "<ScheduleRole.Arn>"
    # Without a member `job`, the state machine takes the name of the execution.
    assert json.loads(made["Target"]["Input"]) == {"what": what, "options": {}}


def test_a_schedule_follows_its_parameter() -> None:
    made = resources(
        Workers="true", VerifyScheduleExpression="cron(0 3 * * ? *)", RedriveScheduleExpression="rate(1 hour)"
    )
    assert made["VerifySchedule"]["Properties"]["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert made["RedriveSchedule"]["Properties"]["ScheduleExpression"] == "rate(1 hour)"


@pytest.mark.parametrize(("schedule", "seconds"), [("VerifySchedule", 3600), ("RedriveSchedule", 300)])
def test_a_start_that_fails_is_not_retried_into_the_next_one(schedule: str, seconds: int) -> None:
    """Otherwise EventBridge Scheduler retries it 185 times in 24 hours."""
    retry = properties(schedule, **BY_SCHEDULE)["Target"]["RetryPolicy"]
    assert retry["MaximumEventAgeInSeconds"] <= seconds
    assert retry["MaximumRetryAttempts"] <= 5


@pytest.mark.parametrize("schedule", ["VerifySchedule", "RedriveSchedule"])
def test_a_schedule_is_created_after_the_policy_that_its_executions_need(schedule: str) -> None:
    assert load()["Resources"][schedule]["DependsOn"] == "BulkChildrenPolicy"


# Outputs and boundaries


def test_the_outputs_name_the_workers_resources_only_where_they_exist() -> None:
    plain, made = deploy()["Outputs"], deploy(**WORKERS)["Outputs"]
    assert {name: made[name]["Value"] for name in made.keys() - plain.keys()} == {
        "WorkerFunctionName": "<WorkerFunction>",
        "WorkerRoleArn": "<WorkerRole.Arn>",
        "WorkerLogGroupName": "<WorkerLogGroup>",
        "BulkStateMachineArn": "<BulkStateMachine>",
    }
    assert {name: made[name] for name in plain} == plain


def test_every_role_has_the_permissions_boundary_that_is_given() -> None:
    bound, free = (
        {
            name: each["Properties"].get("PermissionsBoundary")
            for name, each in resources(**BY_SCHEDULE, **parameters).items()
            if each["Type"] == "AWS::IAM::Role"
        }
        for parameters in ({"PermissionsBoundaryArn": BOUNDARY}, dict[str, str]())
    )
    assert bound.keys() == {"DDBReplicationRole", "WorkerRole", "BulkRole", "ScheduleRole"}
    assert set(bound.values()) == {BOUNDARY}
    assert set(free.values()) == {None}
