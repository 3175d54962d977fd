"""The shared options → the two tables' places, and clients of AWS there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica_cli.errors import CommandError
from ddbreplica_cli.options import REPLICA, SOURCE, Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

# Few attempts, so that a wrong endpoint is told at once; what has to wait longer waits by itself.
ASKING = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=10)


class _Place(TypedDict):
    region_name: str | None
    endpoint_url: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tables: `name` is how a request names it, by name or ARN, and `option` what names it here."""

    name: str
    option: str
    region: str | None
    _session: boto3.Session
    _endpoint_url: str | None

    @property
    def short_name(self) -> str:
        """The table's name, never its ARN."""
        return self.name.rpartition("/")[2]

    def dynamodb(self, config: Config = ASKING) -> "DynamoDBClient":
        """A client for the table."""
        with _endpoint_checked():
            return self._session.client("dynamodb", **self._place, config=config)

    def metrics(self) -> "CloudWatchClient":
        """A client for the metrics of the Region and account that the table is in."""
        with _endpoint_checked():
            return self._session.client("cloudwatch", **self._place, config=ASKING)

    @property
    def _place(self) -> _Place:
        return {"region_name": self.region, "endpoint_url": self._endpoint_url}


class Connection:
    """AWS as the options name it. Where they are silent, boto3's own environment and files decide."""

    def __init__(self, options: Options) -> None:
        """Connect to nothing yet."""
        self._options = options
        self._session = boto3.Session(profile_name=options.profile, region_name=options.region)

    @cached_property
    def source(self) -> Side:
        """The source table: as given, or as the stack says, or the default."""
        name = self._options.source or self._from_stack("SourceTableName", default=SOURCE)
        return Side(name, "--source", _region_of(name), self._session, self._options.endpoint_url)

    @cached_property
    def replica(self) -> Side:
        """The replica table likewise, in the source's Region and account unless another is named."""
        name = self._options.replica or self._replica_of_stack()
        profile = self._options.replica_profile
        session = self._session if profile is None else boto3.Session(profile_name=profile)
        region = _region_of(name) or self._options.replica_region or self._region_in_stack()
        region = region or session.region_name or self.source.region
        return Side(name, "--replica", region, session, self._options.endpoint_url)

    def streams(self, *, config: Config = ASKING) -> "DynamoDBStreamsClient":
        """A client for the source's stream."""
        with _endpoint_checked():
            return self._session.client("dynamodbstreams", **self._beside_source, config=config)

    @cached_property
    def functions(self) -> "LambdaClient":
        """A client for the function and its mapping: Lambda wants them in the stream's Region."""
        with _endpoint_checked():
            return self._session.client("lambda", **self._beside_source, config=ASKING)

    @cached_property
    def buckets(self) -> "S3Client":
        """A client for the quarantine and the on-failure bucket; it may be used from several threads."""
        with _endpoint_checked():
            return self._session.client("s3", **self._beside_source, config=ASKING)

    @property
    def _beside_source(self) -> _Place:
        return {"region_name": self.source.region, "endpoint_url": self._options.endpoint_url}

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
        here, there = (arn.split(":")[4:5] for arn in arns)
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
        with _endpoint_checked():
            client = self._session.client(
                "cloudformation", endpoint_url=self._options.endpoint_url, config=ASKING
            )
        try:
            (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if error.response["Error"].get("Code") != "ValidationError":
                raise
            raise CommandError(
                f"there is no CloudFormation stack {name} in {client.meta.region_name}.",
                hint="check --stack-name and --region, or give --source and --replica.",
            ) from error
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}


def _region_of(table: str) -> str | None:
    """An ARN's Region; of a name there is none to know."""
    return table.split(":")[3] if table.startswith("arn:") else None


@contextmanager
def _endpoint_checked() -> Iterator[None]:
    try:
        yield
    except BotoCoreError:  # some of these are ValueErrors too
        raise
    except ValueError as error:
        hint = "give --endpoint-url (or AWS_ENDPOINT_URL) like http://localhost:8000."
        raise CommandError(f"{error}.", hint=hint) from error
