"""Process a batch in a function of your own: decode it, apply each change and report the first failure."""

import logging
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.aws.refusal import refusal_of
from ddbreplica.deadline import Deadline
from ddbreplica.model import Change, Failure, Quarantined, Refusal, RefusalKind
from ddbreplica.records.batch_item_failures import report
from ddbreplica.records.decode import decode

_LOGGER = logging.getLogger(__name__)
_OUT_OF_TIME = Refusal(RefusalKind.TRANSIENT, "OutOfTime", "the invocation's time was used up")


def _every(_: Change) -> bool:
    return True


def process(
    event: Any,
    apply: Callable[[Change], object],
    *,
    deadline: Deadline,
    attempt_seconds: float,
    select: Callable[[Change], bool] = _every,
    explain: Callable[[BotoCoreError | ClientError], Refusal] = refusal_of,
) -> dict[str, list[dict[str, str]]]:
    """Apply the changes of a batch in order, and return Lambda's partial batch response.

    `apply` is called for each change that `select` returns true for. It raises the errors of botocore, which `explain`
    classifies: a transient refusal is tried again while `attempt_seconds` are left before the `deadline`; a rejected
    change is not; a fault is raised, and Lambda delivers the whole batch again. Any other exception is raised too.

    The first record that is malformed or was not applied is the checkpoint: no change after it is applied, and Lambda
    delivers it and those after it again. The log has its sequence number and the error code, and nothing of the item.

    Raises EventError if the event is not a batch of a stream, StreamViewTypeError if the stream carries no new images,
    UnreportableError if the checkpoint has no sequence number.
    """
    decoded = decode(event, replicate_ttl_deletes=True)
    failure = next(map(_malformed, decoded.poison), None)
    for change in decoded.changes:
        if failure and failure.position < change.position:
            break
        if select(change) and (refusal := _refusal(change, apply, deadline, attempt_seconds, explain)):
            failure = Failure(change.position, change.sequence_number, refusal)
    if failure:
        _LOGGER.warning(
            "record %s will be delivered again: %s", failure.sequence_number, failure.refusal.code
        )
    return report(filter(None, [failure]))


def _malformed(record: Quarantined) -> Failure:
    refusal = Refusal(RefusalKind.REJECTED, record.error_code, record.reason)
    return Failure(record.position, record.sequence_number, refusal)


def _refusal(
    change: Change,
    apply: Callable[[Change], object],
    deadline: Deadline,
    attempt_seconds: float,
    explain: Callable[[BotoCoreError | ClientError], Refusal],
) -> Refusal | None:
    """Apply a change. Return the last refusal if it could not be applied."""
    refusal = _OUT_OF_TIME
    for _ in deadline.attempts(then=attempt_seconds):
        try:
            apply(change)
        except (BotoCoreError, ClientError) as error:
            refusal = explain(error)
            if refusal.kind is RefusalKind.FAULT:
                raise
            if refusal.kind is RefusalKind.REJECTED:
                break
        else:
            return None
    return refusal
