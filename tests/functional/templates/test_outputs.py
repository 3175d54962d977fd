"""The resources, the outputs and the application metadata of template.yaml."""

import re
import tomllib
from typing import Final

import pytest

from tests.support.deployment_scenarios import (
    BY_ROLE,
    EXISTING_REPLICA,
    EXISTING_SOURCE,
    IN_ACCOUNT,
    IN_REGION,
    STREAM,
    Parameters,
)
from tests.support.template import TEMPLATE, deploy, load


def test_the_outputs_have_the_values_that_the_commands_need() -> None:
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


def test_the_outputs_for_an_existing_source_come_from_its_stream_s_arn() -> None:
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
def test_the_outputs_locate_the_replica(parameters: Parameters, region: str, arn: str) -> None:
    outputs = deploy(**parameters)["Outputs"]
    assert outputs["ReplicaTableName"]["Value"] == "logfile_replica"
    assert outputs["ReplicaRegion"]["Value"] == region
    assert outputs["ReplicaTableArn"]["Value"] == arn


# Existing stacks have these logical IDs. A changed logical ID would replace the resource.
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


def test_the_defaults_create_the_workshop_s_resources_and_15_alarms() -> None:
    made = {name: resource["Type"] for name, resource in deploy()["Resources"].items()}
    watching = {name for name, kind in made.items() if kind.endswith("Alarm")}
    assert {name: kind for name, kind in made.items() if name not in watching} == WITHOUT_A_PARAMETER
    assert len(watching) == 15


def test_the_application_has_the_metadata_of_the_package() -> None:
    project = tomllib.loads((TEMPLATE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    described = load()["Metadata"]["AWS::ServerlessRepo::Application"]
    assert described["Name"] == project["name"]
    assert described["SemanticVersion"] == project["version"]
    assert described["SpdxLicenseId"] == project["license"]
    assert described["LicenseUrl"] in project["license-files"]
    assert described["ReadmeUrl"] == project["readme"]


# docs.aws.amazon.com/serverless-application-model/latest/developerguide/
# serverless-sam-template-publishing-applications-metadata-properties.html
REQUIRED: Final = {"Name", "Description", "Author"}
TO_BE_PUBLIC: Final = {"SpdxLicenseId", "LicenseUrl", "SemanticVersion"}
PATTERNS: Final = {
    "Name": r"[a-zA-Z0-9\-]{1,140}",
    "Description": r".{1,256}",
    "Author": r"(?=.{1,127}$)[a-z0-9](([a-z0-9]|-(?!-))*[a-z0-9])?",
    "SpdxLicenseId": r"[A-Za-z0-9.\-]+",
    "LicenseUrl": r"LICENSE",  # a local file, which `sam package` uploads
    "ReadmeUrl": r"README\.md",
    "HomePageUrl": r"https://\S+",
    "SourceCodeUrl": r"https://\S+",
    "SemanticVersion": r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.\-]+)?(\+[0-9A-Za-z.\-]+)?",
}
LABEL: Final = r"[a-zA-Z0-9+\-_:/@]{1,127}"


def test_the_application_s_metadata_matches_the_patterns_of_the_repository() -> None:
    described = dict(load()["Metadata"]["AWS::ServerlessRepo::Application"])
    labels = described.pop("Labels")
    assert described.keys() >= REQUIRED | TO_BE_PUBLIC
    assert {name: re.fullmatch(PATTERNS[name], text) is not None for name, text in described.items()} == (
        dict.fromkeys(described, True)
    )
    assert len(labels) <= 10
    assert [label for label in labels if not re.fullmatch(LABEL, label)] == []


@pytest.mark.parametrize("url", ["LicenseUrl", "ReadmeUrl"])
def test_the_application_s_files_exist_and_are_small_enough(url: str) -> None:
    path = TEMPLATE.parent / load()["Metadata"]["AWS::ServerlessRepo::Application"][url]
    assert 0 < path.stat().st_size <= 5 * 1024 * 1024
