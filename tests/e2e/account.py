"""The user's AWS account: its number and alias, its clients, and whether a resource exists."""

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

# Many attempts, since the workshop's tables have five write capacity units per second, and throttle.
_CONFIG: Final = Config(retries={"mode": "standard", "total_max_attempts": 12}, tcp_keepalive=True)


@dataclass(frozen=True)
class Account:
    """The account of AWS's environment variables and files, and a Region.

    Raises TaskError if two environment variables name different Regions.
    """

    region: str | None = field(default_factory=lambda: decide(profile=None))

    @classmethod
    def in_region(cls, region: str | None) -> "Account":
        """Return the account in this Region, or in the Region of the environment or profile if it is None."""
        return cls(decide(region, profile=None))

    @cached_property
    def session(self) -> boto3.Session:
        """The session that creates the clients."""
        return boto3.Session(region_name=self.region)

    @cached_property
    def caller(self) -> "GetCallerIdentityResponseTypeDef":
        """The identity of the credentials."""
        return self.session.client("sts", config=_CONFIG).get_caller_identity()

    @property
    def number(self) -> str:
        """The account's number."""
        return self.caller["Account"]

    def alias(self) -> str:
        """Return the account's alias, or why it is unknown."""
        try:
            aliases = self.session.client("iam", config=_CONFIG).list_account_aliases()["AccountAliases"]
        except ClientError as error:
            return f"unknown ({error.response['Error'].get('Code')})"
        return ", ".join(aliases) or "none"

    def endpoints(self) -> str:
        """Return the endpoint of each service, or the only endpoint if all are equal."""
        clients = (self.cloudformation, self.cloudwatch, self.dynamodb, self.functions, self.logs, self.s3)
        urls = {client.meta.service_model.service_name: client.meta.endpoint_url for client in clients}
        if len(set(urls.values())) == 1:
            return urls["s3"]
        return ", ".join(f"{service} {url}" for service, url in urls.items())

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """A CloudFormation client."""
        return self.session.client("cloudformation", config=_CONFIG)

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        """A CloudWatch client."""
        return self.session.client("cloudwatch", config=_CONFIG)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """A DynamoDB client."""
        return self.session.client("dynamodb", config=_CONFIG)

    @cached_property
    def functions(self) -> "LambdaClient":
        """A Lambda client."""
        return self.session.client("lambda", config=_CONFIG)

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        """A CloudWatch Logs client."""
        return self.session.client("logs", config=_CONFIG)

    @cached_property
    def s3(self) -> "S3Client":
        """An S3 client."""
        return self.session.client("s3", config=_CONFIG)

    def has_stack(self, name: str) -> bool:
        """Return whether a stack with this name exists; a deleted stack does not."""
        return self.stack(name) is not None

    def stack(self, name: str) -> "StackTypeDef | None":
        """Return the stack with this name, or with this id even if it was deleted, or None."""
        try:
            return self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            _unless_missing(error, "ValidationError")
            return None

    def has_table(self, name: str) -> bool:
        """Return whether a table with this name exists."""
        try:
            self.dynamodb.describe_table(TableName=name)
        except ClientError as error:
            return _unless_missing(error, "ResourceNotFoundException")
        return True

    def has_bucket(self, name: str) -> bool:
        """Return whether a bucket with this name exists and is accessible."""
        try:
            self.s3.head_bucket(Bucket=name)
        except ClientError as error:
            return _unless_missing(error, "404", "NoSuchBucket")
        return True

    def table_tags(self, name: str) -> "list[TagTypeDef]":
        """Return the tags of an existing table."""
        arn = self.dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
        pages = self.dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
        return [{"Key": tag["Key"], "Value": tag["Value"]} for page in pages for tag in page["Tags"]]

    def bucket_tags(self, name: str) -> "list[TagTypeDef]":
        """Return the tags of an existing bucket."""
        try:
            tags = self.s3.get_bucket_tagging(Bucket=name)["TagSet"]
        except ClientError as error:
            _unless_missing(error, "NoSuchTagSet")
            return []
        return [{"Key": tag["Key"], "Value": tag["Value"]} for tag in tags]

    def has_log_group(self, name: str) -> bool:
        """Return whether a log group with this name exists."""
        return self._log_group_arn(name) is not None

    def log_group_tags(self, name: str) -> "list[TagTypeDef]":
        """Return the tags of an existing log group."""
        arn = self._log_group_arn(name) or ""
        tags = self.logs.list_tags_for_resource(resourceArn=arn.removesuffix(":*"))["tags"]
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def _log_group_arn(self, name: str) -> str | None:
        found = self.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        return next((group["arn"] for group in found if group["logGroupName"] == name), None)


def _unless_missing(error: ClientError, *codes: str) -> bool:
    """Return False if the error means that the resource does not exist. Otherwise raise the error again."""
    if error.response["Error"].get("Code") not in codes:
        raise error
    return False
