"""Read the two tables of a stack: count and compare their items."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from demo.errors import DidNotHoldError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item: TypeAlias = dict[str, Any]
"""An item as DynamoDB JSON: {"requestid": {"N": "7"}, …}."""

INDEX: Final = "GSI_1"
MINUTE: Final = 60.0
"""The default time limit of a wait, in seconds."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and its replica. All reads are strongly consistent, except those of the index.

    `replica_client` is a client for the replica's Region and account, if they differ from the source's.
    """

    dynamodb: "DynamoDBClient"
    source: str
    replica: str
    replica_client: "DynamoDBClient | None" = None

    def count(self, table: str) -> int:
        """Scan the table and return the number of its items."""
        scan = self._client(table).get_paginator("scan")
        pages = scan.paginate(TableName=table, Select="COUNT", ConsistentRead=True)
        return sum(page["Count"] for page in pages)

    def items(self, table: str) -> dict[str, Item]:
        """Return all items of the table by partition key."""
        pages = self._client(table).get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return {item["PK"]["S"]: item for page in pages for item in page["Items"]}

    def item(self, table: str, key: str) -> Item | None:
        """Return one item, or None if it does not exist."""
        response = self._client(table).get_item(TableName=table, Key={"PK": {"S": key}}, ConsistentRead=True)
        return response.get("Item")

    def query_index(self, value: str) -> dict[str, Item]:
        """Query the replica's index for a value of its partition key, and return the items by partition key."""
        pages = (
            self._client(self.replica)
            .get_paginator("query")
            .paginate(
                TableName=self.replica,
                IndexName=INDEX,
                KeyConditionExpression="GSI_1_PK = :value",
                ExpressionAttributeValues={":value": {"S": value}},
            )
        )
        return {item["PK"]["S"]: item for page in pages for item in page["Items"]}

    def wait_until_equal(self, *, but_for: frozenset[str] = frozenset()) -> None:
        """Wait until both tables have the same items, except for the keys `but_for`. Raises DidNotHoldError."""
        expected = {key: item for key, item in self.items(self.source).items() if key not in but_for}
        wait_until(lambda: self.items(self.replica) == expected, "The replica equals the source")

    def _client(self, table: str) -> "DynamoDBClient":
        return self.replica_client if self.replica_client and table == self.replica else self.dynamodb


def projected(item: Item) -> Item:
    """Return the attributes of an item that the index has: the keys, and what the template projects."""
    return {name: item[name] for name in ("PK", "GSI_1_PK", "bytessent", "requestid", "host")}


def wait_until(
    condition: Callable[[], bool], promise: str, *, every: float = 0.05, within: float = MINUTE
) -> None:
    """Wait until the condition is true. Evaluate it `every` so many seconds.

    `promise` is the condition in words. Raises DidNotHoldError with it if it is not true `within` so many seconds.
    """
    give_up_at = time.monotonic() + within
    while not condition():
        if time.monotonic() > give_up_at:
            raise DidNotHoldError(f"This did not happen within {within:.0f} seconds: {promise}.")
        time.sleep(every)
