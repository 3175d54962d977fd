"""Measure the replica's lag by the age of the records that the function receives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

from botocore.exceptions import BotoCoreError

from ddbreplica.aws.request import ask
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError
from ddbreplica.mapping.lookup import find_mapping, latest_stream

# Lambda emits IteratorAge for invocations only. Without one in this time the lag is unknown, not 0.
_WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class LagFigures:
    """What the mapping's state and metrics say about the lag during a time. One of the four is set.

    `problem` is a clause that names why changes may not arrive. `is_idle` is whether the mapping was enabled and
    received no record in any minute. `seconds` is how long a change took to arrive at most. `unknown` is a clause that
    says why the figures are missing.
    """

    problem: str | None = None
    is_idle: bool = False
    seconds: float | None = None
    unknown: str | None = None


AskLag: TypeAlias = Callable[[datetime, datetime], LagFigures]
"""Return the figures of a time, given its begin and its end. It may wait for minutes, until CloudWatch has them."""


def lag(connection: Connection) -> float | None:
    """Return how old the last records were when the function received them, in seconds; None if that is unknown.

    A refused request is not an error, because no command depends on the lag.
    """
    try:
        mapping = find_mapping(connection, latest_stream(connection))
        return _iterator_age(connection, mapping.function_name) if mapping else None
    except (BotoCoreError, TaskError):  # the former where no client can be created
        return None


def _iterator_age(connection: Connection, function: str) -> float | None:
    now = connection.clock.local()
    get = partial(
        connection.source.metrics().get_metric_statistics,
        Namespace="AWS/Lambda",
        MetricName="IteratorAge",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=now - _WINDOW,
        EndTime=now,
        Period=60,
        # One late shard beside healthy ones must count.
        Statistics=["Maximum"],
    )
    return ask(lambda: _last(get()["Datapoints"]))


def _last(points: Sequence[Any]) -> float | None:
    """Return the latest of some maximums, in seconds."""
    if not points:
        return None
    last: float = max(points, key=lambda point: point["Timestamp"])["Maximum"]
    return last / 1000
