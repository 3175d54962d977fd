"""The function and its event source mapping in template.yaml."""

import dataclasses
import json
import re
from typing import Final

import pytest

from ddbreplica.settings import Settings
from ddbreplica.transform.deployed import SECRET_ARN, SECRET_VERSION, TRANSFORM, deployed
from ddbreplica.transform.secret import SecretId
from tests.support.deployment_scenarios import (
    EVERYTHING,
    EXISTING_SOURCE,
    HASHING,
    OTHER_ACCOUNT,
    REPLICAS,
    ROLE,
    SECRET,
    STREAM,
    Parameters,
)
from tests.support.mapping import MappingSettings
from tests.support.template import defaults, load, properties, refusals, resources


def test_the_function_is_configured_as_documented() -> None:
    assert properties("ReplicatorFunction") == {
        "Description": "Applies the changes of the source table to the replica",
        "Code": {"S3Bucket": "bucket", "S3Key": "bundle.zip"},
        "Handler": "ddbreplica.handler.lambda_handler",
        "Runtime": "python3.13",
        "Architectures": ["arm64"],
        "Role": "<DDBReplicationRole.Arn>",
        "MemorySize": 256,
        "Timeout": 60,
        "TracingConfig": {"Mode": "PassThrough"},
        "LoggingConfig": {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "INFO",
            "SystemLogLevel": "INFO",
            "LogGroup": "<ReplicatorLogGroup>",
        },
        "Environment": {
            "Variables": {
                "REPLICA_TABLE_NAME": "<ReplicaTable>",
                "QUARANTINE_BUCKET": "<QuarantineBucket>",
                "REPLICATE_TTL_DELETES": "true",
                "POWERTOOLS_SERVICE_NAME": "ddbreplica",
                "POWERTOOLS_METRICS_NAMESPACE": "ddbreplica",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        },
        "Tags": [
            {"Key": "lambda:createdBy", "Value": "SAM"},
            {"Key": "ddbreplica", "Value": "logfile_replica"},
        ],
    }


def test_the_function_follows_its_parameters() -> None:
    function = properties("ReplicatorFunction", **EVERYTHING)
    assert function["MemorySize"] == 512
    assert function["Timeout"] == 120
    assert function["ReservedConcurrentExecutions"] == "5"
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["Environment"]["Variables"]["REPLICATE_TTL_DELETES"] == "false"


def test_the_function_has_an_endpoint_only_if_one_is_given() -> None:
    given = properties("ReplicatorFunction", EndpointUrl="http://127.0.0.1:4566")["Environment"]["Variables"]
    left_out = properties("ReplicatorFunction")["Environment"]["Variables"]
    assert given["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert "AWS_ENDPOINT_URL" not in left_out


ARN = "arn:aws:dynamodb:{}:{}:table/logfile_replica"


@pytest.mark.parametrize(
    ("replica", "name", "more"),
    [
        ("created", "<ReplicaTable>", {}),
        ("existing", "logfile_replica", {}),
        ("in this Region by name", "logfile_replica", {"REPLICA_REGION": "eu-west-1"}),
        ("in another Region", "logfile_replica", {"REPLICA_REGION": "us-west-2"}),
        ("in this account by ID", ARN.format("eu-west-1", "111122223333"), {}),
        ("in another account", ARN.format("eu-west-1", "444455556666"), {}),
        (
            "in another account and Region",
            ARN.format("us-west-2", "444455556666"),
            {"REPLICA_REGION": "us-west-2"},
        ),
        ("by a role", "logfile_replica", {"REPLICA_ROLE_ARN": ROLE}),
        (
            "by a role in another Region",
            "logfile_replica",
            {"REPLICA_REGION": "us-west-2", "REPLICA_ROLE_ARN": ROLE, "REPLICA_EXTERNAL_ID": "orders-2026"},
        ),
    ],
)
def test_the_function_s_variables_locate_the_replica(replica: str, name: str, more: dict[str, str]) -> None:
    variables = properties("ReplicatorFunction", **REPLICAS[replica])["Environment"]["Variables"]
    where = ("REPLICA_REGION", "REPLICA_ROLE_ARN", "REPLICA_EXTERNAL_ID")
    assert variables["REPLICA_TABLE_NAME"] == name
    assert {variable: variables[variable] for variable in where if variable in variables} == more


def test_a_setting_has_the_same_name_in_the_code_the_environment_and_the_template() -> None:
    fields = {field.name.upper() for field in dataclasses.fields(Settings)}
    parameters = {**REPLICAS["by a role in another Region"], **HASHING}
    variables = set(properties("ReplicatorFunction", **parameters)["Environment"]["Variables"])
    # Lambda sets the function's name. The other two are only for local tests.
    assert variables == {TRANSFORM, SECRET_ARN, SECRET_VERSION} | fields - {
        "AWS_LAMBDA_FUNCTION_NAME",
        "POWERTOOLS_DEV",
        "POWERTOOLS_METRICS_DISABLED",
    }
    in_template = {name: name.title().replace("_", "") for name in variables if "POWERTOOLS" not in name}
    assert set(in_template.values()) <= {*defaults(), *resources()}


def test_the_function_reads_the_transform_of_the_template() -> None:
    variables = properties("ReplicatorFunction", **HASHING)["Environment"]["Variables"]
    found = deployed(variables)
    assert found is not None
    assert found.rules.hashed == {"mail"}
    assert found.secret == SecretId(SECRET, "11111111-90ab-cdef-fedc-ba9876543210")
    assert deployed(properties("ReplicatorFunction")["Environment"]["Variables"]) is None


LONGEST: Final[Parameters] = {
    "Transform": "{" + "x" * 1498 + "}",
    "TransformSecretArn": (SECRET.rpartition("-")[0] + "x" * 640)[:633] + "-AbCdEf",
    "TransformSecretVersion": "1" * 64,
    "EndpointUrl": ("https://" + "x" * 128)[:128],
    "ReplicaTableName": "x" * 255,
    "ReplicaRegion": "x" * 28 + "-x-1",
    "CreateReplicaTable": "false",
    "ReplicateTtlDeletes": "false",
}


@pytest.mark.parametrize(
    "there",
    [
        {"ReplicaAccountId": OTHER_ACCOUNT},
        {"ReplicaRoleArn": (ROLE + "x" * 256)[:256], "ReplicaExternalId": "x" * 512},
    ],
    ids=["by a policy", "by a role"],
)
def test_the_longest_variables_fit_into_the_function(there: Parameters) -> None:
    parameters = {**LONGEST, **there}
    assert refusals(**parameters) == []
    assert all(refusals(**{**parameters, name: f"{value}x"}) for name, value in parameters.items())
    variables = properties("ReplicatorFunction", **parameters)["Environment"]["Variables"]
    variables["QUARANTINE_BUCKET"] = "x" * 63
    # The name of a partition in an ARN has up to nine characters more than "aws".
    assert sum(len(name) + len(str(value).encode()) for name, value in variables.items()) + 9 <= 4096


def test_every_parameter_of_a_variable_has_a_maximum_length() -> None:
    template = load()
    variables = json.dumps(template["Resources"]["ReplicatorFunction"]["Properties"]["Environment"])
    named = {name for name in template["Parameters"] if re.search(rf"\b{name}\b", variables)}
    assert {"Transform", "ReplicaRoleArn", "EndpointUrl"} <= named
    bounded = {"MaxLength", "AllowedValues"}
    assert {name for name in named if not bounded & template["Parameters"][name].keys()} <= {
        "ReplicaAccountId",  # twelve digits
        "CreateReplicaTable",
    }


def test_the_defaults_of_the_template_and_of_the_settings_are_the_same() -> None:
    variables = properties("ReplicatorFunction")["Environment"]["Variables"]
    required = {"REPLICA_TABLE_NAME": "logfile_replica", "QUARANTINE_BUCKET": "bucket"}
    assert Settings.from_env(variables | required) == Settings.from_env(required)


def test_the_deployed_code_is_src() -> None:
    assert load()["Resources"]["ReplicatorFunction"]["Properties"]["CodeUri"] == "src/"


def test_the_mapping_retries_in_order_and_keeps_discarded_records() -> None:
    assert properties("ReplicatorFunctionStream") == {
        "FunctionName": "<ReplicatorFunction>",
        "EventSourceArn": "<SourceTable.StreamArn>",
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": 79200,
        "DestinationConfig": {"OnFailure": {"Destination": "<OnFailureBucket.Arn>"}},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }


def test_the_mapping_of_an_existing_source_reads_its_stream() -> None:
    assert properties("ReplicatorFunctionStream", **EXISTING_SOURCE)["EventSourceArn"] == STREAM


def test_a_key_filter_becomes_a_pattern_for_the_keys_only() -> None:
    (given,) = properties("ReplicatorFunctionStream", KeyFilter='{"PK": {"S": [{"prefix": "tenant-1#"}]}}')[
        "FilterCriteria"
    ]["Filters"]
    assert json.loads(given["Pattern"]) == {"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "tenant-1#"}]}}}}


def test_the_simulated_mapping_has_the_deployed_settings() -> None:
    simulated = dataclasses.asdict(MappingSettings())

    assert simulated.pop("report_batch_item_failures")
    assert {name.title().replace("_", ""): value for name, value in simulated.items()}.items() <= properties(
        "ReplicatorFunctionStream"
    ).items()


def test_the_mapping_follows_its_parameters() -> None:
    mapping = properties("ReplicatorFunctionStream", **EVERYTHING)
    assert mapping["BatchSize"] == 1000
    assert mapping["MaximumBatchingWindowInSeconds"] == 2
    assert mapping["ParallelizationFactor"] == 4
    assert mapping["MaximumRetryAttempts"] == 50
    assert mapping["MaximumRecordAgeInSeconds"] == 3600
