"""The read capacity that all workers of a job may use together. Pure."""

from typing import Final

from ddbreplica.dynamodb.describe import Described
from ddbreplica.dynamodb.rate import SHARE

UNKNOWN_UNITS: Final = 3_000.0
"""Read capacity units per second of an on-demand table whose limits DescribeTable does not show."""


def read_budget(table: Described, per_second: float | None) -> float:
    """Return the read capacity units per second to use: `per_second`, or a share of what the table can provide."""
    if per_second is not None:
        return per_second
    if table.capacity is not None:
        return max(table.capacity[0], 1) * SHARE
    most = table.description.get("OnDemandThroughput", {}).get("MaxReadRequestUnits", -1)
    warm = table.description.get("WarmThroughput", {}).get("ReadUnitsPerSecond", -1)
    # -1 is how DynamoDB writes that there is no limit.
    known = [units for units in (most, warm) if units > 0]
    return min(known) * SHARE if known else UNKNOWN_UNITS
