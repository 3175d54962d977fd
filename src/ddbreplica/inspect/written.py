"""What was written to a table since a time, by CloudWatch's metric ConsumedWriteCapacityUnits.

DynamoDB counts each put, update and delete with at least one unit, whoever makes it and even if it changes nothing.
It does not count TTL deletes. CloudWatch has no value for a time without a write, and none for what it does not know
yet. The verification has read the table, so the metric of reads tells the two apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ddbreplica.aws.request import ask_pages
from ddbreplica.errors import TaskError
from ddbreplica.mapping.metrics import complete

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

WRITTEN = "ConsumedWriteCapacityUnits"

_READ = "ConsumedReadCapacityUnits"
_METRICS = (WRITTEN, _READ)

_MINUTE, _FIVE_MINUTES, _HOUR = timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1)
_MIDNIGHT = datetime(2000, 1, 1, tzinfo=UTC)
_BY_MINUTE = timedelta(days=1)
# CloudWatch keeps minutes for 15 days, five minutes for 63 days, and hours for 455 days.
_MINUTES_KEPT, _FIVE_MINUTES_KEPT = timedelta(days=14), timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the time, and the length of the periods by which CloudWatch is asked for it."""

    begin: datetime
    end: datetime
    period: timedelta


def spans(since: datetime, until: datetime) -> Sequence[Span]:
    """Divide a time, so that few values are requested: minutes for a day; else hours after a first part of an hour.

    The first period contains `since`, so that nothing is left out.
    """
    # A verification may have begun in this very second, and CloudWatch refuses an empty time.
    until = max(until, since + _MINUTE)
    age = until - since
    if age <= _BY_MINUTE:
        return (Span(_floor(since, _MINUTE), until, _MINUTE),)
    finest = _MINUTE if age <= _MINUTES_KEPT else _FIVE_MINUTES if age <= _FIVE_MINUTES_KEPT else _HOUR
    begin, hour = _floor(since, finest), _floor(since, _HOUR) + _HOUR
    return Span(begin, hour, finest), Span(hour, until, _HOUR)


def written(client: "CloudWatchClient", table: str, *, since: datetime, until: datetime) -> int:
    """Return the write capacity units that writes to a table have consumed since a verification began.

    Raises TaskError if CloudWatch has no metrics of the table yet: the verification has read it.
    """
    values = [value for span in spans(since, until) for value in _values(client, table, span)]
    if not any(name == _READ for name, _ in values):
        raise TaskError(
            f"CloudWatch has no metrics of the table {table} since the verification began.",
            hint="try again in some minutes.",
        )
    return round(sum(units for name, units in values if name == WRITTEN))


def _values(client: "CloudWatchClient", table: str, span: Span) -> Iterator[tuple[str, float]]:
    """Yield the sums of both metrics for each period of a span that has one."""
    period = int(span.period.total_seconds())
    queries: Any = [_query(f"q{at}", name, table, period) for at, name in enumerate(_METRICS)]
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=span.begin, EndTime=span.end
    )
    return ask_pages(pages, _of_page)


def _query(identity: str, name: str, table: str, period: int) -> Any:
    metric = {
        "Namespace": "AWS/DynamoDB",
        "MetricName": name,
        "Dimensions": [{"Name": "TableName", "Value": table}],
    }
    return {"Id": identity, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}


def _of_page(page: Any) -> Sequence[tuple[str, float]]:
    names = {f"q{at}": name for at, name in enumerate(_METRICS)}
    return [
        (names[result["Id"]], value)
        for result in page["MetricDataResults"]
        for value in complete(result, names[result["Id"]])["Values"]
    ]


def _floor(moment: datetime, period: timedelta) -> datetime:
    """Return the begin of the period that contains a moment."""
    return moment - (moment - _MIDNIGHT) % period
