"""Create stream records and batches as Lambda delivers them."""

from collections.abc import Mapping
from typing import Any

STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile/stream/2026-11-01T12:00:00.000"


def record(
    sequence_number: int | str,
    name: str,
    keys: Mapping[str, Any],
    image: Mapping[str, Any] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """Return a record. `extra` adds members to it, or removes them with None."""
    data: dict[str, Any] = {
        "ApproximateCreationDateTime": 1.7940960e9,
        "Keys": dict(keys),
        "SequenceNumber": str(sequence_number),
        "SizeBytes": 100,
        "StreamViewType": "NEW_IMAGE",
    }
    if image is not None:
        data["NewImage"] = dict(image)
    whole = {
        "eventID": f"event-{sequence_number}",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": data,
        "eventSourceARN": STREAM,
        **extra,
    }
    return {member: value for member, value in whole.items() if value is not None}


def put(sequence_number: int | str, pk: str, /, **attributes: Any) -> dict[str, Any]:
    """Return the record of a put of an item with the key PK (S)."""
    keys = {"PK": {"S": pk}}
    return record(sequence_number, "MODIFY", keys, {**keys, **attributes})


def delete(sequence_number: int | str, pk: str) -> dict[str, Any]:
    """Return the record of a delete of the item with the key PK (S)."""
    return record(sequence_number, "REMOVE", {"PK": {"S": pk}})


def ttl_delete(sequence_number: int | str, pk: str) -> dict[str, Any]:
    """Return the record of the expiry of the item with the key PK (S)."""
    identity = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    return record(sequence_number, "REMOVE", {"PK": {"S": pk}}, userIdentity=identity)


def batch(*records: Any) -> dict[str, Any]:
    """Return the event with which Lambda invokes the function."""
    return {"Records": list(records)}
