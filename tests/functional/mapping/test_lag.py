"""lag on moto's CloudWatch, with simulated responses of Lambda."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.location import Location
from ddbreplica.mapping.lag import LagReader, lag
from ddbreplica.mapping.lag_figures import LagFigures
from tests.support.account import UUID, answer_lambda, mapping
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, refusal
from tests.support.waiting import Waiting

OF_FUNCTION = {"FunctionName": "replicator"}
OF_MAPPING = {"EventSourceMappingUUID": UUID}
# Longer than CloudWatch waits for values, and less than the time for which it keeps them.
MINUTE = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
BEGIN, END = MINUTE + timedelta(seconds=10), MINUTE + timedelta(seconds=70)


def emit(name: str, *values: float, minute: datetime = MINUTE, of: dict[str, str] = OF_FUNCTION) -> None:
    """Let Lambda emit values, the first two in the same minute."""
    for number, value in enumerate(values):
        boto3.client("cloudwatch").put_metric_data(
            Namespace="AWS/Lambda",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": key, "Value": value} for key, value in of.items()],
                    "Timestamp": minute + timedelta(minutes=max(0, number - 1)),
                    "Value": value,
                }
            ],
        )


def connect() -> Connection:
    """Return a connection whose clients have all hooks of this moment."""
    return Connection(Location(SOURCE, REPLICA, None, "us-east-1", None, None, None, None))


@pytest.fixture(autouse=True)
def stream(tables: Tables) -> None:
    tables.client.update_table(
        TableName=SOURCE, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )


def replicate(aws: Misbehaviour, tables: Tables, **changes: Any) -> None:
    stream = tables.client.describe_table(TableName=SOURCE)["Table"]["LatestStreamArn"]
    answer_lambda(aws, [mapping(stream, **changes)])


def ask(waiting: Waiting | None = None) -> LagFigures:
    clock = waiting or Waiting()
    now = datetime.now(UTC)
    reader = LagReader.of(connect(), now=lambda: now + timedelta(seconds=clock.now), interrupt=clock)
    return reader(BEGIN, END)


def test_the_lag_is_of_the_metrics_of_function_and_mapping(tables: Tables, aws: Misbehaviour) -> None:
    replicate(aws, tables, MaximumBatchingWindowInSeconds=3)
    emit("IteratorAge", 900, 5000, 100)
    emit("Duration", 100, 400, 100)
    emit("PolledEventCount", 1, 1, 1, of=OF_MAPPING)
    # Of another function, of another time, and 0.
    emit("IteratorAge", 99_000, of={"FunctionName": "other"})
    emit("IteratorAge", 99_000, minute=MINUTE - timedelta(minutes=1))
    emit("Throttles", 0)
    emit("FailedInvokeEventCount", 0, of=OF_MAPPING)

    assert ask() == LagFigures(seconds=8.4)


@pytest.mark.parametrize(
    ("name", "of", "problem"),
    [
        ("Throttles", OF_FUNCTION, "Lambda throttled the function replicator"),
        ("FailedInvokeEventCount", OF_MAPPING, "the function replicator did not process 2 records"),
    ],
)
def test_a_problem_is_of_the_sum_of_a_minute(
    tables: Tables, aws: Misbehaviour, name: str, of: dict[str, str], problem: str
) -> None:
    replicate(aws, tables)
    emit(name, 1, 1, of=of)

    assert ask() == LagFigures(problem=problem)


def test_a_mapping_that_polled_nothing_is_idle(tables: Tables, aws: Misbehaviour) -> None:
    replicate(aws, tables)
    emit("PolledEventCount", 0, 0, 0, of=OF_MAPPING)

    assert ask() == LagFigures(is_idle=True)


@pytest.mark.parametrize("of", [OF_FUNCTION, OF_MAPPING])
def test_a_mapping_or_function_that_once_reported_is_waited_for(
    tables: Tables, aws: Misbehaviour, of: dict[str, str]
) -> None:
    replicate(aws, tables)
    emit("Errors", 0, minute=MINUTE - timedelta(hours=1), of=of)
    waiting = Waiting()
    waiting.now = (END - datetime.now(UTC)).total_seconds()

    assert ask(waiting) == LagFigures(
        unknown=f"CloudWatch has no IteratorAge of the function replicator for {MINUTE:%H:%M} UTC"
    )


def test_where_nothing_ever_reported_nothing_is_waited_for(tables: Tables, aws: Misbehaviour) -> None:
    replicate(aws, tables)
    waiting = Waiting()
    waiting.now = before = (END - datetime.now(UTC)).total_seconds()

    assert ask(waiting) == LagFigures(
        unknown=f"CloudWatch has no metrics of the event source mapping {UUID}, nor of its function replicator"
    )
    assert waiting.now == before


def test_the_state_of_the_mapping_is_a_problem(tables: Tables, aws: Misbehaviour) -> None:
    replicate(aws, tables, State="Disabled")

    assert ask() == LagFigures(problem=f"the event source mapping {UUID} is Disabled")


@pytest.mark.parametrize("operation", ["cloudwatch.GetMetricData", "cloudwatch.ListMetrics"])
def test_a_missing_permission_leaves_the_lag_unknown(
    tables: Tables, aws: Misbehaviour, operation: str
) -> None:
    replicate(aws, tables)
    aws.on(f"before-call.{operation}", lambda **_: refusal("AccessDenied"))
    waiting = Waiting()
    waiting.now = (END - datetime.now(UTC)).total_seconds()

    assert ask(waiting) == LagFigures(unknown="AccessDenied: why")


@pytest.mark.parametrize("status", ["Forbidden", "InternalError"])
def test_metrics_that_cloudwatch_does_not_return_are_unknown(
    tables: Tables, aws: Misbehaviour, status: str
) -> None:
    replicate(aws, tables)
    emit("PolledEventCount", 0, 0, 0, of=OF_MAPPING)

    def fail(parsed: Any, **_: Any) -> None:
        # Without Throttles and FailedInvokeEventCount the mapping would look idle.
        parsed["MetricDataResults"][2] |= {"StatusCode": status, "Values": [], "Timestamps": []}

    aws.on("after-call.cloudwatch.GetMetricData", fail)

    assert ask() == LagFigures(unknown=f"{status}: CloudWatch did not return Throttles")


def test_mappings_that_cannot_be_listed_leave_the_lag_unknown(aws: Misbehaviour) -> None:
    aws.on("before-call.lambda.ListEventSourceMappings", lambda **_: refusal("AccessDeniedException"))

    assert ask() == LagFigures(
        unknown="the event source mappings cannot be listed: AccessDeniedException: why"
    )


def test_the_last_age_is_that_of_the_latest_minute(tables: Tables, aws: Misbehaviour) -> None:
    assert lag(connect()) is None
    replicate(aws, tables)
    assert lag(connect()) is None

    emit("IteratorAge", 9000, 9000, 9000, minute=datetime.now(UTC) - timedelta(minutes=20))
    assert lag(connect()) is None
    emit("IteratorAge", 3000, 4000, 2000, minute=datetime.now(UTC) - timedelta(minutes=3))
    assert lag(connect()) == 2.0


def test_a_lag_that_cannot_be_read_is_unknown(tables: Tables, aws: Misbehaviour) -> None:
    replicate(aws, tables)
    aws.on("before-call.cloudwatch.GetMetricData", lambda **_: refusal("AccessDenied"))

    assert lag(connect()) is None
