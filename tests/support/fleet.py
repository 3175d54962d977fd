"""An account with two replications on moto, parts of which a test can change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from tests.support.account import FUNCTION, answer_lambda, answer_tags, function, mapping
from tests.support.cli import Misbehaviour, Tables

OTHER = f"{FUNCTION}-of-orders"
FAR = "arn:aws:dynamodb:eu-west-1:210987654321:table/copy"
NEW_IMAGES: Any = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}


class Account:
    """The stack of the template, and a stack that replicates `orders` into eu-west-1."""

    def __init__(self, tables: Tables, aws: Misbehaviour) -> None:
        self.aws = aws
        tables.create("orders", {"PK": "S"})
        far = Tables.__new__(Tables)
        far.client = tables.in_region("eu-west-1")
        far.create("orders", {"PK": "S"})
        for bucket in ("kept", "given-up"):
            boto3.client("s3").create_bucket(Bucket=bucket)
        self.streams = [self._stream(tables, name) for name in ("logfile", "orders")]
        self.far: dict[str, str] = {"REPLICA_TABLE_NAME": "orders", "REPLICA_REGION": "eu-west-1"}
        self.tell()

    def _stream(self, tables: Tables, name: str) -> str:
        streamed: Any = tables.client.update_table(TableName=name, StreamSpecification=NEW_IMAGES)
        arn: str = streamed["TableDescription"]["LatestStreamArn"]
        return arn

    def mappings(self, **of_orders: Any) -> list[dict[str, Any]]:
        orders = {"UUID": "22-33", "FunctionArn": OTHER, **of_orders}
        return [mapping(self.streams[0]), mapping(self.streams[1], **orders)]

    def tell(
        self, mappings: list[dict[str, Any]] | None = None, *, orders: dict[str, Any] | None = None
    ) -> None:
        """Make AWS return these mappings, and this function for `orders`."""
        known = {FUNCTION: function(), OTHER: orders or function(**self.far)}
        answer_lambda(self.aws, self.mappings() if mappings is None else mappings, known)
        answer_tags(self.aws, {FUNCTION: "logfile_replica", OTHER: "orders"})


def polled(*uuids: str) -> None:
    metrics: Any = [
        {
            "MetricName": "PolledEventCount",
            "Dimensions": [{"Name": "EventSourceMappingUUID", "Value": uuid}],
            "Timestamp": datetime.now(UTC) - timedelta(minutes=2),
            "Value": 1,
        }
        for uuid in uuids
    ]
    boto3.client("cloudwatch").put_metric_data(Namespace="AWS/Lambda", MetricData=metrics)
