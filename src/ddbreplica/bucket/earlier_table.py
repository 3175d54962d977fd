"""Whether a record was written by an earlier table that had the source's name. Pure.

A table that is deleted and restored keeps its name and its ARN. What the restored table does not have may exist in
the replica alone, and a record of the earlier table does not say that it was deleted.
"""

from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(seconds=2)
"""Between clocks of AWS, and for a stream that is created together with its table."""


def is_earlier(stream_arn: str | None, *, stored_at: datetime, created_at: datetime) -> bool:
    """Return whether a record is older than the table that was created at `created_at`.

    The label of its stream says when that stream was created; without a label it counts when its object was stored.
    """
    since = _label_time(stream_arn or "") or stored_at
    return since < created_at - TOLERANCE


def _label_time(stream_arn: str) -> datetime | None:
    """The time that a stream's label is, in UTC unless it names a zone; None where there is no such label."""
    try:
        label = datetime.fromisoformat(stream_arn.partition("/stream/")[2])
    except ValueError:
        return None
    return label if label.tzinfo else label.replace(tzinfo=UTC)
