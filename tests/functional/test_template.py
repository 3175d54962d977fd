"""template.yaml's parameters and outputs: nobody can misread them, and what makes no sense is refused."""

import tomllib
from typing import Final

import pytest

from tests.support.placements import (
    BY_ROLE,
    ELSEWHERE,
    EVERYTHING,
    EXISTING_REPLICA,
    EXISTING_SOURCE,
    FAR,
    IN_ACCOUNT,
    IN_REGION,
    KEY,
    REPLICA_KEY,
    REPLICAS,
    ROLE,
    SOURCE_KEY,
    STREAM,
    Parameters,
)
from tests.support.template import TEMPLATE, deploy, load, refusals

PARAMETERS: Final = {
    "SourceTableName": ("String", "logfile"),
    "SourceStreamArn": ("String", ""),
    "SourceKmsKeyArn": ("String", ""),
    "ReplicaTableName": ("String", "logfile_replica"),
    "CreateReplicaTable": ("String", "true"),
    "ReplicaRegion": ("String", ""),
    "ReplicaAccountId": ("String", ""),
    "ReplicaRoleArn": ("String", ""),
    "ReplicaExternalId": ("String", ""),
    "ReplicaKmsKeyArn": ("String", ""),
    "PartitionKeyName": ("String", "PK"),
    "PartitionKeyType": ("String", "S"),
    "SortKeyName": ("String", ""),
    "SortKeyType": ("String", "S"),
    "CreateIndex": ("String", "true"),
    "BillingMode": ("String", "PROVISIONED"),
    "TableDeletionPolicy": ("String", "RetainExceptOnCreate"),
    "DeletionProtection": ("String", "false"),
    "ReplicateTtlDeletes": ("String", "true"),
    "KeyFilter": ("String", ""),
    "WriteMode": ("String", "mirror"),
    "MemorySize": ("Number", 256),
    "Timeout": ("Number", 60),
    "ReservedConcurrency": ("String", "none"),
    "Tracing": ("String", "PassThrough"),
    "LogRetentionInDays": ("Number", 14),
    "EndpointUrl": ("String", ""),
    "BatchSize": ("Number", 100),
    "MaximumBatchingWindowInSeconds": ("Number", 0),
    "ParallelizationFactor": ("Number", 1),
    "MaximumRetryAttempts": ("Number", -1),
    "MaximumRecordAgeInSeconds": ("Number", 79200),
    "KmsKeyArn": ("String", ""),
    "PermissionsBoundaryArn": ("String", ""),
    "AlarmEmail": ("String", ""),
    "AlarmTopicArn": ("String", ""),
}


def test_every_parameter_has_its_type_and_default() -> None:
    declared = load()["Parameters"]
    assert {name: (each["Type"], each["Default"]) for name, each in declared.items()} == PARAMETERS


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_says_what_it_is_for_and_what_it_accepts(name: str) -> None:
    parameter = load()["Parameters"][name]
    assert parameter["Description"].endswith(".")
    assert parameter["ConstraintDescription"].startswith("must be ")
    assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)


def test_a_parameter_that_may_be_empty_says_so_first_and_no_other_does() -> None:
    declared = load()["Parameters"]
    optional = {name for name, each in declared.items() if each["Description"].startswith("Optional ")}
    assert optional == {name for name, each in declared.items() if each["Default"] in ("", "none")}


def test_every_parameter_stands_in_one_group_and_has_a_label() -> None:
    interface = load()["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)
    assert sorted(interface["ParameterLabels"]) == sorted(PARAMETERS)


@pytest.mark.parametrize("replica", REPLICAS)
@pytest.mark.parametrize("source", [{}, EXISTING_SOURCE], ids=["made here", "existing"])
def test_a_replica_may_be_anywhere(source: Parameters, replica: str) -> None:
    assert refusals(**source, **REPLICAS[replica]) == []


@pytest.mark.parametrize(
    "parameters",
    [
        EVERYTHING,
        {**EXISTING_SOURCE, "SourceKmsKeyArn": SOURCE_KEY},
        {**IN_ACCOUNT, "ReplicaKmsKeyArn": REPLICA_KEY},
        {"AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
    ],
)
def test_a_sensible_combination_is_accepted(parameters: Parameters) -> None:
    assert refusals(**parameters) == []


@pytest.mark.parametrize("there", [IN_REGION, IN_ACCOUNT, BY_ROLE])
def test_a_replica_elsewhere_may_have_the_name_of_its_source(there: Parameters) -> None:
    assert refusals(**there, ReplicaTableName="logfile") == []


DIFFER: Final = (
    "SourceTableName and ReplicaTableName must differ, unless the replica is in another Region or account."
)
MADE_THERE: Final = (
    "A replica in another Region or account is not made here; deploy replica.yaml there, and set "
    "CreateReplicaTable=false."
)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"SourceTableName": "REPLACE-ME!"},
            "SourceTableName must be 3 to 255 letters, digits, underscores, hyphens or dots.",
        ),
        (
            {"SourceStreamArn": STREAM.partition("/stream/")[0]},
            "SourceStreamArn must be empty or the ARN of a table's stream, DescribeTable's LatestStreamArn.",
        ),
        (
            {**IN_REGION, "ReplicaTableName": f"arn:aws:dynamodb:{FAR}:{ELSEWHERE}:table/orders"},
            "ReplicaTableName must be 3 to 255 letters, digits, underscores, hyphens or dots.",
        ),
        (
            IN_REGION | {"ReplicaRegion": "Oregon"},
            "ReplicaRegion must be empty or a Region such as eu-west-1.",
        ),
        (
            IN_ACCOUNT | {"ReplicaAccountId": "4444"},
            "ReplicaAccountId must be empty or the 12 digits of an account.",
        ),
        (BY_ROLE | {"ReplicaRoleArn": "orders-writer"}, "ReplicaRoleArn must be empty or the ARN of a role."),
        (
            BY_ROLE | {"ReplicaExternalId": "?"},
            "ReplicaExternalId must be empty or 2 to 1224 letters, digits and characters of +=,.@:/_-.",
        ),
        (
            {"KeyFilter": "tenant-1"},
            'KeyFilter must be empty or a JSON object such as {"PK": {"S": [{"prefix": "tenant-1#"}]}}.',
        ),
        (
            {"KmsKeyArn": "alias/orders"},
            "KmsKeyArn must be empty or the ARN of a KMS key; an alias will not do.",
        ),
        (
            {"PermissionsBoundaryArn": ROLE},
            "PermissionsBoundaryArn must be empty or the ARN of a managed policy.",
        ),
        ({"Timeout": 29}, "Timeout must be 30 to 900."),
        ({"WriteMode": "guarded"}, "WriteMode must be mirror; guarded is not available in this version."),
        ({"ReservedConcurrency": "0"}, "ReservedConcurrency must be none or a whole number from 1."),
        (
            {"MaximumRecordAgeInSeconds": 86400},
            "MaximumRecordAgeInSeconds must be 60 to 82800; the stream itself drops a record after 86400.",
        ),
        ({"EndpointUrl": "localhost:8000"}, "EndpointUrl must be empty or begin with http:// or https://."),
        ({"AlarmEmail": "ops"}, "AlarmEmail must be empty or one e-mail address."),
        (
            {"AlarmTopicArn": "arn:aws:sqs:eu-west-1:111122223333:ops"},
            "AlarmTopicArn must be empty or the ARN of a standard SNS topic.",
        ),
        ({"ReplicaTableName": "logfile"}, DIFFER),
        ({**REPLICAS["in this Region by name"], "ReplicaTableName": "logfile"}, DIFFER),
        ({**REPLICAS["in this account by number"], "ReplicaTableName": "logfile"}, DIFFER),
        (IN_REGION | {"CreateReplicaTable": "true"}, MADE_THERE),
        (IN_ACCOUNT | {"CreateReplicaTable": "true"}, MADE_THERE),
        (BY_ROLE | {"CreateReplicaTable": "true"}, MADE_THERE),
        (
            {**BY_ROLE, **IN_ACCOUNT},
            "Give ReplicaRoleArn or ReplicaAccountId, not both; a role writes to its own account.",
        ),
        (
            IN_ACCOUNT | {"ReplicaExternalId": "orders-2026"},
            "ReplicaExternalId belongs to ReplicaRoleArn; give both or neither.",
        ),
        (
            {"SourceKmsKeyArn": KEY},
            "SourceKmsKeyArn is for an existing source; the key of tables made here is KmsKeyArn.",
        ),
        (
            {"ReplicaKmsKeyArn": KEY},
            "ReplicaKmsKeyArn is for an existing replica; the key of tables made here is KmsKeyArn.",
        ),
        (
            BY_ROLE | {"ReplicaKmsKeyArn": KEY},
            "With ReplicaRoleArn it is that role which uses the replica's key; leave ReplicaKmsKeyArn empty.",
        ),
        ({"SortKeyName": "PK"}, "PartitionKeyName and SortKeyName must differ."),
        (
            {"AlarmEmail": "ops@example.com", "AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
            "Give AlarmEmail or AlarmTopicArn, not both.",
        ),
        (
            {"DeletionProtection": "true"},
            "With DeletionProtection=true, give AlarmEmail or AlarmTopicArn; somebody must hear the alarms.",
        ),
    ],
)
def test_a_mistaken_parameter_is_refused(parameters: Parameters, message: str) -> None:
    assert refusals(**parameters) == [message]


def test_the_outputs_name_what_the_tools_need() -> None:
    outputs = deploy()["Outputs"]
    assert {name: output["Value"] for name, output in outputs.items()} == {
        "SourceTableName": "<SourceTable>",
        "SourceTableArn": "<SourceTable.Arn>",
        "SourceStreamArn": "<SourceTable.StreamArn>",
        "ReplicaTableName": "logfile_replica",
        "ReplicaTableArn": "<ReplicaTable.Arn>",
        "ReplicaRegion": "eu-west-1",
        "FunctionName": "<ReplicatorFunction>",
        "FunctionArn": "<ReplicatorFunction.Arn>",
        "FunctionRoleArn": "<DDBReplicationRole.Arn>",
        "EventSourceMappingId": "<ReplicatorFunctionStream>",
        "LogGroupName": "<ReplicatorLogGroup>",
        "QuarantineBucketName": "<QuarantineBucket>",
        "OnFailureBucketName": "<OnFailureBucket>",
        "HealthAlarmName": "<ReplicationUnhealthyAlarm>",
        "DashboardUrl": (
            "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
            "#dashboards/dashboard/<Dashboard>"
        ),
    }


def test_the_outputs_of_an_existing_source_are_those_of_its_stream() -> None:
    outputs = deploy(**EXISTING_SOURCE)["Outputs"]
    assert outputs["SourceTableName"]["Value"] == "orders"
    assert outputs["SourceTableArn"]["Value"] == "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"
    assert outputs["SourceStreamArn"]["Value"] == STREAM


@pytest.mark.parametrize(
    ("parameters", "region", "arn"),
    [
        (EXISTING_REPLICA, "eu-west-1", "arn:aws:dynamodb:eu-west-1:111122223333:table/logfile_replica"),
        (IN_REGION, "us-west-2", "arn:aws:dynamodb:us-west-2:111122223333:table/logfile_replica"),
        (IN_ACCOUNT, "eu-west-1", "arn:aws:dynamodb:eu-west-1:444455556666:table/logfile_replica"),
        (BY_ROLE, "eu-west-1", "arn:aws:dynamodb:eu-west-1:444455556666:table/logfile_replica"),
        (
            {**BY_ROLE, **IN_REGION},
            "us-west-2",
            "arn:aws:dynamodb:us-west-2:444455556666:table/logfile_replica",
        ),
    ],
)
def test_the_outputs_say_where_the_replica_is(parameters: Parameters, region: str, arn: str) -> None:
    outputs = deploy(**parameters)["Outputs"]
    assert outputs["ReplicaTableName"]["Value"] == "logfile_replica"
    assert outputs["ReplicaRegion"]["Value"] == region
    assert outputs["ReplicaTableArn"]["Value"] == arn


# What a stack of this template has in an account by now: another logical id would replace it.
WITHOUT_A_PARAMETER: Final = {
    "SourceTable": "AWS::DynamoDB::Table",
    "ReplicaTable": "AWS::DynamoDB::Table",
    "QuarantineBucket": "AWS::S3::Bucket",
    "QuarantineBucketPolicy": "AWS::S3::BucketPolicy",
    "OnFailureBucket": "AWS::S3::Bucket",
    "OnFailureBucketPolicy": "AWS::S3::BucketPolicy",
    "ReplicatorLogGroup": "AWS::Logs::LogGroup",
    "DDBReplicationRole": "AWS::IAM::Role",
    "ReplicatorFunction": "AWS::Lambda::Function",
    "ReplicatorFunctionStream": "AWS::Lambda::EventSourceMapping",
    "Dashboard": "AWS::CloudWatch::Dashboard",
}


def test_without_a_parameter_the_workshop_s_stack_is_made_and_watched() -> None:
    made = {name: resource["Type"] for name, resource in deploy()["Resources"].items()}
    watching = {name for name, kind in made.items() if kind.endswith("Alarm")}
    assert {name: kind for name, kind in made.items() if name not in watching} == WITHOUT_A_PARAMETER
    assert len(watching) == 14


def test_the_application_is_described_as_the_package_is() -> None:
    project = tomllib.loads((TEMPLATE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    described = load()["Metadata"]["AWS::ServerlessRepo::Application"]
    assert described["Name"] == project["name"]
    assert described["SemanticVersion"] == project["version"]
    assert described["SpdxLicenseId"] == project["license"]
    assert described["LicenseUrl"] in project["license-files"]
    assert described["ReadmeUrl"] == project["readme"]


def test_the_application_s_description_keeps_to_the_repository_s_limits() -> None:
    described = load()["Metadata"]["AWS::ServerlessRepo::Application"]
    assert len(described["Description"]) <= 256
    assert len(described["Labels"]) <= 10
    assert all(label.replace("-", "").isalnum() for label in described["Labels"])
