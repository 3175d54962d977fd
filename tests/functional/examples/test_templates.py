"""The templates of the recipes: least privilege, and the same resources as template.yaml where they share some."""

from typing import Any, Final

import pytest

from tests.support.build import ROOT
from tests.support.examples import EXAMPLES, FUNCTIONS, KEY, STREAM, TOPIC, of_type, template
from tests.support.template import REGION, TEMPLATE, load, resources

OF_ALL: Final = {
    "ReadChangesOfTheSource": (
        [
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
        STREAM,
    ),
    "KeepWhatLambdaGivesUp": ("s3:PutObject", "<OnFailureBucket.Arn>/aws/lambda/*"),
    "LetLambdaFindTheOnFailureBucket": ("s3:ListBucket", "<OnFailureBucket.Arn>"),
}
STATEMENTS: Final[dict[str, dict[str, Any]]] = {
    "task_counts": OF_ALL
    | {
        "ReadMarkers": ("dynamodb:GetItem", "<MarkersTable.Arn>"),
        "MoveMarkersInTransactions": ("dynamodb:PutItem", "<MarkersTable.Arn>"),
        "AddToCountsInTransactions": ("dynamodb:UpdateItem", "<CountsTable.Arn>"),
        "WriteItsOwnLog": (["logs:CreateLogStream", "logs:PutLogEvents"], "<TaskCountsLogGroup.Arn>"),
    },
    "new_item_messages": OF_ALL
    | {
        "PublishMessages": ("sns:Publish", "<NewItemsTopic>"),
        "WriteItsOwnLog": (["logs:CreateLogStream", "logs:PutLogEvents"], "<NewItemMessagesLogGroup.Arn>"),
    },
}


def test_every_example_is_tested_here() -> None:
    assert [path.parent.name for path in sorted((ROOT / "examples").glob("*/template.yaml"))] == list(
        EXAMPLES
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_role_has_only_the_permissions_that_the_function_uses(example: str) -> None:
    (policy,) = of_type(example, "AWS::IAM::Role")["Policies"]
    statements = policy["PolicyDocument"]["Statement"]

    assert {one["Sid"]: (one["Action"], one["Resource"]) for one in statements} == STATEMENTS[example]
    assert {one["Effect"] for one in statements} == {"Allow"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_mapping_reports_partial_failures_and_discards_records_before_the_stream_does(
    example: str,
) -> None:
    mapping = of_type(example, "AWS::Lambda::EventSourceMapping")

    assert mapping == {
        "EventSourceArn": STREAM,
        "FunctionName": f"<{FUNCTIONS[example]}>",
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": 79200,
        "DestinationConfig": {"OnFailure": {"Destination": "<OnFailureBucket.Arn>"}},
    }


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_alarm_watches_the_function_and_notifies_the_topic(example: str) -> None:
    alarm = of_type(example, "AWS::CloudWatch::Alarm", AlarmTopicArn=TOPIC)

    assert (alarm["MetricName"], alarm["Threshold"]) == ("IteratorAge", 900000)
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": f"<{FUNCTIONS[example]}>"}]
    assert alarm["AlarmActions"] == [TOPIC]
    assert alarm["OKActions"] == [TOPIC]
    assert of_type(example, "AWS::CloudWatch::Alarm")["AlarmActions"] == []


@pytest.mark.parametrize("parameters", [{}, {"KmsKeyArn": KEY}], ids=str)
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_bucket_is_the_same_as_in_template_yaml(example: str, parameters: dict[str, str]) -> None:
    made = resources(template(example), SourceStreamArn=STREAM, **parameters)
    own = resources(TEMPLATE, **parameters)

    rules = own["OnFailureBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert (
        rules.pop(0)["Id"] == "ExpireWhatIsDone"
    )  # for objects that redrive moves; it does not process these buckets
    for name in ("OnFailureBucket", "OnFailureBucketPolicy"):
        assert made[name] == own[name]


@pytest.mark.parametrize("parameters", [{}, {"KmsKeyArn": KEY}], ids=str)
def test_the_topic_is_encrypted_as_in_template_yaml(parameters: dict[str, str]) -> None:
    own = resources(TEMPLATE, **parameters, AlarmEmail="ops@example.com")["AlarmTopic"]["Properties"]

    assert of_type("new_item_messages", "AWS::SNS::Topic", **parameters).get("KmsMasterKeyId") == (
        own.get("KmsMasterKeyId")
    )


@pytest.mark.parametrize("parameters", [{}, {"KmsKeyArn": KEY}], ids=str)
def test_the_tables_are_encrypted_as_in_template_yaml(parameters: dict[str, str]) -> None:
    made = resources(template("task_counts"), SourceStreamArn=STREAM, **parameters)
    own = resources(TEMPLATE, **parameters)["ReplicaTable"]["Properties"]

    for name in ("CountsTable", "MarkersTable"):
        assert made[name]["Properties"].get("SSESpecification") == own.get("SSESpecification")


@pytest.mark.parametrize(
    ("example", "statements"),
    [
        (
            "task_counts",
            {
                "UseTheKeyOfTheBucketThroughS3": ("kms:GenerateDataKey", "s3"),
                "UseTheKeyOfTheTablesThroughDynamoDB": (
                    [
                        "kms:Decrypt",
                        "kms:DescribeKey",
                        "kms:Encrypt",
                        "kms:GenerateDataKey*",
                        "kms:ReEncrypt*",
                    ],
                    "dynamodb",
                ),
            },
        ),
        (
            "new_item_messages",
            {
                "UseTheKeyOfTheBucketThroughS3": ("kms:GenerateDataKey", "s3"),
                "UseTheKeyOfTheTopicThroughSNS": (["kms:Decrypt", "kms:GenerateDataKey*"], "sns"),
            },
        ),
    ],
)
def test_the_role_uses_a_kms_key_only_through_its_services(example: str, statements: dict[str, Any]) -> None:
    (policy,) = of_type(example, "AWS::IAM::Role", KmsKeyArn=KEY)["Policies"]
    more = [one for one in policy["PolicyDocument"]["Statement"] if one["Sid"] not in STATEMENTS[example]]

    assert more == [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Action": actions,
            "Resource": KEY,
            "Condition": {"StringLike": {"kms:ViaService": f"{service}.{REGION}.*"}},
        }
        for sid, (actions, service) in statements.items()
    ]


def test_the_two_tables_can_be_written_only_in_transactions() -> None:
    (policy,) = of_type("task_counts", "AWS::IAM::Role")["Policies"]
    conditions = {one["Sid"]: one.get("Condition") for one in policy["PolicyDocument"]["Statement"]}

    within = {"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}}
    assert conditions["MoveMarkersInTransactions"] == within
    assert conditions["AddToCountsInTransactions"] == within


def test_markers_expire_at_the_time_that_the_function_writes() -> None:
    markers = resources(template("task_counts"), SourceStreamArn=STREAM)["MarkersTable"]["Properties"]

    assert markers["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_a_fifo_topic_has_the_name_of_one() -> None:
    standard = resources(template("new_item_messages"), SourceStreamArn=STREAM)["NewItemsTopic"]
    fifo = of_type("new_item_messages", "AWS::SNS::Topic", FifoTopic="true")

    assert standard == {"Type": "AWS::SNS::Topic", "Properties": {}}
    assert fifo == {"FifoTopic": True, "TopicName": "ddbreplica-new-items.fifo"}


def test_the_outputs_in_the_recipes_exist() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text("utf-8")

    for name, path in (
        ("SourceStreamArn", ROOT / "template.yaml"),
        ("CountsTableName", template("task_counts")),
        ("NewItemsTopicArn", template("new_item_messages")),
    ):
        assert name in text
        assert name in load(path)["Outputs"]
