"""The shared options → the two tables' places, and clients of AWS there."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.config import Config

from ddbreplica.aws.clock import Clock
from ddbreplica.aws.region import decide
from ddbreplica.aws.request import ask
from ddbreplica.aws.session import ASKING, Clients
from ddbreplica.model import Refusal
from ddbreplica_cli.terminal.errors import CommandError, explain
from ddbreplica_cli.terminal.options import REPLICA, SOURCE, Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudformation.type_defs import DescribeStacksOutputTypeDef
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client


_LAST_PART = 5
"""Of `arn:PARTITION:dynamodb:REGION:ACCOUNT:table/NAME`, counted from 0."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tables: `name` is how a request names it, by name or ARN, and `option` what names it here."""

    name: str
    option: str
    region: str | None
    _clients: Clients
    clock: Clock = field(default_factory=Clock)

    @property
    def short_name(self) -> str:
        """The table's name, never its ARN."""
        return self.name.rpartition("/")[2]

    def dynamodb(self, config: Config = ASKING) -> "DynamoDBClient":
        """A client for the table."""
        return self._clients.dynamodb(self.region, config)

    def metrics(self) -> "CloudWatchClient":
        """A client for the metrics of the Region and account that the table is in."""
        return self._clients.metrics(self.region)


class Connection:
    """AWS as the options name it. Where they are silent, the environment and AWS's configuration files decide."""

    def __init__(self, options: Options, *, near: Clients | None = None, far: Clients | None = None) -> None:
        """Connect to nothing yet. `near` and `far` are what signs in for the two tables, if it is there already."""
        self.clock = Clock()
        self._options = options
        self._near = near or _near(options)
        self._far = far or (_far(options) if options.replica_profile else self._near)

    def to(self, options: Options) -> "Connection":
        """The same clients, for the tables that these options name."""
        return Connection(options, near=self._near, far=self._far if options.replica_profile else None)

    @cached_property
    def source(self) -> Side:
        """The source table: as given, or as the stack says, or the default."""
        name = self._options.source or self._from_stack("SourceTableName", default=SOURCE)
        return Side(name, "--source", region_of(name), self._near, self.clock)

    @cached_property
    def replica(self) -> Side:
        """The replica table likewise, in the source's Region and account unless another is named."""
        name = self._options.replica or self._replica_of_stack()
        region = region_of(name) or self._options.replica_region or self._region_in_stack()
        return Side(
            name, "--replica", region or self._far.region or self.source.region, self._far, self.clock
        )

    def streams(self, *, config: Config = ASKING) -> "DynamoDBStreamsClient":
        """A client for the source's stream."""
        return self._near.streams(self.source.region, config)

    @property
    def functions(self) -> "LambdaClient":
        """A client for the function and its mapping: Lambda wants them in the stream's Region."""
        return self._near.functions(self.source.region)

    @property
    def buckets(self) -> "S3Client":
        """A client for the quarantine and the on-failure bucket."""
        return self._near.buckets(self.source.region)

    @property
    def tags(self) -> "ResourceGroupsTaggingAPIClient":
        """A client for what has a tag."""
        return self._near.tags()

    def _region_in_stack(self) -> str | None:
        """A stack knows the Region of its own replica only."""
        if self._options.stack_name is None or self._options.replica:
            return None
        return self._stack_outputs.get("ReplicaRegion")

    def _replica_of_stack(self) -> str:
        """By ARN where it is in another account, unless one signs in there: that is how a request gets to it."""
        name = self._from_stack("ReplicaTableName", default=REPLICA)
        if self._options.stack_name is None or self._options.replica_profile:
            return name
        arns = (self._stack_outputs.get(output, "") for output in ("SourceTableArn", "ReplicaTableArn"))
        here, there = (account_of(arn) for arn in arns)
        return self._stack_outputs["ReplicaTableArn"] if here and there and here != there else name

    def _from_stack(self, output: str, *, default: str) -> str:
        if self._options.stack_name is None:
            return default
        if output not in self._stack_outputs:
            raise CommandError(
                f"the stack {self._options.stack_name} has no output {output}.",
                hint="name the stack that was deployed from this template, or give --source and --replica.",
            )
        return self._stack_outputs[output]

    @cached_property
    def _stack_outputs(self) -> "Mapping[str, str]":
        name = self._options.stack_name or ""
        client = self._near.stacks()

        def refused(refusal: Refusal) -> CommandError:
            if refusal.code != "ValidationError":
                return explain(refusal, doing=f"the stack {name} cannot be described")
            return CommandError(
                f"there is no CloudFormation stack {name} in {client.meta.region_name}.",
                hint="check --stack-name and --region, or give --source and --replica.",
            )

        return ask(lambda: _outputs(client.describe_stacks(StackName=name)), refused=refused)


def _outputs(response: "DescribeStacksOutputTypeDef") -> "Mapping[str, str]":
    (stack,) = response["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}


def _near(options: Options) -> Clients:
    region = decide(options.region, region_of(options.source or ""), profile=options.profile)
    return Clients(options.profile, region, options.endpoint_url)


def _far(options: Options) -> Clients:
    named = (options.replica_region, options.region, region_of(options.replica or ""))
    region = decide(*named, profile=options.replica_profile)
    return Clients(options.replica_profile, region, options.endpoint_url)


def region_of(arn: str) -> str | None:
    """The Region of anything's ARN; of a name, and of what only looks like an ARN, there is none to know."""
    return _part_of(arn, 3)


def account_of(arn: str) -> str | None:
    """The account likewise."""
    return _part_of(arn, 4)


def _part_of(arn: str, place: int) -> str | None:
    parts = arn.split(":")
    return parts[place] or None if len(parts) > _LAST_PART else None
