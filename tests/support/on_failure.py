"""Records that Lambda gives up → the object that it puts into an on-failure bucket: its name and its body.

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
class GivenUp:
    """What a mapping knows when it gives records up.

    `invocations` are those that the batch had; `function_error` is None unless the last of them raised.
    """

    records: Sequence[Any]
    shard_id: str
    condition: Condition
    request_id: str
    invocations: int
    function_error: str | None


def on_failure_object(given_up: GivenUp, *, now: float, name: str) -> tuple[str, str]:
    """The object's key, which ends in `name`, and its body."""
    at = datetime.fromtimestamp(now, UTC)
    key = f"aws/lambda/{MAPPING}/{given_up.shard_id}/{at:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{name}"
    body = {
        "requestContext": {
            "requestId": given_up.request_id,
            "functionArn": FUNCTION_ARN,
            "condition": given_up.condition,
            "approximateInvokeCount": given_up.invocations,
        },
        **_response_context(given_up),
        "version": "1.0",
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "DDBStreamBatchInfo": _batch_info(given_up),
        "payload": json.dumps({"Records": given_up.records}),
    }
    return key, json.dumps(body)


def _response_context(given_up: GivenUp) -> dict[str, Any]:
    if not given_up.invocations:
        return {}
    error = {"functionError": given_up.function_error} if given_up.function_error else {}
    return {"responseContext": {"statusCode": 200, "executedVersion": "$LATEST", **error}}


def _batch_info(given_up: GivenUp) -> dict[str, Any]:
    first, last = given_up.records[0], given_up.records[-1]
    return {
        "shardId": given_up.shard_id,
        "startSequenceNumber": first["dynamodb"]["SequenceNumber"],
        "endSequenceNumber": last["dynamodb"]["SequenceNumber"],
        "approximateArrivalOfFirstRecord": _arrival(first),
        "approximateArrivalOfLastRecord": _arrival(last),
        "batchSize": len(given_up.records),
        "streamArn": first["eventSourceARN"],
    }


def _arrival(record: Any) -> str:
    at = datetime.fromtimestamp(record["dynamodb"]["ApproximateCreationDateTime"], UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
