"""A table's place → what the table says of itself; and two of them → a pair, or why they are none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ddbreplica.aws.arn import region_of
from ddbreplica.aws.hints import explain
from ddbreplica.aws.request import ask
from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica.dynamodb.rate import SHARE
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.errors import NoTableError, TaskError
from ddbreplica.model import Table
from ddbreplica.records.schema import key_schema_text


@dataclass(frozen=True, slots=True)
class Described:
    """A table, and the whole answer of DescribeTable; its counts are some hours old."""

    side: Side
    table: Table
    description: Mapping[str, Any]

    @property
    def created_at(self) -> datetime:
        """When the table was created; a restored table was created when it was restored."""
        created_at: datetime = self.description["CreationDateTime"]
        return created_at

    @property
    def name(self) -> str:
        """Its name, never its ARN."""
        name: str = self.description["TableName"]
        return name

    @property
    def state(self) -> str:
        """In DynamoDB's words."""
        state: str = self.description["TableStatus"]
        return state

    @property
    def items(self) -> int:
        """How many there are, about."""
        return int(self.description.get("ItemCount", 0))

    @property
    def bytes(self) -> int:
        """How large the table is, about."""
        return int(self.description.get("TableSizeBytes", 0))

    @property
    def indexes(self) -> int:
        """How many global secondary indexes it has."""
        return len(self.index_states)

    @property
    def index_states(self) -> Mapping[str, str]:
        """Their states, by name."""
        return {
            index["IndexName"]: index.get("IndexStatus", "unknown")
            for index in self.description.get("GlobalSecondaryIndexes", ())
        }

    @property
    def stream(self) -> str | None:
        """The ARN of its stream; None where that is off."""
        is_on = self.description.get("StreamSpecification", {}).get("StreamEnabled")
        return self.description.get("LatestStreamArn") if is_on else None

    @property
    def latest_stream(self) -> str | None:
        """The ARN of its stream, or of its last one, if it ever had one."""
        return self.description.get("LatestStreamArn")

    @property
    def view(self) -> str | None:
        """What its stream carries; None where that is off."""
        stream = self.description.get("StreamSpecification", {})
        return stream.get("StreamViewType") if stream.get("StreamEnabled") else None

    @property
    def replicas(self) -> str | None:
        """The other Regions in which it has replicas, if it is a global table."""
        return replicas_of(self.description)

    @property
    def capacity(self) -> tuple[int, int] | None:
        """The read and write units that are provisioned; None on demand."""
        if self.description.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST":
            return None
        units = self.description.get("ProvisionedThroughput", {})
        return int(units.get("ReadCapacityUnits", 0)), int(units.get("WriteCapacityUnits", 0))

    def read_rate(self, per_second: float | None) -> float | None:
        """Read units a second to take: as asked for, or a share of what is provisioned; None is unlimited."""
        if per_second or self.capacity is None:
            return per_second
        read_units, _ = self.capacity
        return read_units * SHARE or None


def identity(source: Described, replica: Described) -> Mapping[str, Any]:
    """What has to be the same for a state of the two tables to be resumed: a table that was recreated is another."""
    return {
        name: f"{described.table.arn} of {described.description['CreationDateTime'].astimezone(UTC)}"
        for name, described in (("source", source), ("replica", replica))
    }


def describe(side: Side) -> Described:
    """Ask the table. Raises TaskError, which names the option that names the table."""
    client = side.dynamodb()
    table = DynamoDBReplica(client, side.name, skew=side.clock).describe()
    if isinstance(table, Table):
        return ask(
            lambda: _read(side, table, client.describe_table(TableName=side.name)["Table"]),
            refused=partial(explain, doing=f"the table {side.name} cannot be described"),
        )
    if table.code == "ResourceNotFoundException":
        raise NoTableError(
            f"there is no table {side.name} in {client.meta.region_name}.",
            hint=f"name another with {side.option} or --stack-name, check --region, or deploy first (sam deploy).",
        )
    raise explain(table, doing=f"the table {side.name} cannot be described")


def _read(side: Side, table: Table, description: Mapping[str, Any]) -> Described:
    """Read a description, and each figure of it once, so that one of a wrong shape is met here."""
    described = Described(side, table, dict(description))
    for name, member in vars(Described).items():
        if isinstance(member, property):
            getattr(described, name)
    return described


def describe_pair(connection: Connection) -> tuple[Described, Described]:
    """Source and replica. Raises TaskError unless they are different tables with the same key."""
    source, replica = describe(connection.source), describe(connection.replica)
    if source.table.arn == replica.table.arn:
        raise TaskError(
            f"source and replica are one table, {source.table.arn}.",
            hint="name two tables with --source and --replica.",
        )
    if source.table.key_schema != replica.table.key_schema:
        raise TaskError(
            f"the source's key is {key_schema_text(source.table.key_schema)}"
            f" and the replica's is {key_schema_text(replica.table.key_schema)}.",
            hint="name the right tables with --source and --replica, or recreate the replica with that key.",
        )
    return source, replica


def replicas_of(description: Mapping[str, Any]) -> str | None:
    """Return in which other Regions a table has replicas, for reading; None if it has none."""
    replicas = description.get("Replicas")
    if replicas is None:  # version 2017.11.29 lists its replicas elsewhere
        return "other Regions" if description.get("GlobalTableVersion") else None
    here = region_of(description["TableArn"])
    return ", ".join(sorted(each["RegionName"] for each in replicas if each["RegionName"] != here)) or None
