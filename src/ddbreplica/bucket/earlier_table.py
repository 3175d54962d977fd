"""Recognise a record of an earlier table that had the source's name. Pure functions.

A table that is deleted and restored from a backup keeps its name and ARN. An item that the backup lacks may exist only
in the replica, and reconciling its key would delete it. Therefore a record of the earlier table is not redriven.
"""

from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(seconds=2)
"""Allowed between AWS's clocks, and for a stream that is created together with its table."""


def is_earlier(stream_arn: str | None, *, stored_at: datetime, created_at: datetime) -> bool:
    """Return whether a record is older than the table that was created at `created_at`.

    A record is as old as its stream, whose label is the time of its creation. Without a label, the record is as old as
    its object in the bucket.
    """
    since = _label_time(stream_arn or "") or stored_at
    return since < created_at - TOLERANCE


def _label_time(stream_arn: str) -> datetime | None:
    """Return the time of a stream's label, in UTC unless it has a zone; None if there is no such label."""
    try:
        label = datetime.fromisoformat(stream_arn.partition("/stream/")[2])
    except ValueError:
        return None
    return label if label.tzinfo else label.replace(tzinfo=UTC)
