"""Find out how long ago the last verification was, since a verification that does not run cannot say so itself."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from ddbreplica.bucket.verification_record import INCONCLUSIVE, RecordedTable, VerificationRecord
from ddbreplica.dynamodb.describe import Described

_SECONDS: Final = 3600


def hours_since(
    records: Iterable[VerificationRecord], tables: tuple[Described, Described], *, now: datetime
) -> float:
    """Return the hours since the last conclusive verification of these tables began.

    Without one, these are the hours since both tables exist.
    """
    present = tuple(RecordedTable(table.table.arn, table.created_at) for table in tables)
    since = max(table.created_at for table in tables)
    for record in records:
        if record.verdict != INCONCLUSIVE and (record.source, record.replica) == present:
            since = max(since, record.began)
    return max(0.0, (now - since).total_seconds() / _SECONDS)
