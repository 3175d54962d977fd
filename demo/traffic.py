"""What happens to the source after the load: updates, deletes, and one item that the replica refuses."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from demo.pair import INDEX, MINUTE, Item, Pair, wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

QUARANTINE: Final = "quarantine/"
DONE: Final = "done/quarantine/"
"""Where in the bucket redrive puts what it has healed."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An object in quarantine: where it is, the key of its item, and why."""

    name: str
    key: str
    reason: str


def touched(item: Item) -> Item:
    """The item with one more byte sent."""
    return {**item, "bytessent": {"N": str(int(item["bytessent"]["N"]) + 1)}}


def update(pair: Pair, keys: Iterable[str]) -> None:
    """Add to an attribute of each item of the source."""
    for key in keys:
        pair.dynamodb.update_item(
            TableName=pair.source,
            Key={"PK": {"S": key}},
            UpdateExpression="SET bytessent = bytessent + :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )


def delete(pair: Pair, keys: Iterable[str]) -> None:
    """Delete each item from the source."""
    for key in keys:
        pair.dynamodb.delete_item(TableName=pair.source, Key={"PK": {"S": key}})


def neighbours_and_poison(like: Item) -> tuple[Sequence[Item], Item, Item]:
    """Ten new rows; one with a number where the replica's index wants text; that one as it ought to be."""
    rows = [
        {**like, "PK": {"S": f"request#new-{number:02}"}, "requestid": {"N": str(900000 + number)}}
        for number in range(11)
    ]
    mended = rows.pop(5)
    return rows, {**mended, "GSI_1_PK": {"N": "5"}}, mended


def drop_source_index(pair: Pair, *, within: float = MINUTE) -> None:
    """Remove the index from the source, which from then on accepts what the replica's index refuses."""
    pair.dynamodb.update_table(
        TableName=pair.source, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": INDEX}}]
    )
    wait_until(lambda: not _indexes(pair), "The source's index is gone", every=1.0, within=within)


def _indexes(pair: Pair) -> Sequence[Any]:
    return pair.dynamodb.describe_table(TableName=pair.source)["Table"].get("GlobalSecondaryIndexes", [])


def write_together(pair: Pair, neighbours: Sequence[Item], poison: Item) -> None:
    """Write them to the source at once, the poison in the middle."""
    middle = len(neighbours) // 2
    items = [*neighbours[:middle], poison, *neighbours[middle:]]
    pair.dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": pair.source, "Item": item}} for item in items]
    )


def wait_for_quarantine(s3: "S3Client", bucket: str) -> Sequence[Refused]:
    """Wait until something is in quarantine, and return all of it."""
    wait_until(lambda: bool(quarantined(s3, bucket)), "The refused item is in quarantine")
    return quarantined(s3, bucket)


def quarantined(s3: "S3Client", bucket: str, *, under: str = QUARANTINE) -> Sequence[Refused]:
    """What is in quarantine now; or, `under` another prefix, was."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=under)
    return [_refused(s3, bucket, found["Key"]) for page in pages for found in page.get("Contents", [])]


def _refused(s3: "S3Client", bucket: str, name: str) -> Refused:
    content = json.loads(s3.get_object(Bucket=bucket, Key=name)["Body"].read())
    return Refused(name, content["record"]["dynamodb"]["Keys"]["PK"]["S"], content["reason"])
