"""The function's role in template.yaml: least privilege in every deployment scenario."""

from typing import Any, Final

import pytest

from tests.support.deployment_scenarios import (
    BOUNDARY,
    BY_ROLE,
    EVERYTHING,
    EXISTING_REPLICA,
    EXISTING_SOURCE,
    HASHING,
    IN_ACCOUNT,
    KEY,
    OTHER_REGION,
    REPLICA_KEY,
    REPLICAS,
    ROLE,
    SECRET,
    SOURCE_KEY,
    STREAM,
    Parameters,
)
from tests.support.template import ACCOUNT, REGION, ROOT, properties, resources

IN_THIS_ACCOUNT: Final = {"StringEquals": {"s3:ResourceAccount": ACCOUNT}}
STATEMENTS: Final = {
    "ReadChangesOfTheSource": (
        [
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
        "<SourceTable.StreamArn>",
        None,
    ),
    "ApplyChangesToTheReplica": (
        ["dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:PutItem"],
        "<ReplicaTable.Arn>",
        None,
    ),
    "QuarantineWhatCanNeverBeWritten": (
        "s3:PutObject",
        "<QuarantineBucket.Arn>/quarantine/*",
        IN_THIS_ACCOUNT,
    ),
    "KeepWhatLambdaGivesUp": (
        "s3:PutObject",
        "<OnFailureBucket.Arn>/aws/lambda/*",
        IN_THIS_ACCOUNT,
    ),
    "LetLambdaFindTheOnFailureBucket": ("s3:ListBucket", "<OnFailureBucket.Arn>", IN_THIS_ACCOUNT),
    "WriteItsOwnLog": (["logs:CreateLogStream", "logs:PutLogEvents"], "<ReplicatorLogGroup.Arn>", None),
}
TRACES: Final = {
    "SendTracesWhichHaveNoResource": (["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*", None),
}


def allowed(**parameters: str | int) -> dict[str, tuple[Any, Any, Any]]:
    """Return the statements of the role's only policy: actions, resource and condition by Sid."""
    (policy,) = properties("DDBReplicationRole", **parameters)["Policies"]
    statements = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    return {each["Sid"]: (each["Action"], each["Resource"], each.get("Condition")) for each in statements}


@pytest.mark.parametrize(
    ("tracing", "expected"), [("PassThrough", STATEMENTS), ("Active", STATEMENTS | TRACES)]
)
def test_the_role_has_only_the_permissions_that_are_used(tracing: str, expected: dict[str, Any]) -> None:
    assert allowed(Tracing=tracing) == expected


def test_the_role_reads_only_the_stream_of_an_existing_source() -> None:
    actions, _, _ = STATEMENTS["ReadChangesOfTheSource"]
    expected = STATEMENTS | {"ReadChangesOfTheSource": (actions, STREAM, None)}
    assert allowed(**EXISTING_SOURCE) == expected


@pytest.mark.parametrize(
    ("replica", "arn"),
    [
        ("existing", "arn:aws:dynamodb:eu-west-1:111122223333:table/logfile_replica"),
        ("in this Region by name", "arn:aws:dynamodb:eu-west-1:111122223333:table/logfile_replica"),
        ("in another Region", "arn:aws:dynamodb:us-west-2:111122223333:table/logfile_replica"),
        ("in this account by ID", "arn:aws:dynamodb:eu-west-1:111122223333:table/logfile_replica"),
        ("in another account", "arn:aws:dynamodb:eu-west-1:444455556666:table/logfile_replica"),
        ("in another account and Region", "arn:aws:dynamodb:us-west-2:444455556666:table/logfile_replica"),
    ],
)
def test_the_role_writes_only_to_the_replica_in_every_region_and_account(replica: str, arn: str) -> None:
    actions, _, _ = STATEMENTS["ApplyChangesToTheReplica"]
    expected = STATEMENTS | {"ApplyChangesToTheReplica": (actions, arn, None)}
    assert allowed(**REPLICAS[replica]) == expected


@pytest.mark.parametrize(
    ("source", "arn"),
    [({}, "<SourceTable.Arn>"), (EXISTING_SOURCE, "arn:aws:dynamodb:eu-west-1:111122223333:table/orders")],
)
@pytest.mark.parametrize("replica", REPLICAS)
def test_the_role_is_denied_writes_to_the_source_whatever_the_name_of_the_replica(
    replica: str, source: Parameters, arn: str
) -> None:
    (policy,) = properties("DDBReplicationRole", **source, **REPLICAS[replica])["Policies"]
    assert [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] != "Allow"] == [
        {
            "Sid": "NeverWriteToTheSource",
            "Effect": "Deny",
            "Action": ["dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem"],
            "Resource": arn,
        },
    ]


@pytest.mark.parametrize("replica", ["by a role", "by a role in another Region"])
def test_with_another_role_the_function_s_role_may_only_assume_it(replica: str) -> None:
    expected = {sid: each for sid, each in STATEMENTS.items() if sid != "ApplyChangesToTheReplica"}
    assert allowed(**REPLICAS[replica]) == expected | {
        "WriteAsTheRoleOfTheReplica": ("sts:AssumeRole", ROLE, None)
    }


KMS_OF_A_TABLE: Final = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
]
"""The actions that AWS lists for principals that use a table with a customer managed KMS key, except kms:CreateGrant,
which is only for principals that create a table:
docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html"""


@pytest.mark.parametrize(
    ("parameters", "keys", "regions"),
    [
        ({"KmsKeyArn": KEY}, [KEY], [REGION]),
        ({**EXISTING_SOURCE, "KmsKeyArn": KEY}, [KEY], [REGION]),
        ({**EXISTING_SOURCE, "SourceKmsKeyArn": SOURCE_KEY}, [SOURCE_KEY], [REGION]),
        (
            {**EXISTING_SOURCE, **EXISTING_REPLICA, "SourceKmsKeyArn": SOURCE_KEY, "KmsKeyArn": KEY},
            [SOURCE_KEY],
            [REGION],
        ),
        (
            {**EXISTING_SOURCE, **BY_ROLE, "SourceKmsKeyArn": SOURCE_KEY, "KmsKeyArn": KEY},
            [SOURCE_KEY],
            [REGION],
        ),
        ({**IN_ACCOUNT, "ReplicaKmsKeyArn": REPLICA_KEY}, [REPLICA_KEY], [REGION, OTHER_REGION]),
        (
            {**IN_ACCOUNT, "ReplicaKmsKeyArn": REPLICA_KEY, "KmsKeyArn": KEY},
            [KEY, REPLICA_KEY],
            [REGION, OTHER_REGION],
        ),
        (
            {**EXISTING_SOURCE, **IN_ACCOUNT, "SourceKmsKeyArn": SOURCE_KEY, "ReplicaKmsKeyArn": REPLICA_KEY},
            [SOURCE_KEY, REPLICA_KEY],
            [REGION, OTHER_REGION],
        ),
    ],
)
def test_the_role_may_use_the_kms_keys_of_the_tables_only_through_dynamodb(
    parameters: Parameters, keys: list[str], regions: list[str]
) -> None:
    assert allowed(**parameters)["UseTheKeysOfTheTablesThroughDynamoDB"] == (
        KMS_OF_A_TABLE,
        keys,
        {"StringLike": {"kms:ViaService": [f"dynamodb.{region}.*" for region in regions]}},
    )


@pytest.mark.parametrize("page", ["DESIGN.md", "docs/permissions.md", "docs/deployment.md"])
def test_the_pages_name_the_same_actions(page: str) -> None:
    text = (ROOT / page).read_text()
    assert [action for action in KMS_OF_A_TABLE if f"`{action}`" not in text] == []


def test_the_role_may_use_the_kms_key_of_the_buckets_to_write_objects() -> None:
    """S3 also requires kms:Decrypt, but only for multipart uploads. Lambda's page on destinations does not list it."""
    assert allowed(KmsKeyArn=KEY)["UseTheKeyOfTheBucketsThroughS3"] == (
        "kms:GenerateDataKey",
        KEY,
        {"StringLike": {"kms:ViaService": f"s3.{REGION}.*"}},
    )


@pytest.mark.parametrize(
    "parameters",
    [{}, EXISTING_SOURCE, {**EXISTING_SOURCE, **EXISTING_REPLICA, "KmsKeyArn": KEY}, BY_ROLE],
)
def test_the_role_may_use_no_table_s_kms_key_if_none_is_given(parameters: Parameters) -> None:
    assert "UseTheKeysOfTheTablesThroughDynamoDB" not in allowed(**parameters)


OF_THE_SECRET: Final = {
    "ReadTheSecretOfTheTransform": ("secretsmanager:GetSecretValue", SECRET, None),
    "DecryptTheSecretOfTheTransform": (
        "kms:Decrypt",
        f"arn:aws:kms:{OTHER_REGION}:*:key/*",
        {
            "StringEquals": {"kms:EncryptionContext:SecretARN": SECRET},
            "StringLike": {"kms:ViaService": f"secretsmanager.{OTHER_REGION}.*"},
        },
    ),
}


@pytest.mark.parametrize("replica", REPLICAS)
def test_the_role_may_read_the_secret_of_the_transform_and_no_other(replica: str) -> None:
    without = allowed(**REPLICAS[replica])
    assert allowed(**REPLICAS[replica], **HASHING) == without | OF_THE_SECRET
    assert allowed(**REPLICAS[replica], Transform=HASHING["Transform"]) == without


def test_the_role_has_a_permissions_boundary_only_if_one_is_given() -> None:
    assert (
        properties("DDBReplicationRole", PermissionsBoundaryArn=BOUNDARY)["PermissionsBoundary"] == BOUNDARY
    )
    assert "PermissionsBoundary" not in properties("DDBReplicationRole")


def test_only_lambda_may_assume_the_role_and_no_other_policy_is_attached() -> None:
    created = resources(**EVERYTHING)
    assert created["DDBReplicationRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"] == [
        {
            "Sid": "LetLambdaRunAsThisRole",
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    ]
    assert "ManagedPolicyArns" not in created["DDBReplicationRole"]["Properties"]
    assert [each["Type"] for each in created.values() if each["Type"].startswith("AWS::IAM::")] == [
        "AWS::IAM::Role"
    ]
