"""Report the first failure of a batch to Lambda as a partial batch response. Pure functions.

https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from collections.abc import Iterable

from ddbreplica.errors import UnreportableError
from ddbreplica.model import Failure


def checkpoint(failures: Iterable[Failure]) -> Failure | None:
    """Return the failure that is first in the batch: Lambda delivers its record and all records after it again."""
    # By position: sequence numbers are text of different lengths, so that they have no order of their own.
    return min(failures, key=lambda failure: failure.position, default=None)


def report(failures: Iterable[Failure]) -> dict[str, list[dict[str, str]]]:
    """Return Lambda's response with the first failed record of the batch, or an empty one if no record failed.

    Raises UnreportableError if that record has no sequence number: Lambda then has to deliver the whole batch again.
    """
    first = checkpoint(failures)
    if first is None:
        return {"batchItemFailures": []}
    # Lambda fails the whole batch for an empty identifier too, but then no log line shows why.
    if first.sequence_number is None:
        raise UnreportableError(
            f"The record at position {first.position} has no sequence number and could not be quarantined"
            f" ({first.refusal.code}).",
            hint="Lambda will deliver the batch again; check the quarantine bucket if the error continues.",
        )
    return {"batchItemFailures": [{"itemIdentifier": first.sequence_number}]}
