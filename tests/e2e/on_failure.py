"""Read the objects in the on-failure bucket, and check that they are as Lambda's documentation describes.

https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from demo.errors import DidNotHoldError
from demo.pair import Item

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX: Final = "aws/lambda/"

_NAME: Final = re.compile(
    PREFIX + r"[0-9a-f-]{36}/[^/]+/\d{4}/\d{2}/\d{2}/\d{4}-\d{2}-\d{2}T\d{2}\.\d{2}\.\d{2}-[0-9a-f-]{36}"
)
_CONDITIONS: Final = frozenset({"RetryAttemptsExhausted", "RecordAgeExceeded"})


@dataclass(frozen=True, slots=True)
class DiscardedBatch:
    """An object in the on-failure bucket: its condition, and the last image of each item, by partition key."""

    condition: str
    images: Mapping[str, Item | None]


def discarded(s3: "S3Client", bucket: str) -> list[DiscardedBatch]:
    """Return all objects. Raises DidNotHoldError if one is not as documented."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    names = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return [read(name, s3.get_object(Bucket=bucket, Key=name)["Body"].read()) for name in names]


def read(name: str, content: bytes) -> DiscardedBatch:
    """Return one object. Raises DidNotHoldError with what is not as documented."""
    try:
        body = json.loads(content)
        records = json.loads(body["payload"])["Records"]
        faults = list(_faults(name, body, records))
        images = {_key(record): record["dynamodb"].get("NewImage") for record in records}
        found = DiscardedBatch(body["requestContext"]["condition"], images)
    except (KeyError, TypeError, ValueError) as error:
        raise DidNotHoldError(
            f"The on-failure object {name} is not as documented: {type(error).__name__} {error}."
        ) from error
    if faults:
        raise DidNotHoldError(f"The on-failure object {name} is not as documented: {', '.join(faults)}.")
    return found


def _faults(name: str, body: Mapping[str, Any], records: list[Mapping[str, Any]]) -> Iterator[str]:
    info = body["DDBStreamBatchInfo"]
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    if not _NAME.fullmatch(name):
        yield "its name differs"
    if body["requestContext"]["condition"] not in _CONDITIONS:
        yield f"its condition is {body['requestContext']['condition']}"
    if info["batchSize"] != len(records):
        yield f"its batchSize is {info['batchSize']}, but it has {len(records)} records"
    if numbers and [numbers[0], numbers[-1]] != [info["startSequenceNumber"], info["endSequenceNumber"]]:
        yield "its sequence numbers are not those of its first and last record"
    if any(record["eventSourceARN"] != info["streamArn"] for record in records):
        yield "its records are from a different stream"


def _key(record: Mapping[str, Any]) -> str:
    key: str = record["dynamodb"]["Keys"]["PK"]["S"]
    return key
