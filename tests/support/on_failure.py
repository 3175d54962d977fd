"""Return the name and the body of the object that Lambda puts into an on-failure bucket for a discarded batch.

https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

MAPPING = "14b0a3c4-8d2e-4f7a-9c61-5e0d7a2b9f38"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:ddbreplica"

Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]


@dataclass(frozen=True, slots=True)
class DiscardedBatch:
    """A batch that a mapping discards.

    `invocations` counts the invocations with the batch. `function_error` is None unless the last one raised an error.
    """

    records: Sequence[Any]
    shard_id: str
    condition: Condition
    request_id: str
    invocations: int
    function_error: str | None


def on_failure_object(discarded: DiscardedBatch, *, now: float, name: str) -> tuple[str, str]:
    """Return the object's key, which ends in `name`, and its body."""
    at = datetime.fromtimestamp(now, UTC)
    key = f"aws/lambda/{MAPPING}/{discarded.shard_id}/{at:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{name}"
    body = {
        "requestContext": {
            "requestId": discarded.request_id,
            "functionArn": FUNCTION_ARN,
            "condition": discarded.condition,
            "approximateInvokeCount": discarded.invocations,
        },
        **_response_context(discarded),
        "version": "1.0",
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "DDBStreamBatchInfo": _batch_info(discarded),
        "payload": json.dumps({"Records": discarded.records}),
    }
    return key, json.dumps(body)


def _response_context(discarded: DiscardedBatch) -> dict[str, Any]:
    if not discarded.invocations:
        return {}
    error = {"functionError": discarded.function_error} if discarded.function_error else {}
    return {"responseContext": {"statusCode": 200, "executedVersion": "$LATEST", **error}}


def _batch_info(discarded: DiscardedBatch) -> dict[str, Any]:
    first, last = discarded.records[0], discarded.records[-1]
    return {
        "shardId": discarded.shard_id,
        "startSequenceNumber": first["dynamodb"]["SequenceNumber"],
        "endSequenceNumber": last["dynamodb"]["SequenceNumber"],
        "approximateArrivalOfFirstRecord": _arrival(first),
        "approximateArrivalOfLastRecord": _arrival(last),
        "batchSize": len(discarded.records),
        "streamArn": first["eventSourceARN"],
    }


def _arrival(record: Any) -> str:
    at = datetime.fromtimestamp(record["dynamodb"]["ApproximateCreationDateTime"], UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
