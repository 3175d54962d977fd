"""Count the tasks of each list in a table. The counts stay exact when Lambda delivers records again.

A marker for each task contains the list in which the task is counted. One transaction updates the marker and the
counts, so a count always equals the number of markers with its list. When all changes are processed, each marker
contains the list of its task's last change.
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
"""Time that must be left before a change is counted: 8 s to read, 8 s to write, 2 s for the response to Lambda."""

_PERMANENT = frozenset({"ItemCollectionSizeLimitExceeded", "ValidationError"})
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Counter:
    """The table of counts and the table of markers, to which only this function writes."""

    client: "DynamoDBClient"
    counts: str
    markers: str
    now: Callable[[], float] = time.time

    def count(self, change: Change) -> None:
        """Count a changed task in one transaction, and raise the errors of botocore."""
        task = {"task": {"S": hashlib.sha256(json.dumps(change.key).encode()).hexdigest()}}
        response: Any = self.client.get_item(TableName=self.markers, Key=task, ConsistentRead=True)
        marker: Image = response.get("Item", {})
        before, after = list_of(marker), list_of(change.image)
        if before != after:
            moves = [(name, by) for name, by in ((before, "-1"), (after, "1")) if name]
            put = self._put(task, marker, after)
            self.client.transact_write_items(TransactItems=[put, *(self._add(*move) for move in moves)])

    def _put(self, task: Image, marker: Image, name: str | None) -> Any:
        """Return the put of the marker's next version. Its condition fails if the marker has changed since it was read.

        So a transaction that DynamoDB executes late changes nothing.
        """
        version = int(marker["version"]["N"]) if marker else 0
        item = {**task, "version": {"N": str(version + 1)}}
        # A marker without a list expires only when no transaction for its task can still be in progress.
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
    """Return the attribute `list` of an item if it is a string of 1 to 2,048 bytes, else None."""
    name: str = (item or {}).get("list", {}).get("S", "")
    return name if 0 < len(name.encode()) <= 2048 else None


@lru_cache(maxsize=1)
def counter() -> Counter:
    """Return the counter of this execution environment, which the first invocation creates."""
    client = boto3.client("dynamodb", config=CLIENT_CONFIG)
    return Counter(client, os.environ["COUNTS_TABLE_NAME"], os.environ["MARKERS_TABLE_NAME"])


def lambda_handler(event: Any, context: "LambdaContext") -> dict[str, list[dict[str, str]]]:
    """Count the tasks of a batch, and return the first record that Lambda must deliver again."""
    return count(event, counter(), deadline_of(context))


def count(event: Any, to: Counter, deadline: Deadline) -> dict[str, list[dict[str, str]]]:
    """Count the tasks of a batch in two tables. Stop at the first record that fails, and return it."""
    return process(event, to.count, deadline=deadline, attempt_seconds=ATTEMPT_SECONDS, explain=classify)


def classify(error: BotoCoreError | ClientError) -> Refusal:
    """Classify an error, and a cancelled transaction by its reasons.

    A failed condition means that the marker has changed, not that the task is counted. A conflict means that another
    transaction was in progress. Both are transient, so the change is processed again from the start.
    """
    reasons = error.response.get("CancellationReasons", ()) if isinstance(error, ClientError) else ()
    codes = {reason.get("Code", "None") for reason in reasons} - {"None"}
    if not codes:
        return refusal_of(error)
    kind = RefusalKind.REJECTED if codes & _PERMANENT else RefusalKind.TRANSIENT
    return Refusal(kind, "+".join(sorted(codes)), "the transaction was cancelled")
