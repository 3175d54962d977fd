"""The resources that are left by a deleted stack, or by a first deployment that fails."""

from collections.abc import Iterator

import pytest

import demo.deploy
from demo.deploy import deploy
from demo.embedded import EmbeddedAws, embedded_aws
from demo.errors import DeployError


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as aws:
        yield aws


def buckets(aws: EmbeddedAws) -> set[str]:
    """Return the names of the stacks' buckets."""
    names = {bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]}
    return {name for name in names if "quarantine" in name or "onfailure" in name}


def test_a_first_deployment_that_fails_leaves_neither_bucket_nor_table(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The embedded AWS rejects an alarm on an expression, after it has created everything that the alarm uses.
    monkeypatch.setattr(demo.deploy, "_spare_metric_math", lambda _: None)

    with pytest.raises(DeployError, match="Alarm"):
        deploy(aws, "failing", SourceTableName="failing", ReplicaTableName="failing_replica")

    events = aws.cloudformation.describe_stack_events(StackName="failing")["StackEvents"]
    created = {event["LogicalResourceId"] for event in events if event["ResourceStatus"] == "CREATE_COMPLETE"}
    assert {"QuarantineBucket", "OnFailureBucket", "SourceTable", "ReplicaTable"} <= created
    assert buckets(aws) == set()
    assert aws.dynamodb.list_tables()["TableNames"] == []


def test_a_deleted_stack_leaves_its_buckets_and_its_tables(aws: EmbeddedAws) -> None:
    stack = deploy(aws, "deleted", SourceTableName="deleted", ReplicaTableName="deleted_replica")

    aws.cloudformation.delete_stack(StackName=stack.name)
    waiter = aws.cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName=stack.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    assert buckets(aws) == {stack.outputs["QuarantineBucketName"], stack.outputs["OnFailureBucketName"]}
    assert {"deleted", "deleted_replica"} <= set(aws.dynamodb.list_tables()["TableNames"])
