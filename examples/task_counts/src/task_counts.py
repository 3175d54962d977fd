"""A stream's batch of tasks → how many tasks each list has, in a table that is exact after any redelivery.

A marker per task names the list that the task is counted in. Marker and counts move in one transaction: a count is
at every moment the number of markers that name its list, and each marker ends as its task's last change.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica import (
    CLIENT_CONFIG,
    Change,
    Deadline,
    Image,
    Refusal,
    RefusalKind,
    deadline_of,
    process,
    refusal_of,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

ATTEMPT_SECONDS = 18.0
"""What has to be left when a change is counted: 8 s to read its marker, 8 s for the transaction, 2 s to answer."""

_PERMANENT = frozenset({"ItemCollectionSizeLimitExceeded", "ValidationError"})
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Counter:
    """The two tables, which nobody else writes to."""

    client: "DynamoDBClient"
    counts: str
    markers: str
    now: Callable[[], float] = time.time

    def count(self, change: Change) -> None:
        """Count a task as the change says, wholly or not at all; raise what botocore raises."""
        task = {"task": {"S": hashlib.sha256(json.dumps(change.key).encode()).hexdigest()}}
        answer: Any = self.client.get_item(TableName=self.markers, Key=task, ConsistentRead=True)
        marker: Image = answer.get("Item", {})
        before, after = list_of(marker), list_of(change.image)
        if before != after:
            moves = [(name, by) for name, by in ((before, "-1"), (after, "1")) if name]
            put = self._put(task, marker, after)
            self.client.transact_write_items(TransactItems=[put, *(self._add(*move) for move in moves)])

    def _put(self, task: Image, marker: Image, name: str | None) -> Any:
        """The marker's next version, if it still is the one that was read: what is carried out late does nothing."""
        version = int(marker["version"]["N"]) if marker else 0
        item = {**task, "version": {"N": str(version + 1)}}
        # A marker without a list outlives whatever transaction may still be under way.
        item |= {"list": {"S": name}} if name else {"expires": {"N": str(int(self.now()) + _DAY)}}
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(task)"}
        if marker:
            values = {":read": {"N": str(version)}}
            condition = {"ConditionExpression": "version = :read", "ExpressionAttributeValues": values}
        return {"Put": {"TableName": self.markers, "Item": item, **condition}}

    def _add(self, name: str, by: str) -> Any:
        update = {"UpdateExpression": "ADD tasks :by", "ExpressionAttributeValues": {":by": {"N": by}}}
        return {"Update": {"TableName": self.counts, "Key": {"list": {"S": name}}, **update}}


def list_of(item: Image | None) -> str | None:
    """The list that an item names: its attribute `list`, if that is text of 1 to 2,048 bytes."""
    name: str = (item or {}).get("list", {}).get("S", "")
    return name if 0 < len(name.encode()) <= 2048 else None


@lru_cache(maxsize=1)
def counter() -> Counter:
    """The container's own, made at its first invocation."""
    client = boto3.client("dynamodb", config=CLIENT_CONFIG)
    return Counter(client, os.environ["COUNTS_TABLE_NAME"], os.environ["MARKERS_TABLE_NAME"])


def lambda_handler(event: Any, context: "LambdaContext") -> dict[str, list[dict[str, str]]]:
    """Count a batch's tasks, and name the first record that Lambda has to deliver again."""
    return count(event, counter(), deadline_of(context))


def count(event: Any, to: Counter, deadline: Deadline) -> dict[str, list[dict[str, str]]]:
    """What the handler does, with everything that it touches handed in. It ends at the first record that fails."""
    return process(event, to.count, deadline=deadline, attempt_seconds=ATTEMPT_SECONDS, explain=why)


def why(error: BotoCoreError | ClientError) -> Refusal:
    """Classify an error, and a cancelled transaction by its reasons.

    A condition that failed says that the marker moved, never that the task is counted; a conflict says that the
    transaction met another. Both are worth another look.
    """
    reasons = error.response.get("CancellationReasons", ()) if isinstance(error, ClientError) else ()
    codes = {reason.get("Code", "None") for reason in reasons} - {"None"}
    if not codes:
        return refusal_of(error)
    kind = RefusalKind.REJECTED if codes & _PERMANENT else RefusalKind.TRANSIENT
    return Refusal(kind, "+".join(sorted(codes)), "the transaction was cancelled")
