"""Failures → what Lambda is told. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from collections.abc import Iterable

from ddbreplica.errors import UnreportableError
from ddbreplica.model import Failure


def checkpoint(failures: Iterable[Failure]) -> Failure | None:
    """The failure that stands first in the batch: Lambda delivers it, and everything after it, again."""
    return min(failures, key=lambda failure: failure.position, default=None)


def report(failures: Iterable[Failure]) -> dict[str, list[dict[str, str]]]:
    """Name the first failed record, by its place in the batch, or nothing if all is done.

    Raises UnreportableError if that record has no sequence number: then the whole batch has to come again.
    """
    first = checkpoint(failures)
    if first is None:
        return {"batchItemFailures": []}
    if first.sequence_number is None:
        raise UnreportableError(
            f"The record at position {first.position} has no sequence number and could not be quarantined"
            f" ({first.refusal.code}).",
            hint="Lambda will deliver the batch again; look at the quarantine bucket if this goes on.",
        )
    return {"batchItemFailures": [{"itemIdentifier": first.sequence_number}]}
