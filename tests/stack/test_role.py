"""The role of the template, enforced: enough for the function's work, and without any action of it nothing is lost."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from demo import traffic
from demo.deploy import Stack, deploy
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import Item, Pair, wait_until
from tests.support.template import resources

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

ENFORCED: Final = ("ApplyChangesToTheReplica", "QuarantineWhatCanNeverBeWritten")
"""The statements that govern the function's own calls."""

NOT_ENFORCED: Final = {
    "ReadChangesOfTheSource": "the embedded AWS reads the stream by itself, not as the role",
    "KeepWhatLambdaGivesUp": "the embedded AWS never writes to the on-failure bucket",
    "LetLambdaFindTheOnFailureBucket": "the embedded AWS never looks for the on-failure bucket",
    "NeverWriteToTheSource": "it matters only where the replica is the source",
    "WriteItsOwnLog": "the embedded AWS writes the log by itself, not as the role",
    "SendTracesWhichHaveNoResource": "not there by default, and traces are sent by Lambda, not by the function",
}


def statements(**parameters: str | int) -> Mapping[str, Any]:
    """The statements of the template's one policy, by what they are for."""
    (policy,) = resources(**parameters)["DDBReplicationRole"]["Properties"]["Policies"]
    return {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}


def actions(statement: Mapping[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else list(action)


REFUSED: Final = {
    "dynamodb": "ReplicaError: The replica table refuses every request: AccessDeniedException",
    "s3": "QuarantineError: The quarantine bucket ddbreplica-quarantinebucket-",
}
ACTIONS: Final = [action for purpose in ENFORCED for action in actions(statements()[purpose])]


class Role:
    """The deployed role; each change of it lasts for a block."""

    def __init__(self, iam: "IAMClient", name: str) -> None:
        self._iam = iam
        self._name = name
        (self._policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
        document: Any = iam.get_role_policy(RoleName=name, PolicyName=self._policy)["PolicyDocument"]
        self._statements: list[dict[str, Any]] = document["Statement"]

    @contextmanager
    def without(self, action: str) -> Iterator[None]:
        """Take an action from the statements of the function's own calls."""
        left = [
            each | {"Action": [kept for kept in actions(each) if kept != action]}
            if each["Sid"] in ENFORCED
            else each
            for each in self._statements
        ]
        with self._replaced([each for each in left if each["Action"]]):
            yield

    @contextmanager
    def only(self, *purposes: str) -> Iterator[None]:
        """Leave it these statements."""
        with self._replaced([each for each in self._statements if each["Sid"] in purposes]):
            yield

    @contextmanager
    def _replaced(self, statements: list[dict[str, Any]]) -> Iterator[None]:
        self._put(statements)
        try:
            yield
        finally:
            self._put(self._statements)

    def _put(self, statements: list[dict[str, Any]]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self._iam.put_role_policy(RoleName=self._name, PolicyName=self._policy, PolicyDocument=document)


@dataclass(frozen=True, slots=True)
class Deployed:
    """The template, deployed where roles count."""

    aws: EmbeddedAws
    stack: Stack
    pair: Pair
    role: Role
    bucket_policy: str

    def write_batch(self, name: str) -> str:
        """Write one batch that takes every call which the function knows, and hold it back; return its poison's key.

        Beside the poison a put and a delete go out alone, and the table is described anew.
        """
        put, deleted, poison = (item(f"{name}#{what}") for what in ("put", "deleted", "poison"))
        poison["GSI_1_PK"] = {"N": "5"}
        self.pair.dynamodb.put_item(TableName=self.pair.source, Item=deleted)
        self.pair.wait_until_equal()
        self._poll(False)
        self.pair.dynamodb.put_item(TableName=self.pair.source, Item=put)
        traffic.delete(self.pair, [deleted["PK"]["S"]])
        self.pair.dynamodb.put_item(TableName=self.pair.source, Item=poison)
        return str(poison["PK"]["S"])

    def deliver(self) -> None:
        """Let the batch that was held back go."""
        self._poll(True)

    def error_while(self, fault: AbstractContextManager[None], poison: str) -> str:
        """Let the batch go while there is a fault; return what the function said in its own log."""
        with fault:
            self.deliver()
            wait_until(lambda: self._last_result() == "FAILED", "The invocation fails")
            assert poison not in self.quarantined()
            return self.errors()[-1]

    def settle(self, poison: str) -> None:
        """Wait until the batch is through, and take its poison from the source again."""
        self.pair.wait_until_equal(but_for=frozenset({poison}))
        wait_until(lambda: poison in self.quarantined(), "The poison is in quarantine")
        traffic.delete(self.pair, [poison])
        self.pair.wait_until_equal()

    def quarantined(self) -> set[str]:
        return {found.key for found in traffic.quarantined(self.aws.s3, self.stack.quarantine_bucket)}

    def errors(self) -> list[str]:
        """The errors in the function's own log."""
        group = self.stack.outputs["LogGroupName"]
        pages = self.aws.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        lines = [event["message"] for page in pages for event in page["events"]]
        return [line for line in lines if line.startswith("ddbreplica.errors.")]

    @contextmanager
    def refusing_plain_http(self) -> Iterator[None]:
        """Give the quarantine bucket the template's policy for a block."""
        bucket = self.stack.quarantine_bucket
        self.aws.s3.put_bucket_policy(Bucket=bucket, Policy=self.bucket_policy)
        try:
            yield
        finally:
            self.aws.s3.delete_bucket_policy(Bucket=bucket)

    def _poll(self, enabled: bool) -> None:
        uuid = self.stack.outputs["EventSourceMappingId"]
        self.aws.lambda_.update_event_source_mapping(UUID=uuid, Enabled=enabled)

    def _last_result(self) -> str:
        uuid = self.stack.outputs["EventSourceMappingId"]
        return self.aws.lambda_.get_event_source_mapping(UUID=uuid)["LastProcessingResult"]


def item(key: str) -> Item:
    return {"PK": {"S": key}, "GSI_1_PK": {"S": "host#1"}}


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    with embedded_aws(enforce_roles=True) as aws:
        stack = deploy(aws)
        pair = Pair(aws.dynamodb, stack.source, stack.replica)
        traffic.drop_source_index(pair)
        role = Role(aws.iam, stack.outputs["FunctionRoleArn"].rpartition("/")[2])
        # This AWS is reached by plain HTTP, which the template lets no bucket be.
        bucket_policy = aws.s3.get_bucket_policy(Bucket=stack.quarantine_bucket)["Policy"]
        aws.s3.delete_bucket_policy(Bucket=stack.quarantine_bucket)
        yield Deployed(aws, stack, pair, role, bucket_policy)


def test_the_role_is_enough(deployed: Deployed) -> None:
    poison = deployed.write_batch("enough")

    deployed.deliver()
    deployed.settle(poison)

    assert deployed.errors() == []
    assert deployed.quarantined() == {"enough#poison"}
    assert {"enough#put"} == deployed.pair.items(deployed.pair.replica).keys()


@pytest.mark.parametrize("action", ACTIONS)
def test_without_an_action_the_batch_fails_loudly_and_is_not_lost(deployed: Deployed, action: str) -> None:
    poison = deployed.write_batch(action)

    error = deployed.error_while(deployed.role.without(action), poison)
    deployed.settle(poison)

    assert REFUSED[action.partition(":")[0]] in error
    assert f"is not authorized to perform: {action}" in error
    assert "nothing was acknowledged" in error
    assert f"{action}#put" in deployed.pair.items(deployed.pair.replica)
    assert poison in deployed.quarantined()


def test_plain_http_is_refused_by_the_bucket_and_the_batch_is_not_lost(deployed: Deployed) -> None:
    poison = deployed.write_batch("plain http")

    error = deployed.error_while(deployed.refusing_plain_http(), poison)
    deployed.settle(poison)

    assert REFUSED["s3"] in error
    assert "with an explicit deny in a resource-based policy" in error
    assert poison in deployed.quarantined()


def test_every_statement_is_enforced_or_known_not_to_be() -> None:
    assert statements(Tracing="Active").keys() == {*ENFORCED, *NOT_ENFORCED}


def test_what_is_not_enforced_is_not_needed_here(deployed: Deployed) -> None:
    poison = deployed.write_batch("not enforced")

    with deployed.role.only(*ENFORCED):
        deployed.deliver()
        deployed.settle(poison)

    assert "not enforced#put" in deployed.pair.items(deployed.pair.replica)
