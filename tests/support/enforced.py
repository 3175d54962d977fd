"""The template deployed to an embedded AWS that enforces roles, and ways to remove permissions."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from demo import traffic
from demo.deploy import Stack
from demo.embedded import EmbeddedAws
from demo.pair import Item, Pair, wait_until

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

ENFORCED: Final = (
    "ApplyChangesToTheReplica",
    "WriteAsTheRoleOfTheReplica",
    "QuarantineWhatCanNeverBeWritten",
)
"""The statements for the function's own calls."""


def actions(statement: Mapping[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else list(action)


class Role:
    """The deployed role. Each change of it lasts for a block."""

    def __init__(self, iam: "IAMClient", name: str, *, enforced: Collection[str] = ENFORCED) -> None:
        self._iam = iam
        self.name = name
        self._enforced = enforced
        (self._policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
        document: Any = iam.get_role_policy(RoleName=name, PolicyName=self._policy)["PolicyDocument"]
        self._statements: list[dict[str, Any]] = document["Statement"]

    @contextmanager
    def without(self, action: str) -> Iterator[None]:
        """Remove an action from the statements for the function's own calls."""
        left = [
            each | {"Action": [kept for kept in actions(each) if kept != action]}
            if each["Sid"] in self._enforced
            else each
            for each in self._statements
        ]
        with self._replaced([each for each in left if each["Action"]]):
            yield

    @contextmanager
    def only(self, *purposes: str) -> Iterator[None]:
        """Keep only these statements."""
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
        self._iam.put_role_policy(RoleName=self.name, PolicyName=self._policy, PolicyDocument=document)


@dataclass(frozen=True, slots=True)
class Deployed:
    """The template, deployed where roles are enforced."""

    aws: EmbeddedAws
    stack: Stack
    pair: Pair
    role: Role
    bucket_policy: str

    @property
    def policy_over_http(self) -> str:
        """Return the bucket's policy without the statement that denies plain HTTP."""
        return over_http(self.bucket_policy)

    def write_batch(self, name: str) -> str:
        """Write a batch that needs each call of the function, without delivering it. Return the key of its poison.

        Because of the poison the function sends the put and the delete separately, and describes the table again.
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
        """Deliver the batch."""
        self._poll(True)

    def error_while(self, fault: AbstractContextManager[None], poison: str) -> str:
        """Deliver the batch during a fault. Return the error in the function's log."""
        with fault:
            self.deliver()
            wait_until(lambda: self._last_result() == "FAILED", "The invocation fails")
            assert poison not in self.quarantined()
            return self.errors()[-1]

    def settle(self, poison: str) -> None:
        """Wait until the batch is applied, and delete its poison from the source."""
        self.pair.wait_until_equal(but_for=frozenset({poison}))
        wait_until(lambda: poison in self.quarantined(), "The poison is in quarantine")
        traffic.delete(self.pair, [poison])
        self.pair.wait_until_equal()

    def quarantined(self) -> set[str]:
        return {found.key for found in traffic.quarantined(self.aws.s3, self.stack.quarantine_bucket)}

    def errors(self) -> list[str]:
        """Return the errors in the function's log."""
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
            self.aws.s3.put_bucket_policy(Bucket=bucket, Policy=self.policy_over_http)

    def _poll(self, enabled: bool) -> None:
        uuid = self.stack.outputs["EventSourceMappingId"]
        self.aws.lambda_.update_event_source_mapping(UUID=uuid, Enabled=enabled)

    def _last_result(self) -> str:
        uuid = self.stack.outputs["EventSourceMappingId"]
        return self.aws.lambda_.get_event_source_mapping(UUID=uuid)["LastProcessingResult"]


def over_http(policy: str) -> str:
    """Return a bucket policy that allows plain HTTP, which the embedded AWS uses."""
    document = json.loads(policy)
    left = [each for each in document["Statement"] if each["Sid"] != "RefusePlainHttp"]
    return json.dumps({**document, "Statement": left})


def item(key: str) -> Item:
    return {"PK": {"S": key}, "GSI_1_PK": {"S": "host#1"}}
