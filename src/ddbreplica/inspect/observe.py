"""Read the state of a replication from DynamoDB, Lambda, CloudWatch and S3. Nothing is written.

A value that cannot be read is unknown.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ddbreplica.aws.request import REFUSALS, Known, Unknown, ask, fact_of, known
from ddbreplica.bucket.bucket import Bucket
from ddbreplica.bucket.verification_record import INCONCLUSIVE, RecordedTable
from ddbreplica.bucket.verifications import newest
from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica.dynamodb.describe import describe
from ddbreplica.errors import NoTableError, TransformError
from ddbreplica.inspect.facts import (
    COUNTED_BY_FUNCTION,
    HOUR,
    THROTTLED,
    Depth,
    Facts,
    Figures,
    LastVerification,
    TableFacts,
    UnseenTable,
)
from ddbreplica.inspect.written import written
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.lookup import find_mappings
from ddbreplica.mapping.metrics import (
    has_reported,
    of_function,
    of_mapping,
    own_dimensions,
    own_namespace,
    query,
    read_series,
)
from ddbreplica.transform.conflicts import check_key
from ddbreplica.transform.deployed import deployed

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef
    from mypy_boto3_dynamodb.type_defs import TimeToLiveDescriptionTypeDef

T = TypeVar("T")

COUNTED = 10_000
"""The maximum number of objects to count; each request lists 1,000 of them."""

_OF_FUNCTION = ("Errors", "Throttles", "DestinationDeliveryFailures")
_OF_MAPPING = (
    "PolledEventCount",
    "FailedInvokeEventCount",
    "OnFailureDestinationDeliveredEventCount",
    "DroppedEventCount",
)

_NO_BUCKET = Unknown("the function has no environment variable QUARANTINE_BUCKET")

_Table: TypeAlias = TableFacts | UnseenTable


def observe(connection: Connection) -> Facts:
    """Read the state of a replication. Raises TaskError if one of the tables cannot be described."""
    source = _table(connection.source)
    replica = _table(connection.replica)
    mappings = known(lambda: find_mappings(connection, source.arn))
    return _observed(connection, source, replica, mappings)


def observe_mappings(connection: Connection, mappings: Sequence[MappingState]) -> Facts:
    """Read the state of the replication of these mappings, even if a table cannot be described."""
    source, replica = (_table_if_seen(side) for side in (connection.source, connection.replica))
    return _observed(connection, source, replica, tuple(mappings))


def _observed(
    connection: Connection, source: _Table, replica: _Table, mappings: Known[tuple[MappingState, ...]]
) -> Facts:
    unasked = mappings if isinstance(mappings, Unknown) else Unknown("no event source mapping was found")
    facts = Facts(
        source,
        replica,
        mappings,
        figures=unasked,
        quarantine=unasked,
        on_failure=unasked,
        verification=unasked,
    )
    mapping = facts.mapping
    if mapping is None:
        return facts
    return Facts(
        source,
        replica,
        mappings,
        figures=known(lambda: _figures(connection, mapping, replica)),
        quarantine=known(lambda: _quarantine(connection, mapping)),
        on_failure=known(lambda: _on_failure(connection, mapping)),
        verification=known(lambda: _verification(connection, mapping, (source, replica))),
        transform=_transform(mapping, source),
    )


def _transform(mapping: MappingState, source: _Table) -> Known[str | None]:
    try:
        present = deployed(mapping.environment)
        if present and isinstance(source, TableFacts):
            check_key(present.rules, [name for name, _ in source.key_schema])
    except TransformError as error:
        return Unknown(str(error))
    return present.digest if present else None


def _table_if_seen(side: Side) -> _Table:
    try:
        return _table(side)
    except REFUSALS as error:
        return UnseenTable(fact_of(error), side.short_name, is_missing=isinstance(error, NoTableError))


def _table(side: Side) -> TableFacts:
    described = describe(side)
    return TableFacts(
        name=described.name,
        arn=described.table.arn,
        created_at=described.created_at,
        state=described.state,
        key_schema=described.table.key_schema,
        items=described.items,
        capacity=described.capacity,
        indexes=described.index_states,
        stream_arn=described.latest_stream,
        view=described.view,
        # DescribeTimeToLive needs a permission of its own; without it the rest is still shown.
        ttl=known(lambda: _ttl(side)),
        replicas=described.replicas,
        bytes=described.bytes,
    )


def _ttl(side: Side) -> str | None:
    client = side.dynamodb()
    return ask(lambda: _attribute(client.describe_time_to_live(TableName=side.name)["TimeToLiveDescription"]))


def _attribute(ttl: "TimeToLiveDescriptionTypeDef") -> str | None:
    # ENABLING becomes ENABLED by itself, and then DynamoDB deletes what has expired.
    is_on = ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
    return ttl["AttributeName"] if is_on else None


def _figures(connection: Connection, mapping: MappingState, replica: _Table) -> Figures | Unknown:
    """Return the metrics of the last hour, or unknown if this mapping has never reported any."""
    beside_function = connection.source.metrics()
    now = connection.clock.local()
    hour = partial(read_series, begin=now - HOUR, end=now)
    series = hour(beside_function, _of_function(mapping, connection.replica.short_name))
    if isinstance(replica, TableFacts):
        # A separate request, since the metrics of a table are in its own Region and account.
        series |= hour(connection.replica.metrics(), _of_table(replica))
    # A mapping without any metrics must not be reported as stalled: they may be in another place.
    if not any(series.values()) and not has_reported(
        beside_function, {"EventSourceMappingUUID": mapping.uuid}
    ):
        return Unknown("CloudWatch has no metrics of this event source mapping")
    return Figures(now, series)


def _of_function(mapping: MappingState, replica: str) -> Iterator["MetricDataQueryTypeDef"]:
    yield of_function("IteratorAge", mapping, stat="Maximum")
    for name in _OF_FUNCTION:
        yield of_function(name, mapping)
    for name in _OF_MAPPING:
        yield of_mapping(name, mapping)
    own = own_dimensions(mapping, replica)
    for name in COUNTED_BY_FUNCTION:
        yield query(name, own_namespace(mapping), own)


def _of_table(replica: TableFacts) -> Iterator["MetricDataQueryTypeDef"]:
    table = {"TableName": replica.name}
    yield query(THROTTLED, "AWS/DynamoDB", table)
    for index in replica.indexes:
        dimensions = {**table, "GlobalSecondaryIndexName": index}
        yield query(THROTTLED, "AWS/DynamoDB", dimensions, label=f"{THROTTLED} {index}")


def _verification(
    connection: Connection, mapping: MappingState, tables: tuple[_Table, _Table]
) -> LastVerification | Unknown | None:
    """Return the newest verification, and what was written to the source since, or None if there is no record."""
    if not mapping.quarantine:
        return _NO_BUCKET
    now = connection.clock.moment
    records = newest(connection, mapping.quarantine, now=now)
    if not records:
        return None
    record, last = records[0], records[-1]
    is_of_the_same = (last.source, last.replica) == (record.source, record.replica)
    conclusive = last if is_of_the_same and last.verdict != INCONCLUSIVE else None
    verified = zip(tables, (record.source, record.replica), strict=True)
    recreated = tuple(table.name for table, recorded in verified if _is_recreated(table, recorded))
    return LastVerification(
        record,
        f"s3://{mapping.quarantine}/{record.name}",
        now,
        recreated,
        conclusive,
        written=None if recreated else known(lambda: _written(connection, tables[0], record.began, now)),
    )


def _is_recreated(table: _Table, recorded: RecordedTable) -> bool:
    return isinstance(table, TableFacts) and RecordedTable(table.arn, table.created_at) != recorded


def _written(connection: Connection, source: _Table, since: datetime, now: datetime) -> Known[int]:
    if isinstance(source, UnseenTable):
        return Unknown(source.why)
    return written(connection.source.metrics(), source.name, since=since, until=now)


def _quarantine(connection: Connection, mapping: MappingState) -> Depth | Unknown:
    bucket = mapping.quarantine
    if not bucket:
        return _NO_BUCKET
    return _depth(connection, bucket, f"quarantine/{connection.replica.short_name}/")


def _on_failure(connection: Connection, mapping: MappingState) -> Depth | Unknown:
    service, _, bucket = (mapping.on_failure or "").rpartition(":::")
    if not service.endswith(":s3"):
        return Unknown("the on-failure destination of the event source mapping is not a bucket")
    return _depth(connection, bucket, f"aws/lambda/{mapping.uuid}/")


def _depth(connection: Connection, bucket: str, prefix: str) -> Depth:
    listed = Bucket(connection.buckets, bucket, option="--stack-name").list(prefix)
    ages = [found.age for found in islice(listed, COUNTED)]
    or_more = next(iter(listed), None) is not None
    return Depth(f"s3://{bucket}/{prefix}", len(ages), or_more=or_more, oldest=max(ages, default=None))
