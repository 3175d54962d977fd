"""Connect to the source and the replica by the options, the stack or the defaults that give their location."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from ddbreplica.aws.arn import account_of, region_of
from ddbreplica.aws.clients.session import ASKING, Clients
from ddbreplica.aws.clock import Clock
from ddbreplica.aws.hints import explain
from ddbreplica.aws.region import decide
from ddbreplica.aws.request import ask
from ddbreplica.dynamodb.location import REPLICA, SOURCE, Location
from ddbreplica.errors import TaskError
from ddbreplica.model import Refusal

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import DescribeStacksOutputTypeDef
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tables. `name` is its name or ARN, and `option` the command-line option for it."""

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
        """Return a client for the table."""
        return self._clients.dynamodb(self.region, config)

    def metrics(self) -> "CloudWatchClient":
        """Return a client for the metrics of the table's Region and account."""
        return self._clients.metrics(self.region)


class Connection:
    """The clients and tables of a location. For what it leaves open, the environment and AWS's files decide."""

    def __init__(
        self,
        location: Location,
        *,
        source_clients: Clients | None = None,
        replica_clients: Clients | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Send no request yet. Pass `source_clients` and `replica_clients` to reuse clients that are signed in."""
        # One for both tables: a write is held by the largest lead that any response of the run has shown.
        self.clock = clock or Clock()
        self._location = location
        self._source_clients = source_clients or _source_clients(location)
        self._replica_clients = replica_clients or (
            _replica_clients(location) if location.replica_profile else self._source_clients
        )

    def to(self, location: Location) -> "Connection":
        """Return a connection to the tables of another location that reuses these clients."""
        return Connection(
            location,
            source_clients=self._source_clients,
            replica_clients=self._replica_clients if location.replica_profile else None,
        )

    @cached_property
    def source(self) -> Side:
        """The source table: as given, or the stack's, or the default."""
        name = self._location.source or self._from_stack("SourceTableName", default=SOURCE)
        return Side(name, "--source", region_of(name), self._source_clients, self.clock)

    @cached_property
    def replica(self) -> Side:
        """The replica table: as given, or the stack's, or the default. Its Region is the source's by default."""
        name = self._location.replica or self._replica_of_stack()
        region = region_of(name) or self._location.replica_region or self._region_in_stack()
        return Side(
            name,
            "--replica",
            region or self._replica_clients.region or self.source.region,
            self._replica_clients,
            self.clock,
        )

    @property
    def tables(self) -> str:
        """The names of both tables, such as `orders-orders_copy`."""
        return f"{self.source.short_name}-{self.replica.short_name}"

    def streams(self, *, config: Config = ASKING) -> "DynamoDBStreamsClient":
        """Return a client for the source's stream."""
        return self._source_clients.streams(self.source.region, config)

    @property
    def functions(self) -> "LambdaClient":
        """A client for the function and its mapping, which have to be in the stream's Region."""
        return self._source_clients.functions(self.source.region)

    @property
    def buckets(self) -> "S3Client":
        """A client for the quarantine and the on-failure bucket."""
        return self._source_clients.buckets(self.source.region)

    def secrets(self, region: str | None) -> Any:
        """Return a client for the secrets of a Region."""
        return self._source_clients.secrets(region)

    @property
    def machines(self) -> Any:
        """A client for the state machine of the jobs, which is beside the function."""
        return self._source_clients.machines(self.source.region)

    @property
    def schedules(self) -> Any:
        """A client for the schedules of the jobs, which are beside the function."""
        return self._source_clients.schedules(self.source.region)

    @property
    def stacks(self) -> "CloudFormationClient":
        """A client for CloudFormation stacks."""
        return self._source_clients.stacks()

    @property
    def tags(self) -> "ResourceGroupsTaggingAPIClient":
        """A client for resources by tag."""
        return self._source_clients.tags()

    def _region_in_stack(self) -> str | None:
        """Return the Region of the stack's replica, or None."""
        # The stack's Region is that of its own replica, not that of a replica that an option gives.
        if self._location.stack_name is None or self._location.replica:
            return None
        return self._stack_outputs.get("ReplicaRegion")

    def _replica_of_stack(self) -> str:
        """Return the stack's replica: by ARN if it is in another account, since a request needs the ARN there.

        With `--replica-profile` the requests are signed in the replica's account, and the name is enough.
        """
        name = self._from_stack("ReplicaTableName", default=REPLICA)
        if self._location.stack_name is None or self._location.replica_profile:
            return name
        arns = (self._stack_outputs.get(output, "") for output in ("SourceTableArn", "ReplicaTableArn"))
        here, there = (account_of(arn) for arn in arns)
        return self._stack_outputs["ReplicaTableArn"] if here and there and here != there else name

    def _from_stack(self, output: str, *, default: str) -> str:
        if self._location.stack_name is None:
            return default
        if output not in self._stack_outputs:
            raise TaskError(
                f"the stack {self._location.stack_name} has no output {output}.",
                hint="give a stack that was deployed from template.yaml, or give --source and --replica.",
            )
        return self._stack_outputs[output]

    @cached_property
    def _stack_outputs(self) -> "Mapping[str, str]":
        name = self._location.stack_name or ""
        client = self.stacks

        def refused(refusal: Refusal) -> TaskError:
            if refusal.code != "ValidationError":
                return explain(refusal, doing=f"the stack {name} cannot be described")
            return TaskError(
                f"the CloudFormation stack {name} does not exist in {client.meta.region_name}.",
                hint="check --stack-name and --region, or give --source and --replica.",
            )

        return ask(lambda: _outputs(client.describe_stacks(StackName=name)), refused=refused)


def _outputs(response: "DescribeStacksOutputTypeDef") -> "Mapping[str, str]":
    (stack,) = response["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}


def _source_clients(location: Location) -> Clients:
    region = decide(location.region, region_of(location.source or ""), profile=location.profile)
    return Clients(location.profile, region, location.endpoint_url)


def _replica_clients(location: Location) -> Clients:
    named = (location.replica_region, location.region, region_of(location.replica or ""))
    region = decide(*named, profile=location.replica_profile)
    return Clients(location.replica_profile, region, location.endpoint_url)
