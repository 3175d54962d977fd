"""The environment's credentials → clients of the user's account, and whose account it is."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from ddbreplica.aws.region import decide

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef, TagTypeDef
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts.type_defs import GetCallerIdentityResponseTypeDef

# Many attempts: the workshop's tables have five write units, and what is throttled is only early.
_CONFIG: Final = Config(retries={"mode": "standard", "total_max_attempts": 12}, tcp_keepalive=True)


@dataclass(frozen=True)
class Account:
    """An account, as AWS's own environment variables and files name it, and a Region of it.

    Raises TaskError if two environment variables name different Regions.
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

    @cached_property
    def caller(self) -> "GetCallerIdentityResponseTypeDef":
        """Whose credentials these are."""
        return self.session.client("sts", config=_CONFIG).get_caller_identity()

    @property
    def number(self) -> str:
        """The account's number."""
        return self.caller["Account"]

    def alias(self) -> str:
        """The account's alias for a reader, or why it is not known."""
        try:
            aliases = self.session.client("iam", config=_CONFIG).list_account_aliases()["AccountAliases"]
        except ClientError as error:
            return f"unknown ({error.response['Error'].get('Code')})"
        return ", ".join(aliases) or "none"

    def endpoints(self) -> str:
        """Where requests are sent to, by service, or in one word if all go to one place."""
        clients = (self.cloudformation, self.cloudwatch, self.dynamodb, self.functions, self.logs, self.s3)
        urls = {client.meta.service_model.service_name: client.meta.endpoint_url for client in clients}
        if len(set(urls.values())) == 1:
            return urls["s3"]
        return ", ".join(f"{service} {url}" for service, url in urls.items())

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
        return self.stack(name) is not None

    def stack(self, name: str) -> "StackTypeDef | None":
        """The stack of this name, or of this id even if it was deleted; None if there is none."""
        try:
            return self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            _unless_missing(error, "ValidationError")
            return None

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

    def table_tags(self, name: str) -> "list[TagTypeDef]":
        """The tags of a table that is there."""
        arn = self.dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
        pages = self.dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
        return [{"Key": tag["Key"], "Value": tag["Value"]} for page in pages for tag in page["Tags"]]

    def bucket_tags(self, name: str) -> "list[TagTypeDef]":
        """The tags of a bucket that is there."""
        try:
            tags = self.s3.get_bucket_tagging(Bucket=name)["TagSet"]
        except ClientError as error:
            _unless_missing(error, "NoSuchTagSet")
            return []
        return [{"Key": tag["Key"], "Value": tag["Value"]} for tag in tags]

    def has_log_group(self, name: str) -> bool:
        """Whether there is a log group of this name."""
        return self._log_group_arn(name) is not None

    def log_group_tags(self, name: str) -> "list[TagTypeDef]":
        """The tags of a log group that is there."""
        arn = self._log_group_arn(name) or ""
        tags = self.logs.list_tags_for_resource(resourceArn=arn.removesuffix(":*"))["tags"]
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def _log_group_arn(self, name: str) -> str | None:
        found = self.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        return next((group["arn"] for group in found if group["logGroupName"] == name), None)


def _unless_missing(error: ClientError, *codes: str) -> bool:
    """False if the error says that there is no such thing; raises it again otherwise."""
    if error.response["Error"].get("Code") not in codes:
        raise error
    return False
