"""Failures of a stack, each caused during a `with` block."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from demo.pair import INDEX, wait_until
from tests.e2e.deployment import Deployed

_READS: Final = 10
_WRITES: Final = 5
"""The template's capacity, restored at the end."""


@contextmanager
def misdirected(deployed: Deployed) -> Iterator[None]:
    """Configure the function with a replica that does not exist, so that each invocation fails."""
    functions, name = deployed.run.account.functions, deployed.function
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    _set_environment(deployed, {**before, "REPLICA_TABLE_NAME": f"{deployed.pair.replica}-not-there"})
    try:
        yield
    finally:
        _set_environment(deployed, before)


def _set_environment(deployed: Deployed, variables: Mapping[str, str]) -> None:
    functions, name = deployed.run.account.functions, deployed.function
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)


@contextmanager
def mapping_set(deployed: Deployed, **numbers: int) -> Iterator[None]:
    """Change some of the event source mapping's numbers."""
    described: Mapping[str, Any] = deployed.run.account.functions.get_event_source_mapping(
        UUID=deployed.mapping
    )
    before = {name: described[name] for name in numbers}
    _update_mapping(deployed, numbers)
    try:
        yield
    finally:
        _update_mapping(deployed, before)


@contextmanager
def stalled(deployed: Deployed) -> Iterator[None]:
    """Disable the event source mapping."""
    _update_mapping(deployed, {"Enabled": False}, state="Disabled")
    try:
        yield
    finally:
        _update_mapping(deployed, {"Enabled": True})


def _update_mapping(deployed: Deployed, changed: Mapping[str, Any], *, state: str = "Enabled") -> None:
    functions, mapping = deployed.run.account.functions, deployed.mapping
    functions.update_event_source_mapping(UUID=mapping, **changed)
    wait_until(
        lambda: functions.get_event_source_mapping(UUID=mapping)["State"] == state,
        f"The mapping is {state}",
        every=1.0,
        within=deployed.run.pace.resources,
    )


@contextmanager
def not_invoked(deployed: Deployed) -> Iterator[None]:
    """Set the function's reserved concurrency to 0, so that Lambda throttles each invocation."""
    functions, name = deployed.run.account.functions, deployed.function
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        yield
    finally:
        functions.delete_function_concurrency(FunctionName=name)


@contextmanager
def short_of_capacity(deployed: Deployed) -> Iterator[None]:
    """Set the replica and its index to one write capacity unit per second."""
    _set_writes(deployed, 1)
    try:
        yield
    finally:
        _set_writes(deployed, _WRITES)


def _set_writes(deployed: Deployed, writes: int) -> None:
    dynamodb, replica = deployed.run.account.dynamodb, deployed.pair.replica
    dynamodb.update_table(
        TableName=replica,
        ProvisionedThroughput={"ReadCapacityUnits": _READS, "WriteCapacityUnits": writes},
        GlobalSecondaryIndexUpdates=[
            {
                "Update": {
                    "IndexName": INDEX,
                    "ProvisionedThroughput": {"ReadCapacityUnits": _READS, "WriteCapacityUnits": writes},
                }
            }
        ],
    )
    wait_until(
        lambda: dynamodb.describe_table(TableName=replica)["Table"]["TableStatus"] == "ACTIVE",
        "The replica's capacity is changed",
        every=1.0,
        within=deployed.run.pace.resources,
    )


@contextmanager
def destination_denied(deployed: Deployed) -> Iterator[None]:
    """Make the on-failure bucket reject objects."""
    s3, bucket = deployed.run.account.s3, deployed.outputs["OnFailureBucketName"]
    before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    denied = json.loads(before)
    denied["Statement"].append(
        {
            "Sid": "RefuseObjects",
            "Effect": "Deny",
            "Principal": {"AWS": deployed.outputs["FunctionRoleArn"]},
            "Action": "s3:PutObject",
            "Resource": f"{_arn(denied)}/*",
        }
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(denied))
    try:
        yield
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=before)


def _arn(policy: Mapping[str, Any]) -> str:
    """Return the ARN of the bucket's objects from the template's policy statement."""
    arn: str = policy["Statement"][0]["Resource"][0]
    return arn
