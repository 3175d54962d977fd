"""The role of the template, enforced: it suffices, and without any of its actions nothing is lost."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from demo import traffic
from demo.deploy import deploy
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import Pair
from tests.support.deployment_scenarios import BY_ROLE, HASHING, KEY
from tests.support.enforced import ENFORCED, Deployed, Role, actions, over_http
from tests.support.template import resources

NOT_TRIED: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "ReadChangesOfTheSource": (
        "the embedded AWS reads the stream by itself, not as the role",
        (
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ),
    ),
    "KeepWhatLambdaGivesUp": ("the embedded AWS never writes to the on-failure bucket", ("s3:PutObject",)),
    "LetLambdaFindTheOnFailureBucket": (
        "the embedded AWS never looks for the on-failure bucket",
        ("s3:ListBucket",),
    ),
    "NeverWriteToTheSource": (
        "it denies, and matters only where the replica is the source",
        ("dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem"),
    ),
    "UseTheKeysOfTheTablesThroughDynamoDB": (
        "the embedded AWS notes a table's KMS key, and asks it for nothing",
        ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"),
    ),
    "UseTheKeyOfTheBucketsThroughS3": (
        "the embedded AWS asks no KMS key for anything when an object is put",
        ("kms:GenerateDataKey",),
    ),
    "DecryptTheSecretOfTheTransform": (
        "the embedded AWS asks no KMS key for anything when a secret is read",
        ("kms:Decrypt",),
    ),
    "WriteItsOwnLog": (
        "the embedded AWS writes the log by itself, not as the role",
        ("logs:CreateLogStream", "logs:PutLogEvents"),
    ),
    "SendTracesWhichHaveNoResource": (
        "not there by default, and traces are sent by Lambda, not by the function",
        ("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
    ),
}
"""Actions of the role that no test takes away, by statement, and why. They are what AWS documents for each purpose."""


def statements(**parameters: str | int) -> Mapping[str, Any]:
    """Return the statements of the template's policy by their Sid."""
    (policy,) = resources(**parameters)["DDBReplicationRole"]["Properties"]["Policies"]
    return {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}


REFUSED: Final = {
    "dynamodb": "ReplicaError: The replica table refuses every request: AccessDeniedException",
    "s3": "QuarantineError: The quarantine bucket ddbreplica-quarantinebucket-",
}
PURPOSES: Final = ("ApplyChangesToTheReplica", "QuarantineWhatCanNeverBeWritten")
ACTIONS: Final = [action for purpose in PURPOSES for action in actions(statements()[purpose])]
TRIED_ELSEWHERE: Final = {
    ("WriteAsTheRoleOfTheReplica", "sts:AssumeRole"),
    ("ReadTheSecretOfTheTransform", "secretsmanager:GetSecretValue"),
}
"""By test_assumed_role.py and test_transform.py."""


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    with embedded_aws(enforce_roles=True) as aws:
        stack = deploy(aws)
        pair = Pair(aws.dynamodb, stack.source, stack.replica)
        traffic.drop_source_index(pair)
        role = Role(aws.iam, stack.outputs["FunctionRoleArn"].rpartition("/")[2])
        # The embedded AWS uses plain HTTP, which the template's bucket policies deny.
        bucket_policy = aws.s3.get_bucket_policy(Bucket=stack.quarantine_bucket)["Policy"]
        aws.s3.put_bucket_policy(Bucket=stack.quarantine_bucket, Policy=over_http(bucket_policy))
        yield Deployed(aws, stack, pair, role, bucket_policy)


def test_the_role_suffices(deployed: Deployed) -> None:
    poison = deployed.write_batch("enough")

    deployed.deliver()
    deployed.settle(poison)

    assert deployed.errors() == []
    assert deployed.quarantined() == {"enough#poison"}
    assert {"enough#put"} == deployed.pair.items(deployed.pair.replica).keys()


@pytest.mark.parametrize("action", ACTIONS)
def test_without_an_action_the_batch_fails_and_is_not_lost(deployed: Deployed, action: str) -> None:
    poison = deployed.write_batch(action)

    error = deployed.error_while(deployed.role.without(action), poison)
    deployed.settle(poison)

    assert REFUSED[action.partition(":")[0]] in error
    assert f"is not authorized to perform: {action}" in error
    assert "no record of the batch was checkpointed" in error
    assert f"{action}#put" in deployed.pair.items(deployed.pair.replica)
    assert poison in deployed.quarantined()


def test_plain_http_is_refused_by_the_bucket_and_the_batch_is_not_lost(deployed: Deployed) -> None:
    poison = deployed.write_batch("plain http")

    error = deployed.error_while(deployed.refusing_plain_http(), poison)
    deployed.settle(poison)

    assert REFUSED["s3"] in error
    assert "with an explicit deny in a resource-based policy" in error
    assert poison in deployed.quarantined()


def test_the_bucket_refuses_to_overwrite_a_record_and_a_put_without_the_condition(deployed: Deployed) -> None:
    poison = deployed.write_batch("overwritten")
    deployed.deliver()
    deployed.settle(poison)
    s3, bucket = who_may_do_anything(deployed.aws).s3, deployed.stack.quarantine_bucket
    (name,) = (found.name for found in traffic.quarantined(s3, bucket) if found.key == poison)
    asked: Any = [{}, {"IfNoneMatch": "*"}]

    codes = []
    for how in asked:
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket=bucket, Key=name, Body=b"forged", **how)
        codes.append(caught.value.response["Error"]["Code"])

    assert codes == ["AccessDenied", "PreconditionFailed"]
    assert poison in deployed.quarantined()


def test_the_bucket_refuses_to_overwrite_the_record_of_a_verification(deployed: Deployed) -> None:
    s3, bucket = who_may_do_anything(deployed.aws).s3, deployed.stack.quarantine_bucket
    name = f"verifications/{deployed.stack.replica}/2026-01-31T09:00:00.000000Z.json"
    asked: Any = [{}, {"IfNoneMatch": "*"}]
    s3.put_object(Bucket=bucket, Key=name, Body=b"first", IfNoneMatch="*")

    codes = []
    for how in asked:
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket=bucket, Key=name, Body=b"forged", **how)
        codes.append(caught.value.response["Error"]["Code"])

    assert codes == ["AccessDenied", "PreconditionFailed"]


def who_may_do_anything(aws: EmbeddedAws) -> EmbeddedAws:
    """Return the embedded AWS for an IAM user, since it enforces no policy for the account's root."""
    if "writer" not in [user["UserName"] for user in aws.iam.list_users()["Users"]]:
        aws.iam.create_user(UserName="writer")
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    aws.iam.put_user_policy(UserName="writer", PolicyName="all", PolicyDocument=json.dumps(document))
    key = aws.iam.create_access_key(UserName="writer")["AccessKey"]
    return replace(aws, account=key["AccessKeyId"], secret=key["SecretAccessKey"])


def granted(**parameters: str | int) -> set[tuple[str, str]]:
    return {(sid, action) for sid, each in statements(**parameters).items() for action in actions(each)}


def test_each_action_of_the_role_is_removed_by_a_test_or_listed_as_not_tried() -> None:
    placements = ({"Tracing": "Active", "KmsKeyArn": KEY, **HASHING}, BY_ROLE)
    tried = {(purpose, action) for purpose in PURPOSES for action in actions(statements()[purpose])}
    not_tried = {(sid, action) for sid, (_, left_out) in NOT_TRIED.items() for action in left_out}

    assert set().union(*(granted(**each) for each in placements)) == tried | TRIED_ELSEWHERE | not_tried
    assert (PURPOSES[0], "WriteAsTheRoleOfTheReplica", PURPOSES[1]) == ENFORCED
    assert not {sid for sid, _ in tried | TRIED_ELSEWHERE} & NOT_TRIED.keys()


def test_actions_that_are_not_enforced_are_not_required_here(deployed: Deployed) -> None:
    poison = deployed.write_batch("not enforced")

    with deployed.role.only(*ENFORCED):
        deployed.deliver()
        deployed.settle(poison)

    assert "not enforced#put" in deployed.pair.items(deployed.pair.replica)
