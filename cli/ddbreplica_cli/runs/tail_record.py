"""Format a stream record that boto3 has read, as a JSON document or as text. Pure."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ddbreplica.model import Image
from ddbreplica.records.compare import differences
from ddbreplica.records.text import bare, difference_texts, key_text, lines, value_text

_LONGEST_VALUE = 100
_TIME_WIDTH = 20
# The names of the Streams API, which Lambda's events have in lower case.
_EXPIRED = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}


@dataclass(frozen=True, slots=True)
class StreamedChange:
    """A change from a stream record. Images are DynamoDB JSON, or None if the stream does not contain them.

    `at` has whole seconds, or is None if the record has no time.
    """

    at: datetime | None
    event: str
    key: Image
    old: Image | None
    new: Image | None
    sequence_number: str
    is_expiry: bool


def seen(record: Mapping[str, Any]) -> StreamedChange:
    """Convert a stream record to a change."""
    at = record["dynamodb"].get("ApproximateCreationDateTime")
    # boto3 converts base64 to bytes, and changes nothing else.
    data = json.loads(json.dumps(record["dynamodb"], default=_plain))
    return StreamedChange(
        at=None if at is None else at.astimezone(UTC),
        event=record["eventName"],
        key=data["Keys"],
        old=data.get("OldImage"),
        new=data.get("NewImage"),
        sequence_number=data["SequenceNumber"],
        is_expiry=record.get("userIdentity") == _EXPIRED,
    )


def document(change: StreamedChange, *, keys_only: bool) -> dict[str, Any]:
    """Return the change as a JSON document."""
    images = {} if keys_only else {"old": change.old, "new": change.new}
    return {
        "time": None if change.at is None else _time(change.at),
        "event": change.event,
        "key": change.key,
        **images,
        "is_expiry": change.is_expiry,
        "sequence_number": change.sequence_number,
    }


def text(change: StreamedChange, *, keys_only: bool) -> str:
    """Return the change as text: one line, and one line for each attribute that was set, changed or removed."""
    key = key_text(change.key, longest=_LONGEST_VALUE)
    expiry = "  (expired)" if change.is_expiry else ""
    time = f"{'(no time)':{_TIME_WIDTH}}" if change.at is None else _time(change.at)
    head = f"{time}  {change.event:<6}  {key}{expiry}"
    return lines([head, *(() if keys_only else _attributes(change))])


def _attributes(change: StreamedChange) -> Iterator[str]:
    if change.old is None:
        for name, value in sorted((change.new or {}).items()):
            if name not in change.key:
                yield f"  {bare(name)}  {value_text(value, longest=_LONGEST_VALUE)}"
        return
    for attribute in differences(change.old, change.new or {}):
        if attribute.name not in change.key:
            old, new = difference_texts(attribute.source, attribute.replica, longest=_LONGEST_VALUE)
            yield f"  {bare(attribute.name)}  {old} → {new}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _plain(value: object) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
