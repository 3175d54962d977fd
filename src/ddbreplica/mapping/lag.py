"""Measure the replica's lag by the age of the records that the function receives."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError

from ddbreplica.aws.request import ask
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError
from ddbreplica.mapping.lookup import find_mapping, latest_stream

# Lambda emits IteratorAge for invocations only. Without one in this time the lag is unknown, not 0.
_WINDOW = timedelta(minutes=5)


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
