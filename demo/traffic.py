"""The writes to the source after the load: updates, deletes, and an item that the replica rejects."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from demo.pair import INDEX, MINUTE, Item, Pair, wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

QUARANTINE: Final = "quarantine/"
DONE: Final = "done/quarantine/"
"""The prefix to which `redrive` moves objects whose keys it has repaired."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An object in quarantine: its name, the key of its item, and the reason."""

    name: str
    key: str
    reason: str


def touched(item: Item) -> Item:
    """Return the item with `bytessent` increased by one."""
    return {**item, "bytessent": {"N": str(int(item["bytessent"]["N"]) + 1)}}


def update(pair: Pair, keys: Iterable[str]) -> None:
    """Update each of these items of the source."""
    for key in keys:
        pair.dynamodb.update_item(
            TableName=pair.source,
            Key={"PK": {"S": key}},
            UpdateExpression="SET bytessent = bytessent + :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )


def delete(pair: Pair, keys: Iterable[str]) -> None:
    """Delete each of these items of the source."""
    for key in keys:
        pair.dynamodb.delete_item(TableName=pair.source, Key={"PK": {"S": key}})


def neighbours_and_poison(like: Item) -> tuple[Sequence[Item], Item, Item]:
    """Return ten new rows, a row with a number where the index requires a string, and that row corrected."""
    rows = [
        {**like, "PK": {"S": f"request#new-{number:02}"}, "requestid": {"N": str(900000 + number)}}
        for number in range(11)
    ]
    corrected = rows.pop(5)
    return rows, {**corrected, "GSI_1_PK": {"N": "5"}}, corrected


def drop_source_index(pair: Pair, *, within: float = MINUTE) -> None:
    """Remove the index from the source, which then accepts what the replica's index rejects."""
    pair.dynamodb.update_table(
        TableName=pair.source, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": INDEX}}]
    )
    wait_until(lambda: not _indexes(pair), "The source's index is deleted", every=1.0, within=within)


def _indexes(pair: Pair) -> Sequence[Any]:
    return pair.dynamodb.describe_table(TableName=pair.source)["Table"].get("GlobalSecondaryIndexes", [])


def write_together(pair: Pair, neighbours: Sequence[Item], poison: Item) -> None:
    """Write the items to the source in one transaction, the poison in the middle."""
    middle = len(neighbours) // 2
    items = [*neighbours[:middle], poison, *neighbours[middle:]]
    pair.dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": pair.source, "Item": item}} for item in items]
    )


def wait_for_quarantine(s3: "S3Client", bucket: str) -> Sequence[Refused]:
    """Wait until the quarantine has an object, and return all of its objects."""
    wait_until(lambda: bool(quarantined(s3, bucket)), "The rejected item is in quarantine")
    return quarantined(s3, bucket)


def quarantined(s3: "S3Client", bucket: str, *, under: str = QUARANTINE) -> Sequence[Refused]:
    """Return the objects `under` a prefix of the quarantine bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=under)
    return [_refused(s3, bucket, found["Key"]) for page in pages for found in page.get("Contents", [])]


def _refused(s3: "S3Client", bucket: str, name: str) -> Refused:
    content = json.loads(s3.get_object(Bucket=bucket, Key=name)["Body"].read())
    return Refused(name, content["record"]["dynamodb"]["Keys"]["PK"]["S"], content["reason"])
