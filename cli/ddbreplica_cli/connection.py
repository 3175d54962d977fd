"""The shared options → clients of AWS, and the tables' names."""

from collections.abc import Iterator
from contextlib import contextmanager
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


class Connection:
    """AWS as the options name it. Where they are silent, boto3's own environment and files decide."""

    def __init__(self, options: Options) -> None:
        """Connect to nothing yet."""
        self._options = options
        self._session = boto3.Session(profile_name=options.profile, region_name=options.region)

    @property
    def source(self) -> str:
        """The source table's name or ARN: as given, or as the stack says, or the default."""
        return self._options.source or self._from_stack("SourceTableName", default=SOURCE)

    @property
    def replica(self) -> str:
        """The replica table's name or ARN: as given, or as the stack says, or the default."""
        return self._options.replica or self._from_stack("ReplicaTableName", default=REPLICA)

    def dynamodb(self, table: str, *, config: Config = ASKING) -> "DynamoDBClient":
        """A client for a table; an ARN's Region counts more than any other."""
        with _endpoint_checked():
            return self._session.client(
                "dynamodb",
                region_name=_region_of(table),
                endpoint_url=self._options.endpoint_url,
                config=config,
            )

    def streams(self, *, config: Config = ASKING) -> "DynamoDBStreamsClient":
        """A client for the source's stream."""
        with _endpoint_checked():
            return self._session.client("dynamodbstreams", **self._beside_source, config=config)

    @cached_property
    def functions(self) -> "LambdaClient":
        """A client for the function and its mapping: Lambda wants them in the stream's Region."""
        with _endpoint_checked():
            return self._session.client("lambda", **self._beside_source, config=ASKING)

    def metrics(self, table: str) -> "CloudWatchClient":
        """A client for the metrics of the Region that a table is in."""
        with _endpoint_checked():
            return self._session.client(
                "cloudwatch",
                region_name=_region_of(table),
                endpoint_url=self._options.endpoint_url,
                config=ASKING,
            )

    @cached_property
    def buckets(self) -> "S3Client":
        """A client for the quarantine and the on-failure bucket; it may be used from several threads."""
        with _endpoint_checked():
            return self._session.client("s3", **self._beside_source, config=ASKING)

    @property
    def _beside_source(self) -> "_Place":
        return {"region_name": _region_of(self.source), "endpoint_url": self._options.endpoint_url}

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
