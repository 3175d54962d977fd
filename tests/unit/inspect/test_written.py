"""written: what was written to a table since a time is added up from few values, and nothing is left out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.errors import TaskError
from ddbreplica.inspect.written import Span, spans, written

NOW = datetime(2026, 1, 31, 12, 30, 20, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class FakeCloudWatch:
    """Keeps values of a metric by their times, and returns those of a time as CloudWatch does.

    `read` are the times at which the table was read: by default those at which it was verified.
    """

    def __init__(
        self, values: Mapping[datetime, float], *, read: Sequence[datetime] = (NOW - MINUTE,), **result: Any
    ) -> None:
        self._values = {"q0": values, "q1": dict.fromkeys(read, 0.5)}
        self._result = result
        self.asked: list[tuple[datetime, datetime, int]] = []

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_metric_data"
        return self

    def paginate(self, *, MetricDataQueries: Any, StartTime: datetime, EndTime: datetime) -> Sequence[Any]:  # noqa: N803
        period = MetricDataQueries[0]["MetricStat"]["Period"]
        assert MetricDataQueries == [
            {"Id": "q0", "MetricStat": stat("ConsumedWriteCapacityUnits", period)},
            {"Id": "q1", "MetricStat": stat("ConsumedReadCapacityUnits", period)},
        ]
        self.asked.append((StartTime, EndTime, period))
        found = [
            {
                "Id": name,
                "StatusCode": "Complete",
                "Values": [value for at, value in values.items() if StartTime <= at < EndTime],
                **self._result,
            }
            for name, values in self._values.items()
        ]
        return [
            {"MetricDataResults": [{"Id": "q0", "StatusCode": "PartialData", "Values": []}]},
            {"MetricDataResults": found},
        ]


def stat(name: str, period: int) -> Any:
    metric = {
        "Namespace": "AWS/DynamoDB",
        "MetricName": name,
        "Dimensions": [{"Name": "TableName", "Value": "logfile"}],
    }
    return {"Metric": metric, "Period": period, "Stat": "Sum"}


def units(fake: FakeCloudWatch, since: datetime) -> int:
    return written(cast(Any, fake), "logfile", since=since, until=NOW)


def test_all_units_from_the_minute_of_the_beginning_are_added_up() -> None:
    since = NOW - timedelta(minutes=10)
    fake = FakeCloudWatch(
        {NOW - timedelta(minutes=11): 100.0, since.replace(second=0): 10.0, since: 0.5, NOW - MINUTE: 2.0}
    )

    assert units(fake, since) == 12
    assert fake.asked == [(datetime(2026, 1, 31, 12, 20, tzinfo=UTC), NOW, 60)]


def test_nothing_was_written() -> None:
    assert units(FakeCloudWatch({}), NOW - HOUR) == 0


def test_a_longer_time_takes_two_requests() -> None:
    fake = FakeCloudWatch({NOW - 2 * DAY: 1.0, NOW - DAY: 2.0, NOW - MINUTE: 4.0})

    assert units(fake, NOW - 2 * DAY) == 7
    assert fake.asked == [
        (datetime(2026, 1, 29, 12, 30, tzinfo=UTC), datetime(2026, 1, 29, 13, 0, tzinfo=UTC), 60),
        (datetime(2026, 1, 29, 13, 0, tzinfo=UTC), NOW, 3600),
    ]


def test_without_any_metric_of_the_table_what_was_written_is_unknown() -> None:
    fake = FakeCloudWatch({NOW - MINUTE: 5.0}, read=[NOW - 2 * HOUR])

    with pytest.raises(TaskError) as refused:
        units(fake, NOW - HOUR)

    assert (
        refused.value.fact == "CloudWatch has no metrics of the table logfile since the verification began."
    )
    assert refused.value.hint == "try again in some minutes."


@pytest.mark.parametrize("status", ["InternalError", "Forbidden"])
def test_values_that_cloudwatch_does_not_return_are_not_zero(status: str) -> None:
    with pytest.raises(TaskError) as refused:
        units(FakeCloudWatch({}, StatusCode=status), NOW - HOUR)

    assert refused.value.fact == f"{status}: CloudWatch did not return ConsumedWriteCapacityUnits"


@pytest.mark.parametrize(
    "page", [{}, {"MetricDataResults": [{"StatusCode": "Complete"}]}, {"MetricDataResults": [{"Values": []}]}]
)
def test_a_response_without_values_is_unreadable(page: Any) -> None:
    fake = FakeCloudWatch({})
    fake.paginate = lambda **_: [page]  # type: ignore[method-assign]

    with pytest.raises(TaskError, match="UnreadableResponse"):
        units(fake, NOW - HOUR)


@pytest.mark.parametrize(
    ("age", "first"),
    [
        (timedelta(0), MINUTE),
        (DAY, MINUTE),
        (DAY + MINUTE, MINUTE),
        (14 * DAY, MINUTE),
        (14 * DAY + MINUTE, 5 * MINUTE),
        (62 * DAY, 5 * MINUTE),
        (62 * DAY + MINUTE, HOUR),
        (400 * DAY, HOUR),
    ],
)
def test_the_first_period_is_the_shortest_that_cloudwatch_keeps(age: timedelta, first: timedelta) -> None:
    begin, *rest = spans(NOW - age, NOW)

    assert begin.period == first
    assert [span.period for span in rest] == ([HOUR] if age > DAY else [])


@given(st.timedeltas(timedelta(0), timedelta(days=400)))
def test_the_spans_have_no_gap_and_few_periods(age: timedelta) -> None:
    since = NOW - age
    found = spans(since, NOW)

    assert since - found[0].period < found[0].begin <= since
    assert found[-1].end == max(NOW, since + MINUTE)
    assert all(one.end == other.begin for one, other in pairwise(found))
    assert all(_is_whole(span.begin, span.period) for span in found)
    assert all(_is_whole(span.end, span.period) for span in found[:-1])
    assert sum(-(-(span.end - span.begin) // span.period) for span in found) <= 9_700


def _is_whole(moment: datetime, period: timedelta) -> bool:
    return (moment - datetime(2000, 1, 1, tzinfo=UTC)) % period == timedelta(0)


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(seconds=59)])
def test_no_span_is_empty(ahead: timedelta) -> None:
    since = NOW + ahead

    assert spans(since, NOW) == (Span(since.replace(second=0), since + MINUTE, MINUTE),)
