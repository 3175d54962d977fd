"""How far the replica is behind → how long to wait before a difference counts as one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError

from ddbreplica.aws.request import ask
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError
from ddbreplica.mapping.lookup import find_mapping, latest_stream

LEAST = 5.0
LONGEST = 300.0
"""A replica that is further behind is not waited for, unless told: what differs is then inconclusive at once."""

_WINDOW = timedelta(minutes=5)


def grace(lag: float | None) -> float:
    """Seconds in which a replica that is so far behind catches up with what was written before; None is unknown."""
    seconds = max(LEAST, 2 * (lag or 0))
    return seconds if seconds <= LONGEST else LEAST


def is_longer(grace: float, lag: float | None) -> bool:
    """Whether what differs after a grace does not differ for being late, as far as the lag is known."""
    return lag is None or lag < grace


def lag(connection: Connection) -> float | None:
    """How old the last records were when the function took them, in seconds; None where nobody can say.

    What it takes to know this, beside the tables, is not needed to verify: a refusal is no failure.
    """
    try:
        mapping = find_mapping(connection, latest_stream(connection))
        return _iterator_age(connection, mapping.function_name) if mapping else None
    except (BotoCoreError, TaskError):  # the former where no client can be created
        return None


def _iterator_age(connection: Connection, function: str) -> float | None:
    now = datetime.now(UTC)
    get = partial(
        connection.source.metrics().get_metric_statistics,
        Namespace="AWS/Lambda",
        MetricName="IteratorAge",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=now - _WINDOW,
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )
    return ask(lambda: _last(get()["Datapoints"]))


def _last(points: Sequence[Any]) -> float | None:
    """The last of some maximums, in seconds."""
    if not points:
        return None
    last: float = max(points, key=lambda point: point["Timestamp"])["Maximum"]
    return last / 1000
