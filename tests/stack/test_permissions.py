"""Each command, run with the permissions in docs/permissions.md: they suffice, and each is required."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from demo import traffic
from demo.deploy import Stack, deploy
from demo.embedded import REGION, EmbeddedAws, embedded_aws
from demo.pair import Pair
from tests.support.cli import run
from tests.support.enforced import over_http
from tests.support.permissions import sections

USER = "operator"
WITH_WORKERS = {
    "Workers": "true",
    "VerifyScheduleExpression": "rate(1 day)",
    "RedriveScheduleExpression": "rate(1 hour)",
}
KEY = "corrected"
COMMANDS = {
    "load": (0, ("--generate", "20")),
    "status": (1, ()),
    "status --all": (1, ()),
    "verify": (1, ("--grace", "0")),
    "verify --repair": (0, ("--grace", "0")),
    "backfill": (0, ()),
    "redrive": (0, ()),
    "redrive --find": (1, (json.dumps({"PK": {"S": KEY}}),)),
    "redrive --purge-done": (0, ("--yes",)),
    "verify --in-aws": (1, ("--grace", "0")),
    "backfill --in-aws": (0, ()),
    "redrive --in-aws": (0, ()),
    "jobs show": (0, ()),
    "tail": (0, ("--since", "1h", "--limit", "1")),
}
"""How they end, and with which options."""


@dataclass(frozen=True, slots=True)
class Operator:
    """An IAM user without permissions on the embedded AWS, and the stack to operate."""

    aws: EmbeddedAws
    stack: Stack
    pair: Pair
    credentials: Mapping[str, str]

    @contextmanager
    def allowed(self, *words: str) -> Iterator[None]:
        """Attach the policies under the headings with these words to the user during a block."""
        listed = [policy for over, policy in sections().items() if set(over.split()) <= set(words)]
        statements = [_as_embedded(statement) for policy in listed for statement in policy["Statement"]]
        document = self._named(json.dumps({"Version": "2012-10-17", "Statement": statements}))
        self.aws.iam.put_user_policy(UserName=USER, PolicyName="listed", PolicyDocument=document)
        try:
            yield
        finally:
            self.aws.iam.delete_user_policy(UserName=USER, PolicyName="listed")

    def _named(self, text: str) -> str:
        outputs = self.stack.outputs
        schedule = self.aws.cloudformation.describe_stack_resource(
            StackName=self.stack.name, LogicalResourceId="VerifySchedule"
        )
        names = {
            "STATE_MACHINE": outputs["BulkStateMachineArn"].rpartition(":")[2],
            "VERIFY_SCHEDULE": schedule["StackResourceDetail"]["PhysicalResourceId"],
            "QUARANTINE_BUCKET": self.stack.quarantine_bucket,
            "ON_FAILURE_BUCKET": outputs["OnFailureBucketName"],
            "FUNCTION": outputs["FunctionName"],
            "REGION": REGION,
            "ACCOUNT": outputs["SourceTableArn"].split(":")[4],
            "SOURCE": self.stack.source,
            "REPLICA": self.stack.replica,
            "STACK": self.stack.name,
        }
        for placeholder, name in names.items():
            text = text.replace(placeholder, name)
        return text

    def set_apart(self) -> None:
        """Delete an item from the replica."""
        item = {"PK": {"S": KEY}, "version": {"S": secrets.token_hex(4)}}
        self.pair.dynamodb.put_item(TableName=self.pair.source, Item=item)
        self.pair.wait_until_equal()
        self.pair.dynamodb.delete_item(TableName=self.pair.replica, Key={"PK": {"S": KEY}})

    def run(self, words: str, *options: str) -> Result:
        named = () if "--all" in words else ("--stack-name", self.stack.name)
        return run(*words.split(), *options, *named, "--endpoint-url", self.aws.endpoint_url)


def _as_embedded(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a statement as the embedded AWS takes it, which knows no resource of a stream's calls."""
    return {**statement, "Resource": "*"} if "/stream/" in statement["Resource"] else statement


@pytest.fixture(scope="module")
def deployed() -> Iterator[Operator]:
    """An operator and a stack with one quarantined record, whose item is corrected in the source."""
    with embedded_aws(enforce_roles=True) as aws:
        stack = deploy(aws, **WITH_WORKERS)
        # The embedded AWS uses plain HTTP, which the template's bucket policies deny.
        policy = aws.s3.get_bucket_policy(Bucket=stack.quarantine_bucket)["Policy"]
        aws.s3.put_bucket_policy(Bucket=stack.quarantine_bucket, Policy=over_http(policy))
        aws.s3.delete_bucket_policy(Bucket=stack.outputs["OnFailureBucketName"])
        pair = Pair(aws.dynamodb, stack.source, stack.replica)
        traffic.drop_source_index(pair)
        pair.dynamodb.put_item(TableName=pair.source, Item={"PK": {"S": KEY}, "GSI_1_PK": {"N": "5"}})
        traffic.wait_for_quarantine(aws.s3, stack.quarantine_bucket)
        aws.iam.create_user(UserName=USER)
        key = aws.iam.create_access_key(UserName=USER)["AccessKey"]
        credentials = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        yield Operator(aws, stack, pair, credentials)


@pytest.fixture
def operator(deployed: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Operator:
    monkeypatch.chdir(tmp_path)
    for name, value in deployed.credentials.items():
        monkeypatch.setenv(name, value)
    return deployed


@pytest.mark.parametrize("words", COMMANDS)
def test_the_listed_permissions_suffice(operator: Operator, words: str) -> None:
    exit_code, options = COMMANDS[words]
    operator.set_apart()

    with operator.allowed("--stack-name", *words.split()):
        result = operator.run(words, *options)

    assert "not authorized" not in result.output
    assert result.exit_code == exit_code, result.output


@pytest.mark.parametrize("words", COMMANDS)
def test_without_the_permissions_the_command_fails(operator: Operator, words: str) -> None:
    with operator.allowed("--stack-name"):
        result = operator.run(words, *COMMANDS[words][1])

    assert result.exit_code == 2
    assert "not authorized" in result.output
