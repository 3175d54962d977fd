"""Describe a table, and check that a source and a replica are different tables with the same key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from math import inf
from threading import Lock
from typing import Any

from ddbreplica.aws.arn import region_of
from ddbreplica.aws.clock import Clock
from ddbreplica.aws.hints import explain
from ddbreplica.aws.request import ask
from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica.dynamodb.rate import SHARE
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.errors import NoTableError, TaskError
from ddbreplica.model import Table
from ddbreplica.records.schema import key_schema_text
from ddbreplica.records.text import identity_text

DESCRIBE_SECONDS = 5.0
"""How often the tables are described at most. DynamoDB takes longer than this to delete and create a table."""


@dataclass(frozen=True, slots=True)
class Described:
    """A table and its description by DescribeTable, whose counts are some hours old."""

    side: Side
    table: Table
    description: Mapping[str, Any]

    @property
    def created_at(self) -> datetime:
        """When the table was created. For a restored table this is the time of the restore."""
        created_at: datetime = self.description["CreationDateTime"]
        return created_at

    @property
    def name(self) -> str:
        """The table's name, never its ARN."""
        name: str = self.description["TableName"]
        return name

    @property
    def state(self) -> str:
        """The table's status, such as ACTIVE."""
        state: str = self.description["TableStatus"]
        return state

    @property
    def items(self) -> int:
        """The approximate number of items."""
        return int(self.description.get("ItemCount", 0))

    @property
    def bytes(self) -> int:
        """The approximate size of the table in bytes."""
        return int(self.description.get("TableSizeBytes", 0))

    @property
    def indexes(self) -> int:
        """The number of global secondary indexes."""
        return len(self.index_states)

    @property
    def index_states(self) -> Mapping[str, str]:
        """The status of each global secondary index, by name."""
        return {
            index["IndexName"]: index.get("IndexStatus", "unknown")
            for index in self.description.get("GlobalSecondaryIndexes", ())
        }

    @property
    def stream(self) -> str | None:
        """The ARN of the table's stream, or None if the stream is off."""
        is_on = self.description.get("StreamSpecification", {}).get("StreamEnabled")
        return self.description.get("LatestStreamArn") if is_on else None

    @property
    def latest_stream(self) -> str | None:
        """The ARN of the table's latest stream, on or off, or None if it never had one."""
        return self.description.get("LatestStreamArn")

    @property
    def view(self) -> str | None:
        """The view type of the table's stream, or None if the stream is off."""
        stream = self.description.get("StreamSpecification", {})
        return stream.get("StreamViewType") if stream.get("StreamEnabled") else None

    @property
    def replicas(self) -> str | None:
        """The other Regions in which a global table has replicas; None for any other table."""
        return replicas_of(self.description)

    @property
    def capacity(self) -> tuple[int, int] | None:
        """The provisioned read and write capacity units per second, or None for an on-demand table."""
        if self.description.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST":
            return None
        units = self.description.get("ProvisionedThroughput", {})
        return int(units.get("ReadCapacityUnits", 0)), int(units.get("WriteCapacityUnits", 0))

    def read_rate(self, per_second: float | None) -> float | None:
        """Return the read capacity units per second to use: `per_second`, or a share of the provisioned ones.

        None means no limit.
        """
        if per_second or self.capacity is None:
            return per_second
        read_units, _ = self.capacity
        return read_units * SHARE or None


def identity(source: Described, replica: Described) -> Mapping[str, Any]:
    """Return what has to be the same for a command to resume a state: both tables, with their creation times."""
    # A table that was recreated has the same ARN, but not the items that the state was recorded for.
    return {
        # In UTC, or a machine in another time zone could not resume the state.
        name: f"{described.table.arn} of {described.description['CreationDateTime'].astimezone(UTC)}"
        for name, described in (("source", source), ("replica", replica))
    }


def describe(side: Side) -> Described:
    """Describe a table. Raises TaskError, whose hint has the option of the table."""
    client = side.dynamodb()
    # DynamoDBReplica passes the date of the response to the clock, on which `refuse_fast` relies.
    table = DynamoDBReplica(client, side.name, skew=side.clock).describe()
    if isinstance(table, Table):
        return ask(
            lambda: _read(side, table, client.describe_table(TableName=side.name)["Table"]),
            refused=partial(explain, doing=f"the table {side.name} cannot be described"),
        )
    if table.code == "ResourceNotFoundException":
        raise NoTableError(
            f"the table {side.name} does not exist in {client.meta.region_name}.",
            hint=f"check {side.option} or --stack-name, check --region, or deploy a stack (docs/deployment.md).",
        )
    raise explain(table, doing=f"the table {side.name} cannot be described")


def _read(side: Side, table: Table, description: Mapping[str, Any]) -> Described:
    """Read each property of a description once, so that a malformed one is found here."""
    described = Described(side, table, dict(description))
    for name, member in vars(Described).items():
        if isinstance(member, property):
            getattr(described, name)
    return described


def describe_pair(connection: Connection) -> tuple[Described, Described]:
    """Describe source and replica. Raises TaskError unless they are different tables with the same key."""
    source, replica = describe(connection.source), describe(connection.replica)
    if source.table.arn == replica.table.arn:
        raise TaskError(
            f"source and replica are the same table, {source.table.arn}.",
            hint="give two tables with --source and --replica.",
        )
    if source.table.key_schema != replica.table.key_schema:
        raise TaskError(
            f"the source's key is {key_schema_text(source.table.key_schema)}"
            f" and the replica's is {key_schema_text(replica.table.key_schema)}.",
            hint="check --source and --replica, or recreate the replica with the source's key.",
        )
    return source, replica


def refuse_recreated(
    before: tuple[Described, Described], now: tuple[Described, Described], *, hint: str
) -> None:
    """Raise TaskError if a table was recreated between the two descriptions."""
    was = identity(*before)
    for name, each in identity(*now).items():
        if was[name] != each:
            raise TaskError(
                f"the {name} was recreated meanwhile: it was {identity_text(was[name])},"
                f" and is {identity_text(each)}.",
                hint=hint,
            )


class SameTables:
    """Makes sure that two tables are still those that a command began with. Several threads may use it at once.

    A recreated table has the same name and ARN, and none of the items: to reconcile a key with it would delete the
    replica's item.
    """

    def __init__(
        self,
        tables: tuple[Described, Described],
        describe: Callable[[], tuple[Described, Described]],
        clock: Clock,
    ) -> None:
        """Take the tables as they were described when the command began, however long ago."""
        self._tables = tables
        self._describe = describe
        self._clock = clock
        self._next = -inf
        self._lock = Lock()

    @classmethod
    def of(cls, connection: Connection, tables: tuple[Described, Described]) -> "SameTables":
        """Take the tables of a connection as they were described when the command began."""
        return cls(tables, lambda: describe_pair(connection), connection.clock)

    def check(self) -> None:
        """Raise TaskError if a table was recreated. The tables are described at most once in DESCRIBE_SECONDS."""
        with self._lock:
            if self._clock.ticks() >= self._next:
                self.check_now()
                # Not before: after an error, no thread goes on.
                self._next = self._clock.ticks() + DESCRIBE_SECONDS

    def check_now(self) -> None:
        """Raise TaskError if a table was recreated. What was read before this call is then of the same tables."""
        refuse_recreated(
            self._tables,
            self._describe(),
            hint="name another file with --state, and run the command again.",
        )


def replicas_of(description: Mapping[str, Any]) -> str | None:
    """Return as text the other Regions in which a table has replicas, or None if it has none."""
    replicas = description.get("Replicas")
    if replicas is None:  # global tables of version 2017.11.29 list their replicas elsewhere
        return "other Regions" if description.get("GlobalTableVersion") else None
    here = region_of(description["TableArn"])
    return ", ".join(sorted(each["RegionName"] for each in replicas if each["RegionName"] != here)) or None
