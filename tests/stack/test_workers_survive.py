"""Workers under trouble on the embedded AWS: writes during a job, killed workers, repetitions, missing permissions."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from demo.deploy import Package
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import wait_until
from demo.writing import writing
from tests.support.enforced import Role, over_http
from tests.support.template import properties
from tests.support.workers import Deployed, Response, item, key, package

ITEMS = 20_000
SEGMENTS = 8

STATEMENTS = [
    each["Sid"]
    for each in properties("WorkerRole", Workers="true")["Policies"][0]["PolicyDocument"]["Statement"]
]


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws(enforce_roles=True) as aws:
        yield aws


@pytest.fixture(scope="module")
def packaged(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package(aws, tmp_path_factory.mktemp("code"), items_of_a_segment=ITEMS // SEGMENTS)


def deployed(aws: EmbeddedAws, name: str, packaged: Package, **parameters: str) -> Deployed:
    one = Deployed.by(aws, name, packaged, **parameters)
    # The embedded AWS uses plain HTTP, which the template's bucket policies deny.
    policy = aws.s3.get_bucket_policy(Bucket=one.stack.quarantine_bucket)["Policy"]
    aws.s3.put_bucket_policy(Bucket=one.stack.quarantine_bucket, Policy=over_http(policy))
    aws.s3.delete_bucket_policy(Bucket=one.stack.outputs["OnFailureBucketName"])
    let_streams_be_read(one)
    return one


def let_streams_be_read(one: Deployed) -> None:
    """Allow the calls that read a stream for all resources, since the embedded AWS knows no resource of them."""
    role = one.stack.outputs["WorkerRoleArn"].rpartition("/")[2]
    (policy,) = one.aws.iam.list_role_policies(RoleName=role)["PolicyNames"]
    document: Any = one.aws.iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    for statement in document["Statement"]:
        if statement["Sid"] == "ReadChangesOfTheSource":
            statement["Resource"] = "*"
    one.aws.iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


@pytest.fixture(scope="module")
def large(aws: EmbeddedAws, packaged: Package) -> Deployed:
    one = deployed(aws, "large", packaged, WorkerConcurrency=str(SEGMENTS), BatchSize="1000")
    one.fill(range(ITEMS))
    return one


@contextmanager
def refusing_states(one: Deployed) -> Iterator[None]:
    """Let the bucket refuse every write of a state during a block."""
    bucket = one.stack.quarantine_bucket
    before = one.aws.s3.get_bucket_policy(Bucket=bucket)["Policy"]
    document = json.loads(before)
    document["Statement"].append(
        {
            "Sid": "RefuseStates",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/jobs/*/states/*",
        }
    )
    one.aws.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    try:
        yield
    finally:
        one.aws.s3.put_bucket_policy(Bucket=bucket, Policy=before)


def test_a_repair_under_writes_survives_killed_repeated_and_refused_workers(large: Deployed) -> None:
    replica = large.pair.replica
    # The writer comes to other items first.
    planted = (ITEMS - 3, ITEMS - 2)
    large.aws.dynamodb.delete_item(TableName=replica, Key={"PK": {"S": key(planted[0])}})
    large.aws.dynamodb.put_item(TableName=replica, Item=item(planted[1]) | {"text": {"S": "other"}})
    large.aws.dynamodb.put_item(TableName=replica, Item=item(ITEMS + 1))

    with writing(large.pair) as writer:
        wait_until(lambda: writer.written > 20, "The writer is running")
        with refusing_states(large):
            execution = large.start("verify", "repair", repair=True, grace=1)
            wait_until(lambda: large.names("jobs/large/repair/segments.jsonl") != [], "The job is planned")
            time.sleep(1)
        wait_until(lambda: len(large.names("jobs/large/repair/states/")) > 2, "Workers are running")
        os.kill(large.processes()[0], signal.SIGKILL)
        repeated = large.invoke("work", "repair", members={"line": {"segments": [0]}})
        end = large.ended(execution, within=300)

    assert end["status"] == "SUCCEEDED", (end.get("cause"), large.aws.complaints())
    assert repeated.failed == ""
    report = large.stored("repair/report.json")
    found = {each["key"]["PK"]["S"] for each in report["differences"]}
    assert {key(number) for number in (*planted, ITEMS + 1)} <= found, report
    assert writer.updated
    assert writer.deleted
    assert report["verdict"] == "repaired", report
    large.pair.wait_until_equal()
    proof = large.run("verify", "proof")
    assert proof["verdict"] == "equal"


# Permissions


@pytest.fixture(scope="module")
def small(aws: EmbeddedAws, packaged: Package) -> Deployed:
    one = deployed(aws, "small", packaged)
    one.fill(range(20))
    return one


def tasks(one: Deployed, job: str) -> Iterator[Response]:
    """Do the tasks of a job that repairs an item, and of a redrive, one after the other."""
    one.aws.dynamodb.delete_item(TableName=one.pair.replica, Key={"PK": {"S": key(1)}})
    options = {"grace": 0, "repair": True}
    plan: dict[str, Any] = {
        "what": "verify",
        "options": options,
        "scheduled": False,
        "concurrency": 1,
        "max_units": 0,
    }
    yield one.invoke("plan", job, members=plan)
    yield one.invoke("work", job, members={"line": {"segments": [0]}})
    yield one.invoke("gather", job)
    yield one.invoke("confirm", job, members={"line": {"pieces": [0]}})
    yield one.invoke("report", job)
    yield one.invoke("redrive", job)


def test_the_role_of_the_worker_suffices(small: Deployed) -> None:
    assert [each.failed for each in tasks(small, "enough")] == [""] * 6
    assert small.stored("enough/report.json")["verdict"] == "repaired"
    small.pair.wait_until_equal()


@pytest.mark.parametrize(
    "action",
    [
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:DescribeTable",
        "dynamodb:Scan",
        "lambda:GetFunctionConfiguration",
        "lambda:ListEventSourceMappings",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    ],
)
def test_without_an_action_a_task_fails_and_names_it(small: Deployed, action: str) -> None:
    """Not tried are the actions that the embedded AWS does not enforce, and those of which none is needed here."""
    name = small.stack.outputs["WorkerRoleArn"].rpartition("/")[2]
    role = Role(small.aws.iam, name, enforced=STATEMENTS)

    with role.without(action):
        failed = next(each.failed for each in tasks(small, f"no-{action.replace(':', '-')}") if each.failed)

    assert f"not authorized to perform: {action}" in failed
    small.invoke("report", f"no-{action.replace(':', '-')}")  # releases the lease


# Time


def test_a_worker_that_times_out_is_tried_again(small: Deployed) -> None:
    # The tests without an action leave the item missing.
    small.aws.dynamodb.put_item(TableName=small.pair.replica, Item=item(1))
    worker = small.stack.outputs["WorkerFunctionName"]
    # A worker leaves 90 seconds of its time, so that it works for half a minute.
    small.aws.lambda_.update_function_configuration(FunctionName=worker, Timeout=120)
    assert "the job warm does not exist" in small.invoke("gather", "warm").failed
    stopped = small.processes()
    for process in stopped:
        os.kill(process, signal.SIGSTOP)

    end = small.ended(small.start("verify", "timed-out", grace=0), within=300)

    assert end["status"] == "SUCCEEDED", (end.get("cause"), small.aws.complaints())
    assert stopped
    assert not set(stopped) & set(small.processes())
    assert small.stored("timed-out/report.json")["verdict"] == "equal"
