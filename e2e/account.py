"""The environment's credentials → clients of the user's account, and whose account it is."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from ddbreplica_cli.region import decide

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

# Many attempts: the workshop's tables have five write units, and what is throttled is only early.
_CONFIG: Final = Config(retries={"mode": "standard", "total_max_attempts": 12}, tcp_keepalive=True)


@dataclass(frozen=True)
class Account:
    """An account, as AWS's own environment variables and files name it, and a Region of it.

    Raises CommandError if two environment variables name different Regions.
    """

    region: str | None = field(default_factory=lambda: decide(profile=None))

    @classmethod
    def in_region(cls, region: str | None) -> "Account":
        """The account in this Region or, if None, in that of the environment or the profile."""
        return cls(decide(region, profile=None))

    @cached_property
    def session(self) -> boto3.Session:
        """What makes the clients."""
        return boto3.Session(region_name=self.region)

    def identity(self) -> str:
        """Who asks, in one line: account, Region and principal."""
        caller = self.session.client("sts", config=_CONFIG).get_caller_identity()
        return f"account {caller['Account']}, Region {self.region}, as {caller['Arn']}"

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """A client for stacks."""
        return self.session.client("cloudformation", config=_CONFIG)

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        """A client for alarms and metrics."""
        return self.session.client("cloudwatch", config=_CONFIG)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """A client for tables."""
        return self.session.client("dynamodb", config=_CONFIG)

    @cached_property
    def functions(self) -> "LambdaClient":
        """A client for functions and their mappings."""
        return self.session.client("lambda", config=_CONFIG)

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        """A client for log groups."""
        return self.session.client("logs", config=_CONFIG)

    @cached_property
    def s3(self) -> "S3Client":
        """A client for buckets."""
        return self.session.client("s3", config=_CONFIG)

    def has_stack(self, name: str) -> bool:
        """Whether there is a stack of this name; one that was deleted is none."""
        try:
            self.cloudformation.describe_stacks(StackName=name)
        except ClientError as error:
            return _unless_missing(error, "ValidationError")
        return True

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""
        try:
            self.dynamodb.describe_table(TableName=name)
        except ClientError as error:
            return _unless_missing(error, "ResourceNotFoundException")
        return True

    def has_bucket(self, name: str) -> bool:
        """Whether a bucket of this name can be reached."""
        try:
            self.s3.head_bucket(Bucket=name)
        except ClientError as error:
            return _unless_missing(error, "404", "NoSuchBucket")
        return True

    def has_log_group(self, name: str) -> bool:
        """Whether there is a log group of this name."""
        found = self.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        return any(group["logGroupName"] == name for group in found)


def _unless_missing(error: ClientError, *codes: str) -> bool:
    """False if the error says that there is no such thing; raises it again otherwise."""
    if error.response["Error"].get("Code") not in codes:
        raise error
    return False
