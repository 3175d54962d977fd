"""What was written to a table since a time, by CloudWatch's metric ConsumedWriteCapacityUnits.

DynamoDB counts each put, update and delete with at least one unit, whoever makes it and even if it changes nothing.
It does not count TTL deletes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ddbreplica.aws.request import ask_pages
from ddbreplica.mapping.metrics import complete

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

WRITTEN = "ConsumedWriteCapacityUnits"

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
    """Return the write capacity units that writes to a table have consumed. Raises TaskError."""
    return round(sum(units for span in spans(since, until) for units in _units(client, table, span)))


def _units(client: "CloudWatchClient", table: str, span: Span) -> Iterator[float]:
    metric: Any = {
        "Namespace": "AWS/DynamoDB",
        "MetricName": WRITTEN,
        "Dimensions": [{"Name": "TableName", "Value": table}],
    }
    query: Any = {
        "Id": "written",
        "MetricStat": {"Metric": metric, "Period": int(span.period.total_seconds()), "Stat": "Sum"},
    }
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[query], StartTime=span.begin, EndTime=span.end
    )
    return ask_pages(pages, _values)


def _values(page: Any) -> Sequence[float]:
    return [value for result in page["MetricDataResults"] for value in complete(result, WRITTEN)["Values"]]


def _floor(moment: datetime, period: timedelta) -> datetime:
    """Return the begin of the period that contains a moment."""
    return moment - (moment - _MIDNIGHT) % period
